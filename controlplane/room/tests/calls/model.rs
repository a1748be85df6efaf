//! Random lives of a room: what each client believes, built from what it was told alone, becomes
//! the room's truth, and each receives exactly what a plain model says.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;
use ringway_room::calls::*;

use crate::house::{House, camera, media, microphone, wish};

#[derive(Clone, Debug)]
enum Step {
    Join { who: u8, auto: bool, protocol: i32, kind: Kind },
    Connect { who: u8 },
    Leave { who: u8 },
    CloseSignal { who: u8 },
    Fail { who: u8 },
    Resume { who: u8 },
    Announce { who: u8, video: bool },
    Send { who: u8 },
    End { who: u8, which: u8 },
    Subscribe { who: u8, whose: u8, which: u8, on: bool },
    Audience { who: u8, admitted: Option<u8> },
    Permit { who: u8, subscribe: bool, publish: bool, kind: Kind },
    Mute { who: u8, which: u8, muted: bool },
    Rename { who: u8, name: u8 },
    Carried { who: u8, whose: u8, which: u8, well: bool },
    LosePlane,
    Pass { ms: u16 },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Guest,
    Hidden,
    Recorder,
}

const PEOPLE: u8 = 6;

fn step() -> impl Strategy<Value = Step> {
    let who = 0..PEOPLE;
    let which = 0u8..3;
    let kind = prop_oneof![
        6 => Just(Kind::Guest), 1 => Just(Kind::Hidden), 1 => Just(Kind::Recorder)
    ];
    let protocol = prop_oneof![6 => Just(17), 1 => Just(11), 1 => Just(7)];
    prop_oneof![
        8 => (who.clone(), prop::bool::weighted(0.8), protocol, kind.clone())
            .prop_map(|(who, auto, protocol, kind)| Step::Join { who, auto, protocol, kind }),
        8 => who.clone().prop_map(|who| Step::Connect { who }),
        2 => who.clone().prop_map(|who| Step::Leave { who }),
        2 => who.clone().prop_map(|who| Step::CloseSignal { who }),
        1 => who.clone().prop_map(|who| Step::Fail { who }),
        3 => who.clone().prop_map(|who| Step::Resume { who }),
        6 => (who.clone(), any::<bool>()).prop_map(|(who, video)| Step::Announce { who, video }),
        6 => who.clone().prop_map(|who| Step::Send { who }),
        3 => (who.clone(), which.clone()).prop_map(|(who, which)| Step::End { who, which }),
        5 => (who.clone(), who.clone(), which.clone(), any::<bool>())
            .prop_map(|(who, whose, which, on)| Step::Subscribe { who, whose, which, on }),
        3 => (who.clone(), proptest::option::of(any::<u8>()))
            .prop_map(|(who, admitted)| Step::Audience { who, admitted }),
        3 => (who.clone(), any::<bool>(), prop::bool::weighted(0.8), kind)
            .prop_map(|(who, subscribe, publish, kind)| {
                Step::Permit { who, subscribe, publish, kind }
            }),
        2 => (who.clone(), which.clone(), any::<bool>())
            .prop_map(|(who, which, muted)| Step::Mute { who, which, muted }),
        2 => (who.clone(), any::<u8>()).prop_map(|(who, name)| Step::Rename { who, name }),
        3 => (who.clone(), who, which, any::<bool>())
            .prop_map(|(who, whose, which, well)| Step::Carried { who, whose, which, well }),
        1 => Just(Step::LosePlane),
        6 => prop_oneof![0u16..500, 2_900u16..3_100, 4_900u16..6_000, 20_000u16..21_000]
            .prop_map(|ms| Step::Pass { ms }),
    ]
}

