//! Sizes of pictures, of what real encoders wrote. Where an encoder cannot be made to write
//! something it was put into what it wrote, and FFmpeg's trace of headers was asked about it.

use proptest::prelude::*;

use super::*;

/// Of parameter sets that x264 wrote, and one with scaling matrices and a cycle of picture order.
const H264: [(&str, Size); 9] = [
    ("6764001facd9405005bb0110000003001000000300a0f1831960", (1280, 720)),
    ("6742c016d900a02ff970110000030001000003000a0f162e48", (640, 360)),
    ("674d4028eca03c0113f2e022000003000200000300141e30632c", (1920, 1080)),
    ("67f4000c919b282833f1b808800000030080000005078a14cb", (320, 180)), // 4:4:4
    ("677a0016bcd940d83de6f0110000030001000003000a0f162d96", (854, 480)), // 4:2:2
    ("676e0015a6cd941b1fe4f0110000030001000003000a0f162d96", (426, 240)), // ten bits
    ("67640028acd94078044fde022000000300200000030143e2c5b2c0", (1920, 1080)), // two fields
    ("67640028ad843fffc221413536285940a02ff950", (640, 360)),
    ("78000209100019674d4028eca03c0113f2e022000003000200000300141e3063", (1920, 1080)),
];

/// Parameter sets that x265 3.5 wrote, with such sizes, formats and parameters:
/// `ffmpeg -f lavfi -i testsrc2=r=5:d=0.4 -vf scale=66:50,format=yuv420p -c:v libx265 \
/// -x265-params min-cu-size=8 -f hevc -`
const H265: [(&str, Size); 13] = [
    (
        "42010101600000030090000003000003001ea020810596566924caf016808000000300800000030284",
        (64, 64),
    ),
    (
        "42010101600000030090000003000003001ea024839c9265959ae4caf016808000000300800000030284",
        (66, 50),
    ),
    (
        "42010101600000030090000003000003001ea0112069c9265959a4932bc05a020000030002000003000a10",
        (130, 98),
    ),
    (
        "420101016000000300900000030000030078a003c08010e75596566924caf016808000000300800000030284",
        (1918, 1078),
    ),
    // Nothing is cut off, and of 1088 lines eight are (min-cu-size=16).
    (
        "420101016000000300900000030000030078a003c08010e596566924caf016808000000300800000030284",
        (1920, 1080),
    ),
    (
        "420101016000000300900000030000030078a003c0801107cb965664e4caf016808000000300800000030284",
        (1920, 1080),
    ),
    // yuv420p10, yuv422p, yuv444p, gray.
    (
        "42010102200000030090000003000003005aa006b201e1d6d96566924caf0168080000030008000003002840",
        (854, 480),
    ),
    (
        "4201010408000003009d0800000300003cb00d880f9c91196566924cafff0788077d68080000030008000003\
         002840",
        (426, 241),
    ),
    (
        "4201010408000003009e0800000300003c900149017388932cacd24995ffe16a01692d010000030001000003\
         000508",
        (321, 181),
    ),
    (
        "4201010408000003009fc800000300001ec02a2051c9265959a4932bffc13402ed5b02000003000200000300\
         0a10",
        (333, 77),
    ),
    // Two sub-layers (temporal-layers=1).
    (
        "42010201600000030090000003000003005d0000a00280802d1659598acd24995e02d0100000030010000003\
         005080",
        (1280, 720),
    ),
    // Put in: seven sub-layers, of which some have a profile or a level.
    (
        "42010d016000000300900000030000030078d2d0016000000300900000030000030078780160000003009000\
         00030000030001600000030090000003000003007878a003c0801107cb965664e4caf0168080000003008000\
         00030284",
        (1920, 1080),
    ),
    // Put in: planes of their own, of which something is cut off on all sides.
    (
        "4201010408000003009e0800000300003c92014901732153cb2b3492657ff85a805a4b404000000300400000\
         030142",
        (321, 181),
    ),
];

