//! Synthetic clients in one room that talk, listen, and come back by themselves whenever their
//! signalling ends, as LiveKit's clients do: the old connections stay until the server lets them
//! in again.
//!
//! One thread does it all. What it sees it tells after every round; tests wait for what they want
//! to see.

use std::collections::BTreeMap;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use ringway_loadgen::call::connection::Connection;
use ringway_loadgen::call::intake::Intake;
use ringway_loadgen::call::member::Member;
use ringway_loadgen::call::publisher::Publisher;
use ringway_loadgen::call::random::Random;
use ringway_loadgen::call::scenario::{AudioPlan, CallKind, CallScenario};
use ringway_loadgen::call::signal::{Dialect, Group, SignalPlan, Signalling};
use ringway_loadgen::call::subscriber::{Arrival, Subscriber};
use ringway_loadgen::call::tally::Tally;
use ringway_loadgen::call::token::Account;
use ringway_loadgen::call::track::{News, Side};
use ringway_loadgen::kernel::{Poller, monotonic_ns, realtime_ns};
use ringway_proto::dtls::{DtlsConfig, DtlsContext};
use ringway_system::appliance::Appliance;
use ringway_system::patience::until;
use ringway_system::token::{KEY, SECRET};

/// How long tests wait for what must come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// How long a client waits before it tries again. LiveKit's begin with less than half a second.
const PAUSE_NS: u64 = 200_000_000;
/// How long the thread waits for datagrams.
const NAP: Duration = Duration::from_millis(1);
/// Timers are looked at this often.
const TICK_NS: u64 = 20_000_000;
/// Nobody waits for the others when joining.
const AT_ONCE: f64 = 1e6;

/// Who takes part.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Guests {
    /// Those who talk and listen.
    pub(crate) talkers: u32,
    /// Those who only listen.
    pub(crate) listeners: u32,
    /// Packets per second of each talker.
    pub(crate) packets_per_second: f64,
}

impl Default for Guests {
    fn default() -> Self {
        Self { talkers: 2, listeners: 2, packets_per_second: 50.0 }
    }
}

impl Guests {
    fn scenario(&self) -> CallScenario {
        CallScenario {
            kind: CallKind::Call,
            name: "party".into(),
            summary: "people who come back".into(),
            publishers: self.talkers,
            publishers_subscribe: true,
            subscribers: self.listeners,
            video: None,
            audio: Some(AudioPlan {
                packets_per_second: self.packets_per_second,
                payload_bytes: 100,
                talk_ms: 60_000,
                pause_ms: 0,
            }),
            data: None,
            storm: None,
        }
    }
}

/// What is seen of one client.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// How often it was let in.
    pub(crate) lives: u32,
    /// Why its signalling ended, each time.
    pub(crate) ends: Vec<String>,
    /// Packets that it received in this life, by SSRC.
    pub(crate) received: BTreeMap<u32, u64>,
    /// Others that it should receive.
    pub(crate) expected: usize,
}

impl Seen {
    /// Whether it has received from everybody else since `before` of the same life, or in this
    /// life if that is another one.
    fn hears_all_since(&self, before: &Self, packets: u64) -> bool {
        let same = self.lives == before.lives;
        let known = |ssrc: &u32| before.received.get(ssrc).copied().filter(|_| same).unwrap_or(0);
        let heard = self.received.iter().filter(|(ssrc, now)| **now >= known(ssrc) + packets);
        self.lives > 0 && heard.count() >= self.expected
    }
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    seen: Mutex<Vec<Seen>>,
    /// The client that neither reads nor answers any more, if there is one.
    deaf: Mutex<Option<usize>>,
    /// Packets whose latency is wanted; 0: none.
    wanted: AtomicU64,
    /// The 99th percentile of their latency, ns.
    p99_ns: Mutex<Option<u64>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The clients. Dropping them makes them leave.
pub(crate) struct Party {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Party {
    /// Lets clients come to a room of that name; all at once.
    pub(crate) fn come(appliance: &Appliance, room: &str, guests: Guests) -> Self {
        let shared = Arc::new(Shared::default());
        let (url, room) = (appliance.url().replace("http", "ws"), room.to_owned());
        let theirs = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            let mut round = Round::new(url, room, guests);
            while !theirs.stop.load(Ordering::Relaxed) {
                round.turn(&theirs);
            }
        });
        Self { shared, thread: Some(thread) }
    }

