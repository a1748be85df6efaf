//! One participant's conversation: decoded requests, notices of the room and words of the data
//! plane in; responses, requests to the room and commands to the data plane out.
//!
//! It owns the peer connections as far as they are text and numbers: descriptions, credentials,
//! SSRCs, which section carries which track. It decides nothing about rooms.
//!
//! - [`first_offer`]: what comes with the join request.
//! - [`peer`]: one peer connection and its commands.
//! - [`publish`]: media that the client sends, and its offers.
//! - [`subscribe`]: media that the client receives.
//! - [`negotiate`]: when to offer, or to ask the client to; [`fading`]: what has to wait for that.
//! - [`simulate`]: failures that clients ask for, to try themselves.
//! - [`data`]: what the client may do with data.
//! - [`hear`]: what the client asks; [`tell`]: what the room tells.
//! - [`oneshot`]: WHIP and WHEP, which have one offer and one answer.

mod data;
mod fading;
mod first_offer;
mod hear;
mod negotiate;
pub mod oneshot;
mod peer;
mod publish;
mod simulate;
mod subscribe;
mod tell;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use livekit_protocol::signal_response::Message;
use ringway_room::calls::{
    ConnectionState, Joined, MediaMatch, OfferedMedia, ParticipantSid, Request, TokenClaims,
    TrackSid, VideoQuality,
};
use ringway_sdp::{ClientFacts, Codec, Gates, Purpose};

use crate::client::Client;
use crate::join::Join;
use crate::plane::{Ask, PlaneInfo, SourceKey, SourceKind, TransportKey};
use crate::random::Random;
use crate::settings::Settings;
use crate::translate;
use crate::way::{self, Way};
use first_offer::FirstOffer;
use negotiate::Negotiation;
use peer::Peer;
use publish::{Published, Unmatched};
use simulate::{Cut, Simulated};
use subscribe::Subscription;

/// What a session must look up elsewhere.
pub trait World {
    /// Which track a media section of this client carries, see `Calls::match_media`.
    fn match_media(&self, offered: &OfferedMedia<'_>) -> MediaMatch;

    /// The sources of a published track, the publisher's first codec first.
    fn sources(&self, track: TrackSid) -> Vec<TrackSource>;
}

/// A source as subscribers need to know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackSource {
    /// Its name in the data plane.
    pub source: SourceKey,
    /// The shard that it comes in on.
    pub shard: u16,
    /// What it shows.
    pub kind: SourceKind,
    /// What it carries.
    pub codec: Codec,
    /// The publisher's format parameters.
    pub fmtp: String,
}

/// What should happen.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Tell the client. In a box: a response is an order larger than all other outputs.
    Respond(Box<Message>),
    /// Ask the room, or report to it.
    Room(Request),
    /// Command the data plane.
    Plane(Ask),
    /// A track has another source; its subscribers may wait for it.
    Published(TrackSid, TrackSource),
    /// A source is gone.
    Unpublished(TrackSid, SourceKey),
    /// When the same participant begins anew, tell it of this way to reach us.
    Way(Way),
    /// Mint a token and tell it to the client.
    RefreshToken(Box<TokenClaims>),
    /// Close the signalling connection once all is told.
    HangUp,
    /// The session is over: forget it.
    End,
}

/// Messages that had no effect, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ignored {
    /// Messages that we do not know or do not serve.
    pub unknown: u64,
    /// Offers and answers that are not SDP.
    pub not_sdp: u64,
    /// Answers to an offer that is not the last one.
    pub stale_answers: u64,
    /// ICE candidates: an ICE-lite server needs none.
    pub candidates: u64,
    /// Requests about tracks whose ids are none.
    pub no_such_track: u64,
}

/// What a session begins with.
pub struct Start<'a> {
    /// Of the server.
    pub settings: Arc<Settings>,
    /// Of the data plane.
    pub plane: Arc<PlaneInfo>,
    /// What the room said.
    pub joined: &'a Joined,
    /// What the client said.
    pub join: Join,
    /// What the client is.
    pub client: Client,
    /// How the client shall reach us.
    pub way: Way,
    /// STUN and TURN servers for it.
    pub ice_servers: Vec<livekit_protocol::IceServer>,
    /// From the system's random device.
    pub seed: [u64; 4],
    /// Now.
    pub now_ms: u64,
}

