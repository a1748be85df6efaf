//! `ringway dev`: the whole appliance in the foreground, for development.

pub(crate) mod layout;
mod program;
mod summary;

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::{Args, ValueEnum};
use ringway_settings::LogFilter;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::args::{DEFAULT_PORT, Global};
use crate::dev::layout::{
    ControlplaneFile, Cores, DEVELOPMENT_KEY, DEVELOPMENT_SECRET, DataplaneFile, DevDirs,
};
use crate::dev::program::Program;
use crate::dev::summary::{ShardLine, Summary};
use crate::observer::Observer;
use crate::{client, output};

/// How long each program may take until it is of use.
const START_PATIENCE: Duration = Duration::from_secs(20);
/// How often readiness is asked for.
const ASK_AGAIN: Duration = Duration::from_millis(25);

/// Start the data plane and the control plane here, with development keys
#[derive(Debug, Args)]
#[command(after_help = "\
The keys are known to everybody: never let a development appliance face a network you do not trust.

Examples:
  ringway dev
  ringway dev --port 7881 --cores 2,3 --engine plain
  ringway dev --log debug")]
pub(crate) struct DevArgs {
    /// HTTP port; 0 takes any free one
    #[arg(long, default_value_t = DEFAULT_PORT)]
    port: u16,
    /// Address that the HTTP API listens on
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST), value_name = "ADDRESS")]
    bind: IpAddr,
    /// Where forwards are kept [default: ~/.local/state/ringway-dev]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Cores of the shards: auto, or numbers such as 1,2,3
    #[arg(long, default_value = "auto")]
    cores: Cores,
    /// How the data plane talks to the kernel
    #[arg(long, value_enum, default_value_t = Engine::Auto)]
    engine: Engine,
    /// Show the programs' logs from this level on (else warnings and errors only)
    #[arg(long, value_name = "LEVEL", value_parser = LogFilter::new)]
    log: Option<LogFilter>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Engine {
    Auto,
    Uring,
    Plain,
}

impl Engine {
    fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Uring => "uring",
            Self::Plain => "plain",
        }
    }
}

pub(crate) fn run(args: &DevArgs, global: &Global) -> anyhow::Result<ExitCode> {
    // One thread: it starts the children, and their parent-death signal hangs on it.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(launch(args, global))?;
    Ok(ExitCode::SUCCESS)
}

async fn launch(args: &DevArgs, global: &Global) -> anyhow::Result<()> {
    let mut signals = Signals::new()?;
    let executable = std::env::current_exe().context("cannot tell where this command is")?;
    let beside = executable.parent().unwrap_or(Path::new("/"));
    let port = free_port(args.bind, args.port)?;
    let dirs = match (&args.data_dir, DevDirs::of_port(port)) {
        (Some(data), dirs) => DevDirs { data: std::path::absolute(data)?, ..dirs },
        (None, dirs) => dirs,
    };
    dirs.create()?;
    let files = write_files(args, port, &dirs)?;
    if !args.bind.is_loopback() {
        output::remark(
            "the development key is known to everybody, and the API listens beyond this machine",
        );
    }
    let place = Place { beside, port, url: base_url(args.bind, port), dirs: &dirs, files };
    let mut programs = Vec::new();
    let result = serve(args, global, &place, &mut programs, &mut signals).await;
    // Best effort: a file left behind only makes `ringway forward` try the development key.
    let _ = std::fs::remove_file(dirs.state_file());
    stop(&mut programs, &mut signals).await;
    result
}

/// Where this appliance is.
struct Place<'a> {
    beside: &'a Path,
    port: u16,
    url: String,
    dirs: &'a DevDirs,
    files: (PathBuf, PathBuf),
}

/// Starts both programs, says so and keeps them alive until a signal comes.
async fn serve(
    args: &DevArgs,
    global: &Global,
    place: &Place<'_>,
    programs: &mut Vec<Program>,
    signals: &mut Signals,
) -> anyhow::Result<()> {
    let show_all = args.log.is_some();
    let (dataplane_file, controlplane_file) = place.files.clone();

    programs.push(Program::start("dataplane", place.beside, dataplane_file, show_all)?);
    let observer = tokio::select! {
        observer = joined(place.dirs.socket()) => observer?,
        error = programs[0].fail_to_start() => return Err(error),
        () = signals.next() => return Ok(()),
    };
    programs.push(Program::start("controlplane", place.beside, controlplane_file, show_all)?);
    tokio::select! {
        healthy = healthy(place.url.clone()) => healthy?,
        error = programs[1].fail_to_start() => return Err(error),
        () = signals.next() => return Ok(()),
    }

    let state = serde_json::json!({ "pid": std::process::id(), "url": place.url });
    layout::write_private(&place.dirs.state_file(), &state.to_string())?;
    let summary = summary(place, &observer, programs);
    drop(observer);
    if global.json {
        output::print_json(&summary)?;
    } else {
        output::print(&summary.render())?;
    }
    let [dataplane, controlplane] = programs.as_mut_slice() else {
        return Err(anyhow!("two programs were started"));
    };
    tokio::select! {
        () = dataplane.keep_alive() => {}
        () = controlplane.keep_alive() => {}
        () = signals.next() => {}
    }
    Ok(())
}

/// Ends all programs; a second signal ends them at once.
async fn stop(programs: &mut [Program], signals: &mut Signals) {
    for program in programs.iter() {
        program.terminate();
    }
    let hurried = tokio::select! {
        () = async { for program in programs.iter_mut() { program.ended().await } } => false,
        () = signals.next() => true,
    };
    if hurried {
        for program in programs {
            program.kill().await;
        }
    }
}

