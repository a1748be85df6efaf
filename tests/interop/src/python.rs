//! Clients in Python: the `livekit` package, `aiortc` and GStreamer.

use std::process::Command;

use crate::clients::{folder, script};
use crate::member::Member;
use crate::peer::Peer;
use crate::stage::Stage;

/// Debian's own Python is the one that has GStreamer's bindings.
const SYSTEM_PYTHON: &str = "/usr/bin/python3";

/// The key of a DTLS certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Certificate {
    /// P-256, as everybody makes them by default.
    Ecdsa,
    /// RSA with 2048 bits.
    Rsa,
}

/// The unmodified `livekit` package as a member of a room.
pub fn livekit(stage: &Stage, name: &str) -> Member {
    Member::of_program(name, Peer::start(name, installed("livekit_client.py"), stage.folder()))
}

/// `aiortc`, for WHIP and WHEP.
pub fn aiortc(stage: &Stage, certificate: Certificate) -> Peer {
    let mut command = installed("aiortc_client.py");
    command.arg(match certificate {
        Certificate::Ecdsa => "ecdsa",
        Certificate::Rsa => "rsa",
    });
    Peer::start("aiortc", command, stage.folder())
}

/// GStreamer's `webrtcbin`, for WHIP. `tests/need webrtcbin` installs it.
pub fn gstreamer(stage: &Stage) -> Peer {
    let mut command = Command::new(SYSTEM_PYTHON);
    command.arg(script("python/gstreamer_client.py"));
    Peer::start("gstreamer", command, stage.folder())
}

fn installed(name: &str) -> Command {
    let mut command = Command::new(folder().join("python/bin/python"));
    command.arg(script(&format!("python/{name}")));
    command
}
