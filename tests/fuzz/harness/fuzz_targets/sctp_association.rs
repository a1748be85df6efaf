//! libFuzzer's way into `ringway_fuzz::sctp_association`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ringway_fuzz::sctp_association(data));
