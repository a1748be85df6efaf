//! A signalling message of a client that is in, in either format.

use std::sync::Arc;

use ringway_room::calls::{
    Admission, DisconnectReason, Grants, Joined, MediaMatch, OfferedMedia, ParticipantInfo,
    ParticipantKind, ParticipantSid, ParticipantState, RoomInfo, RoomSid, TrackSid,
};
use ringway_signal::client::Client;
use ringway_signal::join::Join;
use ringway_signal::plane::{Fingerprint, HashAlgorithm, PlaneInfo, ShardAddresses};
use ringway_signal::proto::signal_request::Message;
use ringway_signal::proto::{ClientInfo, SessionDescription};
use ringway_signal::wire::{Format, Outgoing, decode_binary, decode_text};
use ringway_signal::{Output, Session, Settings, Start, TrackSource, World};

/// What one message may make a session say: an answer, a requirement, commands for as many
/// sections as a description may have.
const OUTPUTS_MAX: usize = 8192;

/// Nothing is announced, nothing is published.
pub(crate) struct Nobody;

impl World for Nobody {
    fn match_media(&self, _: &OfferedMedia<'_>) -> MediaMatch {
        MediaMatch::Unknown
    }

    fn sources(&self, _: TrackSid) -> Vec<TrackSource> {
        Vec::new()
    }
}

/// The bytes as one message, and as offer and answer of a session: nothing panics, what comes out
/// is bounded and can be written in both formats.
pub fn signal(data: &[u8]) {
    let mut messages: Vec<Option<Message>> = Vec::new();
    messages.extend(decode_binary(data).map(|request| request.message));
    if let Ok(text) = std::str::from_utf8(data) {
        messages.extend(decode_text(text).map(|request| request.message));
        let said = |id| SessionDescription { sdp: text.to_owned(), id, ..Default::default() };
        messages.push(Some(Message::Offer(said(1))));
        messages.push(Some(Message::Answer(said(1))));
    }
    for single in [false, true] {
        for message in &messages {
            let mut session = session(single);
            session.handle_timeout(1_000, &Nobody);
            drain(&mut session);
            session.handle_message(1_000, message.clone(), &Nobody);
            drain(&mut session);
            session.handle_timeout(100_000, &Nobody);
            drain(&mut session);
        }
    }
}

pub(crate) fn drain(session: &mut Session) {
    let mut count = 0;
    while let Some(output) = session.poll_output() {
        count += 1;
        assert!(count <= OUTPUTS_MAX, "one message makes too many others");
        if let Output::Respond(message) = output {
            let outgoing = Outgoing::new(*message);
            assert!(!outgoing.encoded(Format::Binary).is_empty());
            assert!(!outgoing.encoded(Format::Json).is_empty());
        }
    }
}

fn session(single: bool) -> Session {
    Session::new(start(&joined(), single))
}

pub(crate) fn start(joined: &Joined, single: bool) -> Start<'_> {
    let join = Join { single, ..Join::default() };
    let info = ClientInfo { protocol: 17, ..ClientInfo::default() };
    let fingerprint = Fingerprint { algorithm: HashAlgorithm::Sha256, digest: vec![7; 32] };
    Start {
        settings: Arc::new(Settings::default()),
        plane: Arc::new(PlaneInfo {
            fingerprint,
            shards: vec![ShardAddresses::default()],
            in_service: false,
        }),
        joined,
        join,
        client: Client { info },
        way: ringway_signal::Way::Any,
        ice_servers: Vec::new(),
        seed: [1; 4],
        now_ms: 0,
    }
}

pub(crate) fn joined() -> Joined {
    let participant = ParticipantInfo {
        sid: ParticipantSid::from_random([1; 12]),
        identity: "me".to_owned(),
        state: ParticipantState::Joining,
        tracks: Vec::new(),
        data_tracks: Vec::new(),
        metadata: String::new(),
        joined_at_ms: 0,
        name: String::new(),
        version: 1,
        region: String::new(),
        permission: Grants::default().permission(),
        is_publisher: false,
        kind: ParticipantKind::Standard,
        kind_details: Vec::new(),
        attributes: Default::default(),
        disconnect_reason: DisconnectReason::Unknown,
        client_protocol: 0,
        capabilities: Vec::new(),
    };
    let room = RoomInfo {
        sid: RoomSid::from_random([2; 12]),
        name: "room".to_owned(),
        empty_timeout_s: 300,
        departure_timeout_s: 20,
        max_participants: 0,
        created_at_ms: 0,
        metadata: String::new(),
        num_participants: 1,
        num_publishers: 0,
        active_recording: false,
        min_playout_delay_ms: 0,
        max_playout_delay_ms: 0,
        sync_streams: false,
    };
    Joined {
        admission: Admission::New,
        participant: Arc::new(participant),
        room: Arc::new(room),
        others: Vec::new(),
        shard: 0,
        sif_trailer: Vec::new(),
    }
}
