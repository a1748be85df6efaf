//! `ringway-dataplane`: the program that forwards packets, one pinned thread per core.
//!
//! Starts the shards, opens the door for the control plane and observers, tells systemd, and waits
//! for the signal to stop. What a shard does is in the library; what order it does it in, in
//! `turn`.

mod clocks;
mod coalesce;
mod config;
mod cores;
mod gateway;
mod handshakes;
mod kernel;
mod plan;
mod shards;
mod turn;
mod watchdog;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use clap::Parser;
use ringway_abi::door::{Door, DoorEvent};
use ringway_abi::pages::PagesOwner;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::config::Config;
use crate::plan::Plan;
use crate::shards::Shards;

/// The data plane of Ringway: forwards RTP, one pinned thread per core.
#[derive(Parser)]
#[command(version, about)]
struct Args {
    /// Configuration file (default: /etc/ringway/dataplane.yaml, if it is there).
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print the effective configuration and exit.
    #[arg(long)]
    print_config: bool,
    /// Check the configuration and exit.
    #[arg(long)]
    check_config: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ringway-dataplane: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> anyhow::Result<()> {
    let config: Config = ringway_settings::load(args.config.as_deref(), "dataplane")?;
    config.check()?;
    if args.print_config {
        print!("{}", ringway_settings::print(&config));
        return Ok(());
    }
    if args.check_config {
        return Ok(());
    }
    ringway_settings::die_with_parent();
    ringway_settings::init_logging(&config.log, config.log_format);
    abort_on_panic();
    // Before any thread exists, so that no thread takes these signals with their default meaning.
    let mut signals = Signals::new([SIGINT, SIGTERM]).context("cannot take signals")?;
    serve(&config, &mut signals)
}

fn serve(config: &Config, signals: &mut Signals) -> anyhow::Result<()> {
    raise_open_files();
    let plan = Plan::new(config)?;
    let boot = plan.boot(config)?;
    let pages = Arc::new(PagesOwner::create(&boot).context("cannot create the shared memory")?);
    let (shards, controls) = Shards::start(config, &plan, &pages)?;
    let path = config.socket();
    let door = Door::bind(&path, pages, shards.bells())
        .with_context(|| format!("cannot open the door at {}", path.display()))?;
    let stop = door.stop_handle();
    let mut controls = controls;
    let door_thread = std::thread::Builder::new()
        .name("door".into())
        .spawn(move || door.run(|event| on_door(&mut controls, event)))
        .context("cannot start the thread of the door")?;
    for (index, shard) in plan.shards.iter().enumerate() {
        let engine = shard.engine.name();
        tracing::info!(shard = index, core = ?shard.core, engine, "shard runs");
    }
    tracing::info!(socket = %path.display(), version = %boot.version, "data plane ready");
    let watchdog = watchdog::start(shards.beats())?;
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    let signal = signals.forever().next();
    tracing::info!(signal, "stopping");
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    drop(watchdog);
    stop.stop();
    door_thread.join().map_err(|_| anyhow::anyhow!("the thread of the door died"))??;
    shards.stop();
    Ok(())
}

/// A shard that panics is a bug: the program dies loudly and is started again, rather than going on
/// with a core that forwards nothing.
fn abort_on_panic() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        std::process::abort();
    }));
}

/// Every forward needs one or two sockets; the soft limit of 1024 that programs start with is for
/// programs that use `select`.
fn raise_open_files() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "cannot raise the limit of open files");
    }
}

fn on_door(controls: &mut shards::Controls, event: DoorEvent) {
    match event {
        DoorEvent::ControlJoined { pid, shards } => {
            tracing::info!(pid, "control plane joined");
            controls.join(shards);
        }
        DoorEvent::ControlLeft { pid } => {
            tracing::warn!(pid, "control plane left; forwarding goes on");
            controls.leave();
        }
        DoorEvent::Refused { pid, reason } => {
            tracing::warn!(pid, %reason, "refused at the door");
        }
    }
}
