//! What a participant and a server agreed on in SDP: two peer connections, and what runs on them.
//! The same in every dialect; how descriptions travel is the dialect's.

use std::net::SocketAddr;
use std::sync::Arc;

use ringway_proto::dtls::Fingerprint;
use ringway_sdp::Description;

use super::describe::{self, LocalEnd};
use crate::call::random::Random;
use crate::call::scenario::CallScenario;
use crate::call::track::{MediaKind, News, PublishedTrack, RemoteEnd, Side};

/// A participant, as its conversation must know it.
#[derive(Clone, Debug)]
pub(super) struct Seat {
    /// Its number.
    pub(super) participant: usize,
    /// Whether it sends.
    pub(super) publishes: bool,
    /// Whether it receives what others send.
    pub(super) subscribes: bool,
    /// Where it goes.
    pub(super) room: String,
    /// Who publishes what.
    pub(super) scenario: Arc<CallScenario>,
    /// Of the certificate that all synthetic clients have.
    pub(super) certificate: Fingerprint,
}

/// One peer connection, as far as signalling has come.
struct Half {
    local: LocalEnd,
    remote: Option<Description>,
    trickled: Vec<SocketAddr>,
    told: bool,
}

impl Half {
    fn new(random: &mut Random, certificate: &Fingerprint) -> Self {
        let local = LocalEnd::new(random, certificate);
        Self { local, remote: None, trickled: Vec::new(), told: false }
    }

    /// Where to connect, once, as soon as it is known.
    fn poll_end(&mut self) -> Option<RemoteEnd> {
        let description = self.remote.as_ref().filter(|_| !self.told)?;
        let end = self.local.join(description, &self.trickled)?;
        self.told = true;
        Some(end)
    }
}

/// Both peer connections of a participant.
pub(super) struct Agreement {
    participant: usize,
    scenario: Arc<CallScenario>,
    tracks: Vec<PublishedTrack>,
    publisher: Half,
    subscriber: Half,
    news: Vec<News>,
}

impl Agreement {
    /// Nothing agreed on yet.
    pub(super) fn new(seat: &Seat) -> Self {
        let mut random = Random::from_system();
        let mut tracks = Vec::new();
        let mut add = |kind, name: &str, simulcast: bool| {
            let ssrcs = (random.next_ssrc(), random.next_ssrc());
            let cid = format!("{name}-{}", random.word(12));
            tracks.push(PublishedTrack { kind, cid, ssrcs: (!simulcast).then_some(ssrcs) });
        };
        if seat.publishes && seat.scenario.audio.is_some() {
            add(MediaKind::Audio, "audio", false);
        }
        if let Some(video) = seat.scenario.video.as_ref().filter(|_| seat.publishes) {
            add(MediaKind::Video, "video", video.layers.len() > 1);
        }
        Self {
            participant: seat.participant,
            scenario: Arc::clone(&seat.scenario),
            tracks,
            publisher: Half::new(&mut random, &seat.certificate),
            subscriber: Half::new(&mut random, &seat.certificate),
            news: Vec::new(),
        }
    }

    /// What the participant publishes.
    pub(super) fn tracks(&self) -> &[PublishedTrack] {
        &self.tracks
    }

    /// Our offer of what it publishes.
    pub(super) fn offer(&self) -> String {
        self.publisher.local.offer(&self.scenario, &self.tracks)
    }

    /// Takes the server's answer to it.
    pub(super) fn handle_answer(&mut self, sdp: &str) -> Result<(), String> {
        let description =
            Description::parse(sdp).map_err(|error| format!("the server's answer: {error}"))?;
        let tracks = describe::outgoing(&description, &self.tracks);
        self.publisher.remote = Some(description);
        self.news.push(News::Publish { participant: self.participant, tracks });
        self.tell_end(Side::Publisher);
        Ok(())
    }

    /// Takes the server's offer of what the participant shall receive; our answer.
    pub(super) fn handle_offer(&mut self, sdp: &str) -> Result<String, String> {
        let parse =
            |sdp| Description::parse(sdp).map_err(|error| format!("the server's offer: {error}"));
        let description = parse(sdp)?;
        let answer = self.subscriber.local.answer(&description);
        let tracks = describe::incoming(&description, &parse(&answer)?);
        self.news.push(News::Receive { participant: self.participant, tracks });
        self.subscriber.remote = Some(description);
        self.tell_end(Side::Subscriber);
        Ok(answer)
    }

    /// Takes an address of the server's that no description names.
    pub(super) fn add_address(&mut self, side: Side, address: SocketAddr) {
        self.half(side).trickled.push(address);
        self.tell_end(side);
    }

    /// The server let the participant in.
    pub(super) fn tell_joined(&mut self, server: String) {
        self.news.push(News::Joined { participant: self.participant, server });
    }

    /// The participant does not take part, or no longer.
    pub(super) fn tell_failed(&mut self, reason: String) {
        self.news.push(News::Failed { participant: self.participant, reason });
    }

    /// What the load should know.
    pub(super) fn poll_news(&mut self) -> Vec<News> {
        std::mem::take(&mut self.news)
    }

    fn half(&mut self, side: Side) -> &mut Half {
        match side {
            Side::Publisher => &mut self.publisher,
            Side::Subscriber => &mut self.subscriber,
        }
    }

    fn tell_end(&mut self, side: Side) {
        let participant = self.participant;
        if let Some(end) = self.half(side).poll_end() {
            self.news.push(News::Connect { participant, side, end });
        }
    }
}
