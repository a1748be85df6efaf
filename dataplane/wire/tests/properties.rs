//! What holds for every packet, not only for those that someone thought of.

use proptest::prelude::*;
use ringway_wire::rtcp::write::{TwccHead, write_receiver_report, write_sender_report, write_twcc};
use ringway_wire::rtcp::{Compound, Packet, ReceiverReport, ReportBlock, SenderReport};
use ringway_wire::sequence::{ExtendedSequence, distance, newer, timestamp_newer};
use ringway_wire::{HeaderRewrite, Protocol, RtpView, ntp, sniff};
use rtcp_types::RtcpPacketParser;

/// Bytes that are RTP often enough: any content after a first byte of version 2.
fn datagram() -> impl Strategy<Value = Vec<u8>> {
    (any::<bool>(), prop::collection::vec(any::<u8>(), 0..200)).prop_map(
        |(version_2, mut bytes)| {
            if version_2 && let Some(first) = bytes.first_mut() {
                *first = 0x80 | *first & 0x3f;
            }
            bytes
        },
    )
}

/// Packets with sound lengths and hostile content.
fn compound() -> impl Strategy<Value = Vec<u8>> {
    let words = prop::collection::vec(any::<[u8; 4]>(), 0..16);
    let packet = (0..8u8, 200..208u8, words).prop_map(|(count, packet_type, words)| {
        let [high, low] = (words.len() as u16).to_be_bytes();
        [&[0x80 | count, packet_type, high, low], words.as_flattened()].concat()
    });
    prop::collection::vec(packet, 1..4).prop_map(|packets| packets.concat())
}

fn rewrite() -> impl Strategy<Value = HeaderRewrite> {
    (any::<Option<u32>>(), prop::option::of(0..128u8), any::<u16>(), any::<u32>()).prop_map(
        |(ssrc, payload_type, sequence_delta, timestamp_delta)| HeaderRewrite {
            ssrc,
            payload_type,
            sequence_delta,
            timestamp_delta,
        },
    )
}

fn block() -> impl Strategy<Value = ReportBlock> {
    let lost = -(1i32 << 23)..(1 << 23);
    (any::<[u32; 5]>(), any::<u8>(), lost).prop_map(|(words, fraction_lost, cumulative_lost)| {
        ReportBlock {
            ssrc: words[0],
            fraction_lost,
            cumulative_lost,
            extended_highest_sequence: words[1],
            jitter: words[2],
            last_sr: words[3],
            delay_since_last_sr: words[4],
        }
    })
}

