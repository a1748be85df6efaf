//! Demultiplexing: the answer follows from two bytes, and no parser accepts what is not its own.

use ringway_wire::{Compound, Protocol, RtpView};

/// Asks what `data` is, and compares with the table of RFC 7983 and with both parsers.
pub fn sniff(data: &[u8]) {
    let protocol = ringway_wire::sniff(data);
    assert_eq!(protocol, expected(data));
    assert_eq!(protocol, ringway_wire::sniff(&data[..data.len().min(2)]));
    if RtpView::parse(data).is_ok() {
        assert!(matches!(protocol, Protocol::Rtp | Protocol::Rtcp));
    }
    if Compound::parse(data).is_ok() {
        assert_eq!(protocol, Protocol::Rtcp);
    }
}

/// The figure of RFC 7983 section 7 and the rule of RFC 5761 section 4, line by line.
fn expected(data: &[u8]) -> Protocol {
    if data.len() < 2 {
        return Protocol::Unknown;
    }
    let (first, second) = (data[0], data[1]);
    if first < 4 {
        Protocol::Stun
    } else if first > 15 && first < 20 {
        Protocol::Zrtp
    } else if first > 19 && first < 64 {
        Protocol::Dtls
    } else if first > 63 && first < 80 {
        Protocol::TurnChannel
    } else if first > 127 && first < 192 {
        if second > 191 && second < 224 { Protocol::Rtcp } else { Protocol::Rtp }
    } else {
        Protocol::Unknown
    }
}
