//! `ringway`, as a person and as a script types it, against the running appliance.

use std::process::{Command, Output};
use std::time::Duration;

use ringway_system::appliance::{Appliance, Options};
use ringway_system::patience::until;
use ringway_system::program::binary;
use ringway_system::sink::Sink;
use ringway_system::source::{Pace, Source};
use ringway_system::token::{KEY, SECRET};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(20);

/// `ringway` for one appliance.
struct Cli {
    url: String,
    key: String,
    secret: String,
}

impl Cli {
    fn of(appliance: &Appliance) -> Self {
        Self { url: appliance.url(), key: KEY.to_owned(), secret: SECRET.to_owned() }
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(binary("ringway"));
        for (name, _) in std::env::vars() {
            if name.starts_with("RINGWAY_") || name.starts_with("LIVEKIT_") {
                command.env_remove(name);
            }
        }
        command
            .args(arguments)
            .env("RINGWAY_URL", &self.url)
            .env("RINGWAY_API_KEY", &self.key)
            .env("RINGWAY_API_SECRET", &self.secret)
            .output()
            .expect("ringway starts")
    }

    /// What it prints when it must succeed.
    #[track_caller]
    fn text(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {} {errors}", output.status);
        String::from_utf8(output.stdout).expect("it prints text")
    }

    #[track_caller]
    fn json(&self, arguments: &[&str]) -> Value {
        let text = self.text(&[arguments, &["--json"]].concat());
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {text}"))
    }

    /// What it says on stderr when it must fail.
    #[track_caller]
    fn error(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(!output.status.success(), "{arguments:?} succeeded");
        let errors = String::from_utf8(output.stderr).expect("it prints text");
        assert!(!errors.contains("panicked"), "{errors}");
        assert!(!errors.trim().is_empty(), "{arguments:?} fails without a word");
        errors
    }
}

fn id(value: &Value) -> &str {
    value["id"].as_str().expect("an id")
}

#[test]
fn forwards_from_beginning_to_end() {
    let appliance = Appliance::start(Options::default());
    let cli = Cli::of(&appliance);
    assert_eq!(cli.json(&["forward", "list"]), json!({ "forwards": [] }));

    let (first, second) = (Sink::start("127.0.0.1"), Sink::start("127.0.0.1"));
    let to = |sink: &Sink, options: &str| format!("{}{options}", sink.address());
    let (one, two) = (to(&first, ""), to(&second, ",ssrc=1234,pt=97,contiguous,mux"));
    let forward = cli.json(&["forward", "add", "--name", "studio", "--to", &one, "--to", &two]);
    assert_eq!((&forward["name"], &forward["state"]), (&json!("studio"), &json!("active")));
    let rewritten = &forward["destinations"][1];
    let said = ["ssrc", "payload_type", "contiguous", "rtcp"].map(|field| rewritten[field].clone());
    assert_eq!(said, [json!(1234), json!(97), json!(true), json!("mux")]);

    let port = forward["input"]["port"].as_u64().expect("a port");
    let source = Source::start(([127, 0, 0, 1], port as u16).into(), Pace::default());
    second.wait_past(10);
    let last = second.heard().last.expect("a packet came");
    assert_eq!((last.ssrc, last.payload_type), (1234, 97));
    let third = Sink::start("127.0.0.1");
    let added = cli.json(&["forward", "add-destination", "studio", "--to", &to(&third, "")]);
    third.wait_past(source.sent());
    let removed = cli.json(&["forward", "rm-destination", "studio", id(&added)]);
    assert_eq!(removed, json!({ "removed": added["id"] }));
    let sent = source.stop();
    first.expect_exactly(0..sent);

    let shown = cli.json(&["forward", "show", "studio"]);
    assert_eq!(
        (id(&shown), shown["destinations"].as_array().map(Vec::len)),
        (id(&forward), Some(2))
    );
    assert_eq!(id(&cli.json(&["forward", "show", id(&forward)])), id(&forward));
    let listed = cli.json(&["forward", "list"]);
    assert_eq!(listed["forwards"].as_array().map(Vec::len), Some(1));
    for arguments in [&["forward", "list"][..], &["forward", "show", "studio"]] {
        let text = cli.text(arguments);
        for part in ["studio", &port.to_string(), "active"] {
            assert!(text.contains(part), "{arguments:?} does not say {part}:\n{text}");
        }
    }
    assert_eq!(cli.json(&["forward", "rm", "studio"]), json!({ "removed": forward["id"] }));
    assert_eq!(cli.json(&["forward", "list"]), json!({ "forwards": [] }));
    let text = cli.text(&["forward", "add", "--name", "another"]);
    assert!(text.contains("another"), "{text}");
}

