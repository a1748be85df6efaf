//! Every check, good and bad.

use super::super::facts::{Card, Facts, Limit, Offload, Wanted};
use super::*;

fn wanted() -> Wanted {
    Wanted {
        cores: vec![1, 2, 3],
        buffers: 4096,
        receive_buffer_bytes: 4 << 20,
        send_buffer_bytes: 4 << 20,
        max_forwards: 4096,
        ports: (30_000, 39_998),
        media_ports: vec![(7882, 7884)],
    }
}

/// A machine without fault.
fn good() -> Facts {
    Facts {
        kernel: "6.18.44-amd64".into(),
        uring: Some(Ok(())),
        plain: Some(Ok(())),
        segmentation: Some(true),
        limits_of: "this shell".into(),
        memlock_bytes: Limit::Unlimited,
        open_files: Limit::At(65_536),
        rmem_max_bytes: Some(16 << 20),
        wmem_max_bytes: Some(16 << 20),
        backlog: Some(16_384),
        local_ports: Some((32_768, 60_999)),
        reserved_ports: vec![(30_000, 39_999)],
        cpus: vec![0, 1, 2, 3],
        isolated: vec![1, 2, 3],
        nohz_full: vec![1, 2, 3],
        governors: vec!["performance".into()],
        huge_pages: Some("always [madvise] never".into()),
        mitigations: vec![("mds".into(), "Mitigation: Clear buffers".into())],
        irqbalance: false,
        cards: vec![Card {
            name: "eth0".into(),
            udp_segmentation: Offload::On,
            receive_offload: Offload::On,
        }],
        clocksource: Some("tsc".into()),
        clock_kept_by: Some("chronyd".into()),
    }
}

/// Breaks the good machine; that one finding must differ, and say `message` and `fix`.
#[track_caller]
fn check(break_it: impl FnOnce(&mut Facts), level: Level, message: &str, fix: &str) {
    let mut facts = good();
    break_it(&mut facts);
    let good = judge(&good(), &wanted());
    let findings = judge(&facts, &wanted());
    let differ: Vec<&Finding> = findings.iter().filter(|f| !good.contains(f)).collect();
    let [finding] = differ.as_slice() else { panic!("{differ:#?}") };
    assert_eq!(finding.level, level, "{finding:?}");
    assert!(finding.message.contains(message), "{finding:?}\nlacks {message:?}");
    let got = finding.fix.as_deref().unwrap_or_default();
    assert!(got.contains(fix), "{finding:?}\nlacks {fix:?}");
    assert_eq!(finding.level == Level::Ok, finding.fix.is_none());
}

#[test]
fn a_good_machine_has_nothing_to_mend() {
    for finding in judge(&good(), &wanted()) {
        assert_eq!((finding.level, finding.fix.as_ref()), (Level::Ok, None), "{finding:?}");
    }
}

#[test]
fn nothing_readable_is_no_failure() {
    for finding in judge(&Facts::default(), &wanted()) {
        assert_ne!(finding.level, Level::Fail, "{finding:?}");
    }
}

#[test]
fn kernels() {
    use Level::{Fail, Ok, Warn};
    check(|f| f.kernel = "4.9.0".into(), Fail, "Linux 4.9.0 is too old", "kernel");
    check(|f| f.kernel = "5.10.0-30".into(), Warn, "lacks what the io_uring", "backports");
    check(|f| f.kernel = "6.1.0".into(), Ok, "Linux 6.1.0", "");
    check(|f| f.kernel = "strange".into(), Warn, "could not be read", "uname -r");
}

#[test]
fn engines() {
    use Level::{Fail, Warn};
    let without = |missing| move |f: &mut Facts| f.uring = Some(Err(missing));
    check(
        without(Missing::Disabled(2)),
        Warn,
        "switched off (kernel.io_uring_disabled=2); the data plane uses plain",
        "sudo sysctl -w kernel.io_uring_disabled=0",
    );
    check(without(Missing::Forbidden), Warn, "forbidden here (EPERM); ", "seccomp profile");
    check(without(Missing::MultishotReceive), Warn, "lacks multishot", "newer kernel");
    check(without(Missing::LockedMemory { limit_bytes: 1 }), Warn, "limit 1 b", "ulimit -l");
    check(without(Missing::Broken("a: b".into())), Warn, "work: a: b; ", "engine: plain");
    check(|f| f.uring = None, Warn, "could not be read", "sysctl kernel.io_uring_disabled");
    check(|f| f.plain = Some(Err("no".into())), Fail, "do not work: no", "lo up");
    check(|f| f.segmentation = Some(false), Warn, "no runs of packets", "newer kernel");
    check(|f| f.plain = None, Warn, "could not be read", "ringway-dataplane");
}

#[test]
fn limits() {
    use Level::{Ok, Warn};
    check(|f| f.memlock_bytes = Limit::At(64 << 20), Ok, "64 MiB", "");
    check(
        |f| f.memlock_bytes = Limit::At(65_536),
        Warn,
        "this shell may lock 64 KiB; shards: 3, buffers of each: 4096, they need 6 MiB",
        "ulimit -l 6336",
    );
    check(
        |f| f.open_files = Limit::At(1024),
        Warn,
        "may open 1024, which is enough for about 384 forwards of 12288",
        "ulimit -n 24832",
    );
    check(|f| f.open_files = Limit::Unlimited, Ok, "unlimited", "");
    check(|f| f.open_files = Limit::Unknown, Warn, "could not", "ulimit -n");
}

