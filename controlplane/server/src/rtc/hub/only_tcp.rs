//! Who wished to reach the media over TCP alone (`SimulateScenario.switch_candidate_protocol`): the
//! wish is about the session that the client begins next.

use std::collections::HashMap;

/// How long a wish holds: LiveKit's time.
const HOLDS_MS: u64 = 300_000;
/// Wishes that are remembered. Raised: more memory for who plays with it; lowered: with many
/// clients that try at once, some get UDP all the same.
const WISHES_MAX: usize = 1_024;

/// Wishes by room and identity, with when they end.
#[derive(Debug, Default)]
pub(super) struct OnlyTcp(HashMap<(u64, String), u64>);

impl OnlyTcp {
    /// Notes a wish, or takes it back.
    pub(super) fn set(&mut self, now_ms: u64, room: u64, identity: String, only: bool) {
        self.0.retain(|_, until_ms| *until_ms > now_ms);
        if !only {
            self.0.remove(&(room, identity));
        } else if self.0.len() < WISHES_MAX {
            self.0.insert((room, identity), now_ms.saturating_add(HOLDS_MS));
        }
    }

    /// Whether a participant wished so.
    pub(super) fn wants(&self, now_ms: u64, room: u64, identity: &str) -> bool {
        if self.0.is_empty() {
            return false;
        }
        let until_ms = self.0.get(&(room, identity.to_owned()));
        until_ms.is_some_and(|until_ms| *until_ms > now_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wishes_end() {
        let mut wishes = OnlyTcp::default();
        assert!(!wishes.wants(0, 1, "ann"));
        wishes.set(0, 1, "ann".to_owned(), true);
        assert!(wishes.wants(HOLDS_MS - 1, 1, "ann"));
        assert!(!wishes.wants(5, 2, "ann") && !wishes.wants(5, 1, "bob"));
        assert!(!wishes.wants(HOLDS_MS, 1, "ann"));
        wishes.set(5, 1, "ann".to_owned(), false);
        assert!(!wishes.wants(6, 1, "ann"));
        for number in 0..2 * WISHES_MAX {
            wishes.set(7, 1, number.to_string(), true);
        }
        assert_eq!(wishes.0.len(), WISHES_MAX);
    }
}
