//! Functions stay short. Tests are excluded: a table of rows may be long.

use crate::tree::{Finding, Tree, is_test_path};

/// Lines with code, from the `fn` to its closing brace. Raised: functions that branch and compute
/// at once. Lowered: names for pieces that have no meaning of their own.
const MAX_CODE_LINES: usize = 70;

/// Checks all functions outside tests.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (file, source) in tree.rust().filter(|(file, _)| !is_test_path(&file.path)) {
        for function in source.functions() {
            if function.code_lines > MAX_CODE_LINES && !source.in_tests(function.line) {
                let message = format!(
                    "`{}` has {} lines of code, at most {MAX_CODE_LINES}: \
                     let the parent branch and leaves compute",
                    function.name, function.code_lines
                );
                findings.push(Finding::at(&file.path, function.line, message));
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
        let body = |lines: usize| format!("\nfn f() {{\n{}}}\n", "    a();\n".repeat(lines));
        let commented = format!("\nfn f() {{\n{}}}\n", "    // why\n".repeat(100));
        let tested = format!("#[cfg(test)]\nmod tests {{{}}}", body(100));
        for (path, text, expect) in [
            ("a/src/b.rs", body(68), vec![]),
            ("a/src/b.rs", body(69), vec!["a/src/b.rs:2"]),
            ("a/src/b.rs", commented, vec![]),
            ("a/src/b.rs", tested, vec![]),
            ("a/tests/b.rs", body(100), vec![]),
        ] {
            assert_eq!(found(&check(&Tree::fake(&[(path, &text)]))), expect);
        }
    }
}
