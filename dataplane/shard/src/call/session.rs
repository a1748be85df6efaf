//! One peer connection: its transport, what its numbers mean, and what hangs on it.

use ringway_abi::call::{TRAILER_BYTES, Text};
use ringway_proto::cap::SendCap;
use ringway_proto::transport::Transport;
use ringway_proto::twcc::TwccRecorder;
use ringway_sfu::call::bandwidth::Bandwidth;
use ringway_sfu::call::demux::Demux;
use ringway_sfu::call::format::Formats;
use ringway_wire::extension::{ExtensionKind, ExtensionMap, Located};
use ringway_wire::extension_value::read_transport_sequence;
use ringway_wire::rtcp::ReceiverReport;
use ringway_wire::rtcp::write::{write_receiver_report, write_sdes_cname};
use ringway_wire::rtp::RtpView;

use super::data_end::DataEnd;
use super::spent::Spent;
use crate::clock::Now;
use crate::egress::{SocketId, Target};
use crate::slab::SlotId;

/// RTCP of ours that waits to be sealed: one datagram, with what must come before and behind it.
const RTCP_BYTES: usize = 1_100;
/// What begins a compound: an empty report and our name.
const HEAD_BYTES: usize = 40;
/// Octets of our canonical name. RFC 7022 4.2: 96 random bits in 16 letters of base 64.
const CNAME_BYTES: usize = 16;
const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

const _: () = assert!(HEAD_BYTES >= 8 + (4 + 4 + 2 + CNAME_BYTES + 1).next_multiple_of(4));
/// With the index and the tag of SRTCP and the largest headers of IP and UDP within 1280 octets.
const _: () = assert!(RTCP_BYTES + HEAD_BYTES + 4 + 16 + 48 <= 1_280);

/// A peer connection.
pub(super) struct Session {
    pub(super) key: u64,
    pub(super) transport: Transport,
    pub(super) demux: Demux,
    pub(super) formats: Formats,
    pub(super) extensions: ExtensionMap,
    /// Made with the first transport-wide number.
    pub(super) recorder: Option<TwccRecorder>,
    /// The SSRC of the last packet with such a number.
    pub(super) recorded_ssrc: u32,
    pub(super) transport_sequence: u16,
    pub(super) cap: SendCap,
    /// A limit that is none of the path's.
    pub(super) limit_bps: Option<u64>,
    pub(super) bandwidth: Bandwidth,
    pub(super) sources: Vec<SlotId>,
    /// By the SSRC that the peer sees, ordered.
    pub(super) routes: Vec<(u32, SlotId)>,
    /// SSRCs of ours that were used before.
    pub(super) spent: Spent,
    /// The SSRC that our reports come from.
    pub(super) ssrc: u32,
    /// Where media goes, once it may.
    pub(super) target: Option<(SocketId, Target)>,
    pub(super) round_trip_ns: u64,
    pub(super) next_report_ns: u64,
    /// What it does with data, if it may.
    pub(super) data: Option<Box<DataEnd>>,
    /// Its control plane is gone: how long it may go on, at most.
    pub(super) disowned_until_ns: Option<u64>,
    pub(super) dirty: bool,
    /// It waits for a step of its handshake to be handed out.
    pub(super) handshake_waits: bool,
    /// The peer takes packets that are no compounds.
    pub(super) reduced_rtcp: bool,
    /// It said that it takes and sends compounds alone.
    pub(super) bundles: bool,
    /// What frames of our own end in.
    pub(super) trailer: Text<TRAILER_BYTES>,
    cname: [u8; CNAME_BYTES],
    /// Reports, which come first of their datagram.
    reports: Vec<u8>,
    rtcp: Vec<u8>,
    /// What must be last of its datagram: RFC 3550 6.4.1 lets only the last packet have padding,
    /// and GStreamer drops the others with it.
    last_rtcp: Vec<u8>,
}

impl Session {
    /// A connection whose reports come from `ssrc`, under a name made of the `random` numbers.
    pub(super) fn new(key: u64, transport: Transport, ssrc: u32, random: [u64; 2]) -> Self {
        Self {
            key,
            transport,
            demux: Demux::default(),
            formats: Formats::default(),
            extensions: ExtensionMap::default(),
            recorder: None,
            recorded_ssrc: 0,
            transport_sequence: 0,
            cap: SendCap::default(),
            limit_bps: None,
            bandwidth: Bandwidth::default(),
            sources: Vec::new(),
            routes: Vec::new(),
            spent: Spent::default(),
            ssrc,
            target: None,
            round_trip_ns: 0,
            next_report_ns: 0,
            data: None,
            disowned_until_ns: None,
            dirty: false,
            handshake_waits: false,
            reduced_rtcp: false,
            bundles: false,
            trailer: Text::EMPTY,
            cname: cname(random),
            reports: Vec::new(),
            rtcp: Vec::new(),
            last_rtcp: Vec::new(),
        }
    }

