//! The task that runs the [`Hub`], and how handlers reach it.

use std::collections::HashMap;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ringway_room::calls::{Config, Fact};
use ringway_signal::Settings;
use ringway_signal::oneshot::{Direct, OneShotAnswer};
use ringway_signal::plane::{Ask, PlaneEvent, PlaneInfo};
use ringway_signal::proto::signal_request;
use ringway_signal::proto::signal_response;
use ringway_signal::wire::Outgoing;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until, timeout};

use super::hub::{ConnectionId, Created, DirectError, Hub, Output, Refused, Visitor};
use super::relays::Relays;
use crate::timestamp::now_unix_ms;
use crate::token::Tokens;

/// Messages of all clients that may wait. More would be answered later than clients wait.
const WAITING_MAX: usize = 4096;
/// Messages that one client may leave unread before it is closed. Lower: a client that joins a
/// large room on a slow line is lost; higher: it costs more while it does not read.
const UNREAD_MAX: usize = 1024;
/// After this a handler no longer waits.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long clients may take to hear that the server stops. Raised: a restart takes longer where
/// somebody does not read. Lowered: a client on a slow line finds out by itself.
const FAREWELL: Duration = Duration::from_secs(2);
/// Input taken before outputs are carried out: larger makes fewer wake-ups, smaller answers the
/// first one sooner.
const BATCH_MAX: usize = 64;

enum Question {
    Join(Box<Visitor>, ConnectionId, mpsc::Sender<Outgoing>, oneshot::Sender<Result<(), Refused>>),
    Validate(Box<Visitor>, oneshot::Sender<Result<(), Refused>>),
    Said(ConnectionId, Option<Box<signal_request::Message>>),
    Closed(ConnectionId),
    Direct(Direct, Box<Visitor>, String, oneshot::Sender<Result<Created, DirectError>>),
    Fragment(Whom, String, String, oneshot::Sender<Result<(), DirectError>>),
    Restart(Whom, String, oneshot::Sender<Result<OneShotAnswer, DirectError>>),
    Delete(Whom, oneshot::Sender<Result<(), DirectError>>),
    ShutDown,
}

/// A WHIP or WHEP session as its client names it.
#[derive(Clone, Debug)]
pub struct Whom {
    /// Of the path.
    pub participant: String,
    /// Of the token.
    pub identity: String,
}

/// What the link tells.
#[derive(Clone, Debug)]
pub enum PlaneNews {
    /// The data plane is there.
    Joined(PlaneInfo),
    /// A shard said something.
    Said(PlaneEvent),
    /// How busy each shard was of late, ‰.
    Loads(Vec<u32>),
    /// Bytes of media that came in and went out in a second of late.
    Traffic(u64),
    /// The data plane is gone.
    Lost,
}

/// What handlers know of the task.
#[derive(Clone)]
pub struct Rtc(Arc<Known>);

struct Known {
    questions: mpsc::Sender<Question>,
    tokens: Arc<Tokens>,
    message_bytes: usize,
    next_connection: AtomicU64,
    /// How many tickets there are.
    tickets: watch::Sender<usize>,
}

fn overloaded() -> Refused {
    Refused { status: 503, message: "the server is overloaded: try again later".to_owned() }
}

impl Rtc {
    /// The API keys.
    pub fn tokens(&self) -> &Tokens {
        &self.0.tokens
    }

    /// The longest message of a client.
    pub fn message_bytes(&self) -> usize {
        self.0.message_bytes
    }

    /// Lets somebody in.
    pub async fn join(&self, visitor: Visitor) -> Result<Ticket, Refused> {
        let connection = ConnectionId(self.0.next_connection.fetch_add(1, Ordering::Relaxed));
        let (sender, said) = mpsc::channel(UNREAD_MAX);
        // From now on: a handler that is dropped while it waits must not leave a guest behind.
        let rtc = self.clone();
        self.0.tickets.send_modify(|count| *count += 1);
        let ticket = Ticket { connection, said, rtc, closed: false };
        let visitor = Box::new(visitor);
        let answer = self.ask(|reply| Question::Join(visitor, connection, sender, reply)).await;
        answer.unwrap_or_else(|| Err(overloaded())).map(|()| ticket)
    }

