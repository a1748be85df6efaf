//! Who may receive a publisher's tracks, by the publisher's own word.

use std::collections::{HashMap, HashSet};

use super::LiveRoom;
use crate::calls::TrackPermission;
use crate::calls::turn::Turn;
use crate::id::{DataTrackSid, ParticipantSid, TrackSid};

/// Participants and tracks that one publisher may list. A longer list is cut, and who is cut off
/// receives nothing. Lower: large rooms cannot list their people. Higher: more memory for a liar.
const ENTRIES_MAX: usize = 20_000;

/// See the module's description.
#[derive(Debug)]
pub(super) enum Audience {
    /// No restriction.
    Everybody,
    /// These identities only.
    Only(HashMap<String, Allowance>),
}

/// What one participant may receive.
#[derive(Debug)]
pub(super) enum Allowance {
    /// All tracks.
    All,
    /// These.
    Tracks(HashSet<TrackSid>, HashSet<DataTrackSid>),
}

impl Audience {
    /// Whether it has `identity` for `track`.
    pub(super) fn admits(&self, identity: &str, track: TrackSid) -> bool {
        match self {
            Self::Everybody => true,
            Self::Only(listed) => listed.get(identity).is_some_and(|allowance| match allowance {
                Allowance::All => true,
                Allowance::Tracks(tracks, _) => tracks.contains(&track),
            }),
        }
    }

    /// The same for a data track.
    pub(super) fn admits_data(&self, identity: &str, track: DataTrackSid) -> bool {
        match self {
            Self::Everybody => true,
            Self::Only(listed) => listed.get(identity).is_some_and(|allowance| match allowance {
                Allowance::All => true,
                Allowance::Tracks(_, tracks) => tracks.contains(&track),
            }),
        }
    }
}

impl LiveRoom {
    /// A publisher says who may receive its tracks. A list with an entry that names nobody is
    /// refused as a whole.
    pub(super) fn subscription_permission(
        &mut self,
        turn: &mut Turn<'_>,
        from: ParticipantSid,
        all_participants: bool,
        permissions: &[TrackPermission],
    ) {
        let audience = match all_participants {
            true => Audience::Everybody,
            false => match self.listed(permissions) {
                Some(listed) => Audience::Only(listed),
                None => return,
            },
        };
        let Some(publisher) = self.participants.get_mut(&from) else { return };
        publisher.audience = audience;
        let tracks = publisher.published.clone();
        let others: Vec<_> = self.participants.keys().copied().filter(|sid| *sid != from).collect();
        for track in tracks {
            for subscriber in &others {
                self.reconcile(turn, *subscriber, track);
            }
        }
        self.reconcile_data_from(turn, from);
    }

    fn listed(&self, permissions: &[TrackPermission]) -> Option<HashMap<String, Allowance>> {
        let mut listed = HashMap::new();
        let mut room = ENTRIES_MAX;
        for permission in permissions {
            let identity = match (permission.identity.as_str(), permission.sid) {
                ("", None) => return None,
                ("", Some(sid)) => self.participants.get(&sid).map(|p| p.identity.clone()),
                (identity, _) => Some(identity.to_owned()),
            };
            let Some(identity) = identity else { continue };
            let tracks = permission.tracks.len() + permission.data_tracks.len();
            let cost = 1 + if permission.all_tracks { 0 } else { tracks };
            if cost > room {
                break;
            }
            room -= cost;
            let allowance = match permission.all_tracks {
                true => Allowance::All,
                false => Allowance::Tracks(
                    permission.tracks.iter().copied().collect(),
                    permission.data_tracks.iter().copied().collect(),
                ),
            };
            listed.insert(identity, allowance);
        }
        Some(listed)
    }
}
