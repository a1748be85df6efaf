//! Which of our crates may import which: the import table of ARCHITECTURE.md as data.

use crate::tree::{Finding, Tree};

const TABLE: &[(&str, &[&str])] = &[
    // The four that everything stands on know nothing of each other.
    ("ringway-abi", &[]),
    ("ringway-wire", &[]),
    ("ringway-uring", &[]),
    ("ringway-settings", &[]),
    ("ringway-room", &[]),
    ("ringway-sdp", &[]),
    ("ringway-dtls", &[]),
    ("ringway-sctp", &[]),
    ("ringway-proto", &["ringway-dtls", "ringway-sctp", "ringway-wire"]),
    ("ringway-sfu", &["ringway-wire"]),
    // Where in these two the imports may stand is the business of the rule `borders`.
    (
        "ringway-shard",
        &[
            "ringway-abi",
            "ringway-proto",
            "ringway-settings",
            "ringway-sfu",
            "ringway-uring",
            "ringway-wire",
        ],
    ),
    ("ringway-signal", &["ringway-room", "ringway-sdp"]),
    ("ringway-server", &["ringway-abi", "ringway-room", "ringway-settings", "ringway-signal"]),
    ("ringway-cli", &["ringway-abi", "ringway-settings", "ringway-uring"]),
    ("ringway-floor", &["ringway-loadgen", "ringway-proto", "ringway-uring"]),
    ("ringway-loadgen", &["ringway-proto", "ringway-sdp", "ringway-uring", "ringway-wire"]),
    ("ringway-compare", &["ringway-loadgen"]),
    (
        "ringway-benches",
        &[
            "ringway-abi",
            "ringway-proto",
            "ringway-sfu",
            "ringway-shard",
            "ringway-uring",
            "ringway-wire",
        ],
    ),
    // Tests may take apart whatever they judge.
    (
        "ringway-fuzz",
        &[
            "ringway-abi",
            "ringway-dtls",
            "ringway-proto",
            "ringway-room",
            "ringway-sctp",
            "ringway-sdp",
            "ringway-sfu",
            "ringway-shard",
            "ringway-signal",
            "ringway-wire",
        ],
    ),
    (
        "ringway-sim",
        &["ringway-abi", "ringway-proto", "ringway-sfu", "ringway-shard", "ringway-wire"],
    ),
    ("ringway-system", &["ringway-abi", "ringway-loadgen", "ringway-proto", "ringway-wire"]),
    ("ringway-interop", &["ringway-system", "ringway-wire"]),
    ("ringway-tidy", &[]),
];

/// Checks the imports of all members.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in &tree.packages {
        let manifest = format!("{}/Cargo.toml", package.folder);
        let Some((_, allowed)) = TABLE.iter().find(|(name, _)| *name == package.name) else {
            let message = format!(
                "`{}` is not in the import table: add its row to tests/tidy/src/rules/imports.rs \
                 and to ARCHITECTURE.md",
                package.name
            );
            findings.push(Finding::at(&manifest, 1, message));
            continue;
        };
        for import in package.imports.iter().filter(|name| name.starts_with("ringway-")) {
            if !allowed.contains(&import.as_str()) {
                let line = line_naming(tree, &manifest, import);
                let message = format!(
                    "`{}` may not import `{import}`: move the code to where it belongs, or argue \
                     for a new entry in the import table",
                    package.name
                );
                findings.push(Finding::at(&manifest, line, message));
            }
        }
    }
    findings.extend(stale_rows(tree));
    findings
}

/// Line of `manifest` that names `import`, 1 if none does.
pub(crate) fn line_naming(tree: &Tree, manifest: &str, import: &str) -> usize {
    let named = |line: &str| {
        let line = line.trim_start();
        line.starts_with(import)
            && !line[import.len()..].starts_with(|c: char| c.is_alphanumeric() || c == '-')
    };
    let text = tree.file(manifest).map_or("", |file| file.text.as_str());
    text.lines().position(named).map_or(1, |index| index + 1)
}

fn stale_rows(tree: &Tree) -> Vec<Finding> {
    let exists = |name: &str| tree.packages.iter().any(|package| package.name == name);
    let path = "tests/tidy/src/rules/imports.rs";
    TABLE
        .iter()
        .filter(|(name, _)| !tree.packages.is_empty() && !exists(name))
        .map(|(name, _)| Finding::at(path, 1, format!("`{name}` is gone: remove its row")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::Package;

    #[test]
    fn breaches_are_found() {
        let row = |name: &str, imports: &[&str]| Package {
            name: name.to_owned(),
            folder: name.trim_start_matches("ringway-").to_owned(),
            imports: imports.iter().map(|name| (*name).to_owned()).collect(),
            ..Package::default()
        };
        for (name, imports, expect) in [
            ("ringway-sfu", vec!["ringway-wire", "thiserror"], None),
            ("ringway-sfu", vec!["ringway-abi"], Some("sfu/Cargo.toml:3: `ringway-sfu` may not")),
            ("ringway-room", vec!["ringway-wire"], Some("room/Cargo.toml:1: `ringway-room` may")),
            ("ringway-new", vec![], Some("new/Cargo.toml:1: `ringway-new` is not in the import")),
        ] {
            let mut tree = Tree::fake(&[("sfu/Cargo.toml", "\n\nringway-abi.workspace = true")]);
            tree.packages.push(row(name, &imports));
            let all: Vec<String> = check(&tree).iter().map(ToString::to_string).collect();
            let own: Vec<&String> = all.iter().filter(|text| !text.contains("is gone")).collect();
            assert_eq!(own.len(), usize::from(expect.is_some()), "{own:?}");
            assert!(expect.is_none_or(|start| own[0].starts_with(start)), "{own:?}");
        }
    }

    #[test]
    fn rows_of_crates_that_are_gone_are_found() {
        let mut tree = Tree::default();
        tree.packages.push(Package { name: "ringway-abi".to_owned(), ..Package::default() });
        assert_eq!(check(&tree).len(), TABLE.len() - 1);
    }
}
