//! Feedback about transports: TWCC and REMB, and that what we write says what we read.

use ringway_wire::rtcp::write::{TwccHead, write_remb, write_twcc};
use ringway_wire::rtcp::{Compound, Packet, Remb, Twcc};

/// Reads `data` as RTCP and writes each piece of feedback again.
pub fn feedback(data: &[u8]) {
    let Ok(compound) = Compound::parse(data) else { return };
    for packet in compound.packets() {
        match packet {
            Packet::Twcc(twcc) => check_twcc(&twcc, data.len()),
            Packet::Remb(remb) => check_remb(&remb),
            _ => {}
        }
    }
}

fn check_twcc(twcc: &Twcc<'_>, bytes: usize) {
    let mut deltas = vec![None; usize::from(twcc.status_count)];
    let mut arrived = 0;
    for arrival in twcc.arrivals() {
        let at = usize::from(arrival.sequence.wrapping_sub(twcc.base_sequence));
        assert!(deltas[at].replace(arrival.delta).is_none(), "{at} arrived twice");
        arrived += 1;
    }
    // Every arrival has a delta of at least one octet.
    assert!(arrived <= bytes && arrived == twcc.arrived());
    let head = TwccHead {
        sender_ssrc: twcc.sender_ssrc,
        media_ssrc: twcc.media_ssrc,
        base_sequence: twcc.base_sequence,
        reference_time: twcc.reference_time,
        feedback_count: twcc.feedback_count,
    };
    let mut out = vec![0; 64 + 4 * deltas.len()];
    let len = write_twcc(&mut out, &head, &deltas).expect("there is room");
    let compound = Compound::parse(&out[..len]).expect("what was written is valid");
    let Some(Packet::Twcc(again)) = compound.packets().next() else { panic!("no feedback") };
    assert_eq!(again.reference_time, twcc.reference_time);
    assert!(again.arrivals().eq(twcc.arrivals()));
}

fn check_remb(remb: &Remb<'_>) {
    let ssrcs: Vec<u32> = remb.ssrcs().collect();
    let mut out = [0; 20 + 4 * 255];
    let len = write_remb(&mut out, remb.sender_ssrc, remb.bitrate_bps, &ssrcs).expect("room");
    let compound = Compound::parse(&out[..len]).expect("what was written is valid");
    let Some(Packet::Remb(again)) = compound.packets().next() else { panic!("no estimate") };
    assert!(again.ssrcs().eq(ssrcs));
    // A saturated estimate loses its lower bits.
    let kept = remb.bitrate_bps == u64::MAX || again.bitrate_bps == remb.bitrate_bps;
    assert!(kept, "{} and {}", again.bitrate_bps, remb.bitrate_bps);
}
