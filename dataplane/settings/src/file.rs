//! Reading and printing a configuration file.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{SettingsError, explain};

/// Where a program's file is when nobody says otherwise.
const DIRECTORY: &str = "/etc/ringway";

/// No honest configuration comes near: thousands of API keys fit. Raise it and a wrong path such as
/// a disk image takes memory before it is refused.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Bounds what a file of aliases that expand to aliases can cost.
const NODES_MAX: usize = 20_000;
const ALIASES_MAX: usize = 100;

/// `/etc/ringway/NAME.yaml`.
pub fn default_path(name: &str) -> PathBuf {
    Path::new(DIRECTORY).join(name).with_extension("yaml")
}

/// Reads the configuration of the program `name` (`dataplane`, `controlplane`).
///
/// A file named by `path` must exist; without `path` the default file is read if it is there, and
/// the defaults apply if it is not.
pub fn load<T: DeserializeOwned + Default>(
    path: Option<&Path>,
    name: &str,
) -> Result<T, SettingsError> {
    match path {
        Some(path) => parse(&read(path)?, path),
        None => load_default(&default_path(name)),
    }
}

fn load_default<T: DeserializeOwned + Default>(path: &Path) -> Result<T, SettingsError> {
    match read(path) {
        Err(SettingsError::Read { source, .. }) if source.kind() == ErrorKind::NotFound => {
            Ok(T::default())
        }
        Err(error) => Err(error),
        Ok(text) => parse(&text, path),
    }
}

fn read(path: &Path) -> Result<String, SettingsError> {
    let cannot_read = |source| SettingsError::Read { file: path.to_path_buf(), source };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(cannot_read)?;
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(cannot_read)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        let limit = FILE_BYTES_MAX;
        return Err(SettingsError::TooLarge { file: path.to_path_buf(), limit });
    }
    String::from_utf8(bytes).map_err(|_| SettingsError::NotText { file: path.to_path_buf() })
}

/// Reads a configuration from `text`; errors name `origin` as the file.
pub fn parse<T: DeserializeOwned + Default>(text: &str, origin: &Path) -> Result<T, SettingsError> {
    if is_blank(text) {
        return Ok(T::default());
    }
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_nodes: NODES_MAX,
            max_aliases: ALIASES_MAX,
            max_documents: 1,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: NODES_MAX,
        },
        with_snippet: false,
    };
    let mut path = String::new();
    let parsed =
        serde_saphyr::with_deserializer_from_str_with_options(text, options, |deserializer| {
            serde_path_to_error::deserialize(deserializer).map_err(|error| {
                path = error.path().to_string();
                error.into_inner()
            })
        });
    parsed.map_err(|error| explain(origin, &path, &error))
}

/// Nothing but comments: the defaults, where YAML says null.
fn is_blank(text: &str) -> bool {
    text.lines().map(str::trim).all(|l| l.is_empty() || l.starts_with('#') || l == "---")
}

