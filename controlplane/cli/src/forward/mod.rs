//! `ringway forward`: forwards of the running appliance, over its HTTP API.

mod change;
mod render;
mod target;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::anyhow;
use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use crate::args::Global;
use crate::client::Client;
use crate::credentials::CredentialArgs;
use crate::forward::change::{DestinationChange, ForwardChange};
use crate::forward::target::{Listen, Rtcp, Source, Target};
use crate::{duration, output, usage};

/// Create, list, show, change and remove forwards
#[derive(Debug, Args)]
pub(crate) struct ForwardArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Create a forward
    #[command(after_help = "\
A destination is ADDRESS:PORT and, after commas, any of
  mux            RTCP to the same port (else to the next one)
  rtcp=PORT      RTCP to this port
  ssrc=N  pt=N   rewrite SSRC or payload type
  contiguous     one unbroken sequence, whatever the source does

Examples:
  ringway forward add --listen 5004 --to 127.0.0.1:6000
  ringway forward add --name studio --listen [::]:5004 --to [::1]:7000,ssrc=1234,pt=96,contiguous
  ringway forward add --source 192.0.2.7 --mux --to 198.51.100.1:4000,mux --json")]
    Add(AddArgs),
    /// List forwards
    #[command(after_help = "Examples:\n  ringway forward list\n  ringway forward list --json")]
    List(AuthArgs),
    /// Show a forward, its destinations and their statistics
    #[command(after_help = "Examples:\n  ringway forward show studio")]
    Show(OneArgs),
    /// Change the name of a forward, or who may send to it, while it runs
    #[command(after_help = "\
Address and ports of the input stay: make a new forward to move it.

Examples:
  ringway forward update studio --source 192.0.2.7
  ringway forward update studio --source latch --latch-silence 2s --ssrc any
  ringway forward update FW_3kT9aBcDeF12 --name stage --json")]
    Update(UpdateArgs),
    /// Remove forwards
    #[command(after_help = "Examples:\n  ringway forward rm studio FW_3kT9aBcDeF12")]
    Rm(ManyArgs),
    /// Add destinations to a forward while it runs
    #[command(after_help = "\
Examples:
  ringway forward add-destination studio --to 127.0.0.1:6002
  ringway forward add-destination studio --to 127.0.0.1:6004,mux --to 127.0.0.1:6006,pt=97")]
    AddDestination(AddDestinationArgs),
    /// Change a destination while it runs
    #[command(after_help = "\
Examples:
  ringway forward update-destination studio FD_3kT9aBcDeF12 --ssrc 1234 --pt 96 --contiguous on
  ringway forward update-destination studio FD_3kT9aBcDeF12 --ssrc keep --pt keep
  ringway forward update-destination studio FD_3kT9aBcDeF12 --to 192.0.2.12:6000 --rtcp mux")]
    UpdateDestination(UpdateDestinationArgs),
    /// Remove destinations from a forward while it runs
    #[command(after_help = "\
Examples:
  ringway forward rm-destination studio FD_3kT9aBcDeF12")]
    RmDestination(RmDestinationArgs),
}

#[derive(Debug, Args)]
struct AuthArgs {
    #[command(flatten)]
    credentials: CredentialArgs,
}

#[derive(Debug, Args)]
struct AddArgs {
    #[command(flatten)]
    auth: AuthArgs,
    /// Where RTP comes in; without a port the appliance chooses one and keeps it
    #[arg(long, value_name = "[ADDRESS:]PORT")]
    listen: Option<Listen>,
    /// A destination; may be repeated
    #[arg(long, value_name = "ADDRESS:PORT[,OPTION…]")]
    to: Vec<Target>,
    /// A name for people
    #[arg(long)]
    name: Option<String>,
    /// The id, to make repeating the command harmless (FW_ and 12 letters or digits)
    #[arg(long)]
    id: Option<String>,
    /// Who may send: any, latch (the first sender until it falls silent), ADDRESS or ADDRESS:PORT
    #[arg(long, value_name = "WHO")]
    source: Option<Source>,
    /// How long a latched source must be silent before another may take its place
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    latch_silence: Option<Duration>,
    /// Accept only this SSRC
    #[arg(long)]
    ssrc: Option<u32>,
    /// RTCP comes in on this port (else on the next one)
    #[arg(long, value_name = "PORT", conflicts_with = "mux")]
    rtcp: Option<u16>,
    /// RTCP comes in on the RTP port
    #[arg(long)]
    mux: bool,
}

#[derive(Debug, Args)]
struct OneArgs {
    #[command(flatten)]
    auth: AuthArgs,
    /// Id or name of the forward
    forward: String,
}

#[derive(Debug, Args)]
struct UpdateArgs {
    #[command(flatten)]
    auth: AuthArgs,
    /// Id or name of the forward
    forward: String,
    #[command(flatten)]
    change: ForwardChange,
}

