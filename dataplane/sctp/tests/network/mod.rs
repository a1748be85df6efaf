//! Two ends and a link between them, in virtual time. An end is ours or dcsctp, the foreign peer.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::time::Duration;

use dcsctp::api as foreign;
use ringway_sctp::{Association, Config, Event, SendOptions, State};

pub(crate) const MS: u64 = 1_000_000;
pub(crate) const SECOND: u64 = 1_000 * MS;

/// SplitMix64.
pub(crate) struct Random(pub u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    /// True `parts` times of a million.
    pub(crate) fn chance(&mut self, parts: u64) -> bool {
        self.below(1_000_000) < parts
    }
}

/// A message that arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Arrived {
    pub(crate) at_ns: u64,
    pub(crate) stream: u16,
    pub(crate) ppid: u32,
    pub(crate) payload: Vec<u8>,
}

/// What either kind of end says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    Connected,
    Restarted,
    Reset(Vec<u16>),
    Ended,
}

pub(crate) enum Kind {
    Ours(Box<Association>),
    Foreign(Box<dyn foreign::DcSctpSocket>),
}

/// One end.
pub(crate) struct End {
    pub(crate) kind: Kind,
    pub(crate) said: Vec<Said>,
    pub(crate) arrived: Vec<Arrived>,
    /// Messages are not taken.
    pub(crate) held: bool,
    /// Packets that it sent.
    pub(crate) packets: u64,
    foreign_packets: Vec<Vec<u8>>,
}

pub(crate) fn options() -> foreign::Options {
    foreign::Options {
        max_message_size: 262_144,
        max_receiver_window_buffer_size: 400_000,
        max_send_buffer_size: 20_000_000,
        per_stream_send_queue_limit: 16_000_000,
        announced_maximum_incoming_streams: 1_024,
        announced_maximum_outgoing_streams: 1_024,
        rto_min: Duration::from_millis(100),
        min_rtt_variance: Duration::from_millis(50),
        ..foreign::Options::default()
    }
}

impl End {
    fn of(kind: Kind) -> Self {
        let (said, arrived, foreign_packets) = (Vec::new(), Vec::new(), Vec::new());
        Self { kind, said, arrived, held: false, packets: 0, foreign_packets }
    }

    pub(crate) fn ours(seed: u64) -> Self {
        let mut random = Random(seed);
        let mut config = Config::new(random.next() as u32, random.next() as u32);
        config.max_buffered_bytes = 20_000_000;
        Self::with(config)
    }

    pub(crate) fn with(config: Config) -> Self {
        Self::of(Kind::Ours(Box::new(Association::new(0, config))))
    }

    pub(crate) fn foreign() -> Self {
        Self::of(Kind::Foreign(dcsctp::new_socket("", &options())))
    }

    /// Our association.
    pub(crate) fn association(&mut self) -> &mut Association {
        match &mut self.kind {
            Kind::Ours(association) => association,
            Kind::Foreign(_) => panic!("not ours"),
        }
    }

    pub(crate) fn connect(&mut self) {
        match &mut self.kind {
            Kind::Ours(association) => association.connect(),
            Kind::Foreign(socket) => {
                socket.advance_time(foreign::SocketTime::zero());
                socket.connect();
            }
        }
    }

    pub(crate) fn close(&mut self) {
        match &mut self.kind {
            Kind::Ours(association) => association.close(),
            Kind::Foreign(socket) => socket.close(),
        }
    }

    pub(crate) fn shutdown(&mut self) {
        match &mut self.kind {
            Kind::Ours(_) => panic!("ours never does"),
            Kind::Foreign(socket) => socket.shutdown(),
        }
    }

    pub(crate) fn reset(&mut self, streams: &[u16]) {
        match &mut self.kind {
            Kind::Ours(association) => association.reset_streams(streams),
            Kind::Foreign(socket) => {
                let ids: Vec<_> = streams.iter().map(|id| foreign::StreamId(*id)).collect();
                socket.reset_streams(&ids).expect("reset");
            }
        }
    }

    pub(crate) fn buffered(&self, stream: u16) -> usize {
        match &self.kind {
            Kind::Ours(association) => association.buffered_bytes(stream),
            Kind::Foreign(socket) => socket.buffered_amount(foreign::StreamId(stream)),
        }
    }

    pub(crate) fn is_connected(&self) -> bool {
        match &self.kind {
            Kind::Ours(association) => association.state() == State::Established,
            Kind::Foreign(socket) => socket.state() == foreign::SocketState::Connected,
        }
    }

