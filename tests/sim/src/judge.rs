//! What must have become of the packets.

use std::net::SocketAddr;

use ringway_abi::message::{
    DestinationSpec, ForwardSpec, InputPolicy, Rewrite, RtcpInput, SourcePolicy,
};
use ringway_wire::RtpView;
use ringway_wire::rtcp::{Compound, Packet};
use ringway_wire::sniff::{Protocol, sniff};

use crate::kernel::Sent;
use crate::plane::Plane;

/// A forward on `address` for anyone, RTCP on the next port.
pub fn forward(key: u64, address: SocketAddr) -> ForwardSpec {
    ForwardSpec {
        key,
        address: address.ip(),
        rtp_port: address.port(),
        rtcp: RtcpInput::NextPort,
        policy: InputPolicy { source: SourcePolicy::Any, ssrc: None },
    }
}

/// A destination at `rtp`, RTCP to the port after it, everything as it came.
pub fn destination(key: u64, shard: u16, rtp: SocketAddr) -> DestinationSpec {
    let rtcp = SocketAddr::new(rtp.ip(), rtp.port() + 1);
    DestinationSpec { key, shard, rtp, rtcp, rewrite: Rewrite::default() }
}

/// An address.
pub fn at(address: &str) -> SocketAddr {
    address.parse().expect("an address with a port")
}

/// The RTP packets that came to `to` from `from` and can be parsed, in the order of arrival.
pub fn rtp_taken(plane: &Plane, from: SocketAddr, to: SocketAddr) -> Vec<Vec<u8>> {
    let ours =
        plane.taken.iter().filter(|taken| taken.packet.from == from && taken.packet.to == to);
    ours.map(|taken| &taken.packet.bytes).filter(|bytes| is_rtp(bytes)).cloned().collect()
}

/// Whether the bytes are a valid RTP packet that is not taken for RTCP.
pub fn is_rtp(bytes: &[u8]) -> bool {
    sniff(bytes) == Protocol::Rtp && RtpView::parse(bytes).is_ok()
}

/// The RTP packets among what was sent.
pub fn rtp_sent(sent: &[&Sent]) -> Vec<Vec<u8>> {
    let bytes = sent.iter().map(|sent| &sent.packet.bytes);
    bytes.filter(|bytes| sniff(bytes) == Protocol::Rtp).cloned().collect()
}

/// A packet as a rewrite without a line must have made it.
pub fn rewritten(packet: &[u8], rewrite: &Rewrite) -> Vec<u8> {
    assert!(!rewrite.contiguous, "a line needs a judge of its own");
    let mut packet = packet.to_vec();
    if let Some(payload_type) = rewrite.payload_type {
        packet[1] = packet[1] & 0x80 | payload_type;
    }
    if let Some(ssrc) = rewrite.ssrc {
        packet[8..12].copy_from_slice(&ssrc.to_be_bytes());
    }
    packet
}

/// Asserts that two streams are the same, packet by packet.
pub fn assert_same(got: &[Vec<u8>], expect: &[Vec<u8>], of: &str) {
    for (index, (got, expect)) in got.iter().zip(expect).enumerate() {
        assert!(got == expect, "packet {index} of {of}:\n{got:02x?}\n{expect:02x?}");
    }
    assert_eq!(got.len(), expect.len(), "packets of {of}");
}

/// Asserts that `out` is `packet` apart from sequence number, timestamp, and what `rewrite` names.
/// Gives what was added to sequence number and timestamp.
pub fn shift(packet: &[u8], out: &[u8], ssrc: u32, rewrite: &Rewrite) -> (u16, u32) {
    let expect_type = rewrite.payload_type.map_or(packet[1], |pt| packet[1] & 0x80 | pt);
    assert_eq!((out[0], out[1]), (packet[0], expect_type), "first octets");
    assert_eq!(out[8..12], ssrc.to_be_bytes(), "SSRC");
    assert_eq!(out[12..], packet[12..], "everything after the fixed header");
    let (a, b) = (view(packet), view(out));
    (b.sequence().wrapping_sub(a.sequence()), b.timestamp().wrapping_sub(a.timestamp()))
}

/// A packet that was parsed before.
pub fn view(packet: &[u8]) -> RtpView<'_> {
    RtpView::parse(packet).expect("a valid packet")
}

/// The packets of a compound.
pub fn compound(bytes: &[u8]) -> Vec<Packet<'_>> {
    Compound::parse(bytes).expect("a valid compound").packets().collect()
}