/// Somebody as the model knows it, and what its client believes.
struct Person {
    sid: ParticipantSid,
    who: u8,
    auto: bool,
    protocol: i32,
    active: bool,
    subscribe: bool,
    kind: Kind,
    /// Who is admitted, one bit per identity; none is everybody.
    admitted: Option<u8>,
    announced: Vec<TrackSid>,
    published: Vec<TrackSid>,
    /// What is wanted, and whether it failed.
    wishes: BTreeMap<TrackSid, bool>,
    /// Since when its client hears nothing.
    deaf: Option<u64>,
    view: BTreeMap<ParticipantSid, Arc<ParticipantInfo>>,
    receives: BTreeSet<TrackSid>,
}

impl Person {
    /// What a client makes of participants that it is told of.
    fn see(&mut self, info: &Arc<ParticipantInfo>) {
        if let Some(known) = self.view.get(&info.sid) {
            assert!(known.version <= info.version, "back in time: {info:?}");
        }
        if self.protocol > 11 {
            self.view.retain(|sid, known| *sid == info.sid || known.identity != info.identity);
        }
        match info.state {
            ParticipantState::Disconnected => self.view.remove(&info.sid),
            _ => self.view.insert(info.sid, Arc::clone(info)),
        };
    }

    fn hear(&mut self, notice: &Notice) {
        match notice {
            Notice::ParticipantUpdate(list) if self.deaf.is_none() => {
                list.iter().for_each(|info| self.see(info));
            }
            Notice::Subscribe(subscribe) => {
                assert!(self.receives.insert(subscribe.track.sid), "twice");
            }
            Notice::Unsubscribe { track } => assert!(self.receives.remove(track), "not received"),
            _ => {}
        }
    }
}

struct World {
    house: House,
    people: BTreeMap<ParticipantSid, Person>,
}

impl World {
    fn new() -> Self {
        let house = House::new(Config::default());
        Self { house, people: BTreeMap::new() }
    }

    fn sid(&self, who: u8) -> Option<ParticipantSid> {
        self.people.values().find(|person| person.who == who).map(|person| person.sid)
    }

    fn person(&mut self, who: u8) -> Option<&mut Person> {
        self.people.values_mut().find(|person| person.who == who)
    }

    fn ask(&mut self, who: u8, request: Request) {
        if let Some(sid) = self.sid(who) {
            assert!(self.house.ask(sid, request));
            self.deliver();
        }
    }

    fn deliver(&mut self) {
        for (sid, notices) in std::mem::take(&mut self.house.told) {
            for notice in notices {
                let Some(person) = self.people.get_mut(&sid) else { continue };
                person.hear(&notice);
                if matches!(notice, Notice::Leave { .. }) {
                    self.forget(sid);
                }
            }
        }
    }

    fn forget(&mut self, sid: ParticipantSid) {
        let Some(gone) = self.people.remove(&sid) else { return };
        for track in gone.published {
            self.forget_track(track);
        }
    }

    fn forget_track(&mut self, track: TrackSid) {
        for person in self.people.values_mut() {
            person.wishes.remove(&track);
            person.published.retain(|known| *known != track);
        }
    }

    /// Tracks that somebody who subscribes without being asked wants.
    fn on_offer(&self, to: ParticipantSid) -> Vec<TrackSid> {
        let others = self.people.values().filter(|p| p.sid != to);
        others.flat_map(|person| person.published.clone()).collect()
    }

    fn want_all(&mut self, sid: ParticipantSid) {
        let offered = self.on_offer(sid);
        let Some(person) = self.people.get_mut(&sid).filter(|person| person.auto) else { return };
        for track in offered {
            person.wishes.entry(track).or_insert(false);
        }
    }

