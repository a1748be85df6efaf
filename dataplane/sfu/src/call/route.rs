//! One subscription: which packets of a source its receiver gets, and under which numbers.
//!
//! The receiver sees one stream that never ends: its sequence numbers have no gaps but those that
//! the publisher's loss left open, its timestamps go on across layers and pauses, and it begins
//! with a key frame wherever its decoder must begin. Everything that happens per packet is in
//! [`Route::offer`]; the rest happens when something changes.

use ringway_wire::payload::vp8;
use ringway_wire::rtcp::SenderReport;

use super::MAX_LAYERS;
use super::blank::{Blank, BlankKind};
use super::ladder::{Ladder, Wanted};
use super::prepared::{Prepared, StreamId};
use super::scaled::Scaled;
use super::timeline::{Instant, continue_at};
use super::trail::{Segment, Trail};
use crate::report::SourceReport;

/// A receiver's first number: below half, so that the wrap, which SRTP has to guess, is far off.
const FIRST_SEQUENCE_MASK: u16 = 0x7fff;

/// Least and most time between two requests for a key frame while one is awaited.
const KEY_FRAME_RETRY_NS: std::ops::RangeInclusive<u64> = 200_000_000..=1_000_000_000;

/// Numbers in one stretch, at most: less than half of the number space, so that no number is taken
/// for one of another round, even behind the largest jump that is still loss.
const MAX_STRETCH: u16 = 0x6000;

/// What a route does with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It is not for this receiver.
    Drop,
    /// Send it so.
    Send(Sent),
    /// The receiver waits for its number, but shall not get it: send a packet of padding alone.
    Pad(Sent),
}

/// How a packet leaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// Its sequence number.
    pub sequence: u16,
    /// Its timestamp.
    pub timestamp: u32,
    /// Its VP8 numbers; of no meaning where the packet has no descriptor.
    pub numbers: vp8::Numbers,
    /// Its frame number; of no meaning where the packet has none.
    pub frame: u16,
    /// Its marker: it ends what its receiver gets of the picture.
    pub marker: bool,
    /// The active targets that its dependency descriptor shall tell, where not the publisher's.
    pub active: Option<u16>,
}

/// Why a route sends nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pause {
    /// The subscriber or the control plane does not want it now.
    pub unwanted: bool,
    /// The publisher muted the track.
    pub muted: bool,
}

impl Pause {
    /// Whether there is a reason.
    pub fn any(self) -> bool {
        self.unwanted || self.muted
    }
}

/// What a subscriber may get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Highest layer by its settings.
    pub max_layer: u8,
    /// Highest layer by its bandwidth.
    pub affordable_layer: u8,
    /// Highest temporal layer.
    pub max_temporal: u8,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_layer: u8::MAX, affordable_layer: u8::MAX, max_temporal: u8::MAX }
    }
}

/// Counts of one route, for sender reports and statistics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RouteCounts {
    /// Packets sent, padding included, repetitions not.
    pub packets: u64,
    /// Their payload octets.
    pub octets: u64,
    /// Packets of padding alone among them.
    pub padding: u64,
    /// Times the layer changed.
    pub switches: u64,
}

/// Where a receiver's stream stopped, for another route that goes on with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped {
    next_out: u16,
    last: Instant,
    clock_hz: u32,
    numbers: vp8::Numbers,
    frame: u16,
}

/// The layer whose clock a route follows that goes on with another's stream: none.
const NO_CLOCK: u8 = u8::MAX;

