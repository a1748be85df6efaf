//! The real room and real sessions, in virtual time: what recorded clients said, who hears of it,
//! and what the data plane is asked for.

use std::collections::HashMap;
use std::path::Path;

use ringway_room::calls::Config;
use ringway_server::config::Turn;
use ringway_server::rtc::hub::{ConnectionId, Hub, Output, Visitor};
use ringway_server::rtc::relays::Relays;
use ringway_signal::Settings;
use ringway_signal::client::Client;
use ringway_signal::grants::Claims;
use ringway_signal::join::Join;
use ringway_signal::plane::{
    AddRoute, AddSource, Ask, Fingerprint, HashAlgorithm, Level, PlaneEvent, PlaneInfo,
    ShardAddresses, TransportKey,
};
use ringway_signal::proto;
use ringway_signal::proto::signal_request::Message as Says;
use ringway_signal::proto::signal_response::Message as Hears;
use ringway_signal::wire::decode_binary;
use serde_json::json;

const JS: ConnectionId = ConnectionId(1);
const OTHER: ConnectionId = ConnectionId(2);

/// A hub with what came out of it sorted.
struct Stage {
    hub: Hub,
    now_ms: u64,
    heard: HashMap<ConnectionId, Vec<Hears>>,
    closed: Vec<ConnectionId>,
    asks: Vec<Ask>,
}

fn recorded(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../signal/tests/recorded").join(name)
}

fn visitor(name: &str, identity: &str) -> Visitor {
    let text = std::fs::read_to_string(recorded(name).join("query.txt")).unwrap();
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    let join = Join::from_query(pairs, name.ends_with("v1"), true).unwrap();
    let claims = json!({"sub": identity, "video": {"roomJoin": true, "room": "r"}});
    let claims: Claims = serde_json::from_value(claims).unwrap();
    let client = Client::new(join.client.clone(), "", "");
    Visitor { claims, join, client }
}

fn message(name: &str, number: &str) -> Says {
    let bytes = std::fs::read(recorded(name).join(format!("{number}.bin"))).unwrap();
    decode_binary(&bytes).unwrap().message.unwrap()
}

fn plane() -> PlaneInfo {
    let udp = vec!["192.0.2.1:7882".parse().unwrap()];
    let fingerprint = Fingerprint { algorithm: HashAlgorithm::Sha256, digest: vec![7; 32] };
    let tcp = vec!["192.0.2.1:7881".parse().unwrap()];
    let shards = vec![ShardAddresses { udp, tcp }];
    PlaneInfo { fingerprint, shards, in_service: false }
}

impl Stage {
    fn new() -> Self {
        Self::with(Config::default())
    }

    fn with(config: Config) -> Self {
        let mut hub = Hub::new(Settings::default(), config, [1, 2, 3, 4]);
        hub.handle_plane_joined(0, plane());
        let (heard, closed, asks) = Default::default();
        Self { hub, now_ms: 0, heard, closed, asks }
    }

    fn look(&mut self) {
        while let Some(output) = self.hub.poll_output() {
            match output {
                Output::Send(connection, outgoing) => {
                    let message = outgoing.message().unwrap().clone();
                    self.heard.entry(connection).or_default().push(message);
                }
                Output::Close(connection) => self.closed.push(connection),
                Output::Plane(0, ask) => self.asks.push(ask),
                Output::Plane(shard, ask) => panic!("{shard}: {ask:?}"),
                Output::RefreshToken(..) | Output::Fact(_) => {}
            }
        }
    }

    fn join(&mut self, connection: ConnectionId, visitor: Visitor) {
        let seed = [connection.0, 2, 3, 4];
        self.hub.handle_join(self.now_ms, connection, visitor, seed).unwrap();
        self.look();
    }

    fn says(&mut self, connection: ConnectionId, message: Says) {
        self.hub.handle_message(self.now_ms, connection, Some(message));
        self.look();
    }

    fn after(&mut self, ms: u64) {
        let end_ms = self.now_ms + ms;
        while let Some(due_ms) = self.hub.deadline().filter(|due_ms| *due_ms <= end_ms) {
            self.now_ms = self.now_ms.max(due_ms);
            self.hub.handle_timeout(self.now_ms);
        }
        self.now_ms = end_ms;
        self.look();
    }

