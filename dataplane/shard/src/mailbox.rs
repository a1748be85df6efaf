//! The mailbox: commands of the control plane, carried out and answered.
//!
//! Every command ends in one [`Event::Done`]. Most end at once; a destination that another shard
//! serves ends when that shard has answered.

use ringway_abi::counters::Counter;
use ringway_abi::message::{
    Bound, Command, DestinationKey, DestinationSpec, Event, ForwardKey, ForwardSpec, InputPolicy,
    Outcome, Refusal, RtcpInput,
};
use ringway_sfu::destination::Destination;
use ringway_sfu::input::Input;

use crate::branch::{self, Branch, Served};
use crate::egress::SocketId;
use crate::handoff::{Cname, Order};
use crate::home::{self, Home, Port, Remote};
use crate::ports::{self, Ports};
use crate::shard::{Place, Shard, SocketUse, push_event};
use crate::slab::SlotId;
use crate::sockets::{OpenError, Sockets};

/// A snapshot that is being told: what is still to be said.
#[derive(Debug)]
pub struct Snapshot {
    request: u64,
    events: std::vec::IntoIter<Event>,
}

/// Where a destination is to be served.
pub(crate) struct Attach {
    pub(crate) forward: ForwardKey,
    pub(crate) home: u16,
    pub(crate) ipv6: bool,
}

impl<H: Clone> Shard<H> {
    /// Carries out a command.
    pub fn apply<S: Sockets<Handle = H>>(&mut self, command: Command, sockets: &mut S) {
        self.counters.add(Counter::CommandsHandled, 1);
        let (request, outcome) = match command {
            Command::CreateForward { request, spec } => {
                (request, self.create(spec, sockets).map(Outcome::Forward))
            }
            Command::UpdateForward { request, forward, policy } => {
                (request, self.update(forward, policy).map(Outcome::Forward))
            }
            Command::RemoveForward { request, forward } => {
                self.remove_home(forward, sockets);
                (request, Ok(Outcome::Removed))
            }
            Command::AddDestination { request, forward, spec } => {
                match self.add(request, forward, spec, sockets) {
                    Ok(Some(outcome)) => (request, Ok(outcome)),
                    Ok(None) => return,
                    Err(reason) => (request, Err((reason, 0))),
                }
            }
            Command::RemoveDestination { request, forward, destination } => {
                self.remove(forward, destination, sockets);
                (request, Ok(Outcome::Removed))
            }
            Command::Call { request, call } => {
                let (answer, opened) = self.calls.apply(self.now, call, sockets);
                if let Some(number) = opened {
                    let socket = self.calls.sockets[usize::from(number)];
                    for id in socket.ids() {
                        self.set_use(id, Some(SocketUse::Calls(number)));
                    }
                }
                (request, answer)
            }
            Command::Snapshot { request } => return self.begin_snapshot(request),
        };
        let outcome = outcome.unwrap_or_else(|(reason, errno)| Outcome::Refused { reason, errno });
        self.tell(Event::Done { request, outcome });
    }

    /// A lane slot failed validation.
    pub fn handle_invalid_command(&mut self) {
        self.counters.add(Counter::CommandsInvalid, 1);
    }

    /// A new control plane joined: what the old one was to hear is void.
    pub fn reset_events(&mut self) {
        self.events.clear();
        self.events_lost = false;
        self.snapshot = None;
    }

    /// The next event to send; it stays until [`Shard::event_sent`].
    pub fn next_event(&mut self) -> Option<&Event> {
        if self.events.is_empty() {
            if let Some(event) = self.calls.poll_event() {
                self.events.push_back(Event::Call(event));
            } else if std::mem::take(&mut self.events_lost) {
                self.events.push_back(Event::Resync);
            } else if let Some(snapshot) = &mut self.snapshot {
                let event = snapshot.events.next().unwrap_or(Event::Done {
                    request: snapshot.request,
                    outcome: Outcome::SnapshotEnd,
                });
                if matches!(event, Event::Done { .. }) {
                    self.snapshot = None;
                }
                self.events.push_back(event);
            }
        }
        self.events.front()
    }

    /// The event of [`Shard::next_event`] is in the lane.
    pub fn event_sent(&mut self) {
        self.events.pop_front();
    }

    pub(crate) fn tell(&mut self, event: Event) {
        push_event(&mut self.events, &mut self.events_lost, &mut self.counters, event);
    }

