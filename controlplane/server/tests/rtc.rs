//! Signalling over real sockets: a real WebSocket client, the real room, a data plane that only
//! listens.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use futures_util::{SinkExt, StreamExt};
use prost::Message as _;
use ringway_room::calls::Config;
use ringway_server::rtc::task::{Ends, PlaneNews, Rtc, RtcTask};
use ringway_server::token::Tokens;
use ringway_server::{rtc, whep, whip};
use ringway_settings::Secret;
use ringway_signal::plane::{Ask, Fingerprint, HashAlgorithm, PlaneInfo, ShardAddresses};
use ringway_signal::proto::signal_response::Message as Hears;
use ringway_signal::proto::{SignalRequest, SignalResponse, signal_request};
use ringway_signal::{Settings, proto};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};
use tower::ServiceExt;

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const PATIENCE: Duration = Duration::from_secs(10);

struct House {
    router: Router,
    address: std::net::SocketAddr,
    news: mpsc::Sender<PlaneNews>,
    commands: mpsc::UnboundedReceiver<(u16, Ask)>,
}

fn plane() -> PlaneInfo {
    let udp = vec!["192.0.2.1:7882".parse().unwrap()];
    let fingerprint = Fingerprint { algorithm: HashAlgorithm::Sha256, digest: vec![7; 32] };
    PlaneInfo { fingerprint, shards: vec![ShardAddresses { udp, tcp: Vec::new() }] }
}

async fn house() -> House {
    let keys = BTreeMap::from([("devkey".to_owned(), Secret::from(SECRET))]);
    let (news, plane_news) = mpsc::channel(64);
    let (command_sender, commands) = mpsc::unbounded_channel();
    let (facts, _) = mpsc::unbounded_channel();
    let ends = Ends { plane: plane_news, commands: command_sender, facts };
    let ice = proto::IceServer { urls: vec!["stun:192.0.2.3:3478".into()], ..Default::default() };
    let settings = Settings { ice_servers: vec![ice], ..Settings::default() };
    let tokens = Arc::new(Tokens::new(&keys));
    let (task, rtc): (RtcTask, Rtc) = RtcTask::new(settings, Config::default(), tokens, ends);
    tokio::spawn(task.run());
    news.send(PlaneNews::Joined(plane())).await.unwrap();
    while news.capacity() < news.max_capacity() {
        // Whoever comes before the task has heard of the plane is turned away.
        tokio::task::yield_now().await;
    }
    let router = Router::new()
        .merge(rtc::routes(rtc.clone()))
        .merge(whip::routes(rtc.clone()))
        .merge(whep::routes(rtc));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serve = router.clone();
    tokio::spawn(async move { axum::serve(listener, serve).await });
    House { router, address, news, commands }
}

fn token(identity: &str, video: Value) -> String {
    use jsonwebtoken::{EncodingKey, Header, encode, get_current_timestamp};
    let claims = json!({
        "iss": "devkey", "sub": identity, "exp": get_current_timestamp() + 600, "video": video,
    });
    encode(&Header::default(), &claims, &EncodingKey::from_secret(SECRET.as_bytes())).unwrap()
}

