//! Sources whose subscribers are served by several shards.
//!
//! A source comes in on the shard of its publisher, its *home*. A shard that serves subscribers of
//! it has a *mirror*: a stream like any other, with a history and routes of its own, but what comes
//! in is what the home hands over, opened already. So a packet crosses a lane once per shard,
//! however many subscribers that has, and what they ask for again is answered where they are.
//!
//! A mirror begins with its first route and ends soon after its last. It asks the home again and
//! again to go on; a home forgets who falls silent, and neither waits for the other.

use ringway_abi::call::{RouteSpec, SourceKind as AbiKind};
use ringway_abi::counters::Counter;
use ringway_abi::message::Refusal;
use ringway_proto::history::Place;
use ringway_sfu::call::MAX_LAYERS;
use ringway_sfu::call::format::{Format, Formats};
use ringway_sfu::call::prepared::StreamId;
use ringway_sfu::call::route::Resend;
use ringway_sfu::call::source::{Source, SourceKind};
use ringway_sfu::report::SourceReport;
use ringway_wire::extension::{ExtensionKind, ExtensionMap};
use ringway_wire::rtp::RtpView;

use super::Calls;
use super::lanes::{Head, Others, ShardLane, Word};
use super::stream::{Kept, NO_SESSION, Queued, Stream};
use crate::clock::Now;
use crate::shard::Counters;
use crate::slab::SlotId;

/// How often a mirror says that it is wanted. Raised, a lost word is made good later; lowered,
/// shards talk more of nothing new.
const WANT_NS: u64 = 1_000_000_000;
/// A home that heard nothing of a mirror for so long hands over nothing more.
const LEASE_NS: u64 = 4 * WANT_NS;
/// How long a mirror outlives its last route: who comes back soon finds its history.
const LINGER_NS: u64 = 2_000_000_000;
/// Least time between two wishes for a key frame of one layer. The home throttles better, but must
/// not hear of every subscriber.
const WISH_NS: u64 = 50_000_000;
/// Words of one shard that one turn takes.
const TURN_WORDS: usize = 1024;

/// A shard that serves subscribers of a source that comes in here.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mirror {
    shard: u16,
    /// Its name there.
    id: SlotId,
    pub(super) routes: u32,
    wanted_ns: u64,
}

/// What a mirror knows besides what every stream does.
pub(super) struct Mirrored {
    home: u16,
    /// The home has answered.
    attached: bool,
    /// When it last said that it is wanted, and for how many routes.
    wanted_ns: u64,
    routes: usize,
    idle_since_ns: Option<u64>,
    wished_ns: [Option<u64>; MAX_LAYERS],
    /// The home's name of each layer's numbering.
    numberings: [StreamId; MAX_LAYERS],
    /// As the packets said that came over the lane.
    pub(super) formats: Formats,
    pub(super) extensions: ExtensionMap,
}

impl Mirrored {
    fn new(home: u16) -> Self {
        Self {
            home,
            attached: false,
            wanted_ns: 0,
            routes: 0,
            idle_since_ns: None,
            wished_ns: [None; MAX_LAYERS],
            numberings: [StreamId::NONE; MAX_LAYERS],
            formats: Formats::default(),
            extensions: ExtensionMap::default(),
        }
    }

    /// Learns from a packet what its payload type and extension ids mean; whether they meant
    /// something else before.
    fn learn(&mut self, head: &Head, payload_type: u8) -> bool {
        let format = (head.codec, head.clock_hz);
        let before = self.formats.media(payload_type);
        if before != Some(format) {
            let (codec, clock_hz) = format;
            self.formats.insert(payload_type, Format::Media { codec, clock_hz });
        }
        let mut other = before.is_some_and(|before| before != format);
        if *self.extensions.ids() != head.extensions {
            self.extensions = ExtensionMap::default();
            for (kind, id) in ExtensionKind::ALL.into_iter().zip(head.extensions) {
                self.extensions.insert(id, kind);
            }
            other = true;
        }
        other
    }
}

