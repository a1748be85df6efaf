//! A client that does as RFC 8656 says, and one that does not.

use std::net::{IpAddr, SocketAddr};

use aws_lc_rs::hmac;
use ringway_wire::stun::{BINDING, Class, MessageType, StunView, StunWriter, TransactionId};

use super::attribute::*;
use super::*;

const SECRET: [u8; SECRET_BYTES] = *b"a secret that nobody can guess..";
const USER: &str = "5000:PA_anna";
const MEDIA: &str = "203.0.113.1:7882";
const SECOND_NS: u64 = 1_000_000_000;
/// The first relayed address.
const RELAYED: &str = "203.0.113.1:30000";

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn config() -> TurnConfig {
    let ip = |text: &str| text.parse::<IpAddr>().expect("an address");
    TurnConfig {
        secret: TurnSecret::new(&SECRET),
        addresses: vec![ip("203.0.113.1"), ip("203.0.113.2"), ip("2001:db8::1")],
        ports: (30_000, 30_009),
        per_user: 3,
    }
}

/// A server and the clients before it.
struct World {
    server: TurnServer,
    now: Moment,
    requests: u64,
}

/// An answer taken apart.
struct Answer {
    bytes: Vec<u8>,
    signed: bool,
}

impl Answer {
    fn view(&self) -> StunView<'_> {
        StunView::parse(&self.bytes).expect("a valid message")
    }

    fn code(&self) -> u16 {
        let error = self.view().error().map(|error| error.code);
        let class = self.view().message_type().class;
        assert_eq!(error.is_some(), class == Class::Error);
        error.unwrap_or(0)
    }

    fn value(&self, kind: u16) -> Option<&[u8]> {
        self.view().attributes().find(|(one, _)| *one == kind).map(|(_, value)| value)
    }

    fn relayed(&self) -> Option<SocketAddr> {
        self.view().plain_address(self.value(XOR_RELAYED_ADDRESS)?)
    }

    fn lifetime(&self) -> Option<u32> {
        self.value(LIFETIME).map(|value| u32::from_be_bytes(value.try_into().expect("4 bytes")))
    }
}

fn key(username: &str) -> hmac::Key {
    let password = TurnSecret::new(&SECRET).password(username.as_bytes());
    let password = std::str::from_utf8(&password).expect("ASCII");
    let md5 = ringway_dtls::md5(format!("{username}:{}:{password}", super::REALM).as_bytes());
    hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &md5)
}

fn tag(key: &hmac::Key, message: &[u8]) -> [u8; 20] {
    hmac::sign(key, message).as_ref().try_into().expect("SHA-1")
}

fn client(port: u16) -> Client {
    Client { remote: SocketAddr::from(([198, 51, 100, 1], port)), stream: None }
}

