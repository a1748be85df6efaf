//! A data plane and a control plane of their own for one test, on free ports, in a folder that goes
//! away. When the test fails, their logs are printed.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::http::Client;
use crate::patience::until;
use crate::ports::{forward_range, free_tcp_port, free_udp_pair};
use crate::program::Program;
use crate::sockets::udp_ports;
use crate::token::{Claims, KEY, SECRET};

/// Joining takes milliseconds; a machine busy with other tests may take its time.
const JOIN_TIMEOUT: Duration = Duration::from_secs(10);

/// How to start. The default is what an operator gets, with small pools.
#[derive(Debug, Clone)]
pub struct Options {
    dataplane: BTreeMap<String, String>,
    controlplane: BTreeMap<String, String>,
    start_controlplane: bool,
}

impl Default for Options {
    fn default() -> Self {
        let options = Self {
            dataplane: BTreeMap::new(),
            controlplane: BTreeMap::new(),
            start_controlplane: true,
        };
        // Many appliances run at once in the tests: they need not hold memory for thousands.
        options
            .dataplane("buffers", "1024")
            .dataplane("max_forwards", "256")
            .dataplane("max_destinations", "2048")
            .dataplane("log", "debug")
            .controlplane("log", "debug")
    }
}

impl Options {
    /// Sets a top-level key of `dataplane.yaml` to a YAML value on one line.
    #[must_use]
    pub fn dataplane(mut self, key: &str, value: &str) -> Self {
        self.dataplane.insert(key.to_owned(), value.to_owned());
        self
    }

    /// Sets a top-level key of `controlplane.yaml` to a YAML value on one line.
    #[must_use]
    pub fn controlplane(mut self, key: &str, value: &str) -> Self {
        self.controlplane.insert(key.to_owned(), value.to_owned());
        self
    }

    /// Starts the data plane alone.
    #[must_use]
    pub fn without_controlplane(mut self) -> Self {
        self.start_controlplane = false;
        self
    }
}

/// A running appliance. Dropping it kills both programs.
#[derive(Debug)]
pub struct Appliance {
    dataplane: Program,
    controlplane: Program,
    http: SocketAddr,
    media_port: u16,
    socket: PathBuf,
    folder: TempDir,
}

impl Appliance {
    /// Starts both programs and waits until the control plane has joined the data plane.
    ///
    /// # Panics
    /// When they do not get there; their logs say why.
    pub fn start(options: Options) -> Self {
        let start_controlplane = options.start_controlplane;
        let mut appliance = Self::prepare(options);
        appliance.start_dataplane();
        if start_controlplane {
            appliance.start_controlplane();
            appliance.wait_joined();
        }
        appliance
    }

