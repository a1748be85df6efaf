//! The store: forwards in an embedded database, durable before anybody is told.
//!
//! One table, id → JSON of a [`Record`] with a version, so that a later release can read what this
//! one wrote, and this one can say that it cannot read what a later one wrote.

use std::fs::{DirBuilder, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use redb::backends::FileBackend;
use redb::{Builder, Database, DatabaseError, ReadableDatabase, ReadableTable, TableDefinition};
use ringway_room::{Forward, ForwardId};
use serde::{Deserialize, Serialize};

const FORWARDS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("forwards");

/// Name of the database inside the data directory.
const FILE: &str = "ringway.redb";

/// The records that this release writes.
const RECORD_VERSION: u32 = 1;

/// Memory for pages of the database: the whole of it is read once, at the start.
const CACHE_BYTES: usize = 8 << 20;

#[derive(Serialize, Deserialize)]
struct Record<F> {
    version: u32,
    forward: F,
}

#[derive(Deserialize)]
struct Version {
    version: u32,
}

/// A change to be made durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Keep this forward.
    Put(Box<Forward>),
    /// Keep it no longer.
    Remove(ForwardId),
}

/// Why the store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The directory cannot be made.
    #[error("cannot create the data directory {}: {source}", path.display())]
    Directory {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file cannot be opened.
    #[error("cannot open the store {}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Someone else has it.
    #[error(
        "the store {} is in use: another ringway-controlplane is running; stop it or give this one \
         another data_dir",
        path.display()
    )]
    Locked {
        /// Which.
        path: PathBuf,
    },
    /// It is not a database any more, or cannot be read.
    #[error(
        "the store {} cannot be used ({what}): restore it from a backup, or move it away to start \
         without forwards",
        path.display()
    )]
    Broken {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// A record of a later release.
    #[error(
        "the store {} was written by a later release (forward {id} has version {version}): run \
         that release",
        path.display()
    )]
    Newer {
        /// Which.
        path: PathBuf,
        /// The forward's id.
        id: String,
        /// The record's version.
        version: u32,
    },
    /// A change cannot be written.
    #[error("cannot write to the store {}: {what}", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
}

/// The open store. All calls block.
pub struct Store {
    /// `None` after [`Store::reopen`] has failed.
    database: Option<Database>,
    path: PathBuf,
}

impl Store {
    /// Opens the store in `data_dir`, or makes a new one. Both are for this user only.
    pub fn open(data_dir: &Path) -> Result<Self, StoreError> {
        let path = data_dir.join(FILE);
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(data_dir)
            .map_err(|source| StoreError::Directory { path: data_dir.to_owned(), source })?;
        let store = Self { database: Some(open(&path)?), path };
        // Makes the table exist, so that reading an empty store is no special case.
        store.write(&[])?;
        Ok(store)
    }

    /// Closes the store and opens it again: after a failed write the database refuses everything,
    /// reading too, although what was written before is all there.
    pub fn reopen(&mut self) -> Result<(), StoreError> {
        // Dropped first, as it holds the lock.
        self.database = None;
        self.database = Some(open(&self.path)?);
        Ok(())
    }

    /// All forwards.
    pub fn load(&self) -> Result<Vec<Forward>, StoreError> {
        let rows = self.rows().map_err(|error| self.broken(error.to_string()))?;
        rows.iter().map(|(id, bytes)| self.read(id, bytes)).collect()
    }

    fn database(&self) -> Result<&Database, redb::Error> {
        self.database.as_ref().ok_or(redb::Error::DatabaseClosed)
    }

    fn rows(&self) -> Result<Vec<(String, Vec<u8>)>, redb::Error> {
        let table = self.database()?.begin_read()?.open_table(FORWARDS)?;
        let rows = table.iter()?.map(|row| {
            let (id, bytes) = row?;
            Ok((id.value().to_owned(), bytes.value().to_vec()))
        });
        rows.collect()
    }

    fn read(&self, id: &str, bytes: &[u8]) -> Result<Forward, StoreError> {
        let broken = |error| self.broken(format!("the record of forward {id}: {error}"));
        let Version { version } = serde_json::from_slice(bytes).map_err(broken)?;
        if version > RECORD_VERSION {
            let id = id.to_owned();
            return Err(StoreError::Newer { path: self.path.clone(), id, version });
        }
        let record: Record<Forward> = serde_json::from_slice(bytes).map_err(broken)?;
        Ok(record.forward)
    }

    /// Makes all changes durable, or none of them.
    pub fn write(&self, changes: &[Change]) -> Result<(), StoreError> {
        let refuse = |what: String| StoreError::Write { path: self.path.clone(), what };
        self.commit(changes).map_err(|error| refuse(error.to_string()))
    }