    fn is_told(&mut self, event: PlaneEvent) {
        self.hub.handle_plane_event(self.now_ms, event);
        self.look();
    }

    fn connected(&mut self, transport: TransportKey) {
        let remote = "192.0.2.9:1234".parse().unwrap();
        self.is_told(PlaneEvent::Connected { transport, remote, tcp: false });
    }

    /// What a client has heard since this was asked last.
    fn take(&mut self, connection: ConnectionId) -> Vec<Hears> {
        self.heard.remove(&connection).unwrap_or_default()
    }

    fn opened(&self) -> Vec<TransportKey> {
        let opened = self.asks.iter().filter_map(|ask| match ask {
            Ask::OpenTransport { transport, .. } => Some(*transport),
            _ => None,
        });
        opened.collect()
    }

    fn sources(&self) -> Vec<&AddSource> {
        let sources = self.asks.iter().filter_map(|ask| match ask {
            Ask::AddSource(add) => Some(&**add),
            _ => None,
        });
        sources.collect()
    }

    fn routes(&self) -> Vec<&AddRoute> {
        let routes = self.asks.iter().filter_map(|ask| match ask {
            Ask::AddRoute(add) => Some(&**add),
            _ => None,
        });
        routes.collect()
    }
}

fn last_offer(heard: &[Hears]) -> &proto::SessionDescription {
    let offers = heard.iter().rev().find_map(|message| match message {
        Hears::Offer(offer) => Some(offer),
        _ => None,
    });
    offers.expect("an offer")
}

/// The answer of a client that takes everything.
fn answer_to(offer: &proto::SessionDescription) -> Says {
    let ours = ["a=msid:", "a=ssrc", "a=ice-lite", "a=candidate", "a=end-of", "a=ice-ufrag"];
    let kept = offer.sdp.lines().filter(|line| !ours.iter().any(|mark| line.starts_with(mark)));
    let mut sdp = String::new();
    for line in kept {
        let line = match line {
            "a=sendonly" => "a=recvonly",
            "a=setup:actpass" => "a=setup:active",
            line => line,
        };
        sdp.push_str(line);
        sdp.push_str("\r\n");
        if line.starts_with("a=ice-pwd") {
            sdp.push_str("a=ice-ufrag:client\r\n");
        }
    }
    Says::Answer(proto::SessionDescription {
        r#type: "answer".into(),
        sdp,
        id: offer.id,
        ..Default::default()
    })
}