#[test]
fn forwards_change_while_they_run() {
    let appliance = Appliance::start(Options::default());
    let cli = Cli::of(&appliance);
    let sink = Sink::start("127.0.0.1");
    let to = sink.address().to_string();
    let forward = cli.json(&["forward", "add", "--name", "studio", "--to", &to]);
    let port = forward["input"]["port"].as_u64().expect("a port") as u16;
    let source = Source::start(([127, 0, 0, 1], port).into(), Pace::default());
    sink.wait_past(10);

    let destination = id(&forward["destinations"][0]);
    let update = ["forward", "update-destination", "studio", destination];
    let changed =
        cli.json(&[&update[..], &["--ssrc", "77", "--pt", "98", "--contiguous", "on"]].concat());
    let said = ["id", "ssrc", "payload_type", "contiguous"].map(|field| changed[field].clone());
    assert_eq!(said, [json!(destination), json!(77), json!(98), json!(true)]);
    until(PATIENCE, "the rewrite", || {
        sink.heard().last.filter(|last| (last.ssrc, last.payload_type) == (77, 98)).map(|_| ())
    });
    let kept = cli.json(&[&update[..], &["--ssrc", "keep", "--pt", "keep"]].concat());
    assert_eq!((&kept["ssrc"], &kept["payload_type"]), (&Value::Null, &Value::Null), "{kept}");
    let other = Sink::start("127.0.0.1");
    let there = other.address().to_string();
    cli.text(&[&update[..], &["--to", &there, "--rtcp", "mux"]].concat());
    other.wait_past(source.sent());

    // Nobody may send now.
    let pinned = cli.json(&["forward", "update", "studio", "--source", "192.0.2.7:9", "--name="]);
    assert_eq!((&pinned["input"]["source"], &pinned["name"]), (&json!("192.0.2.7:9"), &json!("")));
    until(PATIENCE, "packets to be refused", || {
        let shown = cli.json(&["forward", "show", id(&forward)]);
        shown["stats"]["refused"].as_u64().filter(|refused| *refused > 0)
    });
    let open = ["--source", "latch", "--latch-silence", "70ms", "--ssrc", "any", "--name", "b"];
    let text = cli.text(&[&["forward", "update", id(&forward)], &open[..]].concat());
    assert!(text.contains("latch (released after 70 ms)"), "{text}");
    other.wait_past(source.sent());

    for (arguments, part) in [
        (&["forward", "update", "b"][..], "--source"),
        (&["forward", "update", "nobody", "--name", "c"], "nobody"),
        (&["forward", "update", "b", "--source", "::1"], "input.source"),
        (
            &["forward", "update-destination", "b", "FD_abcdefghijkl", "--pt", "1"],
            "FD_abcdefghijkl",
        ),
        (&["forward", "update-destination", "b", destination, "--pt", "200"], "127"),
    ] {
        let error = cli.error(arguments);
        assert!(error.contains(part), "{arguments:?}: {error}");
    }
}

#[test]
fn commands_may_be_repeated_where_they_name_an_id() {
    let appliance = Appliance::start(Options::default());
    let cli = Cli::of(&appliance);
    let arguments = ["forward", "add", "--id", "FW_abcdefghijkl", "--to", "127.0.0.1:6000"];
    let first = cli.json(&arguments);
    assert_eq!(id(&first), "FW_abcdefghijkl");
    assert_eq!(cli.json(&arguments)["input"], first["input"]);
    let error = cli.error(&["forward", "add", "--id", "FW_abcdefghijkl", "--name", "other"]);
    assert!(error.contains("exists"), "{error}");
}

