//! What is put in while writing and taken out before handing over.

use crate::tree::{Finding, Tree};

const LEFTOVERS: &[(&str, &str)] = &[
    ("todo", "write it, or return an error that says what is missing"),
    ("unimplemented", "write it, or return an error that says what is missing"),
    ("dbg", "remove it, or log through `tracing`"),
];

/// Checks all Rust code, tests included.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (file, source) in tree.rust() {
        for (name, advice) in LEFTOVERS {
            for at in source.words(name) {
                if source.code[at + name.len()..].starts_with('!') {
                    let message = format!("`{name}!`: {advice}");
                    findings.push(Finding::at(&file.path, source.line(at), message));
                }
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
        for (text, expect) in [
            ("fn f() { todo!() }", vec!["a.rs:1"]),
            ("\nfn f() { dbg!(1); unimplemented!(); }", vec!["a.rs:2", "a.rs:2"]),
            ("// todo!()\nfn todo() { f(\"dbg!\") }", vec![]),
        ] {
            assert_eq!(found(&check(&Tree::fake(&[("a.rs", text)]))), expect, "{text}");
        }
    }
}
