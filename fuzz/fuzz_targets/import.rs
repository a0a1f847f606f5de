#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| oathctl::import_any_bytes(bytes));
