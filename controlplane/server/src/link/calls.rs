//! Calls over the link: media sockets opened on every shard, commands and events translated.
//!
//! When the data plane is joined it may have calls of a control plane that is gone. Their clients
//! have to join anew, which they do by themselves once their signalling is back; until then the old
//! transports go on for a while. Then every shard opens its sockets and the first one has TCP
//! listened to and TURN clients relayed. Only when all have is the rest of the server told that
//! calls can be made.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use ringway_abi::call as abi;
use ringway_abi::message::{Command, Event, Outcome, Refusal};
use ringway_signal::plane::{
    Ask, Fingerprint, HashAlgorithm, PlaneEvent, PlaneInfo, ShardAddresses, Subject,
};
use tokio::sync::mpsc;

use super::relay::RelaySettings;
use super::translate_calls as translate;
use crate::rtc::task::PlaneNews;

/// Requests about calls have this bit, those about forwards do not.
const CALLS: u64 = 1 << 63;
/// How long transports of an earlier control plane may go on: longer than the 10.5 s that LiveKit's
/// clients pause at most between two attempts to come back. Raised: clients without signalling
/// (WHIP, WHEP) notice later that nobody new sees them. Lowered: clients that come back late see a
/// gap.
const LINGER_MS: u32 = 12_000;
/// How long a data plane that was killed may keep ports, at most: the kernel closes the sockets of
/// io_uring in the background, on a busy machine after a second or two. Raised: a port that is
/// another program's is complained about later.
const PORTS_FREED_WITHIN: Duration = Duration::from_secs(10);
/// How long the ports of calls are waited for until the server is said to be well without them.
/// Raised: who only forwards waits longer where somebody else has a port; lowered: after a data
/// plane was killed some are told to come too early.
const SETTLED_WITHIN: Duration = Duration::from_secs(2);

/// Where media is received, and where clients are told to send it.
#[derive(Clone, Debug)]
pub struct MediaAddresses {
    /// Address that shards bind.
    pub bind: IpAddr,
    /// UDP ports of the shards.
    pub udp_ports: UdpPorts,
    /// TCP port of all shards; 0: none.
    pub tcp_port: u16,
    /// Addresses that clients are told, the best first.
    pub advertised: Vec<IpAddr>,
    /// Addresses of this machine, where a family has several: answers leave from the one that was
    /// asked.
    pub own: Vec<IpAddr>,
    /// How TURN clients are relayed, if they are.
    pub relay: Option<RelaySettings>,
}

/// Which UDP ports shards take, one each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UdpPorts {
    /// Any that is free.
    Any,
    /// The first shard this one, the others those that follow; all must be free.
    From(u16),
    /// Of these in their order those that are free.
    Among(Vec<u16>),
    /// None: all clients use TCP.
    Closed,
}

impl UdpPorts {
    /// The `number`th port, from 0; `None` if there are not so many.
    fn get(&self, number: usize) -> Option<u16> {
        match self {
            // A shard cannot do without a socket.
            Self::Any | Self::Closed => Some(0),
            Self::From(first) => first.checked_add(u16::try_from(number).ok()?),
            Self::Among(ports) => ports.get(number).copied(),
        }
    }
}

/// What the link and the task of the calls exchange.
pub struct CallEnds {
    /// What the link tells.
    pub news: mpsc::Sender<PlaneNews>,
    /// What shards are asked.
    pub asks: mpsc::UnboundedReceiver<(u16, Ask)>,
    /// Where media is received.
    pub media: MediaAddresses,
}

