//! Every relative link in a Markdown file leads somewhere, its heading included.

use crate::tree::{File, Finding, Tree};

/// Checks all Markdown files.
pub fn check(tree: &Tree) -> Vec<Finding> {
    tree.ending(".md").flat_map(|file| check_file(tree, file)).collect()
}

fn check_file(tree: &Tree, file: &File) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, line) in prose(&file.text) {
        for target in targets(line) {
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let (path, heading) = target.split_once('#').unwrap_or((target, ""));
            let path = resolve(&file.path, path);
            if !exists(tree, &path) {
                let message = format!("`{target}` leads nowhere: mend the link or add the file");
                findings.push(Finding::at(&file.path, index, message));
            } else if !heading.is_empty() && !has_heading(tree, &path, heading) {
                let message = format!("`{target}`: no such heading in {path}");
                findings.push(Finding::at(&file.path, index, message));
            }
        }
    }
    findings
}

/// Lines outside code blocks, counted from 1.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    text.lines().enumerate().filter_map(move |(index, line)| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        (!fenced && !fence).then_some((index + 1, line))
    })
}

fn targets(line: &str) -> impl Iterator<Item = &str> {
    line.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target)
}

/// `path` as seen from the folder of `from`, from the top of the checkout.
fn resolve(from: &str, path: &str) -> String {
    if path.is_empty() {
        return from.to_owned();
    }
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

fn exists(tree: &Tree, path: &str) -> bool {
    let folder = format!("{path}/");
    path.is_empty()
        || tree.files.iter().any(|file| file.path == path || file.path.starts_with(&folder))
        || (!tree.root.as_os_str().is_empty() && tree.root.join(path).exists())
}

fn has_heading(tree: &Tree, path: &str, heading: &str) -> bool {
    let Some(file) = tree.file(path) else { return false };
    prose(&file.text).any(|(_, line)| line.starts_with('#') && slug(line) == heading)
}

/// The anchor that a heading gets.
fn slug(line: &str) -> String {
    let text = line.trim_start_matches('#').trim().to_lowercase();
    let kept = text.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::found;

    #[test]
    fn breaches_are_found() {
        for (text, expect) in [
            ("[b](b.md) [top](../README.md) [web](https://example.org/x)", vec![]),
            ("[folder](../docs/) [self](#here)\n\n## Here", vec![]),
            ("[b](b.md#a-few-words)", vec![]),
            ("\n[b](c.md)", vec!["docs/a.md:2"]),
            ("[b](b.md#nothing)", vec!["docs/a.md:1"]),
            ("```\n[b](c.md)\n```", vec![]),
        ] {
            let tree = Tree::fake(&[
                ("docs/a.md", text),
                ("docs/b.md", "# A few: `words`!"),
                ("README.md", ""),
            ]);
            assert_eq!(found(&check(&tree)), expect, "{text}");
        }
    }
}
