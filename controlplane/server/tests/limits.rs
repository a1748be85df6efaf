//! What is too long, too large or too much, as a client finds out: by a status before the
//! connection is open, by a response afterwards. The answers are LiveKit's where nothing else is
//! said.

mod house;

use axum::body::Body;
use axum::http::Request;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use house::{
    House, Socket, ask, connect, frame, good, hear, house, limited, offer, post, say, send, tell,
    token_of,
};
use prost::Message as _;
use ringway_room::calls::Config;
use ringway_server::rtc::task::PlaneNews;
use ringway_signal::plane::{Ask, PlaneEvent};
use ringway_signal::proto::request_response::Reason;
use ringway_signal::proto::signal_request::Message as Says;
use ringway_signal::proto::signal_response::Message as Hears;
use ringway_signal::proto::{self, JoinRequest, WrappedJoinRequest};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

const MIB: usize = 1 << 20;
/// `limit.signal_message_size_limit`.
const MESSAGE_BYTES: usize = 2 * MIB;
/// `limit.max_metadata_size`.
const METADATA_BYTES: usize = 512 * 1024;
/// `limit.max_attributes_size`.
const ATTRIBUTES_BYTES: usize = 64 * 1024;

/// A room's name, an identity, a name and so on of `length` octets.
fn text(length: usize) -> String {
    "x".repeat(length)
}

fn claims(change: impl FnOnce(&mut Value)) -> String {
    let video = json!({"roomJoin": true, "room": "r", "canUpdateOwnMetadata": true});
    let mut claims = json!({"sub": "a", "video": video});
    change(&mut claims);
    token_of(claims)
}

/// `/rtc/validate` says the same as the refused upgrade, and why.
async fn check(house: &House, query: &str, token: &str, expect: Result<(), (u16, &str)>) {
    let path = format!("/rtc?protocol=17&sdk=js&{query}");
    let connected = connect(house, &path, token).await;
    let uri = format!("/rtc/validate?{query}&access_token={token}");
    let request = Request::get(uri).body(Body::empty()).unwrap();
    let (status, _, told) = ask(house, request).await;
    match expect {
        Ok(()) => {
            assert!(connected.is_ok() && status.as_u16() == 200, "{told}");
        }
        Err((refused, why)) => {
            assert_eq!((connected.err(), status.as_u16()), (Some(refused), refused), "{told}");
            assert!(told.contains(why), "{told}");
        }
    }
}

#[tokio::test]
async fn what_a_token_says_is_bounded() {
    let mut config = Config::default();
    // Tokens themselves are bounded, to less than what metadata may have.
    config.limits.metadata_bytes = 1_000;
    config.limits.attributes_bytes = 100;
    let house = limited(config).await;
    let room = |name: String| claims(|claims| claims["video"]["room"] = name.into());
    let identity = |text: String| claims(|claims| claims["sub"] = text.into());
    let name = |text: String| claims(|claims| claims["name"] = text.into());
    let metadata = |text: String| claims(|claims| claims["metadata"] = text.into());
    let attribute = |text: String| claims(|claims| claims["attributes"] = json!({"key": text}));
    for (token, expect) in [
        (identity(text(256)), Ok(())),
        (identity(text(257)), Err((400, "identity is too long"))),
        // Octets count, not letters.
        (identity("é".repeat(129)), Err((400, "identity is too long"))),
        (room(text(256)), Ok(())),
        (room(text(257)), Err((400, "room name is too long"))),
        (name(text(256)), Ok(())),
        (name(text(257)), Err((400, "participant name is too long"))),
        (metadata(text(1_000)), Ok(())),
        (metadata(text(1_001)), Err((400, "metadata is too large"))),
        (attribute(text(97)), Ok(())),
        (attribute(text(98)), Err((400, "attributes are too large"))),
        // Ours: a token of more than 32 KiB is not read.
        (metadata(text(32 * 1024)), Err((401, "invalid authorization token"))),
    ] {
        check(&house, "", &token, expect).await;
    }
}

#[tokio::test]
async fn what_a_client_says_of_itself_is_bounded() {
    let mut config = Config::default();
    config.limits.metadata_bytes = 1_000;
    config.limits.attributes_bytes = 100;
    let house = limited(config).await;
    let token = claims(|_| {});
    let attributes = |length| {
        let attributes = json!({"key": text(length)}).to_string();
        format!("attributes={}", URL_SAFE_NO_PAD.encode(attributes))
    };
    for (query, expect) in [
        (attributes(97), Ok(())),
        (attributes(98), Err((400, "attributes are too large"))),
        (format!("os={}", text(1_024)), Ok(())),
        (format!("os={}", text(1_025)), Err((400, "description of itself is too long"))),
        // With this behind it, the identity is too long.
        (format!("publish={}", text(255)), Err((400, "identity is too long"))),
    ] {
        check(&house, &query, &token, expect).await;
    }
    let wrapped = |metadata: usize, attribute: usize| {
        let join = JoinRequest {
            metadata: text(metadata),
            participant_attributes: [("key".to_owned(), text(attribute))].into(),
            ..JoinRequest::default()
        };
        let join_request = join.encode_to_vec();
        let wrapped = WrappedJoinRequest { join_request, ..WrappedJoinRequest::default() };
        format!("/rtc/v1?join_request={}", URL_SAFE_NO_PAD.encode(wrapped.encode_to_vec()))
    };
    for (path, expect) in [
        (wrapped(1_000, 97), None),
        (wrapped(1_001, 97), Some(400)),
        (wrapped(1_000, 98), Some(400)),
    ] {
        assert_eq!(connect(&house, &path, &token).await.err(), expect, "{}", path.len());
    }
}

