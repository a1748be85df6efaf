//! libFuzzer's way into `ringway_fuzz::deflate`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ringway_fuzz::deflate(data));
