//! `ringway check`: is this machine fit for real-time media, and what mends it?

mod facts;
mod findings;
mod lists;
mod reader;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde::Deserialize;
use serde_json::json;

use crate::args::Global;
use crate::check::facts::Wanted;
use crate::check::findings::{Finding, Level};
use crate::output;

/// Judge this machine: kernel, limits, buffers, cores, network cards; name what mends it
#[derive(Debug, Args)]
#[command(after_help = "\
Ends with status 1 if the appliance cannot work on this machine, else with 0.

Examples:
  ringway check
  ringway check --json
  ringway check --config ./dataplane.yaml")]
pub(crate) struct CheckArgs {
    /// Configuration of the data plane to judge against [default: /etc/ringway/dataplane.yaml]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// The part of the data plane's settings that the machine must bear. The data plane itself refuses
/// unknown keys; here they do not matter.
#[derive(Deserialize)]
#[serde(default)]
struct Settings {
    cores: Cores,
    buffers: u64,
    receive_buffer_bytes: u64,
    send_buffer_bytes: u64,
    max_forwards: u64,
    port_range: PortRange,
}

// Only the variant matters of what is not a list.
#[derive(Deserialize)]
#[serde(untagged)]
enum Cores {
    These(Vec<u16>),
    Auto(serde::de::IgnoredAny),
}

#[derive(Deserialize)]
#[serde(default)]
struct PortRange {
    first: u16,
    last: u16,
}

impl Default for PortRange {
    fn default() -> Self {
        Self { first: 30_000, last: 39_998 }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            cores: Cores::Auto(serde::de::IgnoredAny),
            buffers: 4096,
            receive_buffer_bytes: 4 << 20,
            send_buffer_bytes: 4 << 20,
            max_forwards: 4096,
            port_range: PortRange::default(),
        }
    }
}

impl Settings {
    fn wanted(self, cpus: &[u16]) -> Wanted {
        Wanted {
            cores: match self.cores {
                Cores::These(cores) => cores,
                Cores::Auto(_) => auto_cores(cpus),
            },
            buffers: self.buffers,
            receive_buffer_bytes: self.receive_buffer_bytes,
            send_buffer_bytes: self.send_buffer_bytes,
            max_forwards: self.max_forwards,
            ports: (self.port_range.first, self.port_range.last),
        }
    }
}

/// What the data plane makes of `cores: auto`: all but the first, or the last of two.
fn auto_cores(cpus: &[u16]) -> Vec<u16> {
    match cpus {
        [] => Vec::new(),
        [.., last] if cpus.len() <= 2 => vec![*last],
        [_, rest @ ..] => rest.to_vec(),
    }
}

pub(crate) fn run(args: &CheckArgs, global: &Global) -> anyhow::Result<ExitCode> {
    let facts = reader::read();
    let settings = ringway_settings::load::<Settings>(args.config.as_deref(), "dataplane");
    let (settings, trouble) = match settings {
        Ok(settings) => (settings, None),
        Err(error) => (Settings::default(), Some(error.to_string())),
    };
    let mut findings = findings::judge(&facts, &settings.wanted(&facts.cpus));
    findings
        .extend(trouble.map(|error| {
            Finding::fail("configuration", error, "ringway-dataplane --check-config")
        }));
    let count = |level| findings.iter().filter(|finding| finding.level == level).count();
    let failed = count(Level::Fail);
    if global.json {
        output::print_json(&json!({
            "findings": findings,
            "ok": count(Level::Ok),
            "warn": count(Level::Warn),
            "fail": failed,
        }))?;
    } else {
        output::print(&render(&findings))?;
    }
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn render(findings: &[Finding]) -> String {
    let width = findings.iter().map(|finding| finding.check.len()).max().unwrap_or(0);
    let mut text = String::new();
    for Finding { check, level, message, fix } in findings {
        let level = match level {
            Level::Ok => "ok",
            Level::Warn => "warn",
            Level::Fail => "FAIL",
        };
        text += &format!("{level:<4}  {check:<width$}  {message}\n");
        if let Some(fix) = fix {
            text += &format!("{:width$}->  {fix}\n", "", width = width + 6);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn automatic_cores() {
        let check = |cpus: &[u16], expect: &[u16]| assert_eq!(auto_cores(cpus), expect);
        check(&[], &[]);
        check(&[0], &[0]);
        check(&[0, 1], &[1]);
        check(&[0, 1, 2, 3], &[1, 2, 3]);
    }

    #[test]
    fn settings_of_the_data_plane() {
        let text = "cores: [2, 3]\nengine: plain\nport_range: {first: 1, last: 9}\nbuffers: 7\n";
        let settings: Settings = ringway_settings::parse(text, "x.yaml".as_ref()).unwrap();
        let wanted = settings.wanted(&[0, 1, 2, 3]);
        assert_eq!((wanted.cores, wanted.buffers, wanted.ports), (vec![2, 3], 7, (1, 9)));
        assert_eq!(Settings::default().wanted(&[0, 1, 2]).cores, [1, 2]);
    }

    #[test]
    fn findings_are_lined_up() {
        let finding = |check, level, fix: Option<&str>| Finding {
            check,
            level,
            message: "m".to_owned(),
            fix: fix.map(str::to_owned),
        };
        let findings = [finding("a", Level::Ok, None), finding("long", Level::Warn, Some("do it"))];
        assert_eq!(render(&findings), "ok    a     m\nwarn  long  m\n          ->  do it\n");
    }
}