#[test]
fn errors_say_what_to_do() {
    let appliance = Appliance::start(Options::default());
    let cli = Cli::of(&appliance);
    for (arguments, part) in [
        (&["forward", "show", "nobody"][..], "nobody"),
        (&["forward", "rm", "FW_abcdefghijkl"], "FW_abcdefghijkl"),
        (&["forward", "add", "--to", "127.0.0.1"], "127.0.0.1"),
        (&["forward", "add", "--listen", "99999"], "99999"),
        (&["forward", "add", "--source", "everyone"], "everyone"),
        (&["forward", "add", "--listen", "192.0.2.1:5004"], "192.0.2.1"),
        (&["token", "--join"], "--identity"),
        (&["top", "--once", "--socket", "/nowhere.sock"], "/nowhere.sock"),
    ] {
        let error = cli.error(arguments);
        assert!(error.contains(part), "{arguments:?}: {error}");
    }
    let forward = cli.json(&["forward", "add"]);
    let port = forward["input"]["port"].to_string();
    let error = cli.error(&["forward", "add", "--listen", &port]);
    assert!(error.contains(id(&forward)) && error.contains("input.port"), "{error}");

    let wrong = Cli { secret: "another-secret-of-at-least-32-characters!".to_owned(), ..cli };
    let error = wrong.error(&["forward", "list"]);
    assert!(error.contains("key") || error.contains("token"), "{error}");
    let away = Cli { url: "http://127.0.0.1:9".to_owned(), ..wrong };
    let error = away.error(&["forward", "list"]);
    assert!(error.contains("127.0.0.1:9"), "{error}");
}

#[test]
fn tokens_open_what_they_say() {
    let appliance = Appliance::start(Options::default());
    let cli = Cli::of(&appliance);
    let status = |arguments: &[&str]| {
        let token = cli.text(arguments).trim().to_owned();
        appliance.client_with(Some(token)).get("/v1/forwards").status
    };
    assert_eq!(status(&["token", "--ingress"]), 200);
    assert_eq!(status(&["token", "--ingress-admin", "--valid-for", "1h"]), 200);
    assert_eq!(status(&["token", "--list"]), 403);
    let told = cli.json(&["token", "--ingress", "--identity", "me"]);
    assert_eq!((&told["claims"]["iss"], &told["claims"]["sub"]), (&json!(KEY), &json!("me")));
    let token = told["token"].as_str().map(str::to_owned);
    assert_eq!(appliance.client_with(token).get("/v1/forwards").status, 200);
}

#[test]
fn top_shows_what_the_shards_do() {
    let appliance = Appliance::start(Options::default());
    let cli = Cli::of(&appliance);
    let sink = Sink::start("127.0.0.1");
    let to = sink.address().to_string();
    let forward = cli.json(&["forward", "add", "--to", &to, "--to", &to]);
    let port = forward["input"]["port"].as_u64().expect("a port") as u16;
    let source = Source::start(([127, 0, 0, 1], port).into(), Pace::default());
    sink.wait_past(10);
    let socket = appliance.socket().display().to_string();
    // Shards publish their latency twice a second.
    let look = ["top", "--once", "--interval", "1500ms", "--socket", &socket];
    let page = cli.json(&look);
    let shard = &page["shards"][0];
    let rate = |name: &str| shard[name].as_f64().unwrap_or_else(|| panic!("no {name}: {page}"));
    assert!(rate("packets_in_per_s") > 50.0, "{page}");
    assert!(rate("packets_out_per_s") > 1.5 * rate("packets_in_per_s"), "{page}");
    assert_eq!((rate("forwards"), rate("destinations")), (1.0, 2.0));
    assert_eq!((&shard["stuck"], &shard["drops_per_s"]), (&json!(false), &json!([])));
    assert!(shard["latency"]["p99_us"].as_f64().is_some_and(|us| us > 0.0), "{page}");
    let text = cli.text(&["top", "--once", "--interval", "200ms", "--socket", &socket]);
    assert!(text.lines().count() > 1, "{text}");
    drop(source);
}

#[test]
fn check_judges_this_machine() {
    let appliance = Appliance::start(Options::default());
    let cli = Cli::of(&appliance);
    let config = appliance.folder().join("dataplane.yaml").display().to_string();
    // It may find this machine unfit, and says so by its status.
    let output = cli.run(&["check", "--config", &config, "--json"]);
    let report: Value = serde_json::from_slice(&output.stdout).expect("it prints JSON");
    let failed = report["fail"].as_u64().expect("a number");
    assert_eq!(output.status.code(), Some(i32::from(failed > 0)), "{report}");
    let findings = report["findings"].as_array().expect("a list");
    assert!(findings.len() >= 5, "{report}");
    for finding in findings {
        for field in ["check", "level", "message"] {
            assert!(finding[field].as_str().is_some_and(|text| !text.is_empty()), "{finding}");
        }
    }
}

#[test]
fn completions_are_shell_code() {
    let appliance = Appliance::prepare(Options::default());
    let cli = Cli::of(&appliance);
    for shell in ["bash", "zsh", "fish"] {
        let script = cli.text(&["completions", shell]);
        assert!(script.contains("add-destination"), "{shell}: {script}");
    }
}
