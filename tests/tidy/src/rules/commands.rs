//! Every command that the manuals tell a person to type exists.
//!
//! `tests/system` compares this list with what `ringway --help` prints.

use crate::tree::{Finding, Tree};

/// Subcommands of `ringway`, those of `ringway forward` with their two words.
pub const SUBCOMMANDS: &[&str] = &[
    "dev",
    "check",
    "top",
    "token",
    "forward",
    "forward add",
    "forward list",
    "forward show",
    "forward rm",
    "forward add-destination",
    "forward rm-destination",
    "forward update",
    "forward update-destination",
    "completions",
    "version",
    "help",
];

/// Checks all Markdown files: the Makefile targets and the subcommands that they mention.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let targets = make_targets(tree.file("Makefile").map_or("", |file| file.text.as_str()));
    let mut findings = Vec::new();
    for file in tree.ending(".md") {
        for (index, command) in commands(&file.text) {
            let mut words = command.split_whitespace().filter(|word| *word != "sudo");
            let problem = match words.next() {
                Some("ringway") => unknown_subcommand(words),
                Some("make") => unknown_target(words, &targets),
                _ => None,
            };
            findings.extend(problem.map(|message| Finding::at(&file.path, index, message)));
        }
    }
    findings
}

fn unknown_subcommand<'a>(mut words: impl Iterator<Item = &'a str>) -> Option<String> {
    let first = words.next().filter(|word| is_name(word))?;
    let nested = SUBCOMMANDS.iter().any(|name| name.starts_with(&format!("{first} ")));
    let second = words.next().filter(|word| nested && !word.starts_with(['-', '#', '|']));
    let typed = second.map_or(first.to_owned(), |second| format!("{first} {second}"));
    if SUBCOMMANDS.contains(&typed.as_str()) {
        return None;
    }
    Some(format!("`ringway {typed}` does not exist: mend the text, or list the new command"))
}

fn unknown_target<'a>(words: impl Iterator<Item = &'a str>, targets: &[String]) -> Option<String> {
    let mut words = words.take_while(|word| *word != "#").filter(|word| is_name(word));
    let unknown = words.find(|word| !targets.iter().any(|target| target == word))?;
    Some(format!("`make {unknown}` does not exist: mend the text, or add the target"))
}

/// A word that may name a subcommand: no option, path, placeholder or end of a sentence.
fn is_name(word: &str) -> bool {
    word.chars().all(|c| c.is_ascii_lowercase() || c == '-') && !word.starts_with('-')
}

/// What stands in backticks or in a code block, line by line.
fn commands(text: &str) -> Vec<(usize, &str)> {
    let mut commands = Vec::new();
    let mut fenced = false;
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if fenced {
            let line = line.trim().trim_start_matches("$ ").trim_start_matches("# ");
            commands.push((index + 1, line));
        } else {
            commands.extend(line.split('`').skip(1).step_by(2).map(|span| (index + 1, span)));
        }
    }
    commands
}

fn make_targets(makefile: &str) -> Vec<String> {
    let heads = makefile.lines().filter(|line| line.starts_with(|c: char| c.is_ascii_lowercase()));
    let heads = heads.filter_map(|line| line.split_once(':')).map(|(head, _)| head);
    heads.flat_map(str::split_whitespace).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::found;

    #[test]
    fn breaches_are_found() {
        let makefile = "help: ## help\ndev build: need\n\tcargo build\nX := 1\n";
        for (text, expect) in [
            ("Run `ringway check`, then `ringway forward add --listen 5004`.", vec![]),
            ("`ringway forward FW_x`", vec!["a.md:1"]),
            ("`ringway fly`", vec!["a.md:1"]),
            ("`ringway token --room r`; ringway is a word, `ringway` too", vec![]),
            ("```\n$ ringway top\nmake dev\nsudo make fly\n```", vec!["a.md:4"]),
            ("`make build PREFIX=/usr` and `make`", vec![]),
        ] {
            let tree = Tree::fake(&[("a.md", text), ("Makefile", makefile)]);
            assert_eq!(found(&check(&tree)), expect, "{text}");
        }
    }
}
