//! Whether the peer is still there: something authentic must come from it again and again.
//!
//! A lite agent sends no checks of its own, so it lives on what it hears: authenticated checks (a
//! full agent repeats them every few seconds, RFC 7675) and media that was opened.

use super::NS_PER_MS;

/// Silence after which the peer counts as disconnected; LiveKit's figure. Raised: participants
/// that are gone are shown for longer. Lowered: a lossy radio link that loses two checks in a row
/// is reported.
pub const CONSENT_DISCONNECTED_MS: u64 = 10_000;

/// Further silence after which the connection has failed; LiveKit's figure.
pub const CONSENT_FAILED_MS: u64 = 5_000;

/// What silence, or its end, did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConsentChange {
    /// Nothing was heard for [`CONSENT_DISCONNECTED_MS`].
    Disconnected,
    /// The peer was heard again.
    Recovered,
    /// Nothing was heard for [`CONSENT_FAILED_MS`] more.
    Failed,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Unheard,
    Alive,
    Disconnected,
    Failed,
}

#[derive(Debug, Default)]
pub(super) struct Consent {
    state: State,
    heard_ns: u64,
}

impl Consent {
    /// Something authentic came.
    pub(super) fn heard(&mut self, now_ns: u64) -> Option<ConsentChange> {
        self.heard_ns = self.heard_ns.max(now_ns);
        match self.state {
            State::Alive | State::Failed => None,
            State::Unheard => {
                self.state = State::Alive;
                None
            }
            State::Disconnected => {
                self.state = State::Alive;
                Some(ConsentChange::Recovered)
            }
        }
    }

    /// Whether something authentic came within the last `window_ns`.
    pub(super) fn is_heard(&self, now_ns: u64, window_ns: u64) -> bool {
        self.state != State::Unheard && now_ns.saturating_sub(self.heard_ns) <= window_ns
    }

    pub(super) fn deadline(&self) -> Option<u64> {
        let silence_ms = match self.state {
            State::Unheard | State::Failed => return None,
            State::Alive => CONSENT_DISCONNECTED_MS,
            State::Disconnected => CONSENT_DISCONNECTED_MS + CONSENT_FAILED_MS,
        };
        Some(self.heard_ns + silence_ms * NS_PER_MS)
    }

    /// One step a call, so that a sleeper who comes late still hears of both.
    pub(super) fn handle_timeout(&mut self, now_ns: u64) -> Option<ConsentChange> {
        if now_ns < self.deadline()? {
            return None;
        }
        let (state, change) = match self.state {
            State::Disconnected => (State::Failed, ConsentChange::Failed),
            _ => (State::Disconnected, ConsentChange::Disconnected),
        };
        self.state = state;
        Some(change)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_noticed_in_two_steps() {
        let second = 1000 * NS_PER_MS;
        let mut consent = Consent::default();
        assert!(!consent.is_heard(0, second), "nothing came");
        assert_eq!((consent.deadline(), consent.handle_timeout(99 * second)), (None, None));
        assert_eq!(consent.heard(100 * second), None);
        assert_eq!(consent.deadline(), Some(110 * second));
        assert!(consent.is_heard(105 * second, 5 * second));
        assert!(!consent.is_heard(105 * second + 1, 5 * second));
        assert_eq!(consent.handle_timeout(110 * second - 1), None);
        assert_eq!(consent.handle_timeout(110 * second), Some(ConsentChange::Disconnected));
        assert_eq!(consent.heard(112 * second), Some(ConsentChange::Recovered));
        assert_eq!(consent.handle_timeout(122 * second), Some(ConsentChange::Disconnected));
        assert_eq!(consent.deadline(), Some(127 * second));
        assert_eq!(consent.handle_timeout(127 * second), Some(ConsentChange::Failed));
        assert_eq!((consent.heard(128 * second), consent.deadline()), (None, None));
    }
}
