//! Media that goes out to one subscriber.

use ringway_abi::call::Service;
use ringway_proto::history::Resends;
use ringway_proto::rtx::RtxStream;
use ringway_proto::srtp::PacketIndex;
use ringway_sfu::call::dress::Dress;
use ringway_sfu::call::route::{Limits, Pause, Route};
use ringway_wire::head::HeadFields;
use ringway_wire::sequence::ExtendedSequence;

use crate::slab::SlotId;

/// A retransmission stream with its own numbers.
pub(super) struct Repair {
    stream: RtxStream,
    first: u16,
    sent: u64,
}

impl Repair {
    pub(super) fn new(ssrc: u32, payload_type: u8, first: u16) -> Self {
        Self { stream: RtxStream::new(ssrc, payload_type, first), first, sent: 0 }
    }

    /// The fields of the next repetition, the octets in front of its payload, and its index.
    pub(super) fn wrap(&mut self, media: &HeadFields) -> (HeadFields, [u8; 2], PacketIndex) {
        let number = u64::from(self.first) + self.sent;
        self.sent += 1;
        let (fields, octets) = self.stream.wrap(media);
        (fields, octets, PacketIndex::new((number >> 16) as u32, number as u16))
    }
}

/// Media that goes out.
pub(super) struct Subscription {
    pub(super) key: u64,
    pub(super) session: SlotId,
    pub(super) stream: SlotId,
    pub(super) route: Route,
    pub(super) dress: Dress,
    pub(super) video: bool,
    pub(super) repair: Option<Repair>,
    pub(super) resends: Resends,
    pub(super) priority: u8,
    numbers: Option<ExtendedSequence>,
}

impl Subscription {
    pub(super) fn new(
        key: u64,
        session: SlotId,
        stream: SlotId,
        video: bool,
        service: Service,
    ) -> Self {
        let mut subscription = Self {
            key,
            session,
            stream,
            route: Route::new(video, Limits::default()),
            dress: Dress::default(),
            video,
            repair: None,
            resends: Resends::default(),
            priority: service.priority,
            numbers: None,
        };
        subscription.set_service(0, service, None);
        subscription
    }

    /// Serves it otherwise.
    pub(super) fn set_service(&mut self, now_ns: u64, service: Service, muted: Option<bool>) {
        let limits = self.route.limits();
        self.route.set_limits(Limits {
            max_layer: service.max_layer,
            max_temporal: service.max_temporal,
            ..limits
        });
        self.priority = service.priority;
        let before = self.route.pause();
        let pause = Pause { unwanted: service.paused, muted: muted.unwrap_or(before.muted) };
        self.route.set_pause(now_ns, pause, None);
    }

    /// Sets what the path affords.
    pub(super) fn set_affordable(&mut self, layer: u8) {
        let limits = self.route.limits();
        if limits.affordable_layer != layer {
            self.route.set_limits(Limits { affordable_layer: layer, ..limits });
        }
    }

    /// The number under which SRTP knows the packet that leaves as `sequence`.
    pub(super) fn index(&mut self, sequence: u16) -> PacketIndex {
        let numbers = self.numbers.get_or_insert_with(|| ExtendedSequence::new(sequence));
        PacketIndex::from_extended(numbers.advance(sequence))
    }

    /// The same for a packet that left before.
    pub(super) fn index_again(&self, sequence: u16) -> Option<PacketIndex> {
        self.numbers.map(|numbers| PacketIndex::from_extended(numbers.extend(sequence)))
    }
}
