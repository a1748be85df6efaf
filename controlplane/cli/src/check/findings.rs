//! Judges facts: one finding a check, with the command that mends it. Pure.

use ringway_uring::Missing;
use serde::Serialize;

use super::facts::{Card, Facts, Limit, Offload, Wanted};
use super::lists;

/// The oldest kernel with UDP segmentation offload, which both engines live on.
const KERNEL_MIN: (u32, u32) = (4, 18);
/// The oldest kernel with all that the io_uring engine uses (deferred task work).
const KERNEL_URING: (u32, u32) = (6, 1);
/// As in the sysctl file that is installed; the default of 1000 is 1 ms of 1 Mpps.
const BACKLOG_MIN: u64 = 16_384;
/// Descriptors beyond those of forwards: rings, wake-ups, logs, peers.
const OPEN_FILES_SPARE: u64 = 256;
/// The rings of one shard, which count as locked memory; its buffers do not.
const RING_BYTES: u64 = 2 << 20;
/// What a buffer takes in the ring that hands it out.
const RING_ENTRY_BYTES: u64 = 16;
/// Clocks that are read without a system call.
const GOOD_CLOCKS: &[&str] =
    &["tsc", "kvm-clock", "arch_sys_counter", "hyperv_clocksource_tsc_page", "riscv_clocksource"];

const UPGRADE: &str =
    "install a newer kernel, for example of your distribution's backports; reboot";

/// How good it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Level {
    /// Nothing to do.
    Ok,
    /// Works, but less well than it could; or could not be found out.
    Warn,
    /// The appliance cannot work so.
    Fail,
}

/// The result of one check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    pub(super) check: &'static str,
    pub(super) level: Level,
    /// What is so, or what is wrong.
    pub(super) message: String,
    /// The command that mends it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) fix: Option<String>,
}

impl Finding {
    fn ok(check: &'static str, message: impl Into<String>) -> Self {
        Self { check, level: Level::Ok, message: message.into(), fix: None }
    }

    fn warn(check: &'static str, message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { check, level: Level::Warn, message: message.into(), fix: Some(fix.into()) }
    }

    /// Something that could not be read, usually inside a container.
    fn unknown(check: &'static str, what: &str, command: &str) -> Self {
        Self::warn(check, format!("{what} could not be read here; look yourself"), command)
    }

    pub(super) fn fail(
        check: &'static str,
        message: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self { check, level: Level::Fail, message: message.into(), fix: Some(fix.into()) }
    }
}

/// All findings, in the order in which they are shown.
pub(super) fn judge(facts: &Facts, wanted: &Wanted) -> Vec<Finding> {
    let mut findings = vec![
        kernel(facts),
        io_uring(facts),
        plain(facts),
        memlock(facts, wanted),
        open_files(facts, wanted),
        socket_buffer(
            "receive buffer",
            "rmem_max",
            facts.rmem_max_bytes,
            wanted.receive_buffer_bytes,
        ),
        socket_buffer("send buffer", "wmem_max", facts.wmem_max_bytes, wanted.send_buffer_bytes),
        backlog(facts),
        ports(facts, wanted),
        media_ports(facts, wanted),
        isolation(facts, wanted),
        governor(facts),
        huge_pages(facts),
        mitigations(facts),
        irqbalance(facts),
        clocksource(facts),
        time_sync(facts),
    ];
    findings.extend(facts.cards.iter().flat_map(card));
    findings
}

fn version(kernel: &str) -> Option<(u32, u32)> {
    let mut numbers = kernel.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn kernel(facts: &Facts) -> Finding {
    match version(&facts.kernel) {
        None => Finding::unknown("kernel", "the kernel's version", "uname -r"),
        Some(version) if version < KERNEL_MIN => Finding::fail(
            "kernel",
            format!("Linux {} is too old: 4.18 is the least, 6.1 is wanted", facts.kernel),
            UPGRADE,
        ),
        Some(version) if version < KERNEL_URING => Finding::warn(
            "kernel",
            format!("Linux {} lacks what the io_uring engine needs (6.1)", facts.kernel),
            UPGRADE,
        ),
        Some(_) => Finding::ok("kernel", format!("Linux {}", facts.kernel)),
    }
}

fn io_uring(facts: &Facts) -> Finding {
    match &facts.uring {
        Some(Ok(())) => Finding::ok("io_uring", "works, with all that the engine uses"),
        None => Finding::unknown("io_uring", "io_uring", "sysctl kernel.io_uring_disabled"),
        Some(Err(missing)) => {
            let text = missing.to_string();
            // What the error advises stands in the fix.
            let why = match missing {
                Missing::Broken(_) => text.as_str(),
                _ => text.split_once(": ").map_or(text.as_str(), |(why, _)| why),
            };
            Finding::warn(
                "io_uring",
                format!("{why}; the data plane uses plain system calls"),
                uring_fix(missing),
            )
        }
    }
}

fn uring_fix(missing: &Missing) -> &'static str {
    match missing {
        Missing::Disabled(_) => "sudo sysctl -w kernel.io_uring_disabled=0",
        Missing::Forbidden | Missing::NotBuilt => {
            "allow io_uring_setup, io_uring_enter and io_uring_register in the container's seccomp \
             profile (docker run --security-opt seccomp=FILE)"
        }
        Missing::LockedMemory { .. } => "ulimit -l unlimited (LimitMEMLOCK= in a unit)",
        Missing::Broken(_) => "set engine: plain in /etc/ringway/dataplane.yaml",
        _ => UPGRADE,
    }
}

