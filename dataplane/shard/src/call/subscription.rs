//! Media that goes out to one subscriber.

use ringway_abi::call::{CNAME_BYTES, Service, Text};
use ringway_proto::history::Resends;
use ringway_proto::rtx::RtxStream;
use ringway_proto::srtp::PacketIndex;
use ringway_sfu::call::answers::Answers;
use ringway_sfu::call::blank::BlankKind;
use ringway_sfu::call::dress::Dress;
use ringway_sfu::call::playout::Playout;
use ringway_sfu::call::route::{Limits, Pause, Route};
use ringway_wire::head::HeadFields;
use ringway_wire::sequence::ExtendedSequence;

use super::quality::RouteQuality;
use super::spent::{Line, SpentRepair};
use super::stamps::Stamps;
use crate::slab::SlotId;

/// RTX numbers begin below half, so that the wrap, which SRTP has to guess, is far off.
const FIRST_REPAIR_MASK: u16 = 0x7fff;

/// A retransmission stream with its own numbers.
pub(super) struct Repair {
    stream: RtxStream,
    pub(super) ssrc: u32,
    /// Roll-over counter and sequence number of the next packet.
    next: u64,
}

impl Repair {
    /// A stream that begins at a `random` number.
    pub(super) fn new(ssrc: u32, payload_type: u8, random: u16) -> Self {
        Self::after(ssrc, payload_type, (random & FIRST_REPAIR_MASK).into())
    }

    /// A stream that goes on at `next`.
    pub(super) fn after(ssrc: u32, payload_type: u8, next: u64) -> Self {
        Self { stream: RtxStream::new(ssrc, payload_type, next as u16), ssrc, next }
    }

    /// The fields of the next repetition, the octets in front of its payload, and its index.
    pub(super) fn wrap(&mut self, media: &HeadFields) -> (HeadFields, [u8; 2], PacketIndex) {
        let number = self.next;
        self.next += 1;
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
    /// Of our SSRCs.
    pub(super) cname: Text<CNAME_BYTES>,
    pub(super) video: bool,
    pub(super) repair: Option<Repair>,
    /// Only of video without RTX.
    pub(super) stamps: Option<Stamps>,
    /// Only of video in rooms that say how long to buffer; elsewhere it takes no room in the cache.
    pub(super) playout: Option<Box<Playout>>,
    pub(super) resends: Resends,
    pub(super) answers: Answers,
    /// Packets sent again since the route's quality was told.
    pub(super) repaired: u32,
    /// What its quality is told by, besides.
    pub(super) told: RouteQuality,
    pub(super) priority: u8,
    /// It is of no use any more, and ends when the receiver has got silence or black.
    pub(super) ending: bool,
    /// Its receiver decrypts what comes.
    pub(super) encrypted: bool,
    /// What clients append to pictures is cut off.
    pub(super) cuts_trailer: bool,
    numbers: Option<ExtendedSequence>,
    /// Packets before this number looked otherwise, and must not be sent again under theirs.
    same_since: u64,
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
            cname: Text::EMPTY,
            video,
            repair: None,
            stamps: None,
            playout: None,
            resends: Resends::default(),
            answers: Answers::default(),
            repaired: 0,
            told: RouteQuality::default(),
            priority: service.priority,
            ending: false,
            encrypted: false,
            cuts_trailer: false,
            numbers: None,
            same_since: 0,
        };
        subscription.set_service(0, service, None);
        subscription
    }

    /// Serves it otherwise. A receiver that wants nothing any more gets `silence` for a moment;
    /// whether it does.
    pub(super) fn set_service(
        &mut self,
        now_ns: u64,
        service: Service,
        silence: Option<BlankKind>,
    ) -> bool {
        let limits = self.route.limits();
        self.route.set_limits(Limits {
            max_layer: service.max_layer,
            max_temporal: service.max_temporal,
            ..limits
        });
        self.priority = service.priority;
        let pause = Pause { unwanted: service.paused, ..self.route.pause() };
        self.set_pause(now_ns, pause, silence)
    }

    /// Sends nothing of the source's any more, or again. The receiver gets `silence` for a moment;
    /// whether it does.
    pub(super) fn set_muted(
        &mut self,
        now_ns: u64,
        muted: bool,
        silence: Option<BlankKind>,
    ) -> bool {
        self.set_pause(now_ns, Pause { muted, ..self.route.pause() }, silence)
    }

    fn set_pause(&mut self, now_ns: u64, pause: Pause, silence: Option<BlankKind>) -> bool {
        let silence = self.known(silence);
        let paused = self.route.pause().any();
        self.route.set_pause(now_ns, pause, silence);
        !paused && self.route.blank_deadline().is_some()
    }

    /// Ends it: the receiver gets `blank` for a moment; whether it does.
    pub(super) fn end(&mut self, now_ns: u64, blank: Option<BlankKind>) -> bool {
        let blank = self.known(blank);
        self.ending = self.route.end(now_ns, blank);
        self.ending
    }

    /// What its receiver knows for what it is.
    fn known(&self, blank: Option<BlankKind>) -> Option<BlankKind> {
        blank.filter(|kind| !self.encrypted || kind.is_known_in_the_clear())
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

    /// The same for a packet that left before, if it would leave as the same octets again.
    pub(super) fn index_again(&self, sequence: u16) -> Option<PacketIndex> {
        let number = self.numbers?.extend(sequence);
        (number >= self.same_since).then_some(PacketIndex::from_extended(number))
    }

    /// Packets look otherwise from now on.
    pub(super) fn change_looks(&mut self) {
        self.same_since = self.numbers.map_or(0, |numbers| numbers.highest() + 1);
    }

    /// What the next subscription under the same SSRC must know.
    pub(super) fn line(&self) -> Option<Line> {
        let (stopped, numbers) = self.route.stopped().zip(self.numbers)?;
        Some(Line { ssrc: self.dress.ssrc, stopped, numbers })
    }

    /// The same of its retransmissions.
    pub(super) fn repair_line(&self) -> Option<SpentRepair> {
        self.repair.as_ref().map(|repair| SpentRepair { ssrc: repair.ssrc, next: repair.next })
    }

    /// Goes on under an SSRC that was used before.
    pub(super) fn go_on(&mut self, line: Line) {
        self.route.go_on(line.stopped);
        self.numbers = Some(line.numbers);
        self.change_looks();
    }
}
