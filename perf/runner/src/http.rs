//! The least HTTP client: one request a connection, JSON both ways, loopback only.
//!
//! It speaks HTTP/1.0, to which no server may answer in chunks, so a body ends with the connection.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::Value;

const TIMEOUT: Duration = Duration::from_secs(15);

/// A server's address and what identifies us to it.
pub struct Client {
    /// Where the server listens.
    pub address: SocketAddr,
    /// Token for `Authorization: Bearer`.
    pub token: Option<String>,
}

/// An answer; the body is `Null` when it is not JSON.
#[derive(Debug, PartialEq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Body.
    pub body: Value,
}

impl Client {
    /// Sends one request and reads its answer.
    pub fn request(&self, verb: &str, path: &str, body: Option<&Value>) -> anyhow::Result<Answer> {
        let mut stream = TcpStream::connect_timeout(&self.address, TIMEOUT)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        let body = body.map(Value::to_string).unwrap_or_default();
        let (address, length) = (self.address, body.len());
        let token = self.token.as_ref().map(|token| format!("Authorization: Bearer {token}\r\n"));
        let token = token.unwrap_or_default();
        let head = format!(
            "{verb} {path} HTTP/1.0\r\nHost: {address}\r\n{token}\
             Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
        );
        stream.write_all(head.as_bytes())?;
        stream.write_all(body.as_bytes())?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        parse(&answer).with_context(|| format!("{verb} {path}: no HTTP answer"))
    }

    /// As `request`, and anything but success is an error that quotes the answer.
    pub fn expect(&self, verb: &str, path: &str, body: Option<&Value>) -> anyhow::Result<Value> {
        let Answer { status, body } = self.request(verb, path, body)?;
        if !(200..300).contains(&status) {
            bail!("{verb} {path}: status {status}: {body}");
        }
        Ok(body)
    }
}

fn parse(answer: &[u8]) -> Option<Answer> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&answer[..end]).ok()?;
    let status = head.strip_prefix("HTTP/1.")?.split_whitespace().nth(1)?.parse().ok()?;
    let body = serde_json::from_slice(&answer[end + 4..]).unwrap_or(Value::Null);
    Some(Answer { status, body })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: Option<(u16, Value)>) {
        let expect = expect.map(|(status, body)| Answer { status, body });
        assert_eq!(parse(text.as_bytes()), expect, "{text}");
    }

    #[test]
    fn answers_are_parsed() {
        check("HTTP/1.1 200 OK\r\na: b\r\n\r\n{\"x\":1}", Some((200, serde_json::json!({"x": 1}))));
        check("HTTP/1.0 503 Away\r\n\r\nnot json", Some((503, Value::Null)));
        check("HTTP/1.1 204 No Content\r\n\r\n", Some((204, Value::Null)));
        check("HTTP/1.1 200 OK\r\n", None);
        check("SSH-2.0\r\n\r\n", None);
        check("", None);
    }
}
