//! Calls: tracks with layers come in, subscriptions with one unbroken stream each go out.
//!
//! A packet walks through here once and is then offered to every subscription:
//! [`demux`] names its source and layer, [`source`] prepares it (order, payload facts, extensions),
//! each [`route`] decides in a few compares and adds, and [`dress`] writes the head that the
//! receiver sees. The payload is never touched, and what is end-to-end encrypted is never read.
//!
//! - [`format`](mod@format): what payload types mean on a transport.
//! - [`demux`]: whose packet is it? [`arrivals`]: is it new, late, doubled?
//! - [`source`], [`layer`]: a published track; [`prepared`]: one of its packets, ready to offer;
//!   [`scaled`]: what it tells where one stream holds several layers; [`repairs`]: which of those
//!   that were lost can be recovered.
//! - [`route`]: one subscription; [`trail`]: which of its numbers stands for which of the source's;
//!   [`timeline`]: timestamps across layers; [`blank`]: what is sent where nothing comes;
//!   [`answers`]: what its receiver reports; [`playout`]: how long it shall buffer.
//! - [`bandwidth`]: which layers fit; [`speakers`]: who talks; [`quality`]: how good it is.

pub mod answers;
pub mod arrivals;
pub mod bandwidth;
pub mod blank;
pub mod demux;
pub mod dress;
pub mod format;
mod frames;
mod ladder;
pub mod layer;
pub mod picture;
pub mod playout;
pub mod prepared;
pub mod repairs;
pub mod route;
pub mod scaled;
mod scaling;
pub mod source;
pub mod speakers;
pub mod timeline;
pub mod trail;

/// Encodings of one track, lowest quality first. LiveKit's clients send up to three.
pub const MAX_LAYERS: usize = 3;
