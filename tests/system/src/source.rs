//! A sender of numbered packets at a steady pace, on a thread of its own.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::packet::{SSRC, numbered};
use crate::patience::until;

/// How a source sends.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Packets sent together, as those of a video frame are.
    pub burst: u64,
    /// Time from burst to burst.
    pub interval: Duration,
    /// Length of the packets.
    pub bytes: usize,
    /// Their SSRC.
    pub ssrc: u32,
}

impl Default for Pace {
    /// 500 packets a second: a stall of seconds on a busy machine fits into everybody's buffers.
    fn default() -> Self {
        Self { burst: 5, interval: Duration::from_millis(10), bytes: 400, ssrc: SSRC }
    }
}

/// A running sender. Dropping it stops it.
#[derive(Debug)]
pub struct Source {
    socket: UdpSocket,
    sent: Arc<AtomicU64>,
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Source {
    /// Starts to send to `to`, packet 0 first.
    pub fn start(to: SocketAddr, pace: Pace) -> Self {
        let any: IpAddr = match to {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        Self::start_from(UdpSocket::bind((any, 0)).expect("bind any UDP port"), to, pace)
    }

    /// Starts to send from `socket`, which others may send from as well.
    pub fn start_from(socket: UdpSocket, to: SocketAddr, pace: Pace) -> Self {
        let sent = Arc::new(AtomicU64::new(0));
        let (stop, stopped) = channel();
        let (own, count) = (socket.try_clone().expect("share a socket"), Arc::clone(&sent));
        let thread = std::thread::spawn(move || {
            let mut next = Instant::now();
            let mut number = 0;
            loop {
                for _ in 0..pace.burst {
                    let packet = numbered(number, pace.ssrc, pace.bytes);
                    // Nobody may be there to receive: that is what some tests are about.
                    let _ = own.send_to(&packet, to);
                    number += 1;
                    count.store(number, Ordering::Release);
                }
                next += pace.interval;
                let pause = next.saturating_duration_since(Instant::now());
                if stopped.recv_timeout(pause) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
            }
        });
        Self { socket, sent, stop: Some(stop), thread: Some(thread) }
    }

    /// Its socket, to receive what is sent back or to send something else from the same address.
    pub fn socket(&self) -> &UdpSocket {
        &self.socket
    }

    /// Packets sent so far; the next one has this number.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Acquire)
    }

    /// Waits until `more` packets have been sent from now on.
    pub fn flow(&self, more: u64) {
        let goal = self.sent() + more;
        let patience = Duration::from_secs(60);
        until(patience, &format!("packet {goal} to be sent"), || {
            (self.sent() >= goal).then_some(())
        });
    }

    /// Stops; returns how many were sent.
    pub fn stop(mut self) -> u64 {
        self.end();
        self.sent()
    }

    fn end(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        self.end();
    }
}
