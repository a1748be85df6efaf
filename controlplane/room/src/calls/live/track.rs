//! Tracks as their room knows them: announced, and published.

use std::collections::VecDeque;
use std::sync::Arc;

use indexmap::IndexSet;

use super::demand::Demand;
use super::measured::Measured;
use crate::calls::turn::Turn;
use crate::calls::{Picture, TimedVersion, TrackInfo};
use crate::id::{ParticipantSid, TrackSid};

/// A published track.
#[derive(Debug)]
pub(super) struct LiveTrack {
    pub(super) publisher: ParticipantSid,
    /// The client's id of it.
    pub(super) cid: String,
    pub(super) info: Arc<TrackInfo>,
    /// Whom it is served to.
    pub(super) subscribers: IndexSet<ParticipantSid>,
    /// Its publisher has been told that somebody receives it who is not hidden.
    pub(super) heard: bool,
    /// How loud it is, while somebody speaks.
    pub(super) level: Option<f32>,
    pub(super) demand: Demand,
    /// When its codecs were announced last.
    pub(super) codecs_since_ms: u64,
    /// What is measured of each codec; fewer than there are while nothing came of the last ones.
    pub(super) measured: Vec<Measured>,
    /// Nobody announced how large its pictures are: what is measured counts.
    pub(super) is_unsized: bool,
    /// When it was unmuted last, or wanted again.
    pub(super) resumed_ms: u64,
    /// The backup codec that everybody receives by now, of the track's codecs.
    pub(super) regressed: Option<usize>,
}

impl LiveTrack {
    /// Whether the client calls it so.
    pub(super) fn is_called(&self, cid: &str) -> bool {
        self.cid == cid || is_codec_called(&self.info, cid)
    }

    /// The codec that everybody receives who can: the backup if the publisher went back to it.
    pub(super) fn active_codec(&self) -> usize {
        self.regressed.unwrap_or(0)
    }

    /// What the pictures of a codec are like.
    pub(super) fn pictures(&self, codec: usize) -> &[Picture] {
        self.measured.get(codec).map_or(&[], |measured| &measured.pictures)
    }

    /// Changes what is said about it.
    pub(super) fn change(&mut self, turn: &Turn<'_>, change: impl FnOnce(&mut TrackInfo)) {
        let info = Arc::make_mut(&mut self.info);
        change(info);
        info.version = next_version(info.version, turn);
    }
}

/// A cid that the client announced: the track that is waited for, and those behind it, which have
/// its id: as far as anybody knows the client announced one track several times.
#[derive(Debug)]
pub(super) struct PendingTrack {
    pub(super) cid: String,
    pub(super) infos: VecDeque<TrackInfo>,
    /// When the first of them came to the front.
    pub(super) since_ms: u64,
    /// A published track has the cid: the first of them waits for its end.
    pub(super) queued: bool,
}

impl PendingTrack {
    pub(super) fn front(&self) -> Option<&TrackInfo> {
        self.infos.front()
    }

    /// Whether the client calls the first of them so.
    pub(super) fn is_called(&self, cid: &str) -> bool {
        self.cid == cid || self.front().is_some_and(|info| is_codec_called(info, cid))
    }

    /// All of them that are announcements of this track.
    pub(super) fn find(&mut self, track: TrackSid) -> impl Iterator<Item = &mut TrackInfo> {
        self.infos.iter_mut().filter(move |info| info.sid == track)
    }
}

fn is_codec_called(info: &TrackInfo, cid: &str) -> bool {
    !cid.is_empty() && info.codecs.iter().any(|codec| codec.cid == cid || codec.sdp_cid == cid)
}

/// A version that is newer than `last`.
pub(super) fn next_version(last: TimedVersion, turn: &Turn<'_>) -> TimedVersion {
    let unix_us = i64::try_from(turn.unix_ms().saturating_mul(1000)).unwrap_or(i64::MAX);
    if unix_us > last.unix_us {
        TimedVersion { unix_us, ticks: 0 }
    } else {
        TimedVersion { unix_us: last.unix_us, ticks: last.ticks.saturating_add(1) }
    }
}
