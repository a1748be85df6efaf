//! Logs of the programs: to stderr, as text for people or JSON for machines.

use std::fmt;
use std::io::IsTerminal;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use tracing_subscriber::EnvFilter;

use crate::nearest;

/// Overrides the configured filter.
const LOG_VARIABLE: &str = "RINGWAY_LOG";

const LEVELS: &[&str] = &["off", "error", "warn", "info", "debug", "trace"];

/// How a log line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// One line for people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// What is logged: a level, or a comma-separated list that also has `target=level` pairs. A word
/// that is no level is an error when the configuration is read.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct LogFilter(String);

impl LogFilter {
    /// Checks `text`; the error is a sentence.
    pub fn new(text: &str) -> Result<Self, String> {
        for directive in text.split(',').map(str::trim) {
            let level = directive.rsplit_once('=').map_or(directive, |(_, level)| level);
            if !LEVELS.contains(&level.to_ascii_lowercase().as_str()) {
                let hint = nearest(level, LEVELS)
                    .map_or(String::new(), |level| format!("; did you mean {level:?}?"));
                return Err(format!(
                    "unknown log level {level:?}{hint} (levels: {})",
                    LEVELS.join(", ")
                ));
            }
        }
        EnvFilter::try_new(text).map_err(|error| error.to_string())?;
        Ok(Self(text.to_owned()))
    }
}

impl Default for LogFilter {
    fn default() -> Self {
        Self("info".to_owned())
    }
}

impl std::ops::Deref for LogFilter {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for LogFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl<'de> Deserialize<'de> for LogFilter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// Starts logging to stderr; the environment's `RINGWAY_LOG` wins over `level`.
///
/// A filter that makes no sense is reported and replaced by `info`. A second call does nothing.
pub fn init_logging(level: &str, format: LogFormat) {
    let wanted = std::env::var(LOG_VARIABLE).ok().filter(|text| !text.trim().is_empty());
    let filter = LogFilter::new(wanted.as_deref().unwrap_or(level)).unwrap_or_else(|error| {
        eprintln!("{error}; logging at level info");
        LogFilter::default()
    });
    let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let builder = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(&*filter))
        .with_writer(std::io::stderr)
        .with_ansi(colours);
    // The journal stamps every line itself.
    let in_journal = std::env::var_os("JOURNAL_STREAM").is_some() && !colours;
    let started = match (format, in_journal) {
        (LogFormat::Json, _) => builder.json().flatten_event(true).try_init(),
        (LogFormat::Text, true) => builder.without_time().try_init(),
        (LogFormat::Text, false) => builder.try_init(),
    };
    if let Err(error) = started {
        tracing::debug!(%error, "logging was started before");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: Result<(), &str>) {
        match (LogFilter::new(text), expect) {
            (Ok(filter), Ok(())) => assert_eq!(&*filter, text),
            (Err(error), Err(part)) => assert!(error.contains(part), "{text}: {error}"),
            (got, _) => panic!("{text}: {got:?}"),
        }
    }

    #[test]
    fn filters() {
        check("info", Ok(()));
        check("WARN", Ok(()));
        check("warn,ringway_shard=debug", Ok(()));
        check("inof", Err("did you mean \"info\"?"));
        check("info,ringway_shard=loud", Err("unknown log level \"loud\""));
        check("", Err("unknown log level"));
    }
}
