//! Fuzz targets as functions: each takes hostile bytes and panics when a promise of the code under
//! test is broken.
//!
//! They run twice: `harness/` gives them to libFuzzer, which looks for new bytes, and
//! `tests/replay.rs` gives them every file of `corpus/`, which is how yesterday's finds stay found
//! in an ordinary `cargo test`. A new target is one file here with one function of the same name, a
//! row in [`TARGETS`], a folder in `corpus/` and a file in `harness/fuzz_targets/`.
#![forbid(unsafe_code)]

mod call;
mod data;
mod deflate;
mod dependency;
mod descriptors;
mod dtls;
mod extensions;
mod feedback;
mod flexfec;
mod fragment;
mod join_request;
mod proxy;
mod region;
mod rtcp;
mod rtp;
mod sctp;
mod sctp_association;
mod sdp;
mod signal;
mod sniff;
mod srtp;
mod stun;
mod turn;

pub use call::call;
pub use data::data;
pub use deflate::deflate;
pub use dependency::dependency;
pub use descriptors::descriptors;
pub use dtls::dtls;
pub use extensions::extensions;
pub use feedback::feedback;
pub use flexfec::flexfec;
pub use fragment::fragment;
pub use join_request::join_request;
pub use proxy::proxy;
pub use region::region;
pub use rtcp::rtcp;
pub use rtp::rtp;
pub use sctp::sctp;
pub use sctp_association::sctp_association;
pub use sdp::sdp;
pub use signal::signal;
pub use sniff::sniff;
pub use srtp::srtp;
pub use stun::stun;
pub use turn::turn;

/// A target: it panics when a promise is broken.
pub type Target = fn(&[u8]);

/// Every target by the name of its corpus folder.
pub const TARGETS: &[(&str, Target)] = &[
    ("call", call),
    ("data", data),
    ("deflate", deflate),
    ("dependency", dependency),
    ("descriptors", descriptors),
    ("dtls", dtls),
    ("extensions", extensions),
    ("feedback", feedback),
    ("flexfec", flexfec),
    ("fragment", fragment),
    ("join_request", join_request),
    ("proxy", proxy),
    ("region", region),
    ("rtcp", rtcp),
    ("rtp", rtp),
    ("sctp", sctp),
    ("sctp_association", sctp_association),
    ("sdp", sdp),
    ("signal", signal),
    ("sniff", sniff),
    ("srtp", srtp),
    ("stun", stun),
    ("turn", turn),
];
