//! RTCP read and written, row by row.

use super::write::*;
use super::*;

// Sender report and CNAME of an Opus stream, from ffmpeg.
const FFMPEG: [u8; 56] = [
    0x80, 0xc8, 0x00, 0x06, 0xe5, 0x62, 0x3f, 0x3f, 0xee, 0xab, 0xff, 0x8a, 0x21, 0x89, 0x37, 0x4b,
    0xeb, 0xfa, 0xc7, 0x2e, 0x00, 0x00, 0x00, 0xfa, 0x00, 0x00, 0x2a, 0x46, 0x81, 0xca, 0x00, 0x06,
    0xe5, 0x62, 0x3f, 0x3f, 0x01, 0x0e, b'c', b'a', b'm', b'e', b'r', b'a', b'@', b'r', b'i', b'n',
    b'g', b'w', b'a', b'y', 0x00, 0x00, 0x00, 0x00,
];

const BLOCK: ReportBlock = ReportBlock {
    ssrc: 0x0102_0304,
    fraction_lost: 64,
    cumulative_lost: -2,
    extended_highest_sequence: 0x0001_ffff,
    jitter: 17,
    last_sr: 0xb705_2000,
    delay_since_last_sr: 0x0005_4000,
};

const BLOCK_BYTES: [u8; 24] = [
    1, 2, 3, 4, 64, 0xff, 0xff, 0xfe, 0, 1, 0xff, 0xff, 0, 0, 0, 17, 0xb7, 5, 0x20, 0, 0, 5, 0x40,
    0,
];

fn packets(bytes: &[u8]) -> Vec<Packet<'_>> {
    Compound::parse(bytes).expect("a valid compound").packets().collect()
}

/// The one packet of `bytes`.
fn packet(bytes: &[u8]) -> Packet<'_> {
    match packets(bytes)[..] {
        [packet] => packet,
        ref more => panic!("{} packets", more.len()),
    }
}

fn refuse(bytes: &[u8], expect: RtcpError) {
    assert_eq!(Compound::parse(bytes), Err(expect), "{bytes:02x?}");
}

#[test]
fn reads_what_ffmpeg_sends() {
    let [Packet::SenderReport(report, blocks), Packet::Sdes(sdes)] = packets(&FFMPEG)[..] else {
        panic!("not a report and a description");
    };
    let expect = SenderReport {
        ssrc: 0xe562_3f3f,
        ntp: 0xeeab_ff8a_2189_374b,
        rtp_timestamp: 0xebfa_c72e,
        packet_count: 250,
        octet_count: 10822,
    };
    assert_eq!(report, expect);
    assert!(blocks.is_empty());
    assert_eq!(sdes.cname(0xe562_3f3f), Some(&b"camera@ringway"[..]));
    assert_eq!(sdes.cname(1), None);
    assert!(!Compound::parse(&FFMPEG).unwrap().is_reduced_size());
    assert!(Compound::parse(&FFMPEG[28..]).unwrap().is_reduced_size());
}

#[test]
fn writes_what_ffmpeg_sends() {
    let report = SenderReport {
        ssrc: 0xe562_3f3f,
        ntp: 0xeeab_ff8a_2189_374b,
        rtp_timestamp: 0xebfa_c72e,
        packet_count: 250,
        octet_count: 10822,
    };
    let mut out = [0xaa; 60];
    let mut len = write_sender_report(&mut out, &report, &[]).unwrap();
    len += write_sdes_cname(&mut out[len..], 0xe562_3f3f, b"camera@ringway").unwrap();
    assert_eq!(out[..len], FFMPEG);
    assert_eq!(out[len..], [0xaa; 4]);
}

