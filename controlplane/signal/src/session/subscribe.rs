//! Media that the client receives: which section carries which track, and the route behind it.

use std::collections::BTreeSet;

use ringway_room::calls::{
    self, Encryption, Request, RouteSettings, Subscribe, SubscriptionError, TrackInfo, TrackKind,
    TrackSid,
};
use ringway_sdp::{
    Codec, Description, Kind, MAX_SECTIONS, NegotiatedSection, Placed, SectionsNeeded, SendTrack,
    WantedTrack, place_tracks,
};

use super::{Session, TrackSource, World};
use crate::plane::{AddRoute, Ask, Playout, RouteKey, Service, SourceKey};

/// A track that the client shall receive.
#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) info: Box<Subscribe>,
    pub(super) ssrc: u32,
    pub(super) rtx_ssrc: Option<u32>,
    service: Service,
    /// The section that carries it, or is to.
    pub(super) mid: Option<String>,
    /// What the client agreed to.
    pub(super) section: Option<NegotiatedSection>,
    pub(super) routed: Option<Routed>,
    reported: bool,
    /// The codec that the room wants it to receive.
    preferred: Option<Codec>,
    /// The codec that the room believes it to receive; none is the track's first.
    told: Option<Codec>,
    /// For a client that must be told of another stream than last time.
    again: Option<u32>,
    /// The codec that its stream has carried.
    carried: Option<Codec>,
}

/// Tracks that the client was subscribed to before, as far as that matters.
#[derive(Debug, Default)]
pub(super) struct Earlier {
    tracks: BTreeSet<TrackSid>,
    count: u32,
}

/// Tracks that are remembered. More: memory that a room of endless comings and goings costs each
/// client. Fewer: whoever subscribes anew after so many others may not be told of the track.
const EARLIER_MAX: usize = 4_096;

impl Earlier {
    /// A number for the new stream of a track that was subscribed to before.
    fn take(&mut self, track: TrackSid) -> Option<u32> {
        if self.tracks.len() >= EARLIER_MAX {
            self.tracks.clear();
        }
        if self.tracks.insert(track) {
            return None;
        }
        self.count = self.count.wrapping_add(1);
        Some(self.count)
    }
}

/// A route in the data plane.
#[derive(Clone, Copy, Debug)]
pub(super) struct Routed {
    pub(super) route: RouteKey,
    pub(super) source: SourceKey,
}

impl Subscription {
    /// Whether this is a track of this kind that has no section.
    pub(super) fn waits_for(&self, kind: TrackKind) -> bool {
        self.mid.is_none() && self.info.track.kind == kind
    }

    /// Whether the client agreed to get it, and has got it.
    pub(super) fn is_sent(&self) -> bool {
        self.reported && self.section.is_some()
    }

    pub(super) fn service(&self) -> Service {
        self.service
    }

    /// How the section says what it carries.
    pub(super) fn send_track(&self, sync_streams: bool) -> SendTrack {
        let Subscribe { track, publisher, .. } = &*self.info;
        let sid = track.sid.to_string();
        // LiveKit's clients take the stream's id apart to find out whose track it is; where its
        // second half is no track's id, the track's own id counts.
        let stream = match (self.again, sync_streams) {
            (Some(again), _) => format!("{publisher}|{again}.{sid}"),
            (None, true) => format!("{publisher}|{}", track.stream),
            (None, false) => format!("{publisher}|{sid}"),
        };
        SendTrack {
            stream,
            track: sid,
            ssrc: self.ssrc,
            rtx_ssrc: self.rtx_ssrc,
            stereo: track.stereo,
            red: Codec::named(&track.mime_type) == Some(Codec::Red),
        }
    }
}

