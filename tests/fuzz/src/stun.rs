//! STUN: what is accepted, what it says when written again, and that nobody without the password is
//! granted anything.

use ringway_proto::ice::{IceAgent, IceCredentials, Path, PathProtocol};
use ringway_wire::stun::{
    BINDING, Class, HEADER_BYTES, INTEGRITY_BYTES, MAX_UNKNOWN, MAX_USERNAME_BYTES, StunView,
    StunWriter,
};

/// Parses `data` as STUN, compares with a slow second reading, writes it again, and gives it to a
/// lite agent.
pub fn stun(data: &[u8]) {
    let Ok(view) = StunView::parse(data) else { return };
    let attributes = attributes(data);
    assert_eq!(view.transaction().0[..], data[8..20]);
    assert!(view.message_type().method <= 0xfff && view.unknown().len() <= MAX_UNKNOWN);
    let end = attributes.iter().position(|(kind, _)| *kind == 0x0008).unwrap_or(attributes.len());
    let first = |wanted: u16| {
        attributes[..end].iter().find(|(kind, _)| *kind == wanted).map(|(_, value)| *value)
    };
    assert_eq!(view.username(), first(0x0006));
    assert_eq!(view.software(), first(0x8022));
    assert_eq!(view.use_candidate(), first(0x0025).is_some());
    assert_eq!(view.priority().map(u32::to_be_bytes), first(0x0024).map(|v| v.try_into().unwrap()));
    assert_eq!(view.mapped_address().is_some(), first(0x0020).is_some());
    assert!(view.username().is_none_or(|username| username.len() <= MAX_USERNAME_BYTES));
    assert_eq!(view.signed().is_some(), end < attributes.len());
    if let Some(signed) = view.signed() {
        let covered = HEADER_BYTES + signed.attributes.len();
        assert_eq!(signed.attributes, &data[HEADER_BYTES..covered]);
        assert_eq!(signed.tag[..], data[covered + 4..covered + 4 + INTEGRITY_BYTES]);
        assert_eq!(usize::from(u16::from_be_bytes([signed.header[2], signed.header[3]])) - 4, {
            signed.attributes.len() + INTEGRITY_BYTES
        });
    }
    check_written_again(&view);
    check_refused(&view, data);
}

/// The attributes by RFC 8489 14, written without regard for speed.
fn attributes(data: &[u8]) -> Vec<(u16, &[u8])> {
    let (mut found, mut at) = (Vec::new(), HEADER_BYTES);
    while at < data.len() {
        let kind = u16::from_be_bytes([data[at], data[at + 1]]);
        let length = usize::from(u16::from_be_bytes([data[at + 2], data[at + 3]]));
        found.push((kind, &data[at + 4..at + 4 + length]));
        at += 4 + length + (4 - length % 4) % 4;
    }
    assert_eq!(at, data.len());
    found
}

fn check_written_again(view: &StunView<'_>) {
    let mut out = [0xaa; 4096];
    let mut writer = StunWriter::new(&mut out, view.message_type(), view.transaction());
    if let Some((receiver, sender)) = view.ufrags() {
        writer.username(receiver, sender);
    }
    view.priority().map(|priority| writer.priority(priority));
    view.role().map(|role| writer.role(role));
    if view.use_candidate() {
        writer.use_candidate();
    }
    view.mapped_address().map(|address| writer.mapped_address(address));
    let len = writer.integrity(|_| [7; 20]).fingerprint().finish().expect("there is room");
    let again = StunView::parse(&out[..len]).expect("what was written can be read");
    assert_eq!(again.message_type(), view.message_type());
    assert_eq!(again.transaction(), view.transaction());
    assert_eq!(again.ufrags(), view.ufrags());
    assert_eq!(again.priority(), view.priority());
    assert_eq!(again.role(), view.role());
    assert_eq!(again.use_candidate(), view.use_candidate());
    // An IPv4 address in an IPv6 one comes back as IPv4.
    let plain = |address: std::net::SocketAddr| (address.ip().to_canonical(), address.port());
    assert_eq!(again.mapped_address().map(plain), view.mapped_address().map(plain));
    assert!(again.has_fingerprint());
}

/// Nobody who is fuzzing knows the password.
fn check_refused(view: &StunView<'_>, data: &[u8]) {
    let ufrag = view.ufrags().map_or(&b"ufrag"[..], |(ours, _)| ours);
    let password = b"nobody+knows+this+password";
    let credentials = IceCredentials::new(ufrag, password)
        .or_else(|| IceCredentials::new(b"ufrag", password))
        .expect("valid credentials");
    let mut agent = IceAgent::lite(&credentials);
    let path = Path { remote: ([192, 0, 2, 1], 1).into(), protocol: PathProtocol::Udp, socket: 0 };
    agent.handle_stun(1, path, view, data).expect_err("nobody was granted anything");
    assert_eq!((agent.selected(), agent.send_path(), agent.known().count()), (None, None, 0));
    let mut out = [0; 1500];
    let request = view.message_type().class == Class::Request;
    if let Some(sent) = agent.poll_transmit(1, &mut out) {
        let answer = StunView::parse(&out[..sent.len]).expect("a valid answer");
        assert!(request && view.message_type().method == BINDING && sent.len <= 128);
        assert_eq!(answer.message_type().class, Class::Error);
        assert_eq!(answer.transaction(), view.transaction());
        assert!(answer.signed().is_none());
    }
}
