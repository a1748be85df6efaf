//! Every crate says what it is, obeys the workspace lints and takes its versions from one place.

use crate::tree::{Finding, Tree};

/// Keys that come from `[workspace.package]`.
const INHERITED: &[&str] = &["version", "edition", "rust-version", "license", "publish"];

/// Checks all manifests of members.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in &tree.packages {
        let path = format!("{}/Cargo.toml", package.folder);
        if package.description.len() < 10 {
            findings.push(Finding::at(&path, 1, "no description: say in one sentence what it is"));
        }
        if let Some(file) = tree.file(&path) {
            findings.extend(check_text(&path, &file.text));
        }
    }
    findings
}

fn check_text(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for key in INHERITED {
        if !text.lines().any(|line| line.trim() == format!("{key}.workspace = true")) {
            let message = format!("write `{key}.workspace = true`");
            findings.push(Finding::at(path, 1, message));
        }
    }
    let (mut table, mut lints) = ("", false);
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.starts_with('[') {
            table = line;
        } else if table == "[lints]" && line == "workspace = true" {
            lints = true;
        } else if table.contains("dependencies") && line.contains('=') {
            let inherited = line.contains("workspace = true");
            // The rows of a dependency that has a table of its own, or of a list broken over lines.
            let part = table.contains("dependencies.") || !line.starts_with(char::is_alphanumeric);
            if !inherited && !part {
                let message = "put the version into [workspace.dependencies] of the top Cargo.toml";
                findings.push(Finding::at(path, index + 1, message));
            }
        }
    }
    if !lints {
        findings.push(Finding::at(path, 1, "add `[lints]` with `workspace = true`"));
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
        let inherited: String =
            INHERITED.iter().map(|key| format!("{key}.workspace = true\n")).collect();
        let lints = "[lints]\nworkspace = true\n[dependencies]\n";
        for (head, tail, description, expect) in [
            (inherited.as_str(), "thiserror.workspace = true", "What it is here.", vec![]),
            (inherited.as_str(), "thiserror = \"2\"", "What it is here.", vec!["a/Cargo.toml:9"]),
            (inherited.as_str(), "", "", vec!["a/Cargo.toml:1"]),
            (&inherited[27..], "", "What it is here.", vec!["a/Cargo.toml:1"; 2]),
        ] {
            let text = format!("{head}{lints}{tail}");
            let mut tree = Tree::fake(&[("a/Cargo.toml", &text)]);
            tree.packages.push(Package {
                folder: "a".to_owned(),
                description: description.to_owned(),
                ..Package::default()
            });
            assert_eq!(found(&check(&tree)), expect, "{text}");
        }
    }
}