impl Session {
    pub(super) fn subscribe(&mut self, now_ms: u64, info: Box<Subscribe>, world: &dyn World) {
        let track = info.track.sid;
        let service = service(info.settings);
        if let Some(known) = self.subscriptions.get_mut(&track) {
            known.info = info;
            return self.serve(track, service);
        }
        let video = info.track.kind == TrackKind::Video;
        let codecs = codecs_of(&info.track);
        let kind = if video { Kind::Video } else { Kind::Audio };
        if info.track.kind == TrackKind::Data || !self.can_receive(kind, &codecs) {
            return self.report(track, Err(SubscriptionError::CodecUnsupported));
        }
        let ssrc = self.fresh_ssrc();
        let rtx_ssrc = video.then(|| self.random.ssrc(|taken| taken == ssrc));
        let reuses = !self.single && !self.one_shot && !self.sync_streams;
        let remembers = reuses && self.client.remembers_streams();
        let again = if remembers { self.earlier.take(track) } else { None };
        let subscription = Subscription {
            info,
            ssrc,
            rtx_ssrc,
            service,
            mid: None,
            section: None,
            routed: None,
            reported: false,
            preferred: None,
            told: None,
            again,
            carried: None,
        };
        self.subscriptions.insert(track, subscription);
        if self.one_shot {
            return self.fill_slots(world);
        }
        if self.fades(track) {
            return;
        }
        if !self.single && !self.give_section(track) {
            return self.find_no_section(track);
        }
        self.want_negotiation(now_ms);
    }

    /// A description cannot have more sections. Where most of them carry nothing any more, as
    /// happens to clients that stay for long and whose sections are used once, a new session begins
    /// without those; else the client has as many tracks as it can have.
    pub(super) fn find_no_section(&mut self, track: TrackSid) {
        let unused = match self.single {
            true => self.negotiation.spent.len(),
            false => self.negotiation.sections.unused(),
        };
        match unused >= MAX_SECTIONS / 2 {
            true => self.demand_reconnect(),
            false => self.fail(track, SubscriptionError::Unknown),
        }
    }

    fn can_receive(&self, kind: Kind, codecs: &[Codec]) -> bool {
        let peer = self.subscriber.as_ref().unwrap_or(&self.publisher);
        let mut able = peer.capabilities.entries(kind, false, true).map(|entry| entry.codec);
        codecs.is_empty() || able.any(|codec| codecs.contains(&codec))
    }

    /// Finds a section of our next offer for a track; false if there are too many.
    pub(super) fn give_section(&mut self, track: TrackSid) -> bool {
        let Some(subscription) = self.subscriptions.get_mut(&track) else { return true };
        let codecs = codecs_of(&subscription.info.track);
        let video = subscription.info.track.kind == TrackKind::Video;
        let kind = if video { Kind::Video } else { Kind::Audio };
        let sent = subscription.send_track(self.sync_streams);
        match self.negotiation.sections.add(kind, &codecs, sent) {
            Ok(mid) => {
                subscription.mid = Some(mid.to_owned());
                true
            }
            Err(_) => false,
        }
    }

    pub(super) fn unsubscribe(&mut self, now_ms: u64, track: TrackSid, world: &dyn World) {
        self.fade(track);
        if self.forget_subscription(track) {
            if self.one_shot {
                return self.fill_slots(world);
            }
            self.want_negotiation(now_ms);
        }
    }

    /// Drops route and section of a track; whether it had a section.
    fn forget_subscription(&mut self, track: TrackSid) -> bool {
        let Some(gone) = self.subscriptions.remove(&track) else { return false };
        if let Some(Routed { route, .. }) = gone.routed {
            self.ask_plane(Ask::RemoveRoute { route });
        }
        self.free_slot(track);
        let Some(mid) = gone.mid else { return self.one_shot };
        self.negotiation.leave_section(&mid, self.single);
        true
    }

    fn fail(&mut self, track: TrackSid, error: SubscriptionError) {
        self.forget_subscription(track);
        self.report(track, Err(error));
    }

    fn report(&mut self, track: TrackSid, outcome: Result<(), SubscriptionError>) {
        self.ask_room(Request::SubscribedMedia { track, outcome });
    }

