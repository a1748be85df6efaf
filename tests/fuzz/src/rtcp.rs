//! RTCP: whatever is accepted is framed exactly, reads as a second implementation reads it, and
//! survives being written again.

use ringway_wire::rtcp::write::{
    write_bye, write_fir, write_nack, write_pli, write_receiver_report, write_sdes_cname,
    write_sender_report,
};
use ringway_wire::rtcp::{
    Bye, Compound, MAX_PACKETS, Packet, RawPacket, ReportBlock, ReportBlocks, Sdes,
};
use rtcp_types::RtcpPacketParser;

/// Parses `data` as a compound, walks it and rewrites every packet of a known type.
pub fn rtcp(data: &[u8]) {
    let Ok(compound) = Compound::parse(data) else { return };
    let raw: Vec<RawPacket<'_>> = compound.raw_packets().collect();
    let packets: Vec<Packet<'_>> = compound.packets().collect();
    assert_eq!(packets.len(), raw.len());
    assert!((1..=MAX_PACKETS).contains(&raw.len()));
    assert_eq!(raw.iter().flat_map(|packet| packet.bytes()).count(), data.len());
    assert!(rtcp_types::Compound::parse(data).is_ok(), "framing that rtcp-types refuses");
    for (raw, packet) in raw.iter().zip(&packets) {
        assert!(raw.bytes().len() >= 4 + raw.body().len());
        check_against_rtcp_types(raw, packet);
        check_written_again(packet);
    }
}

/// Reads the packet a second time, with rtcp-types.
fn check_against_rtcp_types(raw: &RawPacket<'_>, packet: &Packet<'_>) {
    match packet {
        Packet::SenderReport(report, blocks) => {
            let other = rtcp_types::SenderReport::parse(raw.bytes()).expect("a sender report");
            assert_eq!(report.ssrc, other.ssrc());
            assert_eq!(report.ntp, other.ntp_timestamp());
            assert_eq!(report.rtp_timestamp, other.rtp_timestamp());
            assert_eq!(report.packet_count, other.packet_count());
            assert_eq!(report.octet_count, other.octet_count());
            check_blocks(blocks, other.report_blocks());
        }
        Packet::ReceiverReport(report, blocks) => {
            let other = rtcp_types::ReceiverReport::parse(raw.bytes()).expect("a receiver report");
            assert_eq!(report.ssrc, other.ssrc());
            check_blocks(blocks, other.report_blocks());
        }
        Packet::Bye(bye) => {
            let other = rtcp_types::Bye::parse(raw.bytes()).ok();
            // It takes padding for a reason and may refuse the packet for that.
            if let Some(other) = other {
                assert!(bye.sources().eq(other.ssrcs()));
            }
        }
        _ => {}
    }
}

fn check_blocks<'a>(
    blocks: &ReportBlocks<'_>,
    others: impl Iterator<Item = rtcp_types::ReportBlock<'a>>,
) {
    let others: Vec<_> = others.collect();
    assert_eq!(blocks.len(), others.len());
    for (block, other) in blocks.iter().zip(others) {
        assert_eq!(block.ssrc, other.ssrc());
        assert_eq!(block.fraction_lost, other.fraction_lost());
        assert_eq!(block.cumulative_lost as u32 & 0xff_ffff, other.cumulative_lost());
        assert!((-(1 << 23)..1 << 23).contains(&block.cumulative_lost));
        assert_eq!(block.extended_highest_sequence, other.extended_sequence_number());
        assert_eq!(block.jitter, other.interarrival_jitter());
        assert_eq!(block.last_sr, other.last_sender_report_timestamp());
        assert_eq!(block.delay_since_last_sr, other.delay_since_last_sender_report_timestamp());
    }
}

/// Writes the packet and reads it back.
fn check_written_again(packet: &Packet<'_>) {
    let mut buffer = vec![0xaa; 4 << 16];
    let out = &mut buffer[..];
    match packet {
        Packet::SenderReport(report, blocks) => {
            let written: Vec<ReportBlock> = blocks.iter().collect();
            let len = write_sender_report(out, report, &written).expect("there is room");
            let Packet::SenderReport(again, blocks) = read(&out[..len]) else { panic!() };
            assert_eq!(&again, report);
            assert!(blocks.iter().eq(written));
        }
        Packet::ReceiverReport(report, blocks) => {
            let written: Vec<ReportBlock> = blocks.iter().collect();
            let len = write_receiver_report(out, report, &written).expect("there is room");
            let Packet::ReceiverReport(again, blocks) = read(&out[..len]) else { panic!() };
            assert_eq!(&again, report);
            assert!(blocks.iter().eq(written));
        }
        Packet::Sdes(sdes) => check_names(sdes, out),
        Packet::Bye(bye) => check_goodbye(bye, out),
        Packet::Pli(pli) => {
            let len = write_pli(out, pli).expect("there is room");
            assert_eq!(&read(&out[..len]), packet);
        }
        Packet::Fir(fir) => {
            let entries: Vec<_> = fir.entries().collect();
            let len = write_fir(out, fir.sender_ssrc, &entries).expect("there is room");
            let Packet::Fir(again) = read(&out[..len]) else { panic!() };
            assert!(again.entries().eq(entries));
        }
        Packet::Nack(nack) => {
            let entries: Vec<_> = nack.entries().collect();
            let len = write_nack(out, nack.sender_ssrc, nack.media_ssrc, &entries);
            assert_eq!(&read(&out[..len.expect("there is room")]), packet);
            assert!(entries.iter().all(|entry| (1..=17).contains(&entry.sequences().count())));
        }
        Packet::Extended(xr) => {
            xr.delays().for_each(drop);
            let _ = xr.reference_time();
        }
        Packet::Twcc(_) | Packet::Remb(_) | Packet::Other(_) => {}
    }
}

/// Every name in the description can be written as a description of its own.
fn check_names(sdes: &Sdes<'_>, out: &mut [u8]) {
    for chunk in sdes.chunks() {
        assert!(chunk.items().all(|item| item.item_type != 0 && item.value.len() <= 255));
        let Some(name) = chunk.cname() else { continue };
        let len = write_sdes_cname(out, chunk.ssrc, name).expect("there is room");
        let Packet::Sdes(again) = read(&out[..len]) else { panic!() };
        assert_eq!(again.cname(chunk.ssrc), Some(name));
    }
}

fn check_goodbye(bye: &Bye<'_>, out: &mut [u8]) {
    let sources: Vec<u32> = bye.sources().collect();
    let len = write_bye(out, &sources).expect("there is room");
    let Packet::Bye(again) = read(&out[..len]) else { panic!() };
    assert!(again.sources().eq(sources));
    assert_eq!(again.reason(), None);
}

/// The one packet of `bytes`.
fn read(bytes: &[u8]) -> Packet<'_> {
    let compound = Compound::parse(bytes).expect("what was written can be read");
    let mut packets = compound.packets();
    let packet = packets.next().expect("one packet");
    assert!(packets.next().is_none());
    packet
}
