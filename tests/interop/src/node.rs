//! A client under Node: the `@livekit/rtc-node` package.

use std::process::Command;

use crate::clients::{folder, script};
use crate::member::Member;
use crate::peer::Peer;
use crate::stage::Stage;

/// The unmodified package as a member of a room.
pub fn livekit(stage: &Stage, name: &str) -> Member {
    let mut command = Command::new("node");
    command.arg(script("node/livekit_client.mjs")).env("RINGWAY_CLIENTS", folder());
    Member::of_program(name, Peer::start(name, command, stage.folder()))
}
