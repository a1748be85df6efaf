//! Signalling of all participants, on a thread of its own: WebSockets, one conversation each.

mod conversation;
mod describe;

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use livekit_protocol::signal_request::Message as Says;
use livekit_protocol::{LeaveRequest, Ping, SignalRequest, SignalResponse};
use prost::Message as _;
use ringway_proto::dtls::Fingerprint;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::{Error, Message};

use self::conversation::Conversation;
use super::scenario::CallScenario;
use super::token::Account;
use super::track::News;

/// What every participant needs to know.
#[derive(Clone, Debug)]
pub struct SignalPlan {
    /// The server, such as `ws://host:7880`.
    pub url: String,
    /// Who we are to it.
    pub account: Account,
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

/// A client says something at least this often; LiveKit gives up after 15 s.
const PING: Duration = Duration::from_secs(5);
/// How long leaving may take.
const GOODBYE: Duration = Duration::from_millis(500);

impl Signalling {
    /// Starts the thread.
    pub fn start(plan: SignalPlan) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (tell, news) = std::sync::mpsc::channel();
        let (groups, mut asked) = tokio::sync::mpsc::unbounded_channel::<(Group, f64)>();
        let (leave, left) = watch::channel(false);
        let plan = Arc::new(plan);
        let scenario = Arc::new(plan.scenario.clone());
        let run = async move {
            let mut tasks = tokio::task::JoinSet::new();
            while let Some((group, per_second)) = asked.recv().await {
                let began = Instant::now();
                for place in 0..group.count {
                    let participant = group.first + place;
                    let at = began + Duration::from_secs_f64(place as f64 / per_second);
                    let publishes = place < group.publishers;
                    let conversation = Conversation::new(
                        participant,
                        publishes,
                        Arc::clone(&scenario),
                        &plan.certificate,
                    );
                    let plan = Arc::clone(&plan);
                    let (tell, left) = (tell.clone(), left.clone());
                    tasks.spawn(async move {
                        sleep_until(at).await;
                        let result =
                            attend(&plan, participant, group.other_room, conversation, &tell, left);
                        if let Err(error) = result.await {
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
    plan: &SignalPlan,
    participant: usize,
    other_room: bool,
    mut conversation: Conversation,
    tell: &Sender<News>,
    mut left: watch::Receiver<bool>,
) -> Result<(), Error> {
    let room = if other_room { format!("{}-beside", plan.room) } else { plan.room.clone() };
    let identity = format!("load-{participant}");
    let token = plan
        .account
        .token(&room, &identity)
        .map_err(|error| Error::Io(std::io::Error::other(error)))?;
    let url = format!(
        "{}/rtc?access_token={token}&protocol=16&sdk=go&version=2.0.0&auto_subscribe=1",
        plan.url.trim_end_matches('/')
    );
    let (mut socket, _) = connect_async(url).await?;
    let mut ping = interval(PING);
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            frame = socket.next() => match frame {
                Some(Ok(Message::Binary(bytes))) => {
                    if let Ok(SignalResponse { message: Some(message) }) =
                        SignalResponse::decode(bytes)
                    {
                        conversation.handle(message);
                    }
                }
                Some(Ok(Message::Close(_))) | None => {
                    return Err(Error::ConnectionClosed);
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error),
            },
            _ = ping.tick() => {
                let says = Says::PingReq(Ping::default());
                socket.send(encode(says)).await?;
            }
            _ = left.changed() => {
                let leave = LeaveRequest { reason: 1, ..LeaveRequest::default() };
                socket.send(encode(Says::Leave(leave))).await?;
                let _ = socket.close(None).await;
                return Ok(());
            }
        }
        for news in conversation.poll_news() {
            let _ = tell.send(news);
        }
        if conversation.is_over() {
            let _ = socket.close(None).await;
            return Ok(());
        }
        for says in conversation.poll_request() {
            socket.send(encode(says)).await?;
        }
    }
}

fn encode(message: Says) -> Message {
    Message::Binary(SignalRequest { message: Some(message) }.encode_to_vec().into())
}
