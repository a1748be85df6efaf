//! One agent judged message by message; two agents together are in `tests/`.

use std::time::Instant;

use ringway_wire::stun::{Class, IceRole, MessageType, StunView, StunWriter, TransactionId};

use super::*;

const SECOND: u64 = 1000 * NS_PER_MS;

fn credentials(ufrag: &str) -> IceCredentials {
    let password = format!("{ufrag}+the/password/of/one");
    IceCredentials::new(ufrag.as_bytes(), password.as_bytes()).expect("valid credentials")
}

fn path(port: u16) -> Path {
    let remote = ([192, 0, 2, 1], port).into();
    Path { remote, protocol: PathProtocol::Udp, socket: 3 }
}

/// A check as a browser sends it to `local`, with something changed.
#[derive(Clone)]
struct Request {
    ufrag: &'static str,
    key: IceCredentials,
    role: IceRole,
    use_candidate: bool,
    username: bool,
    integrity: bool,
    unknown: bool,
    class: Class,
}

impl Default for Request {
    fn default() -> Self {
        Self {
            ufrag: "server",
            key: credentials("server"),
            role: IceRole::Controlling(5),
            use_candidate: false,
            username: true,
            integrity: true,
            unknown: false,
            class: Class::Request,
        }
    }
}

impl Request {
    fn bytes(&self) -> Vec<u8> {
        let (mut out, key) = ([0; 256], credentials::IceKey::new(&self.key));
        let message_type = MessageType::binding(self.class);
        let mut writer = StunWriter::new(&mut out, message_type, TransactionId([7; 12]));
        if self.username {
            writer.username(self.ufrag.as_bytes(), b"peer");
        }
        writer.priority(1).role(self.role);
        if self.use_candidate {
            writer.use_candidate();
        }
        if self.unknown {
            // There is no call for it: UNKNOWN-ATTRIBUTES becomes a type that nobody knows.
            writer.unknown_attributes(&[1]);
        }
        let mut len = writer.finish().expect("room");
        if self.unknown {
            out[len - 8..len - 6].copy_from_slice(&0x7abc_u16.to_be_bytes());
        }
        if self.integrity {
            let total = (len - 20 + 24) as u16;
            out[2..4].copy_from_slice(&total.to_be_bytes());
            let tag = key.sign(&out[..len]);
            out[len..len + 4].copy_from_slice(&[0, 8, 0, 20]);
            out[len + 4..len + 24].copy_from_slice(&tag);
            len += 24;
        }
        out[..len].to_vec()
    }
}

fn ask(agent: &mut IceAgent, from: Path, request: &Request) -> Result<Heard, IceDrop> {
    let bytes = request.bytes();
    let view = StunView::parse(&bytes).expect("a valid message");
    agent.handle_stun(SECOND, from, &view, &bytes)
}

/// Code of the answer that waits (200 for a grant), and whether it is signed. The checks that a
/// full agent makes itself may stand before it.
fn answer(agent: &mut IceAgent, from: Path) -> Option<(u16, bool)> {
    let mut out = [0; 256];
    let sent = loop {
        let sent = agent.poll_transmit(SECOND, &mut out)?;
        let view = StunView::parse(&out[..sent.len]).expect("a valid message");
        if view.message_type().class != Class::Request {
            break sent;
        }
    };
    assert_eq!(sent.path, from);
    let view = StunView::parse(&out[..sent.len]).expect("a valid answer");
    assert_eq!(view.transaction(), TransactionId([7; 12]));
    assert!(view.has_fingerprint());
    if let Some(signed) = view.signed() {
        assert!(credentials::IceKey::new(&credentials("server")).verify(&signed));
    }
    let code = match view.message_type().class {
        Class::Success => {
            assert_eq!(view.mapped_address(), Some(from.remote));
            200
        }
        _ => view.error().expect("an error code").code,
    };
    Some((code, view.signed().is_some()))
}