#[test]
fn framing_is_checked() {
    refuse(&[], RtcpError::Short);
    refuse(&[0x80, 200, 0], RtcpError::Short);
    refuse(&[0x80, 201, 0, 1], RtcpError::Length);
    refuse(&FFMPEG[..55], RtcpError::Length);
    refuse(&FFMPEG[..30], RtcpError::Length); // half a header left over
    refuse(&FFMPEG[..27], RtcpError::Length);
    refuse(&[0x40, 203, 0, 0], RtcpError::Version);
    refuse(&[0x80, 203, 0, 0, 0x40, 203, 0, 0], RtcpError::Version); // of the second packet
    refuse(&[0x80, 96, 0, 0], RtcpError::Type);
    refuse(&[0x80, 224, 0, 0], RtcpError::Type);
    // Unknown types later on are "ignored" (RFC 3550 6.1), that is, passed on as they are.
    let raw = [0x80, 203, 0, 0, 0x9f, 7, 0, 1, 1, 2, 3, 4];
    let [_, Packet::Other(other)] = packets(&raw)[..] else { panic!("not two packets") };
    assert_eq!((other.packet_type(), other.count(), other.body()), (7, 31, &[1, 2, 3, 4][..]));
    assert_eq!(other.bytes(), &raw[4..]);
}

#[test]
fn the_number_of_packets_is_bounded() {
    let goodbyes = [0x80, 203, 0, 0].repeat(MAX_PACKETS);
    assert_eq!(packets(&goodbyes).len(), MAX_PACKETS);
    let more = [0x80, 203, 0, 0].repeat(MAX_PACKETS + 1);
    refuse(&more, RtcpError::TooMany);
}

#[test]
fn padding_is_checked_and_is_not_content() {
    let pad = |count: u8| [0xa1, 203, 0, 2, 0, 0, 0, 7, 0, 0, 0, count];
    let bytes = pad(4);
    let Packet::Bye(bye) = packet(&bytes) else { panic!("not a goodbye") };
    assert_eq!(bye.sources().collect::<Vec<_>>(), [7]);
    assert_eq!(bye.reason(), None);
    for count in [0, 1, 2, 3, 5, 12, 255] {
        refuse(&pad(count), RtcpError::Padding);
    }
    refuse(&pad(8), RtcpError::Content); // the source is padding
    refuse(&[0xa0, 203, 0, 0], RtcpError::Padding); // the length field is no padding
    refuse(&[&pad(4)[..], &[0x80, 203, 0, 0]].concat(), RtcpError::Padding); // not the last
    // A report block, NACK entries and FIR entries that are padding.
    let mut padded_block = [0; 32];
    padded_block[..4].copy_from_slice(&[0xa1, 201, 0, 7]);
    padded_block[31] = 24;
    refuse(&padded_block, RtcpError::Content);
    refuse(&[0xa1, 205, 0, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 4], RtcpError::Content);
    refuse(&[0xa4, 206, 0, 4, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 9, 0, 0, 0, 8], RtcpError::Content);
}

#[test]
fn reports_round_trip() {
    let report = SenderReport {
        ssrc: 1,
        ntp: 0x0123_4567_89ab_cdef,
        rtp_timestamp: 3,
        packet_count: u32::MAX,
        octet_count: 5,
    };
    for count in [0, 1, 2, MAX_COUNT] {
        let blocks = vec![BLOCK; count];
        let mut out = [0; 1024];
        let len = write_sender_report(&mut out, &report, &blocks).unwrap();
        assert_eq!(len, 28 + 24 * count);
        let Packet::SenderReport(read, read_blocks) = packet(&out[..len]) else { panic!() };
        assert_eq!((read, read_blocks.len()), (report, count));
        assert!(read_blocks.iter().eq(blocks.iter().copied()));

        let receiver = ReceiverReport { ssrc: 9 };
        let len = write_receiver_report(&mut out, &receiver, &blocks).unwrap();
        assert_eq!(len, 8 + 24 * count);
        let Packet::ReceiverReport(read, read_blocks) = packet(&out[..len]) else { panic!() };
        assert_eq!((read, read_blocks.len()), (receiver, count));
        assert!(read_blocks.iter().eq(blocks.iter().copied()));
        if count > 0 {
            assert_eq!(out[8..32], BLOCK_BYTES);
        }
    }
    let most = WriteError::Count { given: 32, most: 31 };
    let blocks = [BLOCK; 32];
    assert_eq!(write_sender_report(&mut [0; 2048], &report, &blocks), Err(most));
    assert_eq!(
        write_receiver_report(&mut [0; 2048], &ReceiverReport::default(), &blocks),
        Err(most)
    );
}