/// The browser over one connection publishes, another over two receives.
#[test]
fn a_call() {
    let mut stage = Stage::new();
    stage.join(JS, visitor("js_v1", "one"));
    let heard = stage.take(JS);
    assert!(matches!(heard[0], Hears::Join(_)));
    assert!(heard.iter().any(|message| matches!(message, Hears::Answer(_))));
    let single = stage.opened()[0];
    stage.connected(single);
    stage.join(OTHER, visitor("js_v0", "two"));
    let Some(Hears::Join(join)) = stage.take(OTHER).into_iter().next() else { panic!() };
    assert_eq!(join.other_participants[0].identity, "one");
    stage.after(10);
    let heard = stage.take(OTHER);
    stage.says(OTHER, answer_to(last_offer(&heard)));
    let subscriber = stage.opened()[1];
    stage.connected(subscriber);
    // The browser publishes camera and microphone.
    for number in ["006", "010", "011", "013", "015", "017"] {
        stage.says(JS, message("js_v1", number));
    }
    assert_eq!(stage.sources().len(), 2);
    let told = stage.take(JS);
    assert_eq!(told.iter().filter(|m| matches!(m, Hears::TrackPublished(_))).count(), 2);
    stage.after(5_000);
    let heard = stage.take(OTHER);
    let tracks = heard.iter().rev().find_map(|message| match message {
        Hears::Update(update) => update.participants.iter().find(|one| one.identity == "one"),
        _ => None,
    });
    assert_eq!(tracks.expect("an update").tracks.len(), 2);
    let offer = last_offer(&heard);
    assert_eq!(offer.mid_to_track_id.len(), 2, "{}", offer.sdp);
    stage.says(OTHER, answer_to(offer));
    let routes = stage.routes();
    assert_eq!(routes.len(), 2, "{routes:?}");
    assert!(routes.iter().all(|route| route.transport == subscriber));
    assert!(routes.iter().any(|route| route.payload_type == 96));
    assert!(routes.iter().any(|route| route.red_payload_type == Some(63)));
    // Somebody speaks, and stops.
    let source = stage.sources()[1].source;
    let room = stage.sources()[1].room;
    let levels =
        |first, last, speakers| PlaneEvent::Levels { shard: 0, room, first, last, speakers };
    // What was begun and never ended is nothing.
    stage.is_told(levels(true, false, vec![Level { source, level: 1.0 }]));
    stage.is_told(levels(true, false, Vec::new()));
    stage.is_told(levels(false, true, vec![Level { source, level: 0.5 }]));
    stage.is_told(levels(true, true, Vec::new()));
    stage.after(1_000);
    let heard = stage.take(OTHER);
    let speaking: Vec<bool> = heard
        .iter()
        .filter_map(|message| match message {
            Hears::SpeakersChanged(changed) => Some(changed.speakers[0].active),
            _ => None,
        })
        .collect();
    assert_eq!(speaking, [true, false], "{heard:?}");
    // It leaves, and everything of it goes.
    stage.says(JS, message("js_v1", "058"));
    assert!(stage.closed.contains(&JS));
    let gone = |ask: &Ask| matches!(ask, Ask::CloseTransport { transport } if *transport == single);
    assert!(stage.asks.iter().any(gone));
    stage.after(5_000);
    let heard = stage.take(OTHER);
    let left = heard.iter().any(|message| match message {
        Hears::Update(update) => update.participants.iter().any(|one| one.state == 3),
        _ => false,
    });
    assert!(left, "{heard:?}");
    assert_eq!(stage.hub.sessions(), 1);
}

#[test]
fn a_resumed_session_is_told_so_first() {
    let mut stage = Stage::new();
    stage.join(OTHER, visitor("js_v0", "two"));
    stage.after(10);
    let heard = stage.take(OTHER);
    stage.says(OTHER, answer_to(last_offer(&heard)));
    let subscriber = stage.opened()[0];
    stage.connected(subscriber);
    let Some(Hears::Join(join)) = heard.into_iter().next() else { panic!() };
    let sid = join.participant.unwrap().sid;
    stage.hub.handle_closed(stage.now_ms, OTHER);
    stage.after(100);
    let again = ConnectionId(3);
    let mut back = visitor("js_v0", "two");
    back.join.reconnect = Some(ringway_signal::join::Reconnect { sid, reason: 1 });
    stage.join(again, back);
    let heard = stage.take(again);
    assert!(matches!(heard[0], Hears::Reconnect(_)), "{heard:?}");
    assert!(matches!(heard[1], Hears::Update(_)) && matches!(heard[2], Hears::RoomUpdate(_)));
    assert!(stage.asks.iter().any(|ask| matches!(ask, Ask::RestartIce { .. })));
    assert_eq!(stage.hub.sessions(), 1);
}

#[test]
fn credentials_of_relays_are_new_whenever_somebody_comes() {
    let mut stage = Stage::new();
    let turn = Turn { enabled: true, ..Turn::default() };
    let address = "192.0.2.1".parse().unwrap();
    stage.hub.set_relays(Relays::new(&turn, &[], &[7; 32], &[address]));
    stage.join(OTHER, visitor("js_v0", "two"));
    stage.after(10);
    let heard = stage.take(OTHER);
    stage.says(OTHER, answer_to(last_offer(&heard)));
    let subscriber = stage.opened()[0];
    stage.connected(subscriber);
    let Some(Hears::Join(join)) = heard.into_iter().next() else { panic!() };
    let sid = join.participant.unwrap().sid;
    let [server] = &join.ice_servers[..] else { panic!("{:?}", join.ice_servers) };
    assert_eq!(server.urls, ["turn:192.0.2.1:3478?transport=udp"]);
    assert_eq!((&server.username, server.credential.len()), (&format!("300:{sid}"), 64));
    stage.hub.handle_closed(stage.now_ms, OTHER);
    stage.after(2000);
    let again = ConnectionId(3);
    let mut back = visitor("js_v0", "two");
    back.join.reconnect = Some(ringway_signal::join::Reconnect { sid: sid.clone(), reason: 1 });
    stage.join(again, back);
    let Some(Hears::Reconnect(told)) = stage.take(again).into_iter().next() else { panic!() };
    assert_eq!(told.ice_servers[0].username, format!("302:{sid}"));
    assert_ne!(told.ice_servers[0].credential, server.credential);
}