    /// The subscribed track is described otherwise: its codecs may need another section.
    pub(super) fn change_subscribed(
        &mut self,
        now_ms: u64,
        track: std::sync::Arc<TrackInfo>,
        world: &dyn World,
    ) {
        let sid = track.sid;
        let Some(subscription) = self.subscriptions.get_mut(&sid) else { return };
        let other_codecs = codecs_of(&subscription.info.track) != codecs_of(&track);
        subscription.info.track = track;
        if subscription.routed.is_some() || !other_codecs {
            return self.route(sid, world);
        }
        subscription.section = None;
        if !self.single
            && let Some(mid) = subscription.mid.take()
        {
            self.negotiation.leave_section(&mid, false);
            if !self.give_section(sid) {
                return self.find_no_section(sid);
            }
        }
        self.want_negotiation(now_ms);
    }

    pub(super) fn set_service(&mut self, track: TrackSid, settings: RouteSettings) {
        self.serve(track, service(settings));
    }

    fn serve(&mut self, track: TrackSid, service: Service) {
        let Some(subscription) = self.subscriptions.get_mut(&track) else { return };
        let changed = std::mem::replace(&mut subscription.service, service) != service;
        if let Some(Routed { route, .. }) = subscription.routed
            && changed
        {
            self.ask_plane(Ask::SetRoute { route, service });
        }
    }

    /// Finds sections of a client's offer for all tracks (single connection).
    pub(super) fn place(
        &mut self,
        offer: &Description,
        world: &dyn World,
    ) -> Vec<(String, SendTrack)> {
        if self.one_shot {
            return self.open_slots(offer);
        }
        if !self.single {
            return Vec::new();
        }
        let (placed, needed, unsupported) = self.find_places(offer, world);
        for track in unsupported {
            self.fail(track, SubscriptionError::CodecUnsupported);
        }
        self.negotiation.needed = needed;
        self.negotiation.requested = SectionsNeeded::default();
        let mut sends = self.fading_sends(offer);
        for (track, subscription) in &mut self.subscriptions {
            let name = track.to_string();
            let place = placed.iter().find(|placed| placed.track == name);
            subscription.mid = place.map(|placed| placed.mid.clone());
            if let Some(placed) = place {
                sends.push((placed.mid.clone(), subscription.send_track(self.sync_streams)));
            }
        }
        sends
    }

    pub(super) fn find_places(
        &self,
        offer: &Description,
        world: &dyn World,
    ) -> (Vec<Placed>, SectionsNeeded, Vec<TrackSid>) {
        /// A track, its name, and the codecs of its streams.
        type Named = (TrackSid, String, Vec<(Codec, String)>);
        let names: Vec<Named> = self
            .subscriptions
            .iter()
            .filter(|(sid, _)| !self.fades(**sid))
            .map(|(sid, one)| (*sid, sid.to_string(), streams(&one.info.track, *sid, world)))
            .collect();
        let before: Vec<Placed> = self
            .subscriptions
            .iter()
            .filter_map(|(sid, one)| Some(Placed { mid: one.mid.clone()?, track: sid.to_string() }))
            .collect();
        let spent = self.unusable_sections(&before);
        let place = |choices: &[usize]| {
            let wanted: Vec<WantedTrack<'_>> = names
                .iter()
                .zip(choices)
                .filter_map(|((_, name, streams), choice)| {
                    let (codec, fmtp) = streams.get(*choice)?;
                    Some(WantedTrack { track: name, codec: *codec, fmtp })
                })
                .collect();
            place_tracks(offer, &self.publisher.capabilities, &before, &spent, &wanted)
        };
        // What cannot be carried in the publisher's first codec may be in another one.
        let mut choices = vec![0; names.len()];
        let mut found = place(&choices);
        loop {
            let mut again = false;
            for ((_, name, streams), choice) in names.iter().zip(&mut choices) {
                if found.unsupported.contains(name) && *choice + 1 < streams.len() {
                    *choice += 1;
                    again = true;
                }
            }
            if !again {
                break;
            }
            found = place(&choices);
        }
        let sid = |name: &String| names.iter().find(|(_, known, _)| known == name).map(|row| row.0);
        let unsupported = found.unsupported.iter().filter_map(sid).collect();
        (found.placed, found.needed, unsupported)
    }

