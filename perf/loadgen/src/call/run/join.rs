//! How participants come into being: by signalling, or all at once for the floor.

use super::*;
use crate::call::connection::Connection;
use crate::call::fixed::{self, KeyUse};
use crate::call::track::{ExtensionIds, IncomingTrack, MediaKind, OutgoingTrack};
use crate::kernel;
use ringway_proto::sctp::Opening;
use ringway_proto::srtp::{SrtpOpener, SrtpSealer};

/// Payload types and extension of the floor's packets, as long as those of a negotiated call.
const AUDIO_TYPE: u8 = 111;
const VIDEO_TYPE: u8 = 96;
const SEQUENCE_ID: u8 = 5;
const FLOOR_BUFFER_BYTES: usize = 2 << 20;

impl Run<'_> {
    /// Makes the participants and lets them join.
    pub(super) fn begin(&mut self) -> Result<(), CallError> {
        let scenario = &self.plan.scenario;
        let (publishers, participants) =
            (scenario.publishers as usize, scenario.participants() as usize);
        let tracks = scenario.streams_per_publisher();
        for number in 0..participants {
            let publishes = number < publishers;
            let expected_streams = match (publishes, scenario.publishers_subscribe) {
                (true, true) => (publishers - 1) * tracks,
                (true, false) => 0,
                (false, _) => publishers * tracks,
            };
            self.add_member(publishes.then_some(number), expected_streams, false);
        }
        match (&self.signalling, &self.plan.target) {
            (Some(signalling), _) => {
                let group = Group { first: 0, count: participants, publishers, other_room: false };
                signalling.join(group, self.plan.join_per_second);
                Ok(())
            }
            (None, CallTarget::Floor { server, generator }) => {
                self.join_floor(*server, *generator).map_err(set_up("the floor's sockets"))
            }
            (None, CallTarget::Server { .. }) => Ok(()),
        }
    }

    fn add_member(&mut self, publisher: Option<usize>, expected_streams: usize, late: bool) {
        let ssrc = self.random.next_ssrc();
        let data = self.plan.scenario.data.as_ref();
        self.members.push(Member {
            joined: false,
            late,
            expected_streams,
            publisher: publisher.map(|place| Publisher::new(place, data, &mut self.random)),
            sending: None,
            subscriber: Subscriber::new(ssrc),
            receiving: None,
            failure: None,
        });
    }

    fn join_floor(&mut self, server: IpAddr, generator: IpAddr) -> io::Result<()> {
        let to = std::net::SocketAddr::new(server, fixed::SERVER_PORT);
        let scenario = &self.plan.scenario;
        if scenario.data.is_some() {
            return Err(io::Error::other("the floor has no data channels"));
        }
        let start_ns = monotonic_ns() + 50_000_000;
        for number in 0..self.members.len() {
            let member = &mut self.members[number];
            member.joined = true;
            let mut open = |address, sends: bool| -> io::Result<Connection> {
                let socket = kernel::bound(address, FLOOR_BUFFER_BYTES)?;
                if sends {
                    socket.connect(to)?;
                }
                let opener = SrtpOpener::new(&fixed::key(KeyUse::Subscriber, number));
                let sealer = SrtpSealer::new(&fixed::key(KeyUse::Publisher, number));
                Connection::fixed(socket, to, opener, sealer, &mut self.random)
            };
            if member.publisher.is_some() {
                let connection = open(fixed::publisher_address(generator, number), true)?;
                self.poller.add(connection.socket(), 2 * number)?;
                member.sending = Some(connection);
            }
            if member.expected_streams > 0 {
                let connection = open(fixed::subscriber_address(generator, number), false)?;
                self.poller.add(connection.socket(), 2 * number + 1)?;
                member.receiving = Some(connection);
                member.subscriber.set_tracks(floor_streams(scenario, number));
            }
            if let Some(publisher) = &mut member.publisher {
                let tracks = floor_tracks(scenario);
                publisher.set_tracks(tracks, scenario, start_ns, &mut self.random);
                publisher.set_fixed_ssrcs();
            }
        }
        Ok(())
    }

    /// Takes what signalling has to tell, now and then.
    pub(super) fn hear_news(&mut self) -> Result<(), CallError> {
        if self.now_ns < self.news_ns {
            return Ok(());
        }
        self.news_ns = self.now_ns + NEWS_NS;
        self.hear_all_news()
    }

    /// Takes all that signalling has to tell.
    pub(super) fn hear_all_news(&mut self) -> Result<(), CallError> {
        while let Some(news) = self.signalling.as_ref().and_then(|it| it.news.try_recv().ok()) {
            self.apply(news)?;
        }
        Ok(())
    }

    fn apply(&mut self, news: News) -> Result<(), CallError> {
        match news {
            News::Joined { participant, server } => {
                self.server = server;
                if let Some(member) = self.members.get_mut(participant) {
                    member.joined = true;
                }
            }
            News::Connect { participant, side, end } => {
                let opening = match side {
                    Side::Publisher => Opening::Ours,
                    Side::Subscriber => Opening::Peer,
                };
                let data = self.plan.scenario.data.as_ref().map(|_| opening);
                let connection =
                    Connection::open(&end, &self.context, data, &mut self.random, self.now_ns)
                        .map_err(set_up("a connection"))?;
                let place = 2 * participant + usize::from(side == Side::Subscriber);
                self.poller.add(connection.socket(), place).map_err(set_up("epoll"))?;
                if let Some(member) = self.members.get_mut(participant) {
                    match side {
                        Side::Publisher => member.sending = Some(connection),
                        Side::Subscriber => member.receiving = Some(connection),
                    }
                }
            }
            News::Publish { participant, tracks } => {
                let publisher =
                    self.members.get_mut(participant).and_then(|it| it.publisher.as_mut());
                if let Some(publisher) = publisher {
                    let scenario = &self.plan.scenario;
                    publisher.set_tracks(tracks, scenario, self.now_ns, &mut self.random);
                }
            }
            News::Receive { participant, tracks } => {
                if let Some(member) = self.members.get_mut(participant) {
                    member.subscriber.set_tracks(tracks);
                }
            }
            News::Failed { participant, reason } => {
                if let Some(member) = self.members.get_mut(participant) {
                    member.failure.get_or_insert(reason);
                }
            }
        }
        Ok(())
    }

    /// Lets the storm's participants join.
    pub(super) fn begin_storm(&mut self) {
        let scenario = &self.plan.scenario;
        let (Some(storm), true) = (&scenario.storm, self.signalling.is_some()) else { return };
        let tracks = scenario.streams_per_publisher();
        let first = self.members.len();
        let count = storm.participants as usize;
        let publishers = usize::from(storm.other_room);
        let theirs = if storm.other_room { 1 } else { scenario.publishers as usize };
        let per_second = count as f64 * 1000.0 / storm.within_ms.max(1) as f64;
        let other_room = storm.other_room;
        for place in 0..count {
            let publishes = place < publishers;
            let expected_streams = if publishes { 0 } else { theirs * tracks };
            self.add_member(publishes.then_some(place), expected_streams, true);
        }
        self.storm_began_ns = self.now_ns;
        if let Some(signalling) = &self.signalling {
            signalling.join(Group { first, count, publishers, other_room }, per_second);
        }
    }
}

