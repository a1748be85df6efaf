//! What RFC 3550 demands of a datagram with RTCP, read off its octets alone.

/// The canonical names that a datagram tells, by SSRC.
pub type Names = Vec<(u32, Vec<u8>)>;

const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const DESCRIPTION: u8 = 202;

/// Checks a datagram; `reduced`: it need not be a compound (RFC 5506). Gives the names it tells.
///
/// # Panics
/// If a receiver that goes by the RFCs must drop it.
pub fn judge_rtcp(datagram: &[u8], reduced: bool) -> Names {
    let mut rest = datagram;
    let mut names = Names::new();
    let mut reporters = Vec::new();
    let mut packets = 0;
    while !rest.is_empty() {
        assert!(rest.len() >= 4, "a whole header");
        let len = 4 + 4 * usize::from(u16::from_be_bytes([rest[2], rest[3]]));
        assert!(rest.len() >= len, "the lengths add up to the datagram (RFC 3550 A.2)");
        let (packet, behind) = rest.split_at(len);
        assert_eq!(packet[0] >> 6, 2, "version 2");
        let padded = packet[0] & 0x20 != 0;
        assert!(!padded || behind.is_empty(), "only the last packet has padding (6.4.1)");
        let report = [SENDER_REPORT, RECEIVER_REPORT].contains(&packet[1]);
        if packets == 0 && !reduced {
            assert!(report, "a compound begins with a report (6.1), not {}", packet[1]);
            assert!(!padded, "the first packet has no padding (A.2)");
        }
        if report {
            reporters.push(number(&packet[4..]));
        } else if packet[1] == DESCRIPTION {
            names.extend(described(packet));
        }
        packets += 1;
        rest = behind;
    }
    assert!(packets > 0, "an empty datagram");
    for reporter in &reporters {
        let named = names.iter().any(|(ssrc, name)| ssrc == reporter && !name.is_empty());
        assert!(named, "{reporter} reports without a name (6.1)");
    }
    names
}

/// The names in a source description (RFC 3550 6.5).
fn described(packet: &[u8]) -> Names {
    let mut names = Names::new();
    let mut at = 4;
    for _ in 0..packet[0] & 0x1f {
        let ssrc = number(&packet[at..]);
        at += 4;
        while packet[at] != 0 {
            let (kind, len) = (packet[at], usize::from(packet[at + 1]));
            if kind == 1 {
                names.push((ssrc, packet[at + 2..at + 2 + len].to_vec()));
            }
            at += 2 + len;
        }
        // One or more null octets, up to the next 32-bit boundary.
        at = (at + 1).next_multiple_of(4);
    }
    assert_eq!(at, packet.len(), "the chunks fill the packet");
    names
}

fn number(octets: &[u8]) -> u32 {
    u32::from_be_bytes([octets[0], octets[1], octets[2], octets[3]])
}
