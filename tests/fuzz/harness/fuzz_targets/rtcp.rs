//! libFuzzer's way into `ringway_fuzz::rtcp`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ringway_fuzz::rtcp(data));
