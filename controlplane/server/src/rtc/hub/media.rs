//! What the data plane says.

use std::sync::Arc;

use ringway_room::calls::{AudioLevel, MediaEvent, SourceLayers, TrackQuality, TrackSid};
use ringway_signal::Session;
use ringway_signal::plane::{Level, PlaneEvent, PlaneInfo, Subject, TransportKey, Travelled};

use super::Hub;
use super::index::Index;

impl Hub {
    /// The data plane is there. It knows no transports of ours.
    pub fn handle_plane_joined(&mut self, now_ms: u64, plane: PlaneInfo) {
        let shards = u16::try_from(plane.shards.len()).unwrap_or(u16::MAX);
        if plane.in_service {
            self.returning.expect_all(now_ms);
        }
        self.plane = Some(Arc::new(plane));
        self.calls.handle_plane_joined(now_ms, shards);
        self.settle(now_ms);
    }

    /// The data plane is gone, and all media with it.
    pub fn handle_plane_lost(&mut self, now_ms: u64) {
        self.plane = None;
        self.speaking.clear();
        self.heard.clear();
        self.calls.handle_plane_lost(now_ms);
        self.settle(now_ms);
    }

    /// How busy each shard's thread was of late, ‰.
    pub fn handle_loads(&mut self, busy_permille: &[u32]) {
        self.calls.handle_loads(busy_permille);
    }

    /// How many bytes of media came in and went out in a second of late.
    pub fn handle_traffic(&mut self, bytes_per_s: u64) {
        self.calls.handle_traffic(bytes_per_s);
    }

    /// A shard says something.
    pub fn handle_plane_event(&mut self, now_ms: u64, event: PlaneEvent) {
        let media = match event {
            PlaneEvent::Connected { .. }
            | PlaneEvent::Failed { .. }
            | PlaneEvent::Closed { .. } => {
                self.handle_connection(&event);
                None
            }
            PlaneEvent::DataHeard { transport, sequence } => {
                if let Some(sid) = self.index.transports.get(&transport).copied()
                    && let Some(member) = self.members.get_mut(&sid)
                {
                    member.session.handle_heard(transport, sequence);
                }
                return;
            }
            PlaneEvent::Refused { subject, reason } => {
                tracing::warn!(?subject, reason, "the data plane refused a command");
                None
            }
            PlaneEvent::SourceLayers { source, live, pictures, .. } => {
                let of = self.index.source(source);
                of.map(|(_, track, codec)| {
                    let mime_type = codec.mime();
                    MediaEvent::SourceLayers(SourceLayers { track, mime_type, live, pictures })
                })
            }
            PlaneEvent::RouteState { route, paused } => {
                let of = self.index.routes.get(&route).copied();
                of.map(|(subscriber, track)| MediaEvent::RouteState { subscriber, track, paused })
            }
            PlaneEvent::Levels { shard, room, first, last, speakers } => {
                let room = (shard, room);
                let heard = self.heard.entry(room).or_default();
                if first {
                    heard.clear();
                }
                heard.extend(speakers);
                if !last {
                    return;
                }
                let speakers = self.heard.remove(&room).unwrap_or_default();
                Some(MediaEvent::AudioLevels(self.levels(room, &speakers)))
            }
            PlaneEvent::Quality(all) => {
                let all = all.iter().filter_map(|one| quality_of(&self.index, one));
                Some(MediaEvent::Quality(all.collect()))
            }
        };
        if let Some(media) = media {
            self.calls.handle_media(now_ms, media);
        }
        self.settle(now_ms);
    }
}

impl Hub {
    /// A transport is up, or no longer.
    fn handle_connection(&mut self, event: &PlaneEvent) {
        match event {
            PlaneEvent::Connected { transport, remote, tcp } => {
                self.on_transport(*transport, |session| {
                    let participant = session.participant();
                    tracing::debug!(%participant, %remote, tcp, "media is connected");
                    session.handle_connected(*transport);
                })
            }
            PlaneEvent::Failed { transport, reason } => self.on_transport(*transport, |session| {
                let participant = session.participant();
                tracing::debug!(%participant, reason, "media is lost");
                session.handle_failed(*transport);
            }),
            PlaneEvent::Closed { transport } => self.on_transport(*transport, |session| {
                let participant = session.participant();
                tracing::debug!(%participant, "the client closed its media");
                session.handle_closed(*transport);
            }),
            _ => {}
        }
    }

    /// Lets the session that has a transport hear something of it.
    fn on_transport(&mut self, transport: TransportKey, hear: impl FnOnce(&mut Session)) {
        let Some(sid) = self.index.transports.get(&transport).copied() else { return };
        self.converse(sid, |session, _| hear(session));
    }

    /// Who of a shard speaks in a room now, and who has ceased to.
    fn levels(&mut self, room: (u16, u64), speakers: &[Level]) -> Vec<AudioLevel> {
        let level = |speaker: &Level| {
            let (_, track) = *self.index.sources.get(&speaker.source)?;
            Some(AudioLevel { track, level: speaker.level, active: true })
        };
        let mut levels: Vec<AudioLevel> = speakers.iter().filter_map(level).collect();
        let now: Vec<TrackSid> = levels.iter().map(|level| level.track).collect();
        let before = match now.is_empty() {
            true => self.speaking.remove(&room),
            false => self.speaking.insert(room, now.clone()),
        };
        let ceased = before.into_iter().flatten().filter(|track| !now.contains(track));
        levels.extend(ceased.map(|track| AudioLevel { track, level: 0.0, active: false }));
        levels
    }
}

fn quality_of(index: &Index, travelled: &Travelled) -> Option<TrackQuality> {
    let (participant, track, mime_type) = match travelled.subject {
        Subject::Source(source) => {
            index.source(source).map(|(owner, track, codec)| (owner, track, codec.mime()))
        }
        Subject::Route(route) => {
            index.routes.get(&route).map(|(owner, track)| (*owner, *track, ""))
        }
        Subject::Transport(_) => None,
    }?;
    let Travelled { expected, lost, heard, lacking_permille, .. } = *travelled;
    Some(TrackQuality { participant, track, mime_type, expected, lost, heard, lacking_permille })
}
