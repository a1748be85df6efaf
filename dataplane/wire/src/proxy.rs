//! The header with which a proxy tells whose connection it passes on (HAProxy's PROXY protocol,
//! versions 1 and 2, <https://www.haproxy.org/download/1.8/doc/proxy-protocol.txt>).
//!
//! What follows the header is the client's. So that none of it is read too early, the parser says
//! how many more octets certainly belong to the header.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// What version 2 begins with (section 2.2).
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
const V2_BYTES: usize = 16;
/// What version 1 begins with (section 2.1), and the shortest that there is.
const V1: &[u8] = b"PROXY ";
const V1_BYTES_MIN: usize = b"PROXY UNKNOWN\r\n".len();
/// The longest of version 1: "a 108-byte buffer is always enough" with the zero of C.
const V1_BYTES_MAX: usize = 107;

/// The longest header that is taken. Addresses are 52 octets of it at most; the rest says more of
/// the connection, such as names and certificates. Raised: strangers occupy more memory; lowered:
/// some proxies' clients are refused.
pub const MAX_BYTES: usize = 4096;

/// What can be told of a header so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header {
    /// So many more octets belong to it, at least.
    Needs(usize),
    /// It is whole.
    Whole {
        /// The client; `None`: the proxy itself (a check of health), or nobody with an IP address.
        client: Option<SocketAddr>,
    },
}

/// This is no such header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a PROXY header")]
pub struct NotProxy;

impl Header {
    /// Reads `bytes`, all that has come so far of a header and nothing of what follows.
    ///
    /// # Errors
    /// Whatever else may come, it will be none.
    pub fn read(bytes: &[u8]) -> Result<Self, NotProxy> {
        let is_v1 = bytes.iter().zip(V1).all(|(is, wanted)| is == wanted);
        let is_v2 = bytes.iter().zip(&SIGNATURE).all(|(is, wanted)| is == wanted);
        match bytes.len() {
            _ if !is_v1 && !is_v2 => Err(NotProxy),
            len if len < V1_BYTES_MIN => Ok(Self::Needs(V1_BYTES_MIN - len)),
            _ if is_v1 => read_v1(bytes),
            _ => read_v2(bytes),
        }
    }
}

fn read_v1(bytes: &[u8]) -> Result<Header, NotProxy> {
    let Some(line) = bytes.strip_suffix(b"\r\n") else {
        if bytes.len() >= V1_BYTES_MAX || bytes.contains(&b'\n') {
            return Err(NotProxy);
        }
        return Ok(Header::Needs(if bytes.last() == Some(&b'\r') { 1 } else { 2 }));
    };
    let line = std::str::from_utf8(line).map_err(|_| NotProxy)?;
    let mut words = line.split(' ').skip(1);
    let mut word = || words.next().ok_or(NotProxy);
    let client = match word()? {
        // Section 2.1: "the receiver must ignore anything presented before the CRLF".
        "UNKNOWN" => return Ok(Header::Whole { client: None }),
        "TCP4" => {
            let [source, _]: [Ipv4Addr; 2] = [parse(word()?)?, parse(word()?)?];
            IpAddr::V4(source)
        }
        "TCP6" => {
            let [source, _]: [Ipv6Addr; 2] = [parse(word()?)?, parse(word()?)?];
            IpAddr::V6(source)
        }
        _ => return Err(NotProxy),
    };
    let [port, _]: [u16; 2] = [parse(word()?)?, parse(word()?)?];
    match word() {
        Ok(_) => Err(NotProxy),
        Err(_) => Ok(Header::Whole { client: Some(SocketAddr::new(client, port)) }),
    }
}

fn parse<T: std::str::FromStr>(word: &str) -> Result<T, NotProxy> {
    word.parse().map_err(|_| NotProxy)
}

fn read_v2(bytes: &[u8]) -> Result<Header, NotProxy> {
    let Some((fixed, rest)) = bytes.split_first_chunk::<V2_BYTES>() else {
        return Ok(Header::Needs(V2_BYTES - bytes.len()));
    };
    let [.., command, family, high, low] = *fixed;
    let len = usize::from(u16::from_be_bytes([high, low]));
    if command >> 4 != 2 || V2_BYTES + len > MAX_BYTES || rest.len() > len {
        return Err(NotProxy);
    }
    if rest.len() < len {
        return Ok(Header::Needs(len - rest.len()));
    }
    let client = match (command & 0x0f, family) {
        // LOCAL: "the receiver must accept this connection as valid and must use the real
        // endpoints".
        (0, _) => None,
        (1, 0x11) => Some(source::<4, 12>(rest)?),
        (1, 0x21) => Some(source::<16, 36>(rest)?),
        // Other families: "the receiver should ignore address information".
        (1, _) => None,
        _ => return Err(NotProxy),
    };
    Ok(Header::Whole { client })
}

