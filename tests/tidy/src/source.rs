//! A Rust file seen without a parser: which bytes are code, where functions and tests lie.
//!
//! Good enough to count and to search, which is all that the rules do. It knows comments, strings,
//! characters and braces; it knows no macro and no type.

use std::ops::RangeInclusive;

use crate::tree::line_of;

/// A scanned Rust file. Both views have the bytes of the text at the same offsets; what they hide
/// is blank.
#[derive(Debug)]
pub struct Source {
    /// Comments, strings and characters hidden.
    pub code: String,
    /// Comments hidden.
    pub uncommented: String,
    /// Lines of `#[cfg(test)]` modules.
    pub tests: Vec<RangeInclusive<usize>>,
}

/// A function with a body.
#[derive(Debug, PartialEq, Eq)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// Line of the `fn`.
    pub line: usize,
    /// Lines that hold code, from the `fn` to the closing brace.
    pub code_lines: usize,
}

impl Source {
    /// Scans `text`.
    pub fn scan(text: &str) -> Self {
        let (code, uncommented) = hide(text);
        let tests = test_modules(&code);
        Self { code, uncommented, tests }
    }

    /// True where `line` is inside a test module.
    pub fn in_tests(&self, line: usize) -> bool {
        self.tests.iter().any(|range| range.contains(&line))
    }

    /// Offsets at which `word` stands as a whole word in the code.
    pub fn words<'a>(&'a self, word: &'a str) -> impl Iterator<Item = usize> + 'a {
        words(&self.code, word)
    }

    /// Line of an offset.
    pub fn line(&self, offset: usize) -> usize {
        line_of(&self.code, offset)
    }

    /// All functions with bodies.
    pub fn functions(&self) -> Vec<Function> {
        let found = self.words("fn").filter_map(|at| {
            let name = identifier(&self.code[at + 2..])?;
            let body = body_start(&self.code, at)?;
            let end = closing_brace(&self.code, body)?;
            let lines = self.uncommented[at..=end].lines();
            Some(Function {
                name: name.to_owned(),
                line: self.line(at),
                code_lines: lines.filter(|line| !line.trim().is_empty()).count(),
            })
        });
        found.collect()
    }
}

/// Offsets at which `word` stands as a whole word in `code`.
pub fn words<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    code.match_indices(word).map(|(at, _)| at).filter(move |at| {
        let before = code[..*at].chars().next_back();
        let after = code[at + word.len()..].chars().next();
        !before.is_some_and(is_word) && !after.is_some_and(is_word)
    })
}

/// The identifier at the start of `code`, after blanks.
pub fn identifier(code: &str) -> Option<&str> {
    let code = code.trim_start();
    let end = code.find(|c| !is_word(c)).unwrap_or(code.len());
    let first = code.chars().next()?;
    (end > 0 && !first.is_ascii_digit()).then(|| &code[..end])
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Where the body of the function at `at` opens; `None` for a declaration.
fn body_start(code: &str, at: usize) -> Option<usize> {
    let mut depth = 0i32;
    for (offset, byte) in code.bytes().enumerate().skip(at) {
        match byte {
            b'(' | b'[' => depth += 1,
            b')' | b']' => depth -= 1,
            b';' if depth == 0 => return None,
            b'{' if depth == 0 => return Some(offset),
            _ => {}
        }
    }
    None
}

fn closing_brace(code: &str, open: usize) -> Option<usize> {
    let mut depth = 0i32;
    for (offset, byte) in code.bytes().enumerate().skip(open) {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(offset);
        }
    }
    None
}

fn test_modules(code: &str) -> Vec<RangeInclusive<usize>> {
    let marks = code.match_indices("#[cfg(test)]").chain(code.match_indices("#[cfg(all(test"));
    let found = marks.filter_map(|(at, _)| {
        let after = at + code[at..].find(']')? + 1;
        let open = body_start(code, after)?;
        let end = closing_brace(code, open)?;
        Some(line_of(code, at)..=line_of(code, end))
    });
    found.collect()
}

/// The two views of a text: without comments and literals, and without comments.
fn hide(text: &str) -> (String, String) {
    let bytes = text.as_bytes();
    let mut code = bytes.to_vec();
    let mut uncommented = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let (end, comment) = hidden_until(bytes, at);
        for offset in at..end {
            if bytes[offset] != b'\n' {
                code[offset] = b' ';
                if comment {
                    uncommented[offset] = b' ';
                }
            }
        }
        at = end.max(at + 1);
    }
    let text = |bytes| String::from_utf8(bytes).unwrap_or_default();
    (text(code), text(uncommented))
}

