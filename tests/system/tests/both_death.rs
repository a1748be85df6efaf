//! Both programs killed, in the middle of requests: what was promised is there, once, and no more.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ringway_system::appliance::{Appliance, Options};
use ringway_system::exposition::Metrics;
use ringway_system::http::Client;
use ringway_system::patience::until;
use ringway_system::sink::Sink;
use ringway_system::source::{Pace, Source};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(20);

/// Clients that create at the same time.
const CLIENTS: u64 = 8;

/// Creates answered before the control plane is killed.
const ANSWERED: usize = 60;

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

/// All forwards, page by page.
fn all(client: &Client) -> Vec<Value> {
    let mut forwards: Vec<Value> = Vec::new();
    let mut query = "?limit=50".to_owned();
    loop {
        let page = client.get(&format!("/v1/forwards{query}")).expect(200);
        forwards.extend(page["forwards"].as_array().expect("a list").iter().cloned());
        match page["next"].as_str() {
            Some(next) => query = format!("?limit=50&after={next}"),
            None => return forwards,
        }
    }
}

/// Waits until all forwards are active and returns them.
fn settled(client: &Client) -> Vec<Value> {
    until(PATIENCE, "all forwards to be active", || {
        let forwards = all(client);
        forwards.iter().all(|forward| forward["state"] == "active").then_some(forwards)
    })
}

/// Waits until the data plane has just these forwards, no sockets of others.
fn expect_no_orphans(appliance: &mut Appliance, forwards: &[Value]) {
    let port = |forward: &Value| forward["input"]["port"].as_u64().expect("a port") as u16;
    let mut expect: Vec<u16> =
        forwards.iter().flat_map(|forward| [port(forward), port(forward) + 1]).collect();
    expect.sort_unstable();
    until(PATIENCE, "the data plane to have no other sockets", || {
        (appliance.forward_ports() == expect).then_some(())
    });
    let client = appliance.client();
    until(PATIENCE, "the metrics to agree", || {
        let metrics = Metrics::parse(&client.get("/metrics").body);
        (metrics.sum("ringway_forwards", &[]) == forwards.len() as f64).then_some(())
    });
}

#[derive(Clone, Copy, Debug)]
enum First {
    Data,
    Control,
}

fn check_restart(first: First) {
    let mut appliance = Appliance::start(Options::default());
    let client = appliance.client();
    let sink = Sink::start("127.0.0.1");
    for number in 0..20 {
        let to = json!([{ "address": "127.0.0.1", "port": sink.port() }]);
        let body = json!({ "name": format!("forward {number}"), "destinations": to });
        client.post("/v1/forwards", &body).expect(201);
    }
    let wiring = |forwards: &[Value]| -> Vec<Value> {
        let wire = |forward: &Value| {
            let to = &forward["destinations"][0];
            json!([
                forward["id"],
                forward["name"],
                forward["created_at"],
                forward["input"],
                to["id"],
                to["port"]
            ])
        };
        forwards.iter().map(wire).collect()
    };
    let before = all(&client);
    assert_eq!(before.len(), 20);
    appliance.kill_controlplane();
    appliance.kill_dataplane();
    match first {
        First::Data => {
            appliance.start_dataplane();
            appliance.start_controlplane();
        }
        First::Control => {
            appliance.start_controlplane();
            assert_eq!(client.get("/").status, 406);
            assert_eq!(wiring(&all(&client)), wiring(&before), "without the data plane");
            appliance.start_dataplane();
        }
    }
    appliance.wait_joined();
    let after = settled(&client);
    assert_eq!(wiring(&after), wiring(&before), "{first:?} plane first");
    expect_no_orphans(&mut appliance, &after);
    let port = after[7]["input"]["port"].as_u64().expect("a port") as u16;
    let source = Source::start(([127, 0, 0, 1], port).into(), Pace::default());
    source.flow(50);
    sink.expect_exactly(0..source.stop());
}

#[test]
fn everything_is_restored_when_the_data_plane_comes_first() {
    check_restart(First::Data);
}

#[test]
fn everything_is_restored_when_the_control_plane_comes_first() {
    check_restart(First::Control);
}