    /// Notes that a packet came under its transport-wide number; gives when that is reported,
    /// ns, `u64::MAX` for never.
    pub(super) fn note_transport_sequence(
        &mut self,
        now: Now,
        packet: &RtpView<'_>,
        located: &Located,
    ) -> u64 {
        if !self.formats.has_transport_cc() {
            return u64::MAX;
        }
        let value = located.get(packet.bytes(), ExtensionKind::TransportSequence);
        let Some(sequence) = value.and_then(read_transport_sequence) else { return u64::MAX };
        let recorder = self.recorder.get_or_insert_with(Default::default);
        recorder.handle_packet(now.mono_ns, sequence, packet.marker());
        self.recorded_ssrc = packet.ssrc();
        recorder.deadline().unwrap_or(u64::MAX)
    }

    /// Which subscription the peer sees as `ssrc`.
    pub(super) fn route(&self, ssrc: u32) -> Option<SlotId> {
        let at = self.routes.binary_search_by_key(&ssrc, |(known, _)| *known).ok()?;
        Some(self.routes[at].1)
    }

    pub(super) fn add_route(&mut self, ssrc: u32, id: SlotId) {
        match self.routes.binary_search_by_key(&ssrc, |(known, _)| *known) {
            Ok(at) => self.routes[at].1 = id,
            Err(at) => self.routes.insert(at, (ssrc, id)),
        }
    }

    pub(super) fn remove_route(&mut self, id: SlotId) {
        self.routes.retain(|(_, route)| *route != id);
    }

    /// Adds a report to those that wait.
    pub(super) fn put_report<E>(
        &mut self,
        write: impl FnOnce(&mut [u8]) -> Result<usize, E>,
    ) -> bool {
        put(&mut self.reports, write)
    }

    /// Adds another RTCP packet to those that wait; `write` gets the room and gives the length.
    /// What finds no room is lost: all of it is said again.
    pub(super) fn put_rtcp<E>(
        &mut self,
        write: impl FnOnce(&mut [u8]) -> Result<usize, E>,
    ) -> bool {
        put(&mut self.rtcp, write)
    }

    /// The same for a packet that may have padding.
    pub(super) fn put_last_rtcp<E>(
        &mut self,
        write: impl FnOnce(&mut [u8]) -> Result<usize, E>,
    ) -> bool {
        self.last_rtcp.is_empty() && put(&mut self.last_rtcp, write)
    }

    /// Seals what waits into `out`, one datagram; gives the length. To be called until nothing
    /// waits.
    pub(super) fn seal_rtcp(&mut self, out: &mut [u8]) -> Option<usize> {
        if self.reports.is_empty() && self.rtcp.is_empty() && self.last_rtcp.is_empty() {
            return None;
        }
        let mut datagram = [0; RTCP_BYTES + HEAD_BYTES];
        let mut len = self.begin_compound(&mut datagram).unwrap_or(0);
        for waiting in [&mut self.rtcp, &mut self.last_rtcp] {
            // What finds no room begins the next one, and nothing may overtake it: the last packet
            // is the last of its datagram.
            let Some(room) = datagram.get_mut(len..len + waiting.len()) else { break };
            room.copy_from_slice(waiting);
            len += waiting.len();
            waiting.clear();
        }
        self.transport.seal_rtcp_into(&datagram[..len], out)?.ok()
    }

    /// Writes what `datagram` begins with; gives the length.
    ///
    /// RFC 3550 6.1: the first packet of a compound "MUST always be a report packet", and "an SDES
    /// packet containing a CNAME item MUST be included". RFC 5506 keeps such compounds for the
    /// regular reports also where others are allowed.
    fn begin_compound(&mut self, datagram: &mut [u8]) -> Option<usize> {
        if self.reduced_rtcp && self.reports.is_empty() {
            return None;
        }
        let mut len = self.reports.len();
        if len == 0 {
            let report = ReceiverReport { ssrc: self.ssrc };
            len = write_receiver_report(datagram, &report, &[]).ok()?;
        } else {
            datagram.get_mut(..len)?.copy_from_slice(&self.reports);
            self.reports.clear();
        }
        let named = write_sdes_cname(datagram.get_mut(len..)?, self.ssrc, &self.cname).ok()?;
        Some(len + named)
    }
}

/// RFC 7022 4.2: a name that says nothing of its bearer.
fn cname([a, b]: [u64; 2]) -> [u8; CNAME_BYTES] {
    let mut bits = u128::from(a) << 64 | u128::from(b);
    std::array::from_fn(|_| {
        let letter = LETTERS[(bits & 63) as usize];
        bits >>= 6;
        letter
    })
}

/// Adds a packet to those that wait.
fn put<E>(rtcp: &mut Vec<u8>, write: impl FnOnce(&mut [u8]) -> Result<usize, E>) -> bool {
    let before = rtcp.len();
    rtcp.resize(RTCP_BYTES, 0);
    let written = write(&mut rtcp[before..]).unwrap_or(0);
    rtcp.truncate(before + written);
    written > 0
}
