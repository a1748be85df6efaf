//! The test as the control plane: commands and events over the real shared memory.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use ringway_abi::bell;
use ringway_abi::join::{JoinError, Joined, join};
use ringway_abi::message::{
    Bound, Command, DestinationSpec, Event, ForwardSpec, InputPolicy, Outcome, Rewrite, RtcpInput,
    SourcePolicy,
};
use ringway_abi::{PagesView, Role};

use crate::patience::until;

/// How long a shard may take on a machine that does many other things.
const PATIENCE: Duration = Duration::from_secs(20);

/// A joined data plane.
#[derive(Debug)]
pub struct Steering {
    joined: Joined,
    requests: u64,
}

/// What a shard says that it has.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Inventory {
    /// Keys and addresses of its forwards.
    pub forwards: Vec<(u64, SocketAddr)>,
    /// Forward, key and RTP address of their destinations.
    pub destinations: Vec<(u64, u64, SocketAddr)>,
}

impl Steering {
    /// Joins as the control plane, as soon as the place is free.
    pub fn join(socket: &Path) -> Self {
        until(PATIENCE, "the place of the control plane to be free", || Self::try_join(socket).ok())
    }

    /// Joins as the control plane, or says why not.
    pub fn try_join(socket: &Path) -> Result<Self, JoinError> {
        let joined = join(socket, Role::Control, PATIENCE)?;
        Ok(Self { joined, requests: 0 })
    }

    /// What the data plane publishes.
    pub fn pages(&self) -> &PagesView {
        &self.joined.pages
    }

    /// Number of the next request.
    pub fn next_request(&mut self) -> u64 {
        self.requests += 1;
        self.requests
    }

    /// Sends a command; waits for room.
    pub fn send(&mut self, shard: usize, command: &Command) {
        let control = self.joined.control.as_mut().expect("a control peer has lanes");
        let lane = &mut control.shards[shard];
        until(PATIENCE, "room in the command lane", || lane.commands.try_send(command).ok());
        if lane.commands.reader_sleeps() {
            bell::ring(&lane.bell);
        }
    }

    /// The next event of a shard, if there is one now.
    pub fn receive(&mut self, shard: usize) -> Option<Event> {
        let control = self.joined.control.as_mut().expect("a control peer has lanes");
        let event = control.shards[shard].events.try_receive()?;
        Some(event.expect("a shard writes valid events"))
    }

    /// Sends a command and waits for its end; other events are passed over.
    pub fn ask(&mut self, shard: usize, command: impl FnOnce(u64) -> Command) -> Outcome {
        let request = self.next_request();
        self.send(shard, &command(request));
        until(PATIENCE, &format!("the end of request {request}"), || {
            std::iter::from_fn(|| self.receive(shard)).find_map(|event| match event {
                Event::Done { request: done, outcome } if done == request => Some(outcome),
                _ => None,
            })
        })
    }

    /// Creates a forward that anyone may send to.
    ///
    /// # Panics
    /// When it is refused.
    pub fn create(&mut self, key: u64, address: &str) -> Bound {
        let spec = open_forward(key, address, 0);
        match self.ask(0, |request| Command::CreateForward { request, spec }) {
            Outcome::Forward(bound) => bound,
            other => panic!("forward {key} was not created: {other:?}"),
        }
    }

    /// Adds a destination without a rewrite.
    ///
    /// # Panics
    /// When it is refused.
    pub fn add(&mut self, forward: u64, key: u64, rtp: SocketAddr) {
        let mut rtcp = rtp;
        rtcp.set_port(rtp.port().wrapping_add(1).max(1));
        let spec = DestinationSpec { key, shard: 0, rtp, rtcp, rewrite: Rewrite::default() };
        match self.ask(0, |request| Command::AddDestination { request, forward, spec }) {
            Outcome::Destination { .. } => {}
            other => panic!("destination {key} was not added: {other:?}"),
        }
    }

    /// Asks a shard what it has.
    pub fn inventory(&mut self, shard: usize) -> Inventory {
        let asked = self.next_request();
        self.send(shard, &Command::Snapshot { request: asked });
        let mut inventory = Inventory::default();
        until(PATIENCE, "the end of the snapshot", || {
            while let Some(event) = self.receive(shard) {
                match event {
                    Event::ForwardIs { request, spec, bound } if request == asked => {
                        inventory.forwards.push((spec.key, bound.rtp));
                    }
                    Event::DestinationIs { request, forward, spec, .. } if request == asked => {
                        inventory.destinations.push((forward, spec.key, spec.rtp));
                    }
                    Event::Done { request, outcome: Outcome::SnapshotEnd } if request == asked => {
                        return Some(());
                    }
                    _ => {}
                }
            }
            None
        });
        inventory.forwards.sort_unstable();
        inventory.destinations.sort_unstable();
        inventory
    }
}

/// A forward that anyone may send to, RTCP on the RTP port.
pub fn open_forward(key: u64, address: &str, rtp_port: u16) -> ForwardSpec {
    ForwardSpec {
        key,
        address: address.parse().expect("an IP address"),
        rtp_port,
        rtcp: RtcpInput::Mux,
        policy: InputPolicy { source: SourcePolicy::Any, ssrc: None },
    }
}
