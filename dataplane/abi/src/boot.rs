//! The boot page: what one start of the data plane is, told once before anyone joins.
//!
//! Written by [`crate::pages::PagesOwner::create`], never changed, gone with the region. A reader
//! checks every number before it computes an offset from it.

use crate::layout::{MAX_RECORDS, MAX_SHARDS};
use crate::region::RegionError;

/// Bytes kept for the version string; a longer one is cut.
const VERSION_BYTES: usize = 64;
const VERSION_AT: usize = 8;
const SHARDS_AT: usize = VERSION_AT + VERSION_BYTES / 8;

/// Words of the boot page.
pub const BOOT_WORDS: usize = SHARDS_AT + MAX_SHARDS as usize;

/// How many of everything there can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Shards, 1 to 64.
    pub shards: u16,
    /// Forwards per shard.
    pub forwards_per_shard: u32,
    /// Destinations per shard.
    pub destinations_per_shard: u32,
}

/// One start of the data plane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Boot {
    /// Process id of the data plane, in its own namespace.
    pub pid: u32,
    /// Random per start: tells whether the data plane is the same one as before.
    pub boot_id: u64,
    /// When it started, ns since the Unix epoch.
    pub started_unix_ns: u64,
    /// Release of the data plane.
    pub version: String,
    /// How many of everything there can be.
    pub limits: Limits,
    /// First port of the range for forwards without a port.
    pub port_first: u16,
    /// Last port of that range.
    pub port_last: u16,
    /// The shards; as many as the limits say.
    pub shards: Vec<BootShard>,
}

/// One shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BootShard {
    /// The core that it is pinned to, if it is.
    pub core: Option<u16>,
    /// How it talks to the kernel.
    pub engine: EngineKind,
}

/// How a shard talks to the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EngineKind {
    /// io_uring.
    Uring = 1,
    /// Plain system calls.
    Plain = 2,
}

impl EngineKind {
    /// The name that configuration and metrics use.
    pub const fn name(self) -> &'static str {
        match self {
            EngineKind::Uring => "uring",
            EngineKind::Plain => "plain",
        }
    }
}

impl Limits {
    /// Says which limit is out of its range, if one is.
    pub fn check(&self) -> Result<(), RegionError> {
        let rows = [
            ("number of shards", u64::from(self.shards), u64::from(MAX_SHARDS)),
            ("forwards per shard", u64::from(self.forwards_per_shard), u64::from(MAX_RECORDS)),
            (
                "destinations per shard",
                u64::from(self.destinations_per_shard),
                u64::from(MAX_RECORDS),
            ),
        ];
        match rows.into_iter().find(|(_, found, most)| !(1..=*most).contains(found)) {
            Some((what, found, most)) => Err(RegionError::Limit { what, found, most }),
            None => Ok(()),
        }
    }
}

impl Boot {
    pub(crate) fn to_words(&self) -> Result<[u64; BOOT_WORDS], RegionError> {
        self.limits.check()?;
        if self.shards.len() != usize::from(self.limits.shards) {
            return Err(RegionError::Boot("the shards are not as many as the limits say"));
        }
        let version = &self.version[..self.version.floor_char_boundary(VERSION_BYTES)];
        let mut words = [0; BOOT_WORDS];
        words[..VERSION_AT].copy_from_slice(&[
            u64::from(self.pid),
            self.boot_id,
            self.started_unix_ns,
            u64::from(self.limits.shards),
            u64::from(self.limits.forwards_per_shard),
            u64::from(self.limits.destinations_per_shard),
            u64::from(self.port_first) << 16 | u64::from(self.port_last),
            version.len() as u64,
        ]);
        for (word, bytes) in words[VERSION_AT..].iter_mut().zip(version.as_bytes().chunks(8)) {
            let mut padded = [0; 8];
            padded[..bytes.len()].copy_from_slice(bytes);
            *word = u64::from_le_bytes(padded);
        }
        for (word, shard) in words[SHARDS_AT..].iter_mut().zip(&self.shards) {
            let core = shard.core.map_or(0, |core| u64::from(core) + 1);
            *word = core << 8 | shard.engine as u64;
        }
        Ok(words)
    }

