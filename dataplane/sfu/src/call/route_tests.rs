//! Routes, packet by packet.

use ringway_wire::extension::{ExtensionKind, ExtensionMap};
use ringway_wire::extension_value::PlayoutDelay;
use ringway_wire::payload::Codec;
use ringway_wire::rtp::RtpView;

use super::*;
use crate::call::demux::Name;
use crate::call::dress::{Dress, MAX_HEAD_BYTES, Stamp};
use crate::call::source::{Source, SourceKind};

const MS: u64 = 1_000_000;

/// A source, a route, and the publisher's packets.
struct Rig {
    source: Source,
    route: Route,
    codec: Codec,
    clock_hz: u32,
    extensions: ExtensionMap,
}

impl Rig {
    fn new(kind: SourceKind, codec: Codec, clock_hz: u32) -> Self {
        let mut source = Source::new(kind, 3);
        for layer in 0..3 {
            source.bind(layer, Some(u32::from(layer) + 1), None);
        }
        let mut extensions = ExtensionMap::default();
        extensions.insert(5, ExtensionKind::DependencyDescriptor);
        let route = Route::new(kind.is_video(), Limits::default());
        Self { source, route, codec, clock_hz, extensions }
    }

    fn video() -> Self {
        Self::new(SourceKind::Camera, Codec::Vp8, 90_000)
    }

    fn prepare(
        &mut self,
        now_ms: u64,
        layer: u8,
        bytes: &[u8],
        repaired: bool,
    ) -> Option<Prepared> {
        let view = RtpView::parse(bytes).expect("valid");
        let format = (self.codec, self.clock_hz);
        let prepared =
            self.source.prepare(now_ms * MS, layer, &view, &self.extensions, format, repaired);
        let (prepared, news) = prepared.ok()?;
        if news {
            self.route.set_live(self.source.live());
        }
        Some(prepared)
    }

    fn offer(&mut self, now_ms: u64, layer: u8, bytes: &[u8]) -> Decision {
        let prepared = self.prepare(now_ms, layer, bytes, false);
        prepared.map_or(Decision::Drop, |prepared| self.route.offer(&prepared))
    }
}

fn packet(sequence: u16, timestamp: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x80, 0xe0];
    bytes.extend(sequence.to_be_bytes());
    bytes.extend(timestamp.to_be_bytes());
    bytes.extend([0, 0, 0, 1]);
    bytes.extend(payload);
    bytes
}

/// A VP8 frame of one packet with everything in its descriptor.
fn vp8_frame(sequence: u16, timestamp: u32, picture: u16, temporal: u8, key: bool) -> Vec<u8> {
    let [high, low] = (0x8000 | picture).to_be_bytes();
    let payload = [0x90, 0xf0, high, low, 10, temporal << 6 | 5, u8::from(!key), 9, 9];
    packet(sequence, timestamp, &payload)
}

fn sent(decision: Decision) -> (u16, u32) {
    match decision {
        Decision::Send(sent) => (sent.sequence, sent.timestamp),
        other => panic!("{other:?}"),
    }
}

