//! Who comes back after its call broke: a client that begins anew by itself.
//!
//! `livekit-client` says that it is connected again as soon as its media is, yet keeps what its
//! application should hear of the others in a buffer for two seconds behind the join response, and
//! hands on nothing of what got in there late. What it is told of others only behind that time is
//! not lost; see [`super::held`].

use std::collections::HashMap;

use ringway_room::calls::Fact;

/// How long after it left somebody counts as coming back. LiveKit's clients try for 44 s.
/// Raised: who merely leaves and joins again hears of newcomers late more often.
const RETURNS_WITHIN_MS: u64 = 45_000;
/// Leavers that are remembered. Lowered: of a large room that breaks, some may miss who else comes.
const LEAVERS_MAX: usize = 65_536;

/// Who left of late, by room and identity, with when they are forgotten.
#[derive(Debug, Default)]
pub(super) struct Returning {
    leavers: HashMap<(String, String), u64>,
    /// Until then everybody counts as coming back.
    all_until_ms: u64,
    /// When the leavers were looked through last.
    swept_ms: u64,
}

impl Returning {
    /// There were calls before this server came: nobody knows of whom.
    pub(super) fn expect_all(&mut self, now_ms: u64) {
        self.all_until_ms = now_ms.saturating_add(RETURNS_WITHIN_MS);
    }

    /// Hears what happens in rooms.
    pub(super) fn hear(&mut self, now_ms: u64, fact: &Fact) {
        let (Fact::ParticipantLeft(room, who) | Fact::ParticipantAborted(room, who)) = fact else {
            return;
        };
        if now_ms >= self.swept_ms.saturating_add(RETURNS_WITHIN_MS) {
            self.swept_ms = now_ms;
            self.leavers.retain(|_, until_ms| *until_ms > now_ms);
        }
        if self.leavers.len() < LEAVERS_MAX {
            let until_ms = now_ms.saturating_add(RETURNS_WITHIN_MS);
            self.leavers.insert((room.name.clone(), who.identity.clone()), until_ms);
        }
    }

    /// Whether somebody who comes now comes back.
    pub(super) fn is(&self, now_ms: u64, room: &str, identity: &str) -> bool {
        if now_ms < self.all_until_ms {
            return true;
        }
        let until_ms = self.leavers.get(&(room.to_owned(), identity.to_owned()));
        until_ms.is_some_and(|until_ms| *until_ms > now_ms)
    }
}
