//! `ringway version`.

use std::process::ExitCode;

use ringway_abi::layout::ABI_VERSION;

use crate::args::Global;
use crate::output;

pub(crate) fn run(global: &Global) -> anyhow::Result<ExitCode> {
    let version = env!("CARGO_PKG_VERSION");
    if global.json {
        output::print_json(&serde_json::json!({ "version": version, "abi": ABI_VERSION }))?;
    } else {
        output::print(&format!("ringway {version} (shared memory {ABI_VERSION})"))?;
    }
    Ok(ExitCode::SUCCESS)
}
