#![no_main]

use test_support::any_bytes;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| any_bytes::secret_file(bytes));
