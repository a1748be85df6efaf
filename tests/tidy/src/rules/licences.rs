//! Every crate that we link has a licence that `deny.toml` allows, and none is banned there.
//!
//! `cargo deny` knows more (advisories, licence files) but takes minutes to install; this much
//! needs only what cargo already has.

use crate::metadata::Foreign;
use crate::tree::Finding;

/// Checks `crates` against the text of `deny.toml`.
pub fn check(deny: &str, crates: &[Foreign]) -> Vec<Finding> {
    let allowed = list(deny, "allow = [");
    let banned = list(deny, "deny = [");
    let mut findings = Vec::new();
    for krate in crates {
        let name = krate.name.split(' ').next().unwrap_or_default();
        if banned.iter().any(|banned| banned == name) {
            let message =
                format!("`{}` is banned: find who imports it (cargo tree -i)", krate.name);
            findings.push(Finding::at("deny.toml", 1, message));
        }
        let licence = krate.licence.as_str();
        if !satisfied(licence, &allowed) && !excepted(deny, name) {
            let message = format!("`{}` has licence `{licence}`: do without it", krate.name);
            findings.push(Finding::at("deny.toml", 1, message));
        }
    }
    findings
}

/// The strings of the list that opens with `head`, one entry a line.
fn list(deny: &str, head: &str) -> Vec<String> {
    let lines = deny.lines().skip_while(|line| line.trim() != head).skip(1);
    let lines = lines.take_while(|line| line.trim() != "]");
    let entries = lines.filter_map(|line| line.split('"').nth(1));
    entries.map(str::to_owned).collect()
}

fn excepted(deny: &str, name: &str) -> bool {
    let marks = [format!("crate = \"{name}\""), format!("name = \"{name}\"")];
    let clause = |line: &str| line.contains("allow = [") || line.trim() == "[[licenses.clarify]]";
    let mut lines = deny.lines().filter(|line| clause(line) || line.contains("name = \""));
    lines.any(|line| marks.iter().any(|mark| line.contains(mark)))
}

/// An SPDX expression: alternatives by `OR` or `/`, all of `AND`, exceptions by `WITH`.
fn satisfied(licence: &str, allowed: &[String]) -> bool {
    let spaced = licence.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let tokens: Vec<&str> = spaced.split_whitespace().collect();
    let mut at = 0;
    !tokens.is_empty() && any(&tokens, &mut at, allowed) && at == tokens.len()
}

fn any(tokens: &[&str], at: &mut usize, allowed: &[String]) -> bool {
    let mut good = all(tokens, at, allowed);
    while tokens.get(*at) == Some(&"OR") {
        *at += 1;
        good |= all(tokens, at, allowed);
    }
    good
}

fn all(tokens: &[&str], at: &mut usize, allowed: &[String]) -> bool {
    let mut good = one(tokens, at, allowed);
    while tokens.get(*at) == Some(&"AND") {
        *at += 1;
        good &= one(tokens, at, allowed);
    }
    good
}

fn one(tokens: &[&str], at: &mut usize, allowed: &[String]) -> bool {
    if tokens.get(*at) == Some(&"(") {
        *at += 1;
        let good = any(tokens, at, allowed);
        *at += 1;
        return good;
    }
    let mut name = tokens.get(*at).copied().unwrap_or_default().to_owned();
    *at += 1;
    if tokens.get(*at) == Some(&"WITH") {
        name = format!("{name} WITH {}", tokens.get(*at + 1).copied().unwrap_or_default());
        *at += 2;
    }
    allowed.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DENY: &str = "[licenses]\nallow = [\n  \"MIT\", # why\n  \"Apache-2.0\",\n]\n\
                        exceptions = [\n  { allow = [\"MPL-2.0\"], crate = \"odd\" },\n]\n\
                        [bans]\ndeny = [\n  { crate = \"openssl\" },\n]\n";

    #[test]
    fn expressions_are_judged() {
        let allowed = ["MIT", "Apache-2.0", "ISC"].map(str::to_owned);
        for (licence, expect) in [
            ("MIT", true),
            ("MIT/Apache-2.0", true),
            ("GPL-3.0 OR MIT", true),
            ("GPL-3.0 AND MIT", false),
            ("(MIT OR GPL-3.0) AND ISC", true),
            ("ISC AND (GPL-3.0 OR BSL-1.0)", false),
            ("Apache-2.0 WITH LLVM-exception OR MIT", true),
            ("Apache-2.0 WITH LLVM-exception", false),
            ("", false),
        ] {
            assert_eq!(satisfied(licence, &allowed), expect, "{licence}");
        }
    }

    #[test]
    fn breaches_are_found() {
        for (name, licence, expect) in [
            ("fine 1.0.0", "MIT OR Apache-2.0", 0),
            ("odd 1.0.0", "MPL-2.0", 0),
            ("other 1.0.0", "MPL-2.0", 1),
            ("openssl 0.10.0", "Apache-2.0", 1),
        ] {
            let krate = Foreign { name: name.to_owned(), licence: licence.to_owned() };
            assert_eq!(check(DENY, &[krate]).len(), expect, "{name}");
        }
    }
}
