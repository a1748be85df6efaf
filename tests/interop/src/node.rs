//! Clients under Node: the `@livekit/rtc-node` package, and `ws` for the signalling alone.

use std::process::Command;

use crate::clients::{folder, script};
use crate::member::Member;
use crate::peer::Peer;
use crate::stage::Stage;

/// The unmodified package as a member of a room.
pub fn livekit(stage: &Stage, name: &str) -> Member {
    Member::of_program(name, start(stage, name, "node/livekit_client.mjs"))
}

/// The unmodified `ws` package: messages without a meaning.
pub fn websocket(stage: &Stage, name: &str) -> Peer {
    start(stage, name, "node/websocket_client.mjs")
}

fn start(stage: &Stage, name: &str, file: &str) -> Peer {
    let mut command = Command::new("node");
    command.arg(script(file)).env("RINGWAY_CLIENTS", folder());
    Peer::start(name, command, stage.folder())
}
