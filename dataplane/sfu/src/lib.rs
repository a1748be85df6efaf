//! Who gets which packet, rewritten how: the forwarding logic of one shard, sans-IO.
//!
//! Nothing here reads a clock, a socket or a random device, and nothing allocates per packet: time,
//! addresses and parsed headers are arguments; what to send comes back as values. The shard turns
//! those into runs for the kernel.
//!
//! - [`admission`]: may this address and SSRC send to the forward?
//! - [`input`]: what came from the source; where a stream ends and another begins.
//! - [`reception`]: loss and jitter of RFC 3550; [`clock_rate`]: the clock behind the jitter.
//! - [`destination`]: what one destination is sent; [`line`]: its unbroken numbering.
//! - [`report`]: RTCP translated downstream and aggregated upstream.
//! - [`call`]: calls: tracks with layers, subscriptions, speakers, quality.
#![forbid(unsafe_code)]

pub mod admission;
pub mod call;
pub mod clock_rate;
pub mod destination;
pub mod input;
pub mod line;
pub mod reception;
pub mod report;
