//! How large the pictures of a source are where nobody announced it: by its payloads, and by its
//! dependency descriptors.

use ringway_sfu::call::source::{Source, SourceKind};
use ringway_wire::extension::{ExtensionKind, ExtensionMap};
use ringway_wire::head::HeadFields;
use ringway_wire::payload::Codec;
use ringway_wire::rtp::RtpView;

use crate::layered::{Bits, DESCRIPTOR_ID, described};
use crate::publisher::{CLOCK_HZ, FRAME_NS};

type Sizes = [(u16, u16); 3];
const UNKNOWN: (u16, u16) = (0, 0);

/// Parameter sets of x265: a video parameter set, and sequence parameter sets of two sizes.
const VPS: &str = "40010c01ffff01600000030090000003000003001e959809";
const SPS_66_50: &str =
    "42010101600000030090000003000003001ea024839c9265959ae4caf016808000000300800000030284";
const SPS_130_98: &str =
    "42010101600000030090000003000003001ea0112069c9265959a4932bc05a020000030002000003000a10";
/// Sequence headers of libaom, without length.
const AV1_426_240: &str = "08000000043ea7bcdaf90040";
const AV1_1920_1080: &str = "0800000042abbfc3776be501";
const AV1_16_16: &str = "08000000019ff9b5f20080";

fn octets(hex: &str) -> Vec<u8> {
    let digit = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal");
    (0..hex.len()).step_by(2).map(digit).collect()
}

/// The structure of so many spatial layers, each of which needs the one below, with their sizes or
/// without.
fn descriptor(layers: usize, sizes: &[(u16, u16)]) -> Vec<u8> {
    let mut bits = Bits::default();
    bits.put(8, 0xc0); // a whole frame, of template 0
    bits.put(16, 1);
    bits.put(5, 0b10000); // a structure, and nothing of its own
    bits.put(6, 0);
    bits.put(5, layers as u32 - 1);
    (1..layers).for_each(|_| bits.put(2, 2)); // the next is of the next spatial layer
    bits.put(2, 3); // the end
    for spatial in 0..layers {
        (0..layers).for_each(|target| bits.put(2, if spatial <= target { 2 } else { 0 }));
    }
    bits.put(layers, 0); // no references, and no chains: ns(layers + 1)
    bits.put((layers + 1).ilog2() as usize, 0);
    bits.put(1, u32::from(!sizes.is_empty()));
    for (width, height) in sizes {
        bits.put(16, u32::from(*width) - 1);
        bits.put(16, u32::from(*height) - 1);
    }
    bits.0
}

struct Publisher {
    codec: Codec,
    source: Source,
    extensions: ExtensionMap,
    sequence: u16,
}

impl Publisher {
    fn new(codec: Codec, layers: usize) -> Self {
        let mut extensions = ExtensionMap::default();
        extensions.insert(DESCRIPTOR_ID, ExtensionKind::DependencyDescriptor);
        let source = Source::new(SourceKind::Camera, layers);
        Self { codec, source, extensions, sequence: 0 }
    }

    /// Sends a packet with one more picture; tells whether that is news.
    fn send(&mut self, layer: u8, descriptor: Option<&[u8]>, payload: &[u8]) -> bool {
        self.sequence += 1;
        let sequence = self.sequence;
        let fields = HeadFields {
            sequence,
            timestamp: u32::from(sequence) * 3000,
            ssrc: 1000 + u32::from(layer),
            ..HeadFields::default()
        };
        let out = described(&fields, descriptor, payload);
        let view = RtpView::parse(&out).expect("RTP");
        let (now_ns, format) = (FRAME_NS * u64::from(sequence), (self.codec, CLOCK_HZ));
        let sent = self.source.prepare(now_ns, layer, &view, &self.extensions, format, false);
        sent.expect("it is new").1
    }

    fn sizes(&self) -> Sizes {
        self.source.pictures().map(|picture| (picture.width, picture.height))
    }
}

fn one(size: (u16, u16)) -> Sizes {
    [size, UNKNOWN, UNKNOWN]
}