#[test]
fn late_packets_keep_their_numbers_and_doubles_go_nowhere() {
    let mut rig = Rig::video();
    rig.route.set_limits(Limits { max_temporal: 0, ..Limits::default() });
    // Nothing before the key frame.
    assert_eq!(rig.offer(0, 0, &vp8_frame(9, 0, 9, 0, false)), Decision::Drop);
    assert_eq!(sent(rig.offer(0, 0, &vp8_frame(10, 0, 10, 0, true))), (10, 0));
    // 11 is missing; 12 is of a layer above and leaves its number to 13.
    assert_eq!(rig.offer(33, 0, &vp8_frame(12, 6000, 12, 2, false)), Decision::Drop);
    assert_eq!(sent(rig.offer(66, 0, &vp8_frame(13, 9000, 13, 0, false))), (12, 9000));
    // 11 comes: of the base layer, it goes where it belongs; a second time it goes nowhere.
    let late = vp8_frame(11, 3000, 11, 0, false);
    assert_eq!(sent(rig.offer(70, 0, &late)), (11, 3000));
    assert_eq!(rig.offer(70, 0, &late), Decision::Drop);
    assert_eq!(rig.prepare(70, 0, &late, true).map(|_| ()), None);
    // 12 again, as a repair: it has no number to go to.
    assert_eq!(rig.offer(71, 0, &vp8_frame(12, 6000, 12, 2, false)), Decision::Drop);
    // 14 is missing; it turns out to be of a layer above: padding takes its number.
    assert_eq!(sent(rig.offer(99, 0, &vp8_frame(15, 15_000, 15, 0, false))), (14, 15_000));
    let late = vp8_frame(14, 12_000, 14, 1, false);
    let prepared = rig.prepare(120, 0, &late, true).expect("new");
    let Decision::Pad(padding) = rig.route.offer(&prepared) else { panic!("not padding") };
    assert_eq!((padding.sequence, padding.timestamp), (13, 12_000));
    // What was sent can be found again, and leaves as it did.
    for (out, came) in [(10, 10), (11, 11), (12, 13), (13, 14), (14, 15)] {
        assert_eq!(rig.route.sent_as(out).map(|resend| resend.sequence), Some(came), "{out}");
    }
    assert_eq!(rig.route.sent_as(15), None);
    assert_eq!(rig.route.sent_as(9), None);
    let resend = rig.route.sent_as(13).expect("known");
    assert_eq!(rig.route.decide_again(&resend, &prepared), Decision::Pad(padding));
}

#[test]
fn pictures_are_numbered_without_gaps() {
    let mut rig = Rig::video();
    rig.route.set_limits(Limits { max_temporal: 1, ..Limits::default() });
    let mut seen = Vec::new();
    for frame in 0..9_u16 {
        let temporal = [0, 2, 1, 2][usize::from(frame) % 4];
        let bytes = vp8_frame(frame, u32::from(frame) * 3000, 0x7ffe + frame, temporal, frame == 0);
        if let Decision::Send(sent) = rig.offer(u64::from(frame) * 33, 0, &bytes) {
            seen.push((sent.sequence, sent.numbers.picture_id));
        }
    }
    assert_eq!(seen, [(0, 0x7ffe), (1, 0x7fff), (2, 0), (3, 1), (4, 2)]);
}

#[test]
fn layers_change_on_key_frames_only_and_time_goes_on() {
    let mut rig = Rig::video();
    let reports = [(1, 1000), (2, 501_000), (3, 7_000_000)];
    for layer in 0..3_u8 {
        let frame = vp8_frame(100, 0, 1, 0, false);
        assert_eq!(rig.offer(0, layer, &frame), Decision::Drop);
    }
    for (ssrc, timestamp) in reports {
        let report = SourceReport { ssrc, ntp: 1 << 32, timestamp, at_ns: 0 };
        assert!(rig.source.handle_report(report).is_some());
    }
    // A lower layer will do until the wanted one begins.
    assert!(rig.route.waits());
    assert_eq!(rig.route.poll_key_frame(0, 0), Some(2));
    assert_eq!(rig.route.poll_key_frame(199 * MS, 0), None);
    assert_eq!(rig.route.poll_key_frame(200 * MS, 0), Some(2));
    let first = sent(rig.offer(10, 0, &vp8_frame(101, 1900, 2, 0, true)));
    assert_eq!((first, rig.route.layer()), ((101, 1900), Some(0)));
    assert!(rig.route.waits());
    assert_eq!(rig.offer(20, 2, &vp8_frame(101, 7_001_800, 2, 0, false)), Decision::Drop);
    // 40 ms later by the sender's clocks, whatever ours say.
    let switched = sent(rig.offer(53, 2, &vp8_frame(102, 7_004_500, 3, 0, true)));
    assert_eq!((switched, rig.route.layer()), ((102, 5500), Some(2)));
    assert!(!rig.route.waits());
    assert_eq!(rig.offer(54, 0, &vp8_frame(102, 5500, 3, 0, true)), Decision::Drop);
    // The receiver's report follows the layer that it sees.
    let report = SourceReport { ssrc: 3, ntp: 5, timestamp: 7_004_500, at_ns: 0 };
    let translated = rig.route.sender_report(77, 2, &report).expect("of that layer");
    assert_eq!((translated.ssrc, translated.rtp_timestamp), (77, 5500));
    assert_eq!(rig.route.sender_report(77, 0, &report), None);
    // The layer dies: the next best takes over with its next key frame.
    for at in 0..10 {
        let frame = vp8_frame(103 + at, 8500 + u32::from(at) * 9000, 4 + at, 0, false);
        assert_eq!(rig.offer(200 + u64::from(at) * 100, 0, &frame), Decision::Drop);
    }
    assert!(rig.source.handle_time(1100 * MS));
    rig.route.set_live(rig.source.live());
    assert_eq!((rig.route.target(), rig.route.waits()), (0, true));
    let fallen = sent(rig.offer(1200, 0, &vp8_frame(113, 108_500, 14, 0, true)));
    assert_eq!(fallen, (103, 108_500));
}

