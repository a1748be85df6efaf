//! Random operations, refusals, lost events, deaths of either program: what was promised to
//! clients, what is stored and what a model data plane does always become the same.

mod model;

use std::collections::{BTreeMap, BTreeSet};

use model::{Plane, Room};
use proptest::prelude::*;
use ringway_room::draft::{DestinationPatch, ForwardPatch, InputPatch};
use ringway_room::validate::{self, Limits};
use ringway_room::{Effect, Forward, ForwardId, Forwards, Operation, Reply, State};

const LIMITS: Limits = Limits { forwards: 12, destinations_per_forward: 300 };

#[derive(Clone, Debug)]
enum Step {
    Create { name: u8, port: u16, destinations: u16 },
    Update { name: u8, ssrc: Option<i64>, rename: bool },
    Delete { name: u8 },
    Add { name: u8, count: u8 },
    Change { name: u8, index: u16, port: i64 },
    Remove { name: u8, index: u16 },
    Work { shard: u8, commands: u8 },
    Hear { shard: u8, events: u8 },
    LoseEvents { shard: u8 },
    NarrowLanes { shard: u8, commands: u8, events: u8 },
    WidenLanes { shard: u8 },
    HearAndCrash { shard: u8 },
    DataPlaneDies,
    DataPlaneJoins { shards: u8 },
    TakePort { port: u16 },
    FreePorts,
    FillTables { room: u8 },
    Pass { ms: u16 },
}

fn step() -> impl Strategy<Value = Step> {
    let name = 0u8..6;
    let port = prop_oneof![Just(0u16), 5000u16..5006];
    prop_oneof![
        4 => (name.clone(), port, prop_oneof![0u16..4, Just(200)])
            .prop_map(|(name, port, destinations)| Step::Create { name, port, destinations }),
        2 => (name.clone(), proptest::option::of(1i64..3), any::<bool>())
            .prop_map(|(name, ssrc, rename)| Step::Update { name, ssrc, rename }),
        2 => name.clone().prop_map(|name| Step::Delete { name }),
        2 => (name.clone(), 1u8..4).prop_map(|(name, count)| Step::Add { name, count }),
        2 => (name.clone(), any::<u16>(), 1i64..9)
            .prop_map(|(name, index, port)| Step::Change { name, index, port }),
        1 => (name, any::<u16>()).prop_map(|(name, index)| Step::Remove { name, index }),
        8 => (0u8..4, any::<u8>()).prop_map(|(shard, commands)| Step::Work { shard, commands }),
        8 => (0u8..4, any::<u8>()).prop_map(|(shard, events)| Step::Hear { shard, events }),
        1 => (0u8..4).prop_map(|shard| Step::LoseEvents { shard }),
        2 => (0u8..4, 0u8..5, 0u8..5)
            .prop_map(|(shard, commands, events)| Step::NarrowLanes { shard, commands, events }),
        1 => (0u8..4).prop_map(|shard| Step::WidenLanes { shard }),
        1 => (0u8..4).prop_map(|shard| Step::HearAndCrash { shard }),
        1 => Just(Step::DataPlaneDies),
        2 => (1u8..4).prop_map(|shards| Step::DataPlaneJoins { shards }),
        1 => (5000u16..5006).prop_map(|port| Step::TakePort { port }),
        1 => Just(Step::FreePorts),
        1 => (0u8..8).prop_map(|room| Step::FillTables { room }),
        2 => (0u16..9000).prop_map(|ms| Step::Pass { ms }),
    ]
}

struct World {
    now_ms: u64,
    forwards: Forwards,
    store: BTreeMap<ForwardId, Forward>,
    /// What was stored by the effects being carried out: it may be forgotten again among them.
    stored_now: BTreeSet<ForwardId>,
    plane: Option<Plane>,
    taken: BTreeSet<u16>,
    requests: BTreeMap<u64, (Operation, bool)>,
    promised: BTreeSet<ForwardId>,
    deleted: BTreeSet<ForwardId>,
    random: u64,
}

fn name_of(name: u8) -> ForwardId {
    format!("FW_forward0000{name}").parse().unwrap()
}

impl World {
    fn new() -> Self {
        Self {
            now_ms: 0,
            forwards: Forwards::new(LIMITS, []),
            store: BTreeMap::new(),
            stored_now: BTreeSet::new(),
            plane: None,
            taken: BTreeSet::new(),
            requests: BTreeMap::new(),
            promised: BTreeSet::new(),
            deleted: BTreeSet::new(),
            random: 0,
        }
    }

