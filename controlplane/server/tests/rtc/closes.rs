//! How connections end: what was said last arrives whatever the client is saying, and it may not
//! go on saying it for long.

use futures_util::{SinkExt, StreamExt};
use ringway_signal::proto::signal_response::Message as Hears;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

use crate::house::{House, PATIENCE, Socket, connect, frame, good, hear, house};

const MIB: usize = 1 << 20;
/// More than a connection holds on its way: somebody must read it.
const LONG: usize = 24 * MIB;
/// What the server throws away, and what may be on its way.
const FLOOD_MAX: usize = (64 + 24) * MIB;

// RFC 6455 5.2: the first octet of a frame.
const FIN: u8 = 0x80;
const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const RESERVED: u8 = 3;

/// A client's frame as it stands on the wire, masked with zeros.
pub(crate) fn wire(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first, 0xff];
    frame.extend((payload.len() as u64).to_be_bytes());
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}

async fn inside(house: &House) -> Socket {
    let mut socket = connect(house, "/rtc?protocol=17", &good("a")).await.unwrap();
    hear(&mut socket, |message| matches!(message, Hears::Offer(_))).await.unwrap();
    socket
}

/// All of `said` can be said, then comes a Close with this code, and then a regular end.
async fn check(house: &House, said: &[u8], code: u16) {
    let mut socket = inside(house).await;
    let writing = timeout(PATIENCE, socket.get_mut().write_all(said)).await;
    writing.unwrap_or_else(|_| panic!("{code}: nobody reads")).unwrap();
    let close = loop {
        if let Message::Close(close) = frame(&mut socket).await {
            break close;
        }
    };
    assert_eq!(close.map(|close| u16::from(close.code)), Some(code));
    socket.get_mut().shutdown().await.unwrap();
    let mut rest = Vec::new();
    let end = timeout(PATIENCE, socket.get_mut().read_to_end(&mut rest)).await;
    end.unwrap_or_else(|_| panic!("{code}: no end")).unwrap();
    assert!(rest.is_empty(), "{code}: {rest:?}");
}

#[tokio::test]
async fn whoever_is_talking_hears_why_it_ends() {
    let house = house().await;
    let long = vec![0; LONG];
    let in_parts: Vec<u8> = [wire(BINARY, &long[..MIB])]
        .into_iter()
        .chain((1..LONG / MIB).map(|_| wire(CONTINUATION, &long[..MIB])))
        .collect::<Vec<_>>()
        .concat();
    let then_long = |mut first: Vec<u8>| {
        first.extend((0..LONG / MIB).flat_map(|_| wire(FIN | BINARY, &long[..MIB])));
        first
    };
    for (said, code) in [
        (wire(FIN | BINARY, &long), 1009),
        (in_parts, 1009),
        (then_long(wire(FIN | BINARY, &long[..3 * MIB])), 1009),
        (then_long(wire(FIN | TEXT, b"nonsense")), 1003),
        // What is too long after that cannot be looked at, but must be read.
        ([wire(FIN | TEXT, b"nonsense"), wire(FIN | BINARY, &long)].concat(), 1003),
        (then_long(wire(FIN | TEXT, b"\xff")), 1007),
        (then_long(wire(FIN | RESERVED, b"")), 1002),
    ] {
        check(&house, &said, code).await;
    }
}

#[tokio::test]
async fn nobody_is_listened_to_for_long_after_the_end() {
    let house = house().await;
    let mut socket = inside(&house).await;
    let stream = socket.get_mut();
    // It says that it will send a TiB.
    let mut head = vec![FIN | BINARY, 0xff];
    head.extend((1_u64 << 40).to_be_bytes());
    stream.write_all(&head).await.unwrap();
    let flood = async {
        let mib = vec![0; MIB];
        let mut written = 0;
        while stream.write_all(&mib).await.is_ok() {
            written += MIB;
        }
        written
    };
    let written = timeout(PATIENCE, flood).await.expect("an end");
    assert!(written <= FLOOD_MAX, "{written} bytes");
}

/// Without an answer browsers take a regular end for a failure (1006).
#[tokio::test]
async fn a_close_is_answered() {
    let house = house().await;
    let mut socket = inside(&house).await;
    socket.send(Message::Close(None)).await.unwrap();
    let answer = loop {
        match timeout(PATIENCE, socket.next()).await.expect("an answer") {
            Some(Ok(Message::Binary(_) | Message::Ping(_))) => {}
            other => break other,
        }
    };
    assert!(matches!(answer, Some(Ok(Message::Close(_)))), "{answer:?}");
    assert!(timeout(PATIENCE, socket.next()).await.expect("an end").is_none());
}
