//! Reads the facts from /proc, /sys and the tools that know more. Anything may be missing: a
//! container hides a lot.

use std::fs;
use std::path::Path;
use std::process::Command;

use rustix::process::{Resource, getrlimit};

use super::facts::{Card, Facts, Limit, Offload};
use super::lists;

/// Programs that keep the clock right, by the names that the kernel shows (15 characters).
const CLOCK_KEEPERS: &[&str] =
    &["chronyd", "ntpd", "ntpsec", "openntpd", "ptp4l", "systemd-timesyn"];
/// The data plane's name as the kernel shows it.
const DATAPLANE: &str = "ringway-datapla";

/// Looks at the machine.
pub(super) fn read() -> Facts {
    let probe = ringway_uring::probe();
    let processes = processes();
    let runs = |name: &str| processes.iter().any(|(_, other)| other == name);
    let (limits_of, memlock_bytes, open_files) = limits(&processes);
    let cpu = |file: &str| text(&format!("/sys/devices/system/cpu/{file}")).unwrap_or_default();
    Facts {
        kernel: probe.kernel.release,
        uring: Some(probe.uring),
        plain: Some(probe.plain),
        segmentation: Some(probe.gso),
        limits_of,
        memlock_bytes,
        open_files,
        rmem_max_bytes: number("/proc/sys/net/core/rmem_max"),
        wmem_max_bytes: number("/proc/sys/net/core/wmem_max"),
        backlog: number("/proc/sys/net/core/netdev_max_backlog"),
        local_ports: text("/proc/sys/net/ipv4/ip_local_port_range").and_then(|t| two_ports(&t)),
        reserved_ports: text("/proc/sys/net/ipv4/ip_local_reserved_ports")
            .map(|text| lists::ranges(&text))
            .unwrap_or_default(),
        cpus: lists::numbers(&cpu("online")),
        isolated: lists::numbers(&cpu("isolated")),
        nohz_full: lists::numbers(&cpu("nohz_full")),
        governors: governors(),
        huge_pages: text("/sys/kernel/mm/transparent_hugepage/enabled"),
        mitigations: mitigations(),
        irqbalance: runs("irqbalance"),
        cards: cards(),
        clocksource: text("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
        clock_kept_by: CLOCK_KEEPERS
            .iter()
            .find(|name| runs(name))
            .map(|name| (*name).to_owned())
            .or_else(synchronized_by_timesyncd),
    }
}

fn text(path: &str) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

fn number(path: &str) -> Option<u64> {
    text(path)?.parse().ok()
}

fn two_ports(text: &str) -> Option<(u16, u16)> {
    let mut words = text.split_whitespace();
    Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?))
}

fn names(dir: &str) -> Vec<String> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut names: Vec<String> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Process id and short name of everything that runs.
fn processes() -> Vec<(u32, String)> {
    let ids = names("/proc").into_iter().filter_map(|name| name.parse().ok());
    ids.filter_map(|id: u32| Some((id, text(&format!("/proc/{id}/comm"))?))).collect()
}

fn synchronized_by_timesyncd() -> Option<String> {
    Path::new("/run/systemd/timesync/synchronized").exists().then(|| "systemd-timesyncd".to_owned())
}

/// The limits of the running data plane, or of ourselves: whose, locked bytes, open files.
fn limits(processes: &[(u32, String)]) -> (String, Limit, Limit) {
    let dataplane = processes.iter().find(|(_, name)| name == DATAPLANE);
    let told = dataplane.and_then(|(id, _)| {
        let limits = text(&format!("/proc/{id}/limits"))?;
        let of = format!("the running data plane (pid {id})");
        Some((of, limit(&limits, "Max locked memory"), limit(&limits, "Max open files")))
    });
    told.unwrap_or_else(|| {
        let own = |resource| getrlimit(resource).current.map_or(Limit::Unlimited, Limit::At);
        ("this shell".to_owned(), own(Resource::Memlock), own(Resource::Nofile))
    })
}