#[test]
fn media_that_breaks_brings_the_client_back() {
    let mut stage = Stage::new();
    stage.join(JS, visitor("js_v1", "one"));
    let transport = stage.opened()[0];
    stage.connected(transport);
    stage.take(JS);
    stage.is_told(PlaneEvent::Failed { transport, reason: "silent" });
    stage.after(100);
    let heard = stage.take(JS);
    let leave = heard.iter().find_map(|message| match message {
        Hears::Leave(leave) => Some(leave.action),
        _ => None,
    });
    assert_eq!(leave, Some(1), "{heard:?}");
    assert!(stage.closed.contains(&JS));
    // Nobody comes back: the participant goes.
    stage.after(60_000);
    assert_eq!(stage.hub.sessions(), 0);
}

#[test]
fn a_client_that_closes_its_media_is_heard_to_leave() {
    let mut stage = Stage::new();
    stage.join(JS, visitor("js_v1", "one"));
    let transport = stage.opened()[0];
    stage.connected(transport);
    stage.take(JS);
    stage.is_told(PlaneEvent::Closed { transport });
    assert!(!stage.closed.contains(&JS), "its signalling is still open");
    stage.says(JS, Says::Leave(proto::LeaveRequest::default()));
    assert_eq!(stage.hub.sessions(), 0);
}

#[test]
fn a_lost_data_plane_ends_everything() {
    let mut stage = Stage::new();
    stage.join(JS, visitor("js_v1", "one"));
    stage.join(OTHER, visitor("js_v0", "two"));
    stage.hub.handle_plane_lost(stage.now_ms);
    stage.look();
    for connection in [JS, OTHER] {
        let heard = stage.take(connection);
        let action = heard.iter().find_map(|message| match message {
            Hears::Leave(leave) => Some(leave.action),
            _ => None,
        });
        assert_eq!(action, Some(2), "{heard:?}");
    }
    assert_eq!(stage.hub.sessions(), 0);
    let refused = stage.hub.handle_join(0, ConnectionId(9), visitor("js_v0", "x"), [1; 4]);
    assert_eq!(refused.map_err(|refused| refused.status), Err(503));
}

/// Whether an update said something of a participant.
fn is_told_of(heard: &[Hears], identity: &str) -> bool {
    heard.iter().any(|message| match message {
        Hears::Update(update) => update.participants.iter().any(|one| one.identity == identity),
        _ => false,
    })
}

/// A browser comes with camera and microphone.
fn comes_and_publishes(stage: &mut Stage, connection: ConnectionId, identity: &str) {
    stage.join(connection, visitor("js_v1", identity));
    stage.connected(*stage.opened().last().unwrap());
    for number in ["006", "010", "011", "013", "015", "017"] {
        stage.says(connection, message("js_v1", number));
    }
}

/// `livekit-client` loses what it hears of others within two seconds of coming back.
#[test]
fn who_comes_back_hears_of_others_when_it_can() {
    const BACK: ConnectionId = ConnectionId(3);
    let mut stage = Stage::new();
    stage.join(JS, visitor("js_v1", "one"));
    stage.hub.handle_plane_lost(stage.now_ms);
    stage.look();
    stage.hub.handle_plane_joined(stage.now_ms, plane());
    for (connection, identity) in [(BACK, "one"), (OTHER, "new")] {
        stage.join(connection, visitor("js_v1", identity));
        stage.connected(*stage.opened().last().unwrap());
    }
    comes_and_publishes(&mut stage, JS, "two");
    stage.after(2_200);
    assert!(is_told_of(&stage.take(OTHER), "two"), "who is new waits for nothing");
    let early = stage.take(BACK);
    assert!(!is_told_of(&early, "two"), "{early:?}");
    // Its own requests are answered.
    stage.says(BACK, message("js_v1", "006"));
    let own = stage.take(BACK);
    assert!(own.iter().any(|heard| matches!(heard, Hears::Answer(_))), "{own:?}");
    stage.after(200);
    let late = stage.take(BACK);
    assert!(is_told_of(&late, "two"), "{late:?}");
    let wants = |heard: &Hears| matches!(heard, Hears::MediaSectionsRequirement(_));
    assert!(!early.iter().any(wants) && late.iter().any(wants), "it gets their media: {late:?}");
}

