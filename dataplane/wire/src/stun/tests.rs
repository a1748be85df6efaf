//! The messages of RFC 5769, messages that are broken in one place, and what is written read back.

use std::net::SocketAddr;

use super::*;

const TRANSACTION: TransactionId =
    TransactionId([0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae]);

/// RFC 5769 2.1.
const REQUEST: &str = "
    00010058 2112a442 b7e7a701 bc34d686 fa87dfae
    80220010 5354554e 20746573 7420636c 69656e74
    00240004 6e0001ff
    80290008 932ff9b1 51263b36
    00060009 6576746a 3a683676 59202020
    00080014 9aeaa70c bfd8cb56 781ef2b5 b2d3f249 c1b571a2
    80280004 e57a3bcf";

/// RFC 5769 2.2.
const RESPONSE_IPV4: &str = "
    0101003c 2112a442 b7e7a701 bc34d686 fa87dfae
    8022000b 74657374 20766563 746f7220
    00200008 0001a147 e112a643
    00080014 2b91f599 fd9e90c3 8c7489f9 2af9ba53 f06be7d7
    80280004 c07d4c96";

/// RFC 5769 2.3.
const RESPONSE_IPV6: &str = "
    01010048 2112a442 b7e7a701 bc34d686 fa87dfae
    8022000b 74657374 20766563 746f7220
    00200014 0002a147 0113a9fa a5d3f179 bc25f4b5 bed2b9d9
    00080014 a382954e 4be67bf1 1784c97c 8292c275 bfe3ed41
    80280004 c8fb0b4c";

/// RFC 5769 2.4, with its own key: the long-term mechanism, no FINGERPRINT.
const REQUEST_LONG_TERM: &str = "
    00010060 2112a442 78ad3433 c6ad72c0 29da412e
    00060012 e3839ee3 8388e383 aae38383 e382af e382b90000
    0015001c 662f2f34 39396b39 35346436 4f4c3334 6f4c3946 53547679 3634734a
    00140 00b 6578616d 706c652e 6f726700
    00080014 f67024 65 6dd64a3e 02b8e071 2e85c9a2 8ca89666";

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        hex.chars().filter_map(|c| c.to_digit(16)).map(|digit| digit as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

#[test]
fn request_of_rfc_5769() {
    let request = bytes(REQUEST);
    let view = StunView::parse(&request).expect("a valid message");
    assert_eq!(view.message_type(), MessageType::binding(Class::Request));
    assert_eq!(view.transaction(), TRANSACTION);
    assert_eq!(view.software(), Some(&b"STUN test client"[..]));
    assert_eq!(view.username(), Some(&b"evtj:h6vY"[..]));
    assert_eq!(view.ufrags(), Some((&b"evtj"[..], &b"h6vY"[..])));
    assert_eq!(view.priority(), Some(0x6e00_01ff));
    assert_eq!(view.role(), Some(IceRole::Controlled(0x932f_f9b1_5126_3b36)));
    assert!(!view.use_candidate() && view.has_fingerprint() && view.unknown().is_empty());
    let signed = view.signed().expect("an integrity");
    assert_eq!(signed.header[..4], [0, 1, 0, 0x50]);
    assert_eq!([&signed.header[4..], signed.attributes].concat(), request[4..76]);
    assert_eq!(signed.tag[..], request[80..100]);
}

#[test]
fn responses_of_rfc_5769() {
    for (hex, address) in [
        (RESPONSE_IPV4, "192.0.2.1:32853"),
        (RESPONSE_IPV6, "[2001:db8:1234:5678:11:2233:4455:6677]:32853"),
    ] {
        let response = bytes(hex);
        let view = StunView::parse(&response).expect("a valid message");
        let address: SocketAddr = address.parse().expect("an address");
        assert_eq!(view.message_type(), MessageType::binding(Class::Success));
        assert_eq!(view.transaction(), TRANSACTION);
        assert_eq!(view.software(), Some(&b"test vector"[..]));
        assert_eq!(view.mapped_address(), Some(address));
        // Written again it is the same, but for the padding that RFC 5769 fills with spaces.
        let mut out = [0xaa; 128];
        let len = StunWriter::new(&mut out, view.message_type(), view.transaction())
            .software("test vector")
            .mapped_address(address)
            .finish()
            .expect("room");
        let mut expect = response[..len].to_vec();
        expect[2..4].copy_from_slice(&((len - HEADER_BYTES) as u16).to_be_bytes());
        expect[35] = 0;
        assert_eq!(out[..len], expect);
    }
}

#[test]
fn attributes_end_at_the_integrity() {
    let request = bytes(REQUEST);
    let view = StunView::parse(&request).expect("a valid message");
    let kinds: Vec<u16> = view.attributes().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, [0x8022, 0x0024, 0x8029, 0x0006]);
    let mut out = [0; 64];
    let address: SocketAddr = "192.0.2.1:32853".parse().expect("an address");
    let mut writer = StunWriter::new(&mut out, view.message_type(), view.transaction());
    let len = writer.address(0x0012, address).attribute(0x0013, &[1, 2, 3]).finish();
    let view = StunView::parse(&out[..len.expect("room")]).expect("a valid message");
    let [(0x0012, peer), (0x0013, [1, 2, 3])] = view.attributes().collect::<Vec<_>>()[..] else {
        panic!("other attributes")
    };
    assert_eq!(view.plain_address(peer), Some(address));
}