#[tokio::test]
async fn a_room_takes_no_more_than_its_participants() {
    let house = limited(Config { max_participants: 2, ..Config::default() }).await;
    let path = "/rtc?protocol=17&sdk=js";
    let _first = connect(&house, path, &good("a")).await.unwrap();
    let mut second = connect(&house, path, &good("b")).await.unwrap();
    // Ours: LiveKit answers 500, as if it had failed.
    check(&house, "", &good("c"), Err((429, "max_participants"))).await;
    // Recorders are not counted, and a second session of somebody takes the place of the first.
    let video = json!({"roomJoin": true, "room": "r", "hidden": true, "recorder": true});
    let recorder = token_of(json!({"sub": "recorder", "kind": "egress", "video": video}));
    assert!(connect(&house, path, &recorder).await.is_ok());
    let _again = connect(&house, path, &good("a")).await.unwrap();
    let leave = proto::LeaveRequest::default();
    say(&mut second, Says::Leave(leave)).await;
    while hear(&mut second, |_| true).await.is_some() {}
    assert!(connect(&house, path, &good("c")).await.is_ok());
}

/// LiveKit without an egress service refuses such a join, too; agents are not waited for.
#[tokio::test]
async fn a_room_that_is_to_be_recorded_is_not_made() {
    let house = limited(Config::default()).await;
    let token = |config: Value| claims(|claims| claims["roomConfig"] = config);
    let recorded = token(json!({"egress": {"room": {"layout": "grid"}}}));
    check(&house, "", &recorded, Err((403, "egress"))).await;
    let publish = post("/whip/v1", "application/sdp", &recorded, offer());
    assert_eq!(ask(&house, publish).await.0.as_u16(), 403);
    let later = token(json!({"egress": {"tracks": {}}, "agents": [{"agentName": "helper"}]}));
    let _first = connect(&house, "/rtc?protocol=17&sdk=js", &later).await.unwrap();
    // The room is there: a token's configuration is that of a room that it makes.
    check(&house, "", &recorded, Ok(())).await;
}

#[tokio::test]
async fn a_machine_takes_nobody_beyond_its_tracks_and_bytes() {
    let mut config = Config::default();
    config.limits.tracks = 1;
    config.limits.bytes_per_s = 1_000_000;
    let house = limited(config).await;
    check(&house, "", &good("a"), Ok(())).await;
    for (bytes, expect) in [(1_000_000, Err((503, "limit"))), (999_999, Ok(()))] {
        tell(&house.news, PlaneNews::Traffic(bytes)).await;
        check(&house, "", &good("a"), expect).await;
    }
    let publish = post("/whip/v1", "application/sdp", &good("w"), offer());
    let (status, headers, _) = ask(&house, publish).await;
    assert_eq!(status.as_u16(), 201);
    check(&house, "", &good("a"), Err((503, "limit"))).await;
    let refused = post("/whip/v1", "application/sdp", &good("v"), offer());
    assert_eq!(ask(&house, refused).await.0.as_u16(), 503);
    let mut end = post(headers["location"].to_str().unwrap(), "", &good("w"), String::new());
    *end.method_mut() = axum::http::Method::DELETE;
    assert_eq!(ask(&house, end).await.0.as_u16(), 200);
    check(&house, "", &good("a"), Ok(())).await;
}

/// Somebody who is in and may change what it is called.
async fn inside(house: &House) -> Socket {
    let token = claims(|_| {});
    let mut socket = connect(house, "/rtc?protocol=17&sdk=js", &token).await.unwrap();
    hear(&mut socket, |message| matches!(message, Hears::Offer(_))).await.unwrap();
    socket
}

/// What the next response says: its reason, and in words.
async fn response(socket: &mut Socket) -> (Reason, String) {
    let heard = hear(socket, |message| matches!(message, Hears::RequestResponse(_))).await;
    let Some(Hears::RequestResponse(response)) = heard else { panic!("no response") };
    (response.reason(), response.message)
}

