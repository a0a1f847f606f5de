//! Unencrypted exports of Bitwarden, JSON and CSV. Most of their entries hold no token: those are
//! passed over.

use super::json::Json;
use super::otpauth;
use super::table::Row;
use super::token::{Account, Description, ImportItem, base32_secret};
use super::{Format, Source, entries};
use crate::output::printable;

pub(super) struct Bitwarden;

impl Format for Bitwarden {
    fn recognises(&self, source: &Source) -> bool {
        source
            .json()
            .is_some_and(|json| json.has("encrypted") && (json.has("items") || json.has("data")))
    }

    fn read(&self, source: &Source) -> Result<Vec<ImportItem>, String> {
        let json = source.json().unwrap_or(&Json::Null);
        if !matches!(json.member("encrypted"), Ok(Some(Json::Bool(false)))) {
            return Err(
                "is an encrypted export of Bitwarden; export it as \".json\" without encryption"
                    .into(),
            );
        }
        let items = entries("an export of Bitwarden", json.list("items"), entry)?;
        Ok(items.into_iter().filter(is_token).collect())
    }
}

/// What is said of an entry without a token.
const NO_TOKEN: &str = "it holds no token";

fn is_token(item: &ImportItem) -> bool {
    !matches!(&item.token, Err(problem) if problem == NO_TOKEN)
}

fn entry(entry: &Json) -> ImportItem {
    let login = entry.member("login").ok().flatten().unwrap_or(&Json::Null);
    let name = entry.optional_text("name").ok().flatten();
    let username = login.optional_text("username").ok().flatten();
    match login.optional_text("totp") {
        Ok(totp) => item(totp.unwrap_or_default(), username, name),
        Err(problem) => ImportItem::new(String::new(), Err(problem)),
    }
}

/// The token of a login: a secret alone, or a URI.
fn item(totp: &str, username: Option<&str>, name: Option<&str>) -> ImportItem {
    let totp = totp.trim();
    let mut item = match totp {
        "" => ImportItem::new(String::new(), Err(NO_TOKEN.into())),
        uri if otpauth::is_uri(uri) => otpauth::single(uri),
        uri if uri.to_ascii_lowercase().starts_with("steam://") => ImportItem::new(
            String::new(),
            Err("its codes are Steam's, which have letters".into()),
        ),
        secret => ImportItem::new(
            String::new(),
            Description::default().token(base32_secret(secret)),
        ),
    };
    let username = username.filter(|name| !name.trim().is_empty());
    if let Some(username) = username {
        let account = Account::of_name(username);
        if let (Account::Named { name, .. }, Account::Named { name: user, .. }) =
            (&item.account, &account)
        {
            if name != user {
                item.remarks.push(format!(
                    "its user name, {}, is taken; its label names {}",
                    printable(user.as_bytes()),
                    printable(name.as_bytes())
                ));
            }
        }
        item.account = account;
    } else if item.account == Account::Missing {
        item.account = Account::of_label(name.unwrap_or_default());
    }
    item
}

pub(super) struct BitwardenCsv;

impl Format for BitwardenCsv {
    fn recognises(&self, source: &Source) -> bool {
        source
            .table
            .as_ref()
            .is_some_and(|table| table.has_columns(&["login_totp", "login_username"]))
    }

    fn read(&self, source: &Source) -> Result<Vec<ImportItem>, String> {
        let Some(table) = &source.table else {
            return Ok(Vec::new());
        };
        let items = table.items(|row: &Row| {
            item(
                row.get("login_totp"),
                Some(row.get("login_username")),
                Some(row.get("name")),
            )
        });
        Ok(items.into_iter().filter(is_token).collect())
    }
}