#[test]
fn limits_choose_the_layer() {
    let mut route = Route::new(true, Limits::default());
    // Live layers, wanted, affordable, target.
    let rows = [
        (0b111, 2, 2, 2),
        (0b111, 1, 2, 1),
        (0b111, 2, 0, 0),
        (0b011, 2, 2, 1),
        (0b110, 0, 2, 1),
        (0b100, 0, 0, 2),
        (0b101, 1, 2, 0),
        (0b000, 1, 2, 1),
        (0b001, 9, 9, 0),
    ];
    for (live, max_layer, affordable_layer, expect) in rows {
        route.set_live(live);
        route.set_limits(Limits { max_layer, affordable_layer, max_temporal: 3 });
        assert_eq!(route.target(), expect, "{live:03b} {max_layer} {affordable_layer}");
    }
}

#[test]
fn a_mute_is_filled_and_the_stream_goes_on() {
    let mut rig = Rig::video();
    assert_eq!(sent(rig.offer(0, 0, &vp8_frame(65_535, 0, 1, 0, true))).0, 0x7fff);
    let muted = Pause { muted: true, unwanted: false };
    rig.route.set_pause(33 * MS, muted, Some(BlankKind::Vp8));
    let mut black = Vec::new();
    while let Some(due_ns) = rig.route.blank_deadline() {
        let (kind, sent, shape) = rig.route.poll_blank(due_ns).expect("due");
        assert_eq!(kind, BlankKind::Vp8);
        assert!(shape.is_some_and(|shape| shape.picture_id.is_some()));
        black.push((sent.sequence, sent.numbers.picture_id, sent.timestamp));
    }
    assert_eq!(black.len(), 30);
    assert_eq!((black[0], black[29]), ((0x8000, 2, 2970), (0x801d, 31, 89_100)));
    assert_eq!(rig.offer(1000, 0, &vp8_frame(0, 90_000, 2, 0, true)), Decision::Drop);
    assert_eq!(rig.route.poll_key_frame(1010 * MS, 0), None);
    rig.route.set_pause(2000 * MS, Pause::default(), None);
    assert_eq!(rig.route.poll_key_frame(2000 * MS, 0), Some(0));
    assert_eq!(rig.offer(2010, 0, &vp8_frame(40, 180_000, 50, 0, false)), Decision::Drop);
    let Decision::Send(next) = rig.offer(2033, 0, &vp8_frame(41, 182_970, 51, 0, true)) else {
        panic!("not sent");
    };
    assert_eq!((next.sequence, next.timestamp), (0x801e, 182_970));
    assert_eq!(next.numbers.picture_id, 32);
    // Ours cannot be asked for again; what lay before and after can.
    let came = |out| rig.route.sent_as(out).map(|resend| resend.sequence);
    assert_eq!((came(0x7fff), came(0x8000), came(0x801d)), (Some(65_535), None, None));
    assert_eq!(came(0x801e), Some(41));
}