/// One subscription.
#[derive(Clone, Debug)]
pub struct Route {
    // What every packet needs: the stream that is followed and what is added to its numbers.
    stream: StreamId,
    /// Highest temporal layer that passes now, and that should.
    temporal: u8,
    max_temporal: u8,
    target: u8,
    pause: Pause,
    video: bool,
    /// The receiver's next number.
    next_out: u16,
    current: Segment,
    last: Instant,
    /// Counts so far.
    pub counts: RouteCounts,
    /// Highest VP8 numbers and frame number sent.
    numbers: vp8::Numbers,
    frame: u16,
    // What only changes need.
    begun: bool,
    resumed: bool,
    /// The source's layers share one stream: `target` and `live` are of spatial layers in it.
    scalable: bool,
    /// Highest spatial layer that the subscriber may get.
    wanted_spatial: u8,
    /// What it gets of such a stream, or of another whose packets tell what they need.
    ladder: Option<Box<Ladder>>,
    /// The layer whose clock `current.timestamp` continues.
    clock_layer: u8,
    /// The last picture left out.
    left_out: Option<u16>,
    shape: Option<vp8::Descriptor>,
    clock_hz: u32,
    limits: Limits,
    live: u8,
    asked_ns: Option<u64>,
    blank: Option<Blank>,
    trail: Trail,
}

impl Route {
    /// A subscription to a video track or to an audio track; nothing sent yet.
    pub fn new(video: bool, limits: Limits) -> Self {
        Self {
            stream: StreamId::NONE,
            temporal: 0,
            max_temporal: limits.max_temporal,
            target: 0,
            pause: Pause::default(),
            video,
            next_out: 0,
            current: Segment::NONE,
            last: Instant::default(),
            counts: RouteCounts::default(),
            numbers: vp8::Numbers::default(),
            frame: 0,
            begun: false,
            resumed: false,
            scalable: false,
            wanted_spatial: u8::MAX,
            ladder: None,
            clock_layer: 0,
            left_out: None,
            shape: None,
            clock_hz: 0,
            limits,
            live: 0,
            asked_ns: None,
            blank: None,
            trail: Trail::default(),
        }
    }

    /// Where the receiver's stream is; `None` where nothing was sent.
    pub fn stopped(&self) -> Option<Stopped> {
        let Self { next_out, last, clock_hz, numbers, frame, .. } = *self;
        self.begun.then_some(Stopped { next_out, last, clock_hz, numbers, frame })
    }

    /// Goes on, before anything was sent, with the stream that another route stopped: the receiver
    /// sees numbers and timestamps go on, as it must under one SSRC.
    pub fn go_on(&mut self, stopped: Stopped) {
        let Stopped { next_out, last, clock_hz, numbers, frame } = stopped;
        self.next_out = next_out;
        self.current.first_out = next_out;
        (self.last, self.clock_hz, self.numbers, self.frame) = (last, clock_hz, numbers, frame);
        self.clock_layer = NO_CLOCK;
        self.begun = true;
        self.resumed = true;
    }

    /// Decides about a packet of the route's source.
    #[inline]
    pub fn offer(&mut self, packet: &Prepared) -> Decision {
        if packet.stream != self.stream {
            return self.offer_other(packet);
        }
        if packet.ahead == 0 {
            return self.offer_late(packet);
        }
        if let Some(scaled) = &packet.scaled {
            return self.offer_scaled(packet, scaled);
        }
        if packet.frame_start && self.temporal != self.max_temporal {
            self.step_temporal(packet);
        }
        if packet.temporal > self.temporal || packet.empty {
            self.leave_out(packet);
            return Decision::Drop;
        }
        Decision::Send(self.forward(packet))
    }

    /// A packet in order of a stream that holds several layers.
    #[inline(never)]
    fn offer_scaled(&mut self, packet: &Prepared, scaled: &Scaled) -> Decision {
        let wanted = self.wanted();
        let ladder = self.ladder.get_or_insert_default();
        let takes = ladder.judge(packet, scaled, wanted);
        let (spatial, temporal) = ladder.limits();
        if (spatial, temporal) != (self.current.spatial, self.current.temporal) {
            self.counts.switches += u64::from(spatial != self.current.spatial);
            self.begin_stretch(packet, spatial, temporal);
            self.current.restricted |= !scaled.is_all(spatial, temporal);
        }
        if !takes || packet.empty {
            self.leave_out(packet);
            return Decision::Drop;
        }
        Decision::Send(self.forward(packet))
    }

