//! The crate against real clients: what browsers, aiortc and GStreamer said is read, answered,
//! offered and accepted.

mod answers;
mod offers;
mod peers;
mod placements;
mod roundtrip;
mod samples;
