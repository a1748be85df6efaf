//! Which lost packets of a layer can be recovered, and from which repairs (FlexFEC).
//!
//! [`Repairs`] hears every packet of the layer and every repair, and says when a repair lacks one
//! packet alone. Of packets it knows only the numbers: their octets lie in the histories of whoever
//! asks, which also does the recovering (`ringway_wire::flexfec`).

use ringway_wire::rtp::RtpView;
use ringway_wire::sequence::distance;

use super::prepared::StreamId;

/// Repairs that wait for packets, or are there before any. Raised, a sender of useless repairs
/// costs more per packet; lowered, repairs of long frames are forgotten before they are of use.
pub const MAX_REPAIRS: usize = 100;

/// Packets remembered. Lowered below [`ringway_wire::flexfec::MAX_PROTECTED`], long masks find no
/// packets; raised above what histories keep, nothing is gained.
const WINDOW: usize = 512;

const _: () = assert!(ringway_wire::flexfec::MAX_PROTECTED < WINDOW && WINDOW.is_power_of_two());

/// How a packet came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Came {
    /// Not at all.
    #[default]
    No,
    /// As it was protected, with so many octets of padding.
    Whole(u8),
    /// With other octets than those that were protected, so that no repair with it can be used.
    Otherwise,
}

impl Came {
    /// How `packet` came, padding and all. One that was sent again has other extensions than the
    /// first time.
    pub fn of(packet: &RtpView<'_>, sent_again: bool) -> Self {
        let padding = packet.padding();
        let (_, end) = packet.bytes().split_at(packet.payload_range().end);
        let plain = end.iter().rev().skip(1).all(|octet| *octet == 0);
        match u8::try_from(padding) {
            Ok(padding) if plain && !sent_again => Self::Whole(padding),
            _ => Self::Otherwise,
        }
    }
}

/// A repair that may be of use still.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    id: u16,
    base: u16,
    mask: u128,
    /// Of `mask`, the packets that did not come.
    missing: u128,
}

/// A packet that can be recovered now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recoverable {
    /// From which repair.
    pub id: u16,
    /// Its sequence number.
    pub sequence: u16,
    /// The number of the first protected packet.
    base: u16,
    /// The others that are protected.
    others: u128,
}

impl Recoverable {
    /// The numbers of the packets that have to be added to the repair.
    pub fn others(self) -> impl Iterator<Item = u16> {
        let mut left = self.others;
        std::iter::from_fn(move || {
            let at = (left != 0).then(|| left.trailing_zeros() as u16)?;
            left &= left - 1;
            Some(self.base.wrapping_add(at))
        })
    }
}

/// The repairs of one layer.
#[derive(Clone, Debug)]
pub struct Repairs {
    /// The numbering that all this is about.
    stream: StreamId,
    highest: Option<u16>,
    /// By number modulo the window.
    came: Box<[(u16, Came)]>,
    /// The oldest first.
    waiting: Vec<Waiting>,
}

impl Default for Repairs {
    fn default() -> Self {
        Self {
            stream: StreamId::NONE,
            highest: None,
            came: vec![(0, Came::No); WINDOW].into_boxed_slice(),
            waiting: Vec::with_capacity(MAX_REPAIRS),
        }
    }
}

impl Repairs {
    /// Takes a packet of the layer, however it came: as itself, sent again or recovered.
    pub fn handle_packet(&mut self, stream: StreamId, sequence: u16, came: Came) {
        if self.stream != stream {
            // Repairs may be faster than the first packet, but none outlives a numbering.
            if self.stream != StreamId::NONE {
                self.forget();
            }
            self.stream = stream;
        }
        if self.highest.is_none_or(|highest| distance(highest, sequence) > 0) {
            self.highest = Some(sequence);
        }
        // One that is older than the window would stand where a newer one is remembered; repairs
        // that still wait for it are as old.
        let far = self.is_far(sequence);
        if !far {
            self.came[usize::from(sequence) % WINDOW] = (sequence, came);
        }
        self.waiting.retain_mut(|repair| {
            let at = sequence.wrapping_sub(repair.base);
            let bit = 1_u128.checked_shl(at.into()).unwrap_or(0);
            if repair.missing & bit == 0 {
                return true;
            }
            repair.missing &= !bit;
            !far && came != Came::Otherwise && repair.missing != 0
        });
    }

    /// Takes a repair, by the number that it came under: it protects packets from `base` on, those
    /// of `mask`. Whether it is to be kept.
    pub fn handle_repair(&mut self, id: u16, base: u16, mask: u128) -> bool {
        let last = base.wrapping_add(mask.checked_ilog2().unwrap_or(0) as u16);
        if self.is_far(base) || self.is_far(last) {
            return false;
        }
        let mut repair = Waiting { id, base, mask, missing: mask };
        let all = Recoverable { id, sequence: base, base, others: mask };
        for sequence in all.others() {
            match self.came(sequence) {
                Came::No => {}
                Came::Otherwise => return false,
                Came::Whole(_) => repair.missing &= !(1 << sequence.wrapping_sub(base)),
            }
        }
        if repair.missing == 0 {
            return false;
        }
        if self.waiting.len() == MAX_REPAIRS {
            self.waiting.remove(0);
        }
        self.waiting.push(repair);
        true
    }

    /// Whether a number is too far from the highest to be remembered.
    fn is_far(&self, number: u16) -> bool {
        let from = |highest| usize::from(distance(highest, number).unsigned_abs());
        self.highest.is_some_and(|highest| from(highest) >= WINDOW)
    }

    /// The next packet that can be recovered. Its repair is not heard of again.
    pub fn poll(&mut self) -> Option<Recoverable> {
        // A repair begins no numbering.
        self.highest?;
        let at = self.waiting.iter().position(|repair| repair.missing.count_ones() == 1)?;
        let Waiting { id, base, mask, missing } = self.waiting.remove(at);
        let sequence = base.wrapping_add(missing.trailing_zeros() as u16);
        Some(Recoverable { id, sequence, base, others: mask & !missing })
    }

    /// How the packet came that had this number lately.
    pub fn came(&self, sequence: u16) -> Came {
        let (number, came) = self.came[usize::from(sequence) % WINDOW];
        if number == sequence { came } else { Came::No }
    }

    /// Repairs that wait.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Forgets everything: another numbering begins.
    pub fn forget(&mut self) {
        self.stream = StreamId::NONE;
        self.highest = None;
        self.came.fill((0, Came::No));
        self.waiting.clear();
    }
}

#[cfg(test)]
#[path = "repairs_tests.rs"]
mod tests;
