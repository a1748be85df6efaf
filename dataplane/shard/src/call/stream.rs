//! Media that comes in: the source, its histories, and who gets it.

use std::ops::Range;

use ringway_proto::history::{AUDIO_PACKETS, History, HistoryPool, Place, VIDEO_PACKETS};
use ringway_proto::nack::NackGenerator;
use ringway_sfu::call::MAX_LAYERS;
use ringway_sfu::call::demux::LayerSpec;
use ringway_sfu::call::format::{Feedback, Formats};
use ringway_sfu::call::prepared::Prepared;
use ringway_sfu::call::source::Source;
use ringway_wire::extension::ExtensionMap;

use super::hold::Pads;
use super::mirror::{Mirror, Mirrored};
use super::recovery::Recovery;
use super::session::Session;
use crate::slab::{Slab, SlotId};

/// A packet of this turn.
#[derive(Clone, Copy, Debug)]
pub(super) struct Queued {
    pub(super) prepared: Prepared,
    pub(super) layer: u8,
    pub(super) kernel_ns: u64,
    /// Subscribers that it was sent to since that was told.
    pub(super) sent: u32,
    /// Octets of padding for those who get it.
    pub(super) padding: u8,
}

/// What one layer needs besides its state.
#[derive(Default)]
pub(super) struct LayerStore {
    pub(super) history: Option<History>,
    pub(super) nack: Option<NackGenerator>,
    /// Where its sender sends repairs.
    pub(super) recovery: Option<Box<Recovery>>,
    /// What feedback its sender understands, by its last payload type.
    pub(super) feedback: Feedback,
    /// Full intra requests so far.
    pub(super) full_intra_requests: u8,
}

/// Media that comes in.
pub(super) struct Stream {
    pub(super) key: u64,
    /// The connection that it comes over; [`NO_SESSION`] where it is a mirror.
    pub(super) session: SlotId,
    pub(super) room: u64,
    pub(super) source: Source,
    pub(super) stores: [LayerStore; MAX_LAYERS],
    pub(super) routes: Vec<SlotId>,
    pub(super) queued: Vec<Queued>,
    /// Packets that were queued in this turn.
    pub(super) fresh: usize,
    /// Its packets wait for those of others.
    pub(super) held: bool,
    /// Of sound that may have to wait.
    pub(super) pads: Option<Pads>,
    /// The layer whose sender report is to be passed on.
    pub(super) report: Option<u8>,
    pub(super) touched: bool,
    pub(super) muted: bool,
    /// Its payloads are nothing that can be read.
    pub(super) encrypted: bool,
    /// The shards that serve subscribers of it, besides this one.
    pub(super) mirrors: Vec<Mirror>,
    /// Where it comes in on another shard: what is known of it there.
    pub(super) mirrored: Option<Box<Mirrored>>,
}

/// No session has this name.
pub(super) const NO_SESSION: SlotId = SlotId { slot: u32::MAX, generation: 0 };

/// A packet to be kept.
pub(super) enum Kept<'a> {
    /// It lies in its place already, there.
    Placed(Place, Range<usize>),
    /// It lies elsewhere.
    Copied(&'a [u8]),
}

impl Stream {
    /// Of nobody's room, and sent to nobody yet.
    pub(super) fn new(key: u64, session: SlotId, source: Source, pads: Option<Pads>) -> Self {
        Self {
            key,
            session,
            room: 0,
            source,
            stores: Default::default(),
            routes: Vec::new(),
            queued: Vec::new(),
            fresh: 0,
            held: false,
            pads,
            report: None,
            touched: false,
            muted: false,
            encrypted: false,
            mirrors: Vec::new(),
            mirrored: None,
        }
    }