    fn wanted(&self) -> Wanted {
        let spatial = if self.scalable { self.wanted_spatial } else { u8::MAX };
        Wanted { spatial, temporal: self.max_temporal }
    }

    /// What every packet in order costs.
    #[inline]
    fn forward(&mut self, packet: &Prepared) -> Sent {
        let sent = sent_of(&self.current, packet);
        self.next_out = sent.sequence.wrapping_add(1);
        if self.next_out.wrapping_sub(self.current.first_out) > MAX_STRETCH {
            self.shorten();
        }
        self.last = Instant { timestamp: sent.timestamp, at_ns: packet.now_ns };
        if packet.vp8.is_some() {
            self.numbers = sent.numbers;
        }
        if packet.frame.is_some() {
            self.frame = sent.frame;
        }
        self.counts.packets += 1;
        self.counts.octets += packet.payload().len() as u64;
        sent
    }

    /// Lets a stretch that never changes begin later, before its numbers come round.
    #[cold]
    fn shorten(&mut self) {
        let step = MAX_STRETCH / 2;
        self.current.first_in = self.current.first_in.wrapping_add(step);
        self.current.first_out = self.current.first_out.wrapping_add(step);
        self.trail.clear();
    }

    /// A packet of a stream that is not followed: the place where one is begun or changed to, or a
    /// late one of the stream before.
    #[cold]
    fn offer_other(&mut self, packet: &Prepared) -> Decision {
        if packet.ahead == 0 {
            return self.offer_late(packet);
        }
        if self.pause.any() {
            return Decision::Drop;
        }
        if !packet.entry || packet.empty || packet.is_malformed() {
            if self.video && self.stream.layer() == packet.layer() {
                // The layer counts anew, and where it began was lost: another begin must be asked
                // for.
                self.stream = StreamId::NONE;
                self.asked_ns = None;
            }
            return Decision::Drop;
        }
        // Until something is decoded any layer up to the wanted one will do; then only that one.
        let layer = packet.layer();
        let waiting = self.stream == StreamId::NONE;
        let same_layer = self.stream.layer() == layer;
        let only = self.scalable;
        if only || layer == self.target || same_layer || waiting && layer < self.target {
            self.begin(packet);
            return Decision::Send(self.forward(packet));
        }
        Decision::Drop
    }

    /// Follows the stream of `packet`, its first packet, from now on.
    fn begin(&mut self, packet: &Prepared) {
        let layer = packet.layer();
        if self.begun {
            let known = if layer == self.clock_layer {
                // Still the same clock, unless the numbering began anew with it.
                let same = self.current.stream == packet.stream;
                same.then_some(0)
            } else {
                packet.alignment.between(layer, self.clock_layer)
            };
            let reference = known.map(|offset| {
                packet.timestamp.wrapping_add(offset).wrapping_add(self.current.timestamp)
            });
            let timestamp =
                continue_at(self.last, packet.now_ns, packet.clock_hz, reference, self.resumed);
            self.trail.close(self.current, self.next_out);
            self.current = self.continued(packet, timestamp);
            self.counts.switches += 1;
        } else {
            self.next_out = packet.sequence & FIRST_SEQUENCE_MASK;
            self.current = Segment { stream: packet.stream, ..Segment::NONE };
            self.begun = true;
        }
        self.temporal = self.max_temporal;
        (self.current.spatial, self.current.restricted) = (u8::MAX, false);
        if let Some(scaled) = &packet.scaled {
            let wanted = self.wanted();
            let ladder = self.ladder.get_or_insert_default();
            ladder.begin(packet, scaled, wanted);
            (self.current.spatial, self.temporal) = ladder.limits();
            self.current.restricted = !scaled.is_all(self.current.spatial, self.temporal);
        }
        self.current.temporal = self.temporal;
        self.current.first_in = packet.sequence;
        self.current.first_out = self.next_out;
        self.stream = packet.stream;
        self.clock_layer = layer;
        self.clock_hz = packet.clock_hz;
        self.shape = packet.vp8;
        self.left_out = None;
        self.resumed = false;
        self.blank = None;
        self.asked_ns = None;
    }