impl Calls {
    /// Lets calls reach those of the other shards; `index` is this one's number. Before any call.
    pub fn join_shards(&mut self, index: u16, lanes: Vec<Option<ShardLane>>) {
        self.others = Others::new(index, lanes);
    }

    /// Whether nothing waits between the shards.
    pub fn shards_idle(&self) -> bool {
        self.others.is_idle()
    }

    /// Whether `shard` was told anything since the last call.
    pub fn take_shard_touched(&mut self, shard: u16) -> bool {
        self.others.take_touched(shard)
    }

    /// Takes what other shards said and handed over, as far as the turn has room.
    pub fn handle_shards(&mut self, now: Now, counters: &mut Counters) {
        for shard in 0..self.others.shards() {
            for _ in 0..TURN_WORDS {
                let word = self.others.to(shard).and_then(|lane| {
                    lane.push_backlog();
                    lane.heard()
                });
                let Some(word) = word else { break };
                self.handle_word(now, shard, word, counters);
            }
            while self.has_room()
                && let Some(head) = self.others.to(shard).and_then(ShardLane::handed)
            {
                self.handle_handed(now, shard, &head);
            }
            self.handle_frames(now, shard, counters);
        }
        counters.add(Counter::HandedOver, std::mem::take(&mut self.others.handed));
        counters.add(Counter::DropShardLane, std::mem::take(&mut self.others.lost));
    }

    fn handle_word(&mut self, now: Now, shard: u16, word: Word, counters: &mut Counters) {
        match word {
            Word::Want { source, mirror, routes } => {
                self.handle_want(now, shard, source, mirror, routes);
            }
            Word::Leave { source, mirror } => {
                if let Some(stream) = self.home_of(source).and_then(|id| self.streams.get_mut(id)) {
                    stream.mirrors.retain(|one| (one.shard, one.id) != (shard, mirror));
                }
            }
            Word::KeyFrame { source, layer } => {
                if let Some(id) = self.home_of(source) {
                    self.ask_key_frame(now, id, layer);
                }
            }
            Word::Again { source, stream, sequence } => {
                self.hand_again(shard, source, stream, sequence);
            }
            Word::State { mirror, muted, live, ssrcs } => {
                if self.mirror_of(shard, mirror).is_none() {
                    return;
                }
                if !self.set_attached(now, mirror, live, ssrcs) {
                    self.ask_for_waiting(now, mirror);
                }
                self.mute_stream(now, mirror, muted);
            }
            Word::Gone { mirror } => {
                let stream = self.mirror_of(shard, mirror);
                let mirrored = stream.and_then(|stream| stream.mirrored.as_ref());
                // Before that, word of the source may come later than word of the route.
                if mirrored.is_some_and(|mirrored| mirrored.attached) {
                    self.remove_stream(now, mirror);
                }
            }
            Word::Report { mirror, report } => {
                self.handle_mirrored_report(now, shard, mirror, report);
            }
            Word::Enter { room } => self.handle_enter(shard, room),
            Word::Exit { room } => self.handle_exit(shard, room),
            Word::Data(message) => self.handle_message(now, shard, &message, counters),
            Word::Pressure { sender, pressure } => {
                self.handle_pressure(now, shard, sender, pressure);
            }
            Word::WantTrack { track, routes } => {
                self.handle_want_track(now, shard, track, routes);
            }
        }
    }
}

/// The home's half.
impl Calls {
    /// A source that comes in here.
    fn home_of(&self, source: u64) -> Option<SlotId> {
        let id = self.stream_of.get(&source).copied().or_else(|| self.disowned_home(source))?;
        self.streams.get(id).filter(|stream| stream.mirrored.is_none()).map(|_| id)
    }

    /// A source that nobody steers any more, but mirrors still want.
    fn disowned_home(&self, source: u64) -> Option<SlotId> {
        let mut streams = self.streams.iter().filter(|_| self.any_disowned);
        streams
            .find(|(_, stream)| stream.key == source && !stream.mirrors.is_empty())
            .map(|one| one.0)
    }

