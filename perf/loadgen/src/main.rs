//! `ringway-load`: drives a forwarder with a scenario and prints one JSON object of results.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::{Parser, ValueEnum};
use ringway_loadgen::call::run::{CallPlan, CallTarget};
use ringway_loadgen::call::scenario::CallScenario;
use ringway_loadgen::call::signal::Dialect;
use ringway_loadgen::call::token::Account;
use ringway_loadgen::kernel;
use ringway_loadgen::ports::{Ends, Targets};
use ringway_loadgen::receive::ReceiveEngine;
use ringway_loadgen::run::{Plan, run};
use ringway_loadgen::scenario::Scenario;

/// Loads a server with a scenario and measures what its receivers get.
///
/// Calls: synthetic participants join a room of any server that speaks LiveKit's signalling, or of
/// a Janus with its VideoRoom plug-in. Plain RTP: the forwarder must already forward each input to
/// its receivers; `--list` prints who is where.
#[derive(Parser)]
#[command(
    version,
    after_help = "Examples:\n  \
    ringway-load livestream-1x200 --url ws://192.0.2.1:7880 --api-key KEY --api-secret SECRET\n  \
    ringway-load rtp-1x100-video --seconds 5 --core 1"
)]
struct Options {
    /// Scenario: a name from the scenario folder, or a .yaml file.
    scenario: String,
    /// Folder of the scenarios.
    #[arg(long, default_value = "perf/scenarios")]
    scenarios: PathBuf,
    /// Calls: the server, such as ws://host:7880.
    #[arg(long, default_value = "ws://127.0.0.1:7880")]
    url: String,
    /// Calls: how the server is spoken to.
    #[arg(long, value_enum, default_value = "livekit")]
    signalling: SignallingKind,
    /// Calls: API key of the server.
    #[arg(long, env = "LIVEKIT_API_KEY", default_value = "devkey")]
    api_key: String,
    /// Calls: its secret.
    #[arg(long, env = "LIVEKIT_API_SECRET", default_value = "", hide_env_values = true)]
    api_secret: String,
    /// Calls: participants that begin to join in a second.
    #[arg(long, default_value_t = 50.0)]
    join_per_second: f64,
    /// Calls: seconds until everybody must receive everything.
    #[arg(long, default_value_t = 30.0)]
    join_limit: f64,
    /// Where the inputs are sent, in order; one per input [default: loopback ports, see --list].
    #[arg(long = "input", value_name = "ADDRESS")]
    inputs: Vec<SocketAddr>,
    /// The same, one address per line.
    #[arg(long, value_name = "FILE", conflicts_with = "inputs")]
    inputs_file: Option<PathBuf>,
    /// Length of the measured window in seconds.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Load before the window in seconds.
    #[arg(long, default_value_t = 1.0)]
    warmup: f64,
    /// Packets per second to be delivered instead of the scenario's own rate.
    #[arg(long)]
    load_pps: Option<f64>,
    /// SSRC of all inputs, instead of one for each.
    #[arg(long)]
    ssrc: Option<u32>,
    /// How the receivers are drained.
    #[arg(long, value_enum, default_value = "auto")]
    engine: ReceiveEngine,
    /// Pin to this core.
    #[arg(long)]
    core: Option<usize>,
    /// Print inputs and receivers as JSON and end.
    #[arg(long)]
    list: bool,
}

/// The kinds of signalling.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum SignallingKind {
    /// LiveKit's.
    Livekit,
    /// Janus's, over a WebSocket.
    Janus,
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    if let Some(call) = CallScenario::load(&options.scenarios, &options.scenario)? {
        return load_call(&options, call);
    }
    let mut scenario = Scenario::load(&options.scenarios, &options.scenario)?;
    if let Some(pps) = options.load_pps {
        ensure!(pps > 0.0, "--load-pps must be above 0");
        scenario = scenario.at_delivered_pps(pps);
    }
    let targets = targets(&options, &scenario)?;
    if options.list {
        let streams: Vec<_> = (0..targets.inputs.len())
            .map(|at| {
                serde_json::json!({
                "input": targets.inputs[at], "receivers": targets.receivers_of(at) })
            })
            .collect();
        println!("{}", serde_json::Value::from(streams));
        return Ok(());
    }
    settle(&options)?;
    let plan = Plan {
        scenario,
        targets,
        warmup: Duration::from_secs_f64(options.warmup),
        window: Duration::from_secs_f64(options.seconds),
        engine: options.engine,
    };
    let report = run(&plan, &AtomicBool::new(false), |_| {})?;
    println!("{}", serde_json::to_string(&report)?);
    Ok(())
}

fn settle(options: &Options) -> anyhow::Result<()> {
    ensure!(options.seconds > 0.0 && options.warmup >= 0.0, "--seconds must be above 0");
    if let Some(core) = options.core {
        kernel::pin(core).with_context(|| format!("cannot pin to core {core}"))?;
    }
    Ok(())
}

fn load_call(options: &Options, mut scenario: CallScenario) -> anyhow::Result<()> {
    if let Some(pps) = options.load_pps {
        ensure!(pps > 0.0, "--load-pps must be above 0");
        scenario = scenario.at_delivered_pps(pps);
    }
    settle(options)?;
    ensure!(options.join_per_second > 0.0, "--join-per-second must be above 0");
    let account = Account { key: options.api_key.clone(), secret: options.api_secret.clone() };
    let dialect = match options.signalling {
        SignallingKind::Livekit => Dialect::LiveKit(account),
        SignallingKind::Janus => Dialect::Janus,
    };
    let plan = CallPlan {
        scenario,
        target: CallTarget::Server { url: options.url.clone(), dialect },
        warmup: Duration::from_secs_f64(options.warmup),
        window: Duration::from_secs_f64(options.seconds),
        join_per_second: options.join_per_second,
        join_limit: Duration::from_secs_f64(options.join_limit),
    };
    let report = ringway_loadgen::call::run::run(&plan, &AtomicBool::new(false), |_| {})?;
    println!("{}", serde_json::to_string(&report)?);
    Ok(())
}

fn targets(options: &Options, scenario: &Scenario) -> anyhow::Result<Targets> {
    let mut inputs = options.inputs.clone();
    if let Some(file) = &options.inputs_file {
        let text = std::fs::read_to_string(file)
            .with_context(|| format!("cannot read {}", file.display()))?;
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            inputs.push(line.trim().parse().with_context(|| format!("{line} is no address"))?);
        }
    }
    let mut targets = Targets::for_scenario(scenario, Ends::LOOPBACK);
    if !inputs.is_empty() {
        let (want, got) = (scenario.inputs, inputs.len());
        ensure!(got == want as usize, "{want} inputs are needed, {got} were given");
        targets.inputs = inputs;
    }
    if let Some(ssrc) = options.ssrc {
        (targets.first_ssrc, targets.ssrc_step) = (ssrc, 0);
    }
    Ok(targets)
}
