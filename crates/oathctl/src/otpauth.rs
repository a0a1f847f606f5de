//! `otpauth://` URIs, from which authenticator apps read a token.
//!
//! `otpauth://totp/ISSUER:USER?secret=BASE32&issuer=ISSUER`, with `algorithm`, `digits` and `period`
//! only where they are not the default, so that the QR code stays small; `counter` for HOTP.

use oath_core::otp::{Algorithm, MIN_DIGITS};
use oath_core::usersfile::format::{MovingFactor, Token};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use zeroize::Zeroizing;

/// The time step that apps assume, in seconds.
pub(crate) const USUAL_PERIOD: u32 = 30;

/// The parameter by which `oathctl export` tells `oathctl import` the first counter, or time step,
/// whose code is still good: apps do not agree on what `counter` means, and keep no last step.
pub(crate) const NEXT: &str = "next";

/// What RFC 3986 calls unreserved stays as it is.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The token's URI. `issuer` is what the app shows beside the user's name.
pub(crate) fn uri(token: &Token, issuer: &str) -> Zeroizing<String> {
    let issuer = percent_encode(issuer.as_bytes(), RESERVED);
    let user = percent_encode(&token.user, RESERVED);
    let secret = base32(&token.secret);
    let kind = match token.token_type.moving_factor {
        // Backup codes are the first codes of a token by event.
        MovingFactor::Event | MovingFactor::BackupCodes { .. } => "hotp",
        MovingFactor::Time { .. } => "totp",
    };
    let mut options = match token.token_type.moving_factor {
        // Of this number, FreeOTP+ shows the code before it first, Aegis and FreeOTP its own, Google
        // Authenticator the one after it. With the next counter plus one, none of them begins with
        // a code that is used up, and all three codes are within a window of 2.
        MovingFactor::Event | MovingFactor::BackupCodes { .. } => {
            format!("&counter={}", token.counter.saturating_add(1))
        }
        MovingFactor::Time { period } if period != USUAL_PERIOD => format!("&period={period}"),
        MovingFactor::Time { .. } => String::new(),
    };
    if token.token_type.digits != MIN_DIGITS {
        options += &format!("&digits={}", token.token_type.digits);
    }
    if token.token_type.algorithm != Algorithm::Sha1 {
        options += &format!("&algorithm={}", hash_name(token.token_type.algorithm));
    }
    Zeroizing::new(format!(
        "otpauth://{kind}/{issuer}:{user}?secret={}&issuer={issuer}{options}",
        secret.as_str()
    ))
}

/// The hash's name in a URI, and in the usersfile.
pub(crate) fn hash_name(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::Sha1 => "SHA1",
        Algorithm::Sha256 => "SHA256",
        Algorithm::Sha512 => "SHA512",
    }
}

/// A secret in the form that apps use: base32 without padding.
pub(crate) fn base32(secret: &[u8]) -> Zeroizing<String> {
    Zeroizing::new(base32::encode(
        base32::Alphabet::Rfc4648 { padding: false },
        secret,
    ))
}

/// Parameters of a token that some apps ignore, one sentence each.
pub(crate) fn compatibility_warnings(token: &Token) -> Vec<String> {
    let token_type = token.token_type;
    let mut warnings = Vec::new();
    if token_type.algorithm != Algorithm::Sha1 {
        warnings.push("some apps ignore the hash and make codes with SHA-1".to_owned());
    }
    match token_type.moving_factor {
        MovingFactor::Time { period } if period != USUAL_PERIOD => warnings.push(format!(
            "some apps ignore the time step of {period} seconds and use 30"
        )),
        _ => {}
    }
    if token_type.digits != MIN_DIGITS {
        warnings.push(format!(
            "some apps ignore the {} digits and show 6",
            token_type.digits
        ));
    }
    warnings
}

#[cfg(test)]
mod tests {
    use oath_core::usersfile::format::Type;

    use super::*;

    fn of(token_type: &str, user: &str, counter: u64) -> String {
        let token = Token {
            token_type: Type::parse(token_type.as_bytes()).unwrap(),
            user: user.into(),
            pin: Zeroizing::new(b"-".to_vec()),
            secret: Zeroizing::new(b"12345678901234567890".to_vec()),
            counter,
        };
        uri(&token, "a host").to_string()
    }

    #[test]
    fn a_uri_says_what_apps_do_not_assume() {
        const SECRET: &str = "secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=a%20host";
        assert_eq!(
            of("HOTP/T30", "alice", 0),
            format!("otpauth://totp/a%20host:alice?{SECRET}")
        );
        assert_eq!(
            of("HOTP/T60/8/SHA256", "a&b", 0),
            format!("otpauth://totp/a%20host:a%26b?{SECRET}&period=60&digits=8&algorithm=SHA256")
        );
        assert_eq!(
            of("HOTP/E/7/SHA512", "alice", 3),
            format!("otpauth://hotp/a%20host:alice?{SECRET}&counter=4&digits=7&algorithm=SHA512")
        );
    }
}
