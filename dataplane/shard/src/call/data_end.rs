//! What one transport does with data: its rights, its SCTP, how much it may have passed on.

use std::collections::BTreeMap;

use ringway_abi::call::data_rights;
use ringway_abi::counters::Counter;
use ringway_proto::dtls::DtlsRole;
use ringway_proto::sctp::{Association, Incoming, Label, Opening};
use ringway_wire::data_packet::{Content, DataPacketView};

use super::data::Waits;
use crate::clock::Now;
use crate::shard::Counters;

/// What a sender may have passed on in a second: bytes, times receivers. Raised: one sender takes
/// more of the shard's time; lowered: files to many take longer.
const RATE_BYTES: u64 = 25_000_000;
/// The same at once. Lower than the longest message to a full room, it is overdrawn.
const BURST_BYTES: u64 = 5_000_000;
/// What a message costs besides its bytes: sealing and sending a small one costs as much as this
/// many bytes of a large one.
const MESSAGE_COST: u64 = 500;

/// A bucket of bytes that may be overdrawn: then its owner waits.
#[derive(Debug)]
struct Budget {
    bytes: i64,
    at_ns: u64,
}

impl Budget {
    fn new(now_ns: u64) -> Self {
        Self { bytes: BURST_BYTES as i64, at_ns: now_ns }
    }

    fn has_some(&mut self, now_ns: u64) -> bool {
        let since_ns = now_ns.saturating_sub(self.at_ns);
        let earned = u128::from(since_ns) * u128::from(RATE_BYTES) / 1_000_000_000;
        if earned > 0 {
            let earned = i64::try_from(earned).unwrap_or(i64::MAX);
            self.bytes = self.bytes.saturating_add(earned).min(BURST_BYTES as i64);
            self.at_ns = now_ns;
        }
        self.bytes > 0
    }

    fn spend(&mut self, bytes: usize, receivers: usize) {
        let cost = (bytes as u64).saturating_add(MESSAGE_COST);
        let cost = cost.saturating_mul(receivers.max(1) as u64);
        self.bytes = self.bytes.saturating_sub(i64::try_from(cost).unwrap_or(i64::MAX));
    }
}

/// See the module's description.
pub(super) struct DataEnd {
    pub(super) room: u64,
    /// As the parts so far say; it counts with the next `SetData`.
    pub(super) named: Vec<u8>,
    pub(super) identity: Vec<u8>,
    pub(super) sid: Vec<u8>,
    pub(super) rights: u8,
    pub(super) opening: Opening,
    pub(super) association: Option<Association>,
    /// There was one, and it ended: the peer must connect anew.
    ended: bool,
    budget: Budget,
    held: bool,
    /// Receivers that it waits for.
    pub(super) waits: Waits,
    /// As a receiver that takes so many bits a second it is always waited for; 0: never.
    pub(super) slow_bps: u64,
    /// The sender's number of its last reliable message, and the one that was told last.
    pub(super) sequence: u32,
    told_sequence: u32,
    pub(super) joined_ns: u64,
    caught_up: bool,
    /// Data tracks of the peer's, by its handles.
    pub(super) tracks: BTreeMap<u16, u64>,
    /// Data tracks that the peer receives, by the handles that it knows.
    pub(super) routes: BTreeMap<u16, u64>,
}

impl DataEnd {
    pub(super) fn new(now_ns: u64) -> Self {
        Self {
            room: 0,
            named: Vec::new(),
            identity: Vec::new(),
            sid: Vec::new(),
            rights: 0,
            opening: Opening::Peer,
            association: None,
            ended: false,
            budget: Budget::new(now_ns),
            held: false,
            waits: Waits::default(),
            slow_bps: 0,
            sequence: 0,
            told_sequence: 0,
            joined_ns: 0,
            caught_up: false,
            tracks: BTreeMap::new(),
            routes: BTreeMap::new(),
        }
    }

    pub(super) fn may(&self, right: u8) -> bool {
        self.rights & right != 0
    }

    /// DTLS is up, with this end in this role.
    pub(super) fn connect(&mut self, now: Now, role: DtlsRole) {
        let opening = match (self.opening, role) {
            (Opening::Ours, DtlsRole::Client) => Opening::OursAsClient,
            (opening, _) => opening,
        };
        if self.association.is_none() && !self.ended && self.room != 0 {
            self.association = Some(Association::new(now.mono_ns, opening));
        }
    }

    /// Takes an SCTP packet of the peer's.
    pub(super) fn handle_packet(&mut self, now: Now, packet: &[u8]) {
        if let Some(association) = &mut self.association {
            association.handle_packet(now.mono_ns, packet);
        }
    }