#[test]
fn reports_too_short_for_their_blocks_are_refused() {
    let mut out = [0; 64];
    let len = write_sender_report(&mut out, &SenderReport::default(), &[BLOCK]).unwrap();
    out[0] = 0x82;
    refuse(&out[..len], RtcpError::Content);
    refuse(&[0x80, 200, 0, 0], RtcpError::Content);
    refuse(&[0x80, 201, 0, 0], RtcpError::Content);
    refuse(&[0x81, 201, 0, 1, 0, 0, 0, 1], RtcpError::Content);
    // A profile-specific extension after the blocks is no fault.
    out[0] = 0x80;
    let Packet::SenderReport(_, blocks) = packet(&out[..len]) else { panic!() };
    assert!(blocks.is_empty());
}

#[test]
fn loss_counts_are_24_bits_with_a_sign() {
    let rows = [
        (0, 0),
        (-1, -1),
        (0x7f_ffff, 0x7f_ffff),
        (0x80_0000, 0x7f_ffff),
        (i32::MAX, 0x7f_ffff),
        (-0x80_0000, -0x80_0000),
        (i32::MIN, -0x80_0000),
    ];
    for (cumulative_lost, expect) in rows {
        let mut out = [0; 32];
        let block = ReportBlock { cumulative_lost, fraction_lost: 255, ..BLOCK };
        write_receiver_report(&mut out, &ReceiverReport::default(), &[block]).unwrap();
        let Packet::ReceiverReport(_, blocks) = packet(&out) else { panic!() };
        let read = blocks.iter().next().unwrap();
        assert_eq!((read.cumulative_lost, read.fraction_lost), (expect, 255));
    }
}