    /// A stretch whose first packet is one more than the last in everything that is counted.
    fn continued(&self, packet: &Prepared, timestamp: u32) -> Segment {
        let came = packet.vp8.map(|descriptor| descriptor.numbers()).unwrap_or_default();
        Segment {
            stream: packet.stream,
            timestamp: timestamp.wrapping_sub(packet.timestamp),
            picture_id: self.numbers.picture_id.wrapping_add(1).wrapping_sub(came.picture_id),
            tl0_index: self.numbers.tl0_index.wrapping_add(1).wrapping_sub(came.tl0_index),
            key_index: self.numbers.key_index.wrapping_add(1).wrapping_sub(came.key_index),
            frame: self.frame.wrapping_add(1).wrapping_sub(packet.frame.unwrap_or(0)),
            ..self.current
        }
    }

    /// Steps to the wanted temporal layer where a frame lets it.
    #[cold]
    fn step_temporal(&mut self, packet: &Prepared) {
        let next = if packet.entry || self.max_temporal < self.temporal {
            self.max_temporal
        } else if packet.layer_sync && packet.temporal == self.temporal.wrapping_add(1) {
            // RFC 7741 4.2, Y: the frame needs only the base layer, so what was left out before is
            // not missed.
            packet.temporal
        } else {
            return;
        };
        if next != self.temporal {
            self.begin_stretch(packet, self.current.spatial, next);
        }
    }

    /// Lets other layers pass from `packet` on.
    fn begin_stretch(&mut self, packet: &Prepared, spatial: u8, temporal: u8) {
        let first_out = self.current.out_of(packet.sequence);
        self.trail.close(self.current, first_out);
        self.current.first_in = packet.sequence;
        self.current.first_out = first_out;
        self.current.spatial = spatial;
        self.current.temporal = temporal;
        self.temporal = temporal;
    }

    /// Leaves out a packet that came in order: the next one takes its number.
    #[cold]
    fn leave_out(&mut self, packet: &Prepared) {
        let slot = self.current.out_of(packet.sequence);
        self.trail.close(self.current, slot);
        self.current.first_in = packet.sequence.wrapping_add(1);
        self.current.first_out = slot;
        self.next_out = slot;
        // Its picture may have begun in a packet that is late and still goes out: what comes next
        // must not have the same time.
        let timestamp = packet.timestamp.wrapping_add(self.current.timestamp);
        self.last = Instant { timestamp, at_ns: packet.now_ns };
        let Some(descriptor) = packet.vp8 else { return };
        // A picture left out leaves its number to the next.
        if let Some(id) = descriptor.picture_id
            && self.left_out.replace(id.value) != Some(id.value)
        {
            self.current.picture_id = self.current.picture_id.wrapping_sub(1);
        }
        // Pictures that are missing before it keep theirs, also when the layer changes now.
        self.numbers = self.current.numbers(&descriptor);
    }