fn good(identity: &str) -> String {
    token(identity, json!({"roomJoin": true, "room": "r"}))
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Connects, or says the HTTP status.
async fn connect(house: &House, path: &str, token: &str) -> Result<Socket, u16> {
    let url = format!("ws://{}{path}", house.address);
    let mut request = url.into_client_request().unwrap();
    let value = format!("Bearer {token}").parse().unwrap();
    request.headers_mut().insert(header::AUTHORIZATION, value);
    match connect_async(request).await {
        Ok((socket, _)) => Ok(socket),
        Err(Error::Http(response)) => Err(response.status().as_u16()),
        Err(error) => panic!("{error}"),
    }
}

async fn frame(socket: &mut Socket) -> Message {
    loop {
        match timeout(PATIENCE, socket.next()).await.expect("a frame") {
            Some(Ok(Message::Ping(_))) => {}
            Some(Ok(message)) => return message,
            Some(Err(_)) | None => return Message::Close(None),
        }
    }
}

/// The next message of interest; `None` when the server closes.
async fn hear(socket: &mut Socket, wanted: impl Fn(&Hears) -> bool) -> Option<Hears> {
    loop {
        match frame(socket).await {
            Message::Binary(bytes) => {
                let message = SignalResponse::decode(bytes).unwrap().message.unwrap();
                if wanted(&message) {
                    return Some(message);
                }
            }
            Message::Close(_) => return None,
            other => panic!("{other:?}"),
        }
    }
}

async fn say(socket: &mut Socket, message: signal_request::Message) {
    let bytes = SignalRequest { message: Some(message) }.encode_to_vec();
    send(socket, Message::Binary(bytes.into())).await;
}

async fn send(socket: &mut Socket, message: Message) {
    socket.send(message).await.unwrap();
}

async fn ask(house: &House, request: Request<Body>) -> (StatusCode, axum::http::HeaderMap, String) {
    let response = house.router.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    (parts.status, parts.headers, String::from_utf8(bytes.into()).unwrap())
}

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
        let (status, headers, _) = ask(&house, request).await;
        assert_eq!(status.as_u16(), expect, "{token}");
        assert_eq!(headers[header::ACCESS_CONTROL_ALLOW_ORIGIN], "*");
    }
    assert_eq!(connect(&house, "/rtc/v1", &good("a")).await.err(), Some(400));
    let broken = "/rtc/v1?join_request=AAAA";
    assert_eq!(connect(&house, broken, &good("a")).await.err(), Some(400));
    let uri = format!("/rtc/validate?access_token={}", good("a"));
    let (status, _, body) = ask(&house, Request::get(uri).body(Body::empty()).unwrap()).await;
    assert_eq!((status.as_u16(), body.as_str()), (200, "success"));
    // No upgrade, no signalling.
    let uri = format!("/rtc?access_token={}", good("a"));
    let (status, ..) = ask(&house, Request::get(uri).body(Body::empty()).unwrap()).await;
    assert_eq!(status.as_u16(), 404);
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

fn offer() -> String {
    let digest = vec!["0A"; 32].join(":");
    format!(
        "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n\
         m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=sendonly\r\n\
         a=ice-ufrag:abcd\r\na=ice-pwd:0123456789abcdef01234567\r\na=setup:actpass\r\n\
         a=fingerprint:sha-256 {digest}\r\na=rtcp-mux\r\na=rtpmap:111 opus/48000/2\r\n\
         a=msid:- mic\r\n"
    )
}

fn post(path: &str, kind: &str, token: &str, body: String) -> Request<Body> {
    let request = Request::post(path).header(header::CONTENT_TYPE, kind);
    let request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    request.body(Body::from(body)).unwrap()
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
        let (status, headers, told) = ask(&house, post("/whip/v1", kind, &token, body)).await;
        assert_eq!(status.as_u16(), expect, "{told}");
        assert_eq!(headers[header::ACCESS_CONTROL_ALLOW_ORIGIN], "*");
    }
    let (status, headers, answer) = ask(&house, post("/whip/v1", sdp, &good("a"), offer())).await;
    assert_eq!(status, StatusCode::CREATED, "{answer}");
    assert!(answer.contains("a=recvonly") && answer.contains("192.0.2.1 7882"), "{answer}");
    assert_eq!(headers[header::LINK], "<stun:192.0.2.3:3478>; rel=\"ice-server\"");
    assert_eq!(headers["accept-patch"], "application/trickle-ice-sdpfrag");
    let exposed = headers[header::ACCESS_CONTROL_EXPOSE_HEADERS].to_str().unwrap();
    for name in ["Location", "ETag", "Link"] {
        assert!(exposed.contains(name), "{exposed}");
    }
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
