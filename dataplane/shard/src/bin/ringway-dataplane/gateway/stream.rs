//! A TURN client's TCP connection, with or without TLS on it.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use ringway_proto::turn::{Client, TurnStream};
use ringway_shard::gateway::guests::STRANGER_NS;
use ringway_shard::gateway::waiting::Waiting;
use ringway_wire::proxy::Header;
use rustls::{ServerConfig, ServerConnection};

/// Octets put under TLS at once: one record.
const RECORD_BYTES: usize = 16 * 1024;
/// Messages of a client that has no allocation yet; it needs three.
pub(super) const STRANGER_MESSAGES: u32 = 32;

/// A connection and what is known of its client.
pub(super) struct Stream {
    pub(super) socket: TcpStream,
    /// What has come of the header in which a proxy says whose connection this is, if there is one
    /// and it is not whole yet.
    introduction: Option<Vec<u8>>,
    tls: Option<Box<ServerConnection>>,
    pub(super) client: Client,
    pub(super) reader: TurnStream,
    pub(super) waiting: Waiting,
    /// It had an allocation at least once.
    pub(super) claimed: bool,
    /// Waits for the peer to read.
    pub(super) blocked: bool,
    /// Since when it has no allocation, if it has none.
    pub(super) since_ns: u64,
    /// Messages before it had one.
    pub(super) heard: u32,
}

/// Whether it is known whose connection one is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Introduced {
    /// Not yet.
    Not,
    /// It is that of whoever connected.
    Already,
    /// This client's.
    Now(SocketAddr),
}

impl Stream {
    /// A stranger has connected; `proxied`: one that says first whose connection it passes on.
    pub(super) fn new(
        now_ns: u64,
        socket: TcpStream,
        client: Client,
        keys: Option<&Arc<ServerConfig>>,
        proxied: bool,
    ) -> Result<Self, rustls::Error> {
        let tls = keys.map(|keys| ServerConnection::new(keys.clone()).map(Box::new)).transpose()?;
        Ok(Self {
            socket,
            introduction: proxied.then(Vec::new),
            tls,
            client,
            reader: TurnStream::new(),
            waiting: Waiting::default(),
            claimed: false,
            blocked: false,
            since_ns: now_ns,
            heard: 0,
        })
    }

    /// Whether it has been without an allocation for too long, if it has none.
    pub(super) fn is_overdue(&self, now_ns: u64) -> bool {
        now_ns.saturating_sub(self.since_ns) >= STRANGER_NS
    }

    /// Reads whose connection this is, and nothing beyond. An error is the end.
    pub(super) fn introduce(&mut self) -> io::Result<Introduced> {
        let Some(bytes) = &mut self.introduction else { return Ok(Introduced::Already) };
        loop {
            let header = Header::read(bytes);
            match header.map_err(|error| io::Error::new(ErrorKind::InvalidData, error))? {
                Header::Needs(more) => {
                    let len = bytes.len();
                    bytes.resize(len + more, 0);
                    let read = self.socket.read(&mut bytes[len..]);
                    let got = *read.as_ref().unwrap_or(&0);
                    bytes.truncate(len + got);
                    match read {
                        Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                        Err(_) => return or_none(read).map(|_| Introduced::Not),
                        Ok(_) => {}
                    }
                }
                Header::Whole { client } => {
                    self.introduction = None;
                    return Ok(client.map_or(Introduced::Already, Introduced::Now));
                }
            }
        }
    }

    /// Reads once; tells how many octets of the client's are in `octets` now. An error is the end.
    pub(super) fn read(&mut self, octets: &mut [u8]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else {
            return match self.socket.read(octets) {
                Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
                read => or_none(read),
            };
        };
        match tls.read_tls(&mut self.socket) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            read => or_none(read)?,
        };
        if let Err(error) = tls.process_new_packets() {
            // Says why, if the peer still listens.
            let _ = tls.write_tls(&mut self.socket);
            return Err(io::Error::new(ErrorKind::InvalidData, error));
        }
        let mut len = 0;
        while let Some(room) = octets.get_mut(len..).filter(|room| !room.is_empty()) {
            match tls.reader().read(room) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(read) => len += read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(len)
    }

    /// Whether there is anything to write.
    pub(super) fn wants_write(&self) -> bool {
        let tls = self.tls.as_ref().is_some_and(|tls| tls.wants_write());
        tls || !self.waiting.unwritten().is_empty()
    }

    /// Writes as much as the peer reads; tells whether something is left. An error is the end.
    pub(super) fn write(&mut self) -> io::Result<bool> {
        loop {
            if let Some(tls) = &mut self.tls {
                while tls.wants_write() {
                    if or_none(tls.write_tls(&mut self.socket))? == 0 {
                        return Ok(true);
                    }
                }
            }
            let unwritten = self.waiting.unwritten();
            if unwritten.is_empty() {
                return Ok(false);
            }
            let written = match &mut self.tls {
                // Nobody has a record to put it in yet.
                Some(tls) if tls.is_handshaking() => return Ok(false),
                Some(tls) => tls.writer().write(&unwritten[..unwritten.len().min(RECORD_BYTES)])?,
                None => or_none(self.socket.write(unwritten))?,
            };
            if written == 0 {
                return Ok(true);
            }
            self.waiting.wrote(written);
        }
    }
}

/// Nothing for now is no error.
fn or_none(result: io::Result<usize>) -> io::Result<usize> {
    match result {
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
            Ok(0)
        }
        other => other,
    }
}
