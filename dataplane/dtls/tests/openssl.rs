//! Against OpenSSL's own client and server, over UDP on loopback: a peer that we did not write
//! agrees on profile, fingerprints, keys and data. Needs the command `openssl` (`tests/need
//! openssl`).

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use ringway_dtls::{
    Config, Connected, Context, Event, HashAlgorithm, Session, SrtpKeys, SrtpProfile,
};

const PATIENCE: Duration = Duration::from_secs(20);
const TICK: Duration = Duration::from_millis(20);

/// A folder that goes away with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("ringway-dtls-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a folder");
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn openssl() -> Command {
    Command::new("openssl")
}

/// A certificate and its key made by OpenSSL.
fn certificate(folder: &Path, kind: &[&str]) -> (PathBuf, PathBuf) {
    let (key, cert) = (folder.join("key.pem"), folder.join("cert.pem"));
    let output = openssl()
        .args(["req", "-x509", "-nodes", "-days", "2", "-subj", "/CN=peer", "-newkey"])
        .args(kind)
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&cert)
        .output()
        .expect("the command `openssl`: install it with `tests/need openssl`");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    (key, cert)
}

/// What OpenSSL calls the fingerprint of a certificate: `AB:CD:...`.
fn fingerprint_by_openssl(cert: &Path, algorithm: &str) -> String {
    let output = openssl()
        .args(["x509", "-noout", "-fingerprint", algorithm, "-in"])
        .arg(cert)
        .output()
        .expect("openssl x509");
    let text = String::from_utf8(output.stdout).expect("text");
    text.trim().split_once('=').expect("a fingerprint").1.to_owned()
}

/// `openssl s_client` or `s_server`, its output line by line.
struct Peer {
    child: Child,
    stdin: ChildStdin,
    lines: Receiver<String>,
    seen: Vec<String>,
}

impl Peer {
    fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the command `openssl`");
        let stdin = child.stdin.take().expect("piped");
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Self { child, stdin, lines, seen: Vec::new() }
    }

    /// What stands behind `start` in a line that begins with it, if it was printed yet.
    fn told(&mut self, start: &str) -> Option<String> {
        self.seen.extend(self.lines.try_iter());
        let found = self.seen.iter().find_map(|line| line.trim().strip_prefix(start));
        found.map(|rest| rest.trim().to_owned())
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A session behind a socket, in real time.
struct End {
    socket: UdpSocket,
    session: Session,
    peer: Option<SocketAddr>,
    started: Instant,
    connected: Option<Connected>,
    messages: Vec<Vec<u8>>,
    closed: bool,
}

impl End {
    fn now_ns(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_nanos()).expect("centuries")
    }

    fn turn(&mut self) {
        let mut buffer = [0; 4096];
        if let Ok((len, from)) = self.socket.recv_from(&mut buffer) {
            self.peer = Some(from);
            self.session.handle_datagram(self.now_ns(), &buffer[..len]);
        }
        let now_ns = self.now_ns();
        self.session.handle_timeout(now_ns);
        if let Some(peer) = self.peer {
            while let Some(datagram) = self.session.poll_transmit() {
                // A port that nobody listens on yet: the session tries again by itself.
                let _ = self.socket.send_to(datagram, peer);
            }
        }
        while let Some(event) = self.session.poll_event() {
            match event {
                Event::Connected(connected) => self.connected = Some(connected),
                Event::ApplicationData(data) => self.messages.push(data.to_vec()),
                Event::Closed => self.closed = true,
                Event::Failed(failure) => panic!("{failure}"),
            }
        }
    }

    fn until<T>(&mut self, what: &str, mut found: impl FnMut(&mut Self) -> Option<T>) -> T {
        let until = Instant::now() + PATIENCE;
        loop {
            self.turn();
            if let Some(found) = found(self) {
                return found;
            }
            assert!(Instant::now() < until, "{what}: not within {PATIENCE:?}");
        }
    }
}

fn socket() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    socket.set_read_timeout(Some(TICK)).expect("a time-out");
    socket
}

fn context(config: &Config) -> Context {
    let unix_s = std::time::UNIX_EPOCH.elapsed().expect("after 1970").as_secs();
    Context::new(config, unix_s).expect("a context")
}

fn material(keys: &SrtpKeys) -> String {
    let parts = [keys.client_key(), keys.server_key(), keys.client_salt(), keys.server_salt()];
    parts.concat().iter().map(|byte| format!("{byte:02X}")).collect()
}

const ALL: &str = "SRTP_AES128_CM_SHA1_80:SRTP_AEAD_AES_256_GCM:SRTP_AEAD_AES_128_GCM";

fn name_of(profile: SrtpProfile) -> &'static str {
    match profile {
        SrtpProfile::AeadAes128Gcm => "SRTP_AEAD_AES_128_GCM",
        SrtpProfile::AeadAes256Gcm => "SRTP_AEAD_AES_256_GCM",
        SrtpProfile::Aes128CmSha1_80 => "SRTP_AES128_CM_SHA1_80",
    }
}

