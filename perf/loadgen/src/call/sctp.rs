//! The least SCTP: enough to let a server's data channels open, which some servers wait for before
//! they call a participant active.
//!
//! It never begins an association, acknowledges what comes, and answers the opening of a channel
//! (RFC 8832). Nothing is ever read from or written to a channel.

use std::collections::VecDeque;

const INIT: u8 = 1;
const INIT_ACK: u8 = 2;
const SACK: u8 = 3;
const HEARTBEAT: u8 = 4;
const HEARTBEAT_ACK: u8 = 5;
const COOKIE_ECHO: u8 = 10;
const COOKIE_ACK: u8 = 11;
const DATA: u8 = 0;

const STATE_COOKIE: u16 = 7;
/// RFC 8832 8.1: the payload protocol of channel set-up.
const CONTROL_PROTOCOL: u32 = 50;
const CHANNEL_OPEN: u8 = 3;
const CHANNEL_ACK: u8 = 2;

const COMMON_BYTES: usize = 12;
const WINDOW_BYTES: u32 = 128 * 1024;
/// Answers that were not acknowledged are sent again this often.
const AGAIN_NS: u64 = 500_000_000;
/// Answers that are remembered: a server opens a handful of channels.
const MAX_UNACKNOWLEDGED: usize = 16;

/// One association, of which we are the quiet end.
#[derive(Clone, Debug)]
pub struct QuietSctp {
    our_tag: u32,
    peer_tag: u32,
    ports: [u8; 4],
    next_tsn: u32,
    peer_tsn: u32,
    unacknowledged: Vec<(u32, Vec<u8>)>,
    again_ns: u64,
    out: VecDeque<Vec<u8>>,
}

impl QuietSctp {
    /// An association that waits for the peer; `tag` is any number but 0.
    pub fn new(tag: u32) -> Self {
        Self {
            our_tag: tag,
            peer_tag: 0,
            ports: [0x13, 0x88, 0x13, 0x88],
            next_tsn: tag,
            peer_tsn: 0,
            unacknowledged: Vec::new(),
            again_ns: u64::MAX,
            out: VecDeque::new(),
        }
    }

    /// Takes a packet of the peer's.
    pub fn handle_packet(&mut self, now_ns: u64, packet: &[u8]) {
        let Some((head, mut rest)) = packet.split_at_checked(COMMON_BYTES) else { return };
        self.ports = [head[2], head[3], head[0], head[1]];
        let mut acknowledge = false;
        while let Some((chunk, after)) = split_chunk(rest) {
            rest = after;
            match chunk[0] {
                INIT => self.handle_init(chunk),
                COOKIE_ECHO => self.send(&[COOKIE_ACK, 0, 0, 4]),
                HEARTBEAT => {
                    let mut answer = chunk.to_vec();
                    answer[0] = HEARTBEAT_ACK;
                    self.send(&answer);
                }
                DATA => {
                    self.handle_data(now_ns, chunk);
                    acknowledge = true;
                }
                SACK => {
                    if let Some(tsn) = word(chunk, 4) {
                        self.unacknowledged
                            .retain(|(sent, _)| sent.wrapping_sub(tsn).cast_signed() > 0);
                    }
                }
                _ => {}
            }
        }
        if acknowledge {
            let mut sack = vec![SACK, 0, 0, 16];
            sack.extend(self.peer_tsn.to_be_bytes());
            sack.extend(WINDOW_BYTES.to_be_bytes());
            sack.extend([0; 4]);
            self.send(&sack);
        }
    }

    fn handle_init(&mut self, chunk: &[u8]) {
        let (Some(tag), Some(tsn)) = (word(chunk, 4), word(chunk, 16)) else { return };
        (self.peer_tag, self.peer_tsn) = (tag, tsn.wrapping_sub(1));
        // RFC 9260 3.3.3: tag, window, streams both ways, first TSN, and the cookie.
        let mut answer = vec![INIT_ACK, 0, 0, 28];
        answer.extend(self.our_tag.to_be_bytes());
        answer.extend(WINDOW_BYTES.to_be_bytes());
        answer.extend([0xff; 4]);
        answer.extend(self.next_tsn.to_be_bytes());
        answer.extend(STATE_COOKIE.to_be_bytes());
        answer.extend(8_u16.to_be_bytes());
        answer.extend(self.our_tag.to_be_bytes());
        self.send(&answer);
    }