    fn create<S: Sockets<Handle = H>>(
        &mut self,
        mut spec: ForwardSpec,
        sockets: &mut S,
    ) -> Result<Bound, (Refusal, i32)> {
        if let Some(&id) = self.home_of.get(&spec.key) {
            return self.recreate(id, &spec).map_err(|reason| (reason, 0));
        }
        if spec.key == 0 || spec.rtcp == RtcpInput::Port(0) {
            return Err((Refusal::Invalid, 0));
        }
        if self.homes.len() >= self.config.forwards {
            return Err((Refusal::TableFull, 0));
        }
        let ports = if spec.rtp_port == 0 {
            ports::open_any(&spec, self.config.ports, &mut self.next_port, sockets)?
        } else {
            ports::open(&spec, spec.rtp_port, sockets)?
        };
        spec.rtp_port = ports.rtp.address.port();
        Ok(self.insert_home(spec, ports))
    }

    fn insert_home(&mut self, spec: ForwardSpec, ports: Ports<H>) -> Bound {
        let Ports { rtp, rtcp } = ports;
        let mut bound = Bound {
            rtp: rtp.address,
            rtcp: rtcp.as_ref().map_or(rtp.address, |rtcp| rtcp.address),
            stats_slot: 0,
        };
        let key = spec.key;
        let (rtp_id, rtcp_id) = (rtp.id, rtcp.as_ref().map(|rtcp| rtcp.id));
        let cname = format!("{:016x}@ringway", self.next_random());
        let home = Home {
            input: Input::new(home::policy(spec.policy)),
            spec,
            bound,
            rtp: Port { id: rtp.id, handle: rtp.handle },
            rtcp: rtcp.map(|rtcp| Port { id: rtcp.id, handle: rtcp.handle }),
            branch: None,
            remotes: Vec::new(),
            registered: Default::default(),
            by_address: Default::default(),
            ssrc: (self.next_random() >> 32) as u32,
            cname: Cname::new(cname.as_bytes()),
            asked_key_frame_ns: 0,
            fir_number: 0,
        };
        let Ok(id) = self.homes.insert(home) else {
            unreachable!("room was checked before the sockets were opened");
        };
        bound.stats_slot = id.slot;
        if let Some(home) = self.homes.get_mut(id) {
            home.bound = bound;
        }
        self.home_of.insert(key, id);
        self.set_use(rtp_id, Some(SocketUse::Rtp(id)));
        if let Some(rtcp) = rtcp_id {
            self.set_use(rtcp, Some(SocketUse::Rtcp(id)));
        }
        self.count_tables();
        bound
    }

    /// Creating what exists succeeds if it is the same.
    fn recreate(&mut self, id: SlotId, spec: &ForwardSpec) -> Result<Bound, Refusal> {
        let home = self.homes.get_mut(id).ok_or(Refusal::NoSuchForward)?;
        let same_port = spec.rtp_port == 0 || spec.rtp_port == home.spec.rtp_port;
        if home.spec.address != spec.address || !same_port || home.spec.rtcp != spec.rtcp {
            return Err(Refusal::Conflict);
        }
        home.spec.policy = spec.policy;
        home.input.set_policy(home::policy(spec.policy));
        Ok(home.bound)
    }

    fn update(
        &mut self,
        forward: ForwardKey,
        policy: InputPolicy,
    ) -> Result<Bound, (Refusal, i32)> {
        let home = self.home_mut(forward).ok_or((Refusal::NoSuchForward, 0))?;
        home.spec.policy = policy;
        home.input.set_policy(home::policy(policy));
        Ok(home.bound)
    }

    fn add<S: Sockets<Handle = H>>(
        &mut self,
        request: u64,
        forward: ForwardKey,
        spec: DestinationSpec,
        sockets: &mut S,
    ) -> Result<Option<Outcome>, Refusal> {
        if spec.shard >= self.config.shards {
            return Err(Refusal::NoSuchShard);
        }
        let payload_type_fits = spec.rewrite.payload_type.is_none_or(|pt| pt < 128);
        if spec.key == 0 || spec.rtp.port() == 0 || spec.rtcp.port() == 0 || !payload_type_fits {
            return Err(Refusal::Invalid);
        }
        let home = self.home_mut(forward).ok_or(Refusal::NoSuchForward)?;
        if !home.reaches(spec.rtp) || !home.reaches(spec.rtcp) {
            return Err(Refusal::FamilyMismatch);
        }
        if home.registered.get(&spec.key).is_some_and(|before| before.spec.shard != spec.shard) {
            self.remove(forward, spec.key, sockets);
        }
        let here = self.config.index;
        let home = self.home_mut(forward).ok_or(Refusal::NoSuchForward)?;
        let (rtp, rtcp) = (home.rtp.id, home.rtcp_socket());
        let attach = Attach { forward, home: here, ipv6: home.ipv6() };
        if spec.shard != here {
            let order = Order::Add {
                request,
                forward,
                rtp: home.rtp.handle.clone(),
                rtcp: home.rtcp.as_ref().map(|port| port.handle.clone()),
                ipv6: attach.ipv6,
                spec: spec.clone(),
            };
            home.register(spec.clone(), None);
            let peer = self.peers[usize::from(spec.shard)].as_mut();
            peer.ok_or(Refusal::NoSuchShard)?.order(order);
            return Ok(None);
        }
        let (branch, slot) = self.attach(attach, spec.clone(), sockets, |_| Ok((rtp, rtcp)))?;
        if let Some(home) = self.home_mut(forward) {
            home.branch = Some(branch);
            home.register(spec, Some(slot));
        }
        Ok(Some(Outcome::Destination { stats_slot: slot }))
    }