/// A data plane that ran before this server came had calls of which it knows nothing.
#[test]
fn behind_a_restart_everybody_comes_back() {
    let mut stage = Stage::new();
    stage.hub.handle_plane_joined(0, PlaneInfo { in_service: true, ..plane() });
    stage.join(OTHER, visitor("js_v1", "one"));
    comes_and_publishes(&mut stage, JS, "two");
    stage.after(2_200);
    assert!(!is_told_of(&stage.take(OTHER), "two"));
    stage.after(200);
    assert!(is_told_of(&stage.take(OTHER), "two"));
}

fn wish(scenario: proto::simulate_scenario::Scenario) -> Says {
    Says::Simulate(proto::SimulateScenario { scenario: Some(scenario) })
}

#[test]
fn simulated_ends_are_told_as_their_causes_are() {
    use proto::simulate_scenario::Scenario;
    // The action of `leave`, if there is one.
    for (scenario, expect) in [
        (Scenario::ServerLeave(true), Some(0)),
        (Scenario::LeaveRequestFullReconnect(true), Some(2)),
        (Scenario::NodeFailure(true), None),
        (Scenario::Migration(true), None),
    ] {
        let mut stage = Stage::new();
        stage.join(JS, visitor("js_v1", "one"));
        let sid = stage.take(JS).into_iter().find_map(|message| match message {
            Hears::Join(join) => join.participant.map(|one| one.sid),
            _ => None,
        });
        let transport = stage.opened()[0];
        stage.connected(transport);
        stage.take(JS);
        stage.says(JS, wish(scenario));
        let heard = stage.take(JS);
        let leave = heard.iter().find_map(|message| match message {
            Hears::Leave(leave) => Some(leave.action),
            _ => None,
        });
        assert_eq!(leave, expect, "{heard:?}");
        assert!(stage.closed.contains(&JS));
        assert_eq!(stage.hub.sessions(), 0);
        // Who tries to resume is told to begin anew.
        let mut back = visitor("js_v1", "one");
        back.join.reconnect =
            Some(ringway_signal::join::Reconnect { sid: sid.unwrap(), reason: 1 });
        stage.join(OTHER, back);
        let heard = stage.take(OTHER);
        assert!(matches!(&heard[..], [Hears::Leave(leave)] if leave.action == 2), "{heard:?}");
    }
}

#[test]
fn a_resumed_session_is_cut_as_its_client_wished() {
    use proto::simulate_scenario::Scenario;
    // How long it waits before it comes back, ms; whether it hears anything; whether it is cut.
    for (scenario, after_ms, told, cut) in [
        (Scenario::DisconnectSignalOnResume(true), 100, true, true),
        (Scenario::DisconnectSignalOnResumeNoMessages(true), 100, false, true),
        (Scenario::DisconnectSignalOnResumeNoMessages(true), 6_000, true, false),
    ] {
        let mut stage = Stage::new();
        stage.join(JS, visitor("js_v1", "one"));
        let sid = stage.take(JS).into_iter().find_map(|message| match message {
            Hears::Join(join) => join.participant.map(|one| one.sid),
            _ => None,
        });
        let transport = stage.opened()[0];
        stage.connected(transport);
        stage.says(JS, wish(scenario));
        stage.hub.handle_closed(stage.now_ms, JS);
        stage.after(after_ms);
        let mut back = visitor("js_v1", "one");
        back.join.reconnect =
            Some(ringway_signal::join::Reconnect { sid: sid.unwrap(), reason: 1 });
        let first = ConnectionId(3);
        stage.join(first, back.clone());
        let heard = stage.take(first);
        assert_eq!(heard.iter().any(|one| matches!(one, Hears::Reconnect(_))), told, "{heard:?}");
        assert_eq!(stage.closed.contains(&first), cut);
        // The session goes on, and the next resume is an ordinary one.
        let second = ConnectionId(4);
        stage.join(second, back);
        let heard = stage.take(second);
        assert!(matches!(heard[0], Hears::Reconnect(_)), "{heard:?}");
        assert!(!stage.closed.contains(&second));
        assert_eq!(stage.hub.sessions(), 1);
    }
}

