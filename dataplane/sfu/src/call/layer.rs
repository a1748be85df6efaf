//! One layer of a source: an encoding that comes under its own SSRC.

use ringway_wire::sequence::distance;

use super::arrivals::{Arrivals, Step};
use super::prepared::Prepared;
use super::scaling::Scaling;
use crate::reception::{Loss, Reception};
use crate::report::SourceReport;

/// A camera's layer is gone when nothing came for so long. Raised, receivers look at a still
/// picture for longer when a sender drops a layer; lowered, a pause of the encoder makes them
/// change layers for nothing.
pub const SILENT_NS: u64 = 1_000_000_000;
/// A screen's layer may pause longer: nothing moves on it.
pub const SILENT_SCREEN_NS: u64 = 4_000_000_000;

/// Least time between two requests for a key frame, by layer, lowest first: key frames of larger
/// pictures cost more. As LiveKit has them.
const KEY_FRAME_INTERVAL_NS: [u64; super::MAX_LAYERS] = [500_000_000, 1_000_000_000, 1_000_000_000];

/// How long octets are gathered before they become a bitrate.
const RATE_INTERVAL_NS: u64 = 1_000_000_000;

/// RFC 3550 A.1: a packet farther behind is not counted as received.
const COUNTED_BEHIND: i16 = -100;

/// Counts of one layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LayerCounts {
    /// Packets that came and were new.
    pub packets: u64,
    /// Their octets.
    pub bytes: u64,
    /// Of them, those that came by RTX.
    pub repaired: u64,
    /// Packets that were known, too old or stray.
    pub refused: u64,
    /// Key frames that began.
    pub key_frames: u64,
    /// Of them, those whose dependency descriptor could not be read.
    pub malformed: u64,
}

/// The state of one layer.
#[derive(Clone, Debug, Default)]
pub struct Layer {
    /// Its SSRC, once known.
    pub ssrc: Option<u32>,
    /// The SSRC of its RTX stream, once known.
    pub rtx_ssrc: Option<u32>,
    /// Counts up with every numbering.
    pub(super) epoch: u32,
    arrivals: Arrivals,
    reception: Option<Reception>,
    report: Option<SourceReport>,
    /// Timestamp of the newest packet in order.
    pub(super) newest_timestamp: Option<u32>,
    /// Parameter sets came in band, so pictures without them are no entries.
    pub(super) parameter_sets: bool,
    live: bool,
    heard_ns: u64,
    asked_ns: Option<u64>,
    rate: Rate,
    /// What is known of the layers inside it, where it has several.
    pub(super) scaling: Option<Box<Scaling>>,
    /// Epoch, highest number and loss at the end of the last interval.
    judged: Option<(u32, u32, i64)>,
    /// Counts so far.
    pub counts: LayerCounts,
}

impl Layer {
    /// Takes a packet's number; `None` where the packet goes no further. A [`Step::Restarted`]
    /// comes back as the first packet of a new epoch.
    pub(super) fn handle_packet(
        &mut self,
        now_ns: u64,
        sequence: u16,
        bytes: usize,
        repaired: bool,
    ) -> Option<u16> {
        let before = self.arrivals.highest();
        let ahead = match self.arrivals.handle(sequence, repaired) {
            Step::Ahead(ahead) => ahead,
            Step::Late => 0,
            Step::Repeated | Step::Stray => {
                self.counts.refused += 1;
                return None;
            }
            Step::Restarted => {
                self.begin_epoch();
                1
            }
        };
        let near = before.is_none_or(|before| distance(before, sequence) > COUNTED_BEHIND);
        if near || ahead > 0 {
            self.reception.get_or_insert_with(|| Reception::new(sequence)).receive(sequence);
        }
        self.counts.packets += 1;
        self.counts.bytes += bytes as u64;
        self.counts.repaired += u64::from(repaired);
        self.rate.add(now_ns, bytes);
        self.heard_ns = now_ns;
        Some(ahead)
    }

    /// Takes an arrival into the jitter.
    pub(super) fn time(&mut self, now_ns: u64, timestamp: u32, clock_hz: u32) {
        if let Some(reception) = &mut self.reception {
            reception.time(now_ns, timestamp, clock_hz);
        }
    }

    /// Another SSRC sends this layer now, or the same one counts anew.
    pub(super) fn begin_epoch(&mut self) {
        self.epoch = self.epoch.wrapping_add(1) & 0x0fff_ffff;
        self.reception = None;
        self.report = None;
        self.newest_timestamp = None;
        self.scaling = None;
    }