#[test]
fn long_term_attributes_are_unknown_here() {
    let request = bytes(REQUEST_LONG_TERM);
    let view = StunView::parse(&request).expect("a valid message");
    assert_eq!(view.unknown(), [0x0015, 0x0014]); // NONCE, REALM
    assert_eq!(view.ufrags(), None);
    assert!(!view.has_fingerprint());
    assert_eq!(view.signed().map(|signed| signed.attributes.len()), Some(72));
}

/// The request of RFC 5769 with `changes`, its FINGERPRINT cut off so that it does not mask them.
fn check(changes: &[(usize, u8)], expect: Result<(), StunError>) {
    let mut request = bytes(REQUEST);
    request.truncate(100);
    request[3] = 80;
    for &(offset, byte) in changes {
        request[offset] = byte;
    }
    assert_eq!(StunView::parse(&request).map(drop), expect, "{changes:?}");
}

#[test]
fn every_length_is_checked() {
    let attribute = Err(StunError::Attribute);
    check(&[], Ok(()));
    check(&[(0, 0x40)], Err(StunError::Cookie));
    check(&[(4, 0x20)], Err(StunError::Cookie));
    check(&[(3, 76)], Err(StunError::Length));
    check(&[(3, 84)], Err(StunError::Length));
    check(&[(3, 79)], Err(StunError::Length));
    check(&[(2, 0xff)], Err(StunError::Length));
    check(&[(23, 0xff)], attribute); // SOFTWARE over the end
    check(&[(22, 0xff)], attribute);
    check(&[(43, 3)], attribute); // PRIORITY of three bytes
    check(&[(43, 0)], attribute);
    check(&[(51, 7)], attribute); // tie-breaker of seven
    check(&[(79, 16)], attribute); // integrity of sixteen
    check(&[(77, 0x25)], attribute); // USE-CANDIDATE with a value
    check(&[(77, 0x20)], attribute); // XOR-MAPPED-ADDRESS of no family
    check(&[(76, 0x80), (77, 0x28)], attribute); // FINGERPRINT of twenty
    let request = bytes(REQUEST);
    for len in 0..request.len() {
        assert_eq!(StunView::parse(&request[..len]).map(drop), Err(StunError::Length), "{len}");
    }
}

#[test]
fn a_flipped_bit_is_noticed_by_the_fingerprint() {
    let request = bytes(REQUEST);
    for bit in 8 * HEADER_BYTES..8 * 100 {
        let mut flipped = request.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        // A length may grow over the fingerprint; then there is none.
        let found = StunView::parse(&flipped).is_ok_and(|view| view.has_fingerprint());
        assert!(!found, "bit {bit}");
    }
}

