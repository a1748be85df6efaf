//! One joined data plane: commands out, events in, until it is gone.

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ringway_abi::message as abi;
use ringway_abi::{Boot, ControlLane, Joined, bell};
use ringway_room::plane::{Command, Event};
use ringway_signal::plane::Ask;
use tokio::net::UnixStream;
use tokio::net::unix::pipe;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use super::calls::{CallEnds, Calls};
use super::{Commands, LinkEvent, Plane, translate};
use crate::rtc::task::PlaneNews;

/// A shard beats ten times a second or more; one that is silent for this long is lost. Lower: a
/// machine that is choking loses its calls twice. Higher: clients wait longer for the truth.
const BEAT_AGE_MAX: Duration = Duration::from_secs(2);
/// How often heartbeats are looked at.
const BEAT_INTERVAL: Duration = Duration::from_millis(250);
/// How often the traffic is measured. Longer: a limit is noticed late; shorter: bursts count.
const TRAFFIC_INTERVAL: Duration = Duration::from_secs(2);
/// How often heartbeats are looked at before the data plane counts as joined.
const FIRST_BEAT_INTERVAL: Duration = Duration::from_millis(5);
/// Pause before a full lane is tried again: nobody rings when there is room.
const FULL_PAUSE: Duration = Duration::from_millis(1);
/// Events taken from one lane before the next lane has its turn.
const EVENTS_PER_ROUND: usize = 256;

struct Lane {
    lane: ControlLane,
    /// Commands that found the lane full.
    waiting: VecDeque<abi::Command>,
}

struct Session<'a> {
    lanes: Vec<Lane>,
    /// An eventfd: to the reactor it is a pipe out of which come 8 bytes at a time.
    bell: pipe::Receiver,
    /// Readable at its end only.
    socket: UnixStream,
    commands: mpsc::UnboundedReceiver<(u16, Command)>,
    events: &'a mpsc::Sender<LinkEvent>,
    plane: &'a Plane,
    calls: Calls<'a>,
    traffic: Traffic,
}

/// How many bytes had come in and gone out, and when.
struct Traffic {
    bytes: u64,
    at: Instant,
}

/// Whether a data plane had run for a while when it was joined, so that it may have had calls.
/// Programs that are started together join within a fraction of that.
fn in_service(boot: &Boot) -> bool {
    const FRESH: Duration = Duration::from_secs(2);
    let started = UNIX_EPOCH + Duration::from_nanos(boot.started_unix_ns);
    // A clock that was set back tells nothing.
    SystemTime::now().duration_since(started).is_ok_and(|age| age > FRESH)
}

/// Serves one joined data plane until it is lost. Whether it ever was alive.
pub(super) async fn run(
    joined: Joined,
    events: &mpsc::Sender<LinkEvent>,
    plane: &Plane,
    calls: &mut CallEnds,
) -> bool {
    let Joined { pages, control: Some(control), socket } = joined else { return false };
    let boot = pages.boot().clone();
    let shards = boot.limits.shards;
    let watched = socket.set_nonblocking(true).and_then(|()| {
        let bell = pipe::Receiver::from_owned_fd_unchecked(control.bell)?;
        Ok((UnixStream::from_std(socket)?, bell))
    });
    let (socket, bell) = match watched {
        Ok(watched) => watched,
        Err(error) => {
            tracing::error!(%error, "cannot watch the data plane's descriptors");
            return false;
        }
    };
    if !wait_for_beats(&pages, shards, &socket).await {
        tracing::warn!(pid = boot.pid, "a shard of the data plane does not beat");
        return false;
    }
    let (sender, commands) = mpsc::unbounded_channel();
    let lanes = control.shards.into_iter();
    let lanes = lanes.map(|lane| Lane { lane, waiting: VecDeque::new() }).collect();
    tracing::info!(
        pid = boot.pid,
        version = boot.version,
        shards,
        boot_id = format_args!("{:016x}", boot.boot_id),
        "joined the data plane"
    );
    let (calls, first) = Calls::begin(calls, shards, in_service(&boot));
    let traffic = Traffic { bytes: 0, at: Instant::now() };
    let mut session = Session { lanes, bell, socket, commands, events, plane, calls, traffic };
    first.into_iter().for_each(|(shard, command)| session.queue(shard, command));
    let joined = LinkEvent::Joined { shards, commands: Commands(sender) };
    let reason = match events.send(joined).await {
        Ok(()) => {
            // Now and not before: whoever is told that the data plane is there may ask for
            // something at once, and must not be told that it is away.
            plane.set(Some(pages));
            session.serve().await
        }
        Err(_) => "the driver has ended",
    };
    plane.set(None);
    tracing::warn!(pid = boot.pid, reason, "lost the data plane");
    // Errors mean that the server ends.
    let _ = session.calls.ends.news.send(PlaneNews::Lost).await;
    let _ = events.send(LinkEvent::Lost).await;
    true
}

async fn wait_for_beats(pages: &ringway_abi::PagesView, shards: u16, socket: &UnixStream) -> bool {
    let start = Instant::now();
    while start.elapsed() < BEAT_AGE_MAX {
        if (0..shards).all(|shard| is_fresh(pages.beat_ns(shard))) {
            return true;
        }
        tokio::select! {
            _ = socket.readable() => return false,
            () = sleep(FIRST_BEAT_INTERVAL) => {}
        }
    }
    false
}

