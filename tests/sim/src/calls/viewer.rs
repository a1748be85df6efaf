//! Who subscribes: streams over one connection, and the feedback that a browser gives.

use ringway_abi::call::TransportKey;
use ringway_wire::rtcp::{Compound, NackEntry, Packet, Pli, ReceiverReport, ReportBlock, write};

use super::meeting::CNAME;
use super::peer::Peer;
use super::rtcp::judge_rtcp;
use super::stream::Stream;
use crate::plane::Plane;

/// Between two receiver reports.
const REPORT_NS: u64 = 1_000_000_000;
/// Between two wishes for a key frame.
const WISH_NS: u64 = 500_000_000;
/// The SSRC that its feedback comes from.
const OWN_SSRC: u32 = 1;

/// A viewer.
pub struct Viewer {
    /// The control plane's name for its transport.
    pub key: TransportKey,
    /// Its connection.
    pub peer: Peer,
    /// What it was told to expect.
    pub streams: Vec<Stream>,
    /// It asks for what it lacks.
    pub asks: bool,
    /// Its estimate of its path, bits/s.
    pub remb: Option<u64>,
    /// Between two receiver reports.
    pub report_ns: u64,
    /// Receiver reports so far.
    pub reports: usize,
    next_report_ns: u64,
    next_wish_ns: u64,
}

impl Viewer {
    /// A viewer of nothing yet.
    pub fn new(key: TransportKey, peer: Peer) -> Self {
        Self {
            key,
            peer,
            streams: Vec::new(),
            asks: true,
            remb: None,
            report_ns: REPORT_NS,
            reports: 0,
            next_report_ns: 0,
            next_wish_ns: 0,
        }
    }

    /// Takes what has come and says what is due.
    pub fn step(&mut self, plane: &mut Plane) {
        self.peer.step(plane);
        let now_ns = plane.now_ns();
        for mut packet in std::mem::take(&mut self.peer.rtp) {
            let mut streams = self.streams.iter_mut();
            let taken = streams.any(|stream| stream.handle(now_ns, &mut packet));
            assert!(taken, "nobody expects {packet:?}");
        }
        for rtcp in std::mem::take(&mut self.peer.rtcp) {
            let names = judge_rtcp(&rtcp, false);
            let compound = Compound::parse(&rtcp).expect("the server sends valid RTCP");
            for packet in compound.packets() {
                let Packet::SenderReport(report, _) = packet else { continue };
                let known = self.streams.iter_mut().find(|stream| stream.ssrc == report.ssrc);
                known.expect("a report of what was sent").report = Some((report, now_ns));
                let named = names.iter().find(|(ssrc, _)| *ssrc == report.ssrc);
                assert_eq!(named.map(|(_, name)| &name[..]), Some(CNAME), "as signalled");
            }
        }
        if self.peer.is_connected() {
            self.give_feedback(plane);
        }
    }

    fn give_feedback(&mut self, plane: &mut Plane) {
        let now_ns = plane.now_ns();
        let mut out = [0; 1200];
        for stream in self.streams.iter_mut().filter(|_| self.asks) {
            let mut entries = [NackEntry::default(); 32];
            let used = stream.nack.poll_nack(now_ns, &mut entries);
            if used > 0 {
                let entries = &entries[..used];
                let len = write::write_nack(&mut out, OWN_SSRC, stream.ssrc, entries);
                self.peer.send_rtcp(plane, &out[..len.expect("room")]);
            }
        }
        if self.asks && now_ns >= self.next_wish_ns {
            self.next_wish_ns = now_ns + WISH_NS;
            for at in 0..self.streams.len() {
                if self.streams[at].is_stuck(now_ns) {
                    self.ask_key_frame(plane, at);
                }
            }
        }
        if now_ns < self.next_report_ns {
            return;
        }
        self.next_report_ns = now_ns + self.report_ns;
        self.reports += 1;
        let blocks: Vec<ReportBlock> =
            self.streams.iter().filter_map(|one| block(now_ns, one)).collect();
        let report = ReceiverReport { ssrc: OWN_SSRC };
        let mut len = write::write_receiver_report(&mut out, &report, &blocks).expect("room");
        if let Some(bps) = self.remb {
            let ssrcs: Vec<u32> = self.streams.iter().map(|stream| stream.ssrc).collect();
            len += write::write_remb(&mut out[len..], OWN_SSRC, bps, &ssrcs).expect("room");
        }
        self.peer.send_rtcp(plane, &out[..len]);
    }

    /// Asks for a key frame.
    pub fn ask_key_frame(&mut self, plane: &mut Plane, stream: usize) {
        let pli = Pli { sender_ssrc: OWN_SSRC, media_ssrc: self.streams[stream].ssrc };
        let mut out = [0; 12];
        let len = write::write_pli(&mut out, &pli).expect("room");
        self.peer.send_rtcp(plane, &out[..len]);
    }
}

fn block(now_ns: u64, stream: &Stream) -> Option<ReportBlock> {
    let highest = stream.highest()?;
    let (last_sr, delay_since_last_sr) = stream.report.map_or((0, 0), |(report, at_ns)| {
        let delay = (u128::from(now_ns - at_ns) << 16) / 1_000_000_000;
        ((report.ntp >> 16) as u32, delay as u32)
    });
    Some(ReportBlock {
        ssrc: stream.ssrc,
        extended_highest_sequence: highest as u32,
        cumulative_lost: stream.holes().len() as i32,
        last_sr,
        delay_since_last_sr,
        ..ReportBlock::default()
    })
}