/// Where what opens at `at` ends, and whether it is a comment; `at` itself when it is code.
fn hidden_until(bytes: &[u8], at: usize) -> (usize, bool) {
    let rest = &bytes[at..];
    let inside_word = at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_');
    match rest {
        [b'/', b'/', ..] => {
            let line = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
            (at + line, true)
        }
        [b'/', b'*', ..] => (at + block_comment(rest), true),
        [b'"', ..] => (at + 1 + string(&rest[1..]), false),
        [b'r', b'"' | b'#', ..] if !inside_word => (at + raw_string(rest), false),
        [b'b', b'r', b'"' | b'#', ..] if !inside_word => (at + 1 + raw_string(&rest[1..]), false),
        [b'\'', ..] => (at + character(rest), false),
        _ => (at, false),
    }
}

fn block_comment(rest: &[u8]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at + 1 < rest.len() {
        match &rest[at..at + 2] {
            b"/*" => depth += 1,
            b"*/" => depth -= 1,
            _ => {
                at += 1;
                continue;
            }
        }
        at += 2;
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

/// Length of a string after its opening quote, the closing quote included.
fn string(rest: &[u8]) -> usize {
    let mut at = 0;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// Length of `r#"…"#`; 0 when it is a raw identifier.
fn raw_string(rest: &[u8]) -> usize {
    let hashes = rest[1..].iter().take_while(|byte| **byte == b'#').count();
    if rest.get(1 + hashes) != Some(&b'"') {
        return 0;
    }
    let body = 2 + hashes;
    let closes = |at: &usize| {
        rest[*at] == b'"' && rest[at + 1..].iter().take_while(|b| **b == b'#').count() >= hashes
    };
    (body..rest.len()).find(closes).map_or(rest.len(), |at| at + 1 + hashes)
}

/// Length of `'x'`; 0 when it is a lifetime.
fn character(rest: &[u8]) -> usize {
    let body = rest[1..].split(|byte| *byte == b'\n').next().unwrap_or_default();
    if body.first() == Some(&b'\\') {
        return body[2.min(body.len())..].iter().position(|b| *b == b'\'').map_or(0, |at| at + 4);
    }
    let Some(first) = std::str::from_utf8(body).ok().and_then(|text| text.chars().next()) else {
        return 0;
    };
    let width = first.len_utf8();
    if body.get(width) == Some(&b'\'') { width + 2 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_code_is_hidden() {
        for (text, expect) in [
            ("a // b\nc", "a     \nc"),
            ("a /* b /* c */ d */ e", "a                   e"),
            (r#"f("}\"{") g"#, "f(      ) g"),
            (r##"f(r#"{"{"#) g"##, "f(        ) g"),
            ("b'{' 'a '\\'' '\\n' ü", "b    'a           ü"),
            ("<'a>('{')", "<'a>(   )"),
            ("r#type", "r#type"),
            ("\"é{\" x", "      x"),
        ] {
            let hidden = hide(text).0;
            assert_eq!(hidden, expect, "{text}");
        }
    }

    #[test]
    fn functions_are_measured() {
        let text =
            "fn one() {}\nfn two(a: [u8; 2]) -> u8\nwhere\n{\n    // why\n\n    a\n}\nfn no();";
        let source = Source::scan(text);
        let found: Vec<(String, usize, usize)> =
            source.functions().into_iter().map(|f| (f.name, f.line, f.code_lines)).collect();
        assert_eq!(found, [("one".to_owned(), 1, 1), ("two".to_owned(), 2, 5)]);
    }

    #[test]
    fn test_modules_are_found() {
        let source =
            Source::scan("fn a() {}\n#[cfg(test)]\nmod tests {\n  fn b() {}\n}\nfn c() {}");
        assert_eq!(source.tests, [2..=5]);
        for (line, expect) in [(1, false), (2, true), (5, true), (6, false)] {
            assert_eq!(source.in_tests(line), expect, "line {line}");
        }
    }

    #[test]
    fn words_are_whole() {
        let source = Source::scan("unsafe_code unsafe {} // unsafe\n\"unsafe\" my_unsafe");
        assert_eq!(source.words("unsafe").collect::<Vec<_>>(), [12]);
    }
}