/// The source of addresses of `IP` octets; with destination and ports they take `ALL`.
fn source<const IP: usize, const ALL: usize>(addresses: &[u8]) -> Result<SocketAddr, NotProxy>
where
    IpAddr: From<[u8; IP]>,
{
    let addresses: &[u8; ALL] = addresses.first_chunk().ok_or(NotProxy)?;
    let (ip, rest) = addresses.split_first_chunk::<IP>().ok_or(NotProxy)?;
    let [high, low] = rest.get(IP..).and_then(|ports| ports.first_chunk()).ok_or(NotProxy)?;
    Ok(SocketAddr::new(IpAddr::from(*ip), u16::from_be_bytes([*high, *low])))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let len = (rest.len() as u16).to_be_bytes();
        [&SIGNATURE[..], &[command, family], &len, rest].concat()
    }

    /// Reads as a socket would be read: as many octets as are surely the header's.
    fn read(bytes: &[u8]) -> (Result<Header, NotProxy>, usize) {
        let mut len = 0;
        loop {
            match Header::read(&bytes[..len]) {
                Ok(Header::Needs(more)) if len + more <= bytes.len() && more > 0 => len += more,
                end => return (end, len),
            }
        }
    }

    fn whole(client: Option<&str>) -> Result<Header, NotProxy> {
        Ok(Header::Whole { client: client.map(|client| client.parse().expect("an address")) })
    }

    #[test]
    fn nothing_of_what_follows_is_read() {
        let v4 = [192, 0, 2, 7, 198, 51, 100, 1, 0xc3, 0x50, 0x14, 0xe5];
        let mut v6 = [0; 36];
        (v6[0], v6[1], v6[15], v6[33]) = (0x20, 0x01, 9, 80);
        let with_more = [&v4[..], &[4, 0, 2, 1, 1]].concat();
        let tcp4 = b"PROXY TCP4 192.0.2.7 198.51.100.1 50000 5349\r\n".to_vec();
        for (header, client) in [
            (tcp4, Some("192.0.2.7:50000")),
            (b"PROXY TCP6 2001:db8::7 ::1 1 2\r\n".to_vec(), Some("[2001:db8::7]:1")),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (b"PROXY UNKNOWN whatever else\r\n".to_vec(), None),
            (v2(0x21, 0x11, &v4), Some("192.0.2.7:50000")),
            (v2(0x21, 0x11, &with_more), Some("192.0.2.7:50000")),
            (v2(0x21, 0x21, &v6), Some("[2001::9]:80")),
            (v2(0x20, 0, &[]), None),
            (v2(0x20, 0x11, &v4), None),
            (v2(0x21, 0x31, &[0; 216]), None),
            (v2(0x21, 0, &[1, 2, 3]), None),
        ] {
            for follows in [&b""[..], b"\x16\x03\x01", b"\r\n\r\n"] {
                let bytes = [&header[..], follows].concat();
                assert_eq!(read(&bytes), (whole(client), header.len()), "{header:?}");
            }
            for len in 0..header.len() {
                assert!(matches!(Header::read(&header[..len]), Ok(Header::Needs(1..))), "{len}");
            }
        }
    }

    #[test]
    fn what_is_none() {
        let long = [&b"PROXY UNKNOWN "[..], &[b'a'; 93]].concat();
        assert_eq!(long.len(), V1_BYTES_MAX);
        for bytes in [
            &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03abcd"[..],
            b"GET / HTTP/1.1\r\n",
            b"PROXY TCP4 192.0.2.7\r\n",
            b"PROXY TCP4 ::1 ::1 1 2\r\n",
            b"PROXY TCP4 192.0.2.7 192.0.2.8 1 65536\r\n",
            b"PROXY TCP4 192.0.2.7 192.0.2.8 1 2 3\r\n",
            b"PROXY TCP4 192.0.2.7  192.0.2.8 1 2\r\n",
            b"PROXY UDP4 192.0.2.7 192.0.2.8 1 2\r\n",
            b"PROXY UNKNOWN \n\r\n",
            &long,
            &v2(0x31, 0x11, &[0; 12]),
            &v2(0x22, 0x11, &[0; 12]),
            &v2(0x21, 0x11, &[0; 11]),
            &v2(0x21, 0x21, &[0; 35]),
            &v2(0x21, 0x11, &[0; MAX_BYTES]),
        ] {
            assert_eq!(read(bytes).0, Err(NotProxy), "{}", String::from_utf8_lossy(bytes));
        }
        // Read too far: whoever asks has not kept to what was needed.
        assert_eq!(Header::read(&[&v2(0x20, 0, &[])[..], b"a"].concat()), Err(NotProxy));
    }
}