    /// What is seen of each now.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        lock(&self.shared.seen).clone()
    }

    /// Makes a client neither read nor answer from now on.
    pub(crate) fn deafen(&self, client: usize) {
        *lock(&self.shared.deaf) = Some(client);
    }

    /// The 99th percentile of the latency of that many packets from now on, from the sender's
    /// hand-over to the kernel to the kernel's arrival.
    pub(crate) fn measure_p99(&self, packets: u64) -> Duration {
        *lock(&self.shared.p99_ns) = None;
        self.shared.wanted.store(packets, Ordering::Relaxed);
        let p99_ns = until(PATIENCE * 4, "enough packets", || *lock(&self.shared.p99_ns));
        Duration::from_nanos(p99_ns)
    }

    /// Waits until everybody but `without` receives so many packets more from everybody else.
    pub(crate) fn wait_flow(&self, packets: u64, without: Option<usize>) {
        let before = self.seen();
        until(PATIENCE, "everybody to hear everybody", || {
            let now = self.seen();
            let others = now.iter().enumerate().filter(|(at, _)| Some(*at) != without);
            let mut flows = others.map(|(at, seen)| {
                seen.hears_all_since(before.get(at).unwrap_or(&Seen::default()), packets)
            });
            (now.len() >= before.len().max(1) && flows.all(|one| one)).then_some(())
        });
    }

    /// Waits until everybody has been let in more often than in `before`, and hears everybody.
    pub(crate) fn wait_return(&self, before: &[Seen]) {
        until(PATIENCE, "everybody to be back", || {
            let now = self.seen();
            let back = now.iter().zip(before).all(|(now, before)| now.lives > before.lives);
            back.then_some(())
        });
        self.wait_flow(10, None);
    }
}

impl Drop for Party {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if std::thread::panicking() {
            eprintln!("--- clients ---\n{:#?}", self.seen());
        }
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been reported where it happened.
            let _ = thread.join();
        }
    }
}

struct Place {
    member: Member,
    tally: Tally,
    /// When it tries to come in again.
    again_ns: Option<u64>,
    seen: Seen,
}

/// Everything that the thread owns.
struct Round {
    guests: Guests,
    scenario: CallScenario,
    signalling: Signalling,
    context: DtlsContext,
    random: Random,
    places: Vec<Place>,
    poller: Poller,
    intake: Intake,
    measures: bool,
    tick_ns: u64,
}

impl Round {
    fn new(url: String, room: String, guests: Guests) -> Self {
        let unix_s = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
        let context = DtlsContext::new(&DtlsConfig::default(), unix_s.as_secs());
        let context = context.expect("a certificate");
        let dialect = Dialect::LiveKit(Account { key: KEY.into(), secret: SECRET.into() });
        let (scenario, certificate) = (guests.scenario(), *context.fingerprint());
        let plan = SignalPlan { url, dialect, room, scenario: scenario.clone(), certificate };
        let signalling = Signalling::start(plan).expect("a thread for signalling");
        let mut random = Random::from_system();
        let total = guests.talkers + guests.listeners;
        let places = (0..total as usize).map(|number| {
            let talks = number < guests.talkers as usize;
            let expected = guests.talkers as usize - usize::from(talks);
            let mut member = Member {
                joined: false,
                late: false,
                expected_streams: expected,
                publisher: None,
                sending: None,
                subscriber: Subscriber::new(random.next_ssrc()),
                receiving: None,
                failure: None,
            };
            member.publisher = talks.then(|| Publisher::new(number, None, &mut random));
            let seen = Seen { expected, ..Seen::default() };
            Place { member, tally: Tally::default(), again_ns: None, seen }
        });
        let places = places.collect();
        let group = Group {
            first: 0,
            count: total as usize,
            publishers: guests.talkers as usize,
            other_room: false,
        };
        signalling.join(group, AT_ONCE);
        let poller = Poller::new(&[]).expect("epoll");
        let (intake, measures, tick_ns) = (Intake::default(), false, 0);
        Self {
            guests,
            scenario,
            signalling,
            context,
            random,
            places,
            poller,
            intake,
            measures,
            tick_ns,
        }
    }

