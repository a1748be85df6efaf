//! What a token asks of the room that it makes, and nobody here can do: agents and recordings.
//!
//! A call that is to be recorded and is not is found out about when it is too late, so such a join
//! is refused, as LiveKit refuses it without an egress service. Whatever LiveKit begins later, and
//! only logs when it fails, is a warning here.

use ringway_room::calls::{Join, Joined, Refusal};
use ringway_signal::grants::Claims;

use super::Hub;

/// Wishes of a token's `roomConfig`. Its tags are not among them: LiveKit's own server drops them.
#[derive(Debug, Default, PartialEq, Eq)]
struct Unmet {
    /// A recording of the whole room, from its beginning.
    recording: bool,
    /// Recordings of participants or tracks, once they come.
    later_recordings: bool,
    /// Names of agents; the one without a name is empty.
    agents: Vec<String>,
}

impl Unmet {
    fn of(claims: &Claims) -> Self {
        let Some(config) = &claims.room_config else { return Self::default() };
        let egress = config.egress.as_ref();
        Self {
            recording: egress.is_some_and(|egress| egress.room.is_some()),
            later_recordings: egress.is_some_and(|e| e.participant.is_some() || e.tracks.is_some()),
            agents: config.agents.iter().map(|agent| agent.agent_name.clone()).collect(),
        }
    }
}

impl Hub {
    /// As `Calls::validate`, with what nobody here can do.
    pub(super) fn admits(&self, claims: &Claims, wish: &Join) -> Result<(), Refusal> {
        self.calls.validate(wish)?;
        match Unmet::of(claims).recording && self.makes_room(wish) {
            true => Err(Refusal::NoEgress),
            false => Ok(()),
        }
    }

    /// As `Calls::join`, with what nobody here can do.
    pub(super) fn admit(
        &mut self,
        now_ms: u64,
        claims: &Claims,
        wish: Join,
    ) -> Result<Joined, Refusal> {
        let unmet = Unmet::of(claims);
        if unmet == Unmet::default() || !self.makes_room(&wish) {
            return self.calls.join(now_ms, wish);
        }
        self.admits(claims, &wish)?;
        let joined = self.calls.join(now_ms, wish)?;
        let room = joined.room.name.as_str();
        if !unmet.agents.is_empty() {
            let agents = &unmet.agents;
            tracing::warn!(room, ?agents, "a token asks for agents: none can be dispatched");
        }
        if unmet.later_recordings {
            tracing::warn!(room, "a token asks for egress: nobody is recorded");
        }
        Ok(joined)
    }

    fn makes_room(&self, wish: &Join) -> bool {
        self.calls.list_rooms(std::slice::from_ref(&wish.room)).is_empty()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn wishes_are_found() {
        let check = |config: serde_json::Value, expect: Unmet| {
            let claims = serde_json::from_value(json!({ "roomConfig": config })).unwrap();
            assert_eq!(Unmet::of(&claims), expect, "{config}");
        };
        let none = Unmet::default;
        check(json!({"maxParticipants": 2, "tags": {"a": "b"}, "egress": {}}), none());
        let room = json!({"egress": {"room": {"layout": "grid"}}});
        check(room, Unmet { recording: true, ..none() });
        let later = || Unmet { later_recordings: true, ..none() };
        check(json!({"egress": {"participant": {}}}), later());
        check(json!({"egress": {"tracks": {"filepath": "x"}}}), later());
        let agents = json!({"agents": [{"agentName": "helper", "metadata": "m"}, {}]});
        check(agents, Unmet { agents: vec!["helper".to_owned(), String::new()], ..none() });
        assert_eq!(Unmet::of(&Claims::default()), none());
    }
}