/// Calls on one joined data plane.
pub(super) struct Calls<'a> {
    pub(super) ends: &'a mut CallEnds,
    next: u64,
    subjects: HashMap<u64, Subject>,
    /// Shards whose media sockets are not open yet and the ports that they try, by request.
    opening: HashMap<u64, (u16, u16)>,
    /// Sockets of single addresses that are being opened.
    beside: HashSet<u64>,
    /// How many of the ports were tried.
    tried: usize,
    /// A shard has no port.
    portless: bool,
    /// The request for TCP, while it is not answered.
    listening: Option<u64>,
    /// The requests for relays, while they are not answered.
    relaying: HashMap<u64, abi::CallCommand>,
    /// What found its port taken and is asked again.
    again: Vec<(u16, Again)>,
    joined_at: Instant,
    /// It may have had calls of an earlier control plane.
    in_service: bool,
    /// It was said that somebody else has the port.
    told_taken: bool,
    opened: Vec<ShardAddresses>,
    fingerprint: Option<Fingerprint>,
}

/// What is to be asked again.
enum Again {
    /// For the next free port.
    Media,
    Listen,
    Relay(Box<abi::CallCommand>),
}

impl<'a> Calls<'a> {
    /// A data plane was joined; the commands go to it first.
    pub(super) fn begin(
        ends: &'a mut CallEnds,
        shards: u16,
        in_service: bool,
    ) -> (Self, Vec<(u16, Command)>) {
        // What was asked of the one before means nothing to this one.
        while ends.asks.try_recv().is_ok() {}
        let media = ends.media.clone();
        let mut calls = Self {
            ends,
            next: 0,
            subjects: HashMap::new(),
            opening: HashMap::new(),
            beside: HashSet::new(),
            tried: 0,
            portless: false,
            listening: None,
            relaying: HashMap::new(),
            again: Vec::new(),
            joined_at: Instant::now(),
            in_service,
            told_taken: false,
            opened: vec![ShardAddresses::default(); usize::from(shards)],
            fingerprint: None,
        };
        let mut commands = Vec::new();
        for shard in 0..shards {
            let request = calls.number();
            let call = abi::CallCommand::Disown { linger_ms: LINGER_MS };
            commands.push((shard, Command::Call { request, call }));
            commands.extend(calls.open_next(shard));
        }
        if media.tcp_port != 0 {
            commands.push((0, calls.listen()));
        }
        let relay = media.relay.iter();
        for call in relay.flat_map(|relay| relay.commands(media.bind, &media.advertised)) {
            commands.push((0, calls.relay(call)));
        }
        (calls, commands)
    }

    fn listen(&mut self) -> Command {
        let request = self.number();
        self.listening = Some(request);
        let media = &self.ends.media;
        let tcp = SocketAddr::new(media.bind, media.tcp_port);
        Command::Call { request, call: abi::CallCommand::Listen { tcp } }
    }

    fn relay(&mut self, call: abi::CallCommand) -> Command {
        let request = self.number();
        self.relaying.insert(request, call);
        Command::Call { request, call }
    }

    fn is_all_open(&self) -> bool {
        self.opening.is_empty()
            && self.beside.is_empty()
            && self.listening.is_none()
            && self.relaying.is_empty()
            && self.again.is_empty()
    }

    /// Whether all is open, or others have kept the ports for so long that they are not ours.
    pub(super) fn is_settled(&self) -> bool {
        self.is_all_open() || self.joined_at.elapsed() >= SETTLED_WITHIN
    }

    /// Asks again for what found its port taken. To be called a few times a second.
    pub(super) fn ask_again(&mut self) -> Vec<(u16, Command)> {
        let again = std::mem::take(&mut self.again);
        if !again.is_empty() {
            self.tried = 0;
        }
        let ask = |(shard, what)| match what {
            Again::Media => self.open_next(shard),
            Again::Listen => Some((shard, self.listen())),
            Again::Relay(call) => Some((shard, self.relay(*call))),
        };
        again.into_iter().filter_map(ask).collect()
    }

    /// Whether the port of the data plane that was killed may be about to be free.
    fn is_passing(&self, outcome: &Outcome) -> bool {
        matches!(outcome, Outcome::Refused { reason: Refusal::PortInUse, .. })
            && self.joined_at.elapsed() < PORTS_FREED_WITHIN
    }

