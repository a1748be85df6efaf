//! Padding with which the packets of a frame leave in one run.
//!
//! Encoders cut a frame into packets of one length but for an octet, and the kernel cuts a run into
//! packets of one length: a frame of six becomes two runs. Where an octet or a few at the end make
//! packets as long as the frame's longest, they join it. RFC 3550 5.1: the padding bit says that
//! there are such octets, the last of them how many; receivers take them off.

use ringway_sfu::call::MAX_LAYERS;

use super::stream::Queued;

/// The most octets added to one packet. Raised: more of the path is spent on nothing; lowered:
/// frames whose packets differ by more leave in several runs.
pub const MOST_OCTETS: usize = 8;
/// The shortest payload that is padded, so that it grows by less than 3 %.
const LEAST_PAYLOAD: usize = 300;
const _: () = assert!(MOST_OCTETS * 100 < LEAST_PAYLOAD * 3, "padding is less than 3 %");

/// The same for sound that waits for other sound (`hold`), whose packets are small.
pub(super) const MOST_SOUND_OCTETS: usize = 24;

/// The padding of each length.
static OCTETS: [[u8; MOST_SOUND_OCTETS]; MOST_SOUND_OCTETS] = {
    let mut octets = [[0; MOST_SOUND_OCTETS]; MOST_SOUND_OCTETS];
    let mut len = 1;
    while len <= MOST_SOUND_OCTETS {
        octets[len - 1][len - 1] = len as u8;
        len += 1;
    }
    octets
};

/// The octets that follow a payload.
pub(super) fn octets(len: u8) -> &'static [u8] {
    let len = usize::from(len).min(MOST_SOUND_OCTETS);
    if len == 0 { &[] } else { &OCTETS[len - 1][..len] }
}

/// Decides how much is added to each packet of a turn: at most `most` octets.
pub(super) fn level(packets: &mut [Queued], most: usize) {
    for layer in 0..MAX_LAYERS as u8 {
        let mut at = 0;
        while let Some(first) = packets[at..].iter().position(|packet| packet.layer == layer) {
            at += first;
            at = level_frame(packets, at, most);
        }
    }
}

/// The same for the frame whose first packet is at `first`; gives where the next one may begin.
fn level_frame(packets: &mut [Queued], first: usize, most: usize) -> usize {
    let (layer, timestamp) = (packets[first].layer, packets[first].prepared.timestamp);
    let len = |packet: &Queued| packet.prepared.payload().len();
    let of_layer = |packet: &Queued| packet.layer == layer;
    let of_frame = |packet: &Queued| of_layer(packet) && packet.prepared.timestamp == timestamp;
    let behind = &packets[first..];
    let next = behind.iter().position(|packet| of_layer(packet) && !of_frame(packet));
    let end = next.map_or(packets.len(), |next| first + next);
    let frame = &mut packets[first..end];
    let longest = frame.iter().filter(|packet| of_frame(packet)).map(len).max().unwrap_or(0);
    for packet in frame.iter_mut().filter(|packet| of_frame(packet)) {
        let missing = longest - len(packet);
        let padded = missing <= most && len(packet) >= LEAST_PAYLOAD;
        packet.padding = if padded { missing as u8 } else { 0 };
    }
    end
}