    /// Sections that cannot carry another track, or not yet: where our last answer sends a track
    /// that is no longer wanted, the client must first see the section stop, or it would tell
    /// nobody of the next one.
    fn unusable_sections(&self, kept: &[Placed]) -> Vec<String> {
        let answered = self.publisher.ours.iter().flat_map(|ours| &ours.sections);
        let left = answered
            .filter(|section| section.kind != Kind::Application && section.direction.sends())
            .filter(|section| !kept.iter().any(|placed| placed.mid == section.mid))
            .map(|section| section.mid.clone());
        self.negotiation.spent.iter().cloned().chain(left).collect()
    }

    /// What the client agreed to for its last offer, or ours.
    pub(super) fn take_sections(&mut self, sections: &[NegotiatedSection], world: &dyn World) {
        if self.one_shot {
            return self.take_slots(sections, world);
        }
        let mut refused = Vec::new();
        for (track, subscription) in &mut self.subscriptions {
            let of_track =
                |section: &&NegotiatedSection| Some(&section.mid) == subscription.mid.as_ref();
            let section = sections.iter().find(of_track);
            if let Some(section) = section.filter(|section| section.rejection.is_some())
                && !self.single
            {
                refused.push((*track, section.mid.clone()));
            }
            subscription.section = section.filter(|section| section.sends).cloned();
        }
        for (track, _) in refused {
            self.fail(track, SubscriptionError::CodecUnsupported);
        }
        let tracks: Vec<TrackSid> = self.subscriptions.keys().copied().collect();
        for track in tracks {
            self.drop_stale_route(track);
            self.route(track, world);
        }
    }

    /// A route whose section is gone, or is another one now, ends.
    fn drop_stale_route(&mut self, track: TrackSid) {
        let Some(subscription) = self.subscriptions.get_mut(&track) else { return };
        if subscription.section.is_none()
            && let Some(Routed { route, .. }) = subscription.routed.take()
        {
            self.ask_plane(Ask::RemoveRoute { route });
        }
    }

    /// The room wants the client to receive another codec of a track.
    pub(super) fn prefer(&mut self, track: TrackSid, mime_type: &str, world: &dyn World) {
        let Some(subscription) = self.subscriptions.get_mut(&track) else { return };
        subscription.preferred = Codec::named(mime_type);
        subscription.told = subscription.preferred;
        self.route(track, world);
    }

    /// Routes a track if its section and a source that fits are there: the source that is
    /// preferred, else the one that is routed already, else the publisher's first. If none is, the
    /// publisher may have announced a codec that it sends as soon as somebody asks.
    pub(super) fn route(&mut self, track: TrackSid, world: &dyn World) {
        let Some(subscription) = self.subscriptions.get(&track) else { return };
        let Some(section) = &subscription.section else { return };
        let sources = world.sources(track);
        let info = &subscription.info.track;
        let fitting = sources.iter().filter_map(|one| Some((one, numbers_of(section, one, info)?)));
        let fitting: Vec<(&TrackSource, Numbers)> = fitting.collect();
        let now = subscription.routed.map(|routed| routed.source);
        let found = fitting
            .iter()
            .find(|(one, _)| Some(one.codec) == subscription.preferred)
            .or_else(|| fitting.iter().find(|(one, _)| Some(one.source) == now))
            .or(fitting.first())
            .map(|(one, numbers)| ((*one).clone(), *numbers));
        let Some((source, numbers)) = found else {
            let sent = |codec: &Codec| sources.iter().any(|one| one.codec == *codec);
            let able = |codec: &Codec| !sent(codec) && section.payload_for(*codec, "").is_some();
            let other = codecs_of(&subscription.info.track).into_iter().find(able);
            return match other.filter(|_| has_choice(&subscription.info.track)) {
                _ if sources.is_empty() => {}
                Some(codec) => self.tell_codec(track, codec),
                None => self.fail(track, SubscriptionError::CodecUnsupported),
            };
        };
        let carries = carried_by(source.codec, numbers);
        let changes = subscription.carried.is_some_and(|carried| carried != carries);
        if changes && !self.client.takes_codec_changes() {
            self.renew(track);
        } else if now != Some(source.source) {
            self.add_route(track, &source, numbers);
        }
        self.tell_codec(track, source.codec);
    }

