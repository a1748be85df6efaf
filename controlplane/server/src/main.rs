//! `ringway-controlplane`: reads flags and configuration, then serves until it is told to stop.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use ringway_server::config::Config;
use ringway_server::serve;

/// Enough to keep one slow request from delaying the others; the work itself is small.
const WORKER_THREADS: usize = 2;

/// The HTTP control plane of Ringway.
#[derive(Parser)]
#[command(name = "ringway-controlplane", version)]
struct Flags {
    /// Configuration file [default: /etc/ringway/controlplane.yaml, if it is there]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print the configuration in force, secrets masked, and end
    #[arg(long)]
    print_config: bool,
    /// Check the configuration and end
    #[arg(long)]
    check_config: bool,
}

fn main() -> ExitCode {
    ringway_settings::die_with_parent();
    match run(&Flags::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ringway-controlplane: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(flags: &Flags) -> Result<(), Box<dyn std::error::Error>> {
    let config = Config::load(flags.config.as_deref())?;
    if flags.print_config {
        print!("{}", config.print());
        return Ok(());
    }
    config.check()?;
    if flags.check_config {
        println!("the configuration is valid");
        return Ok(());
    }
    ringway_settings::init_logging(&config.log, config.log_format);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKER_THREADS)
        .thread_name("ringway-http")
        .enable_all()
        .build()?;
    let served = runtime.block_on(serve::until_stopped(config));
    // A blocking task may hang in a system call; it must not keep the program from ending.
    runtime.shutdown_background();
    Ok(served?)
}