    /// The peer's next message, unless it has sent too much of late, or nobody can take more, or
    /// another shard of its room is `behind`.
    pub(super) fn poll_message(
        &mut self,
        now: Now,
        behind: bool,
        counters: &mut Counters,
    ) -> Option<Incoming> {
        let association = self.association.as_mut()?;
        if !behind && !self.waits.holds(now.mono_ns) && self.budget.has_some(now.mono_ns) {
            self.held = false;
            association.hold(false);
            return association.poll_message();
        }
        if !std::mem::replace(&mut self.held, true) {
            counters.add(Counter::DataHeld, 1);
            association.hold(true);
        }
        None
    }

    /// A message of the peer's was handed to so many.
    pub(super) fn spend(&mut self, bytes: usize, receivers: usize) {
        self.budget.spend(bytes, receivers);
    }

    /// Whether the channels that others' messages go over have just opened.
    pub(super) fn catches_up(&mut self) -> bool {
        let open = self.is_open(Label::Reliable) || self.has_bare_bytes();
        open && self.may(data_rights::DELIVER) && !std::mem::replace(&mut self.caught_up, true)
    }

    fn is_open(&self, label: Label) -> bool {
        self.association.as_ref().is_some_and(|one| one.is_open(label))
    }

    /// Whether a channel is there that user packets lose their wrapping on.
    fn has_bare_bytes(&self) -> bool {
        self.may(data_rights::BARE) && self.is_open(Label::Own)
    }

    /// What the peer is sent of a packet, and over which channel. `label` is the one that it came
    /// over, `message` the whole of it.
    pub(super) fn form<'a>(
        &self,
        label: Label,
        view: &DataPacketView<'a>,
        message: &'a [u8],
    ) -> (Label, &'a [u8]) {
        match view.content {
            Content::User if self.has_bare_bytes() => (Label::Own, view.payload),
            _ => (label, message),
        }
    }

    /// Puts the next packet for DTLS into `packet`; whether there was one.
    pub(super) fn poll_packet(&mut self, packet: &mut Vec<u8>) -> bool {
        self.association.as_mut().is_some_and(|one| one.poll_packet_into(packet))
    }

    /// Does what is due; whether anything was.
    pub(super) fn handle_time(&mut self, now: Now, counters: &mut Counters) -> bool {
        let Some(association) = &mut self.association else { return false };
        if association.is_ended() {
            // Whatever it had to say was sent before.
            self.association = None;
            self.ended = true;
            counters.add(Counter::DataEnded, 1);
            return false;
        }
        let due = association.deadline().is_some_and(|at_ns| at_ns <= now.mono_ns);
        if due {
            association.handle_timeout(now.mono_ns);
        }
        due
    }

    /// When [`Self::handle_time`] or whoever is held has something to do next.
    pub(super) fn deadline(&self, now_ns: u64) -> u64 {
        match &self.association {
            Some(association) if self.held || association.is_ended() => now_ns,
            Some(association) => association.deadline().unwrap_or(u64::MAX),
            None => u64::MAX,
        }
    }

    /// Whether it takes what it is sent fast enough to be waited for always. Until that is known it
    /// may.
    pub(super) fn is_fast(&self) -> bool {
        let rate = self.association.as_ref().map(Association::drained_bps);
        self.slow_bps > 0 && rate.is_some_and(|bps| bps.is_none_or(|bps| bps >= self.slow_bps))
    }

    /// Whether it waits for leave to send.
    pub(super) fn is_held(&self) -> bool {
        self.held
    }

    /// The number of the last reliable message, if that is news.
    pub(super) fn poll_heard(&mut self) -> Option<u32> {
        let told = std::mem::replace(&mut self.told_sequence, self.sequence);
        (told != self.sequence).then_some(self.sequence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_spends_too_much_waits_for_as_long_as_it_takes() {
        let mut budget = Budget::new(7);
        assert!(budget.has_some(7));
        // 30 MB beyond the burst: a second's worth and a fifth.
        budget.spend(30_000_000 + BURST_BYTES as usize - MESSAGE_COST as usize, 1);
        assert!(!budget.has_some(1_200_000_006));
        assert!(budget.has_some(1_200_001_007));
        budget.spend(usize::MAX, usize::MAX);
        assert!(!budget.has_some(u64::MAX / 1_000_000_000));
        // What is not spent is not saved up.
        let mut budget = Budget::new(0);
        assert!(budget.has_some(1_000_000_000_000));
        budget.spend(BURST_BYTES as usize, 1);
        assert!(!budget.has_some(1_000_000_000_000));
    }
}
