//! Media that comes in: the source, its histories, and who gets it.

use ringway_proto::history::{AUDIO_PACKETS, History, HistoryPool, VIDEO_PACKETS};
use ringway_proto::nack::NackGenerator;
use ringway_sfu::call::MAX_LAYERS;
use ringway_sfu::call::prepared::Prepared;
use ringway_sfu::call::source::Source;

use crate::slab::SlotId;

/// A packet of this turn.
#[derive(Clone, Copy, Debug)]
pub(super) struct Queued {
    pub(super) prepared: Prepared,
    pub(super) layer: u8,
    pub(super) kernel_ns: u64,
    /// Subscribers that it was sent to since that was told.
    pub(super) sent: u32,
}

/// What one layer needs besides its state.
#[derive(Default)]
pub(super) struct LayerStore {
    pub(super) history: Option<History>,
    pub(super) nack: Option<NackGenerator>,
}

/// Media that comes in.
pub(super) struct Stream {
    pub(super) key: u64,
    pub(super) session: SlotId,
    pub(super) room: u64,
    pub(super) source: Source,
    pub(super) stores: [LayerStore; MAX_LAYERS],
    pub(super) routes: Vec<SlotId>,
    pub(super) queued: Vec<Queued>,
    /// The layer whose sender report is to be passed on.
    pub(super) report: Option<u8>,
    pub(super) touched: bool,
    pub(super) muted: bool,
    pub(super) encrypted: bool,
}

impl Stream {
    /// Keeps a packet that came under `sequence`, to be sent from there now and again later;
    /// `false` where there is no memory left.
    pub(super) fn keep(
        &mut self,
        now_ns: u64,
        layer: u8,
        sequence: u16,
        packet: &[u8],
        pool: &mut HistoryPool,
    ) -> bool {
        let video = self.source.kind().is_video();
        let packets = if video { VIDEO_PACKETS } else { AUDIO_PACKETS };
        let Some(store) = self.stores.get_mut(usize::from(layer)) else { return false };
        store.nack.get_or_insert_with(NackGenerator::default).handle_packet(now_ns, sequence);
        let history = store.history.get_or_insert_with(|| History::new(packets));
        history.push(now_ns, pool, sequence, packet)
    }
}
