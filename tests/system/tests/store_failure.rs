//! A store that cannot be written: what is asked then is refused and said to be, what was accepted
//! before stays, and everything works again when there is room.

use std::fs;
use std::time::Duration;

use ringway_system::appliance::{Appliance, Options};
use ringway_system::http::Response;
use ringway_system::patience::until;
use ringway_system::sink::Sink;
use ringway_system::source::{Pace, Source};
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(20);

/// Destinations of each forward: a record of many pages of the database.
const DESTINATIONS: u16 = 300;

/// Limits how long files may be that the control plane writes: to it, the disk is full.
fn limit(appliance: &mut Appliance, bytes: Option<u64>) {
    let pid = i32::try_from(appliance.controlplane().pid()).expect("a process id");
    let limit = Rlimit { current: bytes, maximum: None };
    prlimit(Pid::from_raw(pid), Resource::Fsize, limit).expect("limit a child");
}

fn create(appliance: &Appliance, name: &str) -> Response {
    let to = |port| json!({ "address": "127.0.0.1", "port": 6000 + port, "rtcp": "mux" });
    let destinations: Vec<Value> = (0..DESTINATIONS).map(to).collect();
    let body = json!({ "name": name, "destinations": destinations });
    appliance.client().post("/v1/forwards", &body)
}

fn list(appliance: &Appliance) -> Vec<Value> {
    let page = appliance.client().get("/v1/forwards?limit=1000").expect(200);
    page["forwards"].as_array().expect("a list").clone()
}

fn names(forwards: &[Value]) -> Vec<String> {
    let mut names: Vec<String> =
        forwards.iter().map(|f| f["name"].as_str().expect("a name").to_owned()).collect();
    names.sort();
    names
}

/// Creates forwards until one is refused; that answer.
fn fill(appliance: &Appliance, accepted: &mut Vec<String>) -> Response {
    for number in 0..200 {
        let name = format!("forward {} {number:03}", accepted.len());
        let answer = create(appliance, &name);
        if answer.status != 201 {
            return answer;
        }
        accepted.push(name);
    }
    panic!("the store took everything, whatever its limit");
}

#[test]
fn a_full_disk_refuses_what_is_new_and_keeps_what_was_accepted() {
    let mut appliance = Appliance::start(Options::default().dataplane("max_destinations", "65536"));
    let sink = Sink::start("127.0.0.1");
    let body = json!({ "name": "flows",
                       "destinations": [{ "address": "127.0.0.1", "port": sink.port() }] });
    let flows = appliance.client().post("/v1/forwards", &body).expect(201);
    let port = flows["input"]["port"].as_u64().expect("a port") as u16;
    let source = Source::start(([127, 0, 0, 1], port).into(), Pace::default());
    sink.wait_past(20);
    let mut accepted = vec!["flows".to_owned()];

    let file = appliance.folder().join("ringway.redb");
    for _ in 0..2 {
        let bytes = fs::metadata(&file).expect("the store").len();
        limit(&mut appliance, Some(bytes));
        let refused = fill(&appliance, &mut accepted);
        let error = &refused.expect(500)["error"];
        assert_eq!(error["code"], "store_failed", "{error}");
        let message = error["message"].as_str().expect("a sentence");
        assert!(message.contains("disk"), "{message}");
        // It still runs, and says what is so.
        assert!(appliance.controlplane().ended().is_none(), "{}", appliance.controlplane().log());
        assert_eq!(names(&list(&appliance)), sorted(&accepted));
        let log = appliance.controlplane().log();
        assert!(log.contains("cannot write to the store"), "{log}");
        // Nothing of what was refused is left on the data plane.
        let all_active = || {
            let forwards = list(&appliance);
            forwards.iter().all(|forward| forward["state"] == "active").then_some(())
        };
        until(PATIENCE, "all forwards to be active", all_active);
        limit(&mut appliance, None);
        until(PATIENCE, "the next forward to be accepted", || {
            let name = format!("forward {} again", accepted.len());
            (create(&appliance, &name).status == 201).then(|| accepted.push(name))
        });
    }

    // No stream noticed, and a death of everything changes nothing.
    source.flow(50);
    sink.expect_exactly(0..source.stop());
    appliance.kill_controlplane();
    appliance.kill_dataplane();
    appliance.start_dataplane();
    appliance.start_controlplane();
    appliance.wait_joined();
    assert_eq!(names(&list(&appliance)), sorted(&accepted));
}

fn sorted(names: &[String]) -> Vec<String> {
    let mut names = names.to_vec();
    names.sort();
    names
}

/// The disk is full when the control plane starts: it says so and ends, and ends well later.
#[test]
fn a_store_that_cannot_be_made_ends_the_start() {
    let mut appliance = Appliance::prepare(Options::default());
    // Inherited by what is started here.
    let file = appliance.folder().join("ringway.redb");
    fs::create_dir(&file).expect("a folder where the store should be");
    let status = appliance.controlplane().run();
    assert!(status.code().is_some_and(|code| code != 0), "{status}");
    let log = appliance.controlplane().log();
    assert!(log.contains("cannot open the store") && log.contains("ringway.redb"), "{log}");
    fs::remove_dir(&file).expect("the folder is empty");
    appliance.start_dataplane();
    appliance.start_controlplane();
    appliance.wait_joined();
}