#[tokio::test]
async fn what_a_participant_changes_is_bounded() {
    let house = house().await;
    let mut socket = inside(&house).await;
    let update = |name: usize, metadata: usize, attribute: usize| {
        let attributes = match attribute {
            0 => Default::default(),
            _ => [("key".to_owned(), text(attribute - 3))].into(),
        };
        let (name, metadata) = (text(name), text(metadata));
        proto::UpdateParticipantMetadata { name, metadata, attributes, request_id: 7 }
    };
    let (ok, exceeded) = (Reason::Ok, Reason::LimitExceeded);
    for (update, reason, why) in [
        (update(256, 0, 0), ok, ""),
        (update(257, 0, 0), exceeded, "exceeds name length limit"),
        (update(1, METADATA_BYTES, 0), ok, ""),
        (update(1, METADATA_BYTES + 1, 0), exceeded, "exceeds metadata size limit"),
        (update(1, 1, ATTRIBUTES_BYTES), ok, ""),
        (update(1, 1, ATTRIBUTES_BYTES + 1), exceeded, "exceeds attributes size limit"),
    ] {
        say(&mut socket, Says::UpdateMetadata(update)).await;
        assert_eq!(response(&mut socket).await, (reason, why.to_owned()));
    }
    // What was refused has changed nothing.
    let mut other = connect(&house, "/rtc?protocol=17&sdk=js", &good("b")).await.unwrap();
    let Some(Hears::Join(join)) = hear(&mut other, |_| true).await else { panic!("not let in") };
    let seen = &join.other_participants[0];
    assert_eq!((seen.name.len(), seen.metadata.len()), (1, 1));
    assert_eq!(seen.attributes["key"].len() + 3, ATTRIBUTES_BYTES);
}

#[tokio::test]
async fn what_a_participant_publishes_is_bounded() {
    let house = house().await;
    let mut socket = inside(&house).await;
    let add = |cid: String, name: usize| {
        let name = text(name);
        proto::AddTrackRequest { cid, name, r#type: 0, source: 2, ..Default::default() }
    };
    let exceeded = Reason::LimitExceeded;
    say(&mut socket, Says::AddTrack(add(text(1_025), 0))).await;
    assert_eq!(response(&mut socket).await, (exceeded, "a text is too long".to_owned()));
    for cid in 0..20 {
        say(&mut socket, Says::AddTrack(add(cid.to_string(), 1_024))).await;
        let published = |message: &Hears| matches!(message, Hears::TrackPublished(_));
        assert!(hear(&mut socket, published).await.is_some());
    }
    say(&mut socket, Says::AddTrack(add("20".to_owned(), 0))).await;
    assert_eq!(response(&mut socket).await, (exceeded, "too many pending tracks".to_owned()));
    let data = |pub_handle: u32, name: usize| proto::PublishDataTrackRequest {
        pub_handle,
        name: text(name),
        ..Default::default()
    };
    for (wish, reason) in [
        (data(1, 0), Reason::InvalidName),
        (data(1, 257), Reason::InvalidName),
        (data(0, 1), Reason::InvalidHandle),
        (data(65_536, 1), Reason::InvalidHandle),
    ] {
        say(&mut socket, Says::PublishDataTrackRequest(wish)).await;
        assert_eq!(response(&mut socket).await.0, reason);
    }
    for handle in 1..=257 {
        let mut wish = data(handle, 0);
        wish.name = format!("{handle:0256}");
        say(&mut socket, Says::PublishDataTrackRequest(wish)).await;
    }
    // Ours: LiveKit counts no data tracks.
    assert_eq!(response(&mut socket).await, (exceeded, "too many data tracks".to_owned()));
}

#[tokio::test]
async fn a_message_beyond_its_limit_ends_the_connection_alone() {
    let mut house = house().await;
    let mut socket = inside(&house).await;
    // Only those whose media is up may come back.
    let command = house.commands.recv().await;
    let Some((0, Ask::OpenTransport { transport, .. })) = command else { panic!("{command:?}") };
    let remote = "192.0.2.7:5000".parse().unwrap();
    let connected = PlaneEvent::Connected { transport, remote, tcp: false };
    tell(&house.news, PlaneNews::Said(connected)).await;
    let add = |length| {
        let add = proto::AddTrackRequest { cid: text(length), ..Default::default() };
        proto::SignalRequest { message: Some(Says::AddTrack(add)) }.encode_to_vec()
    };
    let around = add(MESSAGE_BYTES - 100).len() - (MESSAGE_BYTES - 100);
    let most = add(MESSAGE_BYTES - around);
    assert_eq!(most.len(), MESSAGE_BYTES);
    send(&mut socket, Message::Binary(most.into())).await;
    assert_eq!(response(&mut socket).await.0, Reason::LimitExceeded, "it was read");
    let more = add(MESSAGE_BYTES - around + 1);
    send(&mut socket, Message::Binary(more.into())).await;
    let close = loop {
        if let Message::Close(close) = frame(&mut socket).await {
            break close;
        }
    };
    assert_eq!(close.map(|close| u16::from(close.code)), Some(1009));
    // The session is still there, as after any loss of the connection.
    let path = "/rtc?protocol=17&reconnect=1";
    let mut again = connect(&house, path, &claims(|_| {})).await.unwrap();
    assert!(matches!(hear(&mut again, |_| true).await, Some(Hears::Reconnect(_))));
}