/// Waits until the data plane lets an observer in.
async fn joined(socket: PathBuf) -> anyhow::Result<Observer> {
    let deadline = tokio::time::Instant::now() + START_PATIENCE;
    loop {
        let path = socket.clone();
        match tokio::task::spawn_blocking(move || Observer::join(&path)).await? {
            Ok(observer) => return Ok(observer),
            Err(error) if tokio::time::Instant::now() > deadline => {
                return Err(error.context(format!(
                    "ringway-dataplane was not ready within {} s",
                    START_PATIENCE.as_secs()
                )));
            }
            Err(_) => tokio::time::sleep(ASK_AGAIN).await,
        }
    }
}

/// Waits until the control plane says that all is well.
async fn healthy(url: String) -> anyhow::Result<()> {
    let deadline = tokio::time::Instant::now() + START_PATIENCE;
    loop {
        let asked = url.clone();
        let answer =
            tokio::task::spawn_blocking(move || client::health(&asked, Duration::from_secs(1)));
        match answer.await? {
            Some(200) => return Ok(()),
            answer if tokio::time::Instant::now() > deadline => {
                let answer = answer.map_or("nothing".to_owned(), |status| status.to_string());
                return Err(anyhow!(
                    "ringway-controlplane was not ready within {} s: {url} answers {answer}",
                    START_PATIENCE.as_secs()
                ));
            }
            _ => tokio::time::sleep(ASK_AGAIN).await,
        }
    }
}

fn summary(place: &Place<'_>, observer: &Observer, programs: &[Program]) -> Summary {
    let boot = observer.boot();
    let shards = boot.shards.iter();
    Summary {
        url: place.url.clone(),
        port: place.port,
        key: DEVELOPMENT_KEY,
        secret: DEVELOPMENT_SECRET,
        shards: shards
            .map(|shard| ShardLine { core: shard.core, engine: shard.engine.name() })
            .collect(),
        rtp_ports: (boot.port_first, boot.port_last),
        data_dir: place.dirs.data.clone(),
        socket: place.dirs.socket(),
        dataplane_pid: programs.first().and_then(Program::pid),
        controlplane_pid: programs.get(1).and_then(Program::pid),
    }
}

/// Writes the programs' configuration files and tells where they are.
fn write_files(args: &DevArgs, port: u16, dirs: &DevDirs) -> anyhow::Result<(PathBuf, PathBuf)> {
    let log = args.log.clone().unwrap_or_default();
    let dataplane = DataplaneFile {
        socket: dirs.socket(),
        cores: &args.cores,
        engine: args.engine.name(),
        log: &log,
    };
    let controlplane = ControlplaneFile {
        socket: dirs.socket(),
        port,
        bind_addresses: [args.bind],
        keys: [(DEVELOPMENT_KEY, DEVELOPMENT_SECRET)].into(),
        development: true,
        data_dir: dirs.data.clone(),
        log: &log,
    };
    let files = (dirs.run.join("dataplane.yaml"), dirs.run.join("controlplane.yaml"));
    layout::write_private(&files.0, &ringway_settings::print(&dataplane))?;
    layout::write_private(&files.1, &ringway_settings::print(&controlplane))?;
    Ok(files)
}

/// Finds out before anything is started whether the port can be had; 0 chooses one.
fn free_port(bind: IpAddr, port: u16) -> anyhow::Result<u16> {
    let listener = TcpListener::bind(SocketAddr::new(bind, port)).map_err(|e| match e.kind() {
        ErrorKind::AddrInUse => anyhow!(
            "port {port} of {bind} is in use, perhaps by another `ringway dev`; end that one or \
             choose another port with --port"
        ),
        ErrorKind::AddrNotAvailable => anyhow!("{bind} is not an address of this machine"),
        ErrorKind::PermissionDenied => anyhow!("port {port} needs root; choose one above 1023"),
        _ => anyhow!("cannot listen on port {port} of {bind}: {e}"),
    })?;
    Ok(listener.local_addr()?.port())
}

fn base_url(bind: IpAddr, port: u16) -> String {
    let reachable = match bind {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(std::net::Ipv6Addr::LOCALHOST),
        other => other,
    };
    format!("http://{}", SocketAddr::new(reachable, port))
}

/// The signals that end the launcher.
struct Signals([Signal; 3]);

impl Signals {
    fn new() -> anyhow::Result<Self> {
        Ok(Self([
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
            signal(SignalKind::hangup())?,
        ]))
    }

    async fn next(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_is_one_sentence() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let localhost = "127.0.0.1".parse().unwrap();
        let error = free_port(localhost, port).unwrap_err().to_string();
        assert!(error.contains(&format!("port {port} of 127.0.0.1 is in use")), "{error}");
        assert_ne!(free_port(localhost, 0).unwrap(), 0);
        let error = free_port("192.0.2.1".parse().unwrap(), 0).unwrap_err().to_string();
        assert_eq!(error, "192.0.2.1 is not an address of this machine");
    }

    #[test]
    fn urls() {
        let check = |bind: &str, expect: &str| {
            assert_eq!(base_url(bind.parse().unwrap(), 1), expect);
        };
        check("127.0.0.1", "http://127.0.0.1:1");
        check("0.0.0.0", "http://127.0.0.1:1");
        check("::", "http://[::1]:1");
        check("10.0.0.1", "http://10.0.0.1:1");
    }
}