#[test]
fn network_settings() {
    use Level::Warn;
    check(
        |f| f.rmem_max_bytes = Some(212_992),
        Warn,
        "4194304 bytes are configured, net.core.rmem_max allows 212992",
        "sudo sysctl -w net.core.rmem_max=4194304",
    );
    check(|f| f.wmem_max_bytes = Some(1), Warn, "wmem_max allows 1", "wmem_max=4194304");
    check(|f| f.wmem_max_bytes = None, Warn, "could not be read", "sysctl net.core.wmem_max");
    check(|f| f.backlog = Some(1000), Warn, "is 1000", "netdev_max_backlog=16384");
    check(
        |f| f.reserved_ports.clear(),
        Warn,
        "ports 32768-60999, which overlaps 30000-39999",
        "ip_local_reserved_ports=30000-39999",
    );
}

#[test]
fn port_ranges_that_do_not_meet() {
    for (local, reserved, level) in [
        ((40_000, 60_999), vec![], Level::Ok),
        ((1024, 29_999), vec![], Level::Ok),
        ((39_999, 60_999), vec![], Level::Warn),
        ((32_768, 60_999), vec![(32_768, 39_999)], Level::Ok),
        ((32_768, 60_999), vec![(33_000, 39_999)], Level::Warn),
        ((1024, 60_999), vec![(30_000, 39_998)], Level::Warn),
    ] {
        let facts = Facts { local_ports: Some(local), reserved_ports: reserved, ..good() };
        assert_eq!(ports(&facts, &wanted()).level, level, "{local:?}");
    }
}

#[test]
fn ports_of_calls() {
    let fix = "ip_local_reserved_ports=7882-7884";
    check(|f| f.local_ports = Some((7000, 8000)), Level::Warn, "a shard may find", fix);
    let wide = |f: &mut Facts| {
        f.local_ports = Some((7000, 8000));
        f.reserved_ports = vec![(7882, 7884), (30_000, 39_999)];
    };
    let facts = {
        let mut facts = good();
        wide(&mut facts);
        facts
    };
    let judged =
        |facts: &Facts, media_ports| media_ports_of(facts, &Wanted { media_ports, ..wanted() });
    assert_eq!(judged(&facts, vec![(7882, 7884)]).0, Level::Ok);
    for (ports, level, message) in [
        (vec![(7882, 7882), (50_000, 60_000)], Level::Warn, "7882,50000-60000"),
        (vec![(7882, 7883)], Level::Fail, "3 shards need a UDP port each, 7882-7883 has 2"),
        (vec![(29_990, 30_000)], Level::Warn, "overlaps 30000-39999 of the forwards"),
        (vec![(1, 3)], Level::Ok, "1-3, for 3 shards"),
        (Vec::new(), Level::Ok, "rtc.force_tcp"),
    ] {
        let (found, told) = judged(&good(), ports);
        assert_eq!(found, level, "{told}");
        assert!(told.contains(message), "{told}");
    }
}

fn media_ports_of(facts: &Facts, wanted: &Wanted) -> (Level, String) {
    let finding = media_ports(facts, wanted);
    (finding.level, finding.message)
}

#[test]
fn cores() {
    use Level::{Ok, Warn};
    let fix = "isolcpus=managed_irq,domain,1-3 nohz_full=1-3 rcu_nocbs=1-3";
    check(|f| f.isolated = vec![3], Warn, "cores 1-2 of the shards are shared", fix);
    check(|f| f.nohz_full.clear(), Warn, "cores 1-3 of the shards are interrupted", fix);
    check(|f| f.cpus = vec![0, 1], Ok, "too few cores to isolate any (2)", "");
    let slow = vec!["powersave".into(), "performance".into()];
    check(|f| f.governors = slow, Warn, "powersave: cores", "cpupower frequency-set");
    check(|f| f.governors.clear(), Ok, "not ours", "");
    check(|f| f.huge_pages = Some("[always] madvise never".into()), Warn, "always", "madvise");
    check(|f| f.irqbalance = true, Warn, "moves interrupts", "disable --now irqbalance");
    check(
        |f| f.mitigations = vec![("mds".into(), "Vulnerable".into())],
        Ok,
        "none active; vulnerable to mds",
        "",
    );
}

#[test]
fn clocks() {
    use Level::{Ok, Warn};
    check(|f| f.clocksource = Some("hpet".into()), Warn, "hpet: each", "echo tsc | sudo tee");
    check(|f| f.clocksource = Some("kvm-clock".into()), Ok, "kvm-clock", "");
    check(|f| f.clock_kept_by = None, Warn, "nothing seems to keep", "timedatectl set-ntp true");
}

#[test]
fn cards() {
    use Level::{Ok, Warn};
    let fix = "sudo ethtool -K eth0 tx-udp-segmentation on";
    check(|f| f.cards[0].udp_segmentation = Offload::Off, Warn, "not asked to", fix);
    check(|f| f.cards[0].udp_segmentation = Offload::OffFixed, Ok, "the kernel does", "");
    let look = "ethtool -k eth0";
    check(|f| f.cards[0].udp_segmentation = Offload::Unknown, Warn, "what eth0 can", look);
    check(|f| f.cards[0].receive_offload = Offload::Off, Warn, "packet by packet", "gro on");
}
