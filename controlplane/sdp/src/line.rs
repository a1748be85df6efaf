//! A text as lines `<letter>=<value>`, with its bounds. Nothing here knows what a line means.

use crate::error::{ParseError, Reason};

/// Lines of one description. Raised: more work for one message. Lowered: large rooms fail, since a
/// section of a browser's offer has about 60 to 120 lines.
pub const MAX_LINES: usize = 131_072;
/// Bytes of one line. Raised: nothing gets better. Lowered: the BUNDLE line of hundreds of
/// sections no longer fits.
pub const MAX_LINE_BYTES: usize = 16_384;
/// Media sections of one description. Raised: more memory for one message. Lowered: participants
/// of large rooms cannot subscribe to everybody.
pub const MAX_SECTIONS: usize = 1_024;

/// One line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Line<'a> {
    /// Counted from 1.
    pub(crate) number: u32,
    /// The letter before the equals sign.
    pub(crate) letter: char,
    /// What follows the equals sign, without blanks around it.
    pub(crate) value: &'a str,
}

impl<'a> Line<'a> {
    /// Name and value of an attribute; the value is empty where there is none.
    pub(crate) fn attribute(&self) -> (&'a str, &'a str) {
        let (name, value) = self.value.split_once(':').unwrap_or((self.value, ""));
        (name, value.trim())
    }
}

/// The lines of `text`; empty ones are skipped.
pub(crate) fn lines(text: &str) -> impl Iterator<Item = Result<Line<'_>, ParseError>> {
    text.split('\n')
        .map(|line| line.strip_suffix('\r').unwrap_or(line))
        .enumerate()
        .filter(|(_, line)| !line.is_empty())
        .map(|(index, line)| read(index, line))
}

fn read(index: usize, line: &str) -> Result<Line<'_>, ParseError> {
    let number = u32::try_from(index + 1).unwrap_or(u32::MAX);
    let error = |reason| ParseError { line: number, what: "line", reason };
    if index >= MAX_LINES {
        return Err(error(Reason::TooMany));
    }
    if line.len() > MAX_LINE_BYTES {
        return Err(error(Reason::TooLong));
    }
    if line.chars().any(char::is_control) {
        return Err(error(Reason::ControlCharacter));
    }
    let mut chars = line.chars();
    match (chars.next(), chars.next()) {
        (Some(letter), Some('=')) if letter.is_ascii_lowercase() => {
            Ok(Line { number, letter, value: chars.as_str().trim() })
        }
        _ => Err(error(Reason::NotALine)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Read<'a> = (u32, char, &'a str);

    fn check(text: &str, expect: Result<&[Read<'_>], (u32, Reason)>) {
        let found: Result<Vec<_>, _> = lines(text).collect();
        let read = |line: &Line<'_>| format!("{} {} {}", line.number, line.letter, line.value);
        let found = found.map(|lines| lines.iter().map(read).collect::<Vec<_>>());
        let found = found.map_err(|error| (error.line, error.reason));
        let row = |row: &Read<'_>| format!("{} {} {}", row.0, row.1, row.2);
        assert_eq!(found, expect.map(|rows| rows.iter().map(row).collect()), "{text:?}");
    }

    #[test]
    fn texts_are_split() {
        check("", Ok(&[]));
        check("v=0\r\ns=-\n", Ok(&[(1, 'v', "0"), (2, 's', "-")]));
        check("v=0\r\n\r\na=mid: 0 \r\n", Ok(&[(1, 'v', "0"), (3, 'a', "mid: 0")]));
        check("s=", Ok(&[(1, 's', "")]));
        check("v", Err((1, Reason::NotALine)));
        check("v=0\nnonsense", Err((2, Reason::NotALine)));
        check("v=0\na=b\u{0}c", Err((2, Reason::ControlCharacter)));
        check("a=b\rc", Err((1, Reason::ControlCharacter)));
        check(&format!("a={}", "x".repeat(MAX_LINE_BYTES)), Err((1, Reason::TooLong)));
        let many = "a=b\n".repeat(MAX_LINES + 1);
        check(&many, Err((MAX_LINES as u32 + 1, Reason::TooMany)));
    }
}