/// What is sent before the source sends anything is the beginning of the same stream.
#[test]
fn an_announcement_is_gone_on_with() {
    let mut rig = Rig::video();
    rig.route.announce(0, BlankKind::Padding, 90_000, 0x1000_0000_8123);
    // A mute changes nothing about it.
    rig.route.set_pause(MS, Pause { muted: true, unwanted: false }, None);
    rig.route.set_pause(2 * MS, Pause::default(), None);
    assert_eq!(rig.route.blank_deadline(), Some(100 * MS));
    for (at, ms) in [(0, 100), (1, 200)] {
        let (kind, sent, _) = rig.route.poll_blank(ms * MS).expect("due");
        assert_eq!((kind, sent.marker), (BlankKind::Padding, false));
        assert_eq!((sent.sequence, sent.timestamp), (0x123 + at, 0x1000 + 90 * ms as u32));
    }
    assert_eq!(
        sent(rig.offer(250, 0, &vp8_frame(7, 90_000, 1, 0, true))),
        (0x125, 0x1000 + 22_500)
    );
    assert_eq!(rig.route.blank_deadline(), None);
    assert_eq!(rig.route.sent_as(0x124), None);
    assert_eq!(rig.route.counts.padding, 2);
    // One that was not needed leaves no trace.
    let mut rig = Rig::video();
    rig.route.announce(0, BlankKind::Padding, 90_000, 0x1000_0000_8123);
    assert_eq!(sent(rig.offer(50, 0, &vp8_frame(7, 90_000, 1, 0, true))), (7, 90_000));
    assert_eq!(rig.route.blank_deadline(), None);
}

/// Whoever was paused has its last picture still.
#[test]
fn an_end_is_filled_also_after_a_pause() {
    let mut rig = Rig::video();
    assert!(!rig.route.end(0, Some(BlankKind::Vp8)), "nothing was sent");
    let mut rig = Rig::video();
    assert_eq!(sent(rig.offer(0, 0, &vp8_frame(7, 0, 1, 0, true))).0, 7);
    rig.route.set_pause(10 * MS, Pause { muted: true, unwanted: true }, None);
    assert_eq!(rig.route.blank_deadline(), None);
    assert!(rig.route.end(100 * MS, Some(BlankKind::Vp8)));
    let due = std::iter::from_fn(|| rig.route.poll_blank(rig.route.blank_deadline()?));
    let numbers: Vec<u16> = due.map(|(_, sent, _)| sent.sequence).collect();
    assert_eq!(numbers, [8, 9, 10, 11, 12, 13]);
    assert_eq!(rig.offer(400, 0, &vp8_frame(8, 36_000, 2, 0, true)), Decision::Drop);
    assert!(!rig.route.waits());
}

#[test]
fn audio_begins_at_once_and_survives_a_restart() {
    let mut rig = Rig::new(SourceKind::Audio, Codec::Opus, 48_000);
    assert_eq!(sent(rig.offer(0, 0, &packet(7, 960, &[1; 20]))), (7, 960));
    assert_eq!(sent(rig.offer(20, 0, &packet(8, 1920, &[1; 20]))), (8, 1920));
    assert_eq!(rig.offer(40, 0, &packet(30_000, 5, &[1; 20])), Decision::Drop);
    // 40 ms after the last one sent.
    assert_eq!(sent(rig.offer(60, 0, &packet(30_001, 965, &[1; 20]))), (9, 3840));
    assert_eq!(sent(rig.offer(80, 0, &packet(30_002, 1925, &[1; 20]))), (10, 4800));
    assert!(!rig.route.waits());
    assert_eq!(rig.route.key_frame_layer(), None);
    // A packet of padding alone takes no number.
    let mut padding = packet(30_003, 2885, &[0, 0, 3]);
    padding[0] |= 0x20;
    assert_eq!(rig.offer(100, 0, &padding), Decision::Drop);
    assert_eq!(sent(rig.offer(120, 0, &packet(30_004, 3845, &[1; 20]))).0, 11);
}

