//! What has to take the same time whatever is typed, for callgrind to count: the search of one
//! window, `search_window HASH CODE`, of a set of backup codes, `search_window set CODE`, and the
//! comparison of a PIN, `search_window pin FIELD TYPED`.

use oath_core::otp::{Algorithm, Code, Key, find, find_all};
use oath_core::pin::{self, CheckedHashes};

const SECRET: &[u8] = b"12345678901234567890";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (hash, code) = match arguments[..] {
        ["pin", field, typed] => {
            let fits = counted_comparison(field.as_bytes(), typed.as_bytes());
            return println!("{}", if fits { "fits" } else { "does not fit" });
        }
        ["set", code] => {
            let key = Key::new(Algorithm::Sha1, SECRET);
            let code = Code::parse(code.as_bytes()).expect("a code");
            return println!("{:x}", counted_set(&key, &code));
        }
        [hash, code] => (hash, code),
        _ => panic!("usage: search_window HASH CODE, or search_window pin FIELD TYPED"),
    };
    let algorithm = match hash {
        "SHA1" => Algorithm::Sha1,
        "SHA256" => Algorithm::Sha256,
        "SHA512" => Algorithm::Sha512,
        other => panic!("no such hash: {other}"),
    };
    let key = Key::new(algorithm, SECRET);
    let code = Code::parse(code.as_bytes()).expect("a code");
    match counted_search(&key, &code) {
        Some(position) => println!("{position}"),
        None => println!("nowhere"),
    }
}

/// Callgrind counts from its beginning to its end, so it has to be there.
#[inline(never)]
fn counted_search(key: &Key, code: &Code) -> Option<usize> {
    let [position] = find(key, 0..61, [Some(code)]);
    position
}

/// As `counted_search`.
#[inline(never)]
fn counted_set(key: &Key, code: &Code) -> u64 {
    find_all(key, 64, Some(code))
}

/// As `counted_search`.
#[inline(never)]
fn counted_comparison(field: &[u8], typed: &[u8]) -> bool {
    let mut checked = CheckedHashes::default();
    if pin::is_hash(field) {
        checked.check(field, typed);
    }
    pin::fits(field, typed, &checked)
        .expect("a PIN field")
        .into()
}
