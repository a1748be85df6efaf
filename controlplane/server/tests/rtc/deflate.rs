//! Compressed messages (RFC 7692), with a client that lays every bit itself.

use axum::http::header;
use prost::Message as _;
use ringway_signal::deflate::{DEFLATE_BYTES_MIN, deflate, inflate};
use ringway_signal::proto::signal_response::Message as Hears;
use ringway_signal::proto::{Ping, SignalRequest, SignalResponse, signal_request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::closes::wire;
use crate::house::{House, PATIENCE, connect, good, house};

// RFC 6455 5.2: the first octet of a frame.
const FIN: u8 = 0x80;
const RSV1: u8 = 0x40;
const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

const MIB: usize = 1 << 20;
/// Zeros that no message may be inflated to.
const BOMB: usize = 64 * MIB;

/// What browsers offer.
const OFFER: &str = "permessage-deflate; client_max_window_bits";
const ANSWER: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

/// A client.
struct Raw {
    stream: TcpStream,
    /// What the server answered to the offers.
    agreed: Vec<String>,
}

impl Raw {
    /// Comes with these lines of offers.
    async fn new(house: &House, identity: &str, offers: &[&str]) -> Self {
        let mut stream = TcpStream::connect(house.address).await.unwrap();
        let offers: String =
            offers.iter().map(|offer| format!("Sec-WebSocket-Extensions: {offer}\r\n")).collect();
        let head = format!(
            "GET /rtc?protocol=17&access_token={} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n\
             Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{offers}\r\n",
            good(identity)
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            answer.push(timeout(PATIENCE, stream.read_u8()).await.expect("an answer").unwrap());
        }
        let answer = String::from_utf8(answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
        let named = |line: &str| {
            let (name, value) = line.split_once(": ")?;
            let wanted = name.eq_ignore_ascii_case(header::SEC_WEBSOCKET_EXTENSIONS.as_str());
            wanted.then(|| value.to_owned())
        };
        let agreed = answer.lines().filter_map(named).collect();
        Self { stream, agreed }
    }

    /// The next frame but pings: its first octet and its payload.
    async fn frame(&mut self) -> (u8, Vec<u8>) {
        loop {
            let frame = timeout(PATIENCE, read_frame(&mut self.stream)).await.expect("a frame");
            if frame.0 != FIN | PING {
                return frame;
            }
        }
    }

    /// The next message of interest, and the first octet of its frame.
    async fn hear(&mut self, wanted: impl Fn(&Hears) -> bool) -> (u8, Hears) {
        loop {
            let (first, payload) = self.frame().await;
            let payload = match first & RSV1 {
                0 => payload,
                _ => inflate(&payload, MIB).unwrap(),
            };
            let response = match first & !RSV1 {
                0x81 => serde_json::from_slice(&payload).unwrap(),
                0x82 => SignalResponse::decode(&payload[..]).unwrap(),
                other => panic!("{other:x} {payload:x?}"),
            };
            if let Some(message) = response.message
                && wanted(&message)
            {
                return (first, message);
            }
        }
    }

    /// The answer to a ping of signalling with this timestamp.
    async fn hear_pong(&mut self, timestamp: i64) -> u8 {
        let pong = |message: &Hears| match message {
            Hears::PongResp(pong) => pong.last_ping_timestamp == timestamp,
            _ => false,
        };
        self.hear(pong).await.0
    }

    async fn say(&mut self, bytes: &[u8]) {
        timeout(PATIENCE, self.stream.write_all(bytes)).await.expect("a reader").unwrap();
    }

    /// Why it ends.
    async fn hear_close(&mut self) -> u16 {
        loop {
            let (first, payload) = self.frame().await;
            if first == FIN | CLOSE {
                return u16::from_be_bytes([payload[0], payload[1]]);
            }
        }
    }
}

async fn read_frame(stream: &mut TcpStream) -> (u8, Vec<u8>) {
    let first = stream.read_u8().await.unwrap();
    let length = match stream.read_u8().await.unwrap() {
        126 => u64::from(stream.read_u16().await.unwrap()),
        127 => stream.read_u64().await.unwrap(),
        // A server's frames are never masked.
        length => length.into(),
    };
    let mut payload = vec![0; length as usize];
    stream.read_exact(&mut payload).await.unwrap();
    (first, payload)
}

/// Any bytes in a block without compression, and the head of another (RFC 7692 7.2.3.3).
fn stored(plain: &[u8]) -> Vec<u8> {
    let length = u16::try_from(plain.len()).unwrap();
    let mut block = vec![0];
    block.extend(length.to_le_bytes());
    block.extend((!length).to_le_bytes());
    block.extend(plain);
    block.push(0);
    block
}

fn ping(timestamp: i64) -> Vec<u8> {
    let ping = signal_request::Message::PingReq(Ping { timestamp, rtt: 0 });
    SignalRequest { message: Some(ping) }.encode_to_vec()
}

#[tokio::test]
async fn the_first_offer_that_can_be_kept_is_answered() {
    let house = house().await;
    let window = format!("{ANSWER}; server_max_window_bits=15");
    let (plain, window) = (Some(ANSWER), Some(window.as_str()));
    let small = "permessage-deflate; server_max_window_bits=10";
    for (offers, expect) in [
        (vec![], None),
        (vec!["permessage-bzip2"], None),
        (vec![OFFER], plain),
        (vec!["permessage-deflate"], plain),
        // A window that we do not have, and what may be had instead.
        (vec![small], None),
        (vec![&format!("{small}, permessage-deflate")], plain),
        (vec!["permessage-deflate; server_max_window_bits=15"], window),
        (
            vec![small, "x, permessage-deflate; server_max_window_bits=15, permessage-deflate"],
            window,
        ),
    ] {
        let client = Raw::new(&house, "a", &offers).await;
        assert_eq!(client.agreed, Vec::from_iter(expect), "{offers:?}");
    }
}

#[tokio::test]
async fn messages_are_compressed_both_ways() {
    let house = house().await;
    let mut client = Raw::new(&house, "a", &[OFFER]).await;
    let (first, join) = client.hear(|_| true).await;
    assert!(matches!(join, Hears::Join(_)), "{join:?}");
    assert_eq!(first, FIN | RSV1 | BINARY);
    client.hear(|message| matches!(message, Hears::Offer(_))).await;
    // Each alone, and an empty one before.
    client.say(&[wire(FIN | RSV1 | BINARY, &[0]), wire(FIN | BINARY, &ping(1))].concat()).await;
    client.say(&wire(FIN | RSV1 | BINARY, &stored(&ping(2)))).await;
    // A pong is too short to gain anything.
    assert_eq!(client.hear_pong(1).await, FIN | BINARY);
    assert_eq!(client.hear_pong(2).await, FIN | BINARY);
    // In parts, one of them empty, and a ping between them.
    let deflated = stored(&ping(3));
    let (one, two) = deflated.split_at(3);
    client.say(&wire(RSV1 | BINARY, one)).await;
    client.say(&[wire(CONTINUATION, b""), wire(FIN | PING, b"lives")].concat()).await;
    assert_eq!(client.frame().await, (FIN | PONG, b"lives".to_vec()));
    client.say(&wire(FIN | CONTINUATION, two)).await;
    assert_eq!(client.hear_pong(3).await, FIN | BINARY);
}

#[tokio::test]
async fn text_is_compressed_too() {
    let house = house().await;
    let mut client = Raw::new(&house, "a", &[OFFER]).await;
    client.hear(|message| matches!(message, Hears::Offer(_))).await;
    let text = format!("{}{}", r#"{"pingReq":{"timestamp":"4"}}"#, " ".repeat(DEFLATE_BYTES_MIN));
    let deflated = deflate(text.as_bytes()).unwrap();
    assert!(deflated.len() < 64);
    // Whether it is text shows at its begin.
    client.say(&wire(RSV1 | TEXT, &deflated)).await;
    client.say(&wire(FIN | CONTINUATION, b"")).await;
    assert_eq!(client.hear_pong(4).await, FIN | TEXT);
    // One that is told the same and does not take it compressed.
    let mut plain = Raw::new(&house, "b", &[]).await;
    plain.say(&wire(FIN | TEXT, br#"{"pingReq":{"timestamp":"5"}}"#)).await;
    assert_eq!(plain.hear_pong(5).await, FIN | TEXT);
    let newcomer = "c".repeat(200);
    let _third = connect(&house, "/rtc?protocol=17", &good(&newcomer)).await.unwrap();
    let told = |message: &Hears| match message {
        Hears::Update(update) => update.participants.iter().any(|one| one.identity == newcomer),
        _ => false,
    };
    assert_eq!(client.hear(told).await.0, FIN | RSV1 | TEXT);
    assert_eq!(plain.hear(told).await.0, FIN | TEXT);
}

#[tokio::test]
async fn nobody_is_sent_what_was_not_offered() {
    let house = house().await;
    let mut client = Raw::new(&house, "a", &[]).await;
    assert!(client.agreed.is_empty());
    let (first, _) = client.hear(|message| matches!(message, Hears::Join(_))).await;
    assert_eq!(first, FIN | BINARY);
    let (first, _) = client.hear(|message| matches!(message, Hears::Offer(_))).await;
    assert_eq!(first, FIN | BINARY);
    client.say(&wire(FIN | RSV1 | BINARY, &stored(&ping(1)))).await;
    assert_eq!(client.hear_close().await, 1002);
}

/// What is said once and again ends with this code, whatever follows it.
async fn check(house: &House, said: &[Vec<u8>], code: u16) {
    let said = said.concat();
    let mut client = Raw::new(house, "a", &[OFFER]).await;
    client.hear(|message| matches!(message, Hears::Offer(_))).await;
    client.say(&said).await;
    client.say(&wire(FIN | BINARY, &vec![0; 3 * MIB])).await;
    client.say(&said).await;
    assert_eq!(client.hear_close().await, code, "{:x?}", &said[..said.len().min(64)]);
    client.stream.shutdown().await.unwrap();
    let mut rest = Vec::new();
    timeout(PATIENCE, client.stream.read_to_end(&mut rest)).await.expect("an end").unwrap();
    assert!(rest.is_empty(), "{code}: {rest:x?}");
}

#[tokio::test]
async fn who_compresses_wrongly_hears_why_it_ends() {
    let house = house().await;
    let bomb = deflate(&vec![0; BOMB]).unwrap();
    let (bomb_begin, bomb_end) = bomb.split_at(bomb.len() / 2);
    let deflated = stored(&ping(1));
    let wire_ping = || wire(FIN | BINARY, &ping(1));
    for (said, code) in [
        (vec![wire(FIN | RSV1 | BINARY, &bomb)], 1009),
        (vec![wire(FIN | RSV1 | TEXT, &bomb)], 1009),
        (vec![wire(RSV1 | BINARY, bomb_begin), wire(FIN, bomb_end)], 1009),
        // Too long before it is inflated.
        (vec![wire(FIN | RSV1 | BINARY, &vec![0; 2 * MIB + 1])], 1009),
        (vec![wire_ping(), wire(FIN | RSV1 | BINARY, &[0xff; 9])], 1007),
        (vec![wire(FIN | RSV1 | BINARY, &deflated[..deflated.len() - 2])], 1007),
        (vec![wire(FIN | RSV1 | BINARY, b"")], 1007),
        (vec![wire(FIN | RSV1 | TEXT, &stored(b"\"\xff\""))], 1007),
        (vec![wire(FIN | RSV1 | TEXT, &stored(b"nonsense"))], 1003),
        // The bit has a meaning only where a message begins.
        (vec![wire(FIN | RSV1 | PING, b"")], 1002),
        (vec![wire(RSV1 | BINARY, &deflated[..3]), wire(FIN | RSV1, &deflated[3..])], 1002),
        (vec![wire(FIN | 0x20 | RSV1 | BINARY, &deflated)], 1002),
    ] {
        check(&house, &said, code).await;
    }
}

/// What is as long as a message may be, when it is inflated, is one.
#[tokio::test]
async fn the_limit_is_that_of_what_was_said() {
    let house = house().await;
    let mut client = Raw::new(&house, "a", &[OFFER]).await;
    let limit = 2 * MIB;
    let text = r#"{"pingReq":{"timestamp":"6"}}"#;
    for (more, heard) in [(limit - text.len(), true), (limit - text.len() + 1, false)] {
        let padded = format!("{text}{}", " ".repeat(more));
        client.say(&wire(FIN | RSV1 | TEXT, &deflate(padded.as_bytes()).unwrap())).await;
        match heard {
            true => assert_eq!(client.hear_pong(6).await, FIN | TEXT),
            false => assert_eq!(client.hear_close().await, 1009),
        }
    }
}