    fn turn(&mut self, shared: &Shared) {
        let deaf = *lock(&shared.deaf);
        let now_ns = monotonic_ns();
        while let Ok(news) = self.signalling.news.try_recv() {
            self.hear(now_ns, news);
        }
        for (number, place) in self.places.iter_mut().enumerate() {
            if place.again_ns.is_some_and(|at_ns| at_ns <= now_ns) {
                place.again_ns = None;
                let publishers = usize::from(number < self.guests.talkers as usize);
                let group = Group { first: number, count: 1, publishers, other_room: false };
                self.signalling.join(group, AT_ONCE);
            }
            if Some(number) != deaf {
                place.member.send_due(now_ns);
            }
        }
        self.read(deaf);
        if now_ns >= self.tick_ns {
            self.tick_ns = now_ns + TICK_NS;
            for (number, place) in self.places.iter_mut().enumerate() {
                if Some(number) != deaf {
                    place.member.handle_timeout(now_ns, &mut place.tally);
                }
            }
        }
        for place in &mut self.places {
            let streams = place.member.subscriber.streams().iter();
            let counts = streams.map(|stream| (stream.track.ssrc, stream.received()));
            place.seen.received = counts.collect();
        }
        self.measure(shared);
        *lock(&shared.seen) = self.places.iter().map(|place| place.seen.clone()).collect();
    }

    fn measure(&mut self, shared: &Shared) {
        let wanted = shared.wanted.load(Ordering::Relaxed);
        if wanted > 0 && !self.measures {
            for place in &mut self.places {
                place.tally = Tally { is_open: true, ..Tally::default() };
            }
        }
        self.measures = wanted > 0;
        let delivered: u64 = self.places.iter().map(|place| place.tally.delivered).sum();
        if wanted == 0 || delivered < wanted {
            return;
        }
        let mut all = Tally::default().latency;
        for place in &self.places {
            all.add(&place.tally.latency).expect("the same bounds");
        }
        shared.wanted.store(0, Ordering::Relaxed);
        *lock(&shared.p99_ns) = Some(all.value_at_quantile(0.99));
    }

    fn read(&mut self, deaf: Option<usize>) {
        let ready = self.poller.ready_within(Some(NAP)).expect("epoll");
        for position in ready.collect::<Vec<_>>() {
            let side = if position % 2 == 0 { Side::Publisher } else { Side::Subscriber };
            let Some(place) = self.places.get_mut(position / 2) else { continue };
            let Some(connection) = place.member.connection(side) else { continue };
            if Some(position / 2) == deaf {
                continue;
            }
            // An error is what ICMP said of the last send.
            let fd = connection.socket().as_raw_fd();
            let Ok(count) = self.intake.receive(fd) else { continue };
            let now_ns = monotonic_ns();
            for slot in 0..count {
                let arrival_ns = self.intake.arrival_ns(slot).unwrap_or_else(realtime_ns);
                let at = Arrival { now_ns, arrival_ns };
                let datagram = self.intake.datagram_mut(slot);
                place.member.handle_datagram(side, at, datagram, &mut place.tally);
            }
        }
    }

    fn hear(&mut self, now_ns: u64, news: News) {
        match news {
            News::Joined { participant, .. } => self.begin_life(participant),
            News::Connect { participant, side, end } => {
                let random = &mut self.random;
                let connection = Connection::open(&end, &self.context, None, random, now_ns);
                let connection = connection.expect("a connection");
                let position = 2 * participant + usize::from(side == Side::Subscriber);
                self.poller.add(connection.socket(), position).expect("epoll");
                let member = &mut self.places[participant].member;
                match side {
                    Side::Publisher => member.sending = Some(connection),
                    Side::Subscriber => member.receiving = Some(connection),
                }
            }
            News::Publish { participant, tracks } => {
                if let Some(publisher) = &mut self.places[participant].member.publisher {
                    publisher.set_tracks(tracks, &self.scenario, now_ns, &mut self.random);
                }
            }
            News::Receive { participant, tracks } => {
                self.places[participant].member.subscriber.set_tracks(tracks);
            }
            News::Failed { participant, reason } => {
                let place = &mut self.places[participant];
                place.seen.ends.push(reason);
                place.again_ns = Some(now_ns + PAUSE_NS);
            }
        }
    }

    /// The old connections are closed, as clients do when they begin anew.
    fn begin_life(&mut self, number: usize) {
        let random = &mut self.random;
        let place = &mut self.places[number];
        place.seen.lives += 1;
        let member = &mut place.member;
        (member.sending, member.receiving) = (None, None);
        member.joined = true;
        member.failure = None;
        member.subscriber = Subscriber::new(random.next_ssrc());
        member.publisher = member.publisher.is_some().then(|| Publisher::new(number, None, random));
    }
}
