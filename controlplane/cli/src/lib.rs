//! The operator's command `ringway`: starts the appliance for development, judges the machine,
//! shows the shards at work, makes tokens and edits forwards.
//!
//! It talks to a running appliance as any stranger would: over HTTP with a token, or as an observer
//! of the shared pages. Exit status: 0 done, 1 failed, 2 wrong usage.

mod args;
mod check;
pub mod claims;
mod client;
mod completions;
mod credentials;
mod dev;
mod duration;
mod forward;
mod observer;
mod output;
mod table;
mod token;
mod top;
mod version;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Cli, Command};

/// A mistake in how the command was called; ends it with status 2.
#[derive(Debug)]
struct Usage(String);

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

/// An error that ends the command with status 2.
fn usage(sentence: impl Into<String>) -> anyhow::Error {
    Usage(sentence.into()).into()
}

/// Runs the command that the process was called with.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let json = cli.global.json;
    match run(cli) {
        Ok(code) => code,
        Err(error) if output::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            output::complain(&error, json);
            ExitCode::from(if error.is::<Usage>() { 2 } else { 1 })
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let global = &cli.global;
    match cli.command {
        Command::Dev(args) => dev::run(&args, global),
        Command::Check(args) => check::run(&args, global),
        Command::Top(args) => top::run(&args, global),
        Command::Token(args) => token::run(&args, global),
        Command::Forward(args) => forward::run(&args, global),
        Command::Completions(args) => completions::run(&args),
        Command::Version => version::run(global),
    }
}