    /// A packet that comes late goes where its number was kept for it.
    #[cold]
    fn offer_late(&mut self, packet: &Prepared) -> Decision {
        if self.pause.any() || !self.begun {
            return Decision::Drop;
        }
        let current = &self.current;
        let ahead = packet.sequence.wrapping_sub(current.first_in);
        let in_current = packet.stream == current.stream
            && ahead < self.next_out.wrapping_sub(current.first_out);
        let segment = if in_current {
            current
        } else {
            match self.trail.by_in(current.first_out, packet.stream, packet.sequence) {
                Some(segment) => segment,
                None => return Decision::Drop,
            }
        };
        let mut decision = decide_again(segment, packet);
        if let (Some(scaled), Some(ladder)) = (&packet.scaled, &mut self.ladder)
            && packet.stream == self.stream
        {
            let sent = sent_of(segment, packet);
            let takes = ladder.judge_late(packet, scaled, segment.spatial, segment.temporal);
            let takes = takes && !packet.empty;
            decision = if takes { Decision::Send(sent) } else { Decision::Pad(sent) };
        }
        match decision {
            Decision::Send(_) => self.counts.octets += packet.payload().len() as u64,
            Decision::Pad(_) => self.counts.padding += 1,
            Decision::Drop => {}
        }
        self.counts.packets += 1;
        decision
    }

    /// What the receiver's number `sequence` stood for: the layer and the number under which it
    /// lies in that layer's history. `None` for what is forgotten, was never sent, or was ours.
    pub fn sent_as(&self, sequence: u16) -> Option<Resend> {
        if !self.begun {
            return None;
        }
        let current = &self.current;
        let sent = self.next_out.wrapping_sub(current.first_out);
        let in_current = sequence.wrapping_sub(current.first_out) < sent;
        let segment =
            if in_current { current } else { self.trail.by_out(current.first_out, sequence)? };
        Some(Resend { segment: *segment, sequence: segment.in_of(sequence) })
    }

    /// How `packet`, found in the history of `resend` and read again, leaves: as it did the first
    /// time.
    pub fn decide_again(&self, resend: &Resend, packet: &Prepared) -> Decision {
        let decision = decide_again(&resend.segment, packet);
        match (&packet.scaled, &self.ladder, decision) {
            (Some(scaled), Some(ladder), Decision::Send(sent))
                if resend.segment.stream == self.current.stream
                    && ladder.refuses(packet, scaled) =>
            {
                Decision::Pad(sent)
            }
            _ => decision,
        }
    }

    /// Whether the route sends nothing for now, and why.
    pub fn pause(&self) -> Pause {
        self.pause
    }

    /// Pauses or resumes. What was followed is left: video begins again with a key frame. A pause
    /// is filled with `blank` for a moment, so that a decoder does not draw out its last sound.
    pub fn set_pause(&mut self, now_ns: u64, pause: Pause, blank: Option<BlankKind>) {
        let (before, after) = (self.pause.any(), pause.any());
        self.pause = pause;
        if before == after {
            return;
        }
        // Whoever waits for packets waits for them in a pause too.
        let announcement = self.blank.filter(Blank::announces);
        if after {
            let filled = blank.filter(|_| self.begun).map(|kind| Blank::pause(kind, now_ns));
            self.blank = announcement.or(filled);
            self.stream = StreamId::NONE;
        } else {
            self.blank = announcement;
            self.resumed = true;
            self.asked_ns = None;
        }
    }

    /// Lets a receiver that hears of a stream by its packets alone have some of `kind` until the
    /// source sends any, for a while. Its numbers and timestamps begin as `random` says.
    pub fn announce(&mut self, now_ns: u64, kind: BlankKind, clock_hz: u32, random: u64) {
        if self.begun {
            return;
        }
        self.next_out = random as u16 & FIRST_SEQUENCE_MASK;
        self.last = Instant { timestamp: (random >> 32) as u32, at_ns: now_ns };
        self.clock_hz = clock_hz;
        self.blank = Some(Blank::announcement(kind, now_ns));
    }

    /// Sends nothing of the source's any more, for good: `blank` for a moment takes away what the
    /// receiver heard or saw last, also after a pause. Whether there is anything to take away.
    pub fn end(&mut self, now_ns: u64, blank: Option<BlankKind>) -> bool {
        self.pause.muted = true;
        self.stream = StreamId::NONE;
        self.blank = blank.filter(|_| self.begun).map(|kind| Blank::end(kind, now_ns));
        self.blank.is_some()
    }