    fn handle_want(&mut self, now: Now, shard: u16, source: u64, id: SlotId, routes: u32) {
        let of = self.home_of(source).and_then(|home| Some((home, self.streams.get_mut(home)?)));
        let Some((home, stream)) = of else {
            self.others.say(shard, Word::Gone { mirror: id });
            return;
        };
        let mirror = Mirror { shard, id, routes, wanted_ns: now.mono_ns };
        match stream.mirrors.iter_mut().find(|known| known.shard == shard) {
            Some(known) if known.id == id => *known = mirror,
            known => {
                match known {
                    Some(known) => *known = mirror,
                    None => stream.mirrors.push(mirror),
                }
                for layer in stream.source.layers() {
                    if let Some(report) = layer.report() {
                        self.others.say(shard, Word::Report { mirror: id, report });
                    }
                }
            }
        }
        self.tell_mirrors(home);
    }

    /// Tells the mirrors of a source how it is.
    pub(super) fn tell_mirrors(&mut self, id: SlotId) {
        let Some(stream) = self.streams.get(id) else { return };
        let mut ssrcs = [None; MAX_LAYERS];
        for (ssrc, layer) in ssrcs.iter_mut().zip(stream.source.layers()) {
            *ssrc = layer.ssrc;
        }
        let (muted, live) = (stream.muted, stream.source.live());
        for mirror in &stream.mirrors {
            let word = Word::State { mirror: mirror.id, muted, live, ssrcs };
            self.others.say(mirror.shard, word);
        }
    }

    /// Passes a sender report on to mirrors.
    pub(super) fn tell_report(&mut self, id: SlotId, report: SourceReport) {
        let Some(stream) = self.streams.get(id) else { return };
        for mirror in &stream.mirrors {
            self.others.say(mirror.shard, Word::Report { mirror: mirror.id, report });
        }
    }

    /// Tells everybody who has to do with a stream on another shard that it is no more.
    pub(super) fn tell_gone(&mut self, stream: &Stream, id: SlotId) {
        for mirror in &stream.mirrors {
            self.others.say(mirror.shard, Word::Gone { mirror: mirror.id });
        }
        if let Some(mirrored) = &stream.mirrored {
            self.others.say(mirrored.home, Word::Leave { source: stream.key, mirror: id });
        }
    }

    /// Hands a packet that was kept just now to the shards that serve subscribers of its source.
    pub(super) fn hand_over(&mut self, id: SlotId, packet: &Queued, repaired: bool) -> Option<()> {
        let Self { streams, sessions, pool, others, .. } = self;
        let stream = streams.get(id).filter(|stream| !stream.mirrors.is_empty())?;
        let session = sessions.get(stream.session)?;
        let prepared = &packet.prepared;
        let octets = stream.kept(pool, packet.layer, prepared.sequence)?;
        for mirror in &stream.mirrors {
            let head = Head {
                mirror: mirror.id,
                stream: prepared.stream,
                repaired,
                codec: prepared.codec,
                clock_hz: prepared.clock_hz,
                extensions: *session.extensions.ids(),
                kernel_ns: packet.kernel_ns,
                len: octets.len() as u16,
            };
            others.hand(mirror.shard, head, octets);
        }
        Some(())
    }

    /// Hands a packet over once more that found no room in the lane.
    fn hand_again(
        &mut self,
        shard: u16,
        source: u64,
        numbering: StreamId,
        sequence: u16,
    ) -> Option<()> {
        let id = self.home_of(source)?;
        let stream = self.streams.get(id)?;
        let mirror = stream.mirrors.iter().find(|mirror| mirror.shard == shard)?;
        let layer = numbering.layer();
        if stream.source.stream(layer) != Some(numbering) {
            return None;
        }
        let octets = stream.kept(&self.pool, layer, sequence)?;
        let (formats, extensions) = stream.meanings(&self.sessions)?;
        let (codec, clock_hz) = formats.media(RtpView::parse(octets).ok()?.payload_type())?;
        let head = Head {
            mirror: mirror.id,
            stream: numbering,
            repaired: true,
            codec,
            clock_hz,
            extensions: *extensions.ids(),
            kernel_ns: 0,
            len: octets.len() as u16,
        };
        self.others.hand(shard, head, octets);
        Some(())
    }
}