    /// Whether somebody would be let in.
    pub async fn validate(&self, visitor: Visitor) -> Result<(), Refused> {
        let answer = self.ask(|reply| Question::Validate(Box::new(visitor), reply)).await;
        answer.unwrap_or_else(|| Err(overloaded()))
    }

    /// Begins a WHIP or WHEP session.
    pub async fn direct(
        &self,
        direct: Direct,
        visitor: Visitor,
        offer: String,
    ) -> Result<Created, DirectError> {
        let visitor = Box::new(visitor);
        let answer = self.ask(|reply| Question::Direct(direct, visitor, offer, reply)).await;
        answer.unwrap_or_else(|| Err(overloaded().into()))
    }

    /// Candidates of a session's client.
    pub async fn fragment(
        &self,
        whom: Whom,
        etag: String,
        text: String,
    ) -> Result<(), DirectError> {
        let answer = self.ask(|reply| Question::Fragment(whom, etag, text, reply)).await;
        answer.unwrap_or_else(|| Err(overloaded().into()))
    }

    /// Restarts a session's ICE.
    pub async fn restart(&self, whom: Whom, text: String) -> Result<OneShotAnswer, DirectError> {
        let answer = self.ask(|reply| Question::Restart(whom, text, reply)).await;
        answer.unwrap_or_else(|| Err(overloaded().into()))
    }

    /// Ends a session.
    pub async fn delete(&self, whom: Whom) -> Result<(), DirectError> {
        let answer = self.ask(|reply| Question::Delete(whom, reply)).await;
        answer.unwrap_or_else(|| Err(overloaded().into()))
    }

    /// Ends all calls, tells their clients to begin anew, and waits until they have heard it, but
    /// not for long: one that does not read must not keep the program from ending.
    pub async fn shut_down(&self) {
        let mut tickets = self.0.tickets.subscribe();
        let told = async {
            // Errors mean that there is nobody to tell.
            let _ = self.0.questions.send(Question::ShutDown).await;
            let _ = tickets.wait_for(|count| *count == 0).await;
        };
        if timeout(FAREWELL, told).await.is_err() {
            tracing::warn!("some clients did not hear in time that the server stops");
        }
    }

    async fn ask<T>(&self, question: impl FnOnce(oneshot::Sender<T>) -> Question) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        let exchange = async {
            self.0.questions.send(question(reply)).await.ok()?;
            answer.await.ok()
        };
        timeout(PATIENCE, exchange).await.ok().flatten()
    }
}

/// One client's place: what it says goes in, what it is told comes out. Dropping it leaves.
pub struct Ticket {
    connection: ConnectionId,
    said: mpsc::Receiver<Outgoing>,
    rtc: Rtc,
    closed: bool,
}

impl Ticket {
    /// The connection's number, for the log.
    pub fn connection(&self) -> ConnectionId {
        self.connection
    }

    /// The first answer.
    pub async fn first(&mut self) -> Option<Outgoing> {
        timeout(PATIENCE, self.said.recv()).await.ok().flatten()
    }

    /// What to tell the client next; `None`: nothing any more, close.
    pub async fn next(&mut self) -> Option<Outgoing> {
        self.said.recv().await
    }

    /// The client says something; false if nobody listens any more.
    pub async fn say(&self, message: Option<signal_request::Message>) -> bool {
        let question = Question::Said(self.connection, message.map(Box::new));
        self.rtc.0.questions.send(question).await.is_ok()
    }