fn plain(facts: &Facts) -> Finding {
    match (&facts.plain, facts.segmentation) {
        (Some(Err(why)), _) => Finding::fail(
            "sockets",
            format!("plain UDP sockets do not work: {why}"),
            "ip link set lo up, and look at the sandbox that this runs in",
        ),
        (Some(Ok(())), Some(true)) => Finding::ok("sockets", "runs of packets go in one send"),
        (Some(Ok(())), Some(false)) => Finding::warn(
            "sockets",
            "the kernel takes no runs of packets (UDP_SEGMENT): each one costs a send",
            UPGRADE,
        ),
        _ => {
            Finding::unknown("sockets", "whether sockets work", "ringway-dataplane --check-config")
        }
    }
}

fn memlock(facts: &Facts, wanted: &Wanted) -> Finding {
    let shards = wanted.cores.len().max(1) as u64;
    let needed = shards * (wanted.buffers * RING_ENTRY_BYTES + RING_BYTES);
    let of = &facts.limits_of;
    match facts.memlock_bytes {
        Limit::Unknown => Finding::unknown("locked memory", "the limit", "ulimit -l"),
        Limit::Unlimited => Finding::ok("locked memory", format!("unlimited for {of}")),
        Limit::At(bytes) if bytes >= needed => {
            Finding::ok("locked memory", format!("{} for {of}", mebibytes(bytes)))
        }
        Limit::At(bytes) => Finding::warn(
            "locked memory",
            format!(
                "{of} may lock {}; shards: {shards}, buffers of each: {}, they need {}",
                mebibytes(bytes),
                wanted.buffers,
                mebibytes(needed)
            ),
            format!("ulimit -l {} (LimitMEMLOCK= in a unit)", needed.div_ceil(1024)),
        ),
    }
}

fn open_files(facts: &Facts, wanted: &Wanted) -> Finding {
    let shards = wanted.cores.len().max(1) as u64;
    // A forward has a socket for RTP and one for RTCP.
    let needed = shards * wanted.max_forwards * 2 + OPEN_FILES_SPARE;
    let of = &facts.limits_of;
    match facts.open_files {
        Limit::Unknown => Finding::unknown("open files", "the limit", "ulimit -n"),
        Limit::Unlimited => Finding::ok("open files", format!("unlimited for {of}")),
        Limit::At(files) if files >= needed => {
            Finding::ok("open files", format!("{files} for {of}"))
        }
        Limit::At(files) => Finding::warn(
            "open files",
            format!(
                "{of} may open {files}, which is enough for about {} forwards of {}",
                files.saturating_sub(OPEN_FILES_SPARE) / 2,
                shards * wanted.max_forwards
            ),
            format!("ulimit -n {needed} (LimitNOFILE= in a unit)"),
        ),
    }
}

fn socket_buffer(
    check: &'static str,
    key: &str,
    max_bytes: Option<u64>,
    wanted_bytes: u64,
) -> Finding {
    match max_bytes {
        None => {
            Finding::unknown(check, &format!("net.core.{key}"), &format!("sysctl net.core.{key}"))
        }
        Some(max) if max >= wanted_bytes => {
            Finding::ok(check, format!("net.core.{key} is {max}, {wanted_bytes} is configured"))
        }
        Some(max) => Finding::warn(
            check,
            format!(
                "{wanted_bytes} bytes are configured, net.core.{key} allows {max}: bursts \
                     are lost"
            ),
            format!("sudo sysctl -w net.core.{key}={wanted_bytes}"),
        ),
    }
}

