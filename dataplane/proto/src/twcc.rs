//! Transport-wide congestion control towards a publisher: when its packets came.
//!
//! What the reports of subscribers let us send is `cap.rs`.

use ringway_wire::rtcp::write::{TwccHead, write_twcc};
use ringway_wire::rtcp::{DELTA_STEP_NS, REFERENCE_STEP_NS};
use ringway_wire::sequence::distance;

/// Packets remembered, a power of two. One report holds at most so many; lowered, a burst between
/// two reports is reported in part.
const WINDOW: usize = 512;

/// A report goes out at least so often while packets come.
const INTERVAL_NS: u64 = 100_000_000;
/// A report goes out so soon where a frame is complete: senders learn of congestion per frame.
const MARKER_INTERVAL_NS: u64 = 50_000_000;
/// A report goes out at once when so many packets wait.
const MAX_WAITING: usize = 100;
/// The marker hurries a report only if so many packets wait; fewer are not worth a datagram.
const MIN_WAITING: usize = 20;

/// Arrivals on one transport, and when to report them.
#[derive(Clone, Debug)]
pub struct TwccRecorder {
    /// When each number came, ns, by the number modulo the window; 0 where it did not.
    arrivals: Box<[u64; WINDOW]>,
    /// The highest number that came.
    highest: Option<u16>,
    /// The first number to report.
    base: u16,
    waiting: usize,
    marker: bool,
    /// When the first of those that wait came.
    since_ns: u64,
    count: u8,
}

impl Default for TwccRecorder {
    fn default() -> Self {
        Self {
            arrivals: Box::new([0; WINDOW]),
            highest: None,
            base: 0,
            waiting: 0,
            marker: false,
            since_ns: 0,
            count: 0,
        }
    }
}

impl TwccRecorder {
    /// Takes a packet that came at `now_ns` under the transport-wide `sequence`.
    pub fn handle_packet(&mut self, now_ns: u64, sequence: u16, marker: bool) {
        let Some(highest) = self.highest else {
            self.begin(now_ns, sequence);
            self.marker = marker;
            return;
        };
        match distance(highest, sequence) {
            ahead @ 1.. if (ahead as usize) < WINDOW => {
                // What was remembered a window ago makes room.
                for step in 1..ahead as u16 {
                    self.arrivals[slot(highest.wrapping_add(step))] = 0;
                }
                self.highest = Some(sequence);
                let oldest = sequence.wrapping_sub(WINDOW as u16 - 1);
                if distance(oldest, self.base) < 0 {
                    self.base = oldest;
                }
            }
            behind @ ..=0 if (behind.unsigned_abs() as usize) < WINDOW => {
                if self.arrivals[slot(sequence)] != 0 {
                    return;
                }
                // Later than its report: report it again, with all that followed.
                if distance(self.base, sequence) < 0 {
                    self.base = sequence;
                }
            }
            _ => {
                self.arrivals.fill(0);
                self.begin(now_ns, sequence);
                self.marker |= marker;
                return;
            }
        }
        self.arrivals[slot(sequence)] = now_ns.max(1);
        if self.waiting == 0 {
            self.since_ns = now_ns;
        }
        self.waiting += 1;
        self.marker |= marker;
    }

    /// When [`Self::poll_feedback`] has something to say; `None` while nothing waits.
    pub fn deadline(&self) -> Option<u64> {
        if self.waiting == 0 {
            return None;
        }
        Some(if self.waiting > MAX_WAITING {
            0
        } else if self.marker && self.waiting >= MIN_WAITING {
            self.since_ns + MARKER_INTERVAL_NS
        } else {
            self.since_ns + INTERVAL_NS
        })
    }

    /// Writes the report that is due, if one is, and gives its length. `None` also where `out` is
    /// too small: 16 + 5 octets per packet in the window always suffice.
    pub fn poll_feedback(
        &mut self,
        now_ns: u64,
        sender_ssrc: u32,
        media_ssrc: u32,
        out: &mut [u8],
    ) -> Option<usize> {
        if self.deadline()? > now_ns {
            return None;
        }
        let highest = self.highest?;
        let mut deltas = [None; WINDOW];
        let (reference_time, used) = self.deltas(highest, &mut deltas)?;
        let head = TwccHead {
            sender_ssrc,
            media_ssrc,
            base_sequence: self.base,
            reference_time,
            feedback_count: self.count,
        };
        let len = write_twcc(out, &head, &deltas[..used]).ok()?;
        self.count = self.count.wrapping_add(1);
        self.base = self.base.wrapping_add(used as u16);
        if distance(highest, self.base) > 0 {
            self.waiting = 0;
            self.marker = false;
            self.since_ns = now_ns;
        }
        Some(len)
    }

    fn begin(&mut self, now_ns: u64, sequence: u16) {
        self.arrivals[slot(sequence)] = now_ns.max(1);
        self.highest = Some(sequence);
        self.base = sequence;
        self.waiting = 1;
        self.since_ns = now_ns;
    }

    /// The reference time and the deltas from the base on, up to where one is too large for its 16
    /// bits: the rest is the next report's.
    fn deltas(&self, highest: u16, out: &mut [Option<i16>; WINDOW]) -> Option<(i32, usize)> {
        let count = (distance(self.base, highest) as usize + 1).min(WINDOW);
        let arrival = |at: usize| self.arrivals[slot(self.base.wrapping_add(at as u16))];
        let first_ns = (0..count).map(arrival).find(|&ns| ns != 0)?;
        let reference = first_ns / REFERENCE_STEP_NS;
        let mut before = (reference * (REFERENCE_STEP_NS / DELTA_STEP_NS)) as i64;
        for (at, delta) in out.iter_mut().enumerate().take(count) {
            let arrival_ns = arrival(at);
            if arrival_ns == 0 {
                continue;
            }
            let now = (arrival_ns / DELTA_STEP_NS) as i64;
            let Ok(step) = i16::try_from(now - before) else {
                return Some((reference as i32, at));
            };
            *delta = Some(step);
            before = now;
        }
        Some((reference as i32, count))
    }
}

fn slot(sequence: u16) -> usize {
    usize::from(sequence) % WINDOW
}

#[cfg(test)]
#[path = "twcc_tests.rs"]
mod tests;