/// A client that leaves closes its media in the same moment, which the data plane may tell first.
#[test]
fn a_farewell_counts_that_is_heard_after_the_end_of_the_media() {
    for comes_back in [false, true] {
        let mut stage = Stage::new();
        stage.join(JS, visitor("js_v1", "one"));
        stage.join(OTHER, visitor("js_v0", "two"));
        let sid = stage.take(JS).into_iter().find_map(|message| match message {
            Hears::Join(join) => join.participant.map(|one| one.sid),
            _ => None,
        });
        let transport = stage.opened()[0];
        stage.connected(transport);
        stage.is_told(PlaneEvent::Failed { transport, reason: "the client closed it" });
        assert!(stage.closed.contains(&JS));
        assert_eq!(stage.hub.sessions(), 2);
        if comes_back {
            let mut back = visitor("js_v1", "one");
            back.join.reconnect =
                Some(ringway_signal::join::Reconnect { sid: sid.unwrap(), reason: 1 });
            stage.join(ConnectionId(3), back);
        }
        // Nothing else counts that comes over this connection.
        stage.says(JS, Says::Ping(1));
        assert!(stage.take(JS).iter().all(|heard| !matches!(heard, Hears::Pong(_))));
        stage.says(JS, Says::Leave(proto::LeaveRequest::default()));
        assert_eq!(stage.hub.sessions(), if comes_back { 2 } else { 1 });
        stage.hub.handle_closed(stage.now_ms, JS);
        assert_eq!(stage.hub.sessions(), if comes_back { 2 } else { 1 });
    }
}

#[test]
fn a_simulated_bandwidth_reaches_the_data_plane() {
    use proto::simulate_scenario::Scenario;
    for (bandwidth, expect) in [(300_000, Some(300_000)), (0, None), (-1, None)] {
        let mut stage = Stage::new();
        stage.join(OTHER, visitor("js_v0", "two"));
        stage.after(10);
        let subscriber = stage.opened()[0];
        stage.says(OTHER, wish(Scenario::SubscriberBandwidth(bandwidth)));
        let limit = Ask::LimitBandwidth { transport: subscriber, bps: expect };
        assert!(stage.asks.contains(&limit), "{:?}", stage.asks);
    }
}

#[test]
fn a_stopping_server_lets_nobody_in() {
    let mut stage = Stage::new();
    stage.join(JS, visitor("js_v1", "one"));
    stage.hub.shut_down(stage.now_ms);
    stage.look();
    let heard = stage.take(JS);
    let leave = heard.iter().find_map(|message| match message {
        Hears::Leave(leave) => Some((leave.reason, leave.action)),
        _ => None,
    });
    assert_eq!(leave, Some((3, 2)), "{heard:?}");
    assert!(stage.closed.contains(&JS));
    let guest = visitor("js_v0", "two");
    assert_eq!(stage.hub.validate(&guest).map_err(|refused| refused.status), Err(503));
    let refused = stage.hub.handle_join(0, OTHER, guest, [1; 4]);
    assert_eq!(refused.map_err(|refused| refused.status), Err(503));
}

#[test]
fn who_wishes_for_tcp_is_told_of_nothing_else() {
    use proto::simulate_scenario::Scenario;
    // UDP, TCP, TLS.
    for (protocol, udp) in [(0, true), (1, false), (2, false)] {
        let mut stage = Stage::new();
        stage.join(OTHER, visitor("js_v0", "two"));
        stage.after(10);
        let heard = stage.take(OTHER);
        assert!(last_offer(&heard).sdp.contains(" 192.0.2.1 7882 typ host"), "{heard:?}");
        stage.says(OTHER, answer_to(last_offer(&heard)));
        stage.says(OTHER, wish(Scenario::SwitchCandidateProtocol(protocol)));
        let heard = stage.take(OTHER);
        let sdp = &last_offer(&heard).sdp;
        let tells = |sdp: &str| (sdp.contains("7882 typ host"), sdp.contains("7881 typ host"));
        assert_eq!(tells(sdp), (udp, true), "{sdp}");
        // The session that it begins next, and nobody else's.
        let again = ConnectionId(3);
        stage.join(again, visitor("js_v0", "two"));
        stage.join(ConnectionId(4), visitor("js_v0", "three"));
        stage.after(10);
        let heard = stage.take(again);
        assert_eq!(tells(&last_offer(&heard).sdp), (udp, true));
        let heard = stage.take(ConnectionId(4));
        assert_eq!(tells(&last_offer(&heard).sdp), (true, true));
    }
}

