//! VP8 whose temporal layers only dependency descriptors tell: libwebrtc leaves the numbers out of
//! its payloads where both sides know the extension.

use ringway_sfu::call::route::{Decision, Limits, Route};
use ringway_sfu::call::source::{Source, SourceKind};
use ringway_wire::extension::{ExtensionKind, ExtensionMap};
use ringway_wire::head::{HeadFields, HeadForm, HeadWriter};
use ringway_wire::payload::Codec;
use ringway_wire::rtp::RtpView;

use crate::layered::{Bits, DESCRIPTOR_ID};
use crate::publisher::{CLOCK_HZ, FRAME_NS};

/// Frames of a key frame, of the base layer, and of the layer above it.
const KEY: u32 = 0;
const BASE: u32 = 1;
const UPPER: u32 = 2;

/// A descriptor of two temporal layers.
fn descriptor(template: u32, frame: u16) -> Vec<u8> {
    let mut bits = Bits::default();
    bits.put(2, 0b11); // first and last packet of its frame
    bits.put(6, template);
    bits.put(16, frame.into());
    if template == KEY {
        bits.put(5, 0b10000); // a structure, and nothing of its own
        bits.put(6, 0);
        bits.put(5, 1); // two targets
        bits.put(6, 0b00_0111); // key and base are of the same layer, upper of the next; the end
        // What they are to both targets: needed to switch, not there, or discardable.
        bits.put(12, 0b1010_1010_0001);
        bits.put(1, 0); // a key frame needs nothing
        bits.put(6, 0b10_0010); // one: the frame two before
        bits.put(6, 0b10_0000); // one: the frame before
        bits.put(2, 0b10); // one chain, which protects both
        bits.put(12, 0b0000_0010_0001);
        bits.put(1, 0); // no sizes
    }
    bits.0
}

/// A whole frame in one packet. `numbered`: its payload tells its layer too.
fn packet(sequence: u16, template: u32, numbered: bool) -> Vec<u8> {
    let mut out = vec![0; 200];
    let timestamp = u32::from(sequence) * 3000;
    let fields = HeadFields { marker: true, sequence, timestamp, ..HeadFields::default() };
    let mut head = HeadWriter::begin(&mut out, &fields, &[], HeadForm::TwoByte).expect("room");
    head.put(DESCRIPTOR_ID, &descriptor(template, sequence));
    let len = head.end();
    out.truncate(len);
    let upper = u8::from(template == UPPER);
    match numbered {
        true => out.extend([0x90, 0xa0, 0x80, sequence as u8, upper << 6]),
        false => out.push(0x10),
    }
    out.extend([u8::from(template != KEY), 1, 2, 3]);
    out
}

/// What a subscriber gets of a key frame and three pictures of each layer behind it: the numbers as
/// they came, and as they left.
fn passed(max_temporal: u8, numbered: bool) -> Vec<(u16, u16)> {
    let mut source = Source::new(SourceKind::Camera, 1);
    let mut extensions = ExtensionMap::default();
    extensions.insert(DESCRIPTOR_ID, ExtensionKind::DependencyDescriptor);
    let mut route = Route::new(true, Limits::default());
    route.set_limits(Limits { max_temporal, ..Limits::default() });
    let mut passed = Vec::new();
    let templates = [KEY, UPPER, BASE, UPPER, BASE, UPPER, BASE];
    for (sequence, template) in (1..).zip(templates) {
        let bytes = packet(sequence, template, numbered);
        let view = RtpView::parse(&bytes).expect("RTP");
        let now_ns = FRAME_NS * u64::from(sequence);
        let format = (Codec::Vp8, CLOCK_HZ);
        let prepared = source.prepare(now_ns, 0, &view, &extensions, format, false);
        let (prepared, _) = prepared.expect("it is new");
        route.set_scalable(source.is_scalable());
        route.set_live(source.live());
        if let Decision::Send(sent) = route.offer(&prepared) {
            passed.push((sequence, sent.sequence));
        }
    }
    passed
}

#[test]
fn layers_are_left_out_by_their_descriptors() {
    for numbered in [false, true] {
        let all: Vec<(u16, u16)> = (1..=7).map(|at| (at, at)).collect();
        assert_eq!(passed(1, numbered), all);
        assert_eq!(passed(0, numbered), [(1, 1), (3, 2), (5, 3), (7, 4)]);
    }
}