/// The effective configuration as YAML, for `--print-config`. [`crate::Secret`]s are masked.
pub fn print<T: Serialize>(settings: &T) -> String {
    serde_saphyr::to_string(settings)
        .unwrap_or_else(|error| format!("# cannot be written as YAML: {error}\n"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;
    use crate::{LogFilter, LogFormat, Secret};

    #[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Settings {
        socket: PathBuf,
        port_range: Range,
        receive_buffer_bytes: u32,
        enabled: bool,
        cores: Vec<u16>,
        keys: BTreeMap<String, Secret>,
        log: LogFilter,
        log_format: LogFormat,
        listeners: Vec<Range>,
    }

    #[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Range {
        first: u16,
        last: u16,
    }

    #[track_caller]
    fn check(text: &str, expect: Settings) {
        assert_eq!(parse::<Settings>(text, Path::new("x.yaml")).unwrap(), expect, "{text}");
    }

    #[track_caller]
    fn refused(text: &str, parts: &[&str]) {
        let error = parse::<Settings>(text, Path::new("x.yaml")).unwrap_err().to_string();
        for part in parts {
            assert!(error.contains(part), "{text}\n{error}\nlacks {part:?}");
        }
        assert_eq!(error.lines().count(), 1, "{error}");
    }

    #[test]
    fn reads() {
        check("", Settings::default());
        check("# all commented out\n\n---\n  # so\n", Settings::default());
        check("enabled: yes", Settings { enabled: true, ..Default::default() });
        check("cores: [0, 2]", Settings { cores: vec![0, 2], ..Default::default() });
        check("log_format: json", Settings { log_format: LogFormat::Json, ..Default::default() });
        check(
            "port_range: {first: 1}\nkeys:\n  a: b\n",
            Settings {
                port_range: Range { first: 1, last: 0 },
                keys: BTreeMap::from([("a".to_owned(), Secret::from("b"))]),
                ..Default::default()
            },
        );
    }

    #[test]
    fn unknown_keys_are_fatal() {
        refused(
            "socket: /x\n\nrecieve_buffer_bytes: 7\n",
            &[
                "x.yaml:3:1: unknown key \"recieve_buffer_bytes\"; ",
                "did you mean \"receive_buffer_bytes\"?; valid keys here: socket, port_range",
            ],
        );
        refused(
            "port_range:\n  frist: 7\n",
            &["x.yaml:2:3: unknown key \"port_range.frist\"", "mean \"port_range.first\"?"],
        );
        refused(
            "listeners:\n- first: 1\n- {lst: 2}\n",
            &["x.yaml:3:", "unknown key \"listeners[1].lst\"", "mean \"listeners[1].last\"?"],
        );
        refused("zzz: 1", &["x.yaml:1:1: unknown key \"zzz\"; valid keys here: socket"]);
    }

    #[test]
    fn wrong_values_name_their_key() {
        refused("receive_buffer_bytes: lots", &["x.yaml:1:23: key \"receive_buffer_bytes\": "]);
        refused("port_range:\n  first: 70000", &["x.yaml:2:10: key \"port_range.first\": "]);
        refused("port_range: 5", &["key \"port_range\": expected "]);
        refused("cores: [1, x]", &["key \"cores[1]\": "]);
        refused("log_format: jsn", &["key \"log_format\": unknown value \"jsn\"; did you mean"]);
        refused("log: inof", &["key \"log\": unknown log level \"inof\"; did you mean \"info\"?"]);
        refused("enabled: 1\nenabled: 0", &["x.yaml:"]);
        refused("- a\n- b", &["x.yaml:1:"]);
        refused("keys: {a: b", &["x.yaml:"]);
    }

    #[test]
    fn long_values_are_not_repeated() {
        let text = "keys: ringway-development-secret-not-for-production";
        let error = parse::<Settings>(text, Path::new("x.yaml")).unwrap_err().to_string();
        assert!(!error.contains("not-for-production"), "{error}");
    }

    #[test]
    fn alias_bombs_are_refused() {
        let mut text = String::from("a0: &a0 [1, 2, 3, 4, 5, 6, 7, 8, 9]\n");
        for level in 1..12 {
            let aliases = vec![format!("*a{}", level - 1); 9].join(", ");
            text += &format!("a{level}: &a{level} [{aliases}]\n");
        }
        let parsed = parse::<BTreeMap<String, serde::de::IgnoredAny>>(&text, Path::new("x.yaml"));
        assert!(parsed.is_err());
    }

    #[test]
    fn files() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, bytes: &[u8]| {
            let path = dir.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            path
        };
        let load = |path: &Path| load::<Settings>(Some(path), "dataplane");
        assert!(load(&file("good.yaml", b"enabled: true")).unwrap().enabled);
        let missing = dir.path().join("none.yaml");
        assert!(matches!(load(&missing), Err(SettingsError::Read { .. })));
        assert_eq!(load_default::<Settings>(&missing).unwrap(), Settings::default());
        let large = file("large.yaml", &vec![b'#'; FILE_BYTES_MAX as usize + 1]);
        assert!(matches!(load(&large), Err(SettingsError::TooLarge { .. })));
        assert!(matches!(load(&file("b.yaml", &[0xff])), Err(SettingsError::NotText { .. })));
        assert!(matches!(load_default::<Settings>(&large), Err(SettingsError::TooLarge { .. })));
    }

    #[test]
    fn prints_what_it_reads_but_no_secret() {
        let text = "receive_buffer_bytes: 4096\nport_range:\n  last: 9\nkeys:\n  devkey: hush\n";
        let settings = parse::<Settings>(text, Path::new("x.yaml")).unwrap();
        let printed = print(&settings);
        assert!(!printed.contains("hush") && printed.contains("********"), "{printed}");
        assert!(!format!("{settings:?}").contains("hush"));
        let again = parse::<Settings>(&printed, Path::new("x.yaml")).unwrap();
        assert_eq!(again.port_range, settings.port_range);
        assert_eq!(again.log, settings.log);
    }
}
