//! The CSV export of KeePassXC. Entries without a token are passed over.

use super::otpauth;
use super::token::{Account, Description, ImportItem, base32_secret};
use super::{Format, Source};

pub(super) struct KeePassXcCsv;

impl Format for KeePassXcCsv {
    fn recognises(&self, source: &Source) -> bool {
        source
            .table
            .as_ref()
            .is_some_and(|table| table.has_columns(&["group", "title", "username", "totp"]))
    }

    fn read(&self, source: &Source) -> Result<Vec<ImportItem>, String> {
        let Some(table) = &source.table else {
            return Ok(Vec::new());
        };
        let with_token = table.with(|row| !row.get("totp").trim().is_empty());
        Ok(with_token.items(|row| {
            let totp = row.get("totp").trim();
            // The group of deleted entries; below the database's root, which has any name.
            let is_deleted = row
                .get("group")
                .split('/')
                .any(|name| name == "Recycle Bin");
            let mut item = match totp {
                _ if is_deleted => ImportItem::new(
                    String::new(),
                    Err("it lies in the Recycle Bin, so somebody has deleted it".into()),
                ),
                uri if uri.contains("://") => otpauth::single(uri),
                secret => ImportItem::new(
                    String::new(),
                    Description::default().token(base32_secret(secret)),
                ),
            };
            // Without a user name the label's account is "none", which is nobody.
            item.account = match row.get("username").trim() {
                "" => Account::Unusable("it has no user name"),
                username => Account::of_name(username),
            };
            item
        }))
    }
}
