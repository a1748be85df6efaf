//! Two sessions and a network between them, in virtual time: it loses, delays, repeats and
//! overtakes as its seed says, and shows every datagram to who wants to meddle.

use ringway_dtls::{Config, Connected, Context, Event, Failure, Session};

/// When certificates are made, seconds since 1970.
pub(crate) const UNIX_S: u64 = 1_800_000_000;
/// One way, ns.
const DELAY_NS: u64 = 20_000_000;

pub(crate) fn context(config: &Config) -> Context {
    Context::new(config, UNIX_S).expect("a context")
}

/// What the network does to datagrams.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Weather {
    pub(crate) seed: u64,
    pub(crate) loss_percent: u64,
    pub(crate) repeat_percent: u64,
    /// Added to the delay, at random up to this, ns. More than the gap between datagrams reorders.
    pub(crate) jitter_ns: u64,
}

/// Who a datagram is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum To {
    Server,
    Client,
}

/// What one end told so far.
#[derive(Default)]
pub(crate) struct Told {
    pub(crate) connected: Option<Connected>,
    pub(crate) messages: Vec<Vec<u8>>,
    pub(crate) closed: bool,
    pub(crate) failed: Option<Failure>,
}

pub(crate) struct Network {
    pub(crate) now_ns: u64,
    pub(crate) server: Session,
    pub(crate) client: Session,
    pub(crate) server_told: Told,
    pub(crate) client_told: Told,
    /// Every datagram that either side sent, lost ones included.
    pub(crate) sent: Vec<(To, Vec<u8>)>,
    weather: Weather,
    random: u64,
    /// Arrival, order of sending, datagram.
    under_way: Vec<(u64, usize, To, Vec<u8>)>,
}

impl Network {
    pub(crate) fn new(server: &Context, client: &Context, weather: Weather) -> Self {
        Self {
            now_ns: 0,
            server: Session::server(server),
            client: Session::client(client, 0),
            server_told: Told::default(),
            client_told: Told::default(),
            sent: Vec::new(),
            weather,
            random: weather.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            under_way: Vec::new(),
        }
    }

    fn roll(&mut self, sides: u64) -> u64 {
        // xorshift64
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % sides.max(1)
    }

    /// Puts a datagram into the network, as an endpoint or as a forger.
    pub(crate) fn send(&mut self, to: To, datagram: Vec<u8>) {
        self.sent.push((to, datagram.clone()));
        let copies = 1 + u64::from(self.roll(100) < self.weather.repeat_percent);
        for _ in 0..copies {
            if self.roll(100) >= self.weather.loss_percent {
                let delay_ns = DELAY_NS + self.roll(self.weather.jitter_ns);
                let arrival_ns = self.now_ns + delay_ns;
                self.under_way.push((arrival_ns, self.sent.len(), to, datagram.clone()));
            }
        }
    }

    /// Hands a datagram over at once.
    pub(crate) fn hand(&mut self, to: To, datagram: &[u8]) {
        let now_ns = self.now_ns;
        match to {
            To::Server => self.server.handle_datagram(now_ns, datagram),
            To::Client => self.client.handle_datagram(now_ns, datagram),
        }
        self.collect();
    }

    /// Takes what both ends have to say.
    pub(crate) fn collect(&mut self) {
        let mut out = Vec::new();
        while let Some(datagram) = self.server.poll_transmit() {
            out.push((To::Client, datagram.to_vec()));
        }
        while let Some(datagram) = self.client.poll_transmit() {
            out.push((To::Server, datagram.to_vec()));
        }
        for (to, datagram) in out {
            self.send(to, datagram);
        }
        listen(&mut self.server, &mut self.server_told);
        listen(&mut self.client, &mut self.client_told);
    }

    /// The next moment at which something happens, and lets it happen. False if nothing ever will.
    pub(crate) fn step(&mut self) -> bool {
        self.collect();
        let arrival = self.under_way.iter().min_by_key(|entry| (entry.0, entry.1)).cloned();
        let arrival_ns = arrival.as_ref().map(|entry| entry.0);
        let deadlines = [self.server.deadline(), self.client.deadline()];
        let Some(next_ns) = deadlines.into_iter().flatten().chain(arrival_ns).min() else {
            return false;
        };
        self.now_ns = self.now_ns.max(next_ns);
        if let Some((_, order, to, datagram)) = arrival.filter(|entry| entry.0 == next_ns) {
            let at = self.under_way.iter().position(|entry| (entry.0, entry.1) == (next_ns, order));
            self.under_way.swap_remove(at.expect("the one just found"));
            self.hand(to, &datagram);
        }
        self.server.handle_timeout(self.now_ns);
        self.client.handle_timeout(self.now_ns);
        self.collect();
        true
    }

    /// Goes on until `until` or `limit_ns`.
    pub(crate) fn run(&mut self, limit_ns: u64, until: impl Fn(&Self) -> bool) -> bool {
        while !until(self) {
            if self.now_ns > limit_ns || !self.step() {
                return until(self);
            }
        }
        true
    }

    pub(crate) fn connect(&mut self) {
        let weather = self.weather;
        let done = self.run(120_000_000_000, Self::both_connected);
        assert!(done, "{weather:?}: {:?} {:?}", self.server_told.failed, self.client_told.failed);
    }

    pub(crate) fn both_connected(&self) -> bool {
        self.server_told.connected.is_some() && self.client_told.connected.is_some()
    }

    /// Both ends have the same keys and send each other a message.
    pub(crate) fn check_connection(&mut self) {
        let server = self.server_told.connected.as_ref().expect("the server is connected");
        let client = self.client_told.connected.as_ref().expect("the client is connected");
        match (&server.srtp, &client.srtp) {
            (Some(one), Some(two)) => {
                assert_eq!(one.profile(), two.profile());
                assert_eq!(one.client_key(), two.client_key());
                assert_eq!(one.server_key(), two.server_key());
                assert_eq!(one.client_salt(), two.client_salt());
                assert_eq!(one.server_salt(), two.server_salt());
                assert_ne!(one.client_key(), one.server_key());
            }
            (one, two) => assert!(one.is_none() && two.is_none()),
        }
        // Straight across: the weather is the handshake's affair.
        self.client.send_application_data(self.now_ns, b"from the client").expect("sent");
        let datagram = self.client.poll_transmit().expect("a datagram").to_vec();
        self.hand(To::Server, &datagram);
        self.server.send_application_data(self.now_ns, b"from the server").expect("sent");
        let datagram = self.server.poll_transmit().expect("a datagram").to_vec();
        self.hand(To::Client, &datagram);
        assert_eq!(self.server_told.messages.pop().as_deref(), Some(&b"from the client"[..]));
        assert_eq!(self.client_told.messages.pop().as_deref(), Some(&b"from the server"[..]));
    }
}

fn listen(session: &mut Session, told: &mut Told) {
    while let Some(event) = session.poll_event() {
        match event {
            Event::Connected(connected) => told.connected = Some(connected),
            Event::ApplicationData(data) => told.messages.push(data.to_vec()),
            Event::Closed => told.closed = true,
            Event::Failed(failure) => told.failed = Some(failure),
        }
    }
}