    pub(crate) fn send(
        &mut self,
        now_ns: u64,
        stream: u16,
        ppid: u32,
        payload: &[u8],
        how: SendOptions,
    ) {
        match &mut self.kind {
            Kind::Ours(association) => {
                association.send(now_ns, stream, ppid, payload, how).expect("taken");
            }
            Kind::Foreign(socket) => {
                socket.advance_time(time(now_ns));
                let options = foreign::SendOptions {
                    unordered: how.unordered,
                    lifetime: how.lifetime_ns.map(Duration::from_nanos),
                    max_retransmissions: how.max_retransmissions,
                    lifecycle_id: None,
                };
                let (stream, ppid) = (foreign::StreamId(stream), foreign::PpId(ppid));
                let message = foreign::Message::new(stream, ppid, payload.to_vec());
                socket.send(message, &options).expect("taken");
            }
        }
    }

    pub(crate) fn handle_packet(&mut self, now_ns: u64, packet: &[u8]) {
        match &mut self.kind {
            Kind::Ours(association) => association.handle_packet(now_ns, packet),
            Kind::Foreign(socket) => {
                socket.advance_time(time(now_ns));
                socket.handle_input(packet);
            }
        }
        self.take(now_ns);
    }

    /// Takes what is there to be taken.
    pub(crate) fn take(&mut self, now_ns: u64) {
        match &mut self.kind {
            Kind::Ours(association) => {
                while !self.held
                    && let Some(message) = association.poll_message()
                {
                    self.arrived.push(Arrived {
                        at_ns: now_ns,
                        stream: message.stream,
                        ppid: message.ppid,
                        payload: message.payload,
                    });
                }
                while let Some(event) = association.poll_event() {
                    self.said.push(match event {
                        Event::Connected => Said::Connected,
                        Event::Restarted => Said::Restarted,
                        Event::StreamsReset(ids) => Said::Reset(ids),
                        Event::Ended(_) => Said::Ended,
                    });
                }
            }
            Kind::Foreign(socket) => {
                while !self.held
                    && let Some(message) = socket.get_next_message()
                {
                    self.arrived.push(Arrived {
                        at_ns: now_ns,
                        stream: message.stream_id.0,
                        ppid: message.ppid.0,
                        payload: message.payload,
                    });
                }
                self.take_foreign_events();
            }
        }
    }

    fn take_foreign_events(&mut self) {
        let Kind::Foreign(socket) = &mut self.kind else { return };
        while let Some(event) = socket.poll_event() {
            match event {
                foreign::SocketEvent::SendPacket(packet) => self.foreign_packets.push(packet),
                foreign::SocketEvent::OnConnected() => self.said.push(Said::Connected),
                foreign::SocketEvent::OnConnectionRestarted() => self.said.push(Said::Restarted),
                foreign::SocketEvent::OnIncomingStreamReset(ids) => {
                    let mut ids: Vec<u16> = ids.into_iter().map(|id| id.0).collect();
                    ids.sort_unstable();
                    self.said.push(Said::Reset(ids));
                }
                foreign::SocketEvent::OnAborted(..) | foreign::SocketEvent::OnClosed() => {
                    self.said.push(Said::Ended);
                }
                _ => {}
            }
        }
    }

    /// The packets that it wants to send.
    pub(crate) fn packets(&mut self, now_ns: u64) -> Vec<Vec<u8>> {
        self.take_foreign_events();
        let mut packets = std::mem::take(&mut self.foreign_packets);
        if let Kind::Ours(association) = &mut self.kind {
            let mut out = Vec::new();
            while association.poll_packet(now_ns, &mut out) {
                assert!(out.len() <= 1_191 && out.len() % 4 == 0, "{}", out.len());
                packets.push(out.clone());
                assert!(packets.len() < 3_000, "no end of packets");
            }
        }
        self.packets += packets.len() as u64;
        packets
    }

    pub(crate) fn deadline(&self) -> Option<u64> {
        match &self.kind {
            Kind::Ours(association) => association.deadline(),
            Kind::Foreign(socket) => {
                let at = socket.poll_timeout();
                let finite = at != foreign::SocketTime::infinite_future();
                finite.then(|| (at - foreign::SocketTime::zero()).as_nanos() as u64)
            }
        }
    }

    pub(crate) fn handle_timeout(&mut self, now_ns: u64) {
        match &mut self.kind {
            Kind::Ours(association) => association.handle_timeout(now_ns),
            Kind::Foreign(socket) => socket.advance_time(time(now_ns)),
        }
        self.take(now_ns);
    }
}

fn time(now_ns: u64) -> foreign::SocketTime {
    foreign::SocketTime::zero() + Duration::from_nanos(now_ns)
}

