//! The link to the data plane: the only place that knows the shared-memory contract.
//!
//! One task ([`run`]) joins, and joins again when the data plane has gone. While joined,
//! [`session`] moves commands and events and watches the heartbeats. The rest of the server sees
//! the room's words ([`translate`]) and what [`Plane`] reads from the pages.

mod calls;
mod pages;
mod relay;
mod session;
mod translate;
mod translate_calls;

use std::path::PathBuf;
use std::time::Duration;

use ringway_abi::Role;
use ringway_room::plane::{Command, Event};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

pub use calls::{CallEnds, MediaAddresses, UdpPorts};
pub use pages::{Delivered, Metric, Plane, Received, Shard};
pub use relay::RelaySettings;

/// Where the data plane listens unless told otherwise.
pub const DEFAULT_SOCKET: &str = ringway_abi::DEFAULT_SOCKET;

/// First pause between tries to join, doubled each time: a restarted data plane is found at once.
const RETRY_FIRST: Duration = Duration::from_millis(10);
/// Longest pause: half of the second within which forwards must be back.
const RETRY_LAST: Duration = Duration::from_millis(500);
/// How long the data plane may take to answer; its door has a thread of its own.
const JOIN_TIMEOUT: Duration = Duration::from_secs(1);
/// Events waiting for the driver. When it is full the lanes fill, and a shard counts what it drops.
const EVENTS_WAITING_MAX: usize = 4096;

/// What the link tells the driver.
pub enum LinkEvent {
    /// The data plane is there.
    Joined {
        /// How many shards it has.
        shards: u16,
        /// The way to them, until it is lost.
        commands: Commands,
    },
    /// A shard said something.
    Said(u16, Event),
    /// The data plane is gone.
    Lost,
}

/// The way to the shards of one joined data plane. Commands after its loss go nowhere.
///
/// Not bounded: the room never has more commands in flight than there are things to command.
pub struct Commands(mpsc::UnboundedSender<(u16, Command)>);

impl Commands {
    /// Queues a command for a shard.
    pub fn send(&self, shard: u16, command: Command) {
        // An error means that the data plane is lost, which the driver is about to hear.
        let _ = self.0.send((shard, command));
    }
}

/// Starts the link: its events, and what can be read of the data plane.
pub fn start(socket: PathBuf, calls: CallEnds) -> (mpsc::Receiver<LinkEvent>, Plane) {
    let (sender, receiver) = mpsc::channel(EVENTS_WAITING_MAX);
    let plane = Plane::default();
    tokio::spawn(run(socket, sender, plane.clone(), calls));
    (receiver, plane)
}

/// Joins the data plane for ever; ends when nobody listens.
async fn run(socket: PathBuf, events: mpsc::Sender<LinkEvent>, plane: Plane, mut calls: CallEnds) {
    let mut pause = RETRY_FIRST;
    let mut last_error = String::new();
    while !events.is_closed() {
        let path = socket.clone();
        let joined = spawn_blocking(move || ringway_abi::join(&path, Role::Control, JOIN_TIMEOUT));
        match joined.await {
            Ok(Ok(joined)) => {
                last_error.clear();
                if session::run(joined, &events, &plane, &mut calls).await {
                    pause = RETRY_FIRST;
                }
            }
            Ok(Err(error)) => {
                let told = error.to_string();
                if told != last_error {
                    tracing::warn!("{told}; trying again until it works");
                    last_error = told;
                }
            }
            // The runtime is shutting down.
            Err(_) => return,
        }
        sleep(pause).await;
        pause = (pause * 2).min(RETRY_LAST);
    }
}