    fn handle_data(&mut self, now_ns: u64, chunk: &[u8]) {
        let (Some(tsn), Some(protocol)) = (word(chunk, 4), word(chunk, 12)) else { return };
        // DTLS over one path does not reorder; what comes again only moves nothing.
        if tsn.wrapping_sub(self.peer_tsn).cast_signed() != 1 {
            return;
        }
        self.peer_tsn = tsn;
        let open = protocol == CONTROL_PROTOCOL && chunk.get(16) == Some(&CHANNEL_OPEN);
        if !open || self.unacknowledged.len() >= MAX_UNACKNOWLEDGED {
            return;
        }
        // Both fragment bits: the message is whole. The stream is that of the opening.
        let mut answer = vec![DATA, 3, 0, 17];
        answer.extend(self.next_tsn.to_be_bytes());
        answer.extend(&chunk[8..10]);
        answer.extend([0; 2]);
        answer.extend(CONTROL_PROTOCOL.to_be_bytes());
        answer.extend([CHANNEL_ACK, 0, 0, 0]);
        self.send(&answer);
        self.unacknowledged.push((self.next_tsn, answer));
        self.next_tsn = self.next_tsn.wrapping_add(1);
        self.again_ns = now_ns + AGAIN_NS;
    }

    /// Lets time pass.
    pub fn handle_timeout(&mut self, now_ns: u64) {
        if now_ns < self.again_ns {
            return;
        }
        self.again_ns = if self.unacknowledged.is_empty() { u64::MAX } else { now_ns + AGAIN_NS };
        for (_, answer) in std::mem::take(&mut self.unacknowledged) {
            self.send(&answer);
            self.unacknowledged.push((word(&answer, 4).unwrap_or(0), answer));
        }
    }

    /// The next packet to send.
    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.out.pop_front()
    }

    fn send(&mut self, chunk: &[u8]) {
        let mut packet = self.ports.to_vec();
        packet.extend(self.peer_tag.to_be_bytes());
        packet.extend([0; 4]);
        packet.extend(chunk);
        packet.resize(packet.len().next_multiple_of(4), 0);
        // RFC 9260 appendix A: over the packet with a checksum of zero, lowest byte first.
        let checksum = crc32c(&packet);
        packet[8..12].copy_from_slice(&checksum.to_le_bytes());
        self.out.push_back(packet);
    }
}

fn split_chunk(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = usize::from(u16::from_be_bytes([*bytes.get(2)?, *bytes.get(3)?]));
    if length < 4 {
        return None;
    }
    let chunk = bytes.get(..length)?;
    Some((chunk, bytes.get(length.next_multiple_of(4)..).unwrap_or(&[])))
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// Bit by bit: a handful of packets in the life of a connection.
fn crc32c(bytes: &[u8]) -> u32 {
    const REVERSED_POLYNOMIAL: u32 = 0x82f6_3b78;
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            if crc & 1 == 1 { crc >> 1 ^ REVERSED_POLYNOMIAL } else { crc >> 1 }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(chunk: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x13, 0x88, 0x13, 0x88, 0, 0, 0, 7, 0, 0, 0, 0];
        packet.extend(chunk);
        packet
    }

    fn answers(sctp: &mut QuietSctp, chunk: &[u8]) -> Vec<Vec<u8>> {
        sctp.handle_packet(0, &packet(chunk));
        std::iter::from_fn(|| sctp.poll_transmit()).map(|packet| packet[12..].to_vec()).collect()
    }

    #[test]
    fn checksum_is_castagnolis() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn a_channel_opens() {
        let mut sctp = QuietSctp::new(7);
        let init = [1, 0, 0, 20, 0, 0, 0, 9, 0, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 100];
        let got = answers(&mut sctp, &init);
        assert_eq!((got[0][0], &got[0][4..8]), (INIT_ACK, &[0, 0, 0, 7][..]));
        assert_eq!(answers(&mut sctp, &[10, 0, 0, 8, 0, 0, 0, 7]), [[COOKIE_ACK, 0, 0, 4]]);
        let open = [0, 3, 0, 17, 0, 0, 0, 100, 0, 1, 0, 0, 0, 0, 0, 50, CHANNEL_OPEN, 0, 0, 0];
        let got = answers(&mut sctp, &open);
        assert_eq!(got[0][..4], [DATA, 3, 0, 17]);
        assert_eq!(got[0][8..10], [0, 1], "the opening's stream");
        assert_eq!(got[0][16], CHANNEL_ACK);
        assert_eq!((got[1][0], &got[1][4..8]), (SACK, &[0, 0, 0, 100][..]));
        // Without an acknowledgement it is sent again, with one no more.
        sctp.handle_timeout(AGAIN_NS);
        assert!(sctp.poll_transmit().is_some());
        assert!(answers(&mut sctp, &[3, 0, 0, 16, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0]).is_empty());
        sctp.handle_timeout(9 * AGAIN_NS);
        assert_eq!(sctp.poll_transmit(), None);
    }

    #[test]
    fn broken_packets_are_passed_over() {
        let mut sctp = QuietSctp::new(7);
        for bytes in [&[][..], &[0; 12], &[0; 13], &[0, 3, 0, 0], &[1, 0, 0, 4], &[3, 0, 255, 255]]
        {
            assert!(answers(&mut sctp, bytes).len() <= 1);
            sctp.handle_packet(0, bytes);
        }
    }
}