    /// The silence or black frame that is due, if one is.
    pub fn poll_blank(
        &mut self,
        now_ns: u64,
    ) -> Option<(BlankKind, Sent, Option<vp8::Descriptor>)> {
        let blank = self.blank.as_mut()?;
        let kind = blank.poll(now_ns)?;
        if blank.deadline().is_none() {
            self.blank = None;
        }
        if !self.begun {
            // What the source sends goes on with an announcement.
            (self.begun, self.resumed, self.clock_layer) = (true, true, NO_CLOCK);
        }
        let timestamp = continue_at(self.last, now_ns, self.clock_hz, None, true);
        // Numbers of ours stand for nothing of the source: they lie between two stretches.
        let sequence = self.next_out;
        self.trail.close(self.current, sequence);
        self.next_out = sequence.wrapping_add(1);
        self.current.first_out = self.next_out;
        self.last = Instant { timestamp, at_ns: now_ns };
        self.numbers = vp8::Numbers {
            picture_id: self.numbers.picture_id.wrapping_add(1) & 0x7fff,
            tl0_index: self.numbers.tl0_index.wrapping_add(1),
            key_index: self.numbers.key_index.wrapping_add(1) & 0x1f,
        };
        self.frame = self.frame.wrapping_add(1);
        self.counts.packets += 1;
        self.counts.padding += u64::from(kind == BlankKind::Padding);
        let (numbers, frame) = (self.numbers, self.frame);
        let marker = kind != BlankKind::Padding;
        let sent = Sent { sequence, timestamp, numbers, frame, marker, active: None };
        Some((kind, sent, self.shape))
    }

    /// When [`Self::poll_blank`] has something to send.
    pub fn blank_deadline(&self) -> Option<u64> {
        self.blank.as_ref().and_then(Blank::deadline)
    }