    fn join(&mut self, who: u8, auto: bool, protocol: i32, kind: Kind) {
        let mut join = wish(&format!("p{who}"));
        join.auto_subscribe = auto;
        join.client.protocol = protocol;
        join.grants.hidden = kind == Kind::Hidden;
        join.grants.recorder = kind == Kind::Recorder;
        join.grants.can_update_own_metadata = Some(true);
        // Effects of the join are told after it was answered: the model must know the person.
        let joined = self.house.calls.join(self.house.now_ms, join).expect("admitted");
        if let Some(old) = self.sid(who) {
            self.house.pump();
            let told = self.house.heard(old);
            assert!(matches!(told.last(), Some(Notice::Leave { .. })), "{told:?}");
            self.forget(old);
        }
        let sid = joined.participant.sid;
        let person = Person {
            sid,
            who,
            auto,
            protocol,
            active: false,
            subscribe: true,
            kind,
            admitted: None,
            announced: Vec::new(),
            published: Vec::new(),
            wishes: BTreeMap::new(),
            deaf: None,
            view: joined.others.iter().map(|info| (info.sid, Arc::clone(info))).collect(),
            receives: BTreeSet::new(),
        };
        self.people.insert(sid, person);
        if protocol > 7 {
            self.want_all(sid);
        }
        self.house.pump();
        self.deliver();
    }

    fn connect(&mut self, who: u8) {
        let Some(person) = self.person(who) else { return };
        let first = !std::mem::replace(&mut person.active, true);
        let sid = person.sid;
        if first {
            self.want_all(sid);
        }
        let state = ConnectionState::Connected;
        self.ask(who, Request::PeerConnection { primary: true, state });
    }

    fn resume(&mut self, who: u8) {
        let Some(person) = self.person(who) else { return };
        let (sid, Some(since_ms)) = (person.sid, person.deaf) else { return };
        let mut join = wish(&format!("p{who}"));
        join.reconnect = Some(Reconnect { sid: Some(sid) });
        let joined = match self.house.join(join) {
            Ok(joined) => joined,
            Err(refusal) => {
                // So much may have happened that not all of it is remembered.
                assert_eq!(refusal, Refusal::StateMismatch);
                assert!(self.house.now_ms - since_ms > 57_000, "deaf since {since_ms}");
                return;
            }
        };
        let Admission::Resumed { departed } = joined.admission else { panic!("new") };
        let person = self.people.get_mut(&sid).expect("known");
        person.deaf = None;
        departed.iter().chain([&joined.participant]).for_each(|info| person.see(info));
        joined.others.iter().for_each(|info| person.see(info));
        self.deliver();
    }

    fn announce(&mut self, who: u8, video: bool) {
        let Some(person) = self.person(who) else { return };
        if person.announced.len() + person.published.len() >= 3 {
            return;
        }
        let sid = person.sid;
        let cid = format!("{}", self.house.now_ms * 1000 + self.house.effects as u64);
        let add = if video { camera(&cid) } else { microphone(&cid) };
        self.house.ask(sid, Request::AddTrack(Box::new(add)));
        let told = self.house.heard(sid);
        let announced = told.iter().find_map(|notice| match notice {
            Notice::TrackPublished { track, .. } => Some(track.sid),
            _ => None,
        });
        if let Some(person) = self.person(who) {
            person.announced.extend(announced);
        }
        self.deliver();
    }

    fn send(&mut self, who: u8) {
        let Some(person) = self.person(who) else { return };
        let Some(track) = person.announced.pop() else { return };
        person.published.push(track);
        let from = person.sid;
        for other in self.people.values_mut() {
            if other.sid != from && other.active && other.auto {
                other.wishes.entry(track).or_insert(false);
            }
        }
        self.ask(who, Request::MediaPublished(Box::new(media(track, "video/VP8", "x"))));
    }

    fn track_of(&self, whose: u8, which: u8) -> Option<TrackSid> {
        let person = self.people.values().find(|person| person.who == whose)?;
        person.published.get(usize::from(which)).copied()
    }

    fn subscribe(&mut self, who: u8, whose: u8, which: u8, on: bool) {
        let Some(track) = self.track_of(whose, which).filter(|_| who != whose) else { return };
        let Some(person) = self.person(who) else { return };
        match on {
            true => person.wishes.insert(track, false),
            false => person.wishes.remove(&track),
        };
        self.ask(who, Request::UpdateSubscription { tracks: vec![track], subscribe: on });
    }