/// Sequence headers of libaom 3.6, SVT-AV1 1.4 and rav1e 0.5, without the headers of their OBUs:
/// `ffmpeg -f lavfi -i testsrc2=r=5:d=0.2 -vf scale=321:181,format=yuv420p -c:v libaom-av1 \
/// -usage realtime -cpu-used 8 -f obu -`
const AV1: [(&str, Size); 10] = [
    ("000000019ff9b5f20080", (16, 16)),
    ("000000043ea7bcdaf90040", (426, 240)),
    ("000000043d02d0daf90040", (321, 181)),
    ("00000042abbfc3776be501", (1920, 1080)),    // yuv420p10
    ("20000062efbfe1bddaf902", (3840, 2160)),    // yuv444p
    ("1926355efb4010", (854, 480)),              // -still-picture 1
    ("00000042abbfc373efe401", (1920, 1080)),    // libsvtav1
    ("000000f9da0b00842a2040404280", (131, 97)), // librav1e
    // -bsf:v av1_metadata=tick_rate=30000/1001:num_ticks_per_picture=5
    ("0400000fa40001d4c25000001989fece6d7c8020", (640, 360)),
    // The same with a decoder model, delays of display, and two operating points.
    ("0400000fa40001d4c25a400000fa16d844051d78966620272627fb39b5f20080", (640, 360)),
];

/// The first packet of Chromium's, as it came: three temporal layers, 640 by 360.
const AV1_CHROMIUM: &str = "2810080021070881844043313fd9c01a008034001049600f3cf3c524900010b4";

fn octets(hex: &str) -> Vec<u8> {
    let digit = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal");
    (0..hex.len()).step_by(2).map(digit).collect()
}

/// The size of `payload`, which tells one or none; cut, it tells it as soon as that is there.
fn check(codec: Codec, payload: &[u8], expect: Option<Size>) {
    assert_eq!(sizes(codec, payload), [expect, None, None], "{codec:?} {payload:02x?}");
    let whole = |len: &usize| sizes(codec, &payload[..*len])[0].is_some();
    let first = (0..payload.len()).find(whole).unwrap_or(payload.len());
    for len in 0..payload.len() {
        let expect = expect.filter(|_| len >= first);
        assert_eq!(sizes(codec, &payload[..len]), [expect, None, None], "{codec:?} {len}");
    }
}

