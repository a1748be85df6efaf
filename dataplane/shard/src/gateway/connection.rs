//! One TCP connection of a peer: bytes in become packets, packets out become bytes.

use std::net::SocketAddr;

use ringway_proto::framing::{FrameReader, FrameTooLong, frame_header};
use ringway_wire::sniff::{Protocol, sniff};

use super::guests::STRANGER_NS;
use super::waiting::Waiting;

/// Messages of a stranger that are offered to the shards. Each costs all of them a check.
const STRANGER_MESSAGES: u8 = 8;

/// Why a connection ends on our side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unwelcome {
    /// What it sends is no sequence of frames.
    #[error(transparent)]
    Frame(#[from] FrameTooLong),
    /// A stranger sends something other than checks.
    #[error("something other than a STUN message before anybody knew it")]
    Protocol,
    /// No shard knows what it asks for.
    #[error("nobody knows the STUN messages that it sends")]
    Unknown,
}

/// Where a packet goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    /// To the shard that has claimed the connection.
    Owner(u16),
    /// To all: a stranger's check.
    All,
}

/// A connection's state without its socket.
#[derive(Debug)]
pub struct Connection {
    /// The peer.
    pub remote: SocketAddr,
    owner: Option<u16>,
    since_ns: u64,
    offered: u8,
    reader: FrameReader,
    waiting: Waiting,
}

impl Connection {
    /// A stranger has connected.
    pub fn new(now_ns: u64, remote: SocketAddr) -> Self {
        Self {
            remote,
            owner: None,
            since_ns: now_ns,
            offered: 0,
            reader: FrameReader::new(),
            waiting: Waiting::default(),
        }
    }

    /// The shard that has claimed it.
    pub fn owner(&self) -> Option<u16> {
        self.owner
    }

    /// A shard claims it; `false` when another one has.
    pub fn claim(&mut self, shard: u16) -> bool {
        *self.owner.get_or_insert(shard) == shard
    }

    /// Whether it has been a stranger for too long.
    pub fn is_overdue(&self, now_ns: u64) -> bool {
        self.owner.is_none() && now_ns.saturating_sub(self.since_ns) >= STRANGER_NS
    }

    /// Takes what was read and gives the packets in it.
    pub fn handle_bytes(
        &mut self,
        mut bytes: &[u8],
        mut give: impl FnMut(To, &[u8]),
    ) -> Result<(), Unwelcome> {
        while !bytes.is_empty() {
            let taken = self.reader.put(bytes);
            bytes = bytes.get(taken..).unwrap_or(&[]);
            while let Some(packet) = self.reader.poll_frame()? {
                if let Some(owner) = self.owner {
                    give(To::Owner(owner), packet);
                    continue;
                }
                if sniff(packet) != Protocol::Stun {
                    return Err(Unwelcome::Protocol);
                }
                if self.offered == STRANGER_MESSAGES {
                    return Err(Unwelcome::Unknown);
                }
                self.offered += 1;
                give(To::All, packet);
            }
        }
        Ok(())
    }

    /// Takes a packet to be sent; `false`: it was dropped, as too much waits already.
    pub fn queue(&mut self, packet: &[u8]) -> bool {
        frame_header(packet).is_some_and(|header| self.waiting.queue(&[&header, packet]))
    }

    /// What is to be written next.
    pub fn unwritten(&self) -> &[u8] {
        self.waiting.unwritten()
    }

    /// So much of it was.
    pub fn wrote(&mut self, bytes: usize) {
        self.waiting.wrote(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stranger() -> Connection {
        Connection::new(0, SocketAddr::from(([192, 0, 2, 1], 9)))
    }

    fn framed(packet: &[u8]) -> Vec<u8> {
        let header = frame_header(packet).expect("it fits");
        [&header[..], packet].concat()
    }

    /// A STUN message as far as its first bytes tell.
    fn check() -> Vec<u8> {
        let mut message = vec![0; 20];
        message[1] = 1;
        message[4..8].copy_from_slice(&[0x21, 0x12, 0xa4, 0x42]);
        message
    }

    /// What came of some bytes, and the packets that were in them.
    type Given = (Result<(), Unwelcome>, Vec<(To, Vec<u8>)>);

    fn given(connection: &mut Connection, bytes: &[u8]) -> Given {
        let mut given = Vec::new();
        let result = connection.handle_bytes(bytes, |to, packet| given.push((to, packet.to_vec())));
        (result, given)
    }

    #[test]
    fn a_stranger_may_only_check() {
        let mut connection = stranger();
        let (result, packets) = given(&mut connection, &framed(&check()));
        assert_eq!((result, packets), (Ok(()), vec![(To::All, check())]));
        let record = [22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let (result, packets) = given(&mut connection, &framed(&record));
        assert_eq!((result, packets), (Err(Unwelcome::Protocol), vec![]));

        let mut connection = stranger();
        assert!(connection.claim(3) && connection.claim(3) && !connection.claim(4));
        let (result, packets) = given(&mut connection, &framed(&record));
        assert_eq!((result, packets), (Ok(()), vec![(To::Owner(3), record.to_vec())]));
    }

    #[test]
    fn a_stranger_is_heard_out_only_so_long() {
        let mut connection = stranger();
        let many = framed(&check()).repeat(9);
        let (result, packets) = given(&mut connection, &many);
        assert_eq!((result, packets.len()), (Err(Unwelcome::Unknown), 8));
        assert!(!connection.is_overdue(STRANGER_NS - 1) && connection.is_overdue(STRANGER_NS));
        connection.claim(0);
        assert!(!connection.is_overdue(u64::MAX));
    }

    #[test]
    fn other_protocols_are_noticed_at_once() {
        let (result, packets) = given(&mut stranger(), b"GET / HTTP/1.1\r\n\r\n");
        assert!(matches!(result, Err(Unwelcome::Frame(_))), "{result:?}");
        assert!(packets.is_empty());
    }

    #[test]
    fn packets_that_have_no_frame_are_dropped() {
        let mut connection = stranger();
        assert!(connection.queue(&[1, 2, 3]));
        assert!(!connection.queue(&[]) && !connection.queue(&vec![0; 70_000]));
        assert_eq!(connection.unwritten(), [0, 3, 1, 2, 3]);
    }
}
