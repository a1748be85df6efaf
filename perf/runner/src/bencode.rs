//! Bencoding, as far as rtpengine's control protocol needs it.

use std::collections::BTreeMap;

/// A bencoded value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A byte string that is text.
    Text(String),
    /// An integer.
    Integer(i64),
    /// A list.
    List(Vec<Value>),
    /// A dictionary.
    Dictionary(BTreeMap<String, Value>),
}

/// Deeper nesting than this is refused, so that no input can exhaust the stack.
const MAX_DEPTH: usize = 32;

impl Value {
    /// A dictionary of these entries.
    pub fn dictionary<const N: usize>(entries: [(&str, Value); N]) -> Self {
        Self::Dictionary(entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
    }

    /// A text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// A list of texts.
    pub fn texts(texts: &[&str]) -> Self {
        Self::List(texts.iter().map(|text| Self::text(*text)).collect())
    }

    /// The text under `key` of a dictionary.
    pub fn get_text(&self, key: &str) -> Option<&str> {
        match self {
            Self::Dictionary(entries) => match entries.get(key)? {
                Self::Text(text) => Some(text),
                _ => None,
            },
            _ => None,
        }
    }

    /// The bytes of the value.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(&mut out);
        out
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Text(text) => write_text(text, out),
            Self::Integer(number) => out.extend_from_slice(format!("i{number}e").as_bytes()),
            Self::List(values) => {
                out.push(b'l');
                values.iter().for_each(|value| value.write(out));
                out.push(b'e');
            }
            Self::Dictionary(entries) => {
                out.push(b'd');
                for (key, value) in entries {
                    write_text(key, out);
                    value.write(out);
                }
                out.push(b'e');
            }
        }
    }

    /// The value that `bytes` are; `None` when they are not exactly one.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes;
        let value = read(&mut rest, 0)?;
        rest.is_empty().then_some(value)
    }
}

fn write_text(text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("{}:", text.len()).as_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn read(rest: &mut &[u8], depth: usize) -> Option<Value> {
    if depth > MAX_DEPTH {
        return None;
    }
    match rest.first()? {
        b'i' => {
            *rest = &rest[1..];
            Some(Value::Integer(std::str::from_utf8(take_until(rest, b'e')?).ok()?.parse().ok()?))
        }
        b'l' => {
            *rest = &rest[1..];
            let mut values = Vec::new();
            while *rest.first()? != b'e' {
                values.push(read(rest, depth + 1)?);
            }
            *rest = &rest[1..];
            Some(Value::List(values))
        }
        b'd' => {
            *rest = &rest[1..];
            let mut entries = BTreeMap::new();
            while *rest.first()? != b'e' {
                let key = read_text(rest)?;
                entries.insert(key, read(rest, depth + 1)?);
            }
            *rest = &rest[1..];
            Some(Value::Dictionary(entries))
        }
        _ => read_text(rest).map(Value::Text),
    }
}

fn read_text(rest: &mut &[u8]) -> Option<String> {
    let length: usize = std::str::from_utf8(take_until(rest, b':')?).ok()?.parse().ok()?;
    let (text, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(String::from_utf8_lossy(text).into_owned())
}

fn take_until<'a>(rest: &mut &'a [u8], end: u8) -> Option<&'a [u8]> {
    let at = rest.iter().position(|byte| *byte == end)?;
    let (taken, after) = rest.split_at(at);
    *rest = &after[1..];
    Some(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &str, expect: Option<Value>) {
        let got = Value::decode(bytes.as_bytes());
        assert_eq!(got, expect, "{bytes}");
        if let Some(value) = got {
            assert_eq!(value.encode(), bytes.as_bytes(), "{bytes} again");
        }
    }

    #[test]
    fn values_go_both_ways() {
        check("4:ping", Some(Value::text("ping")));
        check("0:", Some(Value::text("")));
        check("i-7e", Some(Value::Integer(-7)));
        check("l1:a1:be", Some(Value::texts(&["a", "b"])));
        check("d7:command4:pinge", Some(Value::dictionary([("command", Value::text("ping"))])));
        check(
            "d1:ale1:bd1:ci1eee",
            Some(Value::dictionary([
                ("a", Value::List(vec![])),
                ("b", Value::dictionary([("c", Value::Integer(1))])),
            ])),
        );
    }

    #[test]
    fn broken_bytes_are_refused() {
        for bytes in ["", "5:ping", "i7", "ie", "l", "d1:a", "di1e1:ae", "4:pingx", "99999999999:a"]
        {
            check(bytes, None);
        }
        check(&"l".repeat(100_000), None);
    }

    #[test]
    fn dictionaries_are_read() {
        let reply = Value::decode(b"d6:result2:ok3:sdp5:v=0\r\ne").unwrap();
        assert_eq!(reply.get_text("result"), Some("ok"));
        assert_eq!(reply.get_text("sdp"), Some("v=0\r\n"));
        assert_eq!(reply.get_text("none"), None);
    }
}