    /// Everything but the start: for tests of what happens when a start fails.
    pub fn prepare(options: Options) -> Self {
        let folder = tempfile::Builder::new().prefix("ringway-").tempdir().expect("a temp folder");
        let socket = folder.path().join("dataplane.sock");
        let http = SocketAddr::from((Ipv4Addr::LOCALHOST, free_tcp_port()));
        let (first, last) = forward_range();
        let media_port = free_udp_pair();
        let socket_text = format!("{:?}", socket.display().to_string());

        let mut dataplane = BTreeMap::from([
            ("socket".to_owned(), socket_text.clone()),
            ("port_range".to_owned(), format!("{{first: {first}, last: {last}}}")),
        ]);
        dataplane.extend(options.dataplane);
        let mut controlplane = BTreeMap::from([
            ("socket".to_owned(), socket_text),
            ("port".to_owned(), http.port().to_string()),
            ("bind_addresses".to_owned(), "[\"127.0.0.1\"]".to_owned()),
            ("keys".to_owned(), format!("{{{KEY}: {SECRET:?}}}")),
            ("data_dir".to_owned(), format!("{:?}", folder.path().display().to_string())),
            (
                "rtc".to_owned(),
                format!(
                    "{{udp_port: {media_port}, tcp_port: {}, node_ip: [127.0.0.1]}}",
                    free_tcp_port()
                ),
            ),
        ]);
        controlplane.extend(options.controlplane);

        let program = |name: &'static str, file: &str, settings: &BTreeMap<String, String>| {
            let path = write_settings(folder.path(), file, settings);
            Program::new(name, vec!["--config".to_owned(), path], folder.path())
        };
        Self {
            dataplane: program("ringway-dataplane", "dataplane.yaml", &dataplane),
            controlplane: program("ringway-controlplane", "controlplane.yaml", &controlplane),
            http,
            media_port,
            socket,
            folder,
        }
    }

    /// Base URL of the API.
    pub fn url(&self) -> String {
        format!("http://{}", self.http)
    }

    /// A token that opens everything.
    pub fn token(&self) -> String {
        Claims::default().sign()
    }

    /// A client with such a token.
    pub fn client(&self) -> Client {
        Client::new(self.http, Some(self.token()))
    }

    /// A client with another token, or none.
    pub fn client_with(&self, token: Option<String>) -> Client {
        Client::new(self.http, token)
    }

    /// The data plane's socket.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Where configuration, database and logs are.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The UDP ports that the data plane has open for forwards, in order: all but the one for
    /// calls, which an appliance with one shard has.
    pub fn forward_ports(&mut self) -> Vec<u16> {
        let mut ports = udp_ports(self.dataplane.pid());
        ports.retain(|port| *port != self.media_port);
        ports
    }

    /// The UDP port that clients send media to; more shards have the ports after it.
    pub fn media_port(&self) -> u16 {
        self.media_port
    }

    /// The data plane's process.
    pub fn dataplane(&mut self) -> &mut Program {
        &mut self.dataplane
    }

    /// The control plane's process.
    pub fn controlplane(&mut self) -> &mut Program {
        &mut self.controlplane
    }

    /// Starts the data plane; returns when it is ready.
    pub fn start_dataplane(&mut self) {
        self.dataplane.start();
    }

    /// Starts the control plane; returns when it answers, joined or not.
    pub fn start_controlplane(&mut self) {
        self.controlplane.start();
        let client = self.client_with(None);
        until(JOIN_TIMEOUT, "the control plane to answer", || client.send("GET", "/", None).ok());
    }

    /// Waits until the control plane has joined the data plane.
    pub fn wait_joined(&self) {
        let client = self.client_with(None);
        until(JOIN_TIMEOUT, "the control plane to join the data plane", || {
            client.send("GET", "/", None).ok().filter(|response| response.status == 200)
        });
    }

    /// `kill -9` for the data plane.
    pub fn kill_dataplane(&mut self) {
        self.dataplane.kill();
    }

    /// `kill -9` for the control plane.
    pub fn kill_controlplane(&mut self) {
        self.controlplane.kill();
    }

    /// `kill -9` for the data plane, and a new one; returns when the control plane has joined it.
    pub fn restart_dataplane(&mut self) {
        self.kill_dataplane();
        self.start_dataplane();
        self.wait_joined();
    }

    /// `kill -9` for the control plane, and a new one; returns when it has joined the data plane.
    pub fn restart_controlplane(&mut self) {
        self.kill_controlplane();
        self.start_controlplane();
        self.wait_joined();
    }

    /// The forward once it is active.
    ///
    /// # Panics
    /// When it fails, or does not get there.
    pub fn wait_active(&self, id: &str) -> Value {
        let client = self.client();
        until(JOIN_TIMEOUT, &format!("forward {id} to become active"), || {
            let forward = client.get(&format!("/v1/forwards/{id}")).expect(200);
            assert_ne!(forward["state"], "failed", "{forward}");
            (forward["state"] == "active").then_some(forward)
        })
    }
}

impl Drop for Appliance {
    fn drop(&mut self) {
        self.controlplane.kill();
        self.dataplane.kill();
        if std::thread::panicking() {
            self.dataplane.show_log();
            self.controlplane.show_log();
        }
    }
}

fn write_settings(folder: &Path, file: &str, settings: &BTreeMap<String, String>) -> String {
    let mut text = String::new();
    for (key, value) in settings {
        let _ = writeln!(text, "{key}: {value}");
    }
    let path = folder.join(file);
    fs::write(&path, text).expect("write a configuration file");
    // It holds a secret, and the control plane refuses what everybody may read.
    let owner_only = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::set_permissions(&path, owner_only).expect("restrict a configuration file");
    path.display().to_string()
}
