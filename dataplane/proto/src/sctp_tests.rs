//! Two associations with nothing between them, in virtual time.

use super::*;

/// Carries packets both ways until none is left; gives what `to` received.
fn carry(now_ns: u64, from: &mut Association, to: &mut Association) -> Vec<Incoming> {
    let mut messages = Vec::new();
    loop {
        let mut quiet = true;
        while let Some(packet) = from.poll_packet() {
            quiet = false;
            to.handle_packet(now_ns, &packet);
            while let Some(message) = to.poll_message() {
                messages.push(message);
            }
        }
        while let Some(packet) = to.poll_packet() {
            quiet = false;
            from.handle_packet(now_ns, &packet);
            while from.poll_message().is_some() {}
        }
        if quiet {
            return messages;
        }
    }
}

fn pair(ours: Opening, theirs: Opening) -> (Association, Association) {
    let (mut one, mut other) = (Association::new(0, ours), Association::new(0, theirs));
    assert_eq!(carry(0, &mut one, &mut other), []);
    (one, other)
}

#[test]
fn messages_of_all_channels_arrive() {
    let check = |ours, theirs| {
        let (mut one, mut other) = pair(ours, theirs);
        for label in Label::PROTOCOL {
            assert!(one.is_open(label) && other.is_open(label), "{label:?}, {ours:?}");
            one.send(1, label, b"there", false).unwrap();
            let payload = b"there".to_vec();
            assert_eq!(carry(1, &mut one, &mut other), [Incoming { label, payload }]);
        }
        let long = vec![7; 200_000];
        one.send(2, Label::Reliable, &long, false).unwrap();
        let found = carry(2, &mut one, &mut other);
        assert!(found.len() == 1 && found[0].payload == long);
        assert_eq!(other.chunks, 0, "what became messages does not count");
    };
    check(Opening::Ours, Opening::Peer);
    check(Opening::Negotiated, Opening::Negotiated);
}

#[test]
fn a_peer_that_acknowledges_nothing_fills_a_bounded_queue() {
    let (mut one, _) = pair(Opening::Ours, Opening::Peer);
    let mut taken = 0;
    while one.send(1, Label::Reliable, &[1; 1_000], false).is_ok() {
        taken += 1_000;
        assert!(taken <= PLAIN_BYTES + 100_000);
    }
    assert_eq!(one.send(1, Label::Reliable, &[1; 1_000], false), Err(SendRefused::Full));
    assert_eq!(one.send(1, Label::Reliable, &[], false), Err(SendRefused::Length));
}

#[test]
fn streams_that_are_not_ours_are_not_let_in() {
    let mut packet = vec![0; 12 + 20];
    packet[14..16].copy_from_slice(&20_u16.to_be_bytes());
    assert_eq!(data_chunks(&packet), Some(DataChunks { count: 1, bytes: 4 }));
    packet[20..22].copy_from_slice(&(STREAM_ID_MAX + 1).to_be_bytes());
    assert_eq!(data_chunks(&packet), None);
    assert_eq!(data_chunks(&[]), Some(DataChunks::default()));
    assert_eq!(data_chunks(&[0; 13]), Some(DataChunks::default()));
}

#[test]
fn fragments_without_end_end_the_association() {
    let (_, mut other) = pair(Opening::Ours, Opening::Peer);
    let mut packet = vec![0; 12];
    for _ in 0..50 {
        packet.extend_from_slice(&[0, 0, 0, 17, 0, 0, 0, 9, 0, 1, 0, 0, 0, 0, 0, 53, 1, 0, 0, 0]);
    }
    let mut packets = 0;
    while !other.is_ended() {
        other.handle_packet(1, &packet);
        packets += 1;
        assert!(packets <= CHUNKS / 50 + 1);
    }
}

#[test]
fn hostile_bytes_change_nothing_but_this_association() {
    let (mut one, mut other) = pair(Opening::Ours, Opening::Peer);
    let mut random = 1_u64;
    for length in 0..600 {
        let mut packet = Vec::new();
        for _ in 0..length {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            packet.push(random as u8);
        }
        other.handle_packet(1, &packet);
        while other.poll_message().is_some() {}
    }
    one.send(2, Label::Lossy, b"still there", false).unwrap();
    assert_eq!(carry(2, &mut one, &mut other).len(), 1);
}