/// The soft limit `name` of `/proc/PID/limits`.
fn limit(limits: &str, name: &str) -> Limit {
    let row = limits.lines().find_map(|line| line.strip_prefix(name));
    match row.and_then(|row| row.split_whitespace().next()) {
        Some("unlimited") => Limit::Unlimited,
        Some(word) => word.parse().map_or(Limit::Unknown, Limit::At),
        None => Limit::Unknown,
    }
}

fn governors() -> Vec<String> {
    let base = "/sys/devices/system/cpu";
    let mut governors: Vec<String> = names(base)
        .iter()
        .filter_map(|cpu| text(&format!("{base}/{cpu}/cpufreq/scaling_governor")))
        .collect();
    governors.sort();
    governors.dedup();
    governors
}

fn mitigations() -> Vec<(String, String)> {
    let base = "/sys/devices/system/cpu/vulnerabilities";
    names(base)
        .into_iter()
        .filter_map(|name| {
            let state = text(&format!("{base}/{name}"))?;
            Some((name, state))
        })
        .collect()
}

/// Interfaces with a device behind them that are up.
fn cards() -> Vec<Card> {
    let base = "/sys/class/net";
    names(base)
        .into_iter()
        .filter(|name| Path::new(&format!("{base}/{name}/device")).exists())
        .filter(|name| text(&format!("{base}/{name}/operstate")).as_deref() != Some("down"))
        .map(|name| {
            let features = features(&name).unwrap_or_default();
            Card {
                udp_segmentation: offload(&features, "tx-udp-segmentation"),
                receive_offload: offload(&features, "generic-receive-offload"),
                name,
            }
        })
        .collect()
}

/// What `ethtool -k` says. People's PATH often lacks the folder that it is in.
fn features(interface: &str) -> Option<String> {
    let tools = ["ethtool", "/usr/sbin/ethtool", "/sbin/ethtool"];
    let ask = |tool| Command::new(tool).args(["-k", interface]).output().ok();
    let output = tools.into_iter().find_map(ask)?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

fn offload(features: &str, name: &str) -> Offload {
    let state = features.lines().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix(':'));
    match state.map(str::trim) {
        Some(state) if state.starts_with("on") => Offload::On,
        Some("off [fixed]") => Offload::OffFixed,
        Some(state) if state.starts_with("off") => Offload::Off,
        _ => Offload::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_can_be_read() {
        let facts = read();
        assert!(!facts.kernel.is_empty());
        assert_ne!(facts.open_files, Limit::Unknown);
    }

    #[test]
    fn limits_of_others() {
        let limits = "Limit           Soft Limit  Hard Limit  Units\n\
                      Max open files  65536       65536       files\n\
                      Max locked memory  unlimited  unlimited  bytes\n";
        assert_eq!(limit(limits, "Max open files"), Limit::At(65_536));
        assert_eq!(limit(limits, "Max locked memory"), Limit::Unlimited);
        assert_eq!(limit(limits, "Max nonsense"), Limit::Unknown);
    }

    #[test]
    fn features_of_ethtool() {
        let text = "Features for eth0:\ntx-checksumming: on\n\ttx-udp-segmentation: off [fixed]\n\
                    generic-receive-offload: on\nlarge-receive-offload: off\n";
        let check = |name, expect| assert_eq!(offload(text, name), expect, "{name}");
        check("tx-udp-segmentation", Offload::OffFixed);
        check("generic-receive-offload", Offload::On);
        check("large-receive-offload", Offload::Off);
        check("tx-checksum", Offload::Unknown);
        check("rx-gro-hw", Offload::Unknown);
    }

    #[test]
    fn port_ranges() {
        assert_eq!(two_ports("32768\t60999"), Some((32_768, 60_999)));
        assert_eq!(two_ports("1"), None);
    }
}