    fn audience(&mut self, who: u8, admitted: Option<u8>) {
        let Some(person) = self.person(who) else { return };
        person.admitted = admitted;
        let listed = (0..PEOPLE).filter(|other| admitted.is_some_and(|a| a & (1 << other) != 0));
        let permissions = listed.map(|other| TrackPermission {
            identity: format!("p{other}"),
            all_tracks: true,
            ..TrackPermission::default()
        });
        let permissions = permissions.collect();
        let all_participants = admitted.is_none();
        self.ask(who, Request::SubscriptionPermission { all_participants, permissions });
    }

    fn permit(&mut self, who: u8, subscribe: bool, publish: bool, kind: Kind) {
        let Some(person) = self.person(who) else { return };
        let (from, before) = (person.sid, std::mem::replace(&mut person.kind, kind));
        person.subscribe = subscribe;
        if !publish {
            person.announced.clear();
            for track in std::mem::take(&mut person.published) {
                self.forget_track(track);
            }
        }
        let hides = kind == Kind::Hidden && before != Kind::Hidden;
        let appears = kind != Kind::Hidden && before == Kind::Hidden;
        let tracks = self.people[&from].published.clone();
        for other in self.people.values_mut().filter(|other| other.sid != from) {
            for track in &tracks {
                if hides {
                    other.wishes.remove(track);
                }
                if appears && other.active && other.auto {
                    other.wishes.entry(*track).or_insert(false);
                }
            }
        }
        let permission = Permission {
            can_subscribe: subscribe,
            can_publish: publish,
            can_publish_data: true,
            can_update_metadata: true,
            hidden: kind == Kind::Hidden,
            recorder: kind == Kind::Recorder,
            ..Permission::default()
        };
        let update = UpdateParticipant { permission: Some(permission), ..Default::default() };
        let (now_ms, identity) = (self.house.now_ms, format!("p{who}"));
        let done = self.house.calls.update_participant(now_ms, "hall", &identity, update);
        assert!(done.is_ok());
        self.house.pump();
        self.deliver();
    }