    fn ask(&mut self, operation: Operation) {
        let request = self.requests.len() as u64;
        self.requests.insert(request, (operation.clone(), false));
        self.forwards.handle_operation(self.now_ms, request, operation);
    }

    /// Carries out all effects: stores first. A crash happens after the stores.
    fn carry_out(&mut self, crash: bool) {
        let effects: Vec<Effect> = std::iter::from_fn(|| self.forwards.poll_effect()).collect();
        self.stored_now = self.store.keys().copied().collect();
        for effect in &effects {
            match effect {
                Effect::Store(forward) => {
                    self.stored_now.insert(forward.id);
                    assert_ne!(forward.input.port, 0, "stored without its port");
                    self.store.insert(forward.id, (**forward).clone());
                }
                Effect::Forget(id) => {
                    self.store.remove(id);
                    self.promised.remove(id);
                }
                Effect::Send(..) | Effect::Answer(..) => {}
            }
        }
        if crash {
            self.requests.values_mut().for_each(|(_, answered)| *answered = true);
            self.forwards = Forwards::new(LIMITS, self.store.values().cloned());
            if let Some(plane) = &mut self.plane {
                plane.drop_lanes();
                self.forwards.handle_joined(self.now_ms, plane.shards());
            }
            return self.carry_out(false);
        }
        for effect in effects {
            match effect {
                Effect::Send(shard, command) => {
                    self.plane.as_mut().expect("commands only while joined").take(shard, command);
                }
                Effect::Answer(request, result) => self.note_answer(request, result.ok()),
                Effect::Store(_) | Effect::Forget(_) => {}
            }
        }
    }

    fn note_answer(&mut self, request: u64, reply: Option<Reply>) {
        let (operation, answered) = self.requests.get_mut(&request).expect("never asked");
        assert!(!std::mem::replace(answered, true), "answered twice: {operation:?}");
        let id = operation.forward();
        match reply {
            Some(Reply::Forward { .. }) => {
                assert!(self.stored_now.contains(&id), "promised before it was stored");
                if self.store.contains_key(&id) {
                    self.promised.insert(id);
                }
                self.deleted.remove(&id);
            }
            Some(Reply::Removed) if matches!(operation, Operation::Delete(_)) => {
                self.deleted.insert(id);
            }
            _ => {}
        }
    }

    fn apply(&mut self, step: &Step) {
        let mut crash = false;
        match *step {
            Step::HearAndCrash { shard } => {
                self.hear(shard, 255);
                crash = true;
            }
            Step::Work { shard, commands } => {
                if let Some(plane) = &mut self.plane {
                    plane.work(shard, usize::from(commands), &self.taken);
                }
            }
            Step::Hear { shard, events } => self.hear(shard, usize::from(events)),
            Step::LoseEvents { shard } => {
                if let Some(plane) = &mut self.plane {
                    plane.lose_events(shard);
                }
            }
            Step::NarrowLanes { shard, commands, events } => {
                let room = Room { commands: commands.into(), events: events.into() };
                self.narrow(shard, room);
            }
            Step::WidenLanes { shard } => self.narrow(shard, Room::ENDLESS),
            Step::DataPlaneDies => {
                self.plane = None;
                self.forwards.handle_lost(self.now_ms);
            }
            Step::DataPlaneJoins { shards } => {
                self.plane = Some(Plane::new(u16::from(shards)));
                self.forwards.handle_joined(self.now_ms, u16::from(shards));
            }
            Step::TakePort { port } => {
                self.taken.insert(port);
            }
            Step::FreePorts => self.taken.clear(),
            Step::FillTables { room } => {
                if let Some(plane) = &mut self.plane {
                    plane.destinations_max = usize::from(room) * 40;
                }
            }
            Step::Pass { ms } => {
                self.now_ms += u64::from(ms);
                self.forwards.handle_timeout(self.now_ms);
            }
            _ => self.operate(step),
        }
        self.carry_out(crash);
    }

    fn narrow(&mut self, shard: u8, room: Room) {
        if let Some(plane) = &mut self.plane {
            plane.narrow(shard, room);
        }
    }