    /// The connection is closed.
    pub async fn close(&mut self) {
        self.closed = true;
        // An error means that the server is stopping.
        let _ = self.rtc.0.questions.send(Question::Closed(self.connection)).await;
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.rtc.0.tickets.send_modify(|count| *count -= 1);
        if self.closed {
            return;
        }
        let (questions, connection) = (self.rtc.0.questions.clone(), self.connection);
        if let Err(mpsc::error::TrySendError::Full(question)) =
            questions.try_send(Question::Closed(connection))
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(async move { questions.send(question).await });
        }
    }
}

/// The task's state.
pub struct RtcTask {
    hub: Hub,
    questions: mpsc::Receiver<Question>,
    plane: mpsc::Receiver<PlaneNews>,
    commands: mpsc::UnboundedSender<(u16, Ask)>,
    facts: mpsc::UnboundedSender<Fact>,
    queues: HashMap<ConnectionId, mpsc::Sender<Outgoing>>,
    tokens: Arc<Tokens>,
    started: Instant,
    unix_start_ms: u64,
}

/// What the task exchanges with the rest of the server.
pub struct Ends {
    /// What the data plane tells.
    pub plane: mpsc::Receiver<PlaneNews>,
    /// Commands for shards. Those of a data plane that is gone go nowhere.
    pub commands: mpsc::UnboundedSender<(u16, Ask)>,
    /// What webhooks and counters want to know.
    pub facts: mpsc::UnboundedSender<Fact>,
}

impl RtcTask {
    /// The task and the way to it.
    pub fn new(
        mut settings: Settings,
        mut config: Config,
        tokens: Arc<Tokens>,
        ends: Ends,
    ) -> (Self, Rtc) {
        let (sender, questions) = mpsc::channel(WAITING_MAX);
        let unix_start_ms = now_unix_ms();
        settings.unix_start_ms = unix_start_ms;
        config.unix_start_ms = unix_start_ms;
        let message_bytes = settings.message_bytes;
        let task = Self {
            hub: Hub::new(settings, config, seed()),
            questions,
            plane: ends.plane,
            commands: ends.commands,
            facts: ends.facts,
            queues: HashMap::new(),
            tokens: Arc::clone(&tokens),
            started: Instant::now(),
            unix_start_ms,
        };
        let next_connection = AtomicU64::new(1);
        let (tickets, _) = watch::channel(0);
        let questions = sender;
        let known = Known { questions, tokens, message_bytes, next_connection, tickets };
        (task, Rtc(Arc::new(known)))
    }

    /// Tells clients of these TURN servers, too.
    #[must_use]
    pub fn with_relays(mut self, relays: Relays) -> Self {
        self.hub.set_relays(relays);
        self
    }