    /// Lets a shard try the next port; `None` when there is none left for now.
    fn open_next(&mut self, shard: u16) -> Option<(u16, Command)> {
        let media = &self.ends.media;
        let Some(port) = media.udp_ports.get(self.tried) else {
            self.again.push((shard, Again::Media));
            if !std::mem::replace(&mut self.told_taken, true) {
                tracing::error!(
                    shard,
                    tried = self.tried,
                    "no calls until a port is free: every shard needs a UDP port of its own, and \
                     others have all of them; give `rtc.udp_port` or `rtc.port_range_start` and \
                     `rtc.port_range_end` more"
                );
            }
            return None;
        };
        self.tried += 1;
        let bind = match media.udp_ports {
            // Nobody else reaches it there.
            UdpPorts::Closed => Ipv4Addr::LOCALHOST.into(),
            _ => media.bind,
        };
        let udp = SocketAddr::new(bind, port);
        let request = self.number();
        self.opening.insert(request, (shard, port));
        let call = abi::CallCommand::OpenMedia { udp };
        Some((shard, Command::Call { request, call }))
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        CALLS | self.next
    }

    /// A question as the contract has it; some take several commands.
    pub(super) fn commands(&mut self, ask: &Ask) -> Vec<Command> {
        let Some(calls) = translate::asks(ask) else {
            self.tell_refused(ask.subject(), "something in it is longer than the contract allows");
            return Vec::new();
        };
        let mut commands = Vec::with_capacity(calls.len());
        for call in calls {
            let request = self.number();
            self.subjects.insert(request, ask.subject());
            commands.push(Command::Call { request, call });
        }
        commands
    }

    /// Takes an event if it is about calls; otherwise it comes back. `further` gets what has to be
    /// asked next.
    pub(super) async fn handle(
        &mut self,
        shard: u16,
        event: Event,
        further: &mut Vec<(u16, Command)>,
    ) -> Option<Event> {
        match event {
            Event::Call(event) => {
                self.tell(PlaneNews::Said(translate::event(shard, event))).await;
                None
            }
            Event::Done { request, outcome } if request & CALLS != 0 => {
                further.extend(self.handle_done(request, outcome).await);
                None
            }
            other => Some(other),
        }
    }

    async fn handle_done(&mut self, request: u64, outcome: Outcome) -> Vec<(u16, Command)> {
        let subject = self.subjects.remove(&request);
        if let Some((shard, port)) = self.opening.remove(&request) {
            let next = self.handle_opened(shard, port, outcome);
            self.tell_opened().await;
            return next;
        } else if self.beside.remove(&request) {
            self.tell_opened().await;
        } else if self.listening == Some(request) {
            self.listening = None;
            self.handle_listening(outcome);
            self.tell_opened().await;
        } else if let Some(call) = self.relaying.remove(&request) {
            self.handle_relaying(call, outcome);
            self.tell_opened().await;
        } else if let (Outcome::Refused { reason, .. }, Some(subject)) = (outcome, subject) {
            let reason = translate::refusal(reason);
            self.tell(PlaneNews::Said(PlaneEvent::Refused { subject, reason })).await;
        }
        Vec::new()
    }

