//! The server under test: ours, one that runs already, or a LiveKit to compare with.

use std::cell::RefCell;
use std::env;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use ringway_system::appliance::{Appliance, Options};
use ringway_system::http::Client;
use ringway_system::patience::until;
use ringway_system::ports::{free_tcp_port, free_udp_pair};
use ringway_system::token::{KEY, SECRET};

use crate::pass::Pass;
use crate::peer::show_log;

/// LiveKit answers after about a second.
const START_TIMEOUT: Duration = Duration::from_secs(20);

/// A server and what opens it.
#[derive(Debug)]
pub struct Server {
    url: String,
    key: String,
    secret: String,
    running: Running,
}

#[derive(Debug)]
enum Running {
    Elsewhere,
    Ours { appliance: Box<RefCell<Appliance>> },
    LiveKit { _livekit: LiveKit },
}

/// True where `RINGWAY_TEST_URL` names a server that runs already.
pub fn is_elsewhere() -> bool {
    env::var_os("RINGWAY_TEST_URL").is_some()
}

impl Server {
    /// Finds or starts the server; `address` is where its media goes, without one it looks itself.
    /// `turn` is that section of our settings, on one line, or nothing; `rtc` what follows in that
    /// section, behind a comma.
    pub fn start(address: Option<&str>, turn: &str, rtc: &str, folder: &Path) -> Self {
        if let Ok(url) = env::var("RINGWAY_TEST_URL") {
            let variable = |name: &str| env::var(name).unwrap_or_else(|_| panic!("set {name}"));
            let (key, secret) = (variable("RINGWAY_TEST_KEY"), variable("RINGWAY_TEST_SECRET"));
            let url = url.replacen("ws", "http", usize::from(url.starts_with("ws")));
            let url = url.trim_end_matches('/').to_owned();
            return Self { url, key, secret, running: Running::Elsewhere };
        }
        let (url, running) = match env::var_os("RINGWAY_TEST_LIVEKIT") {
            Some(program) => {
                let livekit = LiveKit::start(Path::new(&program), address, folder);
                (
                    format!("http://127.0.0.1:{}", livekit.port),
                    Running::LiveKit { _livekit: livekit },
                )
            }
            None => {
                let node_ip = address.map(|address| format!(", node_ip: [{address}]"));
                let node_ip = node_ip.unwrap_or_default();
                let (udp_port, tcp_port) = (free_udp_pair(), free_tcp_port());
                let rtc = format!("{{udp_port: {udp_port}, tcp_port: {tcp_port}{node_ip}{rtc}}}");
                // The page at `/` then needs nobody who pastes tokens.
                let mut options = Options::default().controlplane("development", "true");
                if !turn.is_empty() {
                    options = options.controlplane("turn", turn);
                }
                let appliance = Appliance::start(options.controlplane("rtc", &rtc));
                (appliance.url(), Running::Ours { appliance: Box::new(RefCell::new(appliance)) })
            }
        };
        Self { url, key: KEY.to_owned(), secret: SECRET.to_owned(), running }
    }

    /// Base of HTTP requests.
    pub fn http(&self) -> &str {
        &self.url
    }

    /// Base of the signalling, as clients want it.
    pub fn ws(&self) -> String {
        self.url.replacen("http", "ws", 1)
    }

    /// True for a LiveKit started for comparison. It is excused where it does less than is asked of
    /// ours: it may choose AES-CM although the client offers AEAD, and its credentials and tag stay
    /// the same over a restart of ICE. (A server elsewhere is not excused.)
    pub fn is_livekit(&self) -> bool {
        matches!(self.running, Running::LiveKit { .. })
    }

    /// The sum of a metric over all shards of ours.
    ///
    /// # Panics
    /// When the server is somebody else's.
    pub fn metric(&self, name: &str) -> f64 {
        self.metric_of(name, "")
    }

    /// The same of those samples that have `label`, such as `kind="received"`.
    ///
    /// # Panics
    /// When the server is somebody else's.
    pub fn metric_of(&self, name: &str, label: &str) -> f64 {
        let answer = self.appliance().borrow().client().get("/metrics");
        let lines = answer.body.lines();
        let samples = lines.filter(|line| line.starts_with(name) && line.contains(label));
        samples.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
    }

    /// Kills our control plane, as `kill -9` does.
    ///
    /// # Panics
    /// When the server is somebody else's.
    pub fn kill_controlplane(&self) {
        self.appliance().borrow_mut().kill_controlplane();
    }

    /// Asks our control plane to stop, and waits until it has.
    ///
    /// # Panics
    /// When the server is somebody else's, or does not stop.
    pub fn stop_controlplane(&self) {
        let status = self.appliance().borrow_mut().controlplane().stop();
        assert!(status.success(), "the control plane stopped with {status}");
    }

    /// Starts our control plane again, and waits until it has joined the data plane.
    ///
    /// # Panics
    /// When the server is somebody else's.
    pub fn start_controlplane(&self) {
        let mut appliance = self.appliance().borrow_mut();
        appliance.start_controlplane();
        appliance.wait_joined();
    }

    /// Kills our data plane, as `kill -9` does, and starts it again at once.
    ///
    /// # Panics
    /// When the server is somebody else's.
    pub fn restart_dataplane(&self) {
        self.appliance().borrow_mut().restart_dataplane();
    }

    fn appliance(&self) -> &RefCell<Appliance> {
        match &self.running {
            Running::Ours { appliance } => appliance,
            _ => panic!("this test kills its server, which must be ours"),
        }
    }

    /// True for an AEAD profile, which all clients of these tests offer.
    pub fn is_right_cipher(&self, cipher: &str) -> bool {
        self.is_livekit() || cipher.contains("AEAD_AES_")
    }

    /// Signs a pass with this server's key.
    pub fn sign(&self, pass: &Pass) -> String {
        pass.sign(&self.key, &self.secret)
    }
}

/// A LiveKit of its own for one test.
#[derive(Debug)]
struct LiveKit {
    child: Child,
    port: u16,
    log: PathBuf,
}

impl LiveKit {
    fn start(program: &Path, address: Option<&str>, folder: &Path) -> Self {
        let (port, tcp_port) = (free_tcp_port(), free_tcp_port());
        let node_ip = address.map(|address| format!("  node_ip: {address}\n")).unwrap_or_default();
        let settings = format!(
            "port: {port}\nbind_addresses: [127.0.0.1]\nkeys: {{{KEY}: {SECRET}}}\n\
             rtc:\n{node_ip}  tcp_port: {tcp_port}\n  udp_port: {tcp_port}\n"
        );
        let config = folder.join("livekit.yaml");
        fs::write(&config, settings).expect("write LiveKit's settings");
        let log = folder.join("livekit.log");
        let output = File::create(&log).expect("create a log file");
        let errors = output.try_clone().expect("a second handle of the log");
        let mut command = Command::new(program);
        command.arg("--config").arg(config).stdin(Stdio::null()).stdout(output).stderr(errors);
        let child = command.spawn().unwrap_or_else(|error| panic!("cannot start LiveKit: {error}"));
        let livekit = Self { child, port, log };
        let client = Client::new(SocketAddr::from(([127, 0, 0, 1], port)), None);
        until(START_TIMEOUT, "LiveKit to answer", || {
            client.send("GET", "/", None).ok().filter(|answer| answer.status == 200)
        });
        livekit
    }
}

impl Drop for LiveKit {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            show_log("LiveKit", &self.log);
        }
    }
}
