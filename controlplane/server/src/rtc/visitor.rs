//! Who stands at the door, from an HTTP request.

use std::borrow::Cow;

use axum::http::{HeaderMap, header};
use ringway_signal::client::Client;
use ringway_signal::join::Join;

use super::hub::{Refused, Visitor};
use crate::token::Tokens;

/// Proxies that are trusted to say where a client is, as LiveKit trusts them: the address is told
/// to nobody but logs and metrics.
const ADDRESS_HEADERS: [&str; 3] = ["cf-connecting-ip", "x-forwarded-for", "x-real-ip"];

/// Reads token, join request and what the client is. `strict` also refuses broken attributes.
pub fn visitor(
    tokens: &Tokens,
    query: &str,
    headers: &HeaderMap,
    needs_request: bool,
    strict: bool,
) -> Result<Visitor, Refused> {
    let denied = |error: crate::token::TokenError| refused(401, &error);
    let claims = tokens.of_request(headers, query).map_err(denied)?;
    if claims.video.is_none() {
        return Err(refused(401, &"permissions denied"));
    }
    let fields = fields(query);
    let pairs = fields.iter().map(|(name, value)| (name.as_ref(), value.as_ref()));
    let join = Join::from_query(pairs, needs_request, strict);
    let join = join.map_err(|error| refused(400, &error))?;
    let client = client(&join, headers);
    Ok(Visitor { claims, join, client })
}

/// What a client is, by what it and its headers say.
pub fn client(join: &Join, headers: &HeaderMap) -> Client {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let address = ADDRESS_HEADERS.iter().find_map(|name| text(name)).unwrap_or_default();
    let user_agent = text(header::USER_AGENT.as_str()).unwrap_or_default();
    Client::new(join.client.clone(), address, user_agent)
}

pub(super) fn refused(status: u16, message: &impl std::fmt::Display) -> Refused {
    Refused { status, message: message.to_string() }
}

/// The fields of a query, unescaped.
fn fields(query: &str) -> Vec<(Cow<'_, str>, Cow<'_, str>)> {
    let pairs = query.split('&').filter(|field| !field.is_empty());
    let pairs = pairs.map(|field| field.split_once('=').unwrap_or((field, "")));
    pairs.map(|(name, value)| (unescape(name), unescape(value))).collect()
}

/// Undoes `%41` and `+`. What is no such escape stays as it is.
fn unescape(text: &str) -> Cow<'_, str> {
    if !text.contains(['%', '+']) {
        return Cow::Borrowed(text);
    }
    let mut plain = Vec::with_capacity(text.len());
    let mut bytes = text.as_bytes();
    while let Some((first, rest)) = bytes.split_first() {
        bytes = rest;
        plain.push(match (first, rest) {
            (b'+', _) => b' ',
            (b'%', [high, low, after @ ..]) => match (digit(*high), digit(*low)) {
                (Some(high), Some(low)) => {
                    bytes = after;
                    high << 4 | low
                }
                _ => b'%',
            },
            (byte, _) => *byte,
        });
    }
    Cow::Owned(String::from_utf8_lossy(&plain).into_owned())
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_unescaped() {
        let check = |query: &str, expect: &[(&str, &str)]| {
            let found = fields(query);
            let found: Vec<_> = found.iter().map(|(a, b)| (a.as_ref(), b.as_ref())).collect();
            assert_eq!(found, expect, "{query}");
        };
        check("", &[]);
        check("a=b&c", &[("a", "b"), ("c", "")]);
        check("a=b%20c+d%2B", &[("a", "b c d+")]);
        check("a=%C3%A9&b=%ff", &[("a", "é"), ("b", "\u{fffd}")]);
        check("a=%&b=%4&c=%zz", &[("a", "%"), ("b", "%4"), ("c", "%zz")]);
        check("&&a=1=2", &[("a", "1=2")]);
    }
}
