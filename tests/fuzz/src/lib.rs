//! Fuzz targets as functions: each takes hostile bytes and panics when a promise of the code under
//! test is broken.
//!
//! They run twice: `harness/` gives them to libFuzzer, which looks for new bytes, and
//! `tests/replay.rs` gives them every file of `corpus/`, which is how yesterday's finds stay found
//! in an ordinary `cargo test`. A new target is one file here with one function of the same name, a
//! row in [`TARGETS`], a folder in `corpus/` and a file in `harness/fuzz_targets/`.
#![forbid(unsafe_code)]

mod region;
mod rtcp;
mod rtp;
mod sniff;

pub use region::region;
pub use rtcp::rtcp;
pub use rtp::rtp;
pub use sniff::sniff;

/// A target: it panics when a promise is broken.
pub type Target = fn(&[u8]);

/// Every target by the name of its corpus folder.
pub const TARGETS: &[(&str, Target)] =
    &[("region", region), ("rtcp", rtcp), ("rtp", rtp), ("sniff", sniff)];
