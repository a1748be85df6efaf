//! The HTTP API from outside: who may ask, what is refused and how, and figures that are true.

use std::collections::BTreeSet;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use ringway_system::appliance::{Appliance, Options};
use ringway_system::exposition::Metrics;
use ringway_system::http::{Client, Response};
use ringway_system::packet::{SSRC, numbered};
use ringway_system::patience::until;
use ringway_system::ports::free_udp_pair;
use ringway_system::sink::Sink;
use ringway_system::token::Claims;
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(20);
const FORWARDS: &str = "/v1/forwards";

/// An error has a code, a sentence, and the field to blame if there is one.
#[track_caller]
fn expect_error(answer: &Response, status: u16, code: &str, field: &str) -> String {
    let error = &answer.json()["error"];
    let told = (error["code"].as_str().unwrap_or(""), error["field"].as_str().unwrap_or(""));
    assert_eq!((answer.status, told), (status, (code, field)), "{}", answer.body);
    let message = error["message"].as_str().unwrap_or("").to_owned();
    assert!(message.len() > 10, "{}", answer.body);
    message
}

fn path(forward: &Value) -> String {
    format!("{FORWARDS}/{}", forward["id"].as_str().expect("an id"))
}

fn port(forward: &Value) -> u16 {
    forward["input"]["port"].as_u64().expect("a port") as u16
}

fn ids(page: &Value) -> Vec<String> {
    let rows = page["forwards"].as_array().expect("a list");
    rows.iter().map(|row| row["id"].as_str().expect("an id").to_owned()).collect()
}

#[test]
fn tokens() {
    let appliance = Appliance::start(Options::default());
    let good = Claims::default();
    let other_secret = "another-secret-of-at-least-32-characters!";
    let with_video = |video: Value| Claims { video, ..good.clone() }.sign();
    let mut tampered = good.sign();
    tampered.pop();
    let header = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0";
    let unsigned = format!("{header}.{}.", good.sign().split('.').nth(1).expect("claims"));
    for (name, token, status) in [
        ("good", Some(good.sign()), 200),
        ("none", None, 401),
        ("empty", Some(String::new()), 401),
        ("rubbish", Some("a.b.c".to_owned()), 401),
        ("huge", Some("x".repeat(20_000)), 401),
        ("tampered", Some(tampered), 401),
        ("unsigned", Some(unsigned), 401),
        ("unknown key", Some(Claims { key: "APIother".into(), ..good.clone() }.sign()), 401),
        ("other secret", Some(Claims { secret: other_secret.into(), ..good.clone() }.sign()), 401),
        ("expired", Some(Claims { valid_for_s: -120, ..good.clone() }.sign()), 401),
        ("expired within leeway", Some(Claims { valid_for_s: -20, ..good.clone() }.sign()), 200),
        ("not yet valid", Some(Claims { valid_after_s: 300, ..good.clone() }.sign()), 401),
        ("no grant", Some(with_video(json!({}))), 403),
        ("another grant", Some(with_video(json!({ "roomAdmin": true }))), 403),
        ("a refused grant", Some(with_video(json!({ "ingressAdmin": false }))), 403),
        ("a grant of another type", Some(with_video(json!({ "ingressAdmin": "yes" }))), 401),
    ] {
        let client = appliance.client_with(token);
        for (method, path) in [("GET", FORWARDS), ("DELETE", "/v1/forwards/FW_abcdefghijkl")] {
            let answer = client.send(method, path, None).expect("an answer");
            match status {
                401 => drop(expect_error(&answer, 401, "unauthorized", "")),
                403 => drop(expect_error(&answer, 403, "permission_denied", "")),
                _ => assert!(matches!(answer.status, 200 | 404), "{name}: {}", answer.body),
            }
            let asks = answer.header("www-authenticate").is_some();
            assert_eq!(asks, status == 401, "{name}: {:?}", answer.headers);
        }
        // These need none.
        for path in ["/", "/metrics", "/openapi.json"] {
            assert_eq!(client.get(path).status, 200, "{name}: {path}");
        }
    }
}