    fn hear(&mut self, shard: u8, events: usize) {
        let Some(plane) = &mut self.plane else { return };
        for event in plane.say(shard, events) {
            let shard = u16::from(shard) % plane.shards();
            self.forwards.handle_event(self.now_ms, shard, event);
        }
    }

    fn operate(&mut self, step: &Step) {
        match *step {
            Step::Create { name, port, destinations } => {
                let to = |index| format!(r#"{{"address":"10.0.0.1","port":{}}}"#, 1000 + index);
                let list: Vec<String> = (0..destinations).map(to).collect();
                let json = format!(
                    r#"{{"id":"{}","input":{{"port":{port}}},"destinations":[{}]}}"#,
                    name_of(name),
                    list.join(",")
                );
                let draft = serde_json::from_str(&json).unwrap();
                let new = validate::forward(draft, LIMITS, 0, &mut || random(&mut self.random));
                self.ask(Operation::Create(Box::new(new.unwrap())));
            }
            Step::Update { name, ssrc, rename } => {
                let input = InputPatch { ssrc: Some(ssrc), ..InputPatch::default() };
                let name_change = rename.then_some(Some("renamed".to_owned()));
                let patch = ForwardPatch { name: name_change, input: Some(input) };
                self.ask(Operation::Update(name_of(name), patch));
            }
            Step::Delete { name } => self.ask(Operation::Delete(name_of(name))),
            Step::Add { name, count } => {
                let json = r#"{"address":"10.0.0.2","port":7}"#;
                let drafts = (0..count).map(|_| serde_json::from_str(json).unwrap()).collect();
                let random = &mut || random(&mut self.random);
                let new = validate::destinations(drafts, LIMITS, random).unwrap();
                self.ask(Operation::AddDestinations(name_of(name), new));
            }
            Step::Change { name, index, port } => {
                let Some(destination) = self.destination(name, index) else { return };
                let patch = DestinationPatch { port: Some(port), ..DestinationPatch::default() };
                self.ask(Operation::UpdateDestination(name_of(name), destination, patch));
            }
            Step::Remove { name, index } => {
                let Some(destination) = self.destination(name, index) else { return };
                self.ask(Operation::RemoveDestination(name_of(name), destination));
            }
            _ => unreachable!("not an operation"),
        }
    }

    fn destination(&self, name: u8, index: u16) -> Option<ringway_room::DestinationId> {
        let forward = self.forwards.get(name_of(name))?.forward;
        let index = usize::from(index).checked_rem(forward.destinations.len())?;
        Some(forward.destinations[index].id)
    }

    /// Lets the world be kind until nothing is left to do.
    fn calm(&mut self) {
        self.taken.clear();
        if self.plane.is_none() {
            self.apply(&Step::DataPlaneJoins { shards: 2 });
        }
        for _ in 0..400 {
            let plane = self.plane.as_mut().unwrap();
            plane.destinations_max = usize::MAX;
            let shards = plane.shards() as u8;
            for shard in 0..shards {
                self.apply(&Step::WidenLanes { shard });
                self.apply(&Step::Work { shard, commands: 255 });
                self.apply(&Step::Hear { shard, events: 255 });
            }
            let idle = self.plane.as_ref().unwrap().is_idle();
            if idle {
                let Some(deadline_ms) = self.forwards.deadline() else { return };
                self.now_ms = self.now_ms.max(deadline_ms);
                self.forwards.handle_timeout(self.now_ms);
                self.carry_out(false);
            }
        }
        panic!("never calm: {:#?}", self.forwards);
    }

    fn judge(&self) {
        let plane = self.plane.as_ref().unwrap();
        assert!(self.requests.values().all(|(_, answered)| *answered), "left without answer");
        for (id, forward) in &self.store {
            let view = self.forwards.get(*id).expect("stored but not known");
            assert_eq!(&view.forward, forward);
            assert_eq!((view.state, view.error), (State::Active, None), "{id}");
            assert_eq!(view.slots.len(), forward.destinations.len());
        }
        assert_eq!(self.forwards.list(None, 100).forwards.len(), self.store.len());
        assert_eq!(plane.content(), self.store.values().map(model::expected).collect());
        for id in &self.promised {
            assert!(self.store.contains_key(id), "promised and lost: {id}");
        }
        for id in &self.deleted {
            assert!(!self.store.contains_key(id), "deleted and back: {id}");
        }
    }
}

fn random(seed: &mut u64) -> [u8; 12] {
    *seed += 1;
    let mut bytes = [1; 12];
    bytes[4..].copy_from_slice(&seed.to_be_bytes());
    bytes
}

fn check(steps: &[Step]) {
    let mut world = World::new();
    for step in steps {
        world.apply(step);
    }
    world.calm();
    world.judge();
}

proptest! {

    #[test]
    fn everything_converges(steps in proptest::collection::vec(step(), 1..120)) {
        check(&steps);
    }
}

#[test]
fn written_stories_converge() {
    let join = [Step::DataPlaneJoins { shards: 2 }];
    let work = [
        Step::Work { shard: 0, commands: 255 },
        Step::Hear { shard: 0, events: 255 },
        Step::Work { shard: 1, commands: 255 },
        Step::Hear { shard: 1, events: 255 },
    ];
    let create = [Step::Create { name: 1, port: 5000, destinations: 200 }];
    let story = |steps: &[&[Step]]| check(&steps.concat());
    story(&[&create]);
    story(&[&join, &work, &create, &work, &work, &work]);
    story(&[&join, &work, &create, &work, &[Step::HearAndCrash { shard: 0 }]]);
    story(&[
        &join,
        &work,
        &create,
        &work,
        &work,
        &[Step::DataPlaneDies, Step::TakePort { port: 5000 }],
        &join,
        &work,
        &work,
    ]);
    story(&[&join, &work, &create, &[Step::Delete { name: 1 }], &work, &work]);
}

/// 200 destinations through a lane that takes three commands at a time, and answers through one
/// that holds two: most are late, many are lost.
#[test]
fn lanes_that_are_nearly_full_converge() {
    let mut world = World::new();
    world.apply(&Step::DataPlaneJoins { shards: 2 });
    let narrow = |shard| Step::NarrowLanes { shard, commands: 3, events: 2 };
    world.apply(&narrow(0));
    world.apply(&narrow(1));
    world.apply(&Step::Create { name: 1, port: 5000, destinations: 200 });
    for round in 0..400_u16 {
        let shard = (round % 2) as u8;
        world.apply(&Step::Work { shard, commands: 2 });
        world.apply(&Step::Hear { shard, events: 1 });
        if round == 100 {
            world.apply(&Step::Delete { name: 1 });
            world.apply(&Step::Create { name: 1, port: 5000, destinations: 100 });
        }
        world.apply(&Step::Pass { ms: 30 });
    }
    world.calm();
    world.judge();
}

/// The states that forward 1 is seen in every 5 ms while `for_ms` pass, once it is there.
fn states(world: &mut World, for_ms: u16) -> Vec<State> {
    let mut states = Vec::new();
    for _ in 0..for_ms / 5 {
        world.apply(&Step::Work { shard: 0, commands: 255 });
        world.apply(&Step::Hear { shard: 0, events: 255 });
        states.extend(world.forwards.get(name_of(1)).map(|view| view.state));
        world.apply(&Step::Pass { ms: 5 });
    }
    states.dedup();
    states
}

#[test]
fn a_port_that_is_freed_soon_after_a_restart_never_shows_failed() {
    let check = |freed_ms: u16, expect: &[State]| {
        let mut world = World::new();
        world.apply(&Step::DataPlaneJoins { shards: 1 });
        world.apply(&Step::Create { name: 1, port: 5000, destinations: 3 });
        assert_eq!(states(&mut world, 100).last(), Some(&State::Active));
        // The kernel closes the sockets of the one that was killed a little later.
        world.apply(&Step::DataPlaneDies);
        world.apply(&Step::TakePort { port: 5000 });
        world.apply(&Step::Pass { ms: 60_000 });
        world.apply(&Step::DataPlaneJoins { shards: 1 });
        let mut seen = states(&mut world, freed_ms);
        // An operation that needs the port waits with it.
        world.apply(&Step::Update { name: 1, ssrc: Some(1), rename: false });
        world.apply(&Step::FreePorts);
        seen.extend(states(&mut world, 5_000));
        seen.dedup();
        assert_eq!(seen, expect, "freed after {freed_ms} ms");
        world.calm();
        world.judge();
    };
    check(0, &[State::Pending, State::Active]);
    check(50, &[State::Pending, State::Active]);
    check(600, &[State::Pending, State::Active]);
    // Someone else has it.
    check(2_000, &[State::Pending, State::Failed, State::Active]);
}
