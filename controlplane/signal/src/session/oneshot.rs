//! WHIP and WHEP: one offer, one answer, and nothing said afterwards (RFC 9725).
//!
//! A WHIP client's tracks are announced for it, out of its offer. A WHEP client gets a stream in
//! every section that it offers; which track fills it may change while it listens. Either may have
//! data channels, which it opens itself.

use livekit_protocol as proto;
use ringway_room::calls::{Request, TrackSid};
use ringway_sdp::{
    Description, Direction, Fragment, Kind, NegotiatedSection, Purpose, Section, SendTrack, cname,
};

use super::subscribe::{Routed, numbers_of};
use super::{Output, Session, Start, World};
use crate::plane::{AddRoute, Ask, RouteKey};

/// The longest offer or fragment, bytes. LiveKit's value.
pub const SDP_BYTES_MAX: usize = 1 << 20;

/// The stream of everything that a WHEP client gets.
const STREAM: &str = "ringway";

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direct {
    /// The client sends.
    Whip,
    /// The client receives.
    Whep,
}

/// What goes back for an offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OneShotAnswer {
    /// The answer.
    pub sdp: String,
    /// Names the ICE session: our user name fragment.
    pub etag: String,
}

/// Why an offer or a fragment is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OneShotError {
    /// HTTP 400.
    #[error("the body is not an SDP offer")]
    NotSdp,
    /// HTTP 406, RFC 9725 4.2: an offer that cannot be met.
    #[error("nothing in the offer can be accepted")]
    NotAcceptable,
    /// HTTP 400.
    #[error("the body is not an SDP fragment")]
    NotFragment,
    /// HTTP 412, RFC 9725 4.3: the entity tag is that of another ICE session.
    #[error("the ICE session is another one by now")]
    OtherSession,
    /// HTTP 400.
    #[error("the fragment's ICE credentials are not those of the session")]
    OtherCredentials,
}

impl OneShotError {
    /// The HTTP status.
    pub fn status(self) -> u16 {
        match self {
            Self::NotSdp | Self::NotFragment | Self::OtherCredentials => 400,
            Self::NotAcceptable => 406,
            Self::OtherSession => 412,
        }
    }
}

/// A section of a WHEP client, and what fills it.
#[derive(Clone, Debug)]
pub(super) struct Slot {
    mid: String,
    ssrc: u32,
    rtx_ssrc: Option<u32>,
    section: Option<NegotiatedSection>,
    track: Option<TrackSid>,
}

impl Session {
    /// Begins a session without signalling. Its tracks are announced with [`announcements`], and
    /// then [`Session::handle_one_offer`] answers.
    pub fn one_shot(mut start: Start<'_>, direct: Direct) -> Self {
        start.join.single = true;
        start.join.offer = None;
        start.join.add_tracks.clear();
        let purpose = match direct {
            Direct::Whip => Purpose::Publisher,
            Direct::Whep => Purpose::Subscriber,
        };
        Self::build(start, Some(purpose))
    }

    /// Answers the one offer.
    pub fn handle_one_offer(
        &mut self,
        text: &str,
        world: &dyn World,
    ) -> Result<OneShotAnswer, OneShotError> {
        let offer = parse_offer(text)?;
        let answered = self.answer_offer(offer, world);
        let answered = answered.map_err(|_| OneShotError::NotAcceptable)?;
        Ok(OneShotAnswer { sdp: answered.sdp, etag: self.etag().to_owned() })
    }

    /// Names the ICE session.
    pub fn etag(&self) -> &str {
        &self.publisher.local.ufrag
    }

    /// Candidates of the client for the ICE session `etag`.
    pub fn handle_fragment(&mut self, etag: &str, text: &str) -> Result<(), OneShotError> {
        let fragment = Fragment::parse(text).map_err(|_| OneShotError::NotFragment)?;
        if etag.trim_matches('"') != self.etag() {
            return Err(OneShotError::OtherSession);
        }
        let remote = self.publisher.remote.as_ref();
        if remote.is_some_and(|remote| fragment.restarts(remote)) {
            return Err(OneShotError::OtherCredentials);
        }
        let sections = fragment.media.iter().map(|media| &media.transport);
        for candidate in sections.flat_map(|transport| &transport.candidates) {
            match self.publisher.add_candidate(candidate) {
                Some(ask) => self.ask_plane(ask),
                None => self.ignored.candidates += 1,
            }
        }
        Ok(())
    }

