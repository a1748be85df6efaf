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
        assert!(other.inner.held_bytes() < 4_000, "what became messages does not count");
    };
    check(Opening::Ours, Opening::Peer);
    check(Opening::OursAsClient, Opening::Peer);
    check(Opening::Negotiated, Opening::Negotiated);
}

/// RFC 8832 6: the DTLS client opens channels with even ids, the server with odd ones.
#[test]
fn ids_of_channels_tell_who_opened_them() {
    for (opening, expect) in [(Opening::Ours, [1, 3, 5]), (Opening::OursAsClient, [0, 2, 4])] {
        let (one, other) = pair(opening, Opening::Peer);
        for end in [&one, &other] {
            let mut ids: Vec<u16> = end.channels.iter().map(|channel| channel.id).collect();
            ids.sort_unstable();
            assert_eq!(ids, expect, "{opening:?}");
        }
    }
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

/// Where the TSN stands in a packet that ends with a message of 5 to 8 bytes.
fn tsn_at(packet: &[u8]) -> usize {
    packet.len() - 20
}

/// A chunk of 1 byte, `ahead` of the one that `packet` brings, in the middle of a message.
fn fragment(packet: &[u8], ahead: u32) -> Vec<u8> {
    let first = u32::from_be_bytes(packet[tsn_at(packet)..][..4].try_into().expect("four"));
    let mut chunk = vec![0, 0, 0, 17];
    chunk.extend(first.wrapping_add(ahead).to_be_bytes());
    chunk.extend([0, 1, 0, 1, 0, 0, 0, 53, 1, 0, 0, 0]);
    chunk
}

/// A packet whose tag is right; both sides do without checksums.
fn header(packet: &[u8]) -> Vec<u8> {
    [&packet[..8], &[0; 4]].concat()
}

#[test]
fn streams_that_are_not_ours_are_not_let_in() {
    let (mut one, mut other) = pair(Opening::Ours, Opening::Peer);
    one.send(1, Label::Reliable, b"there", false).unwrap();
    let mut packet = one.poll_packet().expect("a message");
    let at = tsn_at(&packet) + 4;
    packet[at..at + 2].copy_from_slice(&(STREAM_ID_MAX + 1).to_be_bytes());
    other.handle_packet(1, &packet);
    assert_eq!((other.poll_message(), other.refused(), other.is_ended()), (None, 1, false));
}

#[test]
fn fragments_without_end_end_the_association() {
    let (mut one, mut other) = pair(Opening::Ours, Opening::Peer);
    one.send(1, Label::Reliable, b"there", false).unwrap();
    let sent = one.poll_packet().expect("a message");
    let mut packets = 0;
    while !other.is_ended() {
        let mut packet = header(&sent);
        for at in 0..50 {
            packet.extend(fragment(&sent, packets * 50 + at));
        }
        other.handle_packet(1, &packet);
        packets += 1;
        assert!(packets as usize <= CHUNKS / 50 + 1);
    }
}

#[test]
fn channels_are_closed_by_their_streams() {
    let (mut one, mut other) = pair(Opening::Ours, Opening::Peer);
    other.inner.reset_streams(&[3]);
    assert_eq!(carry(1, &mut other, &mut one), []);
    assert!(!one.is_open(Label::Lossy) && one.is_open(Label::Reliable));
    // Ours followed, so the peer's is closed as well.
    assert!(!other.is_open(Label::Lossy) && other.is_open(Label::Reliable));
    assert_eq!(one.send(2, Label::Lossy, b"there", false), Err(SendRefused::Closed));
}

#[test]
fn messages_wait_for_who_is_held() {
    let (mut one, mut other) = pair(Opening::Ours, Opening::Peer);
    other.hold(true);
    for _ in 0..400 {
        one.send(1, Label::Reliable, &[7; 1_200], true).unwrap();
    }
    assert_eq!(carry(1, &mut one, &mut other), []);
    assert!(one.waiting_bytes() > 0);
    other.hold(false);
    let mut found = 0;
    while other.poll_message().is_some() {
        found += 1;
    }
    found += carry(2, &mut one, &mut other).len();
    assert_eq!(found, 400);
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

/// A channel that a browser opened with `createDataChannel("chat", …)`, RFC 8832 5.1.
fn open_of_browser(kind: u8, parameter: u32) -> Vec<u8> {
    let mut message = vec![DCEP_OPEN, kind, 1, 0];
    message.extend(parameter.to_be_bytes());
    message.extend([0, 4, 0, 0]);
    message.extend(b"chat");
    message
}

#[test]
fn what_goes_over_a_channel_of_the_applications_own_keeps_its_promises() {
    let check = |kind, parameter, unordered, max_retransmissions, lifetime_ns| {
        let (mut one, _) = pair(Opening::Peer, Opening::Ours);
        one.handle_dcep(6, &open_of_browser(kind, parameter));
        let channel = one.channel(Label::Own).expect("it is open");
        let expect = sctp::SendOptions { unordered, max_retransmissions, lifetime_ns };
        assert_eq!((channel.id, channel.options), (6, expect), "{kind:#x} {parameter}");
    };
    check(0, 9, false, None, None);
    check(0x80, 9, true, None, None);
    check(1, 3, false, Some(3), None);
    check(0x81, 70_000, true, Some(u16::MAX), None);
    check(0x82, 250, true, None, Some(250_000_000));
    let (mut one, _) = pair(Opening::Peer, Opening::Ours);
    for length in 0..12 {
        one.handle_dcep(6, &open_of_browser(0, 0)[..length]);
    }
    assert!(!one.is_open(Label::Own), "what is cut short opens nothing");
}

#[test]
fn the_application_hears_over_the_first_of_its_own_channels() {
    let (mut one, mut other) = pair(Opening::Peer, Opening::Ours);
    other.open_own();
    other.open_own();
    assert_eq!(carry(1, &mut other, &mut one), []);
    let first = one.channel(Label::Own).map(|channel| channel.id);
    assert_eq!((first, other.channels[1].id), (Some(7), 7));
    // RFC 8831 6.6: nothing is something, too.
    for bytes in [&b"there"[..], b""] {
        one.send(2, Label::Own, bytes, false).unwrap();
        let expect = Incoming { label: Label::Own, payload: bytes.to_vec() };
        assert_eq!(carry(2, &mut one, &mut other), [expect]);
    }
    other.inner.reset_streams(&[7]);
    assert_eq!(carry(3, &mut other, &mut one), []);
    let next = one.channel(Label::Own).map(|channel| channel.id);
    assert_eq!(next, Some(9));
}

#[test]
fn what_waits_on_an_own_channel_counts() {
    let (mut one, mut other) = pair(Opening::Peer, Opening::Ours);
    other.open_own();
    carry(1, &mut other, &mut one);
    let mut taken = 0;
    while one.send(1, Label::Own, &[1; 1_000], true).is_ok() {
        taken += 1_000;
    }
    assert!((PLAIN_BYTES + 1_000..=MOST_BYTES).contains(&taken), "{taken}");
    assert_eq!(one.waiting(1, true), Waiting::Much);
    assert_eq!(one.waiting(1 + PROGRESS_NS, true), Waiting::Stuck);
    carry(2, &mut one, &mut other);
    one.refresh(2);
    assert_eq!((one.waiting_bytes(), one.waiting(2, true)), (0, Waiting::Little));
}