/// One participant's conversation.
#[derive(Debug)]
pub struct Session {
    settings: Arc<Settings>,
    client: Client,
    random: Random,
    participant: ParticipantSid,
    /// The room as the data plane knows it.
    room: u64,
    shard: u16,
    single: bool,
    way: Way,
    /// The client was told of TURN servers.
    relayed: bool,
    /// The client's streams are named so that it plays tracks of one participant in step.
    sync_streams: bool,
    /// Offered or answered in full once (WHIP, WHEP).
    one_shot: bool,
    subscriber_primary: bool,
    publisher: Peer,
    subscriber: Option<Peer>,
    /// Media that the client sends, by mid of the publisher connection.
    published: BTreeMap<String, Published>,
    /// Sections that nobody has announced a track for, by mid.
    unmatched: BTreeMap<String, Unmatched>,
    /// Tracks that the room has taken up for this client.
    announced: BTreeSet<TrackSid>,
    subscriptions: BTreeMap<TrackSid, Subscription>,
    earlier: subscribe::Earlier,
    negotiation: Negotiation,
    data: data::DataFacts,
    /// Wanted qualities, to be said again after answers.
    qualities: BTreeMap<TrackSid, Vec<(String, VideoQuality)>>,
    ignored: Ignored,
    over: bool,
    /// The client leaves and does not say why, as Go's SDK does that is about to join anew. Told
    /// that it is over it would take that for the end of all.
    returns: bool,
    simulated: Simulated,
    first_offer: FirstOffer,
    /// Sections of a WHEP client.
    slots: Vec<oneshot::Slot>,
    outputs: VecDeque<Output>,
}

impl Session {
    /// Begins a session; the first output is the join response. Once what comes out is carried out,
    /// announcements of tracks above all, [`Session::begin`] answers an offer that came along.
    pub fn new(mut start: Start<'_>) -> Self {
        let (now_ms, joined) = (start.now_ms, start.joined);
        let tracks = std::mem::take(&mut start.join.add_tracks);
        let offer = start.join.offer.take();
        let ice_servers = std::mem::take(&mut start.ice_servers);
        let mut session = Self::build(start, None);
        session.welcome(now_ms, joined, ice_servers);
        for add in tracks {
            session.handle_add_track(add);
        }
        session.first_offer.offer = offer;
        session
    }

    fn build(start: Start<'_>, one_shot: Option<Purpose>) -> Self {
        let Start { settings, plane, joined, join, client, way, seed, .. } = start;
        let mut random = Random::new(seed);
        let gates = gates_of(&client);
        let lite = !settings.full_ice || (client.takes_ice_lite() && !join.disable_ice_lite);
        let tcp = settings.ice_tcp && client.takes_ice_tcp() && !gates.no_ice_tcp;
        // Pictures that are held back would go out of step with the sound.
        let unsynced = joined.room.sync_streams && client.is_firefox();
        let basis = peer::Basis {
            settings: &settings,
            plane: &plane,
            gates: &gates,
            shard: joined.shard,
            lite,
            tcp,
            way,
            playout_delay: joined.room.max_playout_delay_ms > 0 && !unsynced,
            trailer: &joined.sif_trailer,
        };
        let usual = if join.single { Purpose::Single } else { Purpose::Publisher };
        let purpose = one_shot.unwrap_or(usual);
        let publisher = Peer::new(&basis, purpose, &mut random);
        let subscriber =
            (!join.single).then(|| Peer::new(&basis, Purpose::Subscriber, &mut random));
        let can_subscribe = joined.participant.permission.can_subscribe;
        let subscriber_primary = !join.single && client.takes_subscriber_primary() && can_subscribe;
        let sync_streams = joined.room.sync_streams && client.takes_synced_streams();
        // Where a stream is no track's, clients know a track by its id, and a receiver keeps the id
        // of its first track.
        let keeps_apart = gates.no_section_reuse || !client.reuses_sections() || sync_streams;
        let mut negotiation = Negotiation::new(keeps_apart);
        if subscriber_primary {
            // The first section of all, so that it carries the transport.
            let _ = negotiation.sections.add_data();
        }
        Self {
            settings,
            client,
            random,
            participant: joined.participant.sid,
            room: joined.room.sid.key(),
            shard: joined.shard,
            single: join.single,
            way,
            relayed: false,
            sync_streams,
            one_shot: one_shot.is_some(),
            subscriber_primary,
            publisher,
            subscriber,
            published: BTreeMap::new(),
            unmatched: BTreeMap::new(),
            announced: BTreeSet::new(),
            subscriptions: BTreeMap::new(),
            earlier: subscribe::Earlier::default(),
            negotiation,
            data: data::DataFacts::of(&joined.participant),
            qualities: BTreeMap::new(),
            ignored: Ignored::default(),
            over: false,
            returns: false,
            simulated: Simulated::default(),
            first_offer: FirstOffer::default(),
            slots: Vec::new(),
            outputs: VecDeque::new(),
        }
    }