#[derive(Debug, Args)]
struct UpdateDestinationArgs {
    #[command(flatten)]
    auth: AuthArgs,
    /// Id or name of the forward
    forward: String,
    /// Id of the destination
    destination: String,
    #[command(flatten)]
    change: DestinationChange,
}

#[derive(Debug, Args)]
struct ManyArgs {
    #[command(flatten)]
    auth: AuthArgs,
    /// Ids or names of the forwards
    #[arg(required = true)]
    forwards: Vec<String>,
}

#[derive(Debug, Args)]
struct AddDestinationArgs {
    #[command(flatten)]
    auth: AuthArgs,
    /// Id or name of the forward
    forward: String,
    /// A destination; may be repeated
    #[arg(long, required = true, value_name = "ADDRESS:PORT[,OPTION…]")]
    to: Vec<Target>,
}

#[derive(Debug, Args)]
struct RmDestinationArgs {
    #[command(flatten)]
    auth: AuthArgs,
    /// Id or name of the forward
    forward: String,
    /// Ids of the destinations
    #[arg(required = true)]
    destinations: Vec<String>,
}

pub(crate) fn run(args: &ForwardArgs, global: &Global) -> anyhow::Result<ExitCode> {
    let connect =
        |auth: &AuthArgs| Client::new(&global.url, auth.credentials.resolve(&global.url)?);
    match &args.action {
        Action::Add(args) => add(&connect(&args.auth)?, args, global),
        Action::List(auth) => list(&connect(auth)?, global),
        Action::Show(args) => show(&connect(&args.auth)?, &args.forward, global),
        Action::Update(args) => update(&connect(&args.auth)?, args, global),
        Action::Rm(args) => remove(&connect(&args.auth)?, &args.forwards, global),
        Action::AddDestination(args) => add_destinations(&connect(&args.auth)?, args, global),
        Action::UpdateDestination(args) => update_destination(&connect(&args.auth)?, args, global),
        Action::RmDestination(args) => remove_destinations(&connect(&args.auth)?, args, global),
    }?;
    Ok(ExitCode::SUCCESS)
}

fn add(client: &Client, args: &AddArgs, global: &Global) -> anyhow::Result<()> {
    let forward = client.post("/v1/forwards", &body(args))?;
    if global.json { output::print_json(&forward) } else { output::print(&render::one(&forward)) }
}

/// The request that the flags ask for; what was not said is left to the server.
fn body(args: &AddArgs) -> Value {
    let mut input = Map::new();
    let mut forward = Map::new();
    if let Some(Listen { address, port }) = args.listen {
        if let Some(address) = address {
            input.insert("address".into(), json!(address));
        }
        input.insert("port".into(), json!(port));
    }
    if let Some(Source(source)) = &args.source {
        input.insert("source".into(), json!(source));
    }
    if let Some(silence) = args.latch_silence {
        input.insert("latch_silence_ms".into(), json!(silence.as_millis() as u64));
    }
    if let Some(ssrc) = args.ssrc {
        input.insert("ssrc".into(), json!(ssrc));
    }
    match (args.mux, args.rtcp) {
        (true, _) => drop(input.insert("rtcp".into(), Rtcp::Mux.to_json())),
        (false, Some(port)) => drop(input.insert("rtcp".into(), Rtcp::Port(port).to_json())),
        (false, None) => {}
    }
    for (key, value) in [("id", &args.id), ("name", &args.name)] {
        if let Some(value) = value {
            forward.insert(key.into(), json!(value));
        }
    }
    if !input.is_empty() {
        forward.insert("input".into(), Value::Object(input));
    }
    if !args.to.is_empty() {
        let destinations = args.to.iter().map(Target::to_json).collect();
        forward.insert("destinations".into(), Value::Array(destinations));
    }
    Value::Object(forward)
}

fn list(client: &Client, global: &Global) -> anyhow::Result<()> {
    let forwards = all(client)?;
    if global.json {
        output::print_json(&json!({ "forwards": forwards }))
    } else if forwards.is_empty() {
        output::remark("no forwards yet; `ringway forward add --help` shows how to create one");
        Ok(())
    } else {
        output::print(&render::many(&forwards))
    }
}

/// Every forward, page after page.
fn all(client: &Client) -> anyhow::Result<Vec<Value>> {
    let mut forwards = Vec::new();
    let mut path = "/v1/forwards".to_owned();
    loop {
        let mut page = client.get(&path)?;
        let Some(Value::Array(rows)) = page.get_mut("forwards").map(Value::take) else {
            return Err(anyhow!("the server's list of forwards has no \"forwards\""));
        };
        let empty = rows.is_empty();
        forwards.extend(rows);
        match page.get("next").and_then(Value::as_str) {
            Some(next) if !empty => path = format!("/v1/forwards?after={}", checked_id(next)?),
            _ => return Ok(forwards),
        }
    }
}

