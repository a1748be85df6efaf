//! Files stay short, narrow, and say at their top what they are.

use crate::tree::{File, Finding, Tree};

/// Longer files hide more than one noun.
const MAX_LINES: usize = 800;

/// Two files side by side fit on a screen.
const MAX_COLUMNS: usize = 100;

/// Tables that read better with one row a line, whatever its width.
const WIDE: &[&str] = &["dataplane/abi/src/counters.rs"];

/// Checks all Rust files.
pub fn check(tree: &Tree) -> Vec<Finding> {
    tree.rust().flat_map(|(file, _)| check_file(file)).collect()
}

fn check_file(file: &File) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !opening(&file.text).is_some_and(|line| line.starts_with("//!")) {
        let message = "starts without `//!`: say in one sentence what this file is";
        findings.push(Finding::at(&file.path, 1, message));
    }
    let lines = file.text.lines().count();
    if lines > MAX_LINES {
        let message = format!("{lines} lines, at most {MAX_LINES}: give each noun its own file");
        findings.push(Finding::at(&file.path, lines, message));
    }
    if WIDE.contains(&file.path.as_str()) {
        return findings;
    }
    for (index, line) in file.text.lines().enumerate() {
        let columns = line.chars().count();
        if columns > MAX_COLUMNS {
            let message = format!("{columns} columns, at most {MAX_COLUMNS}: break the line");
            findings.push(Finding::at(&file.path, index + 1, message));
        }
    }
    findings
}

/// The first line that is neither an attribute of the whole file nor the reason for one.
fn opening(text: &str) -> Option<&str> {
    let before = |line: &&str| {
        let reason = line.starts_with("//") && !line.starts_with("//!");
        line.is_empty() || line.starts_with("#![") || reason
    };
    text.lines().map(str::trim).find(|line| !before(line))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::found;

    #[test]
    fn breaches_are_found() {
        let long = "//! A\n".repeat(MAX_LINES + 1);
        let wide = format!("//! A\n// {}\n// {}", "x".repeat(97), "x".repeat(98));
        for (text, expect) in [
            ("//! What\nfn a() {}", vec![]),
            ("#![allow(unsafe_code)]\n// Why.\n\n//! What", vec![]),
            ("fn a() {}", vec!["a.rs:1"]),
            (long.as_str(), vec!["a.rs:801"]),
            (wide.as_str(), vec!["a.rs:3"]),
        ] {
            let findings = check(&Tree::fake(&[("a.rs", text), ("b.md", "no rule here")]));
            assert_eq!(found(&findings), expect);
        }
    }
}