    fn welcome(
        &mut self,
        now_ms: u64,
        joined: &Joined,
        ice_servers: Vec<livekit_protocol::IceServer>,
    ) {
        let codecs = &self.settings.enabled_codecs;
        let permission = &joined.participant.permission;
        let mut response = self.settings.join_response(&self.client);
        self.relayed = way::are_relays(&ice_servers);
        self.way.configure(&mut response.client_configuration);
        response.ice_servers = ice_servers;
        response.room = Some(translate::room(&joined.room, codecs));
        response.participant = Some(translate::participant(&joined.participant));
        response.other_participants =
            joined.others.iter().map(|other| translate::participant(other)).collect();
        response.subscriber_primary = self.subscriber_primary;
        response.sif_trailer.clone_from(&joined.sif_trailer);
        response.fast_publish = permission.can_publish;
        self.respond(Message::Join(response));
        if self.subscriber_primary {
            self.want_negotiation(now_ms);
        }
    }

    /// The client is back on another signalling connection, and resumes. The first output is the
    /// reconnect response, if the client can take one.
    pub fn handle_resumed(
        &mut self,
        now_ms: u64,
        joined: &Joined,
        join: Join,
        client: Client,
        ice_servers: Vec<livekit_protocol::IceServer>,
        world: &dyn World,
    ) {
        self.outputs.retain(|output| !matches!(output, Output::Respond(_) | Output::HangUp));
        self.client = client;
        let cut = self.simulated.take_cut(now_ms);
        if cut == Some(Cut::Silent) {
            return self.cut();
        }
        if self.client.takes_reconnect_response() {
            let mut response = self.settings.reconnect_response(&self.client);
            self.way.configure(&mut response.client_configuration);
            response.ice_servers = ice_servers;
            response.last_message_seq = self.last_message();
            self.respond(Message::Reconnect(response));
        }
        let departed = match &joined.admission {
            ringway_room::calls::Admission::Resumed { departed }
                if self.client.takes_disconnected() =>
            {
                departed.as_slice()
            }
            _ => &[],
        };
        let all = std::iter::once(&joined.participant).chain(&joined.others).chain(departed);
        let participants = all.map(|one| translate::participant(one)).collect();
        let update = livekit_protocol::ParticipantUpdate { participants };
        self.respond(Message::Update(update));
        let room = translate::room(&joined.room, &self.settings.enabled_codecs);
        self.respond(Message::RoomUpdate(livekit_protocol::RoomUpdate { room: Some(room) }));
        self.repeat_data_handles();
        self.restart_subscriber(now_ms);
        if let Some(state) = join.sync_state {
            self.handle_sync_state(&state);
        }
        if let Some(offer) = join.offer {
            self.handle_offer(now_ms, &offer, world);
        }
        if cut.is_some() {
            self.cut();
        }
    }

    /// Media can flow over a transport.
    pub fn handle_connected(&mut self, transport: TransportKey) {
        self.report_connection(transport, ConnectionState::Connected);
    }

    /// A transport broke.
    pub fn handle_failed(&mut self, transport: TransportKey) {
        self.report_connection(transport, ConnectionState::Failed);
    }

