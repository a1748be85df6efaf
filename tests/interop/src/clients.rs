//! Where `tests/need call-clients` has put what npm, PyPI and Go's proxy bring, and where the
//! scripts are.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

/// Lock files, and the copies that stand beside what was installed from them.
const LOCKS: &[(&str, &str)] = &[
    ("browser/package-lock.json", "browser/installed"),
    ("node/package-lock.json", "node/installed"),
    ("python/requirements.txt", "python/installed"),
    ("go/go.sum", "go/installed"),
];

/// The folder of the installed clients; `tests/need` computes the same.
///
/// # Panics
/// When they are not installed, or from other lock files: a test that is skipped proves nothing.
pub fn folder() -> PathBuf {
    let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || env::var_os("HOME").map(|home| Path::new(&home).join(".cache"));
    let cache = cache.or_else(home).unwrap_or_else(|| PathBuf::from("/var/tmp"));
    let folder = cache.join("ringway/clients");
    for (lock, copy) in LOCKS {
        let wanted = fs::read_to_string(script(lock)).expect("lock files are in the checkout");
        let installed = fs::read_to_string(folder.join(copy)).ok();
        assert!(
            installed.as_ref() == Some(&wanted),
            "what tests/interop/{lock} asks for is not installed: run tests/need call-clients"
        );
    }
    folder
}

/// A file of this crate, such as `python/peer.py`.
pub fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// The first of these programs that is on the path.
pub fn program(names: &[&str]) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = env::split_paths(&path).collect();
    let candidates = names.iter().flat_map(|name| folders.iter().map(move |one| one.join(name)));
    candidates.into_iter().find(|candidate| candidate.is_file())
}
