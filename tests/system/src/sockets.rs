//! The UDP sockets of a program, as the kernel sees them.

use std::collections::HashSet;
use std::fs;

/// Local ports of all UDP sockets that a process has open, IPv4 and IPv6, in order.
///
/// # Panics
/// When `/proc` cannot be read: the process is gone, or is not ours.
pub fn udp_ports(pid: u32) -> Vec<u16> {
    let folder = format!("/proc/{pid}/fd");
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{folder}: {error}"));
    let links = entries.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    let inodes: HashSet<String> = links
        .filter_map(|link| {
            let inode = link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?;
            Some(inode.to_owned())
        })
        .collect();
    let mut ports = Vec::new();
    for table in ["udp", "udp6"] {
        let text = fs::read_to_string(format!("/proc/{pid}/net/{table}")).unwrap_or_default();
        for row in text.lines().skip(1) {
            let fields: Vec<&str> = row.split_whitespace().collect();
            let (Some(local), Some(inode)) = (fields.get(1), fields.get(9)) else { continue };
            let port = local.rsplit(':').next().and_then(|hex| u16::from_str_radix(hex, 16).ok());
            if inodes.contains(*inode) {
                ports.extend(port);
            }
        }
    }
    ports.sort_unstable();
    ports
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;

    #[test]
    fn own_sockets_are_found() {
        let sockets = ["127.0.0.1:0", "[::1]:0"].map(|address| UdpSocket::bind(address).ok());
        let ports = udp_ports(std::process::id());
        for socket in sockets.iter().flatten() {
            let port = socket.local_addr().expect("a bound socket has an address").port();
            assert!(ports.contains(&port), "{port} in {ports:?}");
        }
    }
}
