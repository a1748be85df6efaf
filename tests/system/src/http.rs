//! A small blocking HTTP/1.1 client: one request per connection, and nothing that it does not say.

use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// Longer than the slowest answer that the API promises (504 after 5 s).
const TIMEOUT: Duration = Duration::from_secs(10);

/// Talks to one control plane.
#[derive(Debug, Clone)]
pub struct Client {
    address: SocketAddr,
    token: Option<String>,
}

/// What came back.
#[derive(Debug, Clone)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body as text.
    pub body: String,
}

impl Response {
    /// The value of a header, by its lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is not JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body)
            .unwrap_or_else(|error| panic!("not JSON ({error}): {} {}", self.status, self.body))
    }

    /// The body as JSON of an answer that must have this status.
    ///
    /// # Panics
    /// When the status is another.
    #[track_caller]
    pub fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "unexpected answer: {}", self.body);
        if self.body.is_empty() { Value::Null } else { self.json() }
    }
}

impl Client {
    /// A client of the control plane at `address`; `token` goes into every request.
    pub fn new(address: SocketAddr, token: Option<String>) -> Self {
        Self { address, token }
    }

    /// `GET`, which must be answered.
    pub fn get(&self, path: &str) -> Response {
        self.must("GET", path, None)
    }

    /// `POST` with a JSON body, which must be answered.
    pub fn post(&self, path: &str, body: &Value) -> Response {
        self.must("POST", path, Some(body))
    }

    /// `PATCH` with a JSON body, which must be answered.
    pub fn patch(&self, path: &str, body: &Value) -> Response {
        self.must("PATCH", path, Some(body))
    }

    /// `DELETE`, which must be answered.
    pub fn delete(&self, path: &str) -> Response {
        self.must("DELETE", path, None)
    }

    /// Any method with a JSON body or none.
    pub fn send(&self, method: &str, path: &str, body: Option<&Value>) -> io::Result<Response> {
        let body = body.map(Value::to_string);
        let mut headers = Vec::new();
        if body.is_some() {
            headers.push(("content-type", "application/json"));
        }
        self.send_raw(method, path, &headers, body.unwrap_or_default().as_bytes())
    }

    /// Any request at all; only `host`, `connection`, `content-length` and the token are added.
    pub fn send_raw(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<Response> {
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {}\r\n", self.address);
        if let Some(token) = &self.token {
            let _ = write!(head, "authorization: Bearer {token}\r\n");
        }
        for (name, value) in headers {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        let _ = write!(head, "connection: close\r\ncontent-length: {}\r\n\r\n", body.len());
        let mut stream = TcpStream::connect_timeout(&self.address, TIMEOUT)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        stream.write_all(head.as_bytes())?;
        // A server may refuse a body before it has read all of it; its answer still counts.
        let sent = stream.write_all(body);
        let mut answer = Vec::new();
        let received = stream.read_to_end(&mut answer);
        if answer.is_empty() {
            sent?;
            received?;
        }
        parse(&answer)
    }

    fn must(&self, method: &str, path: &str, body: Option<&Value>) -> Response {
        self.send(method, path, body)
            .unwrap_or_else(|error| panic!("{method} {path} was not answered: {error}"))
    }
}

fn parse(answer: &[u8]) -> io::Result<Response> {
    let broken = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
    let end = end.ok_or_else(|| broken("the answer has no end of headers"))?;
    let head = String::from_utf8_lossy(&answer[..end]);
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok());
    let status = status.ok_or_else(|| broken("the answer has no status"))?;
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
        .collect();
    let chunked = headers
        .iter()
        .any(|(name, value)| name == "transfer-encoding" && value.eq_ignore_ascii_case("chunked"));
    let body = &answer[end + 4..];
    let body = if chunked { unchunk(body) } else { body.to_vec() };
    Ok(Response { status, headers, body: String::from_utf8_lossy(&body).into_owned() })
}

fn unchunk(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(line) = rest.windows(2).position(|two| two == b"\r\n") {
        let size = String::from_utf8_lossy(&rest[..line]);
        let size = usize::from_str_radix(size.split(';').next().unwrap_or_default().trim(), 16);
        let start = line + 2;
        match size {
            Ok(size) if size > 0 && rest.len() >= start + size + 2 => {
                body.extend_from_slice(&rest[start..start + size]);
                rest = &rest[start + size + 2..];
            }
            _ => break,
        }
    }
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_parsed() {
        for (answer, status, body) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK", 200, "OK"),
            ("HTTP/1.1 204 No Content\r\n\r\n", 204, ""),
            (
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n",
                200,
                "abc",
            ),
        ] {
            let response = parse(answer.as_bytes()).expect("a good answer");
            assert_eq!((response.status, response.body.as_str()), (status, body), "{answer}");
        }
        for answer in ["", "HTTP/1.1 200 OK\r\n", "nonsense\r\n\r\n"] {
            assert!(parse(answer.as_bytes()).is_err(), "{answer}");
        }
    }
}