#[test]
fn requests_are_granted_or_refused_as_rfc_8489_asks() {
    let good = Request::default;
    let wrong = credentials("wrong");
    let rows = [
        ("good", good(), None, Some((200, true))),
        ("no role", Request { role: IceRole::Controlling(0), ..good() }, None, Some((200, true))),
        (
            "no username",
            Request { username: false, ..good() },
            Some(IceDrop::Incomplete),
            Some((400, false)),
        ),
        (
            "no integrity",
            Request { integrity: false, ..good() },
            Some(IceDrop::Incomplete),
            Some((400, false)),
        ),
        (
            "other ufrag",
            Request { ufrag: "older", ..good() },
            Some(IceDrop::Ufrag),
            Some((401, false)),
        ),
        (
            "other password",
            Request { key: wrong.clone(), ..good() },
            Some(IceDrop::Integrity),
            Some((401, false)),
        ),
        (
            "other password and a nomination",
            Request { key: wrong, use_candidate: true, ..good() },
            Some(IceDrop::Integrity),
            Some((401, false)),
        ),
        (
            "controlled",
            Request { role: IceRole::Controlled(0), ..good() },
            Some(IceDrop::Role),
            Some((487, true)),
        ),
        (
            "unknown attribute",
            Request { unknown: true, ..good() },
            Some(IceDrop::Unknown),
            Some((420, true)),
        ),
        (
            "an indication",
            Request { class: Class::Indication, ..good() },
            Some(IceDrop::Unasked),
            None,
        ),
        ("an answer", Request { class: Class::Success, ..good() }, Some(IceDrop::Unasked), None),
    ];
    for (name, request, expect, reply) in rows {
        let mut agent = IceAgent::lite(&credentials("server"));
        assert_eq!(ask(&mut agent, path(1), &request).err(), expect, "{name}");
        assert_eq!(answer(&mut agent, path(1)), reply, "{name}");
        assert_eq!(answer(&mut agent, path(1)), None, "{name}: one answer");
        assert_eq!(agent.is_known(&path(1)), expect.is_none(), "{name}");
        assert_eq!(agent.send_path().is_some(), expect.is_none(), "{name}");
    }
}

/// The peer has told no address, so that nothing but its own checks can settle who is in control.
#[test]
fn a_full_agent_grants_the_checks_of_either_role() {
    let address = ([192, 0, 2, 9], 7882).into();
    let local = LocalAddress { socket: 3, address, protocol: PathProtocol::Udp };
    let roles = |number| [IceRole::Controlling(number), IceRole::Controlled(number)];
    for role in [1, u64::MAX].into_iter().flat_map(roles) {
        let mut agent = IceAgent::full(&credentials("server"), &[local], Instant::now());
        agent.set_remote(&credentials("peer"));
        for _ in 0..2 {
            let request = Request { role, ..Request::default() };
            assert_eq!(ask(&mut agent, path(1), &request).err(), None, "{role:?}");
            assert_eq!(answer(&mut agent, path(1)), Some((200, true)), "{role:?}");
        }
    }
}

/// What a full agent sends in five seconds after `now_ns`, which is moved on.
fn sent_by(agent: &mut IceAgent, now_ns: &mut u64) -> usize {
    let (end_ns, mut sent, mut out) = (*now_ns + 5 * SECOND, 0, [0; 512]);
    while let Some(at_ns) = agent.deadline(*now_ns).filter(|at_ns| *at_ns < end_ns) {
        *now_ns = at_ns.max(*now_ns + NS_PER_MS);
        let _ = agent.handle_timeout(*now_ns);
        while agent.poll_transmit(*now_ns, &mut out).is_some() {
            sent += 1;
        }
    }
    *now_ns = end_ns;
    sent
}