    /// The client must not see its stream change to another codec: it loses this one, and gets one
    /// in another section once that has faded.
    fn renew(&mut self, track: TrackSid) {
        self.fade(track);
        let ssrc = self.fresh_ssrc();
        let rtx_ssrc = self.random.ssrc(|taken| taken == ssrc);
        let Some(subscription) = self.subscriptions.get_mut(&track) else { return };
        subscription.ssrc = ssrc;
        subscription.rtx_ssrc = subscription.rtx_ssrc.map(|_| rtx_ssrc);
        subscription.carried = None;
        subscription.section = None;
        if let Some(Routed { route, .. }) = subscription.routed.take() {
            self.ask_plane(Ask::RemoveRoute { route });
        }
    }

    /// Says which codec the client receives, or would if it were sent.
    fn tell_codec(&mut self, track: TrackSid, codec: Codec) {
        let Some(subscription) = self.subscriptions.get_mut(&track) else { return };
        let known = subscription.told.or(Codec::named(&subscription.info.track.mime_type));
        if known == Some(codec) || !has_choice(&subscription.info.track) {
            return;
        }
        subscription.told = Some(codec);
        let mime_type = codec.mime().to_owned();
        self.ask_room(Request::ReceiveCodec { track, mime_type });
    }

    /// Routes a track from this source, in place of another one if it has one.
    fn add_route(&mut self, track: TrackSid, source: &TrackSource, numbers: Numbers) {
        let transport = self.subscriber.as_ref().unwrap_or(&self.publisher).key;
        let TrackSource { source, shard: home, kind, codec, .. } = *source;
        let Some(subscription) = self.subscriptions.get_mut(&track) else { return };
        let Some(section) = &subscription.section else { return };
        let trailers = !subscription.info.track.packet_trailer_features.is_empty();
        let before = subscription.routed.take().map(|routed| routed.route);
        let route = RouteKey(self.random.key());
        let info = &subscription.info;
        let add = AddRoute {
            route,
            source,
            home,
            kind,
            transport,
            ssrc: subscription.ssrc,
            rtx_ssrc: subscription.rtx_ssrc.filter(|_| numbers.rtx.is_some()),
            payload_type: numbers.media,
            red_payload_type: numbers.red,
            rtx_payload_type: numbers.rtx,
            mid: section.mid.clone(),
            cname: subscription.send_track(self.sync_streams).cname().to_owned(),
            service: subscription.service,
            playout: playout(info),
            encrypted: info.track.encryption != Encryption::None,
            cut_trailer: trailers && !self.client.takes_packet_trailer(),
            announce: self.client.hears_by_packets(),
        };
        subscription.routed = Some(Routed { route, source });
        subscription.carried = Some(carried_by(codec, numbers));
        let first = !std::mem::replace(&mut subscription.reported, true);
        if let Some(route) = before {
            self.ask_plane(Ask::RemoveRoute { route });
        }
        self.ask_plane(Ask::AddRoute(Box::new(add)));
        if first {
            self.report(track, Ok(()));
        }
    }
}

