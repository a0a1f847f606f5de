//! A token in the forms that its user enters into an authenticator app: QR code, URI, secret.

use oath_core::sys;
use oath_core::usersfile::format::{MovingFactor, Token};
use serde::Serialize;
use zeroize::Zeroizing;

use crate::error::Error;
use crate::otpauth;
use crate::output::printable;
use crate::qr::Qr;
use crate::terminal::Screen;

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

/// What `oathctl add --json` says.
#[derive(Serialize)]
pub(crate) struct AddedJson<'a> {
    /// Whether it was added: `--if-missing`.
    pub(crate) added: bool,
    #[serde(flatten)]
    pub(crate) token: Json<'a>,
    /// In a file of Google's module.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) scratch_codes: Option<Vec<&'a str>>,
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

    /// The QR code, and the fields to type in where it cannot be scanned. On a terminal that is just
    /// high enough, the code and the secret below it stay in sight when a question follows.
    pub(crate) fn to_text(&self) -> Result<Zeroizing<String>, Error> {
        let secret = self.secret_line();
        let screen = Screen::of_stdout();
        let rows_of_secret =
            screen.map_or(1, |screen| secret.trim_end().len().div_ceil(screen.columns));
        Ok(Zeroizing::new(format!(
            "{}\n{}{}",
            self.other_fields().as_str(),
            self.qr()?.for_terminal(screen, rows_of_secret + 1),
            secret.as_str(),
        )))
    }

    /// The fields to type in where no QR code can be scanned.
    pub(crate) fn fields(&self) -> Zeroizing<String> {
        let fields = [self.other_fields(), self.secret_line()];
        Zeroizing::new(format!("{}{}", fields[0].as_str(), fields[1].as_str()))
    }

    fn secret_line(&self) -> Zeroizing<String> {
        Zeroizing::new(format!("Secret: {} (base32)\n", self.secret.as_str()))
    }

    fn other_fields(&self) -> Zeroizing<String> {
        let kind = match self.token.token_type.moving_factor {
            MovingFactor::Event => format!("by event (HOTP), counter {}", self.token.counter),
            MovingFactor::Time { period } => format!("by time (TOTP), {period} seconds"),
            MovingFactor::BackupCodes { number } => format!("{number} backup codes"),
        };
        let token_type = self.token.token_type;
        Zeroizing::new(format!(
            "URI:    {}\nType:   {kind}, {} digits, {}\n",
            self.uri.as_str(),
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
