//! A receiver of numbered packets on a thread of its own: which came, how often, and what else.

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::net::sockopt;

use crate::packet::{Header, header, number};
use crate::patience::until;

/// How long a packet may take to arrive on a machine that does many other things.
const PATIENCE: Duration = Duration::from_secs(20);

/// Kernel's receive buffer: seconds of the usual pace.
const BUFFER_BYTES: usize = 4 << 20;

/// Numbers above are no numbers of a test, but damage that looks like one.
const NUMBER_MAX: u64 = 1 << 24;

/// What has come.
#[derive(Debug, Default)]
pub struct Heard {
    /// How often each number came.
    times: Vec<u32>,
    /// Packets with a number.
    pub packets: u64,
    /// The first few packets without one.
    pub strangers: Vec<Vec<u8>>,
    /// Packets without a number.
    pub strange: u64,
    /// Header of the last packet with a number.
    pub last: Option<Header>,
}

impl Heard {
    fn take(&mut self, packet: &[u8]) {
        match number(packet).filter(|number| *number < NUMBER_MAX) {
            Some(number) => {
                let index = number as usize;
                if index >= self.times.len() {
                    self.times.resize(index + 1, 0);
                }
                self.times[index] += 1;
                self.packets += 1;
                self.last = header(packet);
            }
            None => {
                self.strange += 1;
                if self.strangers.len() < 4 {
                    self.strangers.push(packet.to_vec());
                }
            }
        }
    }

    fn times(&self, number: u64) -> u32 {
        self.times.get(number as usize).copied().unwrap_or(0)
    }

    /// Which of `numbers` did not come.
    pub fn missing(&self, numbers: std::ops::Range<u64>) -> Vec<u64> {
        numbers.filter(|number| self.times(*number) == 0).collect()
    }

    /// Which numbers came more than once.
    pub fn repeated(&self) -> Vec<u64> {
        (0..self.times.len() as u64).filter(|number| self.times(*number) > 1).collect()
    }

    /// The smallest number that came.
    pub fn first(&self) -> Option<u64> {
        self.times.iter().position(|times| *times > 0).map(|index| index as u64)
    }

    /// One more than the largest number that came.
    pub fn end(&self) -> u64 {
        self.times.len() as u64
    }
}

/// A running receiver.
#[derive(Debug)]
pub struct Sink {
    address: SocketAddr,
    heard: Arc<Mutex<Heard>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Sink {
    /// Receives on a free port of `ip`.
    pub fn start(ip: &str) -> Self {
        let ip: std::net::IpAddr = ip.parse().expect("an IP address");
        Self::start_at(SocketAddr::new(ip, 0))
    }

    /// Receives on this address.
    pub fn start_at(address: SocketAddr) -> Self {
        let socket = UdpSocket::bind(address)
            .unwrap_or_else(|error| panic!("cannot receive on {address}: {error}"));
        enlarge(&socket);
        socket.set_read_timeout(Some(Duration::from_millis(20))).expect("set a read timeout");
        let address = socket.local_addr().expect("a bound socket has an address");
        let heard = Arc::new(Mutex::new(Heard::default()));
        let stop = Arc::new(AtomicBool::new(false));
        let (shared, stopped) = (Arc::clone(&heard), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            let mut buffer = vec![0; 65_536];
            while !stopped.load(Ordering::Relaxed) {
                // An error is the timeout.
                if let Ok(length) = socket.recv(&mut buffer) {
                    lock(&shared).take(&buffer[..length]);
                }
            }
        });
        Self { address, heard, stop, thread: Some(thread) }
    }

    /// Where it receives.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// What has come so far. Nothing more is taken in while this is held; ask once per expression.
    pub fn heard(&self) -> MutexGuard<'_, Heard> {
        lock(&self.heard)
    }

    /// Waits until a packet with `number` or a later one has come.
    #[track_caller]
    pub fn wait_past(&self, number: u64) {
        until(PATIENCE, &format!("packet {number} at {}", self.address), || {
            (self.heard().end() > number).then_some(())
        });
    }

    /// Waits until all of `numbers` have come.
    ///
    /// # Panics
    /// When some do not: they are lost.
    #[track_caller]
    pub fn wait_all(&self, numbers: std::ops::Range<u64>) {
        self.wait_past(numbers.end.saturating_sub(1));
        let start = std::time::Instant::now();
        until(PATIENCE + PATIENCE, "packets", || {
            let missing = self.heard().missing(numbers.clone());
            let late = !missing.is_empty() && start.elapsed() > PATIENCE;
            let (count, first) = (missing.len(), missing.first());
            assert!(!late, "{} of {numbers:?} lost {count}, first {first:?}", self.address);
            missing.is_empty().then_some(())
        });
    }

    /// Waits until all of `numbers` have come, and checks that each came once and nothing else did.
    #[track_caller]
    pub fn expect_exactly(&self, numbers: std::ops::Range<u64>) {
        self.wait_all(numbers.clone());
        let heard = self.heard();
        let repeated = heard.repeated();
        assert!(repeated.is_empty(), "{} got some twice: {repeated:?}", self.address);
        assert_eq!(heard.strange, 0, "{} got {:02x?}", self.address, heard.strangers);
        assert_eq!(heard.packets, numbers.end - numbers.start, "{} got others", self.address);
    }

    /// Checks that nothing at all has come so far.
    #[track_caller]
    pub fn expect_silence(&self) {
        let heard = self.heard();
        let (count, some) = (heard.packets + heard.strange, &heard.strangers);
        assert_eq!(count, 0, "{} got {some:02x?}", self.address);
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// As much buffer as this user may have.
pub fn enlarge(socket: &UdpSocket) {
    if sockopt::set_socket_recv_buffer_size_force(socket, BUFFER_BYTES).is_err() {
        let _ = sockopt::set_socket_recv_buffer_size(socket, BUFFER_BYTES);
    }
}

fn lock(heard: &Mutex<Heard>) -> MutexGuard<'_, Heard> {
    heard.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::{Pace, Source};

    #[test]
    fn a_sink_hears_a_source_and_strangers() {
        let sink = Sink::start("127.0.0.1");
        let source = Source::start(sink.address(), Pace::default());
        source.flow(20);
        let sent = source.stop();
        sink.expect_exactly(0..sent);
        let stranger = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        stranger.send_to(b"hello", sink.address()).expect("sent");
        until(PATIENCE, "the stranger", || (sink.heard().strange == 1).then_some(()));
        assert_eq!(sink.heard().strangers, [b"hello"]);
        assert_eq!(sink.heard().missing(sent - 1..sent + 2), [sent, sent + 1]);
    }
}