    pub(crate) fn from_words(words: &[u64; BOOT_WORDS]) -> Result<Boot, RegionError> {
        let small = |n: usize| u32::try_from(words[n]).unwrap_or(u32::MAX);
        let limits = Limits {
            shards: u16::try_from(words[3]).unwrap_or(u16::MAX),
            forwards_per_shard: small(4),
            destinations_per_shard: small(5),
        };
        limits.check()?;
        let version: Vec<u8> =
            words[VERSION_AT..SHARDS_AT].iter().flat_map(|word| word.to_le_bytes()).collect();
        let version = usize::try_from(words[7])
            .ok()
            .and_then(|length| version.get(..length))
            .and_then(|version| std::str::from_utf8(version).ok())
            .ok_or(RegionError::Boot("its version is no text"))?;
        let shards = words[SHARDS_AT..][..usize::from(limits.shards)]
            .iter()
            .map(|word| shard(*word))
            .collect::<Result<_, _>>()?;
        Ok(Boot {
            pid: small(0),
            boot_id: words[1],
            started_unix_ns: words[2],
            version: version.to_owned(),
            limits,
            port_first: (words[6] >> 16) as u16,
            port_last: words[6] as u16,
            shards,
        })
    }
}

fn shard(word: u64) -> Result<BootShard, RegionError> {
    let engine = match word & 0xff {
        1 => EngineKind::Uring,
        2 => EngineKind::Plain,
        _ => return Err(RegionError::Boot("it names an engine that does not exist")),
    };
    let core = match word >> 8 {
        0 => None,
        core => Some(
            u16::try_from(core - 1)
                .map_err(|_| RegionError::Boot("it names a core that cannot exist"))?,
        ),
    };
    Ok(BootShard { core, engine })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A boot of two shards for any test.
    pub(crate) fn boot() -> Boot {
        Boot {
            pid: 4711,
            boot_id: 0xfeed_beef_0000_0001,
            started_unix_ns: 1_700_000_000_000_000_000,
            version: "0.1.0".into(),
            limits: Limits { shards: 2, forwards_per_shard: 8, destinations_per_shard: 16 },
            port_first: 30_000,
            port_last: 39_998,
            shards: vec![
                BootShard { core: Some(0), engine: EngineKind::Uring },
                BootShard { core: None, engine: EngineKind::Plain },
            ],
        }
    }

    #[test]
    fn a_boot_round_trips() {
        let words = boot().to_words().expect("a good boot");
        assert_eq!(Boot::from_words(&words).expect("good words"), boot());
    }

    #[test]
    fn a_long_version_is_cut_between_characters() {
        let long = Boot { version: format!("{}é", "v".repeat(63)), ..boot() };
        let words = long.to_words().expect("a good boot");
        assert_eq!(Boot::from_words(&words).expect("good words").version, "v".repeat(63));
    }

    #[test]
    fn damaged_words_are_refused_with_the_reason() {
        let rows = [
            (3, 0, "number of shards of 0"),
            (3, 65, "number of shards of 65"),
            (3, u64::MAX, "number of shards"),
            (4, 1 << 40, "forwards per shard"),
            (5, 0, "destinations per shard of 0"),
            (7, 65, "version"),
            (7, u64::MAX, "version"),
            (8, u64::MAX, "version"),
            (SHARDS_AT, 3, "engine"),
            (SHARDS_AT, 1 | 1 << 40, "core"),
        ];
        for (word, value, message) in rows {
            let mut words = boot().to_words().expect("a good boot");
            words[word] = value;
            let error = Boot::from_words(&words).expect_err(message).to_string();
            assert!(error.contains(message), "{error}");
        }
    }

    #[test]
    fn shards_must_be_as_many_as_the_limits_say() {
        let mut short = boot();
        short.shards.pop();
        assert!(short.to_words().is_err());
    }
}
