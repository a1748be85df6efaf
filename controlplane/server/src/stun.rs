//! Asks STUN servers (RFC 8489) from which address this machine is seen.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::time::{Duration, Instant};

/// After so long without an answer there will be none.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);
/// Between two rounds of questions.
const ROUND: Duration = Duration::from_millis(500);

const HEADER_BYTES: usize = 20;
const COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
const BINDING: u16 = 0x0001;
const BINDING_SUCCESS: u16 = 0x0101;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;

/// The address that the first server to answer sees questions from `from` come from. All are asked
/// at once.
pub(crate) fn ask(
    servers: &[String],
    from: IpAddr,
    patience: Duration,
) -> Result<IpAddr, io::Error> {
    let socket = UdpSocket::bind((from, 0))?;
    let mut transaction = [0; 12];
    getrandom::fill(&mut transaction).map_err(|_| io::ErrorKind::Other)?;
    let same_family = |address: &SocketAddr| address.is_ipv4() == from.is_ipv4();
    let addresses: Vec<SocketAddr> = servers
        .iter()
        .filter_map(|server| server.to_socket_addrs().ok())
        .filter_map(|mut addresses| addresses.find(same_family))
        .collect();
    if addresses.is_empty() {
        return Err(io::ErrorKind::NotFound.into());
    }
    let end = Instant::now() + patience;
    let mut answer = [0; 1500];
    loop {
        let now = Instant::now();
        if now >= end {
            return Err(io::ErrorKind::TimedOut.into());
        }
        // One that cannot be reached must not keep the others from being asked.
        for address in &addresses {
            let _ = socket.send_to(&question(transaction), address);
        }
        let round_end = (now + ROUND).min(end);
        while let Some(left) =
            round_end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
        {
            socket.set_read_timeout(Some(left))?;
            // Errors of earlier questions come out here, too.
            let Ok((len, by)) = socket.recv_from(&mut answer) else { continue };
            if addresses.contains(&by)
                && let Some(ip) = mapped(answer.get(..len).unwrap_or(&[]), transaction)
            {
                return Ok(ip);
            }
        }
    }
}

fn question(transaction: [u8; 12]) -> [u8; HEADER_BYTES] {
    let mut question = [0; HEADER_BYTES];
    question[..2].copy_from_slice(&BINDING.to_be_bytes());
    question[4..8].copy_from_slice(&COOKIE);
    question[8..].copy_from_slice(&transaction);
    question
}

/// XOR-MAPPED-ADDRESS of an answer to this question.
fn mapped(answer: &[u8], transaction: [u8; 12]) -> Option<IpAddr> {
    let (header, mut rest) = answer.split_at_checked(HEADER_BYTES)?;
    let kind = u16::from_be_bytes(*header.first_chunk()?);
    if kind != BINDING_SUCCESS || header[4..8] != COOKIE || header[8..] != transaction {
        return None;
    }
    loop {
        let (head, body) = rest.split_first_chunk::<4>()?;
        let kind = u16::from_be_bytes([head[0], head[1]]);
        let len = usize::from(u16::from_be_bytes([head[2], head[3]]));
        let value = body.get(..len)?;
        if kind == XOR_MAPPED_ADDRESS {
            return unmask(value, transaction);
        }
        rest = body.get(len.next_multiple_of(4)..)?;
    }
}

// RFC 8489 14.2: the address XOR the cookie, for IPv6 the cookie and the transaction.
fn unmask(value: &[u8], transaction: [u8; 12]) -> Option<IpAddr> {
    let family = *value.get(1)?;
    let octets = value.get(4..)?;
    let mask = COOKIE.into_iter().chain(transaction);
    match family {
        1 => {
            let mut ip: [u8; 4] = octets.try_into().ok()?;
            ip.iter_mut().zip(mask).for_each(|(octet, mask)| *octet ^= mask);
            Some(Ipv4Addr::from(ip).into())
        }
        2 => {
            let mut ip: [u8; 16] = octets.try_into().ok()?;
            ip.iter_mut().zip(mask).for_each(|(octet, mask)| *octet ^= mask);
            Some(Ipv6Addr::from(ip).into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that answers the second question, first with noise, that it came from `seen`.
    fn server(seen: IpAddr) -> (String, std::thread::JoinHandle<()>) {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let name = format!("localhost:{}", socket.local_addr().unwrap().port());
        let thread = std::thread::spawn(move || {
            let mut question = [0; 100];
            socket.recv_from(&mut question).unwrap();
            let (len, from) = socket.recv_from(&mut question).unwrap();
            assert_eq!((len, &question[..8]), (20, &[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42][..]));
            let mut answer = vec![1, 1, 0, 0];
            answer.extend(&question[4..20]);
            // SOFTWARE, of five octets and three of padding.
            answer.extend([0x80, 0x22, 0, 5, b'n', b'o', b'i', b's', b'e', 0, 0, 0]);
            let (family, octets) = match seen {
                IpAddr::V4(ip) => (1, ip.octets().to_vec()),
                IpAddr::V6(ip) => (2, ip.octets().to_vec()),
            };
            answer.extend([0, 0x20, 0, 4 + octets.len() as u8, 0, family, 9, 9]);
            answer.extend(octets.iter().zip(&question[4..20]).map(|(octet, mask)| octet ^ mask));
            for cut in 0..answer.len() {
                socket.send_to(&answer[..cut], from).unwrap();
            }
            let mut other = answer.clone();
            other[8] ^= 1;
            socket.send_to(&other, from).unwrap();
            socket.send_to(&answer, from).unwrap();
        });
        (name, thread)
    }

    #[test]
    fn the_address_is_what_a_server_sees() {
        for seen in ["203.0.113.7", "2001:db8::7"] {
            let seen: IpAddr = seen.parse().unwrap();
            let (name, thread) = server(seen);
            let silent = "localhost:9".to_owned();
            let found = ask(&[silent, name], Ipv4Addr::UNSPECIFIED.into(), PATIENCE).unwrap();
            assert_eq!(found, seen);
            thread.join().unwrap();
        }
    }

    #[test]
    fn silence_ends() {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let silent = socket.local_addr().unwrap().to_string();
        let patience = Duration::from_millis(50);
        let error = ask(&[silent], Ipv4Addr::UNSPECIFIED.into(), patience).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        let error = ask(&["no port".to_owned()], Ipv4Addr::UNSPECIFIED.into(), patience);
        assert_eq!(error.unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