    /// Forgets the numbering: the next packet begins another, whatever its number.
    pub(super) fn begin_stream(&mut self) {
        self.begin_epoch();
        self.arrivals = Arrivals::default();
        self.parameter_sets = false;
    }

    /// Completes what a packet in `bytes` tells about the layers of its stream; `true` where other
    /// layers are live than before.
    pub(super) fn scale(&mut self, now_ns: u64, packet: &mut Prepared, bytes: &[u8]) -> bool {
        // Once for a stream that holds several layers, not per packet.
        let scaling = self.scaling.get_or_insert_default();
        if let Some(data) = packet.dependencies(bytes) {
            packet.scaled = scaling.read(data, packet.ahead > 0);
        }
        self.counts.malformed += u64::from(packet.is_malformed());
        packet.scaled.as_ref().is_some_and(|scaled| scaling.note(now_ns, scaled, bytes.len()))
    }

    /// Whether packets come.
    pub fn is_live(&self) -> bool {
        self.live
    }

    /// Sets whether packets come; `true` where that is news.
    pub(super) fn set_live(&mut self, live: bool) -> bool {
        std::mem::replace(&mut self.live, live) != live
    }

    /// Takes packets to come, as if one had just come.
    pub(super) fn presume_live(&mut self, now_ns: u64) {
        self.heard_ns = now_ns;
        self.live = true;
    }

    /// Whether nothing came for `silent_ns`.
    pub(super) fn is_silent(&self, now_ns: u64, silent_ns: u64) -> bool {
        now_ns.saturating_sub(self.heard_ns) > silent_ns
    }

    /// Whether a key frame may be asked for now; counts as asking when it may.
    pub fn ask_key_frame(&mut self, now_ns: u64, layer: u8) -> bool {
        let interval_ns = KEY_FRAME_INTERVAL_NS.get(usize::from(layer)).copied();
        let interval_ns = interval_ns.unwrap_or(KEY_FRAME_INTERVAL_NS[0]);
        if self.asked_ns.is_some_and(|asked| now_ns.saturating_sub(asked) < interval_ns) {
            return false;
        }
        self.asked_ns = Some(now_ns);
        true
    }

    /// Takes its sender's report.
    pub(super) fn handle_report(&mut self, report: SourceReport) {
        self.report = Some(report);
    }

    /// The last report of its sender.
    pub fn report(&self) -> Option<SourceReport> {
        self.report
    }

    /// What it brings, bits/s, measured over the last second or so.
    pub fn bitrate_bps(&self, now_ns: u64) -> u64 {
        self.rate.bps(now_ns)
    }

    /// Loss and jitter since the last call, for a report to the publisher: loss, jitter in
    /// timestamp units, extended highest number.
    pub fn reception(&mut self) -> Option<(Loss, u32, u32)> {
        let reception = self.reception.as_mut()?;
        Some((reception.report(), reception.jitter(), reception.extended_highest()))
    }

    /// Ends an interval for the quality of the track: packets that should have come in it, and
    /// those that did not.
    pub fn end_interval(&mut self) -> Option<(u32, u32)> {
        let reception = self.reception.as_ref()?;
        let now = (self.epoch, reception.extended_highest(), reception.cumulative_lost());
        let (epoch, highest, lost) = self.judged.replace(now)?;
        if epoch != self.epoch {
            return None;
        }
        let expected = now.1.wrapping_sub(highest);
        let lost = u32::try_from(now.2 - lost).unwrap_or(0);
        Some((expected, lost.min(expected)))
    }
}

/// How much comes, measured over a second or so.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rate {
    since_ns: u64,
    bytes: u64,
    bps: u64,
}

impl Rate {
    /// Takes `bytes` octets.
    pub(super) fn add(&mut self, now_ns: u64, bytes: usize) {
        let elapsed_ns = now_ns.saturating_sub(self.since_ns);
        if self.since_ns == 0 || elapsed_ns > 4 * RATE_INTERVAL_NS {
            self.since_ns = now_ns;
            self.bytes = 0;
        } else if elapsed_ns >= RATE_INTERVAL_NS {
            self.bps = self.bytes * 8 * 1_000_000_000 / elapsed_ns;
            self.since_ns = now_ns;
            self.bytes = 0;
        }
        self.bytes += bytes as u64;
    }

    /// Bits/s of the last second or so.
    pub(super) fn bps(&self, now_ns: u64) -> u64 {
        let stale = now_ns.saturating_sub(self.since_ns) > 3 * RATE_INTERVAL_NS;
        if stale { 0 } else { self.bps }
    }
}
