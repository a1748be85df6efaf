//! Names that say nothing: a file, type or function is named for the one thing that it is or does.

use crate::source::identifier;
use crate::tree::{Finding, Tree};

/// Words that no file, module, type, trait or function may have among its parts.
const EMPTY_WORDS: &[&str] =
    &["util", "utils", "helper", "helpers", "common", "misc", "manage", "manager"];

/// First words that no function may have.
const EMPTY_VERBS: &[&str] = &["process", "do"];

/// Names that must be as they are, with the reason.
const EXCEPTIONS: &[(&str, &str)] = &[];

/// Checks all file names and all names that files define.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (file, source) in tree.rust() {
        let stem = file.path.rsplit('/').next().unwrap_or_default().trim_end_matches(".rs");
        if let Some(word) = empty_word(stem) {
            findings.push(finding(&file.path, 1, stem, word));
        }
        for keyword in ["fn", "struct", "enum", "trait", "mod", "type"] {
            for at in source.words(keyword) {
                let Some(name) = identifier(&source.code[at + keyword.len()..]) else { continue };
                let verb = if keyword == "fn" { empty_verb(name) } else { None };
                let excepted = EXCEPTIONS.iter().any(|(known, _)| *known == name);
                if let Some(word) = empty_word(name).or(verb).filter(|_| !excepted) {
                    findings.push(finding(&file.path, source.line(at), name, word));
                }
            }
        }
    }
    findings
}

fn finding(path: &str, line: usize, name: &str, word: &str) -> Finding {
    Finding::at(path, line, format!("`{name}`: `{word}` says nothing; name what it is or does"))
}

fn empty_word(name: &str) -> Option<&'static str> {
    let parts = parts(name);
    EMPTY_WORDS.iter().copied().find(|word| parts.iter().any(|part| part == word))
}

fn empty_verb(name: &str) -> Option<&'static str> {
    let parts = parts(name);
    EMPTY_VERBS.iter().copied().find(|verb| parts.first().is_some_and(|part| part == verb))
}

/// `snake_case`, `CamelCase` and `kebab-case` taken apart, in lower case.
fn parts(name: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    for c in name.chars() {
        let fresh = parts.last().is_some_and(String::is_empty);
        if (c.is_uppercase() || !c.is_alphanumeric()) && !fresh {
            parts.push(String::new());
        }
        if c.is_alphanumeric()
            && let Some(part) = parts.last_mut()
        {
            part.extend(c.to_lowercase());
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::found;

    #[test]
    fn breaches_are_found() {
        for (path, text, expect) in [
            ("a/lane.rs", "fn handle_packet() {}\nstruct Lane;", vec![]),
            ("a/utils.rs", "", vec!["a/utils.rs:1"]),
            ("a/lane.rs", "\nstruct SessionManager;", vec!["a/lane.rs:2"]),
            ("a/lane.rs", "fn process() {}", vec!["a/lane.rs:1"]),
            ("a/lane.rs", "fn process_packet() {}", vec!["a/lane.rs:1"]),
            ("a/lane.rs", "fn do_it() {}", vec!["a/lane.rs:1"]),
            ("a/lane.rs", "fn kill_process() {}\nfn done() {}\nmod process;", vec![]),
            ("a/lane.rs", "mod common;", vec!["a/lane.rs:1"]),
            ("a/lane.rs", "fn uncommon() {} // fn helper", vec![]),
        ] {
            assert_eq!(found(&check(&Tree::fake(&[(path, text)]))), expect, "{path} {text}");
        }
    }

    #[test]
    fn names_are_taken_apart() {
        for (name, expect) in [
            ("receive_run", vec!["receive", "run"]),
            ("SessionTable", vec!["session", "table"]),
            ("_x", vec!["x"]),
        ] {
            assert_eq!(parts(name), expect, "{name}");
        }
    }
}
