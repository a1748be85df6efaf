//! What the command writes: results to stdout, everything else to stderr.

use std::io::{self, Write};

use serde::Serialize;

/// Writes `text` and a line end to stdout.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.trim_end_matches('\n').as_bytes())?;
    stdout.write_all(b"\n")?;
    Ok(stdout.flush()?)
}

/// Writes `value` as JSON on one line to stdout, so that a stream of values can be split by lines.
pub(crate) fn print_json<T: Serialize>(value: &T) -> anyhow::Result<()> {
    print(&serde_json::to_string(value)?)
}

/// Writes a remark to stderr; a closed stderr is no reason to stop.
pub(crate) fn remark(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Says why the command failed.
pub(crate) fn complain(error: &anyhow::Error, json: bool) {
    if json {
        let object = match error.downcast_ref::<crate::client::ServerError>() {
            Some(server) => serde_json::json!({ "error": server }),
            None => serde_json::json!({ "error": { "message": format!("{error:#}") } }),
        };
        remark(&object.to_string());
    } else {
        remark(&format!("ringway: {error:#}"));
    }
}

/// Whether whoever reads our output simply had enough (`ringway … | head`).
pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