fn show(client: &Client, forward: &str, global: &Global) -> anyhow::Result<()> {
    let id = find(client, forward)?;
    let forward = client.get(&format!("/v1/forwards/{id}"))?;
    if global.json { output::print_json(&forward) } else { output::print(&render::one(&forward)) }
}

fn update(client: &Client, args: &UpdateArgs, global: &Global) -> anyhow::Result<()> {
    let id = find(client, &args.forward)?;
    let forward = client.patch(&format!("/v1/forwards/{id}"), &args.change.to_json())?;
    if global.json { output::print_json(&forward) } else { output::print(&render::one(&forward)) }
}

fn update_destination(
    client: &Client,
    args: &UpdateDestinationArgs,
    global: &Global,
) -> anyhow::Result<()> {
    let id = find(client, &args.forward)?;
    let destination = checked_id(&args.destination)?;
    let path = format!("/v1/forwards/{id}/destinations/{destination}");
    let answer = client.patch(&path, &args.change.to_json())?;
    if global.json {
        output::print_json(&answer)
    } else {
        output::print(&render::destinations(&render::added(&answer)))
    }
}

fn remove(client: &Client, forwards: &[String], global: &Global) -> anyhow::Result<()> {
    for forward in forwards {
        let id = find(client, forward)?;
        client.delete(&format!("/v1/forwards/{id}"))?;
        removed(&id, global)?;
    }
    Ok(())
}

fn add_destinations(
    client: &Client,
    args: &AddDestinationArgs,
    global: &Global,
) -> anyhow::Result<()> {
    let id = find(client, &args.forward)?;
    let body = match args.to.as_slice() {
        [one] => one.to_json(),
        many => json!({ "destinations": many.iter().map(Target::to_json).collect::<Vec<_>>() }),
    };
    let answer = client.post(&format!("/v1/forwards/{id}/destinations"), &body)?;
    if global.json {
        output::print_json(&answer)
    } else {
        output::print(&render::destinations(&render::added(&answer)))
    }
}

fn remove_destinations(
    client: &Client,
    args: &RmDestinationArgs,
    global: &Global,
) -> anyhow::Result<()> {
    let id = find(client, &args.forward)?;
    for destination in &args.destinations {
        let destination = checked_id(destination)?;
        client.delete(&format!("/v1/forwards/{id}/destinations/{destination}"))?;
        removed(destination, global)?;
    }
    Ok(())
}

fn removed(id: &str, global: &Global) -> anyhow::Result<()> {
    if global.json {
        output::print_json(&json!({ "removed": id }))
    } else {
        output::print(&format!("{id} removed"))
    }
}

/// The id of the forward that a person named by id or by name.
fn find(client: &Client, word: &str) -> anyhow::Result<String> {
    if word.starts_with("FW_") {
        return Ok(checked_id(word)?.to_owned());
    }
    let forwards = all(client)?;
    let text = |forward: &Value, key: &str| {
        forward.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let mut ids = forwards.iter().filter(|f| text(f, "name") == word).map(|f| text(f, "id"));
    match (ids.next(), ids.next()) {
        (Some(id), None) => Ok(checked_id(&id)?.to_owned()),
        (Some(_), Some(_)) => {
            Err(anyhow!("several forwards are named {word:?}; name one by its id"))
        }
        (None, _) => Err(anyhow!("no forward is named {word:?}; see `ringway forward list`")),
    }
}

/// Ids go into paths, so nothing else may pass.
fn checked_id(id: &str) -> anyhow::Result<&str> {
    let plain = id.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if plain && !id.is_empty() { Ok(id) } else { Err(usage(format!("{id:?} is not an id"))) }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: AddArgs,
    }

    #[track_caller]
    fn check(flags: &str, expect: Value) {
        let words = ["add"].into_iter().chain(flags.split_whitespace());
        let line = Line::try_parse_from(words).unwrap();
        assert_eq!(body(&line.args), expect, "{flags}");
    }

    #[test]
    fn flags_become_requests() {
        check("", json!({}));
        check(
            "--listen 5004 --to 127.0.0.1:6000 --name x",
            json!({
                "name": "x",
                "input": { "port": 5004 },
                "destinations": [{ "address": "127.0.0.1", "port": 6000 }],
            }),
        );
        check(
            "--id FW_123456789012 --listen [::1]:5004 --source latch --latch-silence 2s --mux \
             --ssrc 7",
            json!({
                "id": "FW_123456789012",
                "input": {
                    "address": "::1", "port": 5004, "source": "latch", "latch_silence_ms": 2000,
                    "rtcp": "mux", "ssrc": 7,
                },
            }),
        );
        check("--rtcp 5009", json!({ "input": { "rtcp": 5009 } }));
    }

    #[test]
    fn ids_are_checked() {
        assert!(checked_id("FW_3kT9aBcDeF12").is_ok());
        for bad in ["", "../x", "a b", "FW_é"] {
            assert!(checked_id(bad).is_err(), "{bad}");
        }
    }
}
