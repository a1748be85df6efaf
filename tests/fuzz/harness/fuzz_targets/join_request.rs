//! libFuzzer's way into `ringway_fuzz::join_request`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ringway_fuzz::join_request(data));