    /// Gives what to ask next: for another port where somebody else has this one, else for sockets
    /// of single addresses.
    fn handle_opened(&mut self, shard: u16, port: u16, outcome: Outcome) -> Vec<(u16, Command)> {
        let Outcome::Media { udp, fingerprint } = outcome else {
            let taken = matches!(outcome, Outcome::Refused { reason: Refusal::PortInUse, .. });
            let several = matches!(self.ends.media.udp_ports, UdpPorts::Among(_));
            if taken && several {
                // Once is enough where all are tried again and again.
                if !self.told_taken {
                    tracing::warn!(
                        shard,
                        port,
                        "somebody else has this UDP port: trying the next one"
                    );
                }
                return self.open_next(shard).into_iter().collect();
            }
            if taken {
                self.wait_for_port(shard, port);
                return Vec::new();
            }
            self.portless = true;
            tracing::error!(
                shard,
                port,
                ?outcome,
                "no calls: the data plane cannot open the UDP port for media; free it, or set \
                 another `rtc.udp_port`"
            );
            return Vec::new();
        };
        let digest = fingerprint.to_vec();
        self.fingerprint = Some(Fingerprint { algorithm: HashAlgorithm::Sha256, digest });
        if self.ends.media.udp_ports == UdpPorts::Closed {
            return Vec::new();
        }
        let to = |ip: &IpAddr| SocketAddr::new(*ip, udp.port());
        if let Some(addresses) = self.opened.get_mut(usize::from(shard)) {
            addresses.udp = self.ends.media.advertised.iter().map(to).collect();
        }
        tracing::info!(shard, port = udp.port(), "media is received");
        if !udp.ip().is_unspecified() {
            return Vec::new();
        }
        // Without one of these calls do as well as the kernel chooses addresses, so whatever comes
        // of it is well. But who came before it was open would be answered from elsewhere.
        let own: Vec<_> = self.ends.media.own.iter().map(to).collect();
        let open = own.into_iter().map(|udp| {
            let (request, call) = (self.number(), abi::CallCommand::OpenMedia { udp });
            self.beside.insert(request);
            (shard, Command::Call { request, call })
        });
        open.collect()
    }

    /// The only port that a shard may have is taken: most likely by a data plane that was killed
    /// and of which the kernel has not closed everything yet.
    fn wait_for_port(&mut self, shard: u16, port: u16) {
        self.again.push((shard, Again::Media));
        let long = self.joined_at.elapsed() >= PORTS_FREED_WITHIN;
        if long && !std::mem::replace(&mut self.told_taken, true) {
            tracing::error!(
                shard,
                port,
                "no calls until the UDP port for media is free: somebody else has it; end that \
                 program, or set another `rtc.udp_port`"
            );
        }
    }

    fn handle_listening(&mut self, outcome: Outcome) {
        if self.is_passing(&outcome) {
            self.again.push((0, Again::Listen));
            return;
        }
        let Outcome::Listening { tcp } = outcome else {
            tracing::error!(
                port = self.ends.media.tcp_port,
                ?outcome,
                "no calls over TCP: the data plane cannot listen on the port; free it, or set \
                 another `rtc.tcp_port`, or 0 to do without"
            );
            self.portless |= self.ends.media.udp_ports == UdpPorts::Closed;
            return;
        };
        let to = |ip: &IpAddr| SocketAddr::new(*ip, tcp.port());
        let addresses: Vec<SocketAddr> = self.ends.media.advertised.iter().map(to).collect();
        for shard in &mut self.opened {
            shard.tcp.clone_from(&addresses);
        }
    }

    fn handle_relaying(&mut self, call: abi::CallCommand, outcome: Outcome) {
        if self.is_passing(&outcome) {
            self.again.push((0, Again::Relay(Box::new(call))));
            return;
        }
        let Outcome::Refused { reason, .. } = outcome else { return };
        let ports = self.ends.media.relay.as_ref().map(RelaySettings::ports);
        tracing::error!(
            ?ports,
            ?reason,
            "no TURN: the data plane cannot open its ports; free them, or set others as \
             `turn.udp_port`, `turn.tcp_port` and `turn.tls_port`"
        );
    }

    /// When all is open, calls can be made.
    async fn tell_opened(&mut self) {
        if self.is_all_open()
            // Rooms of a shard without a port would have no media.
            && !self.portless
            && let Some(fingerprint) = self.fingerprint.clone()
        {
            let info =
                PlaneInfo { fingerprint, shards: self.opened.clone(), in_service: self.in_service };
            tracing::info!("calls can be made");
            self.tell(PlaneNews::Joined(info)).await;
        }
    }

    fn tell_refused(&mut self, subject: Subject, reason: &'static str) {
        let news = PlaneNews::Said(PlaneEvent::Refused { subject, reason });
        // Full only when the task is far behind; the refusal is then one of its lesser troubles.
        let _ = self.ends.news.try_send(news);
    }

    async fn tell(&mut self, news: PlaneNews) {
        // An error means that the task has ended, and the server with it.
        let _ = self.ends.news.send(news).await;
    }
}