fn sixty_attributes(count: usize, kind: u16) -> Vec<u8> {
    let mut message = bytes("00010000 2112a442 b7e7a701 bc34d686 fa87dfae");
    for index in 0..count {
        message.extend((kind + index as u16).to_be_bytes());
        message.extend([0, 0]);
    }
    message[2..4].copy_from_slice(&((4 * count) as u16).to_be_bytes());
    message
}

#[test]
fn attributes_are_bounded() {
    let check = |count, kind, expect: Result<usize, StunError>| {
        let message = sixty_attributes(count, kind);
        let found = StunView::parse(&message).map(|view| view.unknown().len());
        assert_eq!(found, expect, "{count} of {kind:04x}");
    };
    check(0, 0x7000, Ok(0));
    check(3, 0x7000, Ok(3));
    check(MAX_ATTRIBUTES, 0x7000, Ok(MAX_UNKNOWN));
    check(MAX_ATTRIBUTES, 0xc000, Ok(0));
    check(MAX_ATTRIBUTES + 1, 0xc000, Err(StunError::Attribute));
}

#[test]
fn what_follows_the_integrity_is_ignored_and_nothing_follows_the_fingerprint() {
    let mut out = [0; 256];
    let mut writer = StunWriter::new(&mut out, MessageType::binding(Class::Request), TRANSACTION);
    writer.priority(7).integrity(|_| [9; 20]).use_candidate().priority(8);
    let len = writer.finish().expect("room");
    let view = StunView::parse(&out[..len]).expect("a valid message");
    assert_eq!((view.priority(), view.use_candidate()), (Some(7), false));
    assert_eq!(view.signed().map(|signed| *signed.tag), Some([9; 20]));

    let mut writer = StunWriter::new(&mut out, MessageType::binding(Class::Request), TRANSACTION);
    let len = writer.fingerprint().use_candidate().finish().expect("room");
    assert_eq!(StunView::parse(&out[..len]).map(drop), Err(StunError::Attribute));
}

#[test]
fn a_check_is_read_as_written() {
    let mut out = [0xaa; 256];
    let mut covered = 0;
    let len = StunWriter::new(&mut out, MessageType::binding(Class::Request), TRANSACTION)
        .username(b"us", b"them")
        .priority(1)
        .role(IceRole::Controlling(2))
        .use_candidate()
        .integrity(|message| {
            covered = message.len();
            [3; 20]
        })
        .fingerprint()
        .finish()
        .expect("room");
    let view = StunView::parse(&out[..len]).expect("a valid message");
    assert_eq!(view.ufrags(), Some((&b"us"[..], &b"them"[..])));
    assert_eq!(view.role(), Some(IceRole::Controlling(2)));
    assert!(view.use_candidate() && view.has_fingerprint());
    let signed = view.signed().expect("an integrity");
    assert_eq!(signed.header.len() + signed.attributes.len(), covered);

    let len = StunWriter::new(&mut out, MessageType::binding(Class::Error), TRANSACTION)
        .error_code(487, "Role Conflict")
        .unknown_attributes(&[1, 2, 3])
        .finish()
        .expect("room");
    let view = StunView::parse(&out[..len]).expect("a valid message");
    assert_eq!(view.error(), Some(ErrorCode { code: 487, reason: b"Role Conflict" }));
}

#[test]
fn what_does_not_fit_is_refused() {
    let mut space = [0; 128];
    for available in 0..space.len() {
        let out = &mut space[..available];
        let found = StunWriter::new(out, MessageType::binding(Class::Success), TRANSACTION)
            .mapped_address("[2001:db8::1]:9".parse().expect("an address"))
            .integrity(|_| [0; 20])
            .fingerprint()
            .finish();
        let needed = HEADER_BYTES + 24 + 24 + 8;
        let expect = if available < needed { Err(StunRoomError { available }) } else { Ok(needed) };
        assert_eq!(found, expect);
    }
}
