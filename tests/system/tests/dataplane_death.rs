//! `kill -9` for the data plane: the control plane says so, and restores every forward on the same
//! ports within a second of the restart.

use std::time::{Duration, Instant};

use ringway_system::appliance::{Appliance, Options};
use ringway_system::patience::until;
use ringway_system::ports::free_udp_pair;
use ringway_system::sink::Sink;
use ringway_system::source::{Pace, Source};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(20);

/// From the start of the new process until every forward receives again.
const RESTORED_WITHIN: Duration = Duration::from_secs(1);

/// Deaths per test. The machine may be busy with other tests, so the best restart counts.
const DEATHS: u32 = 3;

fn list(appliance: &Appliance) -> Vec<Value> {
    let page = appliance.client().get("/v1/forwards").expect(200);
    page["forwards"].as_array().expect("a list").clone()
}

/// Where each forward receives and what it sends where.
fn wiring(forwards: &[Value]) -> Vec<Value> {
    let destination = |to: &Value| {
        let fields = ["id", "address", "port", "rtcp", "ssrc", "payload_type", "contiguous"];
        fields.map(|field| to[field].clone())
    };
    let wire = |forward: &Value| {
        let to = forward["destinations"].as_array().expect("a list");
        json!([forward["id"], forward["input"], to.iter().map(destination).collect::<Vec<_>>()])
    };
    forwards.iter().map(wire).collect()
}

fn all_are(forwards: &[Value], state: &str) -> bool {
    forwards.iter().all(|forward| forward["state"] == state)
}

/// Creates forwards of every kind; returns the port of the one that feeds `sinks`.
fn populate(appliance: &Appliance, sinks: &[Sink]) -> u16 {
    let client = appliance.client();
    let to = |sink: &Sink| json!({ "address": sink.address().ip(), "port": sink.port() });
    let fed: Vec<Value> = sinks.iter().map(to).collect();
    let body = json!({ "name": "fed", "destinations": fed });
    let fed = client.post("/v1/forwards", &body).expect(201);
    let far = json!({ "address": "192.0.2.9", "port": 6000, "ssrc": 5, "payload_type": 100 });
    for body in [
        json!({ "name": "fixed", "input": { "port": free_udp_pair(), "ssrc": 9 } }),
        json!({ "name": "mux", "input": { "rtcp": "mux", "source": "any" },
                "destinations": [far] }),
        json!({ "name": "ipv6", "input": { "address": "::" }, "destinations": [
            { "address": "::1", "port": 6000, "contiguous": true },
            { "address": "127.0.0.1", "port": 6000, "rtcp": "mux" },
        ] }),
        json!({ "name": "pinned", "input": { "source": "192.0.2.7:4000" } }),
        json!({ "name": "plain" }),
    ] {
        client.post("/v1/forwards", &body).expect(201);
    }
    fed["input"]["port"].as_u64().expect("a port") as u16
}

fn check(engine: &str) {
    let mut appliance = Appliance::start(Options::default().dataplane("engine", engine));
    let sinks: Vec<Sink> = (0..3).map(|_| Sink::start("127.0.0.1")).collect();
    let port = populate(&appliance, &sinks);
    let before = list(&appliance);
    let source = Source::start(([127, 0, 0, 1], port).into(), Pace::default());
    sinks.iter().for_each(|sink| sink.wait_past(50));

    let times: Vec<Duration> = (0..DEATHS)
        .map(|_| {
            appliance.kill_dataplane();
            absence(&appliance, &before);
            let start = Instant::now();
            appliance.start_dataplane();
            let restored = until(PATIENCE, "all forwards to be active again", || {
                let forwards = list(&appliance);
                // The kernel may still have the ports: they are waited for, nothing has failed.
                let failed = forwards.iter().find(|forward| forward["state"] == "failed");
                assert_eq!(failed, None, "seen {:?} after the start", start.elapsed());
                all_are(&forwards, "active").then_some(forwards)
            });
            let time = start.elapsed();
            assert_eq!(wiring(&restored), wiring(&before));
            let now = source.sent();
            sinks.iter().for_each(|sink| sink.wait_past(now + 20));
            time
        })
        .collect();
    println!("{engine}: restored after {times:?}");
    let best = times.iter().min().expect("at least one");
    assert!(*best <= RESTORED_WITHIN, "forwards were back after {times:?}");

    // From here on nothing may be lost any more.
    let from = source.sent();
    source.flow(100);
    let sent = source.stop();
    sinks.iter().for_each(|sink| sink.wait_all(from..sent));
    for sink in &sinks {
        assert_eq!(sink.heard().repeated(), [0; 0], "some packets came twice");
    }
}

/// What the API says while the data plane is away.
fn absence(appliance: &Appliance, before: &[Value]) {
    let client = appliance.client();
    let health = until(PATIENCE, "the health check to notice", || {
        Some(client.get("/")).filter(|health| health.status != 200)
    });
    assert_eq!(health.status, 406);
    assert!(health.body.contains("data plane"), "{}", health.body);
    let forwards = until(PATIENCE, "forwards to be pending", || {
        Some(list(appliance)).filter(|forwards| all_are(forwards, "pending"))
    });
    assert_eq!(wiring(&forwards), wiring(before));
    let one = format!("/v1/forwards/{}", before[0]["id"].as_str().expect("an id"));
    assert_eq!(client.get(&one).expect(200)["state"], "pending");
    let refused = client.post("/v1/forwards", &json!({}));
    assert_eq!(refused.expect(503)["error"]["code"], "data_plane_away");
    let metrics = client.get("/metrics").body;
    assert!(metrics.contains("ringway_data_plane_up 0"), "{metrics}");
}

#[test]
fn forwards_are_restored_on_io_uring() {
    check("uring");
}

#[test]
fn forwards_are_restored_on_plain_system_calls() {
    check("plain");
}

#[test]
fn what_is_deleted_while_it_is_away_stays_deleted() {
    let mut appliance = Appliance::start(Options::default());
    let client = appliance.client();
    let create = |name: &str| {
        let destinations = json!([{ "address": "127.0.0.1", "port": 6000 },
                                  { "address": "127.0.0.1", "port": 6002 }]);
        let body = json!({ "name": name, "destinations": destinations });
        client.post("/v1/forwards", &body).expect(201)
    };
    let (kept, gone) = (create("kept"), create("gone"));
    let path = |forward: &Value| format!("/v1/forwards/{}", forward["id"].as_str().expect("an id"));
    appliance.kill_dataplane();
    until(PATIENCE, "the health check to notice", || (client.get("/").status == 406).then_some(()));
    let destination = kept["destinations"][0]["id"].as_str().expect("an id");
    client.delete(&path(&gone)).expect(204);
    client.delete(&format!("{}/destinations/{destination}", path(&kept))).expect(204);
    appliance.start_dataplane();
    appliance.wait_joined();
    let restored = until(PATIENCE, "the forward to be active again", || {
        Some(client.get(&path(&kept)).expect(200)).filter(|forward| forward["state"] == "active")
    });
    assert_eq!(restored["destinations"].as_array().map(Vec::len), Some(1));
    client.get(&path(&gone)).expect(404);
    let ports = appliance.forward_ports();
    let port = restored["input"]["port"].as_u64().expect("a port") as u16;
    assert_eq!(ports, [port, port + 1], "sockets of forwards that nobody wants");
}
