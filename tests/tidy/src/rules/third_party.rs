//! Which folders may import which third-party crate. What is not in the table is free.

use super::imports::line_naming;
use crate::tree::{Finding, Tree};

struct Row {
    name: &'static str,
    folders: &'static [&'static str],
    reason: &'static str,
}

/// Where an asynchronous runtime, HTTP and JSON may live.
const TEXT: &[&str] = &["controlplane/server", "controlplane/cli", "perf", "tests"];
const TEXT_REASON: &str = "text and waiting stop at the control plane";

const TABLE: &[Row] = &[
    Row { name: "tokio", folders: TEXT, reason: TEXT_REASON },
    Row { name: "hyper", folders: TEXT, reason: TEXT_REASON },
    Row { name: "axum", folders: &["controlplane/server", "tests"], reason: TEXT_REASON },
    Row { name: "tower", folders: &["controlplane/server", "tests"], reason: TEXT_REASON },
    Row {
        name: "serde_json",
        folders: &[
            "controlplane/server",
            "controlplane/signal",
            "controlplane/cli",
            "perf",
            "tests",
        ],
        reason: TEXT_REASON,
    },
    Row {
        name: "livekit-protocol",
        folders: &["controlplane/signal", "controlplane/server", "perf", "tests"],
        reason: "LiveKit's messages are spoken by signalling alone",
    },
    Row {
        name: "flate2",
        folders: &["controlplane/signal"],
        reason: "what may be a bomb is inflated in one crate, which bounds it",
    },
    Row {
        name: "aws-lc-rs",
        folders: &["dataplane/proto", "dataplane/dtls", "controlplane/server", "perf", "tests"],
        reason: "cryptography of packets lives in one place, credentials where they are made",
    },
    Row {
        name: "aws-lc-sys",
        folders: &["dataplane/dtls"],
        reason: "C bindings of the data plane live in one crate",
    },
    Row {
        name: "dcsctp",
        folders: &["tests"],
        reason: "SCTP is ours; this one is the foreign peer of its tests",
    },
    Row {
        name: "io-uring",
        folders: &["dataplane/uring", "perf"],
        reason: "the kernel's rings have one owner, and the floor measures them bare",
    },
    Row {
        name: "rkyv",
        folders: &["dataplane/abi"],
        reason: "the layout of shared memory is decided in one crate",
    },
    Row {
        name: "redb",
        folders: &["controlplane/server"],
        reason: "only the control plane keeps anything",
    },
    Row {
        name: "jsonwebtoken",
        folders: &["controlplane/server", "controlplane/cli", "perf", "tests"],
        reason: "cryptography lives where tokens are made and checked",
    },
    Row {
        name: "ratatui",
        folders: &["controlplane/cli"],
        reason: "one program draws on a terminal",
    },
    Row {
        name: "libc",
        folders: &[
            "dataplane/abi",
            "dataplane/uring",
            "dataplane/shard",
            "controlplane/cli",
            "perf",
            "benches",
            "tests",
        ],
        reason: "raw system calls belong to crates that talk to the kernel; use rustix elsewhere",
    },
    Row {
        name: "rtp-rs",
        folders: &["dataplane/wire", "perf/loadgen", "tests"],
        reason: "packets are read through the views of `wire`",
    },
    Row {
        name: "rtcp-types",
        folders: &["dataplane/wire", "perf/loadgen", "tests"],
        reason: "packets are read through the views of `wire`",
    },
];

/// Checks the third-party imports of all members.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in &tree.packages {
        let manifest = format!("{}/Cargo.toml", package.folder);
        for row in TABLE.iter().filter(|row| package.imports.iter().any(|name| name == row.name)) {
            let below = |folder: &str| {
                package.folder == folder || package.folder.starts_with(&format!("{folder}/"))
            };
            if !row.folders.iter().copied().any(below) {
                let line = line_naming(tree, &manifest, row.name);
                let message = format!(
                    "`{}` may be imported only under {}: {}",
                    row.name,
                    row.folders.join(", "),
                    row.reason
                );
                findings.push(Finding::at(&manifest, line, message));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::Package;
    use crate::rules::found;

    #[test]
    fn breaches_are_found() {
        for (folder, import, expect) in [
            ("dataplane/uring", "io-uring", vec![]),
            ("perf/floor", "io-uring", vec![]),
            ("dataplane/shard", "io-uring", vec!["dataplane/shard/Cargo.toml:2"]),
            ("dataplane/shard", "tokio", vec!["dataplane/shard/Cargo.toml:1"]),
            ("controlplane/room", "serde_json", vec!["controlplane/room/Cargo.toml:1"]),
            ("controlplane/room", "thiserror", vec![]),
        ] {
            let text = "[dependencies]\nio-uring.workspace = true";
            let mut tree = Tree::fake(&[("dataplane/shard/Cargo.toml", text)]);
            tree.packages.push(Package {
                folder: folder.to_owned(),
                imports: vec![import.to_owned()],
                ..Package::default()
            });
            assert_eq!(found(&check(&tree)), expect, "{folder} {import}");
        }
    }
}
