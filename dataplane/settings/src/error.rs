//! What can be wrong with a configuration file, in words that say what to change.

use std::fmt;
use std::path::{Path, PathBuf};

use serde_saphyr::Error as YamlError;

use crate::nearest;

/// Longer values are not repeated in an error: they may be secrets, and errors end up in logs.
const VALUE_SHOWN_MAX: usize = 24;

/// A place in a configuration file, written `file:line:column`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file, or what stands for it (`RINGWAY_KEYS`).
    pub file: PathBuf,
    /// Line and column from 1, where known.
    pub position: Option<(u64, u64)>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        match self.position {
            Some((line, column)) => write!(f, ":{line}:{column}"),
            None => Ok(()),
        }
    }
}

/// Why a configuration could not be read.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file cannot be opened or read.
    #[error("cannot read the configuration file {}: {source}", file.display())]
    Read {
        /// Which file.
        file: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// No configuration is that long.
    #[error("{} is larger than {limit} bytes; is it a configuration file?", file.display())]
    TooLarge {
        /// Which file.
        file: PathBuf,
        /// The most that is read.
        limit: u64,
    },
    /// Not UTF-8.
    #[error("{} is not UTF-8 text", file.display())]
    NotText {
        /// Which file.
        file: PathBuf,
    },
    /// A key that means nothing here.
    #[error(
        "{place}: unknown key \"{key}\"{}; valid keys here: {}",
        did_you_mean(nearest),
        valid.join(", ")
    )]
    UnknownKey {
        /// Where it stands.
        place: Place,
        /// The key with its full path, `port_range.frist`.
        key: String,
        /// The valid key that was probably meant, with its full path.
        nearest: Option<String>,
        /// All keys that are valid in its place.
        valid: Vec<&'static str>,
    },
    /// A key with a value that it cannot have.
    #[error("{place}: {}{message}", at_key(key))]
    Value {
        /// Where it stands.
        place: Place,
        /// The key with its full path; empty for the file as a whole.
        key: String,
        /// What is wrong with the value.
        message: String,
    },
    /// Not YAML, or YAML that asks for too much.
    #[error("{place}: {message}")]
    Syntax {
        /// Where it was noticed.
        place: Place,
        /// What the parser said.
        message: String,
    },
}

fn did_you_mean(nearest: &Option<String>) -> String {
    nearest.as_ref().map_or(String::new(), |key| format!("; did you mean \"{key}\"?"))
}

fn at_key(key: &str) -> String {
    if key.is_empty() { String::new() } else { format!("key \"{key}\": ") }
}

/// Puts the parser's error into our words. `path` is the key that was being read, `.` at the top.
pub(crate) fn explain(file: &Path, path: &str, error: &YamlError) -> SettingsError {
    let error = error.without_snippet();
    let position = error.location().map(|at| (at.line(), at.column())).filter(|at| at.0 > 0);
    let place = Place { file: file.to_path_buf(), position };
    let path = if path == "." { "" } else { path };
    let value = |message: String| SettingsError::Value {
        place: place.clone(),
        key: path.to_owned(),
        message,
    };
    match error {
        YamlError::SerdeUnknownField { field, expected, .. } => {
            unknown_key(place, path, field, expected)
        }
        YamlError::SerdeUnknownVariant { variant, expected, .. } => {
            let hint = did_you_mean(&nearest(variant, expected).map(str::to_owned));
            let variant = shown(variant);
            value(format!("unknown value {variant}{hint} (valid: {})", expected.join(", ")))
        }
        YamlError::SerdeInvalidType { unexpected, expected, .. }
        | YamlError::SerdeInvalidValue { unexpected, expected, .. } => {
            value(format!("expected {expected}, found {}", masked(unexpected)))
        }
        YamlError::SerdeInvalidLength { len, expected, .. } => {
            value(format!("expected {expected}, found {len} of them"))
        }
        YamlError::SerdeMissingField { field, .. } => value(format!("\"{field}\" is missing")),
        YamlError::InvalidScalar { ty, .. } => value(format!("expected {ty}")),
        YamlError::Unexpected { expected, .. } => value(format!("expected {expected}")),
        YamlError::DuplicateMappingKey { key, .. } => value(match key {
            Some(key) => format!("\"{key}\" is there twice"),
            None => "a key is there twice".to_owned(),
        }),
        YamlError::Message { msg, .. } => value(msg.clone()),
        other => SettingsError::Syntax { place, message: one_line(&other.to_string()) },
    }
}

fn unknown_key(place: Place, path: &str, field: &str, expected: &[&'static str]) -> SettingsError {
    // The path may end with the unknown key itself or with the table that holds it.
    let table = path.strip_suffix(field).map_or(path, |table| table.trim_end_matches('.'));
    let full = |key: &str| {
        if table.is_empty() { key.to_owned() } else { format!("{table}.{key}") }
    };
    SettingsError::UnknownKey {
        place,
        key: full(field),
        nearest: nearest(field, expected).map(full),
        valid: expected.to_vec(),
    }
}

fn shown(value: &str) -> String {
    if value.len() > VALUE_SHOWN_MAX { "(long text)".to_owned() } else { format!("{value:?}") }
}

/// serde's `string "…"` without the text if that is long.
fn masked(unexpected: &str) -> String {
    match unexpected.split_once(" \"") {
        Some((kind, text)) if text.len() > VALUE_SHOWN_MAX => format!("a long {kind}"),
        _ => unexpected.to_owned(),
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
