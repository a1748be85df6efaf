//! Who wished to reach the media in one way alone (`SimulateScenario.switch_candidate_protocol`):
//! the wish is about the session that the client begins next.

use std::collections::HashMap;

use ringway_signal::Way;

/// How long a wish holds: LiveKit's time.
const HOLDS_MS: u64 = 300_000;
/// Wishes that are remembered. Raised: more memory for who plays with it; lowered: with many
/// clients that try at once, some are told of all ways all the same.
const WISHES_MAX: usize = 1_024;

/// Wishes by room and identity, with when they end.
#[derive(Debug, Default)]
pub(super) struct Ways(HashMap<(u64, String), (Way, u64)>);

impl Ways {
    /// Notes a wish, or takes it back.
    pub(super) fn set(&mut self, now_ms: u64, room: u64, identity: String, way: Way) {
        self.0.retain(|_, (_, until_ms)| *until_ms > now_ms);
        if way == Way::Any {
            self.0.remove(&(room, identity));
        } else if self.0.len() < WISHES_MAX {
            self.0.insert((room, identity), (way, now_ms.saturating_add(HOLDS_MS)));
        }
    }

    /// What a participant wished, if anything.
    pub(super) fn of(&self, now_ms: u64, room: u64, identity: &str) -> Way {
        if self.0.is_empty() {
            return Way::Any;
        }
        let wish = self.0.get(&(room, identity.to_owned()));
        wish.filter(|(_, until_ms)| *until_ms > now_ms).map_or(Way::Any, |(way, _)| *way)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wishes_end() {
        let mut wishes = Ways::default();
        assert_eq!(wishes.of(0, 1, "ann"), Way::Any);
        wishes.set(0, 1, "ann".to_owned(), Way::Tcp);
        assert_eq!(wishes.of(HOLDS_MS - 1, 1, "ann"), Way::Tcp);
        assert_eq!(wishes.of(5, 2, "ann"), Way::Any);
        assert_eq!(wishes.of(5, 1, "bob"), Way::Any);
        assert_eq!(wishes.of(HOLDS_MS, 1, "ann"), Way::Any);
        wishes.set(5, 1, "ann".to_owned(), Way::Relay);
        assert_eq!(wishes.of(6, 1, "ann"), Way::Relay);
        wishes.set(5, 1, "ann".to_owned(), Way::Any);
        assert_eq!(wishes.of(6, 1, "ann"), Way::Any);
        for number in 0..2 * WISHES_MAX {
            wishes.set(7, 1, number.to_string(), Way::Tcp);
        }
        assert_eq!(wishes.0.len(), WISHES_MAX);
    }
}