    /// Another shard answered an [`Order::Add`].
    pub(crate) fn attached(
        &mut self,
        shard: u16,
        request: u64,
        forward: ForwardKey,
        destination: DestinationKey,
        result: Result<(SlotId, u32), Refusal>,
    ) {
        let home = self.home_mut(forward);
        let known = home.is_some();
        // Since it was asked, the destination may have been removed or gone to another shard: then
        // the answer changes nothing, and an order behind it undoes what it tells of.
        let home = home.filter(|home| {
            home.registered.get(&destination).is_some_and(|now| now.spec.shard == shard)
        });
        let outcome = match result {
            _ if !known => Outcome::Refused { reason: Refusal::NoSuchForward, errno: 0 },
            Err(reason) => {
                if let Some(home) = home {
                    home.unregister(destination);
                }
                Outcome::Refused { reason, errno: 0 }
            }
            Ok((branch, slot)) => {
                if let Some(home) = home {
                    let before = home.remote(shard).filter(|remote| remote.branch == branch);
                    let untold_drops = before.map_or(0, |remote| remote.untold_drops);
                    home.remotes.retain(|remote| remote.shard != shard);
                    home.remotes.push(Remote { shard, branch, untold_drops });
                    if let Some(registered) = home.registered.get_mut(&destination) {
                        registered.slot = Some(slot);
                    }
                }
                Outcome::Destination { stats_slot: slot }
            }
        };
        self.tell(Event::Done { request, outcome });
    }

    /// Serves a destination on this shard; `sockets_of` names the sockets if the branch is new.
    pub(crate) fn attach<S: Sockets<Handle = H>>(
        &mut self,
        place: Attach,
        spec: DestinationSpec,
        sockets: &mut S,
        sockets_of: impl FnOnce(&mut S) -> Result<(SocketId, SocketId), OpenError>,
    ) -> Result<(SlotId, u32), Refusal> {
        if self.places.len() >= self.config.destinations {
            let known = self.branch_of.get(&place.forward).and_then(|id| self.branches.get(*id));
            if known.and_then(|branch| branch.position(spec.key)).is_none() {
                return Err(Refusal::TableFull);
            }
        }
        let id = match self.branch_of.get(&place.forward) {
            Some(&id) => id,
            None => {
                let (rtp, rtcp) = sockets_of(sockets).map_err(|error| ports::refusal(error).0)?;
                let branch = Branch::new(place.forward, place.home, rtp, rtcp, place.ipv6);
                let id = self.branches.insert(branch).map_err(|_| Refusal::TableFull)?;
                self.branch_of.insert(place.forward, id);
                id
            }
        };
        let branch = self.branches.get_mut(id).ok_or(Refusal::NoSuchForward)?;
        let (rtp, rtcp) = (branch.target(spec.rtp), branch.target(spec.rtcp));
        let mux = spec.rtp == spec.rtcp || branch.rtp == branch.rtcp;
        if let Some(position) = branch.position(spec.key) {
            let served = &mut branch.served[position];
            served.state.set_rewrite(branch::rewrite(spec.rewrite));
            (served.rtp, served.rtcp, served.mux) = (rtp, rtcp, mux);
            served.spec = spec;
            return Ok((id, served.slot));
        }
        let position = branch.served.len() as u32;
        let slot = self.places.insert(Place { branch: id, position });
        let slot = slot.map_err(|_| Refusal::TableFull)?.slot;
        let state = Destination::new(branch::rewrite(spec.rewrite));
        branch.served.push(Served { key: spec.key, spec, slot, rtp, rtcp, mux, state });
        self.freed_destinations.retain(|freed| *freed != slot);
        self.count_tables();
        Ok((id, slot))
    }