    fn commit(&self, changes: &[Change]) -> Result<(), Box<dyn std::error::Error>> {
        let transaction = self.database()?.begin_write()?;
        {
            let mut table = transaction.open_table(FORWARDS)?;
            for change in changes {
                match change {
                    Change::Put(forward) => {
                        let record = Record { version: RECORD_VERSION, forward };
                        let bytes = serde_json::to_vec(&record)?;
                        table.insert(forward.id.to_string().as_str(), bytes.as_slice())?;
                    }
                    Change::Remove(id) => {
                        table.remove(id.to_string().as_str())?;
                    }
                }
            }
        }
        Ok(transaction.commit()?)
    }

    fn broken(&self, what: String) -> StoreError {
        StoreError::Broken { path: self.path.clone(), what }
    }
}

fn open(path: &Path) -> Result<Database, StoreError> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(|source| StoreError::File { path: path.to_owned(), source })?;
    let opened = FileBackend::new(file).and_then(|backend| {
        Builder::new().set_cache_size(CACHE_BYTES).create_with_backend(backend)
    });
    opened.map_err(|error| match error {
        DatabaseError::DatabaseAlreadyOpen => StoreError::Locked { path: path.to_owned() },
        other => StoreError::Broken { path: path.to_owned(), what: other.to_string() },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringway_room::{Limits, validate};
    use std::os::unix::fs::PermissionsExt;

    fn forward(n: u8) -> Forward {
        let json = r#"{"name":"é","input":{"port":5004,"source":"192.0.2.7:4000","ssrc":7},
            "destinations":[{"address":"10.0.0.1","port":1,"rtcp":"mux","payload_type":96},
                            {"address":"10.0.0.2","port":2,"rtcp":9,"contiguous":true}]}"#;
        let limits = Limits { forwards: 9, destinations_per_forward: 9 };
        let mut next = n;
        let mut random = || {
            next += 1;
            [next; 12]
        };
        let draft = serde_json::from_str(json).unwrap();
        validate::forward(draft, limits, 1_700_000_000_000, &mut random).unwrap().forward
    }

    #[test]
    fn what_was_written_is_there_after_reopening() {
        let dir = tempfile::tempdir().unwrap();
        let data_dir = dir.path().join("a/b");
        let (one, two) = (forward(10), forward(20));
        let store = Store::open(&data_dir).unwrap();
        assert_eq!(store.load().unwrap(), []);
        let put = |forward: &Forward| Change::Put(Box::new(forward.clone()));
        store.write(&[put(&one), put(&two)]).unwrap();
        let renamed = Forward { name: "renamed".into(), ..two };
        store.write(&[Change::Remove(one.id), put(&renamed)]).unwrap();
        drop(store);
        assert_eq!(Store::open(&data_dir).unwrap().load().unwrap(), [renamed]);
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&data_dir), mode(&data_dir.join(FILE))), (0o700, 0o600));
    }

    #[test]
    fn reopening_keeps_everything_and_the_lock() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store::open(dir.path()).unwrap();
        let one = forward(10);
        store.write(&[Change::Put(Box::new(one.clone()))]).unwrap();
        store.reopen().unwrap();
        assert_eq!(store.load().unwrap(), [one]);
        assert!(matches!(Store::open(dir.path()), Err(StoreError::Locked { .. })));
        // It cannot be opened again: everything is an error, nothing panics.
        std::fs::remove_file(dir.path().join(FILE)).unwrap();
        std::fs::create_dir(dir.path().join(FILE)).unwrap();
        assert!(matches!(store.reopen(), Err(StoreError::File { .. })));
        assert!(matches!(store.load(), Err(StoreError::Broken { .. })));
        assert!(matches!(store.write(&[]), Err(StoreError::Write { .. })));
    }

    #[test]
    fn what_cannot_be_used_is_said_in_a_sentence() {
        let dir = tempfile::tempdir().unwrap();
        let check = |result: Result<Vec<Forward>, StoreError>, part: &str| {
            let told = result.expect_err(part).to_string();
            assert!(told.contains(part), "{told}");
        };
        let open = |path: &Path| Store::open(path).and_then(|store| store.load());
        let store = Store::open(dir.path()).unwrap();
        check(open(dir.path()), "another ringway-controlplane is running");
        let write = |bytes: &[u8]| {
            let transaction = store.database().unwrap().begin_write().unwrap();
            transaction.open_table(FORWARDS).unwrap().insert("FW_x", bytes).unwrap();
            transaction.commit().unwrap();
        };
        write(br#"{"version":2,"anything":1}"#);
        check(store.load(), "written by a later release");
        write(b"rubbish");
        check(store.load(), "the record of forward FW_x");
        drop(store);
        std::fs::write(dir.path().join(FILE), vec![7; 8192]).unwrap();
        check(open(dir.path()), "restore it from a backup");
        check(open(&dir.path().join(FILE)), "cannot create the data directory");
    }
}
