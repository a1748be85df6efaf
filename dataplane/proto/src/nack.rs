//! Which packets of a received stream are missing and shall be asked for again (RFC 4585 6.2.1).
//!
//! One [`NackGenerator`] belongs to one SSRC that a peer sends us. It hears every sequence number
//! and says, when asked, which numbers belong into a NACK now. It sends nothing itself.

use ringway_wire::rtcp::NackEntry;
use ringway_wire::sequence::distance;

/// Numbers asked for at the same time. Raised, a burst of loss makes larger NACKs for packets that
/// are too late anyhow; lowered, a short burst is not repaired wholly. The newest are kept.
pub const MAX_OUTSTANDING: usize = 100;

/// How often one number is asked for. Raised, a sender that has forgotten the packet is asked in
/// vain; lowered, loss on the way back costs a picture.
const MAX_TRIES: u8 = 5;

/// Least time between two requests for one number.
const MIN_INTERVAL_NS: u64 = 20_000_000;
/// Most time between two requests for one number.
const MAX_INTERVAL_NS: u64 = 400_000_000;

/// The round trip assumed until one is measured.
const START_ROUND_TRIP_NS: u64 = 70_000_000;

/// How long a number may be merely late. Raised, repair comes later; lowered, a path that reorders
/// is asked for what it already delivered.
const REORDER_NS: u64 = 10_000_000;

/// A jump ahead of more than this is no loss but another sequence; RFC 3550 A.1 has the same limit.
const MAX_DROPOUT: i16 = 3000;

/// A number that did not come.
#[derive(Clone, Copy, Debug)]
struct Missing {
    sequence: u16,
    tries: u8,
    due_ns: u64,
}

/// What is missing of one stream.
#[derive(Clone, Debug)]
pub struct NackGenerator {
    highest: Option<u16>,
    /// In order of their numbers, oldest first.
    missing: Vec<Missing>,
    round_trip_ns: u64,
}

impl Default for NackGenerator {
    fn default() -> Self {
        Self {
            highest: None,
            missing: Vec::with_capacity(MAX_OUTSTANDING),
            round_trip_ns: START_ROUND_TRIP_NS,
        }
    }
}

impl NackGenerator {
    /// Takes a packet's number, in whatever way the packet came: as itself or repaired.
    pub fn handle_packet(&mut self, now_ns: u64, sequence: u16) {
        let Some(highest) = self.highest else {
            self.highest = Some(sequence);
            return;
        };
        match distance(highest, sequence) {
            1 => self.highest = Some(sequence),
            ahead @ 2..=MAX_DROPOUT => {
                self.miss(now_ns, sequence, ahead as usize - 1);
                self.highest = Some(sequence);
            }
            // Late, repaired or doubled.
            behind @ ..=0 if behind > -MAX_DROPOUT => {
                if let Some(at) = self.position(sequence) {
                    self.missing.remove(at);
                }
            }
            // The sender began anew: nothing from before will come.
            _ => {
                self.missing.clear();
                self.highest = Some(sequence);
            }
        }
    }

    /// Uses a measured round trip from now on.
    pub fn set_round_trip(&mut self, round_trip_ns: u64) {
        self.round_trip_ns = round_trip_ns;
    }

    /// When [`Self::poll_nack`] has something to say; `None` while nothing is missing.
    pub fn deadline(&self) -> Option<u64> {
        self.missing.iter().map(|missing| missing.due_ns).min()
    }

    /// How many numbers are missing and still asked for.
    pub fn outstanding(&self) -> usize {
        self.missing.len()
    }

    /// The numbers to ask for now, packed into `out`; gives how many entries were used. Numbers
    /// that find no room are asked for by the next call. Numbers asked for often enough are given
    /// up.
    pub fn poll_nack(&mut self, now_ns: u64, out: &mut [NackEntry]) -> usize {
        let mut used = 0;
        let base_ns = self.round_trip_ns.clamp(MIN_INTERVAL_NS, MAX_INTERVAL_NS);
        self.missing.retain_mut(|missing| {
            if missing.due_ns > now_ns {
                return true;
            }
            if missing.tries == MAX_TRIES {
                return false;
            }
            if !pack(missing.sequence, out, &mut used) {
                return true;
            }
            // Each further request waits a quarter longer.
            let grown = (0..missing.tries).fold(base_ns, |interval, _| interval + interval / 4);
            missing.tries += 1;
            missing.due_ns = now_ns + grown.min(MAX_INTERVAL_NS);
            true
        });
        used
    }

    /// Notes that the `count` numbers before `sequence` did not come.
    fn miss(&mut self, now_ns: u64, sequence: u16, count: usize) {
        let count = count.min(MAX_OUTSTANDING);
        let excess = (self.missing.len() + count).saturating_sub(MAX_OUTSTANDING);
        self.missing.drain(..excess);
        let due_ns = now_ns + REORDER_NS;
        for back in (1..=count as u16).rev() {
            let sequence = sequence.wrapping_sub(back);
            self.missing.push(Missing { sequence, tries: 0, due_ns });
        }
    }

    fn position(&self, sequence: u16) -> Option<usize> {
        let order = |missing: &Missing| distance(sequence, missing.sequence).cmp(&0);
        self.missing.binary_search_by(order).ok()
    }
}

/// Adds `sequence`, newer than all before it, to the entries; `false` when there is no room.
fn pack(sequence: u16, out: &mut [NackEntry], used: &mut usize) -> bool {
    if let Some(last) = out[..*used].last_mut() {
        let ahead = sequence.wrapping_sub(last.packet_id);
        if (1..=16).contains(&ahead) {
            last.bitmask |= 1 << (ahead - 1);
            return true;
        }
    }
    let Some(entry) = out.get_mut(*used) else { return false };
    *entry = NackEntry { packet_id: sequence, bitmask: 0 };
    *used += 1;
    true
}

#[cfg(test)]
#[path = "nack_tests.rs"]
mod tests;