#[test]
fn heads_carry_what_the_receiver_knows() {
    let mut rig = Rig::new(SourceKind::Camera, Codec::Av1, 90_000);
    let mut bytes = packet(5, 0, &[]);
    bytes[0] |= 0x10;
    bytes.extend([0xbe, 0xde, 0, 1, 0x52, 0x80, 0x12, 0x34, 0x18, 0x0a, 1, 2]);
    let prepared = rig.prepare(0, 0, &bytes, false).expect("new");
    assert_eq!(prepared.frame, Some(0x1234));
    let Decision::Send(mut sent) = rig.route.offer(&prepared) else { panic!("not sent") };
    sent.frame = 9;
    let mut receiver = ExtensionMap::default();
    let mut out = [0; MAX_HEAD_BYTES];
    let mut dress =
        Dress { ssrc: 0x0102_0304, payload_type: 45, red_payload_type: None, mid: Name::new(b"0") };
    let mut stamp = Stamp {
        abs_send_time: Some([7, 8, 9]),
        transport_sequence: Some(0x1122),
        playout_delay: Some(PlayoutDelay { min_10ms: 1, max_10ms: 2 }),
    };
    let mut check = |dress: &Dress, stamp: &Stamp, receiver: &ExtensionMap, expect: &[u8]| {
        let head = dress
            .write(&prepared, &bytes, &sent, receiver, stamp, &mut out)
            .expect("there is room");
        assert_eq!(out[..12], [out[0], 0x80 | 45, 0, 5, 0, 0, 0, 0, 1, 2, 3, 4]);
        assert_eq!(out[12..head.len], *expect);
        assert_eq!(bytes[head.rest], [0x18, 0x0a, 1, 2]);
    };
    check(&dress, &stamp, &receiver, &[]);
    receiver.insert(3, ExtensionKind::DependencyDescriptor);
    check(&dress, &stamp, &receiver, &[0xbe, 0xde, 0, 1, 0x32, 0x80, 0, 9]);
    receiver.insert(1, ExtensionKind::AbsSendTime);
    receiver.insert(2, ExtensionKind::TransportSequence);
    receiver.insert(4, ExtensionKind::Mid);
    receiver.insert(6, ExtensionKind::PlayoutDelay);
    let all = [
        0xbe, 0xde, 0, 5, 0x32, 0x80, 0, 9, 0x12, 7, 8, 9, 0x21, 0x11, 0x22, 0x62, 0, 0x10, 2,
        0x40, b'0', 0, 0, 0,
    ];
    check(&dress, &stamp, &receiver, &all);
    dress.mid = None;
    stamp.playout_delay = None;
    receiver.insert(200, ExtensionKind::AbsSendTime);
    let two_byte = [0x10, 0, 0, 4, 3, 3, 0x80, 0, 9, 200, 3, 7, 8, 9, 2, 2, 0x11, 0x22, 0, 0];
    check(&dress, &stamp, &receiver, &two_byte);
}

#[test]
fn red_is_forwarded_or_unwrapped() {
    let mut rig = Rig::new(SourceKind::Audio, Codec::Red, 48_000);
    let payload = [0xef, 0x0f, 0x00, 2, 0x6f, 1, 1, 2, 2, 2];
    let bytes = packet(5, 0, &payload);
    let prepared = rig.prepare(0, 0, &bytes, false).expect("new");
    let Decision::Send(sent) = rig.route.offer(&prepared) else { panic!("not sent") };
    let mut out = [0; MAX_HEAD_BYTES];
    let whole = Dress { payload_type: 111, red_payload_type: Some(63), ..Dress::default() };
    let bare = Dress { red_payload_type: None, ..whole };
    for (dress, payload_type, expect) in [(whole, 63, &payload[..]), (bare, 111, &[2, 2, 2])] {
        let (map, stamp) = (ExtensionMap::default(), Stamp::default());
        let head = dress.write(&prepared, &bytes, &sent, &map, &stamp, &mut out).expect("room");
        assert_eq!((out[1] & 0x7f, &bytes[head.rest]), (payload_type, expect));
    }
}

#[test]
fn long_streams_come_round() {
    let mut rig = Rig::new(SourceKind::Audio, Codec::Opus, 48_000);
    for at in 0..200_000_u32 {
        let sequence = at as u16;
        let now_ms = u64::from(at) * 20;
        if at % 10_007 == 500 {
            // It comes late, behind the next two; those go where they belong.
            let late = packet(sequence.wrapping_sub(2), (at - 2) * 960, &[1; 20]);
            assert_eq!(sent(rig.offer(now_ms, 0, &late)).0, sequence.wrapping_sub(2), "{at}");
        }
        if (at + 2) % 10_007 == 500 {
            continue;
        }
        let bytes = packet(sequence, at * 960, &[1; 20]);
        assert_eq!(sent(rig.offer(now_ms, 0, &bytes)), (sequence, at * 960), "{at}");
        let resend = rig.route.sent_as(sequence.wrapping_sub(at.min(500) as u16));
        assert!(
            resend
                .is_some_and(|resend| resend.sequence == sequence.wrapping_sub(at.min(500) as u16))
        );
        assert_eq!(rig.route.sent_as(sequence.wrapping_add(1)), None, "{at}");
    }
}