/// Writes attributes of a request.
type Write<'a> = &'a dyn Fn(&mut StunWriter<'_>);

fn with<'a>(kind: u16, value: &'a [u8]) -> impl Fn(&mut StunWriter<'_>) + 'a {
    move |writer| {
        writer.attribute(kind, value);
    }
}

fn udp(writer: &mut StunWriter<'_>) {
    writer.attribute(REQUESTED_TRANSPORT, &[17, 0, 0, 0]);
}

fn peer_of(text: &'static str) -> impl Fn(&mut StunWriter<'_>) {
    move |writer| {
        writer.address(XOR_PEER_ADDRESS, address(text));
    }
}

fn channel_of(number: u16, peer: &'static str) -> impl Fn(&mut StunWriter<'_>) {
    move |writer| {
        let [high, low] = number.to_be_bytes();
        writer.attribute(CHANNEL_NUMBER, &[high, low, 0, 0]);
        writer.address(XOR_PEER_ADDRESS, address(peer));
    }
}

impl World {
    fn new() -> Self {
        let mut server = TurnServer::new(&[3; 32]);
        server.configure(config());
        server.open_port(7882);
        server.open_port(7883);
        Self { server, now: Moment { mono_ns: SECOND_NS, unix_s: 1000 }, requests: 0 }
    }

    fn pass(&mut self, seconds: u64) {
        self.now.mono_ns += seconds * SECOND_NS;
        self.now.unix_s += seconds;
        self.server.handle_timeout(self.now);
    }

    fn transaction(&mut self) -> TransactionId {
        self.requests += 1;
        let mut transaction = TransactionId([9; 12]);
        transaction.0[4..].copy_from_slice(&self.requests.to_be_bytes());
        transaction
    }

    fn send(&mut self, from: Client, bytes: &[u8]) -> Result<Answer, TurnDrop> {
        let mut out = [0; 1024];
        match self.server.handle(self.now, from, bytes, &mut out) {
            Handled::Answer(len) => Ok(Answer { bytes: out[..len].to_vec(), signed: false }),
            Handled::Dropped(reason) => Err(reason),
            relayed => panic!("{relayed:?}"),
        }
    }

    fn write(&mut self, method: u16, write: Write<'_>) -> Vec<u8> {
        let transaction = self.transaction();
        let mut out = [0; 1024];
        let kind = MessageType { class: Class::Request, method };
        let mut writer = StunWriter::new(&mut out, kind, transaction);
        write(&mut writer);
        let len = writer.finish().expect("room");
        out[..len].to_vec()
    }

    /// Asks twice, as clients do: for the nonce, and with it.
    fn ask_as(&mut self, username: &str, from: Client, method: u16, write: Write<'_>) -> Answer {
        let first = self.write(method, write);
        let challenge = self.send(from, &first).expect("a challenge");
        assert_eq!(challenge.code(), 401);
        assert_eq!(challenge.value(super::attribute::REALM), Some(super::REALM.as_bytes()));
        let nonce = challenge.value(NONCE).expect("a nonce").to_vec();
        self.ask_with(username, &nonce, from, method, write)
    }

    fn ask_with(
        &mut self,
        username: &str,
        nonce: &[u8],
        from: Client,
        method: u16,
        write: Write<'_>,
    ) -> Answer {
        let key = key(username);
        let bytes = self.write(method, &|writer| {
            write(writer);
            writer
                .attribute(0x0006, username.as_bytes())
                .attribute(super::attribute::REALM, super::REALM.as_bytes())
                .attribute(NONCE, nonce)
                .integrity(|message| tag(&key, message));
        });
        let mut answer = self.send(from, &bytes).expect("an answer");
        assert_eq!(answer.view().transaction().0[4..], self.requests.to_be_bytes());
        answer.signed = answer.view().signed().is_some_and(|signed| {
            tag(&key, &[&signed.header[..], signed.attributes].concat()) == *signed.tag
        });
        answer
    }

    fn ask(&mut self, from: Client, method: u16, write: Write<'_>) -> Answer {
        self.ask_as(USER, from, method, write)
    }

    fn allocate(&mut self, from: Client) -> SocketAddr {
        let answer = self.ask(from, ALLOCATE, &udp);
        assert_eq!((answer.code(), answer.signed), (0, true));
        assert_eq!(answer.view().mapped_address(), Some(from.remote));
        answer.relayed().expect("a relayed address")
    }

    /// What a packet of the client becomes at the server: peer, sender, payload.
    fn relayed(&mut self, from: Client, bytes: &[u8]) -> Result<(LinkId, SocketAddr), TurnDrop> {
        let mut out = [0; 64];
        match self.server.handle(self.now, from, bytes, &mut out) {
            Handled::Relay { link, from, peer, packet } => {
                assert_eq!((from.port(), packet), (30_000, &b"media"[..]));
                Ok((link, peer))
            }
            Handled::Dropped(reason) => Err(reason),
            answer => panic!("{answer:?}"),
        }
    }

    fn indication(&mut self, peer: &'static str) -> Vec<u8> {
        let mut out = [0; 128];
        let kind = MessageType { class: Class::Indication, method: SEND };
        let len = StunWriter::new(&mut out, kind, self.transaction())
            .address(XOR_PEER_ADDRESS, address(peer))
            .attribute(DATA_ATTRIBUTE, b"media")
            .finish()
            .expect("room");
        out[..len].to_vec()
    }

    fn wrapped(&mut self, link: LinkId) -> Option<Vec<u8>> {
        let mut out = [0; 128];
        let (_, len) = self.server.wrap(self.now, link, b"answer", &mut out)?;
        Some(out[..len].to_vec())
    }
}

fn channel_data(number: u16) -> Vec<u8> {
    [&number.to_be_bytes()[..], &[0, 5], b"media"].concat()
}

#[test]
fn by_indications_and_by_channel() {
    let mut world = World::new();
    let anna = client(1);
    assert_eq!(world.allocate(anna), address(RELAYED));
    let sent = world.indication(MEDIA);
    assert_eq!(world.relayed(anna, &sent), Err(TurnDrop::NoPermission));
    // The port means nothing in a permission.
    let permitted = world.ask(anna, CREATE_PERMISSION, &peer_of("203.0.113.1:1"));
    assert_eq!((permitted.code(), permitted.signed), (0, true));
    let (link, peer) = world.relayed(anna, &sent).expect("permitted");
    assert_eq!(peer, address(MEDIA));
    for elsewhere in ["203.0.113.1:22", "203.0.113.2:7882", "192.0.2.1:7882"] {
        let sent = world.indication(elsewhere);
        assert_eq!(world.relayed(anna, &sent), Err(TurnDrop::NoPermission), "{elsewhere}");
    }
    let data = world.wrapped(link).expect("permitted");
    let view = StunView::parse(&data).expect("a valid message");
    let kind = MessageType { class: Class::Indication, method: DATA };
    assert_eq!(view.message_type(), kind);
    let values: Vec<_> = view.attributes().collect();
    assert_eq!(view.plain_address(values[0].1), Some(address(MEDIA)));
    assert_eq!(values[1], (DATA_ATTRIBUTE, &b"answer"[..]));

    assert_eq!(world.relayed(anna, &channel_data(0x4000)), Err(TurnDrop::NoPermission));
    let bound = world.ask(anna, CHANNEL_BIND, &channel_of(0x4000, MEDIA));
    assert_eq!((bound.code(), bound.signed), (0, true));
    assert_eq!(world.relayed(anna, &channel_data(0x4000)), Ok((link, address(MEDIA))));
    assert_eq!(world.wrapped(link).as_deref(), Some(&b"\x40\x00\x00\x06answer"[..]));
    let short = [0x40, 0, 0, 6, 1];
    assert_eq!(world.relayed(anna, &short), Err(TurnDrop::Malformed));
    // Somebody else has no part in it.
    assert_eq!(world.relayed(client(2), &channel_data(0x4000)), Err(TurnDrop::NoPermission));
    assert_eq!(world.relayed(client(2), &sent), Err(TurnDrop::NoPermission));
}

#[test]
fn permissions_and_channels_run_out() {
    let mut world = World::new();
    let anna = client(1);
    world.allocate(anna);
    world.ask(anna, CREATE_PERMISSION, &peer_of(MEDIA));
    let sent = world.indication(MEDIA);
    let (link, _) = world.relayed(anna, &sent).expect("permitted");
    world.pass(299);
    assert!(world.relayed(anna, &sent).is_ok() && world.wrapped(link).is_some());
    world.pass(1);
    assert!(world.relayed(anna, &sent).is_err() && world.wrapped(link).is_none());
    world.ask(anna, CHANNEL_BIND, &channel_of(0x4001, MEDIA));
    // A channel comes with a permission.
    assert!(world.relayed(anna, &sent).is_ok());
    world.pass(299);
    // Once more prolongs it.
    assert_eq!(world.ask(anna, CHANNEL_BIND, &channel_of(0x4001, MEDIA)).code(), 0);
    assert_eq!(world.ask(anna, REFRESH, &|_| {}).lifetime(), Some(600));
    world.pass(599);
    assert!(world.relayed(anna, &channel_data(0x4001)).is_ok());
    assert_eq!(world.ask(anna, REFRESH, &|_| {}).code(), 0);
    world.pass(1);
    assert!(world.relayed(anna, &channel_data(0x4001)).is_err());
    // The number is free again.
    assert_eq!(world.ask(anna, CHANNEL_BIND, &channel_of(0x4001, "203.0.113.2:7883")).code(), 0);
}

#[test]
fn allocations_end() {
    let mut world = World::new();
    let anna = client(1);
    for (how, wanted, told) in [
        ("by time", None, Some(600)),
        ("by wish", Some(3600), Some(3600)),
        ("by connection", Some(90_000), Some(3600)),
        ("by time again", Some(1), Some(600)),
    ] {
        let answer = world.ask(anna, ALLOCATE, &|writer| {
            udp(writer);
            if let Some(wanted) = wanted {
                writer.attribute(LIFETIME, &u32::to_be_bytes(wanted));
            }
        });
        let first = address(RELAYED);
        assert_eq!((answer.code(), answer.lifetime(), answer.signed), (0, told, true), "{how}");
        let relayed = answer.relayed().expect("an address");
        assert!(relayed.port() >= first.port() && world.server.knows(&anna));
        world.ask(anna, CHANNEL_BIND, &channel_of(0x4000, MEDIA));
        let mut out = [0; 64];
        let bytes = channel_data(0x4000);
        let Handled::Relay { link, .. } = world.server.handle(world.now, anna, &bytes, &mut out)
        else {
            panic!("{how}")
        };
        *world.server.owner(link).expect("it lives") = Some(7);
        match how {
            "by wish" => {
                let answer = world.ask(anna, REFRESH, &with(LIFETIME, &[0; 4]));
                assert_eq!((answer.code(), answer.lifetime(), answer.signed), (0, Some(0), true));
            }
            "by connection" => world.server.handle_closed(&anna),
            _ => world.pass(600),
        }
        let ended = world.server.poll_ended();
        let expect = Ended { client: anna, relayed, links: vec![(link, Some(7))] };
        assert_eq!((ended, world.server.allocations()), (Some(expect), 0), "{how}");
        assert!(world.server.owner(link).is_none() && world.wrapped(link).is_none(), "{how}");
        assert_eq!(world.ask(anna, REFRESH, &|_| {}).code(), 437);
        assert_eq!(world.ask(anna, CREATE_PERMISSION, &peer_of(MEDIA)).code(), 437);
    }
}

#[test]
#[allow(clippy::too_many_lines)] // A row for each refusal.
fn refusals() {
    let mut world = World::new();
    let anna = client(1);
    let rows: &[(u16, Write<'_>, u16)] = &[
        (ALLOCATE, &|_| {}, 400),
        (ALLOCATE, &with(REQUESTED_TRANSPORT, &[6, 0, 0, 0]), 442),
        (
            ALLOCATE,
            &|w| {
                udp(w);
                w.attribute(EVEN_PORT, &[0x80]);
            },
            508,
        ),
        (
            ALLOCATE,
            &|w| {
                udp(w);
                w.attribute(RESERVATION_TOKEN, &[0; 8]);
            },
            508,
        ),
        (
            ALLOCATE,
            &|w| {
                udp(w);
                w.attribute(REQUESTED_ADDRESS_FAMILY, &[3, 0, 0, 0]);
            },
            440,
        ),
        (
            ALLOCATE,
            &|w| {
                udp(w);
                w.attribute(0x7abc, &[]);
            },
            420,
        ),
        (ALLOCATE, &udp, 0),
        (ALLOCATE, &udp, 437),
        (REFRESH, &with(REQUESTED_ADDRESS_FAMILY, &[2, 0, 0, 0]), 443),
        (CREATE_PERMISSION, &|_| {}, 400),
        (CREATE_PERMISSION, &peer_of("192.0.2.1:7882"), 403),
        (CREATE_PERMISSION, &peer_of("127.0.0.1:7882"), 403),
        (
            CREATE_PERMISSION,
            &|w| {
                peer_of(MEDIA)(w);
                peer_of("192.0.2.1:1")(w);
            },
            403,
        ),
        (CREATE_PERMISSION, &peer_of("[2001:db8::1]:7882"), 443),
        (CREATE_PERMISSION, &|w| (0..17).for_each(|_| peer_of(MEDIA)(w)), 508),
        (CHANNEL_BIND, &peer_of(MEDIA), 400),
        (CHANNEL_BIND, &with(CHANNEL_NUMBER, &[0x40, 0, 0, 0]), 400),
        (CHANNEL_BIND, &channel_of(0x3fff, MEDIA), 400),
        (CHANNEL_BIND, &channel_of(0x5000, MEDIA), 400),
        (CHANNEL_BIND, &channel_of(0x4000, "203.0.113.1:7884"), 403),
        (CHANNEL_BIND, &channel_of(0x4000, "192.0.2.1:7882"), 403),
        (CHANNEL_BIND, &channel_of(0x4000, "[2001:db8::1]:7882"), 443),
        (CHANNEL_BIND, &channel_of(0x4000, MEDIA), 0),
        (CHANNEL_BIND, &channel_of(0x4001, MEDIA), 400),
        (CHANNEL_BIND, &channel_of(0x4000, "203.0.113.2:7882"), 400),
        (CHANNEL_BIND, &channel_of(0x4fff, "203.0.113.2:7882"), 0),
    ];
    for (row, (method, write, expect)) in rows.iter().enumerate() {
        let answer = world.ask(anna, *method, *write);
        assert_eq!((answer.code(), answer.signed), (*expect, true), "row {row}");
        if *expect == 420 {
            assert_eq!(answer.value(0x000a), Some(&[0x7a, 0xbc][..]));
        }
    }
    let other = world.ask_as("2000:PA_bob", anna, REFRESH, &|_| {});
    assert_eq!((other.code(), other.signed), (441, false));
}

#[test]
fn who_proves_nothing_gets_nothing() {
    let mut world = World::new();
    let anna = client(1);
    for username in ["1000:PA_anna", "PA_anna", "999:PA_anna", ""] {
        assert_eq!(world.ask_as(username, anna, ALLOCATE, &udp).code(), 401, "{username}");
    }
    let nonce = world.server.nonces().make(world.now.mono_ns / SECOND_NS, &anna);
    assert_eq!(world.ask_with(USER, &nonce, client(2), ALLOCATE, &udp).code(), 438);
    let stale = world.ask_with(USER, b"00000000", anna, ALLOCATE, &udp);
    assert_eq!((stale.code(), stale.signed), (438, false));
    let nonce = stale.value(NONCE).expect("another nonce").to_vec();
    // One wrong bit anywhere in what is signed, or in the signature.
    let key = key(USER);
    let good = world.write(ALLOCATE, &|writer| {
        udp(writer);
        writer
            .attribute(0x0006, USER.as_bytes())
            .attribute(super::attribute::REALM, super::REALM.as_bytes())
            .attribute(NONCE, &nonce)
            .integrity(|message| tag(&key, message));
    });
    for bit in 0..good.len() * 8 {
        let mut wrong = good.clone();
        wrong[bit / 8] ^= 1 << (bit % 8);
        if let Ok(answer) = world.send(anna, &wrong) {
            // Where it came from may be asked by anybody.
            let binding = answer.view().message_type().method == BINDING;
            let refused = matches!(answer.code(), 400 | 401 | 438);
            assert!(refused || binding, "bit {bit}: {}", answer.code());
        }
        assert_eq!(world.server.allocations(), 0, "bit {bit}");
    }
    let made = world.send(anna, &good).expect("an answer");
    assert_eq!(made.code(), 0);
    // The same again is the same request, whose answer was lost.
    assert_eq!(world.send(anna, &good).expect("an answer").bytes, made.bytes);
    assert_eq!(world.server.allocations(), 1);
    // What was made stays under the user name that it was made with, however late.
    world.pass(550);
    world.ask(anna, REFRESH, &with(LIFETIME, &[0, 0, 0x0e, 0x10]));
    world.pass(3500);
    assert_eq!(world.ask(anna, REFRESH, &|_| {}).code(), 0);
    assert_eq!(world.ask(client(3), ALLOCATE, &udp).code(), 401);
}

#[test]
fn quotas() {
    let mut world = World::new();
    for port in 1..=3 {
        world.allocate(client(port));
    }
    assert_eq!(world.ask(client(4), ALLOCATE, &udp).code(), 486);
    // Another user name of the same user is no way around.
    assert_eq!(world.ask_as("1999:PA_anna", client(4), ALLOCATE, &udp).code(), 486);
    let mut relayed = Vec::new();
    for user in 0..7 {
        let answer = world.ask_as(&format!("2000:PA_{user}"), client(10 + user), ALLOCATE, &udp);
        relayed.push(answer.relayed().expect("an address").port());
    }
    assert_eq!(relayed, [30_003, 30_004, 30_005, 30_006, 30_007, 30_008, 30_009]);
    assert_eq!(world.ask_as("2000:PA_x", client(99), ALLOCATE, &udp).code(), 508);
    world.server.handle_closed(&client(2));
    let answer = world.ask(client(4), ALLOCATE, &udp);
    assert_eq!(answer.relayed(), Some(address("203.0.113.1:30001")));
    // IPv6, for who asks for it.
    world.server.handle_closed(&client(4));
    let answer = world.ask(client(5), ALLOCATE, &|writer| {
        udp(writer);
        writer.attribute(REQUESTED_ADDRESS_FAMILY, &[2, 0, 0, 0]);
    });
    assert_eq!(answer.relayed(), Some(address("[2001:db8::1]:30001")));
    let bound = world.ask(client(5), CHANNEL_BIND, &channel_of(0x4000, "[2001:db8::1]:7883"));
    assert_eq!(bound.code(), 0);
}

#[test]
fn strangers_are_answered_only_so_often() {
    let mut world = World::new();
    let request = world.write(ALLOCATE, &udp);
    let answered = (0..10_000).filter(|_| world.send(client(1), &request).is_ok()).count();
    assert_eq!(answered, 4000);
    assert!(matches!(world.send(client(1), &request), Err(TurnDrop::Flood)));
    let by_tcp = Client { stream: Some(0), ..client(1) };
    assert_eq!(world.send(by_tcp, &request).expect("an answer").code(), 401);
    world.pass(1);
    assert!(world.send(client(1), &request).is_ok());
    // An answer is hardly longer than three requests.
    let answer = world.send(client(1), &request).expect("an answer");
    assert!(answer.bytes.len() <= 4 * request.len(), "{} bytes", answer.bytes.len());
}

#[test]
fn other_messages() {
    let mut world = World::new();
    let anna = client(1);
    let binding = world.write(0x001, &|writer| {
        writer.fingerprint();
    });
    let answer = world.send(anna, &binding).expect("an answer");
    assert_eq!(answer.view().mapped_address(), Some(anna.remote));
    assert!(answer.view().has_fingerprint());
    let connect = world.write(0x00a, &|_| {});
    let media = [0x80, 96, 0, 1];
    let broken = [&binding[..20], &[0; 4]].concat();
    for (bytes, expect) in [
        (&connect[..], TurnDrop::Unasked),
        (&answer.bytes, TurnDrop::Unasked),
        (&media, TurnDrop::Malformed),
        (&broken, TurnDrop::Malformed),
        (&[], TurnDrop::Malformed),
    ] {
        assert_eq!(world.send(anna, bytes).err(), Some(expect));
    }
    let mut off = TurnServer::new(&[0; 32]);
    let handled = off.handle(world.now, anna, &binding, &mut [0; 64]);
    assert_eq!(handled, Handled::Dropped(TurnDrop::Off));
}

#[test]
fn over_a_stream_channel_data_is_padded() {
    let mut world = World::new();
    let anna = Client { stream: Some(7), ..client(1) };
    world.allocate(anna);
    world.ask(anna, CHANNEL_BIND, &channel_of(0x4000, MEDIA));
    let (link, _) = world.relayed(anna, &channel_data(0x4000)).expect("bound");
    assert_eq!(world.wrapped(link).as_deref(), Some(&b"\x40\x00\x00\x06answer\0\0"[..]));
}
