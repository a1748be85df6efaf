//! One stream as a viewer gets it: every number once, whether it came as itself or as RTX.

use std::collections::BTreeMap;

use ringway_abi::call::RouteKey;
use ringway_proto::nack::NackGenerator;
use ringway_proto::rtx;
use ringway_wire::rtcp::SenderReport;
use ringway_wire::rtp::RtpView;
use ringway_wire::sequence::distance;

use super::frame::{self, Coding, Stamp, Vp8Numbers};

/// How long a hole may stay before a key frame is asked for.
const GIVE_UP_NS: u64 = 600_000_000;

/// What a packet had in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Got {
    /// Timestamp.
    pub timestamp: u32,
    /// Marker bit.
    pub marker: bool,
    /// What it says of itself; `None` for padding alone, and for silence and black of the server's.
    pub content: Option<(Stamp, Vp8Numbers)>,
    /// When it came, ns.
    pub at_ns: u64,
    /// It came as RTX.
    pub repeated: bool,
}

/// A stream that a viewer was told to expect.
pub struct Stream {
    /// The control plane's name for it.
    pub route: RouteKey,
    /// Its SSRC.
    pub ssrc: u32,
    /// That of its repetitions.
    pub rtx_ssrc: Option<u32>,
    /// How pictures are packed; `None` for Opus.
    pub coding: Option<Coding>,
    /// Payload type.
    pub payload_type: u8,
    /// What came, by number with wraps counted.
    pub got: BTreeMap<u64, Got>,
    /// Packets that came more than once.
    pub doubled: usize,
    /// Repetitions that came.
    pub repeats: usize,
    /// Asks for what is missing.
    pub nack: NackGenerator,
    /// The last report of its sender, and when it came, ns.
    pub report: Option<(SenderReport, u64)>,
    highest: Option<u64>,
}

impl Stream {
    /// A stream of which nothing came yet.
    pub fn new(
        route: RouteKey,
        (ssrc, rtx_ssrc): (u32, Option<u32>),
        coding: Option<Coding>,
        payload_type: u8,
    ) -> Self {
        Self {
            route,
            ssrc,
            rtx_ssrc,
            coding,
            payload_type,
            got: BTreeMap::new(),
            doubled: 0,
            repeats: 0,
            nack: NackGenerator::default(),
            report: None,
            highest: None,
        }
    }

    /// Takes a packet, if it is of this stream.
    pub fn handle(&mut self, now_ns: u64, packet: &mut [u8]) -> bool {
        let view = RtpView::parse(packet).expect("the server sends valid RTP");
        if view.ssrc() == self.ssrc {
            assert_eq!(view.payload_type(), self.payload_type);
            self.take(now_ns, packet, false);
            return true;
        }
        if Some(view.ssrc()) != self.rtx_ssrc {
            return false;
        }
        assert_eq!(view.payload_type(), self.payload_type + 1);
        self.repeats += 1;
        let start = rtx::unwrap_in_place(packet, self.ssrc, self.payload_type).expect("RTX");
        self.take(now_ns, &packet[start..], true);
        true
    }

    fn take(&mut self, now_ns: u64, packet: &[u8], repeated: bool) {
        let view = RtpView::parse(packet).expect("valid RTP");
        let number = match self.highest {
            None => 0x1_0000 + u64::from(view.sequence()),
            Some(highest) => {
                let step = distance(highest as u16, view.sequence());
                highest.wrapping_add_signed(step.into())
            }
        };
        assert!(!repeated || self.highest.is_some(), "a repetition before anything");
        self.highest = self.highest.max(Some(number));
        self.nack.handle_packet(now_ns, view.sequence());
        let payload = view.payload();
        let content = if payload.is_empty() || frame::is_blank(self.coding, payload) {
            None
        } else {
            let read = match self.coding {
                Some(coding) => frame::read(coding, payload),
                None => Stamp::read(&payload[1..]).map(|stamp| (stamp, Vp8Numbers::default())),
            };
            Some(read.unwrap_or_else(|| panic!("not what was published: {payload:?}")))
        };
        let (timestamp, marker) = (view.timestamp(), view.marker());
        let got = Got { timestamp, marker, content, at_ns: now_ns, repeated };
        if let Some(before) = self.got.get(&number) {
            self.doubled += 1;
            let same = before.timestamp == got.timestamp && before.content == got.content;
            assert!(same, "{number} was {before:?} and is {got:?}");
        } else {
            self.got.insert(number, got);
        }
    }

    /// Numbers between the first and the last that never came.
    pub fn holes(&self) -> Vec<u64> {
        let first = self.got.keys().next().copied().unwrap_or(1);
        let last = self.highest.unwrap_or(0);
        (first..=last).filter(|number| !self.got.contains_key(number)).collect()
    }

    /// Whether a picture cannot be shown for want of a packet that nobody repeats.
    pub fn is_stuck(&self, now_ns: u64) -> bool {
        if self.coding.is_none() || self.got.is_empty() {
            return false;
        }
        let whole = |number: u64, stamp: &Stamp| {
            stamp.key && stamp.packet == 0 && {
                let numbers = number..number + u64::from(stamp.packets);
                self.got.range(numbers).count() == usize::from(stamp.packets)
            }
        };
        let key = self.got.iter().rev().find_map(|(number, got)| {
            let (stamp, _) = got.content?;
            whole(*number, &stamp).then_some(*number)
        });
        let Some(key) = key else { return true };
        let holes = self.holes();
        let Some(hole) = holes.iter().find(|hole| **hole > key) else { return false };
        let after = self.got.range(hole..).next();
        after.is_some_and(|(_, got)| now_ns - got.at_ns > GIVE_UP_NS)
    }

    /// The highest number, wraps counted.
    pub fn highest(&self) -> Option<u64> {
        self.highest
    }
}
