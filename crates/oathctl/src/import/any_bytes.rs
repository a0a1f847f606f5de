//! What must hold whatever bytes are imported: for the fuzzer in `fuzz/`, and for the test that calls
//! it with the seeds.

use std::ffi::OsString;

use oath_core::usersfile::Document;
use zeroize::Zeroizing;

use super::append::{Candidate, append};
use super::{Secrets, items_in};
use crate::tokens;

/// Reads any bytes as `oathctl import` reads a file, with a key and a password at hand. Whatever they
/// are, each token has a line of its own from which it is read back.
pub fn any_bytes(bytes: &[u8]) {
    let secrets = Secrets {
        key: Some(Zeroizing::new(b"0123456789abcdef".to_vec())),
        password: Some(Zeroizing::new(b"four green larches".to_vec())),
    };
    let Ok(items) = items_in(bytes, &secrets, 1_768_478_400) else {
        return;
    };
    let mut candidates = Vec::new();
    for (row, item) in items.into_iter().enumerate() {
        if let Ok(token) = item.token {
            candidates.push(Candidate {
                row,
                user: OsString::from(format!("user{row}")),
                token,
                issuer: item.issuer,
            });
        }
    }
    let mut document = Document::new(b"");
    append(&mut document, &candidates, true);
    let lines: Vec<_> = tokens::all(&document).collect();
    assert_eq!(lines.len(), candidates.len(), "a line for each token");
    for (line, candidate) in lines.iter().zip(&candidates) {
        assert_eq!(line.entry.token_type, candidate.token.token_type);
        assert!(
            line.entry
                .secret()
                .is_ok_and(|secret| secret == candidate.token.secret)
        );
        assert!(tokens::check(&line.entry).is_ok(), "a login can use it");
    }
}