/// A VP9 frame of one packet and one spatial layer; `up` is its U bit.
fn vp9_frame(sequence: u16, temporal: u8, up: bool, key: bool) -> Vec<u8> {
    let first = 0xac | u8::from(!key) << 6;
    let payload = [first, sequence as u8 & 0x7f, temporal << 5 | u8::from(up) << 4, 7, 9, 9];
    packet(sequence, u32::from(sequence) * 3000, &payload)
}

#[test]
fn vp9_steps_up_behind_a_switching_point() {
    // RFC 9628 4.2, U: it is about the pictures behind the one that has it.
    let mut rig = Rig::new(SourceKind::Camera, Codec::Vp9, 90_000);
    let limits = |max_temporal| Limits { max_temporal, ..Limits::default() };
    rig.route.set_limits(limits(0));
    let offer = |rig: &mut Rig, sequence: u16, temporal, up, expect: bool| {
        let bytes = vp9_frame(sequence, temporal, up, sequence == 1);
        let decision = rig.offer(u64::from(sequence) * 33, 0, &bytes);
        assert_eq!(decision != Decision::Drop, expect, "{sequence}");
    };
    offer(&mut rig, 1, 0, true, true);
    offer(&mut rig, 2, 1, true, false);
    rig.route.set_limits(limits(2));
    // The point lies in a picture that the receiver did not get.
    offer(&mut rig, 3, 2, true, false);
    offer(&mut rig, 4, 1, true, false);
    offer(&mut rig, 5, 0, false, true);
    offer(&mut rig, 6, 2, false, false);
    offer(&mut rig, 7, 0, true, true);
    // It got this one: whatever follows needs nothing else that was left out.
    offer(&mut rig, 8, 2, false, true);
    offer(&mut rig, 9, 1, false, true);
    // Down at once.
    rig.route.set_limits(limits(1));
    offer(&mut rig, 10, 2, true, false);
    offer(&mut rig, 11, 1, false, true);
}

#[test]
fn the_marker_ends_the_highest_layer_that_is_sent() {
    let mut rig = Rig::new(SourceKind::Camera, Codec::Vp9, 90_000);
    rig.source = Source::new(SourceKind::Camera, 1);
    rig.source.bind(0, Some(1), None);
    let mut sequence = 0;
    let mut picture = |rig: &mut Rig, at: u8, key: bool| {
        let mut markers = Vec::new();
        for spatial in 0..3_u8 {
            for part in 0..2_u8 {
                // I, P, L, then B in the first packet of a frame and E in the last.
                let first = 0xa0 | u8::from(!key) << 6 | if part == 0 { 8 } else { 4 };
                let payload = [first, at, spatial << 1, at, 9, 9];
                let mut bytes = packet(sequence, u32::from(at) * 3000, &payload);
                if (spatial, part) != (2, 1) {
                    bytes[1] &= 0x7f;
                }
                let prepared = rig.prepare(u64::from(at) * 33, 0, &bytes, false).expect("new");
                rig.route.set_scalable(rig.source.is_scalable());
                if let Decision::Send(sent) = rig.route.offer(&prepared) {
                    assert_eq!(
                        rig.route.sent_as(sent.sequence).map(|r| r.sequence),
                        Some(sequence)
                    );
                    markers.push(sent.marker);
                }
                sequence += 1;
            }
        }
        markers
    };
    let six = [false, false, false, false, false, true];
    assert_eq!(picture(&mut rig, 1, true), six);
    assert_eq!(picture(&mut rig, 2, false), six);
    rig.route.set_limits(Limits { max_layer: 1, ..Limits::default() });
    assert_eq!(picture(&mut rig, 3, false), six[2..]);
    assert!(!rig.route.waits());
    rig.route.set_limits(Limits { max_layer: 0, ..Limits::default() });
    assert_eq!(picture(&mut rig, 4, false), six[4..]);
    // Up only where nothing before is needed, so it is asked for.
    rig.route.set_limits(Limits::default());
    assert_eq!(picture(&mut rig, 5, false), six[4..]);
    assert_eq!(rig.route.poll_key_frame(200 * MS, 0), Some(0));
    assert_eq!(picture(&mut rig, 6, true), six);
    assert_eq!((rig.route.waits(), rig.route.layer()), (false, Some(2)));
}
