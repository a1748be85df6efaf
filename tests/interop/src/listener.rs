//! A bare socket that keeps the packets it gets, for what a player does not show.

use std::net::{IpAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, spawn};
use std::time::Duration;

/// How long it waits for a packet before it looks whether it should end.
const LOOK: Duration = Duration::from_millis(50);

/// A socket with a thread that empties it.
#[derive(Debug)]
pub struct Listener {
    port: u16,
    ended: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Vec<u8>>>,
}

/// What of an RTP header the tests look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Payload type.
    pub payload_type: u8,
    /// Sequence number.
    pub sequence: u16,
    /// SSRC.
    pub ssrc: u32,
}

impl Listener {
    /// Listens on any free port of `address`.
    pub fn start(address: IpAddr) -> Self {
        let socket = UdpSocket::bind((address, 0)).expect("bind any UDP port");
        socket.set_read_timeout(Some(LOOK)).expect("set a read timeout");
        let port = socket.local_addr().expect("a bound socket has an address").port();
        let ended = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&ended);
        let thread = spawn(move || {
            let mut packets = Vec::new();
            let mut buffer = [0; 2048];
            loop {
                match socket.recv(&mut buffer) {
                    Ok(length) => packets.push(buffer[..length].to_vec()),
                    Err(_) if flag.load(Ordering::Relaxed) => return packets,
                    Err(_) => {}
                }
            }
        });
        Self { port, ended, thread }
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Takes what is still in the socket, and returns all packets in the order of their arrival.
    pub fn finish(self) -> Vec<Vec<u8>> {
        self.ended.store(true, Ordering::Relaxed);
        self.thread.join().expect("the listener does not panic")
    }
}

/// Reads the header of an RTP packet; `None` for RTCP (RFC 5761 4) and for anything else.
pub fn rtp_header(packet: &[u8]) -> Option<Header> {
    let (head, _) = packet.split_first_chunk::<12>()?;
    let rtcp = (192..=223).contains(&head[1]);
    (head[0] >> 6 == 2 && !rtcp).then(|| Header {
        payload_type: head[1] & 0x7f,
        sequence: u16::from_be_bytes([head[2], head[3]]),
        ssrc: u32::from_be_bytes([head[8], head[9], head[10], head[11]]),
    })
}