/// How long receivers of a track shall buffer. LiveKit follows their jitter too, but not for shared
/// screens, whose pictures come seldom and in bursts.
fn playout(info: &Subscribe) -> Option<Playout> {
    let bounded = |ms: u32| u16::try_from(ms).unwrap_or(u16::MAX);
    let told = info.max_playout_delay_ms > 0 && info.track.kind == TrackKind::Video;
    told.then(|| Playout {
        min_ms: bounded(info.min_playout_delay_ms),
        max_ms: bounded(info.max_playout_delay_ms),
        adapts: info.track.source != calls::TrackSource::ScreenShare,
    })
}

/// Payload types of one route.
#[derive(Clone, Copy, Debug)]
pub(super) struct Numbers {
    pub(super) media: u8,
    pub(super) red: Option<u8>,
    pub(super) rtx: Option<u8>,
}

/// The payload types that carry a source of a track in a section. RED is taken apart where the
/// client does not know it, unless it is encrypted.
pub(super) fn numbers_of(
    section: &NegotiatedSection,
    source: &TrackSource,
    track: &TrackInfo,
) -> Option<Numbers> {
    if source.codec != Codec::Red {
        let payload = section.payload_for(source.codec, &source.fmtp)?;
        let rtx = payload.rtx_payload_type;
        return Some(Numbers { media: payload.payload_type, red: None, rtx });
    }
    let red = section.payloads.iter().find(|payload| payload.codec == Codec::Red);
    if red.is_none() && track.encryption != Encryption::None {
        return None;
    }
    let inner = red.and_then(|red| red.red_inner_payload_type);
    let opus = || section.payload_for(Codec::Opus, "").map(|payload| payload.payload_type);
    let media = inner.or_else(opus)?;
    Some(Numbers { media, red: red.map(|red| red.payload_type), rtx: None })
}

/// Whether the publisher may send another codec if somebody needs it. Pictures may get a backup
/// codec at any time, sound has what was announced.
fn has_choice(track: &TrackInfo) -> bool {
    track.kind == TrackKind::Video || track.codecs.len() > 1
}

/// The codec that a route with these numbers shows to the client.
fn carried_by(codec: Codec, numbers: Numbers) -> Codec {
    if codec == Codec::Red && numbers.red.is_none() { Codec::Opus } else { codec }
}

/// The codecs that a subscriber of this track must know one of, the publisher's first one first.
fn codecs_of(track: &TrackInfo) -> Vec<Codec> {
    let first = std::iter::once(&track.mime_type);
    let names = first.chain(track.codecs.iter().map(|codec| &codec.mime_type));
    let mut codecs: Vec<Codec> = Vec::new();
    for codec in names.filter_map(|name| Codec::named(name)) {
        // What is RED can be unwrapped for those who do not know it, if it can be read.
        let readable = track.encryption == Encryption::None;
        let inner = (codec == Codec::Red && readable).then_some(Codec::Opus);
        for codec in std::iter::once(codec).chain(inner) {
            if !codecs.contains(&codec) {
                codecs.push(codec);
            }
        }
    }
    codecs
}

/// The same with parameters: those whose sources are there first.
fn streams(track: &TrackInfo, sid: TrackSid, world: &dyn World) -> Vec<(Codec, String)> {
    let unwrapped = |codec| if codec == Codec::Red { Codec::Opus } else { codec };
    let sources = world.sources(sid).into_iter();
    let mut streams: Vec<_> = sources.map(|one| (unwrapped(one.codec), one.fmtp)).collect();
    // What was announced comes once somebody needs it.
    for codec in codecs_of(track).into_iter().map(unwrapped) {
        if !streams.iter().any(|(known, _)| *known == codec) {
            streams.push((codec, String::new()));
        }
    }
    if streams.is_empty() {
        let any = if track.kind == TrackKind::Video { Codec::Vp8 } else { Codec::Opus };
        streams.push((any, String::new()));
    }
    streams
}

fn service(settings: RouteSettings) -> Service {
    let RouteSettings { paused, max_spatial, max_temporal, priority } = settings;
    Service { paused, max_spatial, max_temporal, priority }
}