#[test]
fn a_full_agent_rests_while_nothing_is_new() {
    let address = ([192, 0, 2, 9], 7882).into();
    let local = LocalAddress { socket: 3, address, protocol: PathProtocol::Udp };
    let mut agent = IceAgent::full(&credentials("server"), &[local], Instant::now());
    agent.set_remote(&credentials("peer"));
    let mut now_ns = SECOND;
    let say = |agent: &mut IceAgent, now_ns: u64, port, use_candidate, server: &'static str| {
        let key = credentials(server);
        let request = Request { use_candidate, ufrag: server, key, ..Request::default() };
        let bytes = request.bytes();
        let view = StunView::parse(&bytes).expect("a request");
        agent.handle_stun(now_ns, path(port), &view, &bytes).expect("granted");
        let mut out = [0; 512];
        let sent = agent.poll_transmit(now_ns, &mut out).expect("an answer");
        assert_eq!(sent.path, path(port));
    };
    say(&mut agent, now_ns, 1, true, "server");
    assert!(sent_by(&mut agent, &mut now_ns) > 0, "it checks the path too");
    for _ in 0..3 {
        say(&mut agent, now_ns, 1, false, "server");
        assert_eq!(sent_by(&mut agent, &mut now_ns), 0, "it rests");
    }
    say(&mut agent, now_ns, 2, false, "server");
    assert!(sent_by(&mut agent, &mut now_ns) > 0, "a new path is checked");
    say(&mut agent, now_ns, 2, true, "server");
    assert_eq!(agent.selected(), Some(path(2)));
    sent_by(&mut agent, &mut now_ns);
    assert_eq!(sent_by(&mut agent, &mut now_ns), 0, "it rests again");
    agent.restart(&credentials("again"));
    agent.set_remote(&credentials("peer"));
    for _ in 0..3 {
        say(&mut agent, now_ns, 2, false, "again");
        assert!(sent_by(&mut agent, &mut now_ns) > 0, "nobody has nominated yet");
    }
}

/// Ports that a full agent sends to at `now_ns`.
fn sent_to(agent: &mut IceAgent, now_ns: u64) -> Vec<u16> {
    let _ = agent.handle_timeout(now_ns);
    let mut out = [0; 512];
    let sent = std::iter::from_fn(|| agent.poll_transmit(now_ns, &mut out));
    let mut ports: Vec<u16> = sent.map(|one| one.path.remote.port()).collect();
    ports.sort_unstable();
    ports
}

#[test]
fn a_full_agent_lets_the_peer_begin_and_then_does_all_at_once() {
    let address = ([192, 0, 2, 9], 7882).into();
    let local = LocalAddress { socket: 3, address, protocol: PathProtocol::Udp };
    let (now_ns, wait_ns) = (SECOND, 250 * NS_PER_MS);
    let ports: Vec<u16> = (1..5).map(|number| path(number).remote.port()).collect();
    let begin = || {
        let mut agent = IceAgent::full(&credentials("server"), &[local], Instant::now());
        agent.set_remote(&credentials("peer"));
        (1..5).for_each(|number| agent.add_remote_candidate(path(number)));
        assert_eq!(sent_to(&mut agent, now_ns), []);
        agent
    };
    // It says nothing for a while, then everything.
    let mut agent = begin();
    assert_eq!(agent.deadline(now_ns), Some(now_ns + wait_ns));
    assert_eq!(sent_to(&mut agent, now_ns + wait_ns - 1), []);
    assert_eq!(sent_to(&mut agent, now_ns + wait_ns), ports);
    // The first check is answered, and all is checked.
    let mut agent = begin();
    let bytes = Request::default().bytes();
    let view = StunView::parse(&bytes).expect("a request");
    agent.handle_stun(now_ns, path(1), &view, &bytes).expect("granted");
    let mut expected = [&ports[..1], &ports].concat();
    expected.sort_unstable();
    assert_eq!(sent_to(&mut agent, now_ns), expected);
    // Checks that came before the peer's credentials are answered as soon as these are there.
    let mut agent = IceAgent::full(&credentials("server"), &[local], Instant::now());
    for number in 1..5 {
        agent.handle_stun(now_ns, path(number), &view, &bytes).expect("kept");
    }
    assert_eq!(sent_to(&mut agent, now_ns), []);
    agent.set_remote(&credentials("peer"));
    let sent = sent_to(&mut agent, now_ns);
    assert!(ports.iter().all(|port| sent.contains(port)), "{sent:?}");
}

