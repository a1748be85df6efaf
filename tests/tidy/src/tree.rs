//! The checkout as text: every small text file, and the packages that cargo knows.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use crate::metadata::Package;
use crate::source::Source;

/// Folders that hold nothing written by hand: build output, git's own, recorded inputs.
const SKIPPED_FOLDERS: &[&str] = &["target", ".git", "corpus", "artifacts", "proptest-regressions"];

/// Larger files are data, not text that somebody reads.
const MAX_TEXT_BYTES: u64 = 512 * 1024;

/// One text file of the checkout.
#[derive(Debug)]
pub struct File {
    /// Path from the top of the checkout, with `/`.
    pub path: String,
    /// Its content.
    pub text: String,
    /// The scanned source, for Rust files.
    pub source: Option<Source>,
}

/// A checkout, real or fake.
#[derive(Debug, Default)]
pub struct Tree {
    /// Text files in path order.
    pub files: Vec<File>,
    /// Names at the top level that git would keep.
    pub top: Vec<String>,
    /// Workspace members.
    pub packages: Vec<Package>,
    /// Where the checkout is; empty for a fake one.
    pub root: PathBuf,
}

/// One breach of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// File, from the top of the checkout.
    pub path: String,
    /// Line, counted from 1.
    pub line: usize,
    /// What is wrong and what to do.
    pub message: String,
}

impl Finding {
    /// A finding at `path:line`.
    pub fn at(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, message: message.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.message)
    }
}

impl Tree {
    /// Reads the checkout at `root`.
    ///
    /// # Panics
    /// When the checkout cannot be read: there is nothing to judge then.
    pub fn open(root: &Path) -> Self {
        let mut tree = Self { root: root.to_owned(), ..Self::default() };
        tree.packages = crate::metadata::members(root);
        tree.read_folder(root);
        tree.files.sort_by(|a, b| a.path.cmp(&b.path));
        tree.top.sort();
        tree
    }

    /// A tree made of `(path, text)` pairs, for self-tests.
    pub fn fake(files: &[(&str, &str)]) -> Self {
        let mut tree = Self::default();
        for (path, text) in files {
            tree.push(path, (*text).to_owned());
        }
        tree
    }

    /// The file at `path`.
    pub fn file(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }

    /// All Rust files with their scanned source.
    pub fn rust(&self) -> impl Iterator<Item = (&File, &Source)> {
        self.files.iter().filter_map(|file| Some((file, file.source.as_ref()?)))
    }

    /// All files whose name ends with `suffix`.
    pub fn ending<'a>(&'a self, suffix: &'a str) -> impl Iterator<Item = &'a File> {
        self.files.iter().filter(move |file| file.path.ends_with(suffix))
    }

    fn read_folder(&mut self, folder: &Path) {
        let entries = fs::read_dir(folder)
            .unwrap_or_else(|error| panic!("cannot list {}: {error}", folder.display()));
        for entry in entries.filter_map(Result::ok) {
            let name = entry.file_name().to_string_lossy().into_owned();
            if SKIPPED_FOLDERS.contains(&name.as_str()) {
                continue;
            }
            let path = entry.path();
            if folder == self.root {
                self.top.push(name);
            }
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_dir() {
                self.read_folder(&path);
            } else if entry.metadata().is_ok_and(|meta| meta.len() <= MAX_TEXT_BYTES)
                && let Ok(text) = fs::read_to_string(&path)
            {
                let below = path.strip_prefix(&self.root).unwrap_or(&path);
                let below = below.to_string_lossy().into_owned();
                self.push(&below, text);
            }
        }
    }

    fn push(&mut self, path: &str, text: String) {
        let source = path.ends_with(".rs").then(|| Source::scan(&text));
        self.files.push(File { path: path.to_owned(), text, source });
    }
}

/// True where a Rust file holds tests and nothing else.
pub fn is_test_path(path: &str) -> bool {
    path.starts_with("tests/")
        || path.contains("/tests/")
        || path.ends_with("/tests.rs")
        || path.ends_with("_tests.rs")
        || path.ends_with("_test.rs")
}

/// Line of the byte at `offset`, counted from 1.
pub fn line_of(text: &str, offset: usize) -> usize {
    text.as_bytes()[..offset].iter().filter(|byte| **byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_told_by_path() {
        for (path, expect) in [
            ("tests/system/src/appliance.rs", true),
            ("dataplane/abi/tests/lane.rs", true),
            ("dataplane/sfu/src/forward/tests.rs", true),
            ("dataplane/abi/src/door_tests.rs", true),
            ("dataplane/sfu/src/forward.rs", false),
        ] {
            assert_eq!(is_test_path(path), expect, "{path}");
        }
    }

    #[test]
    fn lines_count_from_one() {
        for (offset, expect) in [(0, 1), (1, 1), (2, 2), (4, 3)] {
            assert_eq!(line_of("a\nb\nc", offset), expect, "offset {offset}");
        }
    }
}
