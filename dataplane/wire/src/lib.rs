//! Bytes to checked views and back: RTP, RTCP, first-byte demultiplexing, and the arithmetic on
//! sequence numbers, timestamps and NTP time that goes with them.
//!
//! Everything here is stateless and works on borrowed bytes: no clock, no socket, no allocation. A
//! view is handed out only after every length in the packet was checked, so its accessors cannot
//! fail. The crate stands where a packet enters a shard (sniff, view) and where it leaves
//! (rewrite).
#![forbid(unsafe_code)]

mod bits;
pub mod data_packet;
pub mod data_track;
pub mod dependency;
pub mod extension;
pub mod extension_value;
pub mod flexfec;
pub mod frame_trailer;
pub mod head;
pub mod ntp;
pub mod payload;
pub mod proxy;
pub mod rtcp;
pub mod rtp;
pub mod rtp_rewrite;
pub mod sequence;
pub mod sniff;
pub mod stun;

pub use rtcp::{Compound, RtcpError};
pub use rtp::{RtpError, RtpView};
pub use rtp_rewrite::HeaderRewrite;
pub use sniff::{Protocol, sniff};