    /// Runs until nobody can ask any more.
    pub async fn run(mut self) {
        loop {
            let deadline = self.hub.deadline().map(|ms| self.at(ms));
            tokio::select! {
                question = self.questions.recv() => match question {
                    Some(question) => self.take(question),
                    None => return,
                },
                Some(news) = self.plane.recv() => self.take_news(news),
                () = async { match deadline {
                    Some(at) => sleep_until(at).await,
                    None => pending().await,
                } } => {}
            }
            for _ in 1..BATCH_MAX {
                match (self.plane.try_recv(), self.questions.try_recv()) {
                    (Ok(news), Ok(question)) => {
                        self.take_news(news);
                        self.take(question);
                    }
                    (Ok(news), _) => self.take_news(news),
                    (_, Ok(question)) => self.take(question),
                    _ => break,
                }
            }
            if self.hub.deadline().is_some_and(|due_ms| due_ms <= self.now_ms()) {
                self.hub.handle_timeout(self.now_ms());
            }
            self.carry_out();
        }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// The instant of a time of [`RtcTask::now_ms`], not before it: rounding must not spin.
    fn at(&self, ms: u64) -> Instant {
        self.started + Duration::from_millis(ms.min(u64::from(u32::MAX) * 1000))
    }

    fn take_news(&mut self, news: PlaneNews) {
        let now_ms = self.now_ms();
        match news {
            PlaneNews::Joined(info) => self.hub.handle_plane_joined(now_ms, info),
            PlaneNews::Said(event) => self.hub.handle_plane_event(now_ms, event),
            PlaneNews::Loads(busy_permille) => self.hub.handle_loads(&busy_permille),
            PlaneNews::Traffic(bytes_per_s) => self.hub.handle_traffic(bytes_per_s),
            PlaneNews::Lost => self.hub.handle_plane_lost(now_ms),
        }
    }

    /// An unsent reply only means that the client has gone.
    fn take(&mut self, question: Question) {
        let now_ms = self.now_ms();
        match question {
            Question::Join(visitor, connection, queue, reply) => {
                self.queues.insert(connection, queue);
                let answer = self.hub.handle_join(now_ms, connection, *visitor, seed());
                if answer.is_err() {
                    self.queues.remove(&connection);
                }
                let _ = reply.send(answer);
            }
            Question::Validate(visitor, reply) => {
                let _ = reply.send(self.hub.validate(&visitor));
            }
            Question::Said(connection, message) => {
                self.hub.handle_message(now_ms, connection, message.map(|message| *message));
            }
            Question::Closed(connection) => {
                self.queues.remove(&connection);
                self.hub.handle_closed(now_ms, connection);
            }
            Question::Direct(direct, visitor, offer, reply) => {
                let _ =
                    reply.send(self.hub.handle_direct(now_ms, direct, *visitor, &offer, seed()));
            }
            Question::Fragment(whom, etag, text, reply) => {
                let Whom { participant, identity } = whom;
                let answer =
                    self.hub.handle_fragment(now_ms, &participant, &identity, &etag, &text);
                let _ = reply.send(answer);
            }
            Question::Restart(Whom { participant, identity }, text, reply) => {
                let answer = self.hub.handle_restart(now_ms, &participant, &identity, &text);
                let _ = reply.send(answer);
            }
            Question::Delete(Whom { participant, identity }, reply) => {
                let _ = reply.send(self.hub.handle_delete(now_ms, &participant, &identity));
            }
            Question::ShutDown => self.hub.shut_down(now_ms),
        }
    }

    fn carry_out(&mut self) {
        while let Some(output) = self.hub.poll_output() {
            match output {
                Output::Send(connection, outgoing) => self.send(connection, outgoing),
                Output::RefreshToken(connection, claims) => {
                    let now_s = (self.unix_start_ms + self.now_ms()) / 1000;
                    if let Some(token) = self.tokens.mint(&claims, now_s) {
                        let message = signal_response::Message::RefreshToken(token);
                        self.send(connection, Outgoing::new(message));
                    }
                }
                // The queue's end closes the socket once it is empty.
                Output::Close(connection) => {
                    self.queues.remove(&connection);
                }
                // An error means that the data plane's link has ended, and the server with it.
                Output::Plane(shard, ask) => {
                    let _ = self.commands.send((shard, ask));
                }
                Output::Fact(fact) => {
                    let _ = self.facts.send(fact);
                }
            }
        }
    }

    fn send(&mut self, connection: ConnectionId, outgoing: Outgoing) {
        let Some(queue) = self.queues.get(&connection) else { return };
        if queue.try_send(outgoing).is_err() {
            tracing::debug!(connection = connection.0, "a client does not read: closing it");
            self.queues.remove(&connection);
            self.hub.handle_closed(self.now_ms(), connection);
        }
    }
}

/// Random bytes of the system. Without them nothing is safe.
fn seed() -> [u64; 4] {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).expect("the system must have a random device");
    let (words, _) = bytes.as_chunks::<8>();
    let mut words = words.iter().map(|word| u64::from_le_bytes(*word));
    std::array::from_fn(|_| words.next().unwrap_or_default())
}