proptest! {
    #[test]
    fn views_stay_within_the_datagram(bytes in datagram()) {
        let Ok(view) = RtpView::parse(&bytes) else { return Ok(()) };
        prop_assert!(view.header_len() <= bytes.len());
        let payload = view.payload_range();
        prop_assert_eq!(payload.start, view.header_len());
        prop_assert_eq!(payload.end + view.padding(), bytes.len());
        prop_assert!(matches!(sniff(&bytes), Protocol::Rtp | Protocol::Rtcp));
    }

    #[test]
    fn rewriting_changes_what_it_says_and_nothing_else(bytes in datagram(), rewrite in rewrite()) {
        let Ok(before) = RtpView::parse(&bytes) else { return Ok(()) };
        let mut rewritten = bytes.clone();
        rewrite.apply(rewritten.first_chunk_mut().expect("a parsed packet has a header"));
        let after = RtpView::parse(&rewritten).expect("rewriting keeps a packet valid");

        prop_assert_eq!(after.ssrc(), rewrite.ssrc.unwrap_or(before.ssrc()));
        let payload_type = rewrite.payload_type.unwrap_or(before.payload_type());
        prop_assert_eq!(after.payload_type(), payload_type);
        prop_assert_eq!(after.sequence(), before.sequence().wrapping_add(rewrite.sequence_delta));
        let timestamp = before.timestamp().wrapping_add(rewrite.timestamp_delta);
        prop_assert_eq!(after.timestamp(), timestamp);

        prop_assert_eq!(after.marker(), before.marker());
        prop_assert_eq!(rewritten[0], bytes[0]);
        prop_assert_eq!(&rewritten[12..], &bytes[12..]);
        if rewrite.is_identity() {
            prop_assert_eq!(&rewritten, &bytes);
        }
    }

    #[test]
    fn a_compound_is_the_sum_of_its_packets(bytes in compound()) {
        let Ok(compound) = Compound::parse(&bytes) else { return Ok(()) };
        prop_assert_eq!(sniff(&bytes), Protocol::Rtcp);
        let mut rest = &bytes[..];
        for packet in compound.raw_packets() {
            rest = rest.strip_prefix(packet.bytes()).expect("packets follow each other");
        }
        prop_assert!(rest.is_empty());
        prop_assert_eq!(compound.packets().count(), compound.raw_packets().count());
    }

    #[test]
    fn hostile_compounds_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Compound::parse(&bytes);
    }

    #[test]
    fn reports_round_trip(
        (ssrc, ntp, rtp_timestamp) in any::<(u32, u64, u32)>(),
        (packet_count, octet_count) in any::<(u32, u32)>(),
        blocks in prop::collection::vec(block(), 0..=31),
    ) {
        let report = SenderReport { ssrc, ntp, rtp_timestamp, packet_count, octet_count };
        let receiver = ReceiverReport { ssrc };
        let mut out = [0; 2048];
        let first = write_sender_report(&mut out, &report, &blocks).expect("there is room");
        let second =
            write_receiver_report(&mut out[first..], &receiver, &blocks).expect("there is room");
        let compound = Compound::parse(&out[..first + second]).expect("a valid compound");
        let packets: Vec<_> = compound.packets().collect();
        let [Packet::SenderReport(sr, of_sr), Packet::ReceiverReport(rr, of_rr)] = packets[..]
        else {
            return Err(TestCaseError::fail("not the two reports"));
        };
        prop_assert_eq!((sr, rr), (report, receiver));
        prop_assert!(of_sr.iter().eq(blocks.iter().copied()));
        prop_assert!(of_rr.iter().eq(blocks.iter().copied()));
    }

    #[test]
    fn transport_wide_feedback_round_trips(
        base_sequence in any::<u16>(),
        reference_time in -(1i32 << 23)..(1 << 23),
        runs in prop::collection::vec((prop::option::of(any::<i16>()), 1usize..40), 0..20),
    ) {
        let deltas: Vec<Option<i16>> =
            runs.iter().flat_map(|&(delta, times)| std::iter::repeat_n(delta, times)).collect();
        let head = TwccHead {
            sender_ssrc: 1, media_ssrc: 2, base_sequence, reference_time, feedback_count: 3,
        };
        let mut out = [0; 4096];
        let len = write_twcc(&mut out, &head, &deltas).expect("there is room");
        let theirs = rtcp_types::TransportFeedback::parse(&out[..len]).expect("valid for others");
        prop_assert_eq!(theirs.media_ssrc(), 2);
        let compound = Compound::parse(&out[..len]).expect("a valid compound");
        let Some(Packet::Twcc(twcc)) = compound.packets().next() else {
            return Err(TestCaseError::fail("not transport-wide feedback"));
        };
        prop_assert_eq!(usize::from(twcc.status_count), deltas.len());
        prop_assert_eq!(twcc.reference_time, reference_time);
        let mut found = vec![None; deltas.len()];
        for arrival in twcc.arrivals() {
            found[usize::from(arrival.sequence.wrapping_sub(base_sequence))] = Some(arrival.delta);
        }
        prop_assert_eq!(found, deltas);
    }

    #[test]
    fn order_is_antisymmetric(a in any::<u16>(), b in any::<u16>(), c in any::<u32>()) {
        prop_assert!(!(newer(a, b) && newer(b, a)));
        prop_assert_eq!(b.wrapping_add(distance(b, a) as u16), a);
        prop_assert!(!(timestamp_newer(c, 0) && timestamp_newer(0, c)));
    }

    #[test]
    fn extended_numbers_follow_every_step(
        first in any::<u16>(),
        steps in prop::collection::vec(-1000i64..30_000, 1..200),
    ) {
        let mut stream = ExtendedSequence::new(first);
        let mut highest = stream.highest();
        for step in steps {
            let expect = highest.wrapping_add_signed(step);
            prop_assert_eq!(stream.advance(expect as u16), expect);
            highest = highest.max(expect);
            prop_assert_eq!(stream.highest(), highest);
        }
    }

    #[test]
    fn unix_time_survives_ntp(unix_ns in 0..4_000_000_000_000_000_000u64) {
        prop_assert_eq!(ntp::to_unix_ns(ntp::from_unix_ns(unix_ns)), unix_ns);
    }
}