/// Who wishes for TLS is made to use relays, as far as there are any: best over TLS, and to UDP.
#[test]
fn who_wishes_for_tls_is_told_to_use_relays() {
    use proto::simulate_scenario::Scenario;
    let forced = |told: &Option<proto::ClientConfiguration>| {
        told.as_ref().is_some_and(|told| told.force_relay == 2)
    };
    let with_tls = ["turns:turn.example.com:5349?transport=tcp"].as_slice();
    for (tls_port, expect) in
        [(0, ["turn:192.0.2.1:3478?transport=udp"].as_slice()), (5349, with_tls)]
    {
        let mut stage = Stage::new();
        let domain = "turn.example.com".to_owned();
        let turn = Turn { enabled: true, tls_port, domain, ..Turn::default() };
        let address = "192.0.2.1".parse().unwrap();
        stage.hub.set_relays(Relays::new(&turn, &[], &[7; 32], &[address]));
        stage.join(OTHER, visitor("js_v0", "two"));
        stage.after(10);
        let heard = stage.take(OTHER);
        let Some(Hears::Join(join)) = heard.first() else { panic!("{heard:?}") };
        assert!(!forced(&join.client_configuration));
        let sid = join.participant.as_ref().unwrap().sid.clone();
        stage.says(OTHER, answer_to(last_offer(&heard)));
        stage.connected(stage.opened()[0]);
        stage.says(OTHER, wish(Scenario::SwitchCandidateProtocol(2)));
        let heard = stage.take(OTHER);
        assert!(last_offer(&heard).sdp.contains("7882 typ host"), "{heard:?}");
        // Whether it resumes or begins anew.
        let mut back = visitor("js_v0", "two");
        back.join.reconnect = Some(ringway_signal::join::Reconnect { sid, reason: 1 });
        stage.join(ConnectionId(3), back);
        let heard = stage.take(ConnectionId(3));
        let Some(Hears::Reconnect(told)) = heard.first() else { panic!("{heard:?}") };
        assert!(forced(&told.client_configuration));
        assert_eq!(told.ice_servers[0].urls, expect);
        stage.join(ConnectionId(4), visitor("js_v0", "two"));
        let heard = stage.take(ConnectionId(4));
        let Some(Hears::Join(told)) = heard.first() else { panic!("{heard:?}") };
        assert!(forced(&told.client_configuration));
        assert_eq!(told.ice_servers[0].urls, expect);
        // It takes the wish back.
        stage.says(ConnectionId(4), wish(Scenario::SwitchCandidateProtocol(0)));
        stage.join(ConnectionId(5), visitor("js_v0", "two"));
        let heard = stage.take(ConnectionId(5));
        let Some(Hears::Join(told)) = heard.first() else { panic!("{heard:?}") };
        assert!(!forced(&told.client_configuration));
    }
}

