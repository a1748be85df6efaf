//! Signalling over real sockets: a real WebSocket client, the real room, a data plane that only
//! listens.

#[path = "rtc/closes.rs"]
mod closes;
#[path = "rtc/deflate.rs"]
mod deflate;
mod house;

use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use futures_util::SinkExt;
use house::{PATIENCE, ask, connect, frame, good, hear, house, offer, post, say, send, token};
use prost::Message as _;
use ringway_server::rtc::task::PlaneNews;
use ringway_signal::plane::Ask;
use ringway_signal::proto::signal_response::Message as Hears;
use ringway_signal::proto::{self, SignalRequest, signal_request};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

#[tokio::test]
async fn who_is_turned_away_learns_why() {
    let house = house().await;
    let rows = [
        ("", 401),
        ("not a token", 401),
        (&token("a", json!({"room": "r"})), 401),
        (&token("", json!({"roomJoin": true, "room": "r"})), 400),
        (&token("a", json!({"roomJoin": true})), 400),
    ];
    for (token, expect) in rows {
        assert_eq!(connect(&house, "/rtc", token).await.err(), Some(expect), "{token}");
        let uri = format!("/rtc/validate?access_token={token}");
        let request = Request::get(uri.replace(' ', "%20")).body(Body::empty()).unwrap();
        let (status, ..) = ask(&house, request).await;
        assert_eq!(status.as_u16(), expect, "{token}");
    }
    assert_eq!(connect(&house, "/rtc/v1", &good("a")).await.err(), Some(400));
    let broken = "/rtc/v1?join_request=AAAA";
    assert_eq!(connect(&house, broken, &good("a")).await.err(), Some(400));
    let uri = format!("/rtc/validate?access_token={}", good("a"));
    let (status, _, body) = ask(&house, Request::get(uri).body(Body::empty()).unwrap()).await;
    assert_eq!((status.as_u16(), body.as_str()), (200, "success"));
}

/// As with LiveKit: only a token that is none is looked at before that.
#[tokio::test]
async fn without_an_upgrade_there_is_nothing() {
    let house = house().await;
    let (good, barred) = (good("a"), token("a", json!({"room": "r"})));
    for (path, token, expect) in [
        ("/rtc", good.as_str(), 404),
        ("/rtc", &barred, 404),
        ("/rtc", "", 404),
        ("/rtc", "nonsense", 401),
        ("/rtc/v1", &good, 404),
        ("/rtc/v1", "nonsense", 401),
    ] {
        let uri = format!("{path}?access_token={token}");
        let (status, ..) = ask(&house, Request::get(uri).body(Body::empty()).unwrap()).await;
        assert_eq!(status.as_u16(), expect, "{path} {token}");
    }
}

#[tokio::test]
async fn two_clients_meet() {
    let mut house = house().await;
    let mut first = connect(&house, "/rtc?protocol=17&sdk=js", &good("a")).await.unwrap();
    let joined = hear(&mut first, |_| true).await;
    let Some(Hears::Join(join)) = joined else { panic!("{joined:?}") };
    assert!(join.subscriber_primary && join.other_participants.is_empty());
    assert_eq!(join.participant.as_ref().unwrap().identity, "a");
    let token = hear(&mut first, |message| matches!(message, Hears::RefreshToken(_))).await;
    assert!(token.is_some());
    let offer = hear(&mut first, |message| matches!(message, Hears::Offer(_))).await;
    assert!(offer.is_some());
    let command = timeout(PATIENCE, house.commands.recv()).await.unwrap().unwrap();
    assert!(matches!(command, (0, Ask::OpenTransport { .. })));
    let mut second = connect(&house, "/rtc?protocol=17", &good("b")).await.unwrap();
    let Some(Hears::Join(join)) = hear(&mut second, |_| true).await else { panic!() };
    assert_eq!(join.other_participants.len(), 1);
    // The same identity again: the old session is told to go.
    let mut again = connect(&house, "/rtc?protocol=17", &good("a")).await.unwrap();
    assert!(matches!(hear(&mut again, |_| true).await, Some(Hears::Join(_))));
    let leave = hear(&mut first, |message| matches!(message, Hears::Leave(_))).await;
    let Some(Hears::Leave(leave)) = leave else { panic!() };
    assert_eq!((leave.reason, leave.action), (2, 0));
    assert_eq!(hear(&mut first, |_| true).await, None);
}