fn backlog(facts: &Facts) -> Finding {
    let key = "net.core.netdev_max_backlog";
    match facts.backlog {
        None => Finding::unknown("backlog", key, &format!("sysctl {key}")),
        Some(backlog) if backlog >= BACKLOG_MIN => {
            Finding::ok("backlog", format!("{key} is {backlog}"))
        }
        Some(backlog) => Finding::warn(
            "backlog",
            format!("{key} is {backlog}: bursts are lost before any socket sees them"),
            format!("sudo sysctl -w {key}={BACKLOG_MIN}"),
        ),
    }
}

fn ports(facts: &Facts, wanted: &Wanted) -> Finding {
    let (first, last) = wanted.ports;
    // The highest RTP port has its RTCP port one above.
    let last = last.saturating_add(1);
    let range = format!("{first}-{last}");
    let Some(local) = facts.local_ports else {
        let command = "sysctl net.ipv4.ip_local_port_range";
        return Finding::unknown("ports", "the range of clients' ports", command);
    };
    if !gives_away(facts, local, (first, last)) {
        return Finding::ok("ports", format!("{range} belongs to forwards alone"));
    }
    Finding::warn(
        "ports",
        format!(
            "the kernel gives clients ports {}-{}, which overlaps {range} of the forwards: a \
             forward may find its port taken",
            local.0, local.1
        ),
        format!("sudo sysctl -w net.ipv4.ip_local_reserved_ports={range}"),
    )
}

/// Whether the kernel may give ports of a range to clients.
fn gives_away(facts: &Facts, local: (u16, u16), (first, last): (u16, u16)) -> bool {
    let apart = local.1 < first || local.0 > last;
    let reserved = facts
        .reserved_ports
        .iter()
        .any(|(from, to)| *from <= first.max(local.0) && *to >= last.min(local.1));
    !apart && !reserved
}

fn media_ports(facts: &Facts, wanted: &Wanted) -> Finding {
    let check = "ports of calls";
    let ranges = &wanted.media_ports;
    if ranges.is_empty() {
        return Finding::ok(check, "no UDP, as rtc.force_tcp says");
    }
    let text = lists::render_ranges(ranges);
    let shards = wanted.cores.len().max(1);
    let count: usize = ranges.iter().map(|(from, to)| usize::from(to - from) + 1).sum();
    // Those of single ports need not be all there are.
    if count < shards {
        return Finding::fail(
            check,
            format!("{shards} shards need a UDP port each, {text} has {count}: no calls"),
            "give rtc.udp_port in /etc/ringway/controlplane.yaml a wider range",
        );
    }
    let (first, last) = (wanted.ports.0, wanted.ports.1.saturating_add(1));
    if ranges.iter().any(|(from, to)| *from <= last && *to >= first) {
        return Finding::warn(
            check,
            format!("{text} overlaps {first}-{last} of the forwards: either may find them taken"),
            "set rtc.udp_port in /etc/ringway/controlplane.yaml, or port_range in \
             /etc/ringway/dataplane.yaml, to others",
        );
    }
    let given = |local| ranges.iter().any(|range| gives_away(facts, local, *range));
    match facts.local_ports {
        None => {
            let command = "sysctl net.ipv4.ip_local_port_range";
            Finding::unknown(check, "the range of clients' ports", command)
        }
        Some(local) if given(local) => Finding::warn(
            check,
            format!(
                "the kernel gives clients ports {}-{}, which overlaps {text}: a shard may find its \
                 port taken",
                local.0, local.1
            ),
            format!("sudo sysctl -w net.ipv4.ip_local_reserved_ports={text}"),
        ),
        Some(_) => Finding::ok(check, format!("{text}, for {shards} shards")),
    }
}

fn isolation(facts: &Facts, wanted: &Wanted) -> Finding {
    let cores = lists::render(&wanted.cores);
    if facts.cpus.len() <= 2 {
        let count = facts.cpus.len();
        return Finding::ok("isolation", format!("too few cores to isolate any ({count})"));
    }
    let missing = |list: &[u16]| -> Vec<u16> {
        wanted.cores.iter().copied().filter(|core| !list.contains(core)).collect()
    };
    let busy = missing(&facts.isolated);
    if busy.is_empty() && missing(&facts.nohz_full).is_empty() {
        return Finding::ok("isolation", format!("cores {cores} belong to the shards"));
    }
    let (what, list) = match busy.is_empty() {
        true => ("are interrupted by the timer tick", missing(&facts.nohz_full)),
        false => ("are shared with other programs", busy),
    };
    Finding::warn(
        "isolation",
        format!("cores {} of the shards {what}: latency has a tail", lists::render(&list)),
        format!(
            "add isolcpus=managed_irq,domain,{cores} nohz_full={cores} rcu_nocbs={cores} to \
             GRUB_CMDLINE_LINUX in /etc/default/grub, then: sudo update-grub && sudo reboot"
        ),
    )
}