    /// What payload types and extension ids mean in its packets.
    pub(super) fn meanings<'a>(
        &'a self,
        sessions: &'a Slab<Session>,
    ) -> Option<(&'a Formats, &'a ExtensionMap)> {
        match &self.mirrored {
            Some(mirrored) => Some((&mirrored.formats, &mirrored.extensions)),
            None => sessions.get(self.session).map(|one| (&one.formats, &one.extensions)),
        }
    }

    /// Subscribers of it, those of other shards too.
    pub(super) fn fan_out(&self) -> usize {
        let elsewhere = self.mirrors.iter().map(|mirror| mirror.routes as usize);
        self.routes.len() + elsewhere.sum::<usize>()
    }

    /// Room for a packet of `layer`, where it can be kept without making room first.
    pub(super) fn place(&self, layer: u8, len: usize, pool: &HistoryPool) -> Option<Place> {
        self.stores.get(usize::from(layer))?.history.as_ref()?.place(pool, len)
    }

    /// Learns whose packets of `layer` come, or come again where `rtx`.
    pub(super) fn learn(&mut self, layer: u8, ssrc: u32, rtx: bool) {
        let (media, repair) = if rtx { (None, Some(ssrc)) } else { (Some(ssrc), None) };
        self.source.bind(layer, media, repair);
    }

    /// What lost packets of `layer` are recovered with, if its sender sends repairs.
    pub(super) fn recovery(&mut self, layer: u8) -> Option<&mut Recovery> {
        self.stores.get_mut(usize::from(layer))?.recovery.as_deref_mut()
    }

    /// Expects repairs of those layers that have an SSRC for them; gives the SSRCs that nothing is
    /// expected from any more.
    pub(super) fn pair_repairs(
        &mut self,
        layers: &[LayerSpec],
        pool: &mut HistoryPool,
    ) -> [Option<u32>; MAX_LAYERS] {
        let mut gone = [None; MAX_LAYERS];
        for (at, (store, gone)) in self.stores.iter_mut().zip(&mut gone).enumerate() {
            let ssrc = layers.get(at).and_then(|layer| layer.fec_ssrc);
            if store.recovery.as_ref().map(|recovery| recovery.ssrc()) == ssrc {
                continue;
            }
            if let Some(mut before) = store.recovery.take() {
                before.clear(pool);
                *gone = Some(before.ssrc());
            }
            store.recovery = ssrc.map(|ssrc| Box::new(Recovery::new(ssrc)));
        }
        gone
    }

    /// Notes that a packet came under `sequence`, and what its sender understands; gives when it is
    /// to be asked for what is missing.
    pub(super) fn expect(
        &mut self,
        now_ns: u64,
        layer: u8,
        sequence: u16,
        feedback: Feedback,
    ) -> Option<u64> {
        let store = self.stores.get_mut(usize::from(layer))?;
        store.feedback = feedback;
        if !feedback.nack {
            return None;
        }
        let nack = store.nack.get_or_insert_with(NackGenerator::default);
        nack.handle_packet(now_ns, sequence);
        nack.deadline()
    }

    /// The octets of padding that the packet `sequence` of a sound was given.
    pub(super) fn padding_of(&self, sequence: u16) -> u8 {
        self.pads.as_ref().map_or(0, |pads| pads[usize::from(sequence) % AUDIO_PACKETS])
    }

    /// The packet of `layer` that came under `sequence`, if it is still kept.
    pub(super) fn kept<'a>(
        &self,
        pool: &'a HistoryPool,
        layer: u8,
        sequence: u16,
    ) -> Option<&'a [u8]> {
        self.stores.get(usize::from(layer))?.history.as_ref()?.get(pool, sequence)
    }

    /// Keeps a packet that came under `sequence`, to be sent from there now and again later;
    /// `false` where there is no memory left.
    pub(super) fn keep(
        &mut self,
        now_ns: u64,
        layer: u8,
        sequence: u16,
        packet: Kept<'_>,
        pool: &mut HistoryPool,
    ) -> bool {
        let video = self.source.kind().is_video();
        let packets = if video { VIDEO_PACKETS } else { AUDIO_PACKETS };
        if let Some(pads) = &mut self.pads {
            pads[usize::from(sequence) % AUDIO_PACKETS] = 0;
        }
        let Some(store) = self.stores.get_mut(usize::from(layer)) else { return false };
        let history = store.history.get_or_insert_with(|| History::new(packets));
        match packet {
            Kept::Placed(place, octets) => {
                history.keep(now_ns, pool, place, sequence, octets);
                true
            }
            Kept::Copied(packet) => history.push(now_ns, pool, sequence, packet),
        }
    }
}