/// What a link does; chances are parts of a million.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link {
    pub(crate) delay_ns: u64,
    pub(crate) jitter_ns: u64,
    pub(crate) loss: u64,
    pub(crate) duplication: u64,
    /// 0: without a limit.
    pub(crate) bits_per_second: u64,
    /// What waits for the line, at most.
    pub(crate) queue_bytes: u64,
}

impl Default for Link {
    fn default() -> Self {
        Self {
            delay_ns: 25 * MS,
            jitter_ns: 0,
            loss: 0,
            duplication: 0,
            bits_per_second: 0,
            queue_bytes: 100_000,
        }
    }
}

/// Both ends, and what is between them.
pub(crate) struct Net {
    pub(crate) now_ns: u64,
    pub(crate) ends: [End; 2],
    pub(crate) link: Link,
    pub(crate) random: Random,
    /// By the time of arrival and a running number: to whom, and what.
    air: BTreeMap<(u64, u64), (usize, Vec<u8>)>,
    sent: u64,
    free_ns: [u64; 2],
    /// Nothing gets through.
    pub(crate) cut: bool,
}

impl Net {
    pub(crate) fn new(seed: u64, link: Link, ends: [End; 2]) -> Self {
        Self {
            now_ns: 0,
            ends,
            link,
            random: Random(seed),
            air: BTreeMap::new(),
            sent: 0,
            free_ns: [0; 2],
            cut: false,
        }
    }

    /// Both know each other, over a link that loses nothing yet.
    pub(crate) fn connected(seed: u64, link: Link, ends: [End; 2]) -> Self {
        let mut net = Self::new(seed, Link { loss: 0, duplication: 0, ..link }, ends);
        net.ends[0].connect();
        net.run(net.now_ns + 2 * SECOND);
        assert!(net.ends.iter().all(End::is_connected), "seed {seed}");
        net.link = link;
        net
    }

    fn flush(&mut self) {
        for from in 0..2 {
            for packet in self.ends[from].packets(self.now_ns) {
                self.transmit(from, packet);
            }
        }
    }

    fn transmit(&mut self, from: usize, packet: Vec<u8>) {
        let link = self.link;
        let mut leaves_ns = self.now_ns;
        if link.bits_per_second > 0 {
            // UDP and DTLS cost about 66 bytes more.
            let bits = (packet.len() as u64 + 66) * 8;
            let begins_ns = self.free_ns[from].max(self.now_ns);
            let waiting = (begins_ns - self.now_ns) * link.bits_per_second / 8 / SECOND;
            if waiting > link.queue_bytes {
                return;
            }
            leaves_ns = begins_ns + bits * SECOND / link.bits_per_second;
            self.free_ns[from] = leaves_ns;
        }
        if self.cut || self.random.chance(link.loss) {
            return;
        }
        let copies = 1 + u64::from(self.random.chance(link.duplication));
        for _ in 0..copies {
            let jitter_ns = self.random.below(link.jitter_ns + 1);
            self.sent += 1;
            let key = (leaves_ns + link.delay_ns + jitter_ns, self.sent);
            self.air.insert(key, (1 - from, packet.clone()));
        }
    }

    /// The time of whatever happens next.
    fn next(&self) -> Option<u64> {
        let arrival = self.air.keys().next().map(|key| key.0);
        let deadlines = self.ends.iter().filter_map(End::deadline);
        deadlines.chain(arrival).min().map(|at_ns| at_ns.max(self.now_ns))
    }

    /// Lets time pass.
    pub(crate) fn run(&mut self, until_ns: u64) {
        let mut idle = 0;
        loop {
            self.flush();
            let Some(next_ns) = self.next().filter(|next_ns| *next_ns <= until_ns) else { break };
            idle = if next_ns == self.now_ns { idle + 1 } else { 0 };
            assert!(idle < 100_000, "time stands still");
            self.now_ns = next_ns;
            while let Some(entry) = self.air.first_entry()
                && entry.key().0 <= next_ns
            {
                let (to, packet) = entry.remove();
                self.ends[to].handle_packet(next_ns, &packet);
                for packet in self.ends[to].packets(next_ns) {
                    self.transmit(to, packet);
                }
            }
            for end in &mut self.ends {
                if end.deadline().is_some_and(|at_ns| at_ns <= next_ns) {
                    end.handle_timeout(next_ns);
                }
            }
        }
        self.now_ns = until_ns;
        self.flush();
    }

    pub(crate) fn send(&mut self, from: usize, stream: u16, payload: &[u8], how: SendOptions) {
        self.ends[from].send(self.now_ns, stream, 53, payload, how);
        self.flush();
    }
}