fn governor(facts: &Facts) -> Finding {
    let slow: Vec<&str> =
        facts.governors.iter().map(String::as_str).filter(|name| *name != "performance").collect();
    if facts.governors.is_empty() {
        Finding::ok("governor", "the frequency of the cores is not ours to scale")
    } else if slow.is_empty() {
        Finding::ok("governor", "performance")
    } else {
        Finding::warn(
            "governor",
            format!("{}: cores slow down between packets", slow.join(", ")),
            "sudo cpupower frequency-set -g performance",
        )
    }
}

fn huge_pages(facts: &Facts) -> Finding {
    let file = "/sys/kernel/mm/transparent_hugepage/enabled";
    let chosen = facts.huge_pages.as_deref().and_then(|text| {
        text.split_whitespace().find_map(|word| word.strip_prefix('[')?.strip_suffix(']'))
    });
    match chosen {
        None => Finding::ok("huge pages", "no transparent huge pages"),
        Some("always") => Finding::warn(
            "huge pages",
            "always: the kernel may pause a shard to merge pages",
            format!("echo madvise | sudo tee {file}"),
        ),
        Some(other) => Finding::ok("huge pages", other),
    }
}

fn mitigations(facts: &Facts) -> Finding {
    let active = facts.mitigations.iter().filter(|(_, state)| state.starts_with("Mitigation"));
    let open = facts.mitigations.iter().filter(|(_, state)| state.starts_with("Vulnerable"));
    let names: Vec<&str> = open.map(|(name, _)| name.as_str()).collect();
    let mut message = match active.count() {
        0 => "none active".to_owned(),
        count => format!("{count} active; they are part of the cost of each system call"),
    };
    if !names.is_empty() {
        message += &format!("; vulnerable to {}", names.join(", "));
    }
    Finding::ok("mitigations", message)
}

fn irqbalance(facts: &Facts) -> Finding {
    if facts.irqbalance && facts.cpus.len() > 2 {
        return Finding::warn(
            "irqbalance",
            "runs: it moves interrupts onto the cores of the shards",
            "sudo systemctl disable --now irqbalance",
        );
    }
    Finding::ok("irqbalance", if facts.irqbalance { "runs; no matter here" } else { "not running" })
}

fn clocksource(facts: &Facts) -> Finding {
    let dir = "/sys/devices/system/clocksource/clocksource0";
    match facts.clocksource.as_deref() {
        None => {
            let command = format!("cat {dir}/current_clocksource");
            Finding::unknown("clock source", "the clock source", &command)
        }
        Some(name) if GOOD_CLOCKS.contains(&name) => Finding::ok("clock source", name),
        Some(name) => Finding::warn(
            "clock source",
            format!("{name}: each reading of the time is a slow system call"),
            format!("echo tsc | sudo tee {dir}/current_clocksource"),
        ),
    }
}

fn time_sync(facts: &Facts) -> Finding {
    match &facts.clock_kept_by {
        Some(name) => Finding::ok("time", format!("kept by {name}")),
        None => Finding::warn(
            "time",
            "nothing seems to keep the clock right: tokens are refused when it is wrong",
            "sudo timedatectl set-ntp true",
        ),
    }
}

fn card(card: &Card) -> Vec<Finding> {
    let name = &card.name;
    let segmentation = match card.udp_segmentation {
        Offload::On => Finding::ok("network card", format!("{name} cuts runs of packets itself")),
        Offload::OffFixed => Finding::ok(
            "network card",
            format!("{name} cannot cut runs of packets; the kernel does, late, which still pays"),
        ),
        Offload::Off => Finding::warn(
            "network card",
            format!(
                "{name} could cut runs of packets itself (tx-udp-segmentation) but is not \
                     asked to"
            ),
            format!("sudo ethtool -K {name} tx-udp-segmentation on"),
        ),
        Offload::Unknown => Finding::unknown(
            "network card",
            &format!("what {name} can offload"),
            &format!("sudo apt-get install ethtool && ethtool -k {name}"),
        ),
    };
    let mut findings = vec![segmentation];
    if card.receive_offload == Offload::Off {
        findings.push(Finding::warn(
            "network card",
            format!("{name} receives packet by packet (generic-receive-offload is off)"),
            format!("sudo ethtool -K {name} gro on"),
        ));
    }
    findings
}

fn mebibytes(bytes: u64) -> String {
    if bytes < 1 << 20 {
        format!("{} KiB", bytes >> 10)
    } else {
        format!("{:.0} MiB", bytes as f64 / f64::from(1 << 20))
    }
}

#[cfg(test)]
#[path = "findings_test.rs"]
mod tests;