/// Talks both ways, compares keys, profile and fingerprints, and ends well.
fn check(end: &mut End, peer: &mut Peer, cert: &Path, expect: SrtpProfile) {
    end.until("connected", |end| end.connected.as_ref().map(|_| ()));
    let connected = end.connected.take().expect("connected");
    let srtp = connected.srtp.expect("SRTP");
    assert_eq!(srtp.profile(), expect);
    let profile = end.until("profile", |_| peer.told("SRTP Extension negotiated, profile="));
    assert_eq!(profile, name_of(expect));
    let keys = end.until("keys", |_| peer.told("Keying material:"));
    // OpenSSL prints as many bytes as it was asked for.
    assert_eq!(keys[..material(&srtp).len()], material(&srtp));

    for (algorithm, name) in [
        (HashAlgorithm::Sha1, "-sha1"),
        (HashAlgorithm::Sha256, "-sha256"),
        (HashAlgorithm::Sha384, "-sha384"),
        (HashAlgorithm::Sha512, "-sha512"),
    ] {
        let ours = end.session.peer_fingerprint(algorithm).expect("connected").to_string();
        let theirs = fingerprint_by_openssl(cert, name);
        assert_eq!(ours.split_once(' ').expect("algorithm and digest").1, theirs);
    }

    peer.stdin.write_all(b"from openssl\n").expect("piped");
    peer.stdin.flush().expect("piped");
    end.until("a message", |end| end.messages.pop().filter(|it| it == b"from openssl\n"));
    let now_ns = end.now_ns();
    end.session.send_application_data(now_ns, b"from ringway\n").expect("connected");
    end.until("our message", |_| peer.told("from ringway"));
}

/// OpenSSL as the client of our server.
fn client_of_ours(name: &str, kind: &[&str], offers: &str, expect: SrtpProfile, more: &[&str]) {
    let folder = Folder::new(name);
    let (key, cert) = certificate(&folder.0, kind);
    let server = context(&Config::default());
    let socket = socket();
    let address = socket.local_addr().expect("bound").to_string();
    let len = 2 * (expect.key_len() + expect.salt_len());
    let mut command = openssl();
    command
        .args(["s_client", "-dtls1_2", "-connect", &address, "-use_srtp", offers])
        .args(["-keymatexport", "EXTRACTOR-dtls_srtp", "-keymatexportlen", &len.to_string()])
        .args(more)
        .arg("-cert")
        .arg(&cert)
        .arg("-key")
        .arg(&key);
    let mut peer = Peer::start(&mut command);
    let mut end = End {
        socket,
        session: Session::server(&server),
        peer: None,
        started: Instant::now(),
        connected: None,
        messages: Vec::new(),
        closed: false,
    };
    check(&mut end, &mut peer, &cert, expect);
    peer.stdin.write_all(b"Q\n").expect("piped");
    peer.stdin.flush().expect("piped");
    end.until("closed", |end| end.closed.then_some(()));
}

/// OpenSSL as the server of our client.
fn server_of_ours(name: &str, kind: &[&str], offers: &str, expect: SrtpProfile) {
    let folder = Folder::new(name);
    let (key, cert) = certificate(&folder.0, kind);
    let client = context(&Config::default());
    // A port that was free a moment ago.
    let address = socket().local_addr().expect("bound");
    let len = 2 * (expect.key_len() + expect.salt_len());
    let mut command = openssl();
    command
        .args(["s_server", "-dtls1_2", "-Verify", "1", "-use_srtp", offers])
        .args(["-accept", &address.to_string()])
        .args(["-keymatexport", "EXTRACTOR-dtls_srtp", "-keymatexportlen", &len.to_string()])
        .arg("-cert")
        .arg(&cert)
        .arg("-key")
        .arg(&key);
    let mut peer = Peer::start(&mut command);
    let mut end = End {
        socket: socket(),
        session: Session::client(&client, 0),
        peer: Some(address),
        started: Instant::now(),
        connected: None,
        messages: Vec::new(),
        closed: false,
    };
    check(&mut end, &mut peer, &cert, expect);
}

const EC: &[&str] = &["ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
const EC_384: &[&str] = &["ec", "-pkeyopt", "ec_paramgen_curve:P-384"];
const RSA: &[&str] = &["rsa:2048"];

#[test]
fn ecdsa_clients_get_gcm_whatever_their_order() {
    client_of_ours("ec", EC, ALL, SrtpProfile::AeadAes128Gcm, &[]);
}

#[test]
fn rsa_clients_connect() {
    client_of_ours("rsa", RSA, ALL, SrtpProfile::AeadAes128Gcm, &[]);
}

#[test]
fn other_curves_of_certificates_connect() {
    client_of_ours("p384", EC_384, ALL, SrtpProfile::AeadAes128Gcm, &[]);
}

#[test]
fn each_profile_is_served_if_it_is_the_only_one() {
    for (name, profile) in [
        ("only-256", SrtpProfile::AeadAes256Gcm),
        ("only-128", SrtpProfile::AeadAes128Gcm),
        ("only-cm", SrtpProfile::Aes128CmSha1_80),
    ] {
        client_of_ours(name, RSA, name_of(profile), profile, &[]);
    }
}

#[test]
fn small_datagrams_are_put_together() {
    client_of_ours("mtu", RSA, ALL, SrtpProfile::AeadAes128Gcm, &["-mtu", "300"]);
}

#[test]
fn our_client_connects_to_both_kinds() {
    for (name, kind) in [("server-ec", EC), ("server-rsa", RSA)] {
        let only = name_of(SrtpProfile::AeadAes256Gcm);
        server_of_ours(name, kind, only, SrtpProfile::AeadAes256Gcm);
    }
}
