//! Signalling of all participants, on a thread of its own: WebSockets, one conversation each.
//!
//! `conversation` is what the thread knows of a dialect, `livekit` and `janus` are the dialects,
//! `agreement` and `describe` are what both agree on in SDP.

mod agreement;
mod conversation;
mod describe;
mod janus;
mod livekit;

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use ringway_proto::dtls::Fingerprint;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tokio_tungstenite::connect_async_with_config;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};

use self::agreement::Seat;
use self::conversation::Conversation;
use self::janus::Janus;
use self::livekit::LiveKit;
use super::scenario::CallScenario;
use super::token::Account;
use super::track::News;

/// How a server is spoken to.
#[derive(Clone, Debug)]
pub enum Dialect {
    /// LiveKit's signalling, with who we are to the server.
    LiveKit(Account),
    /// Janus's API over a WebSocket, and its VideoRoom plug-in.
    Janus,
}

/// What every participant needs to know.
#[derive(Clone, Debug)]
pub struct SignalPlan {
    /// The server, such as `ws://host:7880`.
    pub url: String,
    /// How it is spoken to.
    pub dialect: Dialect,
    /// Where they meet.
    pub room: String,
    /// Who publishes what.
    pub scenario: CallScenario,
    /// Of the certificate that all synthetic clients have.
    pub certificate: Fingerprint,
}

/// A group of participants that join one after the other.
#[derive(Clone, Copy, Debug)]
pub struct Group {
    /// Number of the first.
    pub first: usize,
    /// How many.
    pub count: usize,
    /// How many of them publish, from the first on.
    pub publishers: usize,
    /// Whether they meet in the room beside the measured one.
    pub other_room: bool,
}

/// The thread, as its owner sees it. Dropping it makes everybody leave.
pub struct Signalling {
    /// What it has to tell.
    pub news: Receiver<News>,
    groups: tokio::sync::mpsc::UnboundedSender<(Group, f64)>,
    leave: Option<watch::Sender<bool>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// The longest message of a server: far more than a description of a large room.
const MAX_MESSAGE_BYTES: usize = 4 << 20;
/// How long leaving may take.
const GOODBYE: Duration = Duration::from_millis(500);

impl SignalPlan {
    fn seat(
        &self,
        participant: usize,
        group: &Group,
        place: usize,
        scenario: &Arc<CallScenario>,
    ) -> Seat {
        let publishes = place < group.publishers;
        let room =
            if group.other_room { format!("{}-beside", self.room) } else { self.room.clone() };
        Seat {
            participant,
            publishes,
            subscribes: !publishes || scenario.publishers_subscribe,
            room,
            scenario: Arc::clone(scenario),
            certificate: self.certificate,
        }
    }
}

impl Dialect {
    fn conversation(&self, url: &str, seat: Seat) -> Box<dyn Conversation> {
        match self {
            Self::LiveKit(account) => Box::new(LiveKit::new(url, account, seat)),
            Self::Janus => Box::new(Janus::new(url, seat)),
        }
    }
}

impl Signalling {
    /// Starts the thread.
    pub fn start(plan: SignalPlan) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (tell, news) = std::sync::mpsc::channel();
        let (groups, mut asked) = tokio::sync::mpsc::unbounded_channel::<(Group, f64)>();
        let (leave, left) = watch::channel(false);
        let scenario = Arc::new(plan.scenario.clone());
        let run = async move {
            let mut tasks = tokio::task::JoinSet::new();
            while let Some((group, per_second)) = asked.recv().await {
                let began = Instant::now();
                for place in 0..group.count {
                    let participant = group.first + place;
                    let at = began + Duration::from_secs_f64(place as f64 / per_second);
                    let seat = plan.seat(participant, &group, place, &scenario);
                    let conversation = plan.dialect.conversation(&plan.url, seat);
                    let (tell, left) = (tell.clone(), left.clone());
                    tasks.spawn(async move {
                        sleep_until(at).await;
                        if let Err(error) = attend(conversation, &tell, left).await {
                            let reason = describe_error(&error);
                            let _ = tell.send(News::Failed { participant, reason });
                        }
                    });
                }
            }
            // The owner is gone: everybody says goodbye.
            let all = async { while tasks.join_next().await.is_some() {} };
            let _ = tokio::time::timeout(GOODBYE, all).await;
        };
        let thread = std::thread::Builder::new()
            .name("signalling".into())
            .spawn(move || runtime.block_on(run))?;
        Ok(Self { news, groups, leave: Some(leave), thread: Some(thread) })
    }

    /// Lets a group join, `per_second` of them in a second.
    pub fn join(&self, group: Group, per_second: f64) {
        // The thread ends only with its owner.
        let _ = self.groups.send((group, per_second));
    }
}

impl Drop for Signalling {
    fn drop(&mut self) {
        if let Some(leave) = self.leave.take() {
            let _ = leave.send(true);
        }
        let (closed, _) = tokio::sync::mpsc::unbounded_channel();
        self.groups = closed;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn describe_error(error: &Error) -> String {
    match error {
        Error::Http(response) => {
            let body = response.body().as_deref().unwrap_or_default();
            format!("refused: {} {}", response.status(), String::from_utf8_lossy(body).trim())
        }
        other => other.to_string(),
    }
}

/// Joins, and takes part until everybody leaves or the server ends it.
async fn attend(
    mut conversation: Box<dyn Conversation>,
    tell: &Sender<News>,
    mut left: watch::Receiver<bool>,
) -> Result<(), Error> {
    let config = WebSocketConfig::default().max_message_size(Some(MAX_MESSAGE_BYTES));
    let request = conversation.opening()?;
    let (mut socket, _) = connect_async_with_config(request, Some(config), false).await?;
    let mut alive = interval(conversation.alive_every());
    alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut leaving = false;
    while !leaving {
        tokio::select! {
            frame = socket.next() => match frame {
                Some(Ok(Message::Close(_))) | None => return Err(Error::ConnectionClosed),
                Some(frame) => conversation.handle_frame(frame?),
            },
            _ = alive.tick() => conversation.handle_alive(),
            _ = left.changed() => {
                conversation.handle_leave();
                leaving = true;
            }
        }
        for news in conversation.poll_news() {
            let _ = tell.send(news);
        }
        if conversation.is_over() {
            break;
        }
        for frame in conversation.poll_frames() {
            socket.send(frame).await?;
        }
    }
    let _ = socket.close(None).await;
    Ok(())
}