    fn carried(&mut self, who: u8, whose: u8, which: u8, well: bool) {
        let Some(track) = self.track_of(whose, which) else { return };
        let Some(person) = self.person(who) else { return };
        if person.receives.contains(&track) && !well {
            person.wishes.insert(track, true);
        }
        let outcome = if well { Ok(()) } else { Err(SubscriptionError::CodecUnsupported) };
        self.ask(who, Request::SubscribedMedia { track, outcome });
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Join { who, auto, protocol, kind } => self.join(who, auto, protocol, kind),
            Step::Connect { who } => self.connect(who),
            Step::Leave { who } => {
                self.ask(who, Request::Leave { reason: DisconnectReason::ClientInitiated });
            }
            Step::CloseSignal { who } => {
                let now_ms = self.house.now_ms;
                if let Some(person) = self.person(who) {
                    person.deaf.get_or_insert(now_ms);
                }
                self.ask(who, Request::SignalClosed);
            }
            Step::Fail { who } => {
                let state = ConnectionState::Failed;
                self.ask(who, Request::PeerConnection { primary: true, state });
            }
            Step::Resume { who } => self.resume(who),
            Step::Announce { who, video } => self.announce(who, video),
            Step::Send { who } => self.send(who),
            Step::End { who, which } => {
                if let Some(track) = self.track_of(who, which) {
                    self.forget_track(track);
                    self.ask(who, Request::MediaEnded { track });
                }
            }
            Step::Subscribe { who, whose, which, on } => self.subscribe(who, whose, which, on),
            Step::Audience { who, admitted } => self.audience(who, admitted),
            Step::Permit { who, subscribe, publish, kind } => {
                self.permit(who, subscribe, publish, kind);
            }
            Step::Mute { who, which, muted } => {
                if let Some(track) = self.track_of(who, which) {
                    self.ask(who, Request::SetMuted { track, muted });
                }
            }
            Step::Rename { who, name } => {
                let attributes = [("n".to_owned(), name.to_string())].into();
                let (name, metadata) = (Some(format!("name {name}")), None);
                self.ask(
                    who,
                    Request::UpdateMetadata { request_id: 1, name, metadata, attributes },
                );
            }
            Step::Carried { who, whose, which, well } => self.carried(who, whose, which, well),
            Step::LosePlane => {
                self.house.calls.handle_plane_lost(self.house.now_ms);
                self.house.pump();
                self.deliver();
                assert!(self.people.is_empty(), "all were sent away");
                self.house.calls.handle_plane_joined(self.house.now_ms, 2);
            }
            Step::Pass { ms } => {
                self.house.pass(u64::from(ms));
                self.deliver();
            }
        }
        self.check_media();
    }

    /// Everybody receives what the model says, at any time.
    fn check_media(&mut self) {
        let mut total = 0;
        for person in self.people.values() {
            let mut expect = BTreeSet::new();
            for publisher in self.people.values().filter(|other| other.sid != person.sid) {
                let admitted = publisher.admitted.is_none_or(|mask| mask & (1 << person.who) != 0);
                let admitted = admitted || person.kind == Kind::Recorder;
                let wanted = |track: &&TrackSid| person.wishes.get(track) == Some(&false);
                let tracks = publisher.published.iter().filter(wanted);
                expect.extend(tracks.filter(|_| admitted && person.subscribe));
            }
            assert_eq!(person.receives, expect, "p{}", person.who);
            total += expect.len();
        }
        let counts = self.house.calls.counts();
        let tracks = self.people.values().map(|person| person.published.len()).sum::<usize>();
        assert_eq!((counts.subscriptions, counts.tracks), (total, tracks));
        assert_eq!(counts.participants, self.people.len());
    }

    /// Once it is quiet everybody believes the truth.
    fn check_views(&mut self) {
        let mut before = usize::MAX;
        // Whoever is removed while waiting is told to the others with the next batch.
        while before != self.people.len() {
            before = self.people.len();
            self.house.pass(3_000);
            self.deliver();
        }
        let Ok(truth) = self.house.calls.list_participants("hall") else {
            assert!(self.people.is_empty());
            return;
        };
        assert_eq!(truth.len(), self.people.len());
        for person in self.people.values().filter(|person| person.deaf.is_none()) {
            let others = truth.iter().filter(|info| !info.permission.hidden);
            let others = others.filter(|info| info.sid != person.sid);
            let expect: BTreeMap<_, _> = others.map(|info| (info.sid, Arc::clone(info))).collect();
            let mut view = person.view.clone();
            view.remove(&person.sid);
            assert_eq!(view, expect, "what p{} believes", person.who);
        }
        let rooms = self.house.calls.list_rooms(&[]);
        let guests = self.people.values().filter(|person| person.kind != Kind::Recorder).count();
        let publishers = self.people.values().filter(|person| !person.published.is_empty());
        let counted = (rooms[0].num_participants, rooms[0].num_publishers);
        assert_eq!(counted, (guests as u32, publishers.count() as u32));
        let recorders = self.people.values().any(|person| person.kind == Kind::Recorder);
        assert_eq!(rooms[0].active_recording, recorders);
    }
}

/// As many as the variable says, of which ordinary runs do without.
fn cases() -> u32 {
    let cases = std::env::var("RINGWAY_CALL_CASES").ok().and_then(|cases| cases.parse().ok());
    cases.unwrap_or(1_000)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: cases(),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn views_become_the_truth(steps in prop::collection::vec(step(), 1..80)) {
        let mut world = World::new();
        for (index, step) in steps.into_iter().enumerate() {
            world.take(step);
            if index % 16 == 15 {
                world.check_views();
            }
        }
        world.check_views();
        world.house.calls.shut_down(world.house.now_ms);
        world.house.pump();
        world.deliver();
        assert!(world.people.is_empty());
        assert_eq!(world.house.calls.counts(), CallCounts::default());
        world.house.pass(400_000);
        assert_eq!(world.house.calls.deadline(), None);
    }
}
