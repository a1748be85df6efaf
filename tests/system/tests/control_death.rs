//! `kill -9` for the control plane: no packet notices, and the next one knows everything.

use ringway_system::appliance::{Appliance, Options};
use ringway_system::patience::until;
use ringway_system::sink::Sink;
use ringway_system::source::{Pace, Source};
use serde_json::{Value, json};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(20);

/// A forward without what changes by itself.
fn lasting(forward: &Value) -> Value {
    let mut forward = forward.clone();
    forward["stats"] = Value::Null;
    for destination in forward["destinations"].as_array_mut().expect("a list") {
        destination["stats"] = Value::Null;
    }
    forward
}

fn to(sink: &Sink) -> Value {
    json!({ "address": sink.address().ip(), "port": sink.port() })
}

fn packets(forward: &Value) -> u64 {
    forward["stats"]["packets"].as_u64().expect("a number")
}

fn check(engine: &str, deaths: u32) {
    let mut appliance = Appliance::start(Options::default().dataplane("engine", engine));
    let client = appliance.client();
    let sinks: Vec<Sink> = (0..3).map(|_| Sink::start("127.0.0.1")).collect();
    let mut rewritten = to(&sinks[2]);
    rewritten["ssrc"] = json!(7);
    rewritten["contiguous"] = json!(true);
    let body = json!({
        "name": "studio",
        "destinations": [to(&sinks[0]), to(&sinks[1]), rewritten],
    });
    let forward = client.post("/v1/forwards", &body).expect(201);
    // Others that carry nothing: they must come back as well.
    for number in 0..5 {
        client.post("/v1/forwards", &json!({ "name": format!("idle {number}") })).expect(201);
    }
    let path = format!("/v1/forwards/{}", forward["id"].as_str().expect("an id"));
    let port = forward["input"]["port"].as_u64().expect("a port") as u16;
    let source = Source::start(([127, 0, 0, 1], port).into(), Pace::default());
    sinks.iter().for_each(|sink| sink.wait_past(100));

    for _ in 0..deaths {
        let before = client.get("/v1/forwards").expect(200);
        let dataplane = appliance.dataplane().pid();
        appliance.kill_controlplane();
        let killed_at = source.sent();
        source.flow(250);
        sinks.iter().for_each(|sink| sink.wait_past(killed_at + 200));

        appliance.start_controlplane();
        appliance.wait_joined();
        appliance.wait_active(forward["id"].as_str().expect("an id"));
        let after = client.get("/v1/forwards").expect(200);
        let rows = |page: &Value| page["forwards"].as_array().expect("a list").clone();
        assert_eq!(rows(&after).len(), 6);
        for (before, after) in rows(&before).iter().zip(&rows(&after)) {
            assert_eq!(lasting(before), lasting(after), "the store forgot something");
            assert!(packets(after) >= packets(before), "statistics began again");
        }
        let now = client.get(&path).expect(200);
        assert!(packets(&now) >= killed_at, "{now}: the packets of its absence are not counted");
        assert_eq!(appliance.dataplane().pid(), dataplane);
    }

    let late = Sink::start("127.0.0.1");
    client.post(&format!("{path}/destinations"), &to(&late)).expect(201);
    let added_at = source.sent();
    late.wait_past(added_at + 100);
    let sent = source.stop();
    sinks.iter().for_each(|sink| sink.expect_exactly(0..sent));
    late.wait_all(added_at..sent);
    let destinations = |forward: &Value| forward["destinations"].as_array().cloned();
    let last = until(PATIENCE, "the statistics to agree with what was sent", || {
        let forward = client.get(&path).expect(200);
        let to = destinations(&forward).expect("a list");
        let agrees = packets(&forward) == sent && to[..3].iter().all(|to| packets(to) == sent);
        agrees.then_some(forward)
    });
    for destination in destinations(&last).expect("a list") {
        assert_eq!(destination["stats"]["dropped"], 0, "{destination}");
    }
    assert_eq!((&last["stats"]["lost"], &last["stats"]["refused"]), (&json!(0), &json!(0)));
}

#[test]
fn packets_do_not_notice_on_io_uring() {
    check("uring", 2);
}

#[test]
fn packets_do_not_notice_on_plain_system_calls() {
    check("plain", 2);
}

#[test]
fn a_control_plane_that_dies_again_and_again_harms_nobody() {
    let mut appliance = Appliance::start(Options::default());
    let client = appliance.client();
    let sink = Sink::start("127.0.0.1");
    let forward = client.post("/v1/forwards", &json!({ "destinations": [to(&sink)] })).expect(201);
    let port = forward["input"]["port"].as_u64().expect("a port") as u16;
    let source = Source::start(([127, 0, 0, 1], port).into(), Pace::default());
    for _ in 0..10 {
        appliance.kill_controlplane();
        appliance.start_controlplane();
    }
    appliance.wait_joined();
    let known = appliance.wait_active(forward["id"].as_str().expect("an id"));
    assert_eq!(lasting(&known), lasting(&forward));
    source.flow(50);
    sink.expect_exactly(0..source.stop());
}