/// The serving shard's half.
impl Calls {
    /// A mirror that `home` hands packets to.
    fn mirror_of(&mut self, home: u16, id: SlotId) -> Option<&mut Stream> {
        let is_of = |stream: &&mut Stream| {
            stream.mirrored.as_ref().is_some_and(|mirrored| mirrored.home == home)
        };
        self.streams.get_mut(id).filter(is_of)
    }

    /// The stream that a route is to send: the source itself, or a mirror of it.
    pub(super) fn stream_for(&mut self, now: Now, spec: &RouteSpec) -> Result<SlotId, Refusal> {
        if let Some(id) = self.stream_of.get(&spec.source) {
            return Ok(*id);
        }
        if spec.home == self.others.index || spec.source == 0 {
            return Err(Refusal::NoSuchSource);
        }
        self.others.to(spec.home).ok_or(Refusal::Invalid)?;
        let kind = source_kind(spec.kind);
        let source = Source::new(kind, MAX_LAYERS);
        let stream = Stream {
            mirrored: Some(Box::new(Mirrored::new(spec.home))),
            ..Stream::new(spec.source, NO_SESSION, source, self.hold.pads(kind))
        };
        let id = self.streams.insert(stream).map_err(|_| Refusal::TableFull)?;
        self.stream_of.insert(spec.source, id);
        self.want(now, id);
        Ok(id)
    }

    /// Asks the home of a mirror to go on.
    fn want(&mut self, now: Now, id: SlotId) {
        let Some(stream) = self.streams.get_mut(id) else { return };
        let Some(mirrored) = &mut stream.mirrored else { return };
        let routes = stream.routes.len();
        (mirrored.wanted_ns, mirrored.routes) = (now.mono_ns, routes);
        let word = Word::Want { source: stream.key, mirror: id, routes: routes as u32 };
        self.others.say(mirrored.home, word);
    }

    /// Does what is due for a stream that several shards know.
    pub(super) fn keep_mirrors(&mut self, now: Now, id: SlotId) {
        let Some(stream) = self.streams.get_mut(id) else { return };
        let silent_ns = |mirror: &Mirror| now.mono_ns.saturating_sub(mirror.wanted_ns);
        stream.mirrors.retain(|mirror| silent_ns(mirror) < LEASE_NS);
        let Some(mirrored) = &mut stream.mirrored else { return };
        if !stream.routes.is_empty() {
            mirrored.idle_since_ns = None;
        } else if *mirrored.idle_since_ns.get_or_insert(now.mono_ns) + LINGER_NS <= now.mono_ns {
            return self.remove_stream(now, id);
        }
        let said_ns = now.mono_ns.saturating_sub(mirrored.wanted_ns);
        if !mirrored.attached || mirrored.routes != stream.routes.len() || said_ns >= WANT_NS {
            self.want(now, id);
        }
    }

    /// The home has answered: it has these layers, and of some packets come. Whether that was
    /// known.
    fn set_attached(
        &mut self,
        now: Now,
        id: SlotId,
        live: u8,
        ssrcs: [Option<u32>; MAX_LAYERS],
    ) -> bool {
        let Some(stream) = self.streams.get_mut(id) else { return true };
        let Some(mirrored) = &mut stream.mirrored else { return true };
        if std::mem::replace(&mut mirrored.attached, true) {
            return true;
        }
        for (layer, ssrc) in ssrcs.into_iter().enumerate() {
            stream.source.presume(now.mono_ns, layer as u8, ssrc, live >> layer & 1 == 1);
        }
        self.tell_layers(id);
        false
    }

    fn handle_mirrored_report(&mut self, now: Now, home: u16, id: SlotId, report: SourceReport) {
        let Some(stream) = self.mirror_of(home, id) else { return };
        let report = SourceReport { at_ns: now.mono_ns, ..report };
        stream.report = stream.source.handle_report(report);
        if stream.report.is_some() && !std::mem::replace(&mut stream.touched, true) {
            self.touched.push(id);
        }
    }