fn floor_tracks(scenario: &CallScenario) -> Vec<OutgoingTrack> {
    let track = |kind, payload_type| OutgoingTrack {
        kind,
        mid: String::new(),
        ssrcs: None,
        payload_type,
        rtx_payload_type: None,
        extensions: ExtensionIds { transport_sequence: SEQUENCE_ID, ..ExtensionIds::default() },
    };
    let audio = scenario.audio.iter().map(|_| track(MediaKind::Audio, AUDIO_TYPE));
    audio.chain(scenario.video.iter().map(|_| track(MediaKind::Video, VIDEO_TYPE))).collect()
}

fn floor_streams(scenario: &CallScenario, receiver: usize) -> Vec<IncomingTrack> {
    let track = |kind, payload_type, ssrc| IncomingTrack {
        kind,
        ssrc,
        rtx_ssrc: None,
        payload_type,
        rtx_payload_type: None,
        nack: false,
        remb: false,
        transport_sequence: 0,
    };
    let others = (0..scenario.publishers as u16).filter(|number| usize::from(*number) != receiver);
    let streams = others.flat_map(|number| {
        let (audio, video) = (fixed::audio_ssrc(number), fixed::video_ssrc(number, 0));
        let audio = scenario.audio.iter().map(move |_| track(MediaKind::Audio, AUDIO_TYPE, audio));
        let video = scenario.video.iter().map(move |_| track(MediaKind::Video, VIDEO_TYPE, video));
        audio.chain(video)
    });
    streams.collect()
}