    /// The client closed a transport.
    pub fn handle_closed(&mut self, transport: TransportKey) {
        self.report_connection(transport, ConnectionState::Closed);
    }

    fn report_connection(&mut self, transport: TransportKey, state: ConnectionState) {
        let is_publisher = self.publisher.key == transport;
        let is_subscriber = self.subscriber.as_ref().is_some_and(|peer| peer.key == transport);
        if is_publisher || is_subscriber {
            let primary = if self.subscriber_primary { is_subscriber } else { is_publisher };
            self.ask_room(Request::PeerConnection { primary, state });
        }
    }

    /// A track that this client subscribes to has another source.
    pub fn handle_source(&mut self, track: TrackSid, world: &dyn World) {
        if self.one_shot {
            return self.fill_slots(world);
        }
        self.route(track, world);
    }

    /// A source that this client may receive is gone, and its routes with it.
    pub fn handle_source_gone(&mut self, track: TrackSid, source: SourceKey, world: &dyn World) {
        let gone = self.subscriptions.get_mut(&track).and_then(|subscription| {
            let routed = subscription.routed?;
            (routed.source == source).then(|| {
                subscription.routed = None;
                routed.route
            })
        });
        if let Some(route) = gone {
            self.ask_plane(Ask::RemoveRoute { route });
            self.free_slot(track);
            self.handle_source(track, world);
        }
    }

    /// Whether this client subscribes to a track.
    pub fn subscribes(&self, track: TrackSid) -> bool {
        self.subscriptions.contains_key(&track)
    }

    /// Time has come to `now_ms`.
    pub fn handle_timeout(&mut self, now_ms: u64, world: &dyn World) {
        self.answer_due_offer(now_ms, world);
        self.negotiate(now_ms, world);
        self.repeat_qualities(now_ms);
    }

    /// When [`Session::handle_timeout`] is due, at the latest, ms.
    pub fn deadline(&self) -> Option<u64> {
        [self.negotiation.deadline(), self.first_offer.due_ms].into_iter().flatten().min()
    }

    /// What should happen next.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Messages that had no effect.
    pub fn ignored(&self) -> Ignored {
        self.ignored
    }

    /// Announces tracks on behalf of a client that does not.
    pub fn announce(&mut self, tracks: Vec<livekit_protocol::AddTrackRequest>) {
        for add in tracks {
            self.handle_add_track(add);
        }
    }

    /// Whether this is a session of WHIP or WHEP.
    pub fn is_one_shot(&self) -> bool {
        self.one_shot
    }

    /// Whose conversation this is.
    pub fn participant(&self) -> ParticipantSid {
        self.participant
    }

    /// The shard that serves it.
    pub fn shard(&self) -> u16 {
        self.shard
    }

    /// The room as the data plane knows it.
    pub fn room(&self) -> u64 {
        self.room
    }

    /// What the client is.
    pub fn client(&self) -> &Client {
        &self.client
    }

    fn respond(&mut self, message: Message) {
        if !self.over && !self.one_shot {
            self.outputs.push_back(Output::Respond(Box::new(message)));
        }
    }

    fn ask_room(&mut self, request: Request) {
        if !self.over {
            self.outputs.push_back(Output::Room(request));
        }
    }

    fn ask_plane(&mut self, ask: Ask) {
        self.outputs.push_back(Output::Plane(ask));
    }

    /// Our SSRCs must differ within a connection, and do within the session.
    fn fresh_ssrc(&mut self) -> u32 {
        let subscriptions = &self.subscriptions;
        let taken =
            |ssrc| subscriptions.values().any(|one| one.ssrc == ssrc || one.rtx_ssrc == Some(ssrc));
        self.random.ssrc(taken)
    }
}

fn gates_of(client: &Client) -> Gates {
    let sdk = livekit_protocol::client_info::Sdk::try_from(client.info.sdk).unwrap_or_default();
    Gates::of(&ClientFacts {
        sdk: sdk.as_str_name(),
        browser: &client.info.browser,
        browser_version: &client.info.browser_version,
        os: &client.info.os,
        device_model: &client.info.device_model,
    })
}