    /// Wishes for a key frame, on behalf of whoever it is.
    pub(super) fn wish_key_frame(&mut self, now: Now, id: SlotId, layer: u8) {
        let Some(stream) = self.streams.get_mut(id) else { return };
        let Some(mirrored) = &mut stream.mirrored else { return };
        let Some(wished_ns) = mirrored.wished_ns.get_mut(usize::from(layer)) else { return };
        if wished_ns.is_some_and(|at_ns| now.mono_ns.saturating_sub(at_ns) < WISH_NS) {
            return;
        }
        *wished_ns = Some(now.mono_ns);
        self.others.say(mirrored.home, Word::KeyFrame { source: stream.key, layer });
    }

    /// Asks the home for a packet that did not come over the lane.
    pub(super) fn ask_again(&mut self, id: SlotId, resend: &Resend) -> Option<()> {
        let stream = self.streams.get(id)?;
        let mirrored = stream.mirrored.as_ref()?;
        let numbering = *mirrored.numberings.get(usize::from(resend.layer()))?;
        let sequence = resend.sequence;
        let word = Word::Again { source: stream.key, stream: numbering, sequence };
        self.others.say(mirrored.home, word).then_some(())
    }

    /// Takes a packet that a home handed over.
    fn handle_handed(&mut self, now: Now, home: u16, head: &Head) {
        let len = usize::from(head.len);
        let layer = head.stream.layer();
        let place = self.mirror_of(home, head.mirror).is_some().then(|| {
            let stream = self.streams.get(head.mirror)?;
            stream.place(layer, len, &self.pool)
        });
        let Self { pool, datagram, others, .. } = self;
        let Some(lane) = others.to(home) else { return };
        let room = match &place {
            Some(Some(place)) => Some(pool.room(place)),
            Some(None) => datagram.get_mut(..len),
            None => None,
        };
        let Some(room) = room else { return lane.drop_octets(len) };
        lane.take_octets(room);
        self.take_in(now, head, place.flatten());
    }

    /// Takes in a packet that lies in `place`, or in the buffer for datagrams.
    fn take_in(&mut self, now: Now, head: &Head, place: Option<Place>) -> Option<()> {
        let len = usize::from(head.len);
        let layer = head.stream.layer();
        let id = head.mirror;
        let stream = self.streams.get_mut(id)?;
        let mirrored = stream.mirrored.as_mut()?;
        let packet = match &place {
            Some(place) => &*self.pool.room(place),
            None => self.datagram.get(..len)?,
        };
        let view = RtpView::parse(packet).ok()?;
        let other_looks = mirrored.learn(head, view.payload_type());
        let numbering = mirrored.numberings.get_mut(usize::from(layer))?;
        if std::mem::replace(numbering, head.stream) != head.stream {
            stream.source.renumber(layer);
        }
        stream.source.bind(layer, Some(view.ssrc()), None);
        let format = (head.codec, head.clock_hz);
        let prepared = stream.source.prepare(
            now.mono_ns,
            layer,
            &view,
            &mirrored.extensions,
            format,
            head.repaired,
        );
        let (prepared, news) = prepared.ok()?;
        let kept = match place {
            Some(place) => Kept::Placed(place, 0..len),
            None => Kept::Copied(self.datagram.get(..len)?),
        };
        let kept = stream.keep(now.mono_ns, layer, prepared.sequence, kept, &mut self.pool);
        if other_looks {
            for route in &stream.routes {
                if let Some(subscription) = self.subscriptions.get_mut(*route) {
                    subscription.change_looks();
                }
            }
        }
        let kernel_ns = if head.kernel_ns == 0 { now.unix_ns } else { head.kernel_ns };
        let packet = Queued { prepared, layer, kernel_ns, sent: 0, padding: 0 };
        kept.then(|| self.queue(id, packet, news))
    }
}

/// The contract's kind in the words of `sfu`.
pub(super) fn source_kind(kind: AbiKind) -> SourceKind {
    match kind {
        AbiKind::Audio => SourceKind::Audio,
        AbiKind::Camera => SourceKind::Camera,
        AbiKind::Screen => SourceKind::Screen,
    }
}
