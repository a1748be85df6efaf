//! No test sleeps until it hopes that something has happened: it waits for the condition.

use crate::tree::{Finding, Tree, is_test_path};

/// Files that may sleep, with the reason.
const EXCEPTIONS: &[(&str, &str)] = &[
    ("tests/system/src/patience.rs", "the pause between two looks at a condition"),
    ("controlplane/cli/tests/launcher.rs", "the same, for a crate that must not need the system"),
    ("controlplane/server/tests/api.rs", "the same, without blocking the runtime"),
];

const SLEEPS: &[&str] = &["thread::sleep", "time::sleep"];

/// Checks all test code.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (file, source) in tree.rust() {
        if EXCEPTIONS.iter().any(|(path, _)| *path == file.path) {
            continue;
        }
        for sleep in SLEEPS {
            for (at, _) in source.code.match_indices(sleep) {
                let line = source.line(at);
                if is_test_path(&file.path) || source.in_tests(line) {
                    let message = format!(
                        "`{sleep}` in a test: wait for the condition (ringway_system::patience), \
                         or list the file with a reason in tests/tidy/src/rules/sleeps.rs"
                    );
                    findings.push(Finding::at(&file.path, line, message));
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
        let text = "fn f() {\n std::thread::sleep(d);\n}";
        let tested = "#[cfg(test)]\nmod tests {\n fn f() { tokio::time::sleep(d) }\n}";
        for (path, text, expect) in [
            ("a/src/b.rs", text, vec![]),
            ("a/tests/b.rs", text, vec!["a/tests/b.rs:2"]),
            ("a/src/b.rs", tested, vec!["a/src/b.rs:3"]),
            ("tests/system/src/patience.rs", text, vec![]),
        ] {
            assert_eq!(found(&check(&Tree::fake(&[(path, text)]))), expect, "{path}");
        }
    }
}
