//! Which files may hold `unsafe`, and which crates forbid it.

use crate::tree::{Finding, Tree};

/// Every file with `unsafe` in it. A file that no longer needs it leaves the list.
const ALLOWED: &[&str] = &[
    "dataplane/abi/src/credentials.rs",
    "dataplane/abi/src/region.rs",
    "dataplane/dtls/src/aws/calls.rs",
    "dataplane/dtls/src/aws/certificate.rs",
    "dataplane/dtls/src/aws/clock.rs",
    "dataplane/dtls/src/aws/connection.rs",
    "dataplane/dtls/src/aws/context.rs",
    "dataplane/dtls/src/aws/digest.rs",
    "dataplane/dtls/src/aws/error.rs",
    "dataplane/dtls/src/aws/owned.rs",
    "dataplane/dtls/src/aws/wire.rs",
    "dataplane/proto/tests/allocations.rs",
    "dataplane/sctp/tests/allocations.rs",
    "dataplane/shard/tests/allocations.rs",
    "dataplane/uring/src/buffers.rs",
    "dataplane/uring/src/filter.rs",
    "dataplane/uring/src/outbox.rs",
    "dataplane/uring/src/plain/mod.rs",
    "dataplane/uring/src/plain/reader.rs",
    "dataplane/uring/src/pool.rs",
    "dataplane/uring/src/socket.rs",
    "dataplane/uring/src/uring/buffer_ring.rs",
    "dataplane/uring/src/uring/mod.rs",
    "dataplane/uring/src/uring/setup.rs",
    "dataplane/uring/tests/allocations.rs",
    "dataplane/uring/tests/loopback/sending.rs",
    "perf/floor/src/sends.rs",
    "perf/floor/src/serve_call_uring.rs",
    "perf/floor/src/serve_uring.rs",
    "perf/loadgen/src/call/intake.rs",
    "perf/loadgen/src/kernel.rs",
    "perf/loadgen/src/ring.rs",
    "perf/runner/src/program.rs",
];

/// Crates that read hostile bytes or decide: no `unsafe`, not even re-allowed.
const FORBIDDEN: &[&str] = &[
    "dataplane/wire",
    "dataplane/proto",
    "dataplane/sctp",
    "dataplane/sfu",
    "controlplane/room",
    "controlplane/sdp",
    "controlplane/signal",
];

/// Checks all files and crates.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = check_files(tree, ALLOWED);
    for folder in FORBIDDEN {
        let path = format!("{folder}/src/lib.rs");
        let Some(file) = tree.file(&path) else { continue };
        if !file.text.contains("#![forbid(unsafe_code)]") {
            let message = "this crate forbids unsafe: put `#![forbid(unsafe_code)]` here";
            findings.push(Finding::at(&path, 1, message));
        }
    }
    findings
}

fn check_files(tree: &Tree, allowed: &[&str]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (file, source) in tree.rust() {
        let first = source.words("unsafe").next();
        let listed = allowed.contains(&file.path.as_str());
        match (first, listed) {
            (Some(at), false) => {
                let message = "`unsafe` in a file that is not listed: do without, or add the file \
                               to tests/tidy/src/rules/unsafety.rs and say why at its top";
                findings.push(Finding::at(&file.path, source.line(at), message));
            }
            (Some(_), true) if !file.text.contains("#![allow(unsafe_code") => {
                let message = "re-allow with `#![allow(unsafe_code)]` at the top of the file";
                findings.push(Finding::at(&file.path, 1, message));
            }
            (None, true) => findings.push(Finding::at(&file.path, 1, STALE)),
            _ => {}
        }
    }
    let gone = allowed.iter().filter(|path| tree.file(path).is_none());
    findings.extend(gone.map(|path| Finding::at(path, 1, STALE)));
    findings
}

const STALE: &str = "no `unsafe` here any more: remove it from tests/tidy/src/rules/unsafety.rs";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::found;

    #[test]
    fn breaches_are_found() {
        let with = "#![allow(unsafe_code)]\nfn f() { unsafe { g() } }";
        for (text, allowed, expect) in [
            ("fn f() {} // unsafe", vec![], vec![]),
            ("#![deny(unsafe_code)]", vec![], vec![]),
            (with, vec![], vec!["a.rs:2"]),
            (with, vec!["a.rs"], vec![]),
            ("fn f() { unsafe { g() } }", vec!["a.rs"], vec!["a.rs:1"]),
            ("fn f() {}", vec!["a.rs"], vec!["a.rs:1"]),
            ("fn f() {}", vec!["b.rs"], vec!["b.rs:1"]),
        ] {
            let findings = check_files(&Tree::fake(&[("a.rs", text)]), &allowed);
            assert_eq!(found(&findings), expect, "{text} {allowed:?}");
        }
    }

    #[test]
    fn forbidding_crates_say_so() {
        for (text, expect) in [
            ("#![forbid(unsafe_code)]", vec![]),
            ("//! Views.", vec!["dataplane/wire/src/lib.rs:1"]),
        ] {
            let tree = Tree::fake(&[("dataplane/wire/src/lib.rs", text)]);
            let mut findings = check(&tree);
            findings.retain(|finding| finding.path.starts_with("dataplane/wire"));
            assert_eq!(found(&findings), expect, "{text}");
        }
    }
}
