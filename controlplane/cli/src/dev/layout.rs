//! Where a development appliance keeps its things, and the configuration files that it gets.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::Write;
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use ringway_settings::LogFilter;
use serde::Serialize;

use crate::args::DEFAULT_PORT;

/// Known to everybody, so never for production.
pub(crate) const DEVELOPMENT_KEY: &str = "devkey";
/// See [`DEVELOPMENT_KEY`].
pub(crate) const DEVELOPMENT_SECRET: &str = "ringway-development-secret-not-for-production";

/// The folders of one development appliance; its HTTP port tells several apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DevDirs {
    /// Socket and configuration; gone with the next boot.
    pub(crate) run: PathBuf,
    /// Forwards; kept for the next start.
    pub(crate) data: PathBuf,
}

impl DevDirs {
    /// The folders of the appliance on `port`, whether it runs or not.
    pub(crate) fn of_port(port: u16) -> Self {
        let folder = |name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        let uid = rustix::process::getuid().as_raw();
        Self::under(
            port,
            folder("XDG_RUNTIME_DIR"),
            folder("XDG_STATE_HOME").or_else(|| Some(folder("HOME")?.join(".local/state"))),
            uid,
        )
    }

    fn under(port: u16, runtime: Option<PathBuf>, state: Option<PathBuf>, uid: u32) -> Self {
        let name = match port {
            DEFAULT_PORT => "ringway-dev".to_owned(),
            other => format!("ringway-dev-{other}"),
        };
        // Without a folder of one's own the name must not collide with another user's.
        let shared = || PathBuf::from("/tmp").join(format!("{name}-{uid}"));
        Self {
            run: runtime.map_or_else(shared, |dir| dir.join(&name)),
            data: state.map_or_else(|| shared().join("data"), |dir| dir.join(&name)),
        }
    }

    /// The socket that the data plane is joined at.
    pub(crate) fn socket(&self) -> PathBuf {
        self.run.join("dataplane.sock")
    }

    /// Exists while the appliance runs.
    pub(crate) fn state_file(&self) -> PathBuf {
        self.run.join("dev.json")
    }

    /// Whether an appliance was started here and has not ended.
    pub(crate) fn is_in_use(&self) -> bool {
        self.state_file().exists()
    }

    /// Makes both folders, closed to other users.
    pub(super) fn create(&self) -> anyhow::Result<()> {
        create_private(&self.run)?;
        create_private(&self.data)
    }
}

/// Makes `dir` for its owner alone; refuses one that another user planted.
fn create_private(dir: &Path) -> anyhow::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .with_context(|| format!("cannot create {}", dir.display()))?;
    let meta = fs::symlink_metadata(dir)?;
    if !meta.is_dir() || meta.uid() != rustix::process::getuid().as_raw() {
        return Err(anyhow!(
            "{} belongs to another user; remove it or choose another place with --data-dir and \
             XDG_RUNTIME_DIR",
            dir.display()
        ));
    }
    Ok(())
}

/// `auto` or a list of cores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cores {
    Auto,
    These(Vec<u16>),
}

impl std::str::FromStr for Cores {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "auto" {
            return Ok(Self::Auto);
        }
        let cores: Result<Vec<u16>, _> = text.split(',').map(|core| core.trim().parse()).collect();
        cores.map(Self::These).map_err(|_| "write auto or numbers such as 1,2,3".to_owned())
    }
}

impl Serialize for Cores {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Auto => serializer.serialize_str("auto"),
            Self::These(cores) => cores.serialize(serializer),
        }
    }
}

/// The data plane's file; what is absent is at its default.
#[derive(Debug, Serialize)]
pub(super) struct DataplaneFile<'a> {
    pub(super) socket: PathBuf,
    pub(super) cores: &'a Cores,
    pub(super) engine: &'a str,
    pub(super) log: &'a LogFilter,
}

/// The control plane's file; what is absent is at its default.
#[derive(Debug, Serialize)]
pub(super) struct ControlplaneFile<'a> {
    pub(super) socket: PathBuf,
    pub(super) port: u16,
    pub(super) bind_addresses: [IpAddr; 1],
    pub(super) keys: std::collections::BTreeMap<&'a str, &'a str>,
    pub(super) development: bool,
    pub(super) data_dir: PathBuf,
    pub(super) log: &'a LogFilter,
}

/// Writes `text` to a file that its owner alone may read.
pub(super) fn write_private(path: &Path, text: &str) -> anyhow::Result<()> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders() {
        let check = |port, runtime: Option<&str>, state: Option<&str>, run: &str, data: &str| {
            let dirs = DevDirs::under(port, runtime.map(Into::into), state.map(Into::into), 7);
            assert_eq!(dirs, DevDirs { run: run.into(), data: data.into() });
        };
        check(7880, Some("/run/u"), Some("/s"), "/run/u/ringway-dev", "/s/ringway-dev");
        check(1, Some("/run/u"), Some("/s"), "/run/u/ringway-dev-1", "/s/ringway-dev-1");
        check(7880, None, Some("/s"), "/tmp/ringway-dev-7", "/s/ringway-dev");
        check(7880, None, None, "/tmp/ringway-dev-7", "/tmp/ringway-dev-7/data");
    }

    #[test]
    fn folders_are_private() {
        let dir = tempfile::tempdir().unwrap();
        let dirs = DevDirs { run: dir.path().join("a/run"), data: dir.path().join("b/data") };
        dirs.create().unwrap();
        dirs.create().unwrap();
        assert_eq!(fs::metadata(&dirs.run).unwrap().mode() & 0o777, 0o700);
        assert!(!dirs.is_in_use());
        write_private(&dirs.state_file(), "{}").unwrap();
        assert!(dirs.is_in_use());
        assert_eq!(fs::metadata(dirs.state_file()).unwrap().mode() & 0o777, 0o600);
        let file = dirs.state_file();
        assert!(create_private(&file).is_err());
    }

    #[test]
    fn files_are_yaml() {
        let log = LogFilter::default();
        let cores = "1, 3".parse::<Cores>().unwrap();
        let socket: PathBuf = "/x/s.sock".into();
        let file =
            DataplaneFile { socket: socket.clone(), cores: &cores, engine: "auto", log: &log };
        let text = ringway_settings::print(&file);
        let read = |text: &str| {
            ringway_settings::parse::<std::collections::BTreeMap<String, serde_json::Value>>(
                text,
                "x.yaml".as_ref(),
            )
            .unwrap()
        };
        assert_eq!(read(&text)["cores"], serde_json::json!([1, 3]), "{text}");
        let file = ControlplaneFile {
            socket,
            port: 7880,
            bind_addresses: ["::1".parse().unwrap()],
            keys: [(DEVELOPMENT_KEY, DEVELOPMENT_SECRET)].into(),
            development: true,
            data_dir: "/d".into(),
            log: &log,
        };
        let text = ringway_settings::print(&file);
        let values = read(&text);
        assert_eq!(values["keys"][DEVELOPMENT_KEY], DEVELOPMENT_SECRET, "{text}");
        assert_eq!(values["bind_addresses"], serde_json::json!(["::1"]), "{text}");
        assert!("a,b".parse::<Cores>().is_err());
    }
}
