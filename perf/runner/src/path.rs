//! The path between servers and generator: the loopback device, or a pair of virtual Ethernet
//! devices, the nearest thing to a wire that one machine has.
//!
//! Loopback carries a segmented send unsplit up to the receiver's socket, and whoever sends pays
//! for the delivery. On the pair both are as on a network card without offloads: the kernel splits
//! before the device (`tx-udp-segmentation off`), and the generator's core takes over what comes
//! out at its end (receive packet steering).

use std::fs::{self, File};
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsFd;
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use clap::ValueEnum;
use ringway_loadgen::ports::Ends;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::install::{self, Package};

const IPROUTE: Package = Package { name: "iproute2", program: "ip", service: None };
const ETHTOOL: Package = Package { name: "ethtool", program: "ethtool", service: None };

/// Network namespace of the generator.
const NAMESPACE: &str = "ringway-compare";
pub(crate) const SERVER_DEVICE: &str = "ringway-cmp0";
const GENERATOR_DEVICE: &str = "ringway-cmp1";
/// A network of RFC 2544 6 (198.18.0.0/15), which is reserved for measurements like this one.
const VETH: Ends = Ends {
    server: IpAddr::V4(Ipv4Addr::new(198, 18, 97, 1)),
    generator: IpAddr::V4(Ipv4Addr::new(198, 18, 97, 2)),
};

/// The path of calls on one machine: clients and servers pass loopback addresses over, so both get
/// one address of a device, in a namespace of their own. Packets take the loopback device all the
/// same.
const LOCAL: Ends = Ends { server: VETH.server, generator: VETH.server };

/// Packets that a core takes over at once from another one; the usual 1000 is less than one frame
/// for a hundred receivers, and the rest would be lost in the middle of the path.
const BACKLOG_FILE: &str = "/proc/sys/net/core/netdev_max_backlog";
const BACKLOG: &str = "20000";

/// The kinds of path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PathKind {
    /// The loopback device.
    Loopback,
    /// A pair of virtual Ethernet devices; needs root.
    Veth,
}

/// A path that is ready. Dropping it removes what was made for it.
#[derive(Debug)]
pub struct Path {
    kind: PathKind,
    /// Calls on one machine: the calling thread has moved into the namespace.
    local: bool,
    /// The backlog of before.
    backlog: Option<String>,
}

impl Path {
    /// Makes the path. For `calls` on the loopback device the calling thread moves into a
    /// namespace, and with it the threads and programs that it starts.
    pub fn open(
        kind: PathKind,
        calls: bool,
        generator_core: usize,
        may_install: bool,
    ) -> anyhow::Result<Self> {
        match (kind, calls) {
            (PathKind::Loopback, false) => Ok(Self { kind, local: false, backlog: None }),
            (PathKind::Loopback, true) => Self::open_local(may_install),
            (PathKind::Veth, _) => Self::open_pair(generator_core, may_install),
        }
    }

    fn open_local(may_install: bool) -> anyhow::Result<Self> {
        install::ensure(&IPROUTE, may_install)?;
        let _ = call("ip", &["netns", "delete", NAMESPACE]);
        call("ip", &["netns", "add", NAMESPACE])
            .context("calls need root and network namespaces")?;
        let path = Self { kind: PathKind::Loopback, local: true, backlog: None };
        let address = format!("{}/30", LOCAL.server);
        let steps: [&[&str]; 5] = [
            &["link", "set", "lo", "up"],
            &["link", "add", SERVER_DEVICE, "type", "veth", "peer", GENERATOR_DEVICE],
            &["address", "add", &address, "dev", SERVER_DEVICE],
            &["link", "set", SERVER_DEVICE, "up"],
            &["link", "set", GENERATOR_DEVICE, "up"],
        ];
        for step in steps {
            call("ip", &[&["-n", NAMESPACE][..], step].concat())?;
        }
        Self::enter_namespace()?;
        Ok(path)
    }

    fn open_pair(generator_core: usize, may_install: bool) -> anyhow::Result<Self> {
        for package in [&IPROUTE, &ETHTOOL] {
            install::ensure(package, may_install)?;
        }
        // What a killed run has left behind; usually nothing, which is an error to `ip`.
        let _ = call("ip", &["netns", "delete", NAMESPACE]);
        call("ip", &["netns", "add", NAMESPACE])
            .context("--path veth needs root and network namespaces")?;
        // From here on dropping removes the namespace, and with it the pair.
        let mut path = Self { kind: PathKind::Veth, local: false, backlog: None };
        let (server, generator) = (VETH.server.to_string(), VETH.generator.to_string());
        let inside = ["netns", "exec", NAMESPACE];
        let steps: [&[&str]; 5] = [
            &["link", "add", SERVER_DEVICE, "type", "veth", "peer", GENERATOR_DEVICE],
            &["link", "set", GENERATOR_DEVICE, "netns", NAMESPACE],
            &["address", "add", &format!("{server}/30"), "dev", SERVER_DEVICE],
            &["link", "set", SERVER_DEVICE, "up"],
            &[
                "-n",
                NAMESPACE,
                "address",
                "add",
                &format!("{generator}/30"),
                "dev",
                GENERATOR_DEVICE,
            ],
        ];
        for step in steps {
            call("ip", step)?;
        }
        call("ip", &["-n", NAMESPACE, "link", "set", GENERATOR_DEVICE, "up"])?;
        call("ethtool", &["-K", SERVER_DEVICE, "tx-udp-segmentation", "off"])?;
        // sysfs shows a namespace's devices only to those inside of it.
        let steer = format!(
            "echo {:x} > /sys/class/net/{GENERATOR_DEVICE}/queues/rx-0/rps_cpus",
            1_u64 << (generator_core % 64)
        );
        call("ip", &[&inside[..], &["sh", "-c", &steer]].concat())?;
        path.backlog = Some(fs::read_to_string(BACKLOG_FILE)?);
        fs::write(BACKLOG_FILE, BACKLOG)?;
        Ok(path)
    }

    /// The addresses of its ends.
    pub fn ends(&self) -> Ends {
        match self.kind {
            PathKind::Loopback if self.local => LOCAL,
            PathKind::Loopback => Ends::LOOPBACK,
            PathKind::Veth => VETH,
        }
    }

    /// Moves the calling thread to the generator's end; sockets that it opens from then on are
    /// there.
    pub fn enter(kind: PathKind) -> std::io::Result<()> {
        if kind == PathKind::Loopback {
            return Ok(());
        }
        Self::enter_namespace()
    }

    fn enter_namespace() -> std::io::Result<()> {
        let namespace = File::open(format!("/run/netns/{NAMESPACE}"))?;
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
        Ok(())
    }

    /// Which kind it is.
    pub fn kind(&self) -> PathKind {
        self.kind
    }
}

impl Drop for Path {
    fn drop(&mut self) {
        if let Some(backlog) = &self.backlog {
            let _ = fs::write(BACKLOG_FILE, backlog.trim());
        }
        if self.local {
            // The pair goes with the last who is inside: that is us.
            let _ = call("ip", &["netns", "delete", NAMESPACE]);
        }
        if self.kind == PathKind::Veth {
            let _ = call("ip", &["link", "delete", SERVER_DEVICE]);
            let _ = call("ip", &["netns", "delete", NAMESPACE]);
        }
    }
}

fn call(program: &str, arguments: &[&str]) -> anyhow::Result<()> {
    let program_path = install::find(program).unwrap_or_else(|| program.into());
    let output = Command::new(program_path)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start {program}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("`{program} {}` failed: {}", arguments.join(" "), said.trim());
    }
    Ok(())
}