fn is_fresh(beat_ns: u64) -> bool {
    beat_ns != 0 && u128::from(translate::age_ns(beat_ns)) < BEAT_AGE_MAX.as_nanos()
}

impl Session<'_> {
    /// Moves messages until the data plane is lost; says why it is.
    async fn serve(&mut self) -> &'static str {
        let mut beat = tokio::time::interval(BEAT_INTERVAL);
        loop {
            let heard = match self.hear().await {
                Ok(heard) => heard,
                Err(reason) => return reason,
            };
            if self.calls.is_settled() {
                self.plane.settle();
            }
            let full = self.speak();
            // Between the last look and this a shard may have written without ringing.
            if heard || !self.lanes.iter_mut().all(|lane| lane.lane.events.prepare_sleep()) {
                self.wake();
                // Other tasks, and the end of this one, must have their turn.
                tokio::task::yield_now().await;
                if self.socket_ended() {
                    return "its socket closed";
                }
                continue;
            }
            let ended = tokio::select! {
                _ = self.bell.readable() => {
                    // Nothing to read only means that it was silenced before.
                    let _ = self.bell.try_read(&mut [0; 8]);
                    None
                }
                command = self.commands.recv() => match command {
                    Some((shard, command)) => {
                        self.queue(shard, translate::command(&command));
                        None
                    }
                    None => Some("the driver has ended"),
                },
                ask = self.calls.ends.asks.recv() => match ask {
                    Some((shard, ask)) => {
                        self.queue_ask(shard, &ask);
                        None
                    }
                    None => Some("the task of the calls has ended"),
                },
                _ = self.socket.readable() => Some("its socket closed"),
                _ = beat.tick() => {
                    self.tell_traffic();
                    let again = self.calls.ask_again();
                    again.into_iter().for_each(|(shard, command)| self.queue(shard, command));
                    self.stale()
                }
                () = sleep(FULL_PAUSE), if full => None,
            };
            self.wake();
            if let Some(reason) = ended {
                return reason;
            }
        }
    }

    fn wake(&mut self) {
        self.lanes.iter_mut().for_each(|lane| lane.lane.events.awake());
    }

    fn stale(&self) -> Option<&'static str> {
        let fresh = (0..self.lanes.len())
            .all(|shard| self.plane.beat_ns(shard as u16).is_some_and(is_fresh));
        if fresh { None } else { Some("a shard has not beaten for 2 s") }
    }

    /// Tells now and then how much there is of late.
    fn tell_traffic(&mut self) {
        let elapsed = self.traffic.at.elapsed();
        if elapsed < TRAFFIC_INTERVAL {
            return;
        }
        let bytes = self.plane.bytes();
        let came = bytes.saturating_sub(self.traffic.bytes);
        let per_s = u128::from(came) * 1000 / elapsed.as_millis().max(1);
        self.traffic = Traffic { bytes, at: Instant::now() };
        let news = PlaneNews::Traffic(u64::try_from(per_s).unwrap_or(u64::MAX));
        // Full only when the task is far behind; the next one comes soon.
        let _ = self.calls.ends.news.try_send(news);
    }

    fn socket_ended(&self) -> bool {
        let read = self.socket.try_read(&mut [0; 1]);
        !read.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Passes on what the shards said. Whether there may be more.
    async fn hear(&mut self) -> Result<bool, &'static str> {
        let mut more = false;
        for index in 0..self.lanes.len() {
            let shard = index as u16;
            for count in 1..=EVENTS_PER_ROUND {
                let Some(received) = self.lanes[index].lane.events.try_receive() else { break };
                let event = match received {
                    Ok(event) => {
                        let mut further = Vec::new();
                        let event = self.calls.handle(shard, event, &mut further).await;
                        further.into_iter().for_each(|(shard, ask)| self.queue(shard, ask));
                        event.map(translate::event)
                    }
                    Err(error) => {
                        tracing::warn!(shard, ?error, "a shard sent what is no event");
                        Some(Event::Resync)
                    }
                };
                more |= count == EVENTS_PER_ROUND;
                let Some(event) = event else { continue };
                if self.events.send(LinkEvent::Said(shard, event)).await.is_err() {
                    return Err("the driver has ended");
                }
            }
        }
        Ok(more)
    }

    /// Sends what is waiting. Whether a lane was full.
    fn speak(&mut self) -> bool {
        while let Ok((shard, command)) = self.commands.try_recv() {
            self.queue(shard, translate::command(&command));
        }
        while let Ok((shard, ask)) = self.calls.ends.asks.try_recv() {
            self.queue_ask(shard, &ask);
        }
        let mut full = false;
        for Lane { lane, waiting } in &mut self.lanes {
            let mut sent = false;
            while let Some(command) = waiting.front() {
                if lane.commands.try_send(command).is_err() {
                    full = true;
                    break;
                }
                waiting.pop_front();
                sent = true;
            }
            if sent && lane.commands.reader_sleeps() {
                bell::ring(&lane.bell);
            }
        }
        full
    }

    fn queue_ask(&mut self, shard: u16, ask: &Ask) {
        for command in self.calls.commands(ask) {
            self.queue(shard, command);
        }
    }

    fn queue(&mut self, shard: u16, command: abi::Command) {
        if let Some(lane) = self.lanes.get_mut(usize::from(shard)) {
            lane.waiting.push_back(command);
        }
    }
}