/// One leaves a data blob, the other gets it; where nobody allowed it none is kept.
#[test]
fn a_data_blob() {
    let key = proto::DataBlobKey { key: Some(proto::data_blob_key::Key::Generic("k".into())) };
    let blob = proto::DataBlob { key: Some(key.clone()), contents: vec![1, 2, 3] };
    let kept = proto::StoreDataBlobRequest { request_id: 5, blob: Some(blob.clone()) };
    let store = Says::StoreDataBlobRequest(kept);
    for allowed in [false, true] {
        let mut stage = Stage::with(Config { data_blobs: allowed, ..Config::default() });
        stage.join(JS, visitor("js_v1", "one"));
        stage.join(OTHER, visitor("js_v1", "two"));
        stage.take(JS);
        stage.says(JS, store.clone());
        let heard = stage.take(JS);
        let expect = match allowed {
            true => Hears::StoreDataBlobResponse(proto::StoreDataBlobResponse {
                request_id: 5,
                key: Some(key.clone()),
            }),
            false => Hears::RequestResponse(proto::RequestResponse {
                request_id: 5,
                reason: proto::request_response::Reason::NotAllowed as i32,
                message: "data blobs are off on this server".into(),
                request: None,
            }),
        };
        assert_eq!(heard, [expect]);
        stage.take(OTHER);
        let (participant_identity, key) = ("one".to_owned(), Some(key.clone()));
        let wanted = proto::GetDataBlobRequest { request_id: 6, participant_identity, key };
        stage.says(OTHER, Says::GetDataBlobRequest(wanted));
        let heard = stage.take(OTHER);
        let got = proto::GetDataBlobResponse { request_id: 6, blob: Some(blob.clone()) };
        match &heard[..] {
            [Hears::GetDataBlobResponse(response)] if allowed => assert_eq!(*response, got),
            [Hears::RequestResponse(response)] if !allowed => {
                assert_eq!(response.reason, proto::request_response::Reason::NotFound as i32);
            }
            other => panic!("{other:?}"),
        }
    }
}

/// A data track of the browser over one connection comes to the one over two; then the browser may
/// not send data any more.
#[test]
fn a_data_track() {
    let mut stage = Stage::new();
    stage.join(JS, visitor("js_v1", "one"));
    let single = stage.opened()[0];
    stage.connected(single);
    stage.join(OTHER, visitor("js_v0", "two"));
    stage.after(10);
    let heard = stage.take(OTHER);
    stage.says(OTHER, answer_to(last_offer(&heard)));
    let subscriber = stage.opened()[1];
    stage.connected(subscriber);
    let wish = proto::PublishDataTrackRequest {
        pub_handle: 4,
        name: "place".into(),
        ..Default::default()
    };
    stage.says(JS, Says::PublishDataTrackRequest(wish));
    let published = stage.take(JS).into_iter().find_map(|message| match message {
        Hears::PublishDataTrackResponse(response) => response.info,
        _ => None,
    });
    let track_sid = published.expect("it is published").sid;
    let update = proto::update_data_subscription::Update {
        track_sid: track_sid.clone(),
        subscribe: true,
        options: None,
    };
    let updates = proto::UpdateDataSubscription { updates: vec![update] };
    stage.says(OTHER, Says::UpdateDataSubscription(updates));
    let handles = stage.take(OTHER).into_iter().find_map(|message| match message {
        Hears::DataTrackSubscriberHandles(told) => Some(told.sub_handles),
        _ => None,
    });
    let handles = handles.expect("it is told");
    assert_eq!(handles[&1].track_sid, track_sid);
    let from = stage.asks.iter().find_map(|ask| match ask {
        Ask::SetDataTrack { transport, handle: 4, track } => Some((*transport, *track)),
        _ => None,
    });
    let to = stage.asks.iter().find_map(|ask| match ask {
        Ask::SetDataRoute { transport, handle: 1, track, .. } => Some((*transport, *track)),
        _ => None,
    });
    let (Some((from, track)), Some((to, same))) = (from, to) else { panic!("{:?}", stage.asks) };
    assert_eq!((from, to, track), (single, subscriber, same));
    // Forbidden by an administrator.
    stage.asks.clear();
    let one = stage.hub.calls().get_participant("r", "one").expect("is there");
    let mut permission = one.permission.clone();
    permission.can_publish_data = false;
    let permission = Some(permission);
    let update = ringway_room::calls::UpdateParticipant { permission, ..Default::default() };
    stage.hub.calls().update_participant(stage.now_ms, "r", "one", update).expect("changed");
    stage.hub.settle(stage.now_ms);
    stage.look();
    let forbids = |ask: &Ask| match ask {
        Ask::SetData(set) => set.transport == single && !set.publishes,
        _ => false,
    };
    assert!(stage.asks.iter().any(forbids), "{:?}", stage.asks);
    let ends = |ask: &Ask| matches!(ask, Ask::SetDataTrack { track: None, .. });
    assert!(stage.asks.iter().any(ends), "{:?}", stage.asks);
}
