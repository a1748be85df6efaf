//! Borders inside a crate: an import that its manifest has, but only some of its files may use.

use crate::source::words;
use crate::tree::{Finding, Tree};

struct Border {
    /// The crate's sources.
    below: &'static str,
    /// What is guarded, as it stands in a `use`.
    import: &'static str,
    /// Files, and folders with their last `/`, that may name it.
    allowed: &'static [&'static str],
    reason: &'static str,
}

const BORDERS: &[Border] = &[
    Border {
        below: "controlplane/server/src/",
        import: "ringway_abi",
        allowed: &["controlplane/server/src/link.rs", "controlplane/server/src/link/"],
        reason: "only `link/` translates between the nouns of both sides",
    },
    Border {
        below: "dataplane/shard/src/",
        import: "ringway_uring",
        allowed: &["dataplane/shard/src/egress.rs", "dataplane/shard/src/bin/"],
        reason: "the shard's logic sees packets, the program brings the kernel",
    },
];

/// Checks all borders.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (file, source) in tree.rust() {
        for border in BORDERS.iter().filter(|border| file.path.starts_with(border.below)) {
            let here = |place: &str| {
                file.path == *place || (place.ends_with('/') && file.path.starts_with(place))
            };
            if border.allowed.iter().copied().any(here) {
                continue;
            }
            for at in words(&source.code, border.import) {
                let line = source.line(at);
                if source.in_tests(line) {
                    continue;
                }
                let message = format!(
                    "`{}` may be named only in {}: {}",
                    border.import,
                    border.allowed.join(", "),
                    border.reason
                );
                findings.push(Finding::at(&file.path, line, message));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::found;

    #[test]
    fn breaches_are_found() {
        let text = "//! A\nuse ringway_abi::message::Command;";
        for (path, text, expect) in [
            ("controlplane/server/src/link/tx.rs", text, vec![]),
            ("controlplane/server/src/api.rs", text, vec!["controlplane/server/src/api.rs:2"]),
            ("controlplane/server/src/api.rs", "// ringway_abi", vec![]),
            ("controlplane/server/src/api.rs", "use ringway_abided::X;", vec![]),
            ("dataplane/shard/src/bin/main.rs", "use ringway_uring::Engine;", vec![]),
            (
                "dataplane/shard/src/turn.rs",
                "use ringway_uring::Engine;",
                vec!["dataplane/shard/src/turn.rs:1"],
            ),
        ] {
            assert_eq!(found(&check(&Tree::fake(&[(path, text)]))), expect, "{path}");
        }
    }
}