#[test]
fn descriptions() {
    type Items<'a> = &'a [(u8, &'a [u8])];
    let check = |bytes: &[u8], expect: &[(u32, Items<'_>)]| {
        let Packet::Sdes(sdes) = packet(bytes) else { panic!("not a description") };
        assert_eq!(sdes.chunks().count(), expect.len(), "{bytes:02x?}");
        for (chunk, (ssrc, items)) in sdes.chunks().zip(expect) {
            assert_eq!(chunk.ssrc, *ssrc, "{bytes:02x?}");
            let found: Vec<_> = chunk.items().map(|item| (item.item_type, item.value)).collect();
            assert_eq!(&found, items, "{bytes:02x?}");
        }
    };
    check(&[0x80, 202, 0, 0], &[]);
    check(&[0x81, 202, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0], &[(1, &[])]);
    // An SSRC that begins with null octets, right after the padding of the chunk before.
    check(
        &[0x82, 202, 0, 5, 0, 0, 0, 1, 1, 1, b'a', 0, 0, 0, 0, 2, 6, 3, b'x', b'y', b'z', 0, 0, 0],
        &[(1, &[(1, b"a")]), (2, &[(6, b"xyz")])],
    );
    // Several items, an empty one, and PRIV, whose inside is its reader's affair.
    check(
        &[0x81, 202, 0, 4, 0, 0, 0, 1, 2, 0, 1, 1, b'a', 8, 1, 200, 0, 0, 0, 0],
        &[(1, &[(2, b""), (1, b"a"), (8, &[200])])],
    );
    // The list ends with the packet, without the null octet.
    check(&[0x81, 202, 0, 2, 0, 0, 0, 1, 1, 2, b'a', b'b'], &[(1, &[(1, b"ab")])]);

    refuse(&[0x81, 202, 0, 0], RtcpError::Content); // a chunk is missing
    refuse(&[0x82, 202, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0], RtcpError::Content);
    refuse(&[0x81, 202, 0, 2, 0, 0, 0, 1, 1, 3, b'a', b'b'], RtcpError::Content); // item too long
    refuse(&[0x81, 202, 0, 2, 0, 0, 0, 1, 1, 1, b'a', 1], RtcpError::Content); // half an item
}

#[test]
fn canonical_names_of_every_length_round_trip() {
    let text = [b'n'; 255];
    for len in 0..=255 {
        let mut out = [0xaa; 300];
        let written = write_sdes_cname(&mut out, 5, &text[..len]).unwrap();
        let Packet::Sdes(sdes) = packet(&out[..written]) else { panic!("not a description") };
        assert_eq!(sdes.cname(5), Some(&text[..len]));
        assert_eq!(out[10 + len], 0, "{len}");
    }
    let error = write_sdes_cname(&mut [0; 300], 5, &[b'n'; 256]);
    assert_eq!(error, Err(WriteError::Count { given: 256, most: 255 }));
}

#[test]
fn goodbyes() {
    let check = |bytes: &[u8], sources: &[u32], reason: Option<&[u8]>| {
        let Packet::Bye(bye) = packet(bytes) else { panic!("not a goodbye") };
        assert!(bye.sources().eq(sources.iter().copied()), "{bytes:02x?}");
        assert_eq!(bye.reason(), reason, "{bytes:02x?}");
    };
    check(&[0x80, 203, 0, 0], &[], None);
    check(&[0x82, 203, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2], &[1, 2], None);
    check(&[0x81, 203, 0, 2, 0, 0, 0, 1, 3, b'e', b'n', b'd'], &[1], Some(b"end"));
    check(&[0x81, 203, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0], &[1], Some(b""));
    refuse(&[0x82, 203, 0, 1, 0, 0, 0, 1], RtcpError::Content);
    refuse(&[0x81, 203, 0, 2, 0, 0, 0, 1, 4, b'e', b'n', b'd'], RtcpError::Content);

    let sources: Vec<u32> = (0..31).collect();
    let mut out = [0; 128];
    assert_eq!(write_bye(&mut out, &sources), Ok(128));
    check(&out, &sources, None);
    assert_eq!(write_bye(&mut [0; 256], &[0; 32]), Err(WriteError::Count { given: 32, most: 31 }));
}

#[test]
fn picture_requests() {
    let pli = Pli { sender_ssrc: 1, media_ssrc: 0xdead_beef };
    let mut out = [0; 12];
    assert_eq!(write_pli(&mut out, &pli), Ok(12));
    assert_eq!(out, [0x81, 206, 0, 2, 0, 0, 0, 1, 0xde, 0xad, 0xbe, 0xef]);
    assert_eq!(packet(&out), Packet::Pli(pli));
    refuse(&[0x81, 206, 0, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 0], RtcpError::Content);
    refuse(&[0x81, 206, 0, 1, 0, 0, 0, 1], RtcpError::Content);

    let entries = [FirEntry { ssrc: 7, sequence: 255 }, FirEntry { ssrc: 8, sequence: 0 }];
    let mut out = [0; 28];
    assert_eq!(write_fir(&mut out, 3, &entries), Ok(28));
    assert_eq!(out[..12], [0x84, 206, 0, 6, 0, 0, 0, 3, 0, 0, 0, 0]);
    let Packet::Fir(fir) = packet(&out) else { panic!("not a full intra request") };
    assert_eq!(fir.sender_ssrc, 3);
    assert!(fir.entries().eq(entries));
    refuse(&[0x84, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0], RtcpError::Content);
    refuse(&[0x84, 206, 0, 3, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1], RtcpError::Content);
}

#[test]
fn retransmission_requests() {
    let entries =
        [NackEntry { packet_id: 65535, bitmask: 0x8001 }, NackEntry { packet_id: 100, bitmask: 0 }];
    let mut out = [0; 20];
    assert_eq!(write_nack(&mut out, 1, 2, &entries), Ok(20));
    assert_eq!(out[12..], [0xff, 0xff, 0x80, 0x01, 0, 100, 0, 0]);
    let Packet::Nack(nack) = packet(&out) else { panic!("not a NACK") };
    assert_eq!((nack.sender_ssrc, nack.media_ssrc), (1, 2));
    assert!(nack.entries().eq(entries));
    assert!(nack.entries().flat_map(NackEntry::sequences).eq([65535, 0, 15, 100]));
    refuse(&[0x81, 205, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2], RtcpError::Content);
}

fn arrivals(bytes: &[u8], base: u16, count: u16, reference: i32, expect: &[(u16, i16)]) {
    let Packet::Twcc(twcc) = packet(bytes) else { panic!("not transport-wide feedback") };
    assert_eq!((twcc.base_sequence, twcc.status_count), (base, count));
    assert_eq!(twcc.reference_time, reference);
    let found: Vec<_> = twcc.arrivals().map(|a| (a.sequence, a.delta)).collect();
    assert_eq!(found, expect, "{bytes:02x?}");
    assert_eq!(twcc.arrived(), expect.len());
}

#[test]
fn transport_wide_feedback() {
    // From Chromium: a run of two; one of four with padding; bits with gaps; a run of 32 missing.
    let head = [0x8f, 0xcd, 0, 5, 0, 0, 0, 1, 0x79, 0x39, 0xb7, 0xc7];
    let bytes = [&head[..], &[0, 0x10, 0, 2, 0, 0x6c, 0x46, 2, 0x20, 2, 0x62, 0x0d]].concat();
    arrivals(&bytes, 16, 2, 0x6c46, &[(16, 0x62), (17, 0x0d)]);
    let head = [0xaf, 0xcd, 0, 7, 0, 0, 0, 1, 0x3d, 0xb2, 0x92, 0xa4, 0, 1, 0, 9, 0, 0x69];
    let rest = [0xd2, 0, 0x20, 9, 0x79, 0x11, 4, 0x17, 0x0e, 0x0b, 1, 0x0f, 1, 1];
    let deltas = [0x79, 0x11, 4, 0x17, 0x0e, 0x0b, 1, 0x0f, 1];
    let expect: Vec<(u16, i16)> = (1..).zip(deltas).collect();
    arrivals(&[&head[..], &rest].concat(), 1, 9, 0x69d2, &expect);

    let fixed = |words: u8, base: u8, count: u16| {
        let [high, low] = count.to_be_bytes();
        let head = [0x8f, 0xcd, 0, words, 0, 0, 0, 1, 0, 0, 0, 2, 0, base, high, low];
        [&head[..], &[0xff, 0xff, 0xfe, 3]].concat()
    };
    // One-bit symbols; two-bit symbols, the reserved one without a delta; a negative delta.
    let bits = [fixed(6, 0, 14), vec![0b1010_0000, 1, 1, 2, 0, 0, 0, 0]].concat();
    arrivals(&bits, 0, 14, -2, &[(0, 1), (13, 2)]);
    let pairs = [fixed(6, 9, 4), vec![0b1101_1011, 0, 7, 0xff, 0xfe, 0, 0, 0]].concat();
    arrivals(&pairs, 9, 4, -2, &[(9, 7), (10, -2)]);
    // A run that says more than the count, and one that says nothing arrived.
    let run = [fixed(6, 9, 1), vec![0x3f, 0xff, 5, 0, 0, 0, 0, 0]].concat();
    arrivals(&run, 9, 1, -2, &[(9, 5)]);
    let missing = [fixed(5, 9, 0x1fff), vec![0x1f, 0xff, 0, 0]].concat();
    arrivals(&missing, 9, 0x1fff, -2, &[]);
    // Deltas or chunks that are not there.
    refuse(&[fixed(5, 9, 3), vec![0x20, 3, 1, 1]].concat(), RtcpError::Content);
    refuse(&[fixed(5, 9, 0x4000), vec![0x1f, 0xff, 0, 0]].concat(), RtcpError::Content);
    refuse(&[0x8f, 205, 0, 3, 0, 0, 0, 1, 0, 0, 0, 2, 1, 2, 3, 4], RtcpError::Content);
}

#[test]
fn bandwidth_estimates() {
    // From Chromium.
    let bytes = [
        0x8f, 0xce, 0, 6, 0, 0, 0, 1, 0, 0, 0, 0, b'R', b'E', b'M', b'B', 2, 0x0b, 0x13, 0x56,
        0x95, 0x24, 0xef, 0x40, 0xda, 0x58, 0x81, 0xa9,
    ];
    let Packet::Remb(remb) = packet(&bytes) else { panic!("not an estimate") };
    assert_eq!((remb.sender_ssrc, remb.bitrate_bps), (1, 0x31356 << 2));
    assert!(remb.ssrcs().eq([0x9524_ef40, 0xda58_81a9]));
    let mut out = [0; 28];
    let len = write_remb(&mut out, 1, remb.bitrate_bps, &[0x9524_ef40, 0xda58_81a9]).unwrap();
    assert_eq!(out[..len], bytes);
    for (bitrate, expect) in [
        (0, 0),
        (0x3_ffff, 0x3_ffff),
        (0x4_0001, 0x4_0000),
        (u64::MAX, 0x3_ffff << 46),
        (100_000_000, 100_000_000 >> 9 << 9),
    ] {
        let len = write_remb(&mut out, 1, bitrate, &[]).unwrap();
        let Packet::Remb(remb) = packet(&out[..len]) else { panic!("not an estimate") };
        assert_eq!(remb.bitrate_bps, expect, "{bitrate}");
    }
    // More than 64 bits saturate; a count without its streams is refused; others' feedback passes.
    let mut cut = bytes;
    cut[17] = 0xff;
    let Packet::Remb(remb) = packet(&cut) else { panic!("not an estimate") };
    assert_eq!(remb.bitrate_bps, u64::MAX);
    cut[16] = 3;
    refuse(&cut, RtcpError::Content);
    cut[12] = b'X';
    assert!(matches!(packet(&cut), Packet::Other(_)));
}

#[test]
fn writers_refuse_a_small_buffer_and_leave_it_alone() {
    let check = |len: usize, write: &dyn Fn(&mut [u8]) -> Result<usize, WriteError>| {
        let mut out = vec![0xaa; len];
        assert_eq!(write(&mut out), Ok(len));
        for available in 0..len {
            let mut out = vec![0xaa; available];
            let room = WriteError::Room { needed: len, available };
            assert_eq!(write(&mut out), Err(room));
            assert!(out.iter().all(|byte| *byte == 0xaa));
        }
    };
    check(52, &|out| write_sender_report(out, &SenderReport::default(), &[BLOCK]));
    check(32, &|out| write_receiver_report(out, &ReceiverReport::default(), &[BLOCK]));
    check(16, &|out| write_sdes_cname(out, 1, b"abcd"));
    check(8, &|out| write_bye(out, &[1]));
    check(12, &|out| write_pli(out, &Pli::default()));
    check(20, &|out| write_fir(out, 1, &[FirEntry::default()]));
    check(16, &|out| write_nack(out, 1, 2, &[NackEntry::default()]));
}

#[test]
fn packets_beyond_the_length_field_are_refused() {
    let entries = vec![NackEntry::default(); 1 << 16];
    let error = write_nack(&mut vec![0; 1 << 20], 1, 2, &entries);
    assert_eq!(error, Err(WriteError::Count { given: (1 << 16) + 3, most: 1 << 16 }));
}

#[test]
fn extended_reports() {
    let mut out = [0xaa; 48];
    let len = write_reference_time(&mut out, 7, 0x0102_0304_0506_0708).unwrap();
    assert_eq!(out[..len], [0x80, 207, 0, 4, 0, 0, 0, 7, 4, 0, 0, 2, 1, 2, 3, 4, 5, 6, 7, 8]);
    let Packet::Extended(xr) = packet(&out[..len]) else { panic!("no extended report") };
    assert_eq!((xr.ssrc, xr.reference_time()), (7, Some(0x0102_0304_0506_0708)));
    assert_eq!(xr.delays().count(), 0);
    let since = DelaySince { ssrc: 9, last_reference: 0x0304_0506, delay: 0x1_8000 };
    let len = write_delay_since(&mut out, 7, &since).unwrap();
    assert_eq!(
        out[..len],
        [0x80, 207, 0, 5, 0, 0, 0, 7, 5, 0, 0, 3, 0, 0, 0, 9, 3, 4, 5, 6, 0, 1, 0x80, 0]
    );
    let Packet::Extended(xr) = packet(&out[..len]) else { panic!("no extended report") };
    assert_eq!((xr.delays().collect::<Vec<_>>(), xr.reference_time()), (vec![since], None));
    // Behind blocks of other types, and up to one that promises more than there is.
    let mut long = vec![0x80, 207, 0, 10, 0, 0, 0, 7, 9, 0, 0, 0, 4, 0, 0, 2];
    long.extend([1; 8]);
    long.extend([5, 0, 0, 9]);
    long.extend([2; 16]);
    let Packet::Extended(xr) = packet(&long) else { panic!("no extended report") };
    assert_eq!(xr.reference_time(), Some(0x0101_0101_0101_0101));
    assert_eq!(xr.delays().count(), 0);
    // A time that is cut short is none.
    let Packet::Extended(xr) = packet(&[0x80, 207, 0, 3, 0, 0, 0, 7, 4, 0, 0, 1, 1, 1, 1, 1])
    else {
        panic!("no extended report")
    };
    assert_eq!(xr.reference_time(), None);
    refuse(&[0x80, 207, 0, 0], RtcpError::Content);
}
