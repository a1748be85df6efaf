//! `ringway check`: is this machine fit for real-time media, and what mends it?

mod facts;
mod findings;
mod lists;
mod reader;

use std::io::ErrorKind;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use ringway_settings::{Ports, SettingsError};
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
    /// That of the control plane [default: /etc/ringway/controlplane.yaml]
    #[arg(long, value_name = "FILE")]
    control_config: Option<PathBuf>,
}

/// UDP port of the first shard where the control plane's settings name none.
const UDP_PORT: u16 = 7882;

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

/// The part of the control plane's settings that concerns the machine.
#[derive(Default, Deserialize)]
#[serde(default)]
struct ControlSettings {
    rtc: Rtc,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Rtc {
    udp_port: Option<Ports>,
    port_range_start: u16,
    port_range_end: u16,
    force_tcp: bool,
}

impl Rtc {
    /// Ranges of ports, of which each of the shards takes one; none without UDP.
    fn media_ports(self, shards: usize) -> Vec<(u16, u16)> {
        if self.force_tcp {
            return Vec::new();
        }
        let has_range = self.port_range_start != 0;
        let single = self.udp_port.as_ref().map_or(Some(UDP_PORT), Ports::single);
        if !has_range && let Some(first) = single {
            let further = u16::try_from(shards.saturating_sub(1)).unwrap_or(u16::MAX);
            return vec![(first, first.saturating_add(further))];
        }
        let mut ports = self.udp_port.unwrap_or_default();
        if has_range && self.port_range_start <= self.port_range_end {
            ports.add(self.port_range_start, self.port_range_end);
        }
        ports.ranges().to_vec()
    }
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
    fn wanted(self, control: ControlSettings, cpus: &[u16]) -> Wanted {
        let cores = match self.cores {
            Cores::These(cores) => cores,
            Cores::Auto(_) => auto_cores(cpus),
        };
        Wanted {
            media_ports: control.rtc.media_ports(cores.len().max(1)),
            cores,
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
    let control = ringway_settings::load(args.control_config.as_deref(), "controlplane");
    let mut troubles = Vec::new();
    let settings = settings.unwrap_or_else(|error| {
        troubles.push((error.to_string(), "ringway-dataplane --check-config"));
        Settings::default()
    });
    let control = control.unwrap_or_else(|error| {
        // Secrets are not for everybody; who may not read them judges by the defaults.
        if !is_closed(&error) {
            troubles.push((error.to_string(), "ringway-controlplane --check-config"));
        }
        ControlSettings::default()
    });
    let mut findings = findings::judge(&facts, &settings.wanted(control, &facts.cpus));
    let failed = |(error, fix)| Finding::fail("configuration", error, fix);
    findings.extend(troubles.into_iter().map(failed));
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

fn is_closed(error: &SettingsError) -> bool {
    let SettingsError::Read { source, .. } = error else { return false };
    source.kind() == ErrorKind::PermissionDenied
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
        let wanted = settings.wanted(ControlSettings::default(), &[0, 1, 2, 3]);
        assert_eq!((wanted.cores, wanted.buffers, wanted.ports), (vec![2, 3], 7, (1, 9)));
        assert_eq!(wanted.media_ports, [(7882, 7883)]);
        let wanted = Settings::default().wanted(ControlSettings::default(), &[0, 1, 2]);
        assert_eq!(wanted.cores, [1, 2]);
    }

    #[test]
    fn ports_of_calls() {
        let check = |yaml: &str, expect: &[(u16, u16)]| {
            let rtc: Rtc = ringway_settings::parse(yaml, "x.yaml".as_ref()).unwrap();
            assert_eq!(rtc.media_ports(3), expect, "{yaml}");
        };
        check("", &[(7882, 7884)]);
        check("udp_port: 9000", &[(9000, 9002)]);
        check("udp_port: 9000-9001,9005", &[(9000, 9001), (9005, 9005)]);
        check("{port_range_start: 5, port_range_end: 9}", &[(5, 9)]);
        check("{udp_port: 1, port_range_start: 5, port_range_end: 9}", &[(1, 1), (5, 9)]);
        check("{udp_port: 1, force_tcp: true}", &[]);
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