#[tokio::test]
async fn formats_are_mirrored_and_nonsense_ends() {
    let house = house().await;
    let mut socket = connect(&house, "/rtc?protocol=17", &good("a")).await.unwrap();
    hear(&mut socket, |message| matches!(message, Hears::Offer(_))).await.unwrap();
    let ping = proto::Ping { timestamp: 5, rtt: 0 };
    say(&mut socket, signal_request::Message::PingReq(ping)).await;
    let pong = hear(&mut socket, |message| matches!(message, Hears::PongResp(_))).await;
    let Some(Hears::PongResp(pong)) = pong else { panic!() };
    assert_eq!(pong.last_ping_timestamp, 5);
    send(&mut socket, Message::Text(r#"{"pingReq":{"timestamp":"6"}}"#.into())).await;
    let text = frame(&mut socket).await;
    assert!(text.to_text().unwrap().contains(r#""lastPingTimestamp":"6""#), "{text:?}");
    send(&mut socket, Message::Text("nonsense".into())).await;
    assert!(matches!(frame(&mut socket).await, Message::Close(_)));
}

/// Firefox tells a page nothing of a connection that is gone when it looks at it.
#[tokio::test]
async fn a_close_waits_for_its_answer() {
    let house = house().await;
    let mut stream = TcpStream::connect(house.address).await.unwrap();
    let request = format!(
        "GET /rtc?protocol=17&reconnect=1&sid=PA_000000000001 HTTP/1.1\r\nHost: x\r\n\
         Authorization: Bearer {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        good("a")
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut came = Vec::new();
    while !came.ends_with(&[0x88, 2, 0x03, 0xe8]) {
        let count = timeout(PATIENCE, stream.read_buf(&mut came)).await.expect("a Close").unwrap();
        assert_ne!(count, 0, "the end came before the Close: {came:?}");
    }
    let early = timeout(Duration::from_millis(300), stream.read_buf(&mut came)).await;
    assert!(early.is_err(), "{early:?} came without an answer");
    stream.write_all(&[0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8]).await.unwrap();
    let end = timeout(PATIENCE, stream.read_buf(&mut came)).await.expect("an end");
    assert_eq!(end.unwrap_or(0), 0);
}

#[tokio::test]
async fn a_lost_session_begins_anew() {
    let house = house().await;
    let path = "/rtc?protocol=17&reconnect=1&sid=PA_000000000001";
    let mut socket = connect(&house, path, &good("a")).await.unwrap();
    let Some(Hears::Leave(leave)) = hear(&mut socket, |_| true).await else { panic!() };
    assert_eq!((leave.reason, leave.action), (6, 2));
    assert_eq!(hear(&mut socket, |_| true).await, None);
    // The data plane goes, and takes all sessions with it.
    let mut socket = connect(&house, "/rtc?protocol=17", &good("a")).await.unwrap();
    house.news.send(PlaneNews::Lost).await.unwrap();
    let leave = hear(&mut socket, |message| matches!(message, Hears::Leave(_))).await;
    assert!(leave.is_some());
    assert_eq!(connect(&house, "/rtc?protocol=17", &good("b")).await.err(), Some(503));
}

#[tokio::test]
async fn a_client_that_does_not_read_is_closed_and_others_go_on() {
    let house = house().await;
    let mut deaf = connect(&house, "/rtc?protocol=17", &good("deaf")).await.unwrap();
    let mut other = connect(&house, "/rtc?protocol=17", &good("other")).await.unwrap();
    hear(&mut other, |message| matches!(message, Hears::Join(_))).await.unwrap();
    // Refusals that echo a long text fill its sockets and then its queue.
    let cid = "x".repeat(60_000);
    let add = proto::AddTrackRequest { cid, r#type: 9, ..Default::default() };
    let flood = async {
        for _ in 0..4_000 {
            let message = Some(signal_request::Message::AddTrack(add.clone()));
            let bytes = SignalRequest { message }.encode_to_vec();
            if deaf.send(Message::Binary(bytes.into())).await.is_err() {
                return;
            }
        }
    };
    let others = async {
        let left = |message: &Hears| match message {
            Hears::Update(update) => update.participants.iter().any(|one| one.identity == "deaf"),
            _ => false,
        };
        let ping = proto::Ping { timestamp: 5, rtt: 0 };
        say(&mut other, signal_request::Message::PingReq(ping)).await;
        hear(&mut other, |message| matches!(message, Hears::PongResp(_)) || left(message)).await
    };
    let (_, heard) = tokio::join!(timeout(PATIENCE * 3, flood), timeout(PATIENCE, others));
    assert!(heard.unwrap().is_some());
}

#[tokio::test]
async fn whip_from_offer_to_end() {
    let mut house = house().await;
    let sdp = "application/sdp";
    let mute = token("a", json!({"roomJoin": true, "room": "r", "canPublish": false}));
    for (kind, token, body, expect) in [
        ("text/plain", good("a"), offer(), 415),
        (sdp, "x".to_owned(), offer(), 401),
        (sdp, token("a", json!({"roomJoin": false, "room": "r"})), offer(), 401),
        (sdp, mute, offer(), 403),
        (sdp, good("a"), "nonsense".to_owned(), 400),
        (sdp, good("a"), "x".repeat((1 << 20) + 1), 413),
        (sdp, good("a"), offer().replace("opus", "speex"), 406),
    ] {
        let (status, _, told) = ask(&house, post("/whip/v1", kind, &token, body)).await;
        assert_eq!(status.as_u16(), expect, "{told}");
    }
    let (status, headers, answer) = ask(&house, post("/whip/v1", sdp, &good("a"), offer())).await;
    assert_eq!(status, StatusCode::CREATED, "{answer}");
    assert!(answer.contains("a=recvonly") && answer.contains("192.0.2.1 7882"), "{answer}");
    assert_eq!(headers[header::LINK], "<stun:192.0.2.3:3478>; rel=\"ice-server\"");
    assert_eq!(headers["accept-patch"], "application/trickle-ice-sdpfrag");
    let etag = headers[header::ETAG].to_str().unwrap().to_owned();
    let location = headers[header::LOCATION].to_str().unwrap().to_owned();
    assert!(location.starts_with("/whip/v1/PA_"), "{location}");
    let mut asked = Vec::new();
    while let Ok((_, ask)) = house.commands.try_recv() {
        asked.push(ask);
    }
    assert!(asked.iter().any(|ask| matches!(ask, Ask::AddSource(_))), "{asked:?}");
    let fragment = "a=ice-ufrag:abcd\r\na=ice-pwd:0123456789abcdef01234567\r\n\
                    m=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n";
    let restart = fragment.replace("abcd", "wxyz");
    let trickle = "application/trickle-ice-sdpfrag";
    for (kind, token, if_match, body, expect) in [
        (trickle, good("a"), etag.as_str(), fragment, 204),
        (trickle, good("a"), "", fragment, 428),
        (trickle, good("a"), "\"other\"", fragment, 412),
        (trickle, good("a"), etag.as_str(), restart.as_str(), 400),
        (trickle, good("b"), etag.as_str(), fragment, 404),
        (sdp, good("a"), etag.as_str(), fragment, 415),
        (trickle, good("a"), "*", restart.as_str(), 200),
        (trickle, good("a"), etag.as_str(), restart.as_str(), 412),
    ] {
        let mut request = post(&location, kind, &token, body.to_owned());
        *request.method_mut() = axum::http::Method::PATCH;
        if !if_match.is_empty() {
            request.headers_mut().insert(header::IF_MATCH, if_match.parse().unwrap());
        }
        let (status, _, told) = ask(&house, request).await;
        assert_eq!(status.as_u16(), expect, "{if_match}: {told}");
    }
    for (token, expect) in [(good("b"), 404), (good("a"), 200), (good("a"), 404)] {
        let mut request = post(&location, "", &token, String::new());
        *request.method_mut() = axum::http::Method::DELETE;
        assert_eq!(ask(&house, request).await.0.as_u16(), expect);
    }
    let request = Request::options("/whip/v1").body(Body::empty()).unwrap();
    let (status, headers, _) = ask(&house, request).await;
    assert_eq!(
        (status.as_u16(), &headers["accept-post"]),
        (200, &"application/sdp".parse().unwrap())
    );
}

#[tokio::test]
async fn whep_answers_with_streams() {
    let house = house().await;
    let offer = offer().replace("sendonly", "recvonly").replace("a=msid:- mic\r\n", "");
    let deaf = token("deaf", json!({"roomJoin": true, "room": "r", "canSubscribe": false}));
    let request = post("/whep/v1", "application/sdp", &deaf, offer.clone());
    assert_eq!(ask(&house, request).await.0, StatusCode::FORBIDDEN);
    let request = post("/whep/v1", "application/sdp", &good("viewer"), offer);
    let (status, headers, answer) = ask(&house, request).await;
    assert_eq!(status, StatusCode::CREATED, "{answer}");
    assert!(answer.contains("a=sendonly") && answer.contains("a=ssrc:"), "{answer}");
    let location = headers[header::LOCATION].to_str().unwrap();
    assert!(location.starts_with("/whep/v1/PA_"), "{location}");
}