    fn remove<S: Sockets<Handle = H>>(
        &mut self,
        forward: ForwardKey,
        destination: DestinationKey,
        sockets: &mut S,
    ) {
        let Some(home) = self.home_mut(forward) else { return };
        let Some(registered) = home.unregister(destination) else { return };
        let shard = registered.spec.shard;
        let last = !home.registered.values().any(|other| other.spec.shard == shard);
        if last {
            home.remotes.retain(|remote| remote.shard != shard);
        }
        if shard == self.config.index {
            self.detach(forward, destination, sockets);
        } else if let Some(peer) = &mut self.peers[usize::from(shard)] {
            peer.order(Order::Remove { forward, destination });
        }
    }

    /// Stops serving a destination on this shard; the last one takes the branch with it.
    pub(crate) fn detach<S: Sockets<Handle = H>>(
        &mut self,
        forward: ForwardKey,
        destination: DestinationKey,
        sockets: &mut S,
    ) {
        let Some(&id) = self.branch_of.get(&forward) else { return };
        let Some(branch) = self.branches.get_mut(id) else { return };
        let Some(position) = branch.position(destination) else { return };
        let served = branch.served.swap_remove(position);
        if let Some(moved) = branch.served.get(position)
            && let Some(place) = self.places.at_mut(moved.slot)
        {
            place.position = position as u32;
        }
        let empty = branch.served.is_empty();
        self.free_place(served.slot);
        if empty {
            self.remove_branch(forward, sockets);
        }
        self.count_tables();
    }

    /// Drops this shard's branch of a forward and all its destinations.
    pub(crate) fn remove_branch<S: Sockets<Handle = H>>(
        &mut self,
        forward: ForwardKey,
        sockets: &mut S,
    ) {
        let Some(id) = self.branch_of.remove(&forward) else { return };
        let Some(branch) = self.branches.remove(id) else { return };
        for served in &branch.served {
            self.free_place(served.slot);
        }
        if branch.home == self.config.index {
            if let Some(home) = self.home_mut(forward) {
                home.branch = None;
            }
        } else {
            sockets.close(branch.rtp);
            if branch.rtcp != branch.rtp {
                sockets.close(branch.rtcp);
            }
        }
        self.count_tables();
    }

    fn remove_home<S: Sockets<Handle = H>>(&mut self, forward: ForwardKey, sockets: &mut S) {
        self.remove_branch(forward, sockets);
        let Some(id) = self.home_of.remove(&forward) else { return };
        let Some(home) = self.homes.remove(id) else { return };
        let mut shards: Vec<u16> = home.registered.values().map(|r| r.spec.shard).collect();
        shards.sort_unstable();
        shards.dedup();
        for shard in shards {
            if let Some(peer) = &mut self.peers[usize::from(shard)] {
                peer.order(Order::RemoveAll { forward });
            }
        }
        self.set_use(home.rtp.id, None);
        sockets.close(home.rtp.id);
        if let Some(rtcp) = home.rtcp {
            self.set_use(rtcp.id, None);
            sockets.close(rtcp.id);
        }
        self.freed_forwards.push(id.slot);
        self.count_tables();
    }

    fn free_place(&mut self, slot: u32) {
        if self.places.remove_at(slot).is_some() {
            self.freed_destinations.push(slot);
        }
    }

    fn begin_snapshot(&mut self, request: u64) {
        let mut events = Vec::new();
        for (_, home) in self.homes.iter() {
            events.push(Event::ForwardIs { request, spec: home.spec.clone(), bound: home.bound });
            if let Some(source) = home.input.admission().source() {
                let (address, ssrc) = (source.address, source.ssrc);
                events.push(Event::SourceIs { forward: home.spec.key, address, ssrc });
            }
            for registered in home.registered.values() {
                // One that its shard has not answered for yet is told by its own `Done`.
                let Some(stats_slot) = registered.slot else { continue };
                events.push(Event::DestinationIs {
                    request,
                    forward: home.spec.key,
                    spec: registered.spec.clone(),
                    stats_slot,
                });
            }
        }
        self.snapshot = Some(Snapshot { request, events: events.into_iter() });
    }

    fn home_mut(&mut self, forward: ForwardKey) -> Option<&mut Home<H>> {
        let id = *self.home_of.get(&forward)?;
        self.homes.get_mut(id)
    }

    fn count_tables(&mut self) {
        self.counters.set(Counter::Forwards, self.homes.len().into());
        self.counters.set(Counter::Destinations, self.places.len().into());
    }
}
