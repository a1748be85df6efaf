//! Every key of the default configuration files is explained where it stands and in the manual.
//!
//! The default files list every key that the programs know (`tests/system` compares them with what
//! `--print-config` prints). A key that has no default stands there switched off, as `#key:`.

use crate::tree::{File, Finding, Tree};

const FILES: &[&str] = &["systemd/dataplane.yaml", "systemd/controlplane.yaml"];
const MANUAL: &str = "docs/configure.md";

/// A key of a YAML file.
#[derive(Debug, PartialEq, Eq)]
struct Key {
    /// `a.b.c`.
    path: String,
    line: usize,
    explained: bool,
}

/// Checks the default files against themselves and against the manual.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let manual = tree.file(MANUAL).map_or("", |file| file.text.as_str());
    FILES.iter().filter_map(|path| tree.file(path)).flat_map(|f| check_file(f, manual)).collect()
}

fn check_file(file: &File, manual: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for key in keys(&file.text) {
        if !key.explained {
            let message = format!("`{}` stands without a comment above it", key.path);
            findings.push(Finding::at(&file.path, key.line, message));
        }
        if !manual.contains(&format!("`{}`", key.path)) {
            let message = format!("`{}` is not explained in {MANUAL}", key.path);
            findings.push(Finding::at(&file.path, key.line, message));
        }
    }
    findings
}

/// The keys of a YAML file in block style, switched-off ones included, as `a.b.c`.
pub fn key_paths(text: &str) -> Vec<String> {
    keys(text).into_iter().map(|key| key.path).collect()
}

/// The keys of a YAML file in block style. A comment explains the key below it and, until the next
/// blank line, the keys that follow.
fn keys(text: &str) -> Vec<Key> {
    let mut keys = Vec::new();
    let mut above: Vec<(usize, String)> = Vec::new();
    let mut explained = false;
    for (index, line) in text.lines().enumerate() {
        let trimmed = line.trim_start();
        if trimmed.is_empty() {
            explained = false;
            continue;
        }
        if trimmed.starts_with("# ") || trimmed == "#" {
            explained = true;
            continue;
        }
        let bare = trimmed.trim_start_matches('#');
        let Some((name, _)) = bare.split_once(':') else { continue };
        let known = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if name.is_empty() || !name.chars().all(known) {
            continue;
        }
        let indent = line.len() - trimmed.len();
        above.retain(|(outer, _)| *outer < indent);
        above.push((indent, name.to_owned()));
        let path: Vec<&str> = above.iter().map(|(_, name)| name.as_str()).collect();
        keys.push(Key { path: path.join("."), line: index + 1, explained });
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::found;

    #[test]
    fn keys_are_read() {
        let text = "# Why.\na: 1\nb: 2\n\nc:\n  # Why.\n  d: [1, 2]\n  #e: x\nf: \"a: b\"\n";
        let read: Vec<(String, usize, bool)> =
            keys(text).into_iter().map(|key| (key.path, key.line, key.explained)).collect();
        let expect = [
            ("a", 2, true),
            ("b", 3, true),
            ("c", 5, false),
            ("c.d", 7, true),
            ("c.e", 8, true),
            ("f", 9, true),
        ];
        assert_eq!(read, expect.map(|(path, line, said)| (path.to_owned(), line, said)));
    }

    #[test]
    fn breaches_are_found() {
        for (yaml, manual, expect) in [
            ("# Why.\nport: 1", "the `port`", vec![]),
            ("port: 1", "the `port`", vec!["systemd/controlplane.yaml:1"]),
            ("# Why.\nport: 1", "the port", vec!["systemd/controlplane.yaml:2"]),
        ] {
            let tree = Tree::fake(&[("systemd/controlplane.yaml", yaml), (MANUAL, manual)]);
            assert_eq!(found(&check(&tree)), expect, "{yaml}");
        }
    }
}
