//! `ringway-floor`: prints what this machine's kernel can do at best, or serves as the least server
//! of a scenario.

use std::io::Write;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::{Args, Parser, Subcommand, ValueEnum};
use ringway_floor::call_fan::CallFan;
use ringway_floor::layout::Layout;
use ringway_floor::measure::Bench;
use ringway_floor::{rows, serve_call_plain, serve_call_uring, serve_plain, serve_uring};
use ringway_loadgen::call::scenario::CallScenario;
use ringway_loadgen::kernel;
use ringway_loadgen::ports::{Ends, FIRST_INPUT_PORT, FIRST_RECEIVER_PORT, Targets};
use ringway_loadgen::scenario::Scenario;

/// Measures the floors of this machine: CPU nanoseconds per packet on one pinned core.
#[derive(Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Options {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    rows: RowOptions,
}

#[derive(Subcommand)]
enum Command {
    /// Serves a scenario as cheaply as this kernel allows, until it is killed.
    Scenario(ScenarioOptions),
}

#[derive(Args)]
struct RowOptions {
    /// Core that is billed, and core that drains: A,B [default: the last two allowed].
    #[arg(long, value_delimiter = ',', value_name = "A,B")]
    cores: Vec<usize>,
    /// Receivers of the fan-out rows.
    #[arg(long, default_value_t = 200)]
    receivers: usize,
    /// Milliseconds per row.
    #[arg(long, default_value_t = 1000)]
    time_ms: u64,
    /// Only rows whose name contains this.
    #[arg(long)]
    only: Option<String>,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct ScenarioOptions {
    /// Scenario: a name from the scenario folder, or a .yaml file.
    scenario: String,
    /// Folder of the scenarios.
    #[arg(long, default_value = "perf/scenarios")]
    scenarios: PathBuf,
    /// How packets are moved.
    #[arg(long, value_enum, default_value = "uring")]
    engine: Engine,
    /// Pin to this core.
    #[arg(long)]
    core: Option<usize>,
    /// Address of the inputs.
    #[arg(long, default_value_t = Ends::LOOPBACK.server)]
    server: IpAddr,
    /// Address of the receivers.
    #[arg(long, default_value_t = Ends::LOOPBACK.generator)]
    receiver: IpAddr,
    /// First input port.
    #[arg(long, default_value_t = FIRST_INPUT_PORT)]
    input_port: u16,
    /// First receiver port.
    #[arg(long, default_value_t = FIRST_RECEIVER_PORT)]
    receiver_port: u16,
}

#[derive(Clone, Copy, ValueEnum)]
enum Engine {
    Uring,
    Plain,
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    match &options.command {
        Some(Command::Scenario(options)) => serve(options),
        None => print_rows(&options.rows),
    }
}

fn serve(options: &ScenarioOptions) -> anyhow::Result<()> {
    if let Some(core) = options.core {
        kernel::pin(core).with_context(|| format!("cannot pin to core {core}"))?;
    }
    if let Some(call) = CallScenario::load(&options.scenarios, &options.scenario)? {
        return serve_call(options, &call);
    }
    let scenario = Scenario::load(&options.scenarios, &options.scenario)?;
    let ends = Ends { server: options.server, generator: options.receiver };
    let targets = Targets::at(&scenario, ends, options.input_port, options.receiver_port);
    let layout = Layout::open(&scenario, &targets).context("cannot open the scenario's sockets")?;
    println!("ready");
    std::io::stdout().flush()?;
    match options.engine {
        Engine::Uring => serve_uring::serve(&layout).context("io_uring failed"),
        Engine::Plain => serve_plain::serve(&layout).context("a socket failed"),
    }
}

fn serve_call(options: &ScenarioOptions, call: &CallScenario) -> anyhow::Result<()> {
    let fan = CallFan::open(call, options.server, options.receiver)
        .context("cannot open the call's sockets")?;
    println!("ready");
    std::io::stdout().flush()?;
    match options.engine {
        Engine::Uring => serve_call_uring::serve(fan).context("io_uring failed"),
        Engine::Plain => serve_call_plain::serve(fan).context("a socket failed"),
    }
}

fn print_rows(options: &RowOptions) -> anyhow::Result<()> {
    let (core, other_core) = match options.cores[..] {
        [] => match kernel::allowed_cores()?[..] {
            [.., other, core] => (core, other),
            _ => anyhow::bail!("two cores are needed, and only one is allowed here"),
        },
        [core, other] => (core, other),
        _ => anyhow::bail!("--cores takes two cores: A,B"),
    };
    ensure!(core != other_core, "--cores takes two different cores");
    ensure!(options.receivers > 0, "--receivers must be at least 1");
    kernel::pin(core).with_context(|| format!("cannot pin to core {core}"))?;
    let time = Duration::from_millis(options.time_ms);
    let bench = Bench { core, other_core, receivers: options.receivers, time };
    if !options.json {
        println!("{:<58} {:>6} {:>10}", "what", "bytes", "ns/packet");
    }
    for row in rows::all(options.receivers) {
        if options.only.as_ref().is_some_and(|part| !row.name.contains(part.as_str())) {
            continue;
        }
        let result = row.measure(&bench);
        if options.json {
            let (ns, error) = match result {
                Ok(ns) => (Some(ns.round()), None),
                Err(error) => (None, Some(error.to_string())),
            };
            let (what, bytes) = (&row.name, row.packet_bytes);
            let line = serde_json::json!({
                "what": what, "packet_bytes": bytes, "ns_per_packet": ns, "error": error });
            println!("{line}");
        } else {
            let text = match result {
                Ok(ns) => format!("{ns:>10.0}"),
                Err(error) => format!("  cannot run here: {error}"),
            };
            println!("{:<58} {:>6} {text}", row.name, row.packet_bytes);
        }
    }
    Ok(())
}
