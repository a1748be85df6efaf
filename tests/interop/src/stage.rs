//! A network, a server and a folder for one test.

use std::path::Path;
use std::sync::Mutex;

use ringway_system::namespace;
use tempfile::TempDir;

use crate::pass::Pass;
use crate::server::{Server, is_elsewhere};

/// Address of the one interface of a test's network.
const ADDRESS: &str = "10.83.0.1";

/// Encoding and decoding video takes the whole machine: two tests at once would wait for each
/// other's pictures.
static ALONE: Mutex<()> = Mutex::new(());

/// What a test stands on.
#[derive(Debug)]
pub struct Stage {
    /// The server under test.
    pub server: Server,
    folder: TempDir,
    /// Its network is nobody else's.
    own_network: bool,
}

/// Runs `test` alone, with a server that nobody else uses. As root it has a network of its own with
/// one address besides loopback, which libwebrtc takes no candidates from.
///
/// # Panics
/// When the test does.
pub fn on(test: impl FnOnce(&Stage) + Send) {
    on_with(|_| String::new(), test);
}

/// The same with a server whose section `turn` is what `turn` makes of its address.
///
/// # Panics
/// When the test does.
pub fn on_with(turn: impl FnOnce(&str) -> String + Send, test: impl FnOnce(&Stage) + Send) {
    set(turn, "", test);
}

/// The same with a server that takes repairs of its publishers (FlexFEC).
///
/// # Panics
/// When the test does.
pub fn on_repaired(test: impl FnOnce(&Stage) + Send) {
    set(|_| String::new(), ", flexfec: {upstream_enabled: true}", test);
}

fn set(turn: impl FnOnce(&str) -> String + Send, rtc: &str, test: impl FnOnce(&Stage) + Send) {
    // A test that failed has let go of everything, too.
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if is_elsewhere() || !rustix::process::geteuid().is_root() {
        return test(&Stage::build(None, &turn("127.0.0.1"), rtc));
    }
    let mut ran = false;
    namespace::inside(|| {
        ran = true;
        namespace::must(&["link", "add", "call0", "type", "veth", "peer", "name", "call1"]);
        namespace::must(&["address", "add", &format!("{ADDRESS}/24"), "dev", "call0"]);
        namespace::must(&["link", "set", "call1", "up"]);
        namespace::must(&["link", "set", "call0", "up"]);
        // libwebrtc asks which address it would reach the internet from.
        namespace::must(&["route", "add", "default", "dev", "call0"]);
        test(&Stage::build(Some(ADDRESS), &turn(ADDRESS), rtc));
    });
    assert!(ran, "no network namespace: run this without root, over the machine's own network");
}

impl Stage {
    fn build(address: Option<&str>, turn: &str, rtc: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("ringway-").tempdir().expect("a temp folder");
        let server = Server::start(address, turn, rtc, folder.path());
        Self { server, folder, own_network: address.is_some() }
    }

    /// Lets the network lose packets and take its time from now on; `false` where it cannot.
    pub fn worsen(&self, loss: &str, delay: &str) -> bool {
        let netem = ["qdisc", "add", "dev", "lo", "root", "netem", "loss", loss, "delay", delay];
        // What the machine sends to itself goes that way, whatever the address.
        self.own_network
            && namespace::tc(&netem).inspect_err(|error| eprintln!("tc: {error}")).is_ok()
    }

    /// Where logs go.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A token for `identity` in the test's room.
    pub fn token(&self, identity: &str) -> String {
        self.server.sign(&Pass::new(&self.room(), identity))
    }

    /// The test's room; a server that runs elsewhere sees each name once.
    pub fn room(&self) -> String {
        let name = self.folder.path().file_name().expect("a temp folder has a name");
        name.to_string_lossy().into_owned()
    }
}