    /// The client restarts ICE. What goes back: our fragment, and the new ICE session's name.
    pub fn handle_restart(&mut self, text: &str) -> Result<OneShotAnswer, OneShotError> {
        let fragment = Fragment::parse(text).map_err(|_| OneShotError::NotFragment)?;
        let (Some((ufrag, pwd)), Some(remote), Some(ours)) =
            (fragment.credentials(), &self.publisher.remote, &self.publisher.ours)
        else {
            return Err(OneShotError::NotFragment);
        };
        if ufrag.is_empty() || pwd.is_empty() {
            return Err(OneShotError::NotFragment);
        }
        let mut remote = remote.clone();
        ufrag.clone_into(&mut remote.ufrag);
        pwd.clone_into(&mut remote.pwd);
        let ours = ours.clone();
        let ask = self.publisher.restart(&mut self.random);
        self.outputs.extend(ask.map(Output::Plane));
        let asks = self.publisher.take_remote(remote);
        self.outputs.extend(asks.into_iter().map(Output::Plane));
        let sdp = Fragment::of_local(&self.publisher.local, &ours).to_string();
        Ok(OneShotAnswer { sdp, etag: self.etag().to_owned() })
    }

    /// Offers a stream in every section that the client wants to receive.
    pub(super) fn open_slots(&mut self, offer: &Description) -> Vec<(String, SendTrack)> {
        let wants = |section: &&Section| {
            let usable = !section.is_rejected() && section.rtcp_mux;
            usable && section.kind != Kind::Application && section.direction.receives()
        };
        if self.publisher.capabilities.purpose != Purpose::Subscriber {
            return Vec::new();
        }
        self.slots.clear();
        let mut sends = Vec::new();
        for section in offer.sections.iter().filter(wants) {
            if !self.can_fill(section) {
                continue;
            }
            let ssrc = self.random.ssrc(|_| false);
            let video = section.kind == Kind::Video;
            let rtx_ssrc = video.then(|| self.random.ssrc(|taken| taken == ssrc));
            let track = format!("{}-{}", section.kind.name(), section.mid);
            let stream = STREAM.to_owned();
            sends.push((
                section.mid.clone(),
                SendTrack { stream, track, ssrc, rtx_ssrc, stereo: !video, red: false },
            ));
            let mid = section.mid.clone();
            self.slots.push(Slot { mid, ssrc, rtx_ssrc, section: None, track: None });
        }
        sends
    }

    fn can_fill(&self, section: &Section) -> bool {
        let capabilities = &self.publisher.capabilities;
        let kind = section.kind;
        let exact = |payload| capabilities.find(kind, false, true, payload).is_some();
        let close = |payload| capabilities.find_close(kind, false, true, payload).is_some();
        section.payloads.iter().any(|payload| exact(payload) || close(payload))
    }

    pub(super) fn take_slots(&mut self, sections: &[NegotiatedSection], world: &dyn World) {
        for slot in &mut self.slots {
            let section = sections.iter().find(|section| section.mid == slot.mid);
            slot.section = section.filter(|section| section.sends).cloned();
        }
        self.fill_slots(world);
    }

    pub(super) fn free_slot(&mut self, track: TrackSid) {
        let mut slots = self.slots.iter_mut();
        if let Some(slot) = slots.find(|slot| slot.track == Some(track)) {
            slot.track = None;
        }
    }

    /// Routes tracks into slots that are free.
    pub(super) fn fill_slots(&mut self, world: &dyn World) {
        let waiting = self.subscriptions.iter().filter(|(_, one)| one.routed.is_none());
        let waiting: Vec<TrackSid> = waiting.map(|(track, _)| *track).collect();
        for track in waiting {
            self.fill_slot(track, world);
        }
    }