    /// Sets what the subscriber may get.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
        self.max_temporal = limits.max_temporal;
        self.choose_target();
    }

    /// What the subscriber may get.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Tells which layers of the source are live, a bit for each. To be called before the packet
    /// that made a layer live is offered.
    pub fn set_live(&mut self, live: u8) {
        self.live = live & ((1 << MAX_LAYERS) - 1);
        self.choose_target();
    }

    /// Tells whether the source's layers share one stream.
    pub fn set_scalable(&mut self, scalable: bool) {
        self.scalable = scalable;
    }

    /// The layer that the route should send: the best live one that is allowed; where only better
    /// ones are live, the least of them.
    pub fn target(&self) -> u8 {
        self.target
    }

    /// The layer that the route sends; `None` before the first key frame.
    pub fn layer(&self) -> Option<u8> {
        let best = 7_u8.saturating_sub(self.live.leading_zeros() as u8);
        (self.stream != StreamId::NONE).then_some(match self.scalable {
            true => self.current.spatial.min(best),
            false => self.stream.layer(),
        })
    }

    /// The stream of which a key frame begins `layer`.
    fn stream_of(&self, layer: u8) -> u8 {
        if self.scalable { 0 } else { layer }
    }

    fn choose_target(&mut self) {
        let highest = MAX_LAYERS as u8 - 1;
        let ceiling = self.limits.max_layer.min(self.limits.affordable_layer).min(highest);
        let allowed = self.live & ((2 << ceiling) - 1);
        let target = match (allowed, self.live) {
            (0, 0) => ceiling,
            (0, live) => live.trailing_zeros() as u8,
            (allowed, _) => 7 - allowed.leading_zeros() as u8,
        };
        self.wanted_spatial = target.max(ceiling);
        if target != self.target {
            self.target = target;
            self.asked_ns = None;
        }
    }

    /// Whether the route waits for a key frame, of whichever layer.
    pub fn waits(&self) -> bool {
        let wanted = self.video && !self.pause.any() && self.live >> self.target & 1 == 1;
        let ready = || self.ladder.as_ref().is_none_or(|ladder| ladder.is_ready(self.target));
        wanted
            && match self.scalable {
                true => self.stream == StreamId::NONE || !ready(),
                false => self.stream.layer() != self.target,
            }
    }

    /// The layer of which a key frame shall be asked for now, by a route that waits for one.
    pub fn poll_key_frame(&mut self, now_ns: u64, round_trip_ns: u64) -> Option<u8> {
        if !self.waits() {
            return None;
        }
        let (least, most) = KEY_FRAME_RETRY_NS.into_inner();
        let retry_ns = round_trip_ns.saturating_mul(2).clamp(least, most);
        if self.asked_ns.is_some_and(|asked| now_ns.saturating_sub(asked) < retry_ns) {
            return None;
        }
        self.asked_ns = Some(now_ns);
        Some(self.stream_of(self.target))
    }

    /// The layer of which a receiver that asks for a key frame wants one.
    pub fn key_frame_layer(&self) -> Option<u8> {
        let layer = || self.stream_of(self.layer().unwrap_or(self.target));
        (self.video && !self.pause.any()).then(layer)
    }

    /// The source's sender report of `layer` as the receiver must see it (RFC 3550 section 6.4.1):
    /// the same instant, in its own timestamps, with counts of what it was sent. `None` where the
    /// report is of another layer than the one that the receiver's clock follows.
    pub fn sender_report(
        &self,
        ssrc: u32,
        layer: u8,
        report: &SourceReport,
    ) -> Option<SenderReport> {
        (self.begun && layer == self.clock_layer).then(|| SenderReport {
            ssrc,
            ntp: report.ntp,
            rtp_timestamp: report.timestamp.wrapping_add(self.current.timestamp),
            // RFC 3550 6.4.1: both wrap at 32 bits.
            packet_count: self.counts.packets as u32,
            octet_count: self.counts.octets as u32,
        })
    }

    /// The layer whose clock the receiver's timestamps follow.
    pub fn clock_layer(&self) -> Option<u8> {
        (self.begun && self.clock_layer != NO_CLOCK).then_some(self.clock_layer)
    }
}

/// A packet that a receiver asks for again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resend {
    segment: Segment,
    /// The number under which it lies in the history.
    pub sequence: u16,
}

impl Resend {
    /// The layer in whose history it lies.
    pub fn layer(&self) -> u8 {
        self.segment.stream.layer()
    }

    /// The numbering that it is of.
    pub fn stream(&self) -> StreamId {
        self.segment.stream
    }
}

/// What a packet leaves with in a stretch.
#[inline]
fn sent_of(segment: &Segment, packet: &Prepared) -> Sent {
    let scaled = packet.scaled.as_ref();
    let first = packet.sequence == segment.first_in;
    Sent {
        sequence: segment.out_of(packet.sequence),
        timestamp: packet.timestamp.wrapping_add(segment.timestamp),
        numbers: packet.vp8.map_or_else(vp8::Numbers::default, |vp8| segment.numbers(&vp8)),
        frame: packet.frame.unwrap_or(0).wrapping_add(segment.frame),
        marker: packet.marker || scaled.is_some_and(|one| one.ends_picture_at(segment.spatial)),
        active: scaled
            .filter(|_| segment.restricted)
            .and_then(|one| one.told_active(segment.spatial, segment.temporal, first)),
    }
}

/// What becomes of a packet whose number is taken already.
fn decide_again(segment: &Segment, packet: &Prepared) -> Decision {
    let sent = sent_of(segment, packet);
    let passes = match &packet.scaled {
        None => packet.temporal <= segment.temporal,
        Some(scaled) => scaled.passes(segment.spatial, segment.temporal),
    };
    if !passes || packet.empty { Decision::Pad(sent) } else { Decision::Send(sent) }
}

#[cfg(test)]
#[path = "route_tests.rs"]
mod tests;
