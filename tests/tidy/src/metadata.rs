//! What `cargo metadata` says: the workspace members, and every crate that they pull in.

use std::path::Path;
use std::process::Command;

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};

/// A workspace member.
#[derive(Debug, Clone, Default)]
pub struct Package {
    /// Package name.
    pub name: String,
    /// Folder from the top of the checkout.
    pub folder: String,
    /// `description` of the manifest.
    pub description: String,
    /// What it imports when it runs or builds; what only its tests import is not here.
    pub imports: Vec<String>,
}

/// A crate from the registry that ends up in the lock file.
#[derive(Debug, Clone, Default)]
pub struct Foreign {
    /// `name version`.
    pub name: String,
    /// SPDX expression of the manifest, empty when it has none.
    pub licence: String,
}

/// The members of the workspace at `root`.
///
/// # Panics
/// When cargo cannot read the workspace; its message says why.
pub fn members(root: &Path) -> Vec<Package> {
    let metadata = run(root, MetadataCommand::new().no_deps());
    let top = metadata.workspace_root.as_std_path();
    let folder = |manifest: &Path| {
        let folder = manifest.parent().unwrap_or(manifest);
        folder.strip_prefix(top).unwrap_or(folder).to_string_lossy().into_owned()
    };
    let mut members: Vec<Package> = metadata
        .packages
        .iter()
        .map(|package| Package {
            name: package.name.to_string(),
            folder: folder(package.manifest_path.as_std_path()),
            description: package.description.clone().unwrap_or_default(),
            imports: package
                .dependencies
                .iter()
                .filter(|dependency| dependency.kind != DependencyKind::Development)
                .map(|dependency| dependency.name.clone())
                .collect(),
        })
        .collect();
    members.sort_by(|a, b| a.name.cmp(&b.name));
    members
}

/// Every crate that is not ours and gets built for this platform, tests included.
///
/// `cargo tree` and not `cargo metadata`: the latter also lists crates that only a feature would
/// bring that nobody has switched on.
///
/// # Panics
/// When cargo cannot resolve the workspace offline: build it once first.
pub fn foreign(root: &Path) -> Vec<Foreign> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["tree", "--workspace", "--offline", "--edges", "normal,build,dev"])
        .args(["--prefix", "none", "--format", "{p}|{l}"])
        .current_dir(root)
        .output()
        .unwrap_or_else(|error| panic!("cargo tree does not start: {error}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo tree --offline failed: {errors}");
    let mut crates: Vec<Foreign> =
        String::from_utf8_lossy(&output.stdout).lines().filter_map(foreign_line).collect();
    crates.sort_by(|a, b| a.name.cmp(&b.name));
    crates.dedup_by(|a, b| a.name == b.name);
    crates
}

/// `name v1.2.3|licence (*)`; ours have a path after the version.
fn foreign_line(line: &str) -> Option<Foreign> {
    let (package, licence) = line.split_once('|')?;
    let (name, version) = package.split_once(" v")?;
    let version = version.trim_end_matches(" (proc-macro)");
    if version.contains('(') {
        return None;
    }
    let licence = licence.trim_end_matches("(*)").trim();
    Some(Foreign { name: format!("{name} {version}"), licence: licence.to_owned() })
}

fn run(root: &Path, command: &mut MetadataCommand) -> Metadata {
    command
        .current_dir(root)
        .other_options(vec!["--offline".to_owned()])
        .exec()
        .unwrap_or_else(|error| panic!("cargo metadata failed offline: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_tree_are_read() {
        for (line, expect) in [
            ("libc v0.2.180|MIT OR Apache-2.0", Some(("libc 0.2.180", "MIT OR Apache-2.0"))),
            ("syn v3.0.9 (proc-macro)|MIT (*)", Some(("syn 3.0.9", "MIT"))),
            ("odd v1.0.0|", Some(("odd 1.0.0", ""))),
            ("ringway-abi v0.1.0 (/home/x/abi)|Apache-2.0", None),
            ("", None),
        ] {
            let read = foreign_line(line);
            let read = read.as_ref().map(|krate| (krate.name.as_str(), krate.licence.as_str()));
            assert_eq!(read, expect, "{line}");
        }
    }
}