/// What clients were told.
#[derive(Default)]
struct Told {
    /// Name, id and port of what was answered with 201.
    created: BTreeMap<String, (String, u64)>,
    /// Requests with an id of the client's that were not answered.
    unanswered: Vec<Value>,
    names: BTreeSet<String>,
}

fn lock(told: &Mutex<Told>) -> MutexGuard<'_, Told> {
    told.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Creates until a request is not answered. Every forward has an address of its own, so that the
/// ports of one range suffice for all.
fn create_until_death(client: &Client, own: u64, numbers: &AtomicU64, told: &Mutex<Told>) {
    loop {
        let number = 1 + numbers.fetch_add(1, Ordering::Relaxed);
        let name = format!("forward {number}");
        let mut body = json!({
            "name": name,
            "input": { "address": format!("127.0.{}.{}", 1 + number / 200, 1 + number % 200) },
            "destinations": [{ "address": "127.0.0.1", "port": 9 }],
        });
        if own.is_multiple_of(2) {
            body["id"] = json!(format!("FW_{number:012}"));
        }
        lock(told).names.insert(name.clone());
        let answer = client.send("POST", "/v1/forwards", Some(&body));
        let mut told = lock(told);
        match answer {
            Ok(answer) if answer.status == 201 => {
                let forward = answer.json();
                let port = forward["input"]["port"].as_u64().expect("a port");
                told.created.insert(name, (text(&forward["id"]), port));
            }
            Ok(answer) if answer.status == 503 => {}
            Ok(answer) => panic!("{name}: {} {}", answer.status, answer.body),
            Err(_) => {
                if body["id"].is_string() {
                    told.unanswered.push(body);
                }
                return;
            }
        }
    }
}

fn check_death_under_load(data_plane_too: bool) {
    let mut appliance = Appliance::start(Options::default().dataplane("max_forwards", "4096"));
    let client = appliance.client();
    let (numbers, told) = (AtomicU64::new(0), Mutex::new(Told::default()));
    std::thread::scope(|scope| {
        for own in 0..CLIENTS {
            let (client, numbers, told) = (&client, &numbers, &told);
            scope.spawn(move || create_until_death(client, own, numbers, told));
        }
        until(PATIENCE, "enough creates to be answered", || {
            (lock(&told).created.len() >= ANSWERED).then_some(())
        });
        if data_plane_too {
            appliance.kill_dataplane();
        }
        appliance.kill_controlplane();
    });
    if data_plane_too {
        appliance.start_dataplane();
    }
    appliance.start_controlplane();
    appliance.wait_joined();
    let told = told.into_inner().unwrap_or_else(PoisonError::into_inner);
    let forwards = settled(&client);
    let mut there: BTreeMap<String, (String, u64)> = BTreeMap::new();
    for forward in &forwards {
        let port = forward["input"]["port"].as_u64().expect("a port");
        let name = text(&forward["name"]);
        assert!(told.names.contains(&name), "{name} was never asked for");
        let before = there.insert(name.clone(), (text(&forward["id"]), port));
        assert!(before.is_none(), "{name} exists twice");
        assert_eq!(forward["destinations"].as_array().map(Vec::len), Some(1), "{name}");
    }
    for (name, promised) in &told.created {
        assert_eq!(there.get(name), Some(promised), "{name} was promised");
    }
    expect_no_orphans(&mut appliance, &forwards);

    // A client that got no answer asks again and gets what it wanted, once.
    for body in &told.unanswered {
        let name = text(&body["name"]);
        let answer = client.post("/v1/forwards", body);
        let expect = if there.contains_key(&name) { 200 } else { 201 };
        assert_eq!(answer.expect(expect)["id"], body["id"], "{name}");
    }
    let names: Vec<String> = settled(&client).iter().map(|f| text(&f["name"])).collect();
    let distinct: BTreeSet<&String> = names.iter().collect();
    assert_eq!(names.len(), distinct.len(), "some exist twice");
    let forwards = all(&client);
    expect_no_orphans(&mut appliance, &forwards);
}

#[test]
fn promises_outlive_a_control_plane_killed_under_load() {
    check_death_under_load(false);
}

#[test]
fn promises_outlive_both_programs_killed_under_load() {
    check_death_under_load(true);
}
