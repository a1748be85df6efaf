//! Failures that a client asks for (`SimulateScenario`), to try how it copes with them.

use livekit_protocol::SimulateScenario;
use livekit_protocol::simulate_scenario::Scenario;
use ringway_room::calls::{DisconnectReason, LeaveAction, Request};

use super::{Output, Session};
use crate::plane::Ask;
use crate::way::Way;

/// For how long a wish about the next resume holds: LiveKit's time.
const CUT_WITHIN_MS: u64 = 5_000;

/// What a client has asked for that is still to come.
#[derive(Debug, Default)]
pub(super) struct Simulated {
    /// Until when the signalling of a resumed session is cut, and how.
    cut: Option<(u64, Cut)>,
    farewell: Option<Farewell>,
}

/// How the signalling of a resumed session is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// Before anything is said.
    Silent,
    /// After all that a resumed session is told.
    Told,
}

/// How a session ends that a client wanted to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Farewell {
    /// As if the server had died.
    Silent,
    /// Told to begin anew.
    Reconnect,
}

impl Simulated {
    /// Whether a session that is resumed now is cut. Holds once.
    pub(super) fn take_cut(&mut self, now_ms: u64) -> Option<Cut> {
        self.cut.take().filter(|(until_ms, _)| now_ms < *until_ms).map(|(_, cut)| cut)
    }

    /// What a client does that is told to leave; `None`: it is not told.
    pub(super) fn last_word(&self, action: LeaveAction) -> Option<LeaveAction> {
        match self.farewell {
            None => Some(action),
            Some(Farewell::Silent) => None,
            Some(Farewell::Reconnect) => Some(LeaveAction::Reconnect),
        }
    }
}

impl Session {
    /// The client wants to see a failure.
    pub(super) fn handle_simulate(&mut self, now_ms: u64, wish: SimulateScenario) {
        let cut = |cut| Some((now_ms.saturating_add(CUT_WITHIN_MS), cut));
        match wish.scenario {
            Some(Scenario::ServerLeave(true)) => self.end_simulated(None, SHUTDOWN),
            // Its next resume finds no session, as it does after the death of a server.
            Some(Scenario::NodeFailure(true)) => {
                self.end_simulated(Some(Farewell::Silent), SHUTDOWN);
            }
            Some(Scenario::Migration(true)) => {
                self.end_simulated(Some(Farewell::Silent), DisconnectReason::Migration);
            }
            Some(Scenario::LeaveRequestFullReconnect(true)) => {
                self.end_simulated(Some(Farewell::Reconnect), SHUTDOWN);
            }
            Some(Scenario::DisconnectSignalOnResume(true)) => self.simulated.cut = cut(Cut::Told),
            Some(Scenario::DisconnectSignalOnResumeNoMessages(true)) => {
                self.simulated.cut = cut(Cut::Silent);
            }
            Some(Scenario::SpeakerUpdate(seconds)) => {
                let seconds = u32::try_from(seconds).unwrap_or(0);
                self.ask_room(Request::PretendToSpeak { seconds });
            }
            Some(Scenario::SubscriberBandwidth(bps)) => {
                let bps = u64::try_from(bps).ok().filter(|bps| *bps > 0);
                let peer = self.subscriber.as_ref().unwrap_or(&self.publisher);
                let transport = peer.key;
                self.ask_plane(Ask::LimitBandwidth { transport, bps });
            }
            Some(Scenario::SwitchCandidateProtocol(protocol)) => {
                let way = Way::wished(protocol, self.relayed);
                self.way = way;
                self.outputs.push_back(Output::Way(way));
                let peers = std::iter::once(&mut self.publisher).chain(&mut self.subscriber);
                peers.for_each(|peer| peer.choose(way));
                self.restart_subscriber(now_ms);
            }
            _ => self.ignored.unknown += 1,
        }
    }

    fn end_simulated(&mut self, farewell: Option<Farewell>, reason: DisconnectReason) {
        self.simulated.farewell = farewell;
        self.ask_room(Request::Leave { reason });
    }

    /// Ends the signalling of a session that goes on.
    pub(super) fn cut(&mut self) {
        self.ask_room(Request::SignalClosed);
        self.outputs.push_back(Output::HangUp);
    }
}

const SHUTDOWN: DisconnectReason = DisconnectReason::ServerShutdown;
