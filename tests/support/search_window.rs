//! The search of one window, for callgrind to count: `search_window HASH CODE`.

use pam_oath::otp::{Algorithm, Code, Key, find};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [hash, code] = &arguments[..] else {
        panic!("usage: search_window HASH CODE");
    };
    let algorithm = match hash.as_str() {
        "SHA1" => Algorithm::Sha1,
        "SHA256" => Algorithm::Sha256,
        "SHA512" => Algorithm::Sha512,
        other => panic!("no such hash: {other}"),
    };
    let key = Key::new(algorithm, b"12345678901234567890");
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
