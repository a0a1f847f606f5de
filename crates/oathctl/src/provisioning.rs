//! A token in the forms that its user enters into an authenticator app: QR code, URI, secret.

use oath_core::sys;
use oath_core::usersfile::format::{MovingFactor, Token};
use serde::Serialize;
use zeroize::Zeroizing;

use crate::error::Error;
use crate::otpauth;
use crate::output::printable;
use crate::qr::Qr;

/// The token, its `otpauth://` URI and its secret in base32.
pub(crate) struct Provisioning<'a> {
    token: &'a Token,
    uri: Zeroizing<String>,
    secret: Zeroizing<String>,
}

/// What `--json` says of a token that is shown.
#[derive(Serialize)]
pub(crate) struct Json<'a> {
    user: String,
    line: usize,
    #[serde(rename = "type")]
    token_type: String,
    secret: &'a str,
    uri: &'a str,
}

impl<'a> Provisioning<'a> {
    /// `issuer` is what the app shows beside the user's name, the machine's name if not given.
    pub(crate) fn new(token: &'a Token, issuer: Option<&str>) -> Provisioning<'a> {
        let host = sys::host_name();
        Provisioning {
            token,
            uri: otpauth::uri(token, issuer.unwrap_or(&host.to_string_lossy())),
            secret: otpauth::base32(&token.secret),
        }
    }

    pub(crate) fn qr(&self) -> Result<Qr, Error> {
        Qr::new(&self.uri)
    }

    /// The QR code, and the fields to type in where it cannot be scanned.
    pub(crate) fn to_text(&self) -> Result<Zeroizing<String>, Error> {
        let fields = self.fields();
        Ok(Zeroizing::new(format!(
            "{}\n{}",
            self.qr()?.for_terminal(),
            fields.as_str()
        )))
    }

    /// The fields to type in where no QR code can be scanned.
    pub(crate) fn fields(&self) -> Zeroizing<String> {
        let kind = match self.token.token_type.moving_factor {
            MovingFactor::Event => format!("by event (HOTP), counter {}", self.token.counter),
            MovingFactor::Time { period } => format!("by time (TOTP), {period} seconds"),
        };
        let token_type = self.token.token_type;
        Zeroizing::new(format!(
            "URI:    {}\nSecret: {} (base32)\nType:   {kind}, {} digits, {}\n\n",
            self.uri.as_str(),
            self.secret.as_str(),
            token_type.digits,
            otpauth::hash_name(token_type.algorithm),
        ))
    }

    /// The same as JSON; `line` is the token's in the usersfile.
    pub(crate) fn to_json(&self, line: usize) -> Json<'_> {
        Json {
            user: printable(&self.token.user),
            line,
            token_type: self.token.token_type.to_string(),
            secret: &self.secret,
            uri: &self.uri,
        }
    }
}
