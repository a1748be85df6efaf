//! The signalling under a WebSocket client that is not ours: Node's `ws`, which compresses and
//! inflates what was agreed on (RFC 7692).

use std::time::Duration;

use ringway_interop::node;
use ringway_interop::peer::Peer;
use ringway_interop::stage::{self, Stage};
use ringway_system::patience::until;
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(10);
/// From so many bytes on `ws` compresses.
const LONG: usize = 1024;
/// The server's limit of a message.
const MESSAGE_BYTES_MAX: usize = 2 * 1024 * 1024;

const ANSWER: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

fn open(stage: &Stage, client: &Peer, identity: &str, deflate: &Value) -> String {
    let (base, token) = (stage.server.ws(), stage.token(identity));
    let url = format!("{base}/rtc?protocol=17&access_token={token}");
    let with = json!({ "url": url, "deflate": deflate });
    let answer = client.ask(&json!({ "call": "open", "with": with })).expect("a connection");
    answer.as_str().expect("a text").to_owned()
}

fn heard(client: &Peer) -> Value {
    client.ask(&json!({ "call": "heard", "with": {} })).expect("an account")
}

/// Says a ping and so many spaces; the bytes that this was on the way.
fn ping(client: &Peer, timestamp: usize, spaces: usize) -> usize {
    let text = json!({ "pingReq": { "timestamp": timestamp.to_string() } }).to_string();
    let with = json!({ "text": text, "spaces": spaces });
    let wire = client.ask(&json!({ "call": "say", "with": with })).expect("it is said");
    wire.as_u64().expect("a number") as usize
}

fn wait_pong(client: &Peer, timestamp: usize) {
    let wanted = timestamp.to_string();
    until(PATIENCE, "a pong", || {
        let heard = heard(client);
        assert!(heard["closed"].is_null(), "{heard}");
        let texts = heard["texts"].as_array()?.clone();
        texts.iter().find(|text| {
            let text: Value = serde_json::from_str(text.as_str().unwrap()).expect("JSON");
            text["pongResp"]["lastPingTimestamp"] == json!(wanted)
        })?;
        Some(())
    });
}

fn wait_closed(client: &Peer) -> Value {
    until(PATIENCE, "the end", || Some(heard(client)["closed"].take()).filter(|end| !end.is_null()))
}

#[test]
#[ignore = "needs browsers and further clients: make test-calls"]
fn ws_compresses_and_inflates() {
    stage::on(|stage| {
        let (alice, bob) = (node::websocket(stage, "alice"), node::websocket(stage, "bob"));
        assert_eq!(open(stage, &alice, "alice", &json!(true)), ANSWER);
        assert_eq!(open(stage, &bob, "bob", &json!(false)), "");
        for client in [&alice, &bob] {
            ping(client, 1, 0);
            wait_pong(client, 1);
        }
        for (timestamp, spaces) in [(2, LONG), (3, MESSAGE_BYTES_MAX - LONG)] {
            let deflated = ping(&alice, timestamp, spaces);
            assert!(deflated < spaces / 8, "{deflated} of {spaces} bytes");
            assert!(ping(&bob, timestamp, spaces) > spaces);
            wait_pong(&alice, timestamp);
            wait_pong(&bob, timestamp);
        }
        // Both have heard about the same; what opens a connection is among what it took.
        let account = |client: &Peer| {
            let heard = heard(client);
            (heard["bytes"].as_u64().unwrap(), heard["wire"].as_u64().unwrap())
        };
        let ((bytes, wire), (bob_bytes, bob_wire)) = (account(&alice), account(&bob));
        assert!(wire < bytes, "{wire} bytes for {bytes}");
        assert!(bob_wire > bob_bytes, "{bob_wire} bytes for {bob_bytes}");
        // Longer than it may be once it is inflated.
        assert!(ping(&alice, 4, 4 * MESSAGE_BYTES_MAX) < MESSAGE_BYTES_MAX);
        assert_eq!(wait_closed(&alice), json!(1009));
        bob.ask(&json!({ "call": "close", "with": {} })).expect("it closes");
        assert_eq!(wait_closed(&bob), json!(1005));
    });
}

#[test]
#[ignore = "needs browsers and further clients: make test-calls"]
fn what_ws_wishes_for_is_kept_or_declined() {
    stage::on(|stage| {
        let client = node::websocket(stage, "alice");
        for (deflate, expect) in [
            (json!({ "serverMaxWindowBits": 15 }), format!("{ANSWER}; server_max_window_bits=15")),
            (json!({ "serverMaxWindowBits": 10 }), String::new()),
            (json!({ "clientMaxWindowBits": 9, "serverNoContextTakeover": true }), ANSWER.into()),
        ] {
            // It fails a connection whose answer does not suit its offer.
            let answer = open(stage, &client, "alice", &deflate);
            assert_eq!(answer, expect, "{deflate}");
            ping(&client, 5, LONG);
            wait_pong(&client, 5);
            client.ask(&json!({ "call": "close", "with": {} })).expect("it closes");
            wait_closed(&client);
        }
    });
}
