//! Which records may reach AWS-LC. Until a handshake is finished anybody who can send from the
//! peer's address can write records that look right, and some of them end or stall a session of
//! AWS-LC. No honest peer needs those.
//!
//! What this cannot stop is a forger who writes well-formed messages of the handshake with the
//! right numbers: DTLS authenticates them only at the end. Datagrams must come from addresses that
//! ICE has authenticated.

use crate::{Drop, DropCounts, Role};

/// Longest handshake message, bytes. WebRTC's certificates have less than 2 kB. With seven messages
/// that AWS-LC may assemble at a time this bounds what a peer can make us keep.
pub(crate) const MAX_MESSAGE_LEN: usize = 8 * 1024;

const RECORD_HEADER_LEN: usize = 13;
const FRAGMENT_HEADER_LEN: usize = 12;
/// Where a record has epoch and sequence number: 16 and 48 bits.
const EPOCH_AT: usize = 3;
const SEQUENCE_AT: usize = 5;
const LEN_AT: usize = 11;

const CHANGE_CIPHER_SPEC: u8 = 20;
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const APPLICATION_DATA: u8 = 23;

const FATAL: u8 = 2;

/// How far the handshake is, as far as the filter cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// A server that has answered nothing yet.
    Fresh,
    /// Flights go to and fro.
    Underway,
    Finished,
}

/// The filter of one session.
pub(crate) struct Filter {
    role: Role,
    pub(crate) phase: Phase,
    /// The sequence number that the next record without encryption gets.
    plaintext_sequence: u64,
    /// The last fatal alert without encryption. It may be forged, so it is only for people to read.
    pub(crate) alert: Option<u8>,
}

impl Filter {
    pub(crate) fn new(role: Role) -> Self {
        let phase = match role {
            Role::Server => Phase::Fresh,
            Role::Client => Phase::Underway,
        };
        Self { role, phase, plaintext_sequence: 0, alert: None }
    }

    /// Copies the records of `datagram` that may pass to the end of `out`.
    pub(crate) fn admit(&mut self, datagram: &[u8], out: &mut Vec<u8>, drops: &mut DropCounts) {
        let mut rest = datagram;
        while !rest.is_empty() {
            let Some((header, body, behind)) = split_record(rest) else {
                drops.count(Drop::Malformed);
                return;
            };
            rest = behind;
            match self.check(header, body) {
                Ok(()) => self.copy(header, body, out),
                Err(reason) => drops.count(reason),
            }
        }
    }

    fn copy(&mut self, header: &[u8; RECORD_HEADER_LEN], body: &[u8], out: &mut Vec<u8>) {
        let mut header = *header;
        if is_plaintext(&header) {
            // RFC 6347 4.1.2.6: records with old numbers are replays. Without encryption nobody
            // vouches for the number, and one forged record with a high one would make all honest
            // ones old. So they get new numbers here.
            header[SEQUENCE_AT..LEN_AT]
                .copy_from_slice(&self.plaintext_sequence.to_be_bytes()[2..]);
            self.plaintext_sequence += 1;
        }
        out.extend_from_slice(&header);
        out.extend_from_slice(body);
    }

    fn check(&mut self, header: &[u8; RECORD_HEADER_LEN], body: &[u8]) -> Result<(), Drop> {
        let kind = header[0];
        if !(CHANGE_CIPHER_SPEC..=APPLICATION_DATA).contains(&kind) {
            return Err(Drop::UnknownType);
        }
        match (is_plaintext(header), self.phase) {
            (true, Phase::Finished) => Err(Drop::PlaintextAfterHandshake),
            (true, _) => self.check_plaintext(kind, body),
            (false, Phase::Fresh) => Err(Drop::TooEarly),
            // AWS-LC drops what its key does not open.
            (false, _) => Ok(()),
        }
    }

    fn check_plaintext(&mut self, kind: u8, body: &[u8]) -> Result<(), Drop> {
        match kind {
            HANDSHAKE => self.check_fragments(body),
            CHANGE_CIPHER_SPEC if self.phase == Phase::Underway && body == [1] => Ok(()),
            CHANGE_CIPHER_SPEC => Err(Drop::CipherChange),
            ALERT => {
                if let [FATAL, description] = body {
                    self.alert = Some(*description);
                }
                Err(Drop::PlaintextAlert)
            }
            _ => Err(Drop::PlaintextData),
        }
    }

    /// RFC 6347 4.2.2: type, length (24 bits), message number (16), where the fragment begins (24)
    /// and how long it is (24).
    fn check_fragments(&self, mut body: &[u8]) -> Result<(), Drop> {
        if body.is_empty() {
            return Err(Drop::Handshake);
        }
        while !body.is_empty() {
            let (header, rest) =
                body.split_first_chunk::<FRAGMENT_HEADER_LEN>().ok_or(Drop::Handshake)?;
            let [kind, l0, l1, l2, n0, n1, o0, o1, o2, f0, f1, f2] = *header;
            let (message_len, number) = (number_of([l0, l1, l2]), u16::from_be_bytes([n0, n1]));
            let (offset, len) = (number_of([o0, o1, o2]), number_of([f0, f1, f2]));
            let fits = offset + len <= message_len && message_len <= MAX_MESSAGE_LEN;
            // An empty fragment of a message that is not empty says nothing, but takes memory.
            let empty = len == 0 && message_len > 0;
            if !fits || empty || !self.expects(kind, number) {
                return Err(Drop::Handshake);
            }
            body = rest.get(len..).ok_or(Drop::Handshake)?;
        }
        Ok(())
    }

    /// Whether message `number` without encryption may be of this kind.
    fn expects(&self, kind: u8, number: u16) -> bool {
        match self.role {
            // RFC 5246 7.3, as we ask for a certificate, and without it there is no session.
            Role::Server => match number {
                // ClientHello.
                0 => kind == 1,
                _ if self.phase == Phase::Fresh => false,
                // Certificate, ClientKeyExchange, CertificateVerify.
                1 => kind == 11,
                2 => kind == 16,
                3 => kind == 15,
                _ => false,
            },
            // ServerHello, HelloVerifyRequest, NewSessionTicket, Certificate, ServerKeyExchange,
            // CertificateRequest, ServerHelloDone, CertificateStatus: some may be missing.
            Role::Client => number < 8 && matches!(kind, 2 | 3 | 4 | 11 | 12 | 13 | 14 | 22),
        }
    }
}

/// A record's header, its body, and what is behind it.
type Split<'a> = (&'a [u8; RECORD_HEADER_LEN], &'a [u8], &'a [u8]);

/// Nothing if it is not a whole record of DTLS.
fn split_record(bytes: &[u8]) -> Option<Split<'_>> {
    let (header, rest) = bytes.split_first_chunk::<RECORD_HEADER_LEN>()?;
    let len = usize::from(u16::from_be_bytes([header[LEN_AT], header[LEN_AT + 1]]));
    let (body, behind) = rest.split_at_checked(len)?;
    // RFC 6347 4.1: versions are the ones' complement of TLS's, so the first byte is always this.
    (header[1] == 0xfe).then_some((header, body, behind))
}

fn is_plaintext(header: &[u8; RECORD_HEADER_LEN]) -> bool {
    header[EPOCH_AT..SEQUENCE_AT] == [0, 0]
}

fn number_of(bytes: [u8; 3]) -> usize {
    let [high, middle, low] = bytes.map(usize::from);
    high << 16 | middle << 8 | low
}

#[cfg(test)]
#[path = "filter_tests.rs"]
mod tests;
