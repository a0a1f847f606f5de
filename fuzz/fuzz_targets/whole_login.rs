#![no_main]

#[path = "../../tests/support/any_bytes.rs"]
#[allow(dead_code, reason = "each fuzzer calls its own part")]
mod any_bytes;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| any_bytes::whole_login(bytes));