#[test]
fn the_latest_nomination_is_followed_at_once() {
    let mut agent = IceAgent::lite(&credentials("server"));
    let check = Request::default();
    let nomination = Request { use_candidate: true, ..Request::default() };
    let wrong = Request { key: credentials("wrong"), ..nomination.clone() };
    // (from, request, selected afterwards, sent to afterwards)
    let rows = [
        (1, &check, None, 1),
        (2, &check, None, 2), // before a nomination: the latest check
        (1, &nomination, Some(1), 1),
        (2, &check, Some(1), 1),
        (3, &nomination, Some(3), 3), // another network: at once
        (1, &check, Some(3), 3),
        (4, &wrong, Some(3), 3),
        (1, &nomination, Some(1), 1),
    ];
    for (row, (from, request, selected, sent_to)) in rows.into_iter().enumerate() {
        let _ = ask(&mut agent, path(from), request);
        assert_eq!(agent.selected(), selected.map(path), "row {row}");
        assert_eq!(agent.send_path(), Some(path(sent_to)), "row {row}");
    }
}

#[test]
fn tcp_and_udp_from_one_address_are_two_paths() {
    let mut agent = IceAgent::lite(&credentials("server"));
    let tcp = Path { protocol: PathProtocol::Tcp, ..path(1) };
    let heard = ask(&mut agent, path(1), &Request::default()).expect("granted");
    assert_eq!((heard.learned, heard.forgotten), (Some(path(1)), None));
    assert!(!agent.is_known(&tcp));
    let nomination = Request { use_candidate: true, ..Request::default() };
    let heard = ask(&mut agent, tcp, &nomination).expect("granted");
    assert_eq!((heard.learned, heard.selected), (Some(tcp), Some(tcp)));
    agent.handle_path_closed(tcp.remote, PathProtocol::Tcp, tcp.socket);
    assert_eq!((agent.selected(), agent.send_path()), (None, Some(path(1))));
}

#[test]
fn after_a_restart_only_the_new_credentials_are_good() {
    let mut agent = IceAgent::lite(&credentials("server"));
    let nomination = Request { use_candidate: true, ..Request::default() };
    ask(&mut agent, path(1), &nomination).expect("granted");
    agent.restart(&credentials("again"));
    assert_eq!(agent.ufrag(), b"again");
    assert_eq!(ask(&mut agent, path(2), &nomination), Err(IceDrop::Ufrag));
    let mixed = Request { ufrag: "again", ..nomination.clone() };
    assert_eq!(ask(&mut agent, path(2), &mixed), Err(IceDrop::Integrity));
    assert_eq!(agent.selected(), Some(path(1)), "media flows on");
    let new = Request { ufrag: "again", key: credentials("again"), ..nomination };
    ask(&mut agent, path(2), &new).expect("granted");
    assert_eq!(agent.selected(), Some(path(2)));
}

#[test]
fn sources_of_one_peer_are_bounded() {
    let mut agent = IceAgent::lite(&credentials("server"));
    for port in 1..5000 {
        ask(&mut agent, path(port), &Request::default()).expect("granted");
    }
    assert_eq!(agent.known().count(), MAX_SOURCES);
}

#[test]
fn silence_fails_the_agent() {
    let mut agent = IceAgent::lite(&credentials("server"));
    assert_eq!(agent.deadline(SECOND), None);
    ask(&mut agent, path(1), &Request::default()).expect("granted");
    answer(&mut agent, path(1)).expect("an answer");
    assert_eq!(agent.deadline(SECOND), Some(11 * SECOND));
    assert_eq!(agent.handle_timeout(11 * SECOND), Some(ConsentChange::Disconnected));
    assert_eq!(agent.heard(12 * SECOND), Some(ConsentChange::Recovered));
    assert_eq!(agent.handle_timeout(30 * SECOND), Some(ConsentChange::Disconnected));
    assert_eq!(agent.handle_timeout(30 * SECOND), Some(ConsentChange::Failed));
    assert_eq!(agent.handle_timeout(99 * SECOND), None);
}

#[test]
fn credentials_have_the_characters_of_rfc_8839() {
    let password = [b'p'; 22];
    for (ufrag, password, expect) in [
        (&b"abcd"[..], &password[..], true),
        (b"abc", &password, false),
        (b"a+/9", &password, true),
        (b"ab:d", &password, false),
        (b"abcd", &password[..21], false),
        (&[b'u'; 256], &[b'p'; 256], true),
        (&[b'u'; 257], &password, false),
        (b"abcd", &[b'p'; 257], false),
    ] {
        assert_eq!(IceCredentials::new(ufrag, password).is_some(), expect, "{ufrag:?}");
    }
}
