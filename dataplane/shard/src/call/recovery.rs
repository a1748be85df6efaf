//! Lost packets of pictures, out of the repairs (FlexFEC) that their publisher sends along: who
//! gets the pictures misses none, and nobody has to ask for them. Repairs go no further than here.

use ringway_abi::counters::Counter;
use ringway_proto::history::{History, HistoryPool, Place};
use ringway_sfu::call::demux::Binding;
use ringway_sfu::call::prepared::Prepared;
use ringway_sfu::call::repairs::{Came, MAX_REPAIRS, Recoverable, Repairs};
use ringway_wire::extension::Located;
use ringway_wire::flexfec::Repair;
use ringway_wire::rtp::RtpView;

use super::stream::Queued;
use super::{Calls, MAX_DATAGRAM_BYTES};
use crate::clock::Now;
use crate::shard::Counters;
use crate::slab::SlotId;

/// Repairs of one layer whose octets are kept, found by their numbers.
const KEPT: usize = 128;

const _: () = assert!(KEPT >= MAX_REPAIRS, "whatever waits is kept");

/// What packets of one layer are recovered from.
pub(super) struct Recovery {
    ssrc: u32,
    pub(super) repairs: Repairs,
    /// The payloads of repairs, by the numbers under which they came.
    history: History,
}

impl Recovery {
    /// Repairs come from `ssrc`.
    pub(super) fn new(ssrc: u32) -> Self {
        Self { ssrc, repairs: Repairs::default(), history: History::new(KEPT) }
    }

    pub(super) fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// Room for a repair, where it can be kept without making room first.
    pub(super) fn place(&self, len: usize, pool: &HistoryPool) -> Option<Place> {
        self.history.place(pool, len)
    }

    /// Gives back what is too old.
    pub(super) fn expire(&mut self, now_ns: u64, pool: &mut HistoryPool) {
        self.history.expire(now_ns, pool);
    }

    /// Gives everything back.
    pub(super) fn clear(&mut self, pool: &mut HistoryPool) {
        self.history.clear(pool);
        self.repairs.forget();
    }
}

impl Calls {
    /// Takes a repair from `session`, of `len` octets that were opened into `room`, or into the
    /// buffer for datagrams, and recovers what can be recovered now.
    pub(super) fn handle_repair(
        &mut self,
        now: Now,
        (session, binding): (SlotId, Binding),
        (len, room): (usize, Option<Place>),
        kernel_ns: u64,
        counters: &mut Counters,
    ) -> Result<(), Counter> {
        counters.add(Counter::FecReceived, 1);
        self.keep_repair(now, binding, len, room)?;
        let from = (session, SlotId::from_bits(binding.source.0), binding.layer);
        self.recover(now, from, kernel_ns, counters);
        Ok(())
    }

    fn keep_repair(
        &mut self,
        now: Now,
        binding: Binding,
        len: usize,
        room: Option<Place>,
    ) -> Result<(), Counter> {
        let whole = match &room {
            Some(place) => self.pool.room(place),
            None => &mut self.datagram[..],
        };
        let packet = whole.get(..len).ok_or(Counter::DropHeader)?;
        let view = RtpView::parse(packet).map_err(|_| Counter::DropHeader)?;
        let repair = Repair::parse(view.payload()).map_err(|_| Counter::DropFec)?;
        let id = SlotId::from_bits(binding.source.0);
        let stream = self.streams.get_mut(id).ok_or(Counter::DropNoForward)?;
        let layer = stream.source.layers().get(usize::from(binding.layer));
        if layer.and_then(|layer| layer.ssrc) != Some(repair.ssrc) {
            return Err(Counter::DropFec);
        }
        let recovery = stream.recovery(binding.layer).ok_or(Counter::DropNoForward)?;
        let (sequence, octets) = (view.sequence(), view.payload_range());
        if !recovery.repairs.handle_repair(sequence, repair.base, repair.mask) {
            return Ok(());
        }
        // Where it finds no room it is not found again, as if it had not come.
        match room {
            Some(place) => {
                recovery.history.keep(now.mono_ns, &mut self.pool, place, sequence, octets);
            }
            None => {
                let octets = self.datagram.get(octets).ok_or(Counter::DropHeader)?;
                recovery.history.push(now.mono_ns, &mut self.pool, sequence, octets);
            }
        }
        Ok(())
    }

    /// Notes how a packet came that is kept now, where its layer has repairs.
    pub(super) fn note(&mut self, id: SlotId, packet: &Queued, came: Came) {
        if let Some(stream) = self.streams.get_mut(id)
            && let Some(recovery) = stream.recovery(packet.layer)
        {
            let Prepared { stream, sequence, .. } = packet.prepared;
            recovery.repairs.handle_packet(stream, sequence, came);
        }
    }

    /// Takes note of a packet that came and is kept now, and recovers what can be
    /// recovered with it.
    pub(super) fn recover_with(
        &mut self,
        now: Now,
        from: (SlotId, SlotId, u8),
        packet: &Queued,
        came: Came,
        counters: &mut Counters,
    ) {
        self.note(from.1, packet, came);
        self.recover(now, from, packet.kernel_ns, counters);
    }

    /// Recovers what can be recovered of a layer, and lets it go where packets go that came. It is
    /// from a session, a stream of it and a layer of that.
    fn recover(
        &mut self,
        now: Now,
        from: (SlotId, SlotId, u8),
        kernel_ns: u64,
        counters: &mut Counters,
    ) {
        let (session, id, layer) = from;
        // One that was recovered may be what another repair lacked. What finds no room in this turn
        // is recovered with the next packet.
        while self.has_room()
            && let Some(stream) = self.streams.get_mut(id)
            && let Some(recovery) = stream.recovery(layer)
            && let Some(lost) = recovery.repairs.poll()
        {
            let mut packet = [0; MAX_DATAGRAM_BYTES];
            let len = self.recovered(session, id, layer, lost, &mut packet);
            let packet = len.and_then(|len| packet.get_mut(..len));
            if packet.and_then(|packet| self.put_back(now, from, kernel_ns, packet)).is_some() {
                counters.add(Counter::FecRecovered, 1);
            }
        }
    }

    /// Writes a packet that was lost; its length, `None` where something is no longer kept that it
    /// takes.
    fn recovered(
        &self,
        session: SlotId,
        id: SlotId,
        layer: u8,
        lost: Recoverable,
        out: &mut [u8],
    ) -> Option<usize> {
        let extensions = &self.sessions.get(session)?.extensions;
        let stream = self.streams.get(id)?;
        let store = stream.stores.get(usize::from(layer))?;
        let (recovery, history) = (store.recovery.as_ref()?, store.history.as_ref()?);
        let repair = Repair::parse(recovery.history.get(&self.pool, lost.id)?).ok()?;
        let mut whole = repair.begin(out)?;
        for sequence in lost.others() {
            let Came::Whole(padding) = recovery.repairs.came(sequence) else { return None };
            let view = RtpView::parse(history.get(&self.pool, sequence)?).ok()?;
            if !whole.add(&view, &Located::find(&view, extensions), padding) {
                return None;
            }
        }
        whole.end(repair.ssrc, lost.sequence)
    }
}
