//! Other people's programs against ours: what they send arrives, decodes and is the same.
//!
//! Plain RTP, with FFmpeg:
//! - [`ffmpeg`]: FFmpeg as a child process.
//! - [`clip`]: what is sent, and what its decoded frames are.
//! - [`player`]: a receiver that decodes what a session description tells it to.
//! - [`listener`]: a bare socket that keeps the packets it gets.
//! - [`verdict`]: is what was played what was sent?
//!
//! Calls, with unmodified clients:
//! - [`stage`]: a network, a server and a folder for one test. Start here.
//! - [`server`]: the server under test: ours, one that runs already, or a LiveKit to compare with.
//! - [`pass`]: tokens that open a room.
//! - [`peer`]: a client as a child process that is asked in JSON lines.
//! - [`browser`]: Chromium and Firefox, and their tabs.
//! - [`dev_page`]: the server's own page at `/` in a tab.
//! - [`python`]: the `livekit` package, `aiortc` and GStreamer.
//! - [`node`]: the `@livekit/rtc-node` package, and `ws`.
//! - [`go`]: the `server-sdk-go` module.
//! - [`member`]: somebody in a room, whatever the client: joins, publishes, watches.
//! - [`meeting`]: two members who see each other, talk, and send files.
//! - [`show`]: the pattern and the tone that somebody publishes, and what of it another one sees.
//! - [`clients`]: where `tests/need call-clients` has put what npm, PyPI and Go's proxy bring.
//!
//! # Against which server
//!
//! | variable | server under test |
//! |---|---|
//! | none | the appliance as cargo builds it, one for each test, in a network of its own |
//! | `RINGWAY_TEST_LIVEKIT=/path/to/livekit-server` | a LiveKit, likewise: are the tests right? |
//! | `RINGWAY_TEST_URL=http://host:7880` | one that runs; also `RINGWAY_TEST_KEY`, `_SECRET` |
//!
//! LiveKit has no WHEP, so `tests/whep.rs` fails there. The clients need an address that is not
//! loopback: as root each test gets a network with one, otherwise the machine's own is used.
//!
//! `browser/`, `python/`, `node/` and `go/` hold one short file for each client or noun. To move a
//! client to a new version, change `package.json` and its lock file (`npm install
//! --package-lock-only`) in `browser/` or `node/`, `python/requirements.txt`, or `go/go.mod`
//! (`go get github.com/livekit/server-sdk-go/v2@VERSION && go mod tidy`).
#![forbid(unsafe_code)]

pub mod browser;
pub mod clients;
pub mod clip;
pub mod dev_page;
pub mod ffmpeg;
pub mod go;
pub mod listener;
pub mod meeting;
pub mod member;
pub mod node;
pub mod pass;
pub mod peer;
pub mod player;
pub mod python;
pub mod server;
pub mod show;
pub mod stage;
pub mod verdict;