#[test]
fn metrics_may_be_closed() {
    let options = Options::default().controlplane("metrics", "{username: u, password: p}");
    let appliance = Appliance::start(options);
    let client = appliance.client_with(None);
    for (sent, status) in
        [(None, 401), (Some("Basic dTpw"), 200), (Some("Basic dTpx"), 401), (Some("Basic"), 401)]
    {
        let headers: Vec<_> = sent.iter().map(|value| ("authorization", *value)).collect();
        let answer = client.send_raw("GET", "/metrics", &headers, b"").expect("an answer");
        assert_eq!(answer.status, status, "{sent:?}");
    }
}

/// Requests that are wrong in themselves: body, code, field, and a part of the sentence.
const WRONG: &[(&str, &str, &str, &str)] = &[
    ("", "malformed_json", "", ""),
    ("{", "malformed_json", "", "line 1"),
    ("[]", "malformed_json", "", ""),
    ("{} {}", "malformed_json", "", "trailing"),
    ("\"forward\"", "malformed_json", "", ""),
    ("{\"name\": \"\u{1}\"}", "malformed_json", "", ""),
    (r#"{"nmae":"x"}"#, "unknown_field", "nmae", "did you mean name?"),
    (r#"{"inputs":{}}"#, "unknown_field", "inputs", "did you mean input?"),
    (r#"{"input":{"prot":1}}"#, "unknown_field", "input.prot", "input.port"),
    (
        r#"{"destinations":[{"adress":"::1"}]}"#,
        "unknown_field",
        "destinations[0].adress",
        "address",
    ),
    (r#"{"name":7}"#, "invalid_field", "name", ""),
    (r#"{"name":"a\nb"}"#, "invalid_field", "name", "control"),
    (r#"{"id":"studio"}"#, "invalid_field", "id", "FW_"),
    (r#"{"id":"FD_abcdefghijkl"}"#, "invalid_field", "id", "FW_"),
    (r#"{"input":[]}"#, "invalid_field", "input", ""),
    (r#"{"input":{"port":"5004"}}"#, "invalid_field", "input.port", ""),
    (r#"{"input":{"port":65536}}"#, "invalid_field", "input.port", "65535"),
    (r#"{"input":{"port":-1}}"#, "invalid_field", "input.port", "65535"),
    (r#"{"input":{"port":65535}}"#, "invalid_field", "input.rtcp", "last port"),
    (r#"{"input":{"port":5004,"rtcp":5004}}"#, "invalid_field", "input.rtcp", "mux"),
    (r#"{"input":{"rtcp":"none"}}"#, "invalid_field", "input.rtcp", "next_port"),
    (r#"{"input":{"address":"localhost"}}"#, "invalid_field", "input.address", "IP address"),
    (r#"{"input":{"address":"224.0.0.1"}}"#, "invalid_field", "input.address", "unicast"),
    (r#"{"input":{"source":"everyone"}}"#, "invalid_field", "input.source", "latch"),
    (r#"{"input":{"source":"192.0.2.7:0"}}"#, "invalid_field", "input.source", ""),
    (r#"{"input":{"source":"::1"}}"#, "invalid_field", "input.source", "family"),
    (r#"{"input":{"latch_silence_ms":0}}"#, "invalid_field", "input.latch_silence_ms", ""),
    (
        r#"{"input":{"source":"any","latch_silence_ms":5}}"#,
        "invalid_field",
        "input.latch_silence_ms",
        "latch",
    ),
    (r#"{"input":{"ssrc":0}}"#, "invalid_field", "input.ssrc", "4294967295"),
    (r#"{"input":{"ssrc":4294967296}}"#, "invalid_field", "input.ssrc", "4294967295"),
    (r#"{"destinations":{}}"#, "invalid_field", "destinations", ""),
    (r#"{"destinations":[{"port":1}]}"#, "invalid_field", "destinations[0].address", "missing"),
    (
        r#"{"destinations":[{"address":"192.0.2.1"}]}"#,
        "invalid_field",
        "destinations[0].port",
        "missing",
    ),
    (
        r#"{"input":{"address":"0.0.0.0"},"destinations":[{"address":"::1","port":1}]}"#,
        "invalid_field",
        "destinations[0].address",
        "IPv6",
    ),
    (
        r#"{"input":{"port":5004},"destinations":[{"address":"127.0.0.1","port":5004}]}"#,
        "invalid_field",
        "destinations[0].port",
        "circles",
    ),
    // An address that this machine does not have is the data plane's to refuse.
    (
        r#"{"input":{"address":"192.0.2.1"}}"#,
        "address_not_available",
        "input.address",
        "not an address of this machine",
    ),
];

/// Fields of one destination that are wrong, with the rest of it right.
const WRONG_DESTINATIONS: &[(&str, &str, &str)] = &[
    (r#""port":0"#, "port", "65535"),
    (r#""port":65536"#, "port", "65535"),
    (r#""port":65535"#, "rtcp", "last port"),
    (r#""port":7,"rtcp":7"#, "rtcp", "mux"),
    (r#""port":7,"ssrc":0"#, "ssrc", "4294967295"),
    (r#""port":7,"payload_type":128"#, "payload_type", "127"),
    (r#""port":7,"payload_type":72,"rtcp":"mux""#, "payload_type", "RTCP"),
    (r#""port":7,"contiguous":"yes""#, "contiguous", ""),
    (r#""port":7,"id":"FW_abcdefghijkl""#, "id", "FD_"),
];

#[test]
fn wrong_requests_name_the_field() {
    let appliance = Appliance::start(Options::default());
    let client = appliance.client();
    let json = [("content-type", "application/json")];
    let send = |method: &str, path: &str, body: &str| {
        client.send_raw(method, path, &json, body.as_bytes()).expect("an answer")
    };
    for (body, code, field, part) in WRONG {
        let answer = send("POST", FORWARDS, body);
        let message = expect_error(&answer, 400, code, field);
        assert!(message.contains(part), "{body}: {message}");
    }
    let to = json!([{ "address": "127.0.0.1", "port": 6000 }]);
    let forward = client.post(FORWARDS, &json!({ "destinations": to })).expect(201);
    let (path, id) = (path(&forward), forward["destinations"][0]["id"].as_str().expect("an id"));
    for (fields, field, part) in WRONG_DESTINATIONS {
        let one = format!(r#"{{"address":"192.0.2.1",{fields}}}"#);
        let (in_list, added) = (format!("destinations[1].{field}"), format!("{path}/destinations"));
        let list = format!(r#"{{"destinations":[{{"address":"192.0.2.1","port":9}},{one}]}}"#);
        for (method, path, body, field) in [
            ("POST", FORWARDS, &list, &*in_list),
            ("POST", &added, &list, &in_list),
            ("POST", &added, &one, field),
            ("PATCH", &format!("{added}/{id}"), &one, field),
        ] {
            // A destination keeps its id.
            let code = match (method, *part) {
                ("PATCH", "FD_") => "unknown_field",
                _ => "invalid_field",
            };
            let message = expect_error(&send(method, path, body), 400, code, field);
            assert!(message.contains(part) || code == "unknown_field", "{body}: {message}");
        }
    }
    // Nothing of all this has left a trace.
    assert_eq!(ids(&client.get(FORWARDS).expect(200)), [forward["id"].as_str().expect("an id")]);
    assert_eq!(client.get(&path).expect(200)["destinations"].as_array().map(Vec::len), Some(1));
}

#[test]
fn wrong_requests_without_a_field() {
    let limits = "{body_bytes: 4096, max_forwards: 1, max_destinations_per_forward: 2}";
    let appliance = Appliance::start(Options::default().controlplane("limits", limits));
    let client = appliance.client();
    let large = format!(r#"{{"name":"{}"}}"#, "x".repeat(10_000));
    let json = [("content-type", "application/json")];
    let answer = client.send_raw("POST", FORWARDS, &json, large.as_bytes()).expect("an answer");
    expect_error(&answer, 413, "body_too_large", "");
    for headers in [&[][..], &[("content-type", "text/plain")], &[("content-type", "json")]] {
        let answer = client.send_raw("POST", FORWARDS, headers, b"{}").expect("an answer");
        expect_error(&answer, 415, "unsupported_media_type", "");
    }
    for (method, path) in [
        ("PUT", FORWARDS),
        ("DELETE", FORWARDS),
        ("POST", "/v1/forwards/FW_abcdefghijkl"),
        ("PUT", "/v1/forwards/FW_abcdefghijkl/destinations/FD_abcdefghijkl"),
        ("POST", "/"),
        ("DELETE", "/metrics"),
    ] {
        let answer = client.send(method, path, Some(&json!({}))).expect("an answer");
        expect_error(&answer, 405, "method_not_allowed", "");
    }
    for (path, code) in [
        ("/v1", "not_found"),
        ("/v2/forwards", "not_found"),
        ("/v1/forwards/", "not_found"),
        ("/v1/forwards/FW_abcdefghijkl", "forward_not_found"),
        ("/v1/forwards/studio", "forward_not_found"),
        ("/v1/forwards/FW_abcdefghijkl/destinations/FD_abcdefghijkl", "forward_not_found"),
        ("/v1/forwards/%2e%2e%2f", "forward_not_found"),
    ] {
        expect_error(&client.get(path), 404, code, "");
    }
    for (query, field) in [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=many", "limit"),
        ("after=x", "after"),
        ("limt=3", "limt"),
    ] {
        let answer = client.get(&format!("{FORWARDS}?{query}"));
        expect_error(&answer, 400, "invalid_field", field);
    }
    let to = |port: u16| json!({ "address": "192.0.2.1", "port": port });
    let three = json!({ "destinations": [to(1), to(2), to(3)] });
    expect_error(&client.post(FORWARDS, &three), 400, "invalid_field", "destinations");
    let two = json!({ "destinations": [to(1), to(2)] });
    let forward = client.post(FORWARDS, &two).expect(201);
    let more = format!("{}/destinations", path(&forward));
    expect_error(&client.post(&more, &to(3)), 400, "invalid_field", "destinations");
    expect_error(&client.post(FORWARDS, &json!({})), 409, "too_many_forwards", "");
}

#[test]
fn ports_in_use_are_conflicts() {
    let appliance = Appliance::start(Options::default());
    let client = appliance.client();
    let wanted = free_udp_pair();
    for taken in [wanted, wanted + 1] {
        let _other = UdpSocket::bind(("0.0.0.0", taken)).expect("a free port");
        let body = json!({ "input": { "port": wanted } });
        let message = expect_error(&client.post(FORWARDS, &body), 409, "port_in_use", "input.port");
        assert!(message.contains(&wanted.to_string()), "{message}");
    }
    let body = json!({ "name": "mine", "input": { "port": wanted } });
    let forward = client.post(FORWARDS, &body).expect(201);
    assert_eq!(port(&forward), wanted);
    for input in [
        json!({ "port": wanted }),
        json!({ "port": wanted + 1, "rtcp": "mux" }),
        json!({ "port": wanted - 1 }),
        json!({ "port": wanted + 10, "rtcp": wanted }),
    ] {
        let answer = client.post(FORWARDS, &json!({ "input": input }));
        expect_error(&answer, 409, "port_in_use", "input.port");
    }
    client.delete(&path(&forward)).expect(204);
    let again = client.post(FORWARDS, &body).expect(201);
    assert_ne!(again["id"], forward["id"]);
    assert_eq!(ids(&client.get(FORWARDS).expect(200)).len(), 1);
}

#[test]
fn ids_make_requests_repeatable() {
    let appliance = Appliance::start(Options::default());
    let client = appliance.client();
    let to = json!({ "address": "127.0.0.1", "port": 6000 });
    let body = json!({ "id": "FW_abcdefghijkl", "name": "a", "destinations": [to] });
    let first = client.post(FORWARDS, &body);
    assert_eq!(first.header("location"), Some("/v1/forwards/FW_abcdefghijkl"));
    let first = first.expect(201);
    let second = client.post(FORWARDS, &body).expect(200);
    for field in ["id", "created_at", "input"] {
        assert_eq!(first[field], second[field]);
    }
    assert_eq!(first["destinations"][0]["id"], second["destinations"][0]["id"]);
    let mut other = body.clone();
    other["name"] = json!("b");
    expect_error(&client.post(FORWARDS, &other), 409, "already_exists", "id");

    let destinations = format!("{}/destinations", path(&first));
    let more = json!({ "id": "FD_abcdefghijkl", "address": "127.0.0.1", "port": 6002 });
    client.post(&destinations, &more).expect(201);
    client.post(&destinations, &more).expect(200);
    let mut other = more.clone();
    other["port"] = json!(6004);
    expect_error(&client.post(&destinations, &other), 409, "already_exists", "id");
    let many = json!({ "destinations": [more, { "address": "127.0.0.1", "port": 6006 }] });
    let answer = client.post(&destinations, &many).expect(201);
    assert_eq!(answer["destinations"].as_array().map(Vec::len), Some(2));
    let count = client.get(&path(&first)).expect(200)["destinations"].as_array().map(Vec::len);
    assert_eq!(count, Some(3));
    client.delete(&format!("{destinations}/FD_abcdefghijkl")).expect(204);
    let gone = client.delete(&format!("{destinations}/FD_abcdefghijkl"));
    expect_error(&gone, 404, "destination_not_found", "");
    client.delete(&path(&first)).expect(204);
    expect_error(&client.delete(&path(&first)), 404, "forward_not_found", "");
}

#[test]
fn lists_come_page_by_page() {
    let appliance = Appliance::start(Options::default());
    let client = appliance.client();
    let created: BTreeSet<String> = (0..7)
        .map(|_| client.post(FORWARDS, &json!({})).expect(201)["id"].as_str().map(str::to_owned))
        .map(|id| id.expect("an id"))
        .collect();
    let (mut pages, mut query) = (Vec::new(), "limit=3".to_owned());
    loop {
        let page = client.get(&format!("{FORWARDS}?{query}")).expect(200);
        pages.push(ids(&page));
        match page["next"].as_str() {
            Some(next) => query = format!("limit=3&after={next}"),
            None => break,
        }
    }
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [3, 3, 1]);
    let listed = pages.concat();
    assert!(listed.is_sorted(), "{listed:?}");
    assert_eq!(listed.into_iter().collect::<BTreeSet<_>>(), created);
    // A page whose last forward is gone goes on all the same.
    let first = &pages[0];
    client.delete(&format!("{FORWARDS}/{}", first[2])).expect(204);
    let rest = client.get(&format!("{FORWARDS}?after={}", first[2])).expect(200);
    assert_eq!(ids(&rest).len(), 4);
}

fn send(socket: &UdpSocket, to: SocketAddr, number: u64, ssrc: u32) {
    socket.send_to(&numbered(number, ssrc, 100), to).expect("sent");
}

#[test]
fn forwards_change_while_they_run() {
    let appliance = Appliance::start(Options::default());
    let client = appliance.client();
    let sink = Sink::start("127.0.0.1");
    let to = json!([{ "address": "127.0.0.1", "port": sink.port() }]);
    let forward = client.post(FORWARDS, &json!({ "name": "a", "destinations": to })).expect(201);
    let (path, input) = (path(&forward), SocketAddr::from(([127, 0, 0, 1], port(&forward))));
    let refused = || client.get(&path).expect(200)["stats"]["refused"].as_u64();
    let wait_refused = |count: u64| {
        until(PATIENCE, "a packet to be refused", || (refused() == Some(count)).then_some(()));
    };
    let patch = |body: Value| client.patch(&path, &body).expect(200);
    assert_eq!(patch(json!({ "name": "b" }))["name"], "b");
    assert_eq!(patch(json!({ "name": null }))["name"], "");

    let [one, two] = [0, 1].map(|_| UdpSocket::bind("127.0.0.1:0").expect("a socket"));
    send(&one, input, 0, SSRC);
    sink.wait_past(0);
    // Latched: the other address must wait.
    send(&two, input, 1, SSRC);
    wait_refused(1);
    // An SSRC pin admits only what it names, whoever sends it.
    let pinned = patch(json!({ "input": { "source": "any", "ssrc": 5 } }));
    assert_eq!((&pinned["input"]["source"], &pinned["input"]["ssrc"]), (&json!("any"), &json!(5)));
    assert_eq!(pinned["input"]["latch_silence_ms"], Value::Null);
    send(&two, input, 2, SSRC);
    wait_refused(2);
    send(&two, input, 3, 5);
    sink.wait_past(3);
    // An exact source admits only its address and port.
    let exact = two.local_addr().expect("an address").to_string();
    patch(json!({ "input": { "source": exact, "ssrc": null } }));
    send(&one, input, 4, SSRC);
    wait_refused(3);
    send(&two, input, 5, SSRC);
    sink.wait_past(5);
    // And by default the first that sends is followed again.
    let open = patch(json!({ "input": { "source": null } }));
    assert_eq!(open["input"]["source"], "latch");
    assert_eq!(sink.heard().missing(0..6), [1, 2, 4]);
    for (body, field) in [
        (json!({ "input": { "port": 1 } }), "input.port"),
        (json!({ "input": { "address": "::" } }), "input.address"),
        (json!({ "input": { "rtcp": "mux" } }), "input.rtcp"),
        (json!({ "input": { "ssrc": 0 } }), "input.ssrc"),
    ] {
        expect_error(&client.patch(&path, &body), 400, "invalid_field", field);
    }
    change_destination(&client, &path, &sink, &two, input);
}

/// A destination that moves and is rewritten while packets flow.
fn change_destination(
    client: &Client,
    path: &str,
    old: &Sink,
    socket: &UdpSocket,
    input: SocketAddr,
) {
    let id = client.get(path).expect(200)["destinations"][0]["id"].clone();
    let destination = format!("{path}/destinations/{}", id.as_str().expect("an id"));
    let new = Sink::start("127.0.0.1");
    let body = json!({ "port": new.port(), "ssrc": 77, "payload_type": 99 });
    let moved = client.patch(&destination, &body).expect(200);
    let fields = ["id", "port", "ssrc", "payload_type"].map(|field| moved[field].clone());
    assert_eq!(fields, [id, json!(new.port()), json!(77), json!(99)]);
    send(socket, input, 6, SSRC);
    new.wait_past(6);
    let last = new.heard().last.expect("a packet came");
    assert_eq!((last.ssrc, last.payload_type), (77, 99));
    assert_eq!(old.heard().end(), 6, "the old destination got it as well");
    let plain = client.patch(&destination, &json!({ "ssrc": null, "payload_type": null }));
    assert_eq!(plain.expect(200)["ssrc"], Value::Null);
    send(socket, input, 7, SSRC);
    new.wait_past(7);
    assert_eq!(new.heard().last.map(|header| header.ssrc), Some(SSRC));
    assert_eq!(client.get(&destination).expect(200)["port"], new.port());
}

#[test]
fn a_data_plane_that_is_away_is_said_to_be() {
    let mut appliance = Appliance::start(Options::default());
    let client = appliance.client();
    let to = json!([{ "address": "127.0.0.1", "port": 6000 }]);
    let forward = client.post(FORWARDS, &json!({ "destinations": to })).expect(201);
    let path = path(&forward);
    let id = forward["destinations"][0]["id"].as_str().expect("an id");
    appliance.kill_dataplane();
    until(PATIENCE, "the health check to notice", || (client.get("/").status == 406).then_some(()));
    let one = json!({ "address": "127.0.0.1", "port": 6002 });
    for answer in [
        client.post(FORWARDS, &json!({})),
        client.post(&format!("{path}/destinations"), &one),
        client.patch(&path, &json!({ "input": { "ssrc": 5 } })),
        client.patch(&format!("{path}/destinations/{id}"), &json!({ "port": 6004 })),
    ] {
        expect_error(&answer, 503, "data_plane_away", "");
        assert!(answer.header("retry-after").is_some(), "{:?}", answer.headers);
    }
    // What is wrong anyway is said to be wrong.
    let answer = client.post(FORWARDS, &json!({ "input": { "ssrc": 0 } }));
    expect_error(&answer, 400, "invalid_field", "input.ssrc");
    let there = client.get(&path).expect(200);
    assert_eq!((&there["state"], &there["input"]), (&json!("pending"), &forward["input"]));
    Metrics::parse(&client.get("/metrics").body);
}

#[test]
fn the_description_describes_what_is_there() {
    let appliance = Appliance::start(Options::default());
    let client = appliance.client_with(None);
    let answer = client.get("/openapi.json");
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let document = answer.expect(200);
    assert!(document["openapi"].as_str().is_some_and(|version| version.starts_with("3.")));
    let mut operations = 0;
    for (template, item) in document["paths"].as_object().expect("paths") {
        let path: String = template
            .split('/')
            .map(|part| match part {
                "{id}" => "FW_abcdefghijkl",
                part if part.starts_with('{') => "FD_abcdefghijkl",
                part => part,
            })
            .collect::<Vec<_>>()
            .join("/");
        for method in ["get", "post", "patch", "delete", "put"] {
            let described = item.get(method).is_some();
            let send = client.send(&method.to_uppercase(), &path, None).expect("an answer");
            assert_eq!(send.status != 405, described, "{method} {path}: {}", send.body);
            // Without a token everything under /v1 is closed, whether it exists or not.
            if described {
                let expect = if path.starts_with("/v1/") { 401 } else { 200 };
                assert_eq!(send.status, expect, "{method} {path}");
                operations += 1;
            }
        }
    }
    assert!(operations >= 12, "only {operations} operations");
}

#[test]
fn metrics_agree_with_the_packets() {
    const PACKETS: u64 = 400;
    const BYTES: u64 = 300;
    let appliance = Appliance::start(Options::default());
    let client = appliance.client();
    let sinks: Vec<Sink> = (0..3).map(|_| Sink::start("127.0.0.1")).collect();
    let to: Vec<Value> =
        sinks.iter().map(|sink| json!({ "address": "127.0.0.1", "port": sink.port() })).collect();
    let forward = client.post(FORWARDS, &json!({ "destinations": to })).expect(201);
    client.post(FORWARDS, &json!({})).expect(201);
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    for number in 0..PACKETS {
        let packet = numbered(number, SSRC, BYTES as usize);
        socket.send_to(&packet, ("127.0.0.1", port(&forward))).expect("sent");
        // Less at once than a buffer holds.
        if number % 100 == 99 {
            sinks.iter().for_each(|sink| sink.wait_past(number));
        }
    }
    sinks.iter().for_each(|sink| sink.expect_exactly(0..PACKETS));
    let metrics = until(PATIENCE, "the metrics to agree", || {
        let answer = client.get("/metrics");
        assert!(answer.header("content-type").is_some_and(|kind| kind.contains("version=0.0.4")));
        let metrics = Metrics::parse(&answer.body);
        (metrics.sum("ringway_packets_received_total", &[]) == PACKETS as f64).then_some(metrics)
    });
    let sent = (PACKETS * 3) as f64;
    let rtcp = metrics.sum("ringway_rtcp_sent_total", &[]);
    for (name, expect) in [
        ("ringway_packets_sent_total", sent + rtcp),
        ("ringway_bytes_received_total", (PACKETS * BYTES) as f64),
        ("ringway_forwards", 2.0),
        ("ringway_destinations", 3.0),
        ("ringway_forward_destinations", 3.0),
        ("ringway_data_plane_up", 1.0),
        ("ringway_socket_overflow_total", 0.0),
    ] {
        assert_eq!(metrics.sum(name, &[]), expect, "{name}");
    }
    assert!(metrics.drops().is_empty(), "{:?}", metrics.drops());
    let active = metrics.sum("ringway_forward_states", &[("state", "active")]);
    assert_eq!(active, 2.0);
    let created = [("route", FORWARDS), ("method", "POST"), ("status", "201")];
    assert_eq!(metrics.sum("ringway_http_requests_total", &created), 2.0);
    expect_histogram(&client, sent);
}

/// The histogram counts every packet that was delivered, and its buckets only grow.
fn expect_histogram(client: &Client, packets: f64) {
    let name = "ringway_forward_latency_seconds";
    let metrics = until(PATIENCE, "the latency of all packets", || {
        let metrics = Metrics::parse(&client.get("/metrics").body);
        let counted = metrics.all(&format!("{name}_count"), &[]).next()?.value;
        (counted == packets).then_some(metrics)
    });
    let bucket = format!("{name}_bucket");
    let buckets: Vec<f64> = metrics.all(&bucket, &[]).map(|sample| sample.value).collect();
    assert!(buckets.len() > 5 && buckets.is_sorted(), "{buckets:?}");
    assert_eq!(buckets.last(), Some(&packets));
    assert!(metrics.sum(&format!("{name}_sum"), &[]) > 0.0);
}
