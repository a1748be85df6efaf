//! TURN: whatever a client sends, only our own media ports are reached, only its own allocation is
//! touched, and nobody without credentials gets one.

use std::net::SocketAddr;

use ringway_proto::turn::{
    Client, Handled, MAX_MESSAGE_BYTES, MAX_WRAP_BYTES, Moment, TurnClient, TurnConfig, TurnSecret,
    TurnServer, TurnStream,
};
use ringway_wire::stun::{Class, StunView};

const SECRET: [u8; 32] = *b"a secret that nobody can guess..";
const USERNAME: &str = "2000:PA_anna";
const MEDIA_PORT: u16 = 7882;
const MEDIA_IPS: [[u8; 4]; 2] = [[203, 0, 113, 1], [203, 0, 113, 2]];
const NOW: Moment = Moment { mono_ns: 7_000_000_000, unix_s: 1000 };

fn client(stream: Option<u32>) -> Client {
    Client { remote: SocketAddr::from(([198, 51, 100, 1], 9)), stream }
}

fn server() -> TurnServer {
    let mut server = TurnServer::new(&[3; 32]);
    server.configure(TurnConfig {
        secret: TurnSecret::new(&SECRET),
        addresses: MEDIA_IPS.map(Into::into).to_vec(),
        ports: (30_000, 30_009),
        per_user: 3,
    });
    server.open_port(MEDIA_PORT);
    server
}

/// Gives `data` as one datagram, and cut into messages as a stream, to a server that has an
/// allocation of this client's and to one that has none.
pub fn turn(data: &[u8]) {
    for allocated in [true, false] {
        let mut server = server();
        if allocated {
            allocate(&mut server);
        }
        check(&mut server, client(None), &data[..data.len().min(MAX_MESSAGE_BYTES)]);
        let mut rest = data;
        let mut stream = TurnStream::new();
        while !rest.is_empty() {
            let taken = stream.put(rest);
            assert!(taken > 0, "a stream that was emptied has room");
            rest = &rest[taken..];
            loop {
                match stream.poll_message() {
                    Ok(Some(message)) => {
                        assert!(message.len() <= MAX_MESSAGE_BYTES);
                        check(&mut server, client(None), message);
                        check(&mut server, client(Some(7)), message);
                    }
                    Ok(None) => break,
                    Err(_) => return,
                }
            }
        }
    }
}

fn check(server: &mut TurnServer, client: Client, message: &[u8]) {
    let (before, mut out) = (server.allocations(), [0; 1024]);
    match server.handle(NOW, client, message, &mut out) {
        Handled::Answer(len) => {
            let asked = StunView::parse(message).expect("only STUN is answered");
            let answer = StunView::parse(&out[..len]).expect("a valid answer");
            assert_eq!(answer.transaction(), asked.transaction());
            assert_eq!(answer.message_type().method, asked.message_type().method);
            assert_eq!(asked.message_type().class, Class::Request);
            assert!(len <= 5 * message.len(), "{} become {len}", message.len());
            if server.allocations() > before {
                assert!(asked.username() == Some(USERNAME.as_bytes()) && asked.signed().is_some());
            }
        }
        Handled::Relay { link, from, peer, packet } => {
            assert!(server.knows(&client) && server.owner(link).is_some());
            assert_eq!(peer.port(), MEDIA_PORT);
            assert!(MEDIA_IPS.iter().any(|ip| peer.ip() == std::net::IpAddr::from(*ip)));
            assert_eq!(from.ip(), std::net::IpAddr::from(MEDIA_IPS[0]));
            let mut out = [0; MAX_MESSAGE_BYTES + MAX_WRAP_BYTES];
            let wrapped = server.wrap(NOW, link, packet, &mut out);
            let room = packet.len() + MAX_WRAP_BYTES;
            assert!(wrapped.is_some_and(|(to, len)| to == client && len <= room));
        }
        Handled::Dropped(_) => assert_eq!(server.allocations(), before),
    }
    while let Some(ended) = server.poll_ended() {
        assert_eq!(ended.client, client);
        assert!(ended.links.iter().all(|(link, _)| server.owner(*link).is_none()));
    }
}

/// An allocation with channel 0x4000 to a media port.
fn allocate(server: &mut TurnServer) {
    let password = TurnSecret::new(&SECRET).password(USERNAME.as_bytes());
    let mut anna = TurnClient::new(USERNAME.as_bytes(), &password);
    let media = SocketAddr::from((MEDIA_IPS[0], MEDIA_PORT));
    for expect in [401, 0, 0] {
        let question =
            if server.allocations() == 0 { anna.allocate() } else { anna.bind(0x4000, media) };
        let mut out = [0; 1024];
        let Handled::Answer(len) = server.handle(NOW, client(None), &question, &mut out) else {
            panic!("no answer")
        };
        assert_eq!(anna.handle_answer(&out[..len]).map(|answer| answer.code), Some(expect));
    }
}