    fn fill_slot(&mut self, track: TrackSid, world: &dyn World) {
        let Some(subscription) = self.subscriptions.get(&track) else { return };
        let info = &subscription.info.track;
        let sources = world.sources(track);
        let fitting = sources.iter().find_map(|source| {
            let free = |slot: &&Slot| slot.track.is_none_or(|used| used == track);
            self.slots.iter().enumerate().filter(|(_, slot)| free(slot)).find_map(|(at, slot)| {
                Some((at, source, numbers_of(slot.section.as_ref()?, source, info)?))
            })
        });
        let Some((at, source, numbers)) = fitting else { return };
        let route = RouteKey(self.random.key());
        let transport = self.publisher.key;
        let Some(subscription) = self.subscriptions.get_mut(&track) else { return };
        let Some(slot) = self.slots.get_mut(at) else { return };
        slot.track = Some(track);
        subscription.routed = Some(Routed { route, source: source.source });
        let add = AddRoute {
            route,
            source: source.source,
            home: source.shard,
            kind: source.kind,
            transport,
            ssrc: slot.ssrc,
            rtx_ssrc: slot.rtx_ssrc.filter(|_| numbers.rtx.is_some()),
            payload_type: numbers.media,
            red_payload_type: numbers.red,
            rtx_payload_type: numbers.rtx,
            mid: slot.mid.clone(),
            cname: cname(STREAM).to_owned(),
            service: subscription.service(),
            playout: None,
            // A receiver of WHEP has no keys.
            encrypted: false,
            cut_trailer: !subscription.info.track.packet_trailer_features.is_empty(),
            announce: false,
        };
        self.ask_plane(Ask::AddRoute(Box::new(add)));
        self.ask_room(Request::SubscribedMedia { track, outcome: Ok(()) });
    }
}

/// Reads an offer, which must have something in it.
pub fn parse_offer(text: &str) -> Result<Description, OneShotError> {
    if text.len() > SDP_BYTES_MAX {
        return Err(OneShotError::NotSdp);
    }
    let offer = Description::parse(text).map_err(|_| OneShotError::NotSdp)?;
    if offer.sections.is_empty() { Err(OneShotError::NotSdp) } else { Ok(offer) }
}

/// The tracks that a WHIP client has not announced itself, as LiveKit makes them up.
#[allow(deprecated)]
pub fn announcements(offer: &Description, obs: bool) -> Vec<proto::AddTrackRequest> {
    let media = offer.sections.iter().filter(|section| {
        let sends = matches!(section.direction, Direction::SendRecv | Direction::SendOnly);
        section.kind != Kind::Application && sends && !section.is_rejected()
    });
    media.map(|section| announcement(section, obs)).collect()
}

#[allow(deprecated)]
fn announcement(section: &Section, obs: bool) -> proto::AddTrackRequest {
    let video = section.kind == Kind::Video;
    let msid = section.msid();
    let cid = msid.and_then(|msid| msid.track.clone().or_else(|| Some(msid.stream.clone())));
    let layer = |quality| proto::VideoLayer { quality, ..proto::VideoLayer::default() };
    let rids = section.simulcast.as_ref().map_or(0, |simulcast| simulcast.send.len());
    let layers = if video { (0..rids.clamp(1, 3) as i32).map(layer).collect() } else { Vec::new() };
    let cid = cid.filter(|cid| cid != "-").unwrap_or_else(|| format!("mid-{}", section.mid));
    let mode = proto::video_layer::Mode::OneSpatialLayerPerStreamIncompleteRtcpSr as i32;
    let codec = section.payloads.iter().find(|payload| !payload.name.is_empty());
    let incomplete = codec.filter(|_| video && obs && rids > 1).map(|codec| {
        let codec = codec.name.to_ascii_lowercase();
        let (cid, layers) = (cid.clone(), Vec::new());
        proto::SimulcastCodec { codec, cid, layers, video_layer_mode: mode }
    });
    let source = match video {
        true => proto::TrackSource::Camera,
        false => proto::TrackSource::Microphone,
    };
    proto::AddTrackRequest {
        name: if video { "synthesized-camera" } else { "synthesized-microphone" }.to_owned(),
        r#type: if video { 1 } else { 0 },
        source: source as i32,
        layers,
        simulcast_codecs: incomplete.into_iter().collect(),
        disable_dtx: true,
        stream: "camera".to_owned(),
        cid,
        ..proto::AddTrackRequest::default()
    }
}