/// The packets of key frames of two sizes, without descriptors, and one of another frame.
fn check_payloads(
    codec: Codec,
    small: (&[&[u8]], (u16, u16)),
    large: (&[&[u8]], (u16, u16)),
    other: &[u8],
) {
    let mut publisher = Publisher::new(codec, 1);
    let mut send = |payloads: &[&[u8]], expect| {
        let mut news = false;
        for payload in payloads {
            news |= publisher.send(0, None, payload);
        }
        assert_eq!(publisher.sizes(), expect, "{payloads:02x?}");
        news
    };
    // That it comes at all is news.
    assert!(send(&[other], [UNKNOWN; 3]));
    assert!(send(small.0, one(small.1)));
    assert!(!send(&[other], one(small.1)));
    assert!(!send(small.0, one(small.1)), "the same again");
    assert!(send(large.0, one(large.1)));
    assert!(send(small.0, one(small.1)));
}

#[test]
fn h265_tells_sizes_in_parameter_sets() {
    let [vps, small, large] = [VPS, SPS_66_50, SPS_130_98].map(octets);
    let key = [0x26, 1, 0xaf];
    let (small_size, large_size) = ((66, 50), (130, 98));
    let apart = |set| [&vps[..], set, &key[..]];
    check_payloads(
        Codec::H265,
        (&apart(&small), small_size),
        (&apart(&large), large_size),
        &[0x02, 1, 0xd0],
    );
    let together = |set: &[u8]| {
        let measured = |unit: &[u8]| [&(unit.len() as u16).to_be_bytes()[..], unit].concat();
        [&[0x60, 1][..], &measured(&vps), &measured(set), &measured(&key)].concat()
    };
    check_payloads(
        Codec::H265,
        (&[&together(&small)], small_size),
        (&[&together(&large)], large_size),
        &[0x02, 1, 0xd0],
    );
}

/// A packet that begins a sequence with a sequence header, and a frame behind that.
fn sequence(header: &str) -> Vec<u8> {
    let header = octets(header);
    [&[0x28, header.len() as u8][..], &header, &[0x30, 0x10]].concat()
}

#[test]
fn av1_tells_sizes_in_sequence_headers() {
    check_payloads(
        Codec::Av1,
        (&[&sequence(AV1_426_240)], (426, 240)),
        (&[&sequence(AV1_1920_1080)], (1920, 1080)),
        &[0x10, 0x30, 0x10],
    );
}

#[test]
fn a_stream_for_each_size_tells_its_own() {
    let mut publisher = Publisher::new(Codec::Av1, 3);
    let layers = [(AV1_16_16, (16, 16)), (AV1_426_240, (426, 240)), (AV1_1920_1080, (1920, 1080))];
    let mut expect = [UNKNOWN; 3];
    for (layer, (header, size)) in layers.into_iter().enumerate().rev() {
        assert!(publisher.send(layer as u8, None, &sequence(header)));
        expect[layer] = size;
        assert_eq!(publisher.sizes(), expect);
    }
    // With descriptors, as libwebrtc sends them.
    assert!(publisher.send(1, Some(&descriptor(1, &[(320, 180)])), &sequence(AV1_426_240)));
    assert_eq!(publisher.sizes(), [(16, 16), (320, 180), (1920, 1080)]);
    assert!(publisher.send(1, None, &sequence(AV1_426_240)), "and no longer");
    assert_eq!(publisher.sizes(), expect);
}

#[test]
fn descriptors_tell_the_sizes_of_spatial_layers() {
    let sizes = [(480, 270), (960, 540), (1920, 1080)];
    let structure = descriptor(3, &sizes);
    let payload = sequence(AV1_1920_1080);
    let mut publisher = Publisher::new(Codec::Av1, 1);
    assert!(publisher.send(0, Some(&structure), &payload));
    assert_eq!(publisher.sizes(), sizes);
    assert!(!publisher.send(0, Some(&structure), &payload), "the same again");
    let lower = [(320, 180), (640, 360), (1280, 720)];
    assert!(publisher.send(0, Some(&descriptor(3, &lower)), &payload));
    assert_eq!(publisher.sizes(), lower);
    // A sequence header knows the best one's alone.
    let mut publisher = Publisher::new(Codec::Av1, 1);
    assert!(publisher.send(0, Some(&descriptor(3, &[])), &payload));
    assert_eq!(publisher.sizes(), [UNKNOWN, UNKNOWN, (1920, 1080)]);
    // Nothing of an encrypted payload can be read.
    let mut publisher = Publisher::new(Codec::Av1, 1);
    assert!(publisher.send(0, Some(&descriptor(1, &sizes[1..2])), &[0x18, 0xee, 0x5c]));
    assert_eq!(publisher.sizes(), one((960, 540)));
}
