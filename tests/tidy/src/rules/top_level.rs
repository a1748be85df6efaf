//! The top level is fixed: a newcomer sees the whole house at once.

use crate::tree::{Finding, Tree};

const NAMES: &[&str] = &[
    ".ci",
    ".gitignore",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "Makefile",
    "README.md",
    "benches",
    "clippy.toml",
    "codecs",
    "controlplane",
    "dataplane",
    "deny.toml",
    "docs",
    "perf",
    "rust-toolchain.toml",
    "rustfmt.toml",
    "systemd",
    "tests",
];

/// Checks the names at the top.
pub fn check(tree: &Tree) -> Vec<Finding> {
    tree.top
        .iter()
        .filter(|name| !NAMES.contains(&name.as_str()))
        .map(|name| Finding::at(name, 1, "the top level is fixed: put this into one of its rooms"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::found;

    #[test]
    fn breaches_are_found() {
        for (name, expect) in [("docs", vec![]), ("scripts", vec!["scripts:1"])] {
            let tree = Tree { top: vec![name.to_owned()], ..Tree::default() };
            assert_eq!(found(&check(&tree)), expect);
        }
    }
}
