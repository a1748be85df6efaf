//! A client in Go: LiveKit's `server-sdk-go`, on pion. FFmpeg encodes and decodes for it.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use crate::clients::{folder, program, script};
use crate::member::Member;
use crate::peer::Peer;
use crate::stage::Stage;

/// Where Go's own archives unpack to, for a path that lacks it; `tests/need` looks there too.
const USUAL_PLACE: &str = "/usr/local/go/bin/go";

/// The unmodified package as a member of a room.
pub fn livekit(stage: &Stage, name: &str) -> Member {
    Member::of_program(name, Peer::start(name, Command::new(built()), stage.folder()))
}

/// The client, built from the checkout. `tests/need` has done so before: what did not change since
/// is not built again, and nothing is fetched.
fn built() -> &'static PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let client = folder().join("go/client");
        let go = program(&["go"]).unwrap_or_else(|| PathBuf::from(USUAL_PLACE));
        let status = Command::new(go)
            .args(["build", "-mod=readonly", "-buildvcs=false", "-o"])
            .arg(&client)
            .arg(".")
            .current_dir(script("go"))
            .env("GOPROXY", "off")
            .status();
        assert!(status.is_ok_and(|status| status.success()), "tests/interop/go does not build");
        client
    })
}
