//! The real room and its signalling over real sockets, with a data plane that only listens.

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
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};
use tower::ServiceExt;

const SECRET: &str = "0123456789abcdef0123456789abcdef";
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// The server, and the ends of its data plane.
pub(crate) struct House {
    router: Router,
    pub(crate) address: std::net::SocketAddr,
    pub(crate) news: mpsc::Sender<PlaneNews>,
    pub(crate) commands: mpsc::UnboundedReceiver<(u16, Ask)>,
}

fn plane() -> PlaneInfo {
    let udp = vec!["192.0.2.1:7882".parse().unwrap()];
    let fingerprint = Fingerprint { algorithm: HashAlgorithm::Sha256, digest: vec![7; 32] };
    let shards = vec![ShardAddresses { udp, tcp: Vec::new() }];
    PlaneInfo { fingerprint, shards, in_service: false }
}

/// One with the settings that nobody changed.
pub(crate) async fn house() -> House {
    limited(Config::default()).await
}

/// One whose calls are limited otherwise.
pub(crate) async fn limited(config: Config) -> House {
    let keys = BTreeMap::from([("devkey".to_owned(), Secret::from(SECRET))]);
    let (news, plane_news) = mpsc::channel(64);
    let (command_sender, commands) = mpsc::unbounded_channel();
    let (facts, _) = mpsc::unbounded_channel();
    let ends = Ends { plane: plane_news, commands: command_sender, facts };
    let ice = proto::IceServer { urls: vec!["stun:192.0.2.3:3478".into()], ..Default::default() };
    let settings = Settings { ice_servers: vec![ice], ..Settings::default() };
    let tokens = Arc::new(Tokens::new(&keys));
    let (task, rtc): (RtcTask, Rtc) = RtcTask::new(settings, config, tokens, ends);
    tokio::spawn(task.run());
    tell(&news, PlaneNews::Joined(plane())).await;
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

/// Tells the task, and waits until it has heard: whoever comes before is treated as if it had not
/// been said.
pub(crate) async fn tell(news: &mpsc::Sender<PlaneNews>, what: PlaneNews) {
    news.send(what).await.unwrap();
    while news.capacity() < news.max_capacity() {
        tokio::task::yield_now().await;
    }
}

pub(crate) fn token(identity: &str, video: Value) -> String {
    token_of(json!({"sub": identity, "video": video}))
}

/// A token with these claims.
pub(crate) fn token_of(mut claims: Value) -> String {
    use jsonwebtoken::{EncodingKey, Header, encode, get_current_timestamp};
    claims["iss"] = "devkey".into();
    claims["exp"] = (get_current_timestamp() + 600).into();
    encode(&Header::default(), &claims, &EncodingKey::from_secret(SECRET.as_bytes())).unwrap()
}

pub(crate) fn good(identity: &str) -> String {
    token(identity, json!({"roomJoin": true, "room": "r"}))
}

pub(crate) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Connects, or says the HTTP status.
pub(crate) async fn connect(house: &House, path: &str, token: &str) -> Result<Socket, u16> {
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

pub(crate) async fn frame(socket: &mut Socket) -> Message {
    loop {
        match timeout(PATIENCE, socket.next()).await.expect("a frame") {
            Some(Ok(Message::Ping(_))) => {}
            Some(Ok(message)) => return message,
            Some(Err(_)) | None => return Message::Close(None),
        }
    }
}

/// The next message of interest; `None` when the server closes.
pub(crate) async fn hear(socket: &mut Socket, wanted: impl Fn(&Hears) -> bool) -> Option<Hears> {
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

pub(crate) async fn say(socket: &mut Socket, message: signal_request::Message) {
    let bytes = SignalRequest { message: Some(message) }.encode_to_vec();
    send(socket, Message::Binary(bytes.into())).await;
}

pub(crate) async fn send(socket: &mut Socket, message: Message) {
    socket.send(message).await.unwrap();
}

pub(crate) async fn ask(
    house: &House,
    request: Request<Body>,
) -> (StatusCode, axum::http::HeaderMap, String) {
    let response = house.router.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    (parts.status, parts.headers, String::from_utf8(bytes.into()).unwrap())
}

pub(crate) fn offer() -> String {
    let digest = vec!["0A"; 32].join(":");
    format!(
        "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n\
         m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=sendonly\r\n\
         a=ice-ufrag:abcd\r\na=ice-pwd:0123456789abcdef01234567\r\na=setup:actpass\r\n\
         a=fingerprint:sha-256 {digest}\r\na=rtcp-mux\r\na=rtpmap:111 opus/48000/2\r\n\
         a=msid:- mic\r\n"
    )
}

pub(crate) fn post(path: &str, kind: &str, token: &str, body: String) -> Request<Body> {
    let request = Request::post(path).header(header::CONTENT_TYPE, kind);
    let request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    request.body(Body::from(body)).unwrap()
}