fn join(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

/// `unit` behind its length in two octets.
fn measured(unit: &[u8]) -> Vec<u8> {
    join(&[&(unit.len() as u16).to_be_bytes(), unit])
}

#[test]
fn vp8_key_frames() {
    let check = |hex, expect| check(Codec::Vp8, &octets(hex), expect);
    check("10d000009d012a8002e801", Some((640, 488)));
    check("10d000009d012a80c26841", Some((640, 360))); // to be scaled
    check("10d100009d012a80026801", None); // no key frame
    check("10d000009d012b80026801", None);
    check("10d000009d012a00006801", None);
}

#[test]
fn vp9_structures() {
    let payload = octets("aa9123310750014000b402800168050002d0");
    let three = [Some((320, 180)), Some((640, 360)), Some((1280, 720))];
    assert_eq!(sizes(Codec::Vp9, &payload), three);
    (0..payload.len()).for_each(|len| assert_eq!(sizes(Codec::Vp9, &payload[..len]), [None; 3]));
    check(Codec::Vp9, &octets("8a9123"), None); // no sizes
    check(Codec::Opus, &octets("180a"), None);
}

#[test]
fn h264_parameter_sets() {
    H264.iter().for_each(|(hex, size)| check(Codec::H264, &octets(hex), Some(*size)));
    check(Codec::H264, &octets("68ce3c80"), None);
    check(Codec::H264, &octets("65888040"), None);
}

#[test]
fn h265_parameter_sets() {
    for (hex, size) in H265 {
        let set = octets(hex);
        check(Codec::H265, &set, Some(size));
        let others = [measured(&[0x40, 1, 0x0c]), measured(&[]), measured(&[0x42])].concat();
        check(Codec::H265, &join(&[&[0x60, 1], &others[..], &measured(&set)]), Some(size));
        // Fragments: the first, a later one, one of another unit.
        check(Codec::H265, &join(&[&[0x62, 1, 0xa1], &set[2..]]), Some(size));
        check(Codec::H265, &join(&[&[0x62, 1, 0x21], &set[2..]]), None);
        check(Codec::H265, &join(&[&[0x62, 1, 0xa2], &set[2..]]), None);
        // Of other layers, whose identifiers lie in two octets.
        for header in [[0x43, 1], [0x42, 9]] {
            check(Codec::H265, &join(&[&header, &set[2..]]), None);
            let inside = measured(&join(&[&header, &set[2..]]));
            check(Codec::H265, &join(&[&[0x60, 1], &inside[..], &measured(&set)]), Some(size));
        }
        check(Codec::H265, &join(&[&[0x63, 1, 0xa1], &set[2..]]), None);
        check(Codec::H265, &join(&[&[0x44, 1], &set[2..]]), None);
        // Eight sub-layers.
        let many = join(&[&set[..2], &[set[2] | 0x0e], &set[3..]]);
        check(Codec::H265, &many, None);
    }
}

#[test]
fn av1_sequence_headers() {
    for (hex, size) in AV1 {
        let body = octets(hex);
        let bare = join(&[&[0x08], &body[..]]);
        let len = body.len() as u8;
        let sized = join(&[&[0x0a, len], &body[..]]);
        let extended = join(&[&[0x0c, 0x20], &body[..]]);
        let long = join(&[&[0x0e, 0x20, 0x80 | len, 0x80, 0], &body[..]]);
        let frame = [0x30, 0x10];
        for obu in [&bare, &sized, &extended, &long] {
            let len = obu.len() as u8;
            check(Codec::Av1, &join(&[&[0x18], &obu[..]]), Some(size));
            // It goes on in the next packet.
            check(Codec::Av1, &join(&[&[0x58], &obu[..]]), Some(size));
            let two = join(&[&[len], &obu[..], &frame]);
            check(Codec::Av1, &join(&[&[0x28], &two[..]]), Some(size));
            let all = join(&[&[1, 0x10, 0, 0x80 | len, 0], &obu[..], &[2], &frame]);
            check(Codec::Av1, &join(&[&[0x08], &all[..]]), Some(size));
            let last = join(&[&[1, 0x10, 0], &obu[..]]);
            check(Codec::Av1, &join(&[&[0x38], &last[..]]), Some(size));
            // No sequence begins, or one element goes on from before.
            check(Codec::Av1, &join(&[&[0x10], &obu[..]]), None);
            check(Codec::Av1, &join(&[&[0x98], &obu[..]]), None);
        }
        // Other OBUs, a reserved profile, a size that sticks out, a length without an end.
        check(Codec::Av1, &join(&[&[0x18, 0x30], &body[..]]), None);
        check(Codec::Av1, &join(&[&[0x18, 0x88], &body[..]]), None);
        check(Codec::Av1, &join(&[&[0x18, 0x08, 0x60 | body[0]], &body[1..]]), None);
        check(Codec::Av1, &join(&[&[0x18, 0x0a, len + 1], &body[..]]), None);
        check(Codec::Av1, &join(&[&[0x08], &[0x80; 8][..], &[0], &bare]), None);
    }
    check(Codec::Av1, &octets(AV1_CHROMIUM), Some((640, 360)));
    check(Codec::Av1, &octets("180a"), None);
}

#[test]
fn a_flood_of_empty_elements_is_left_alone() {
    let bare = octets("08000000043ea7bcdaf90040");
    let flood = |count| join(&[&[0x08], &vec![0; count][..], &[bare.len() as u8], &bare]);
    check(Codec::Av1, &flood(15), Some((426, 240)));
    check(Codec::Av1, &flood(16), None);
    let set = measured(&octets(H265[0].0));
    let flood = |count| join(&[&[0x60, 1], &vec![0; count][..], &set]);
    check(Codec::H265, &flood(30), Some((64, 64)));
    check(Codec::H265, &flood(32), None);
}

fn samples() -> Vec<(Codec, Vec<u8>)> {
    let h264 = H264.iter().map(|(hex, _)| (Codec::H264, octets(hex)));
    let h265 = H265.iter().map(|(hex, _)| (Codec::H265, octets(hex)));
    let av1 = AV1.iter().map(|(hex, _)| (Codec::Av1, octets(&format!("1808{hex}"))));
    h264.chain(h265).chain(av1).chain([(Codec::Av1, octets(AV1_CHROMIUM))]).collect()
}

proptest! {
    #[test]
    fn changed_payloads_do_no_harm(
        sample in prop::sample::select(samples()),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        len in any::<prop::sample::Index>(),
    ) {
        let (codec, mut payload) = sample;
        for (at, octet) in changes {
            *at.get_mut(&mut payload) = octet;
        }
        payload.truncate(len.index(payload.len() + 1));
        for (width, height) in sizes(codec, &payload).into_iter().flatten() {
            let sides = 1..=16_384;
            prop_assert!(sides.contains(&width) && sides.contains(&height), "{width} {height}");
        }
    }
}
