//! What the programs share before they are anything: configuration files, secrets, logs, and the
//! wish to die with a launcher.
//!
//! A configuration file is YAML. Every key has a default, an unknown key is fatal and names the
//! nearest valid one, and the effective configuration can be printed with its secrets masked.
//!
//! ```
//! #[derive(serde::Deserialize, serde::Serialize, Default)]
//! #[serde(deny_unknown_fields, default)]
//! struct Settings {
//!     port: u16,
//! }
//!
//! let error = ringway_settings::parse::<Settings>("prt: 1", "x.yaml".as_ref()).err().unwrap();
//! assert!(error.to_string().contains("did you mean \"port\"?"));
//! ```

mod error;
mod file;
mod logging;
mod nearest;
mod parent;
mod ports;
mod secret;

pub use error::{Place, SettingsError};
pub use file::{default_path, load, parse, print};
pub use logging::{LogFilter, LogFormat, init_logging};
pub use nearest::nearest;
pub use parent::{DIE_WITH_PARENT, die_with_parent};
pub use ports::{Ports, PortsError};
pub use secret::Secret;
