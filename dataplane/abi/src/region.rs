//! A region: one memfd that two programs map, with a header that says what it is.
//!
//! **Who.** The data plane creates every region, lays it out and fills in the header before anyone
//! else can have the descriptor. Peers get the descriptor over the hand-over socket and map it.
//!
//! **Header** (words): magic, `ABI_VERSION`, layout hash, kind, bytes, creator's pid, boot id. What
//! follows is at offsets computed from the kind and the limits; there are no pointers. `join`
//! refuses whatever does not match, and says why.
//!
//! **Size.** Sealed with `SHRINK`, `GROW` and `SEAL` at birth, so that no peer can cut the memory
//! away under the other (which would be SIGBUS) or take the seals off. A region for readers is also
//! sealed with `FUTURE_WRITE`: only the creator's mapping, which is older than the seal, can write,
//! whatever the peer does with its descriptor.
//!
//! **Death and restart.** The memory lives as long as someone maps it or holds the descriptor. A
//! restarted data plane makes new regions; the boot id tells old from new.
//!
//! The unsafe code: mapping, unmapping, and seeing the mapping as atomic words.
#![allow(unsafe_code)]

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;

use rustix::fs::{MemfdFlags, SealFlags};
use rustix::io::Errno;
use rustix::mm::{MapFlags, ProtFlags};

use crate::layout::{ABI_VERSION, HEADER_WORDS, LAYOUT_HASH, MAGIC};
use crate::memory::Words;
use crate::sync::{AtomicU64, Ordering};

/// What a region holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegionKind {
    /// Boot page and the shards' pages: written by the data plane, read by everyone.
    Pages = 1,
    /// The lanes of one control peer: written by both.
    Lanes = 2,
}

/// Why a region could not be made or joined.
#[derive(Debug, thiserror::Error)]
pub enum RegionError {
    /// No memory was to be had.
    #[error("cannot make {bytes} bytes of shared memory ({step}): {errno}")]
    Create {
        /// Bytes asked for.
        bytes: usize,
        /// The system call.
        step: &'static str,
        /// Its answer.
        errno: Errno,
    },
    /// The descriptor could not be mapped or asked about.
    #[error("cannot map shared memory ({step}): {errno}")]
    Map {
        /// The system call.
        step: &'static str,
        /// Its answer.
        errno: Errno,
    },
    /// The size could change under us.
    #[error("the shared memory is not sealed as this kind must be; it does not come from Ringway")]
    NotSealed,
    /// The size is not what header and limits say.
    #[error("the shared memory has {found} bytes where {expected} belong")]
    Size {
        /// Bytes there are.
        found: u64,
        /// Bytes there should be.
        expected: u64,
    },
    /// The first word is something else.
    #[error("this is no shared memory of Ringway's (magic {found:#018x})")]
    Magic {
        /// The word found.
        found: u64,
    },
    /// Made by another version.
    #[error(
        "the shared memory has version {found}, this program {ABI_VERSION}: install one release"
    )]
    Version {
        /// The version found.
        found: u64,
    },
    /// Made by a build with other sizes or names.
    #[error(
        "the shared memory is laid out by another build: install both programs from one release"
    )]
    Layout,
    /// Pages where lanes belong, or the reverse.
    #[error("the shared memory is of kind {found}, expected {expected:?}")]
    Kind {
        /// The kind found.
        found: u64,
        /// The kind wanted.
        expected: RegionKind,
    },
    /// The regions are of different starts of the data plane.
    #[error("the shared memory belongs to another start of the data plane: join again")]
    OtherBoot,
    /// A number of the boot page is out of its range.
    #[error("{what} of {found} is out of range (at most {most})")]
    Limit {
        /// Which number.
        what: &'static str,
        /// Its value.
        found: u64,
        /// Its bound.
        most: u64,
    },
    /// The boot page makes no sense.
    #[error("the boot page is damaged: {0}")]
    Boot(&'static str),
}

/// A region that this program created.
#[derive(Debug)]
pub(crate) struct Region {
    fd: OwnedFd,
    words: Words,
}

impl Region {
    /// Makes a zeroed region of `words` words, header included, and fills the header in.
    pub(crate) fn create(
        kind: RegionKind,
        words: usize,
        boot_id: u64,
    ) -> Result<Region, RegionError> {
        let bytes = words * 8;
        let failed = |step| move |errno| RegionError::Create { bytes, step, errno };
        let fd = memfd(kind).map_err(failed("memfd_create"))?;
        rustix::fs::ftruncate(&fd, bytes as u64).map_err(failed("ftruncate"))?;
        let mapping = Mapping::new(fd.as_fd(), words, ProtFlags::READ | ProtFlags::WRITE)
            .map_err(failed("mmap"))?;
        rustix::fs::fcntl_add_seals(&fd, seals(kind)).map_err(failed("F_ADD_SEALS"))?;
        let words = Words::mapped(mapping);
        write_header(&words, kind, boot_id);
        Ok(Region { fd, words })
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    pub(crate) fn words(&self) -> &Words {
        &self.words
    }
}

/// Maps a region that another program created: read-only pages, writable lanes. Returns its words
/// and boot id.
pub(crate) fn join(fd: BorrowedFd<'_>, kind: RegionKind) -> Result<(Words, u64), RegionError> {
    let failed = |step| move |errno| RegionError::Map { step, errno };
    let found = rustix::fs::fcntl_get_seals(fd).map_err(failed("F_GET_SEALS"))?;
    if !found.contains(seals(kind)) {
        return Err(RegionError::NotSealed);
    }
    // The seals hold from here on, so that the size stays what it is.
    let bytes = rustix::fs::fstat(fd).map_err(failed("fstat"))?.st_size as u64;
    let words = usize::try_from(bytes / 8).unwrap_or(0);
    if words < HEADER_WORDS || !bytes.is_multiple_of(8) {
        return Err(RegionError::Size { found: bytes, expected: HEADER_WORDS as u64 * 8 });
    }
    let access = match kind {
        RegionKind::Pages => ProtFlags::READ,
        RegionKind::Lanes => ProtFlags::READ | ProtFlags::WRITE,
    };
    let words = Words::mapped(Mapping::new(fd, words, access).map_err(failed("mmap"))?);
    let boot_id = check_header(&words, kind)?;
    Ok((words, boot_id))
}

pub(crate) fn write_header(words: &[AtomicU64], kind: RegionKind, boot_id: u64) {
    let header = [
        MAGIC,
        u64::from(ABI_VERSION),
        LAYOUT_HASH,
        kind as u64,
        words.len() as u64 * 8,
        u64::from(std::process::id()),
        boot_id,
    ];
    for (word, value) in words.iter().zip(header) {
        word.store(value, Ordering::Relaxed);
    }
}

/// Checks the header of `words`, which are at least a header, and returns the boot id.
pub(crate) fn check_header(words: &[AtomicU64], kind: RegionKind) -> Result<u64, RegionError> {
    let [magic, version, layout, found_kind, bytes, _pid, boot_id]: [u64; 7] =
        std::array::from_fn(|n| words[n].load(Ordering::Relaxed));
    if magic != MAGIC {
        return Err(RegionError::Magic { found: magic });
    }
    if version != u64::from(ABI_VERSION) {
        return Err(RegionError::Version { found: version });
    }
    if layout != LAYOUT_HASH {
        return Err(RegionError::Layout);
    }
    if found_kind != kind as u64 {
        return Err(RegionError::Kind { found: found_kind, expected: kind });
    }
    let size = words.len() as u64 * 8;
    if bytes != size {
        return Err(RegionError::Size { found: size, expected: bytes });
    }
    Ok(boot_id)
}

fn seals(kind: RegionKind) -> SealFlags {
    let size = SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
    match kind {
        RegionKind::Pages => size | SealFlags::FUTURE_WRITE,
        RegionKind::Lanes => size,
    }
}

fn memfd(kind: RegionKind) -> Result<OwnedFd, Errno> {
    let name = match kind {
        RegionKind::Pages => "ringway-pages",
        RegionKind::Lanes => "ringway-lanes",
    };
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    match rustix::fs::memfd_create(name, flags | MemfdFlags::NOEXEC_SEAL) {
        // Kernels before 6.3 do not know the flag and can do without.
        Err(Errno::INVAL) => rustix::fs::memfd_create(name, flags),
        made => made,
    }
}

/// A shared mapping of a memfd, seen as atomic words.
#[derive(Debug)]
pub(crate) struct Mapping {
    base: NonNull<AtomicU64>,
    words: usize,
}

// SAFETY: the memory is not tied to a thread, and it is only ever seen as atomics.
unsafe impl Send for Mapping {}
// SAFETY: as above; all access through `&Mapping` is atomic.
unsafe impl Sync for Mapping {}

impl Mapping {
    fn new(fd: BorrowedFd<'_>, words: usize, access: ProtFlags) -> Result<Mapping, Errno> {
        // SAFETY: a new mapping at an address of the kernel's choice touches no memory of ours.
        let base = unsafe {
            rustix::mm::mmap(std::ptr::null_mut(), words * 8, access, MapFlags::SHARED, fd, 0)
        }?;
        let base = NonNull::new(base.cast()).ok_or(Errno::NOMEM)?;
        Ok(Mapping { base, words })
    }

    /// The mapped words. Those of a read-only mapping must only be loaded, and relaxed.
    pub(crate) fn words(&self) -> &[AtomicU64] {
        // SAFETY: `base` is page-aligned and mapped for `words` words until drop; the file cannot
        // shrink under it, for `create` and `join` see to its seals; other programs write the same
        // memory, which is why it is seen as atomics and nothing else.
        unsafe { std::slice::from_raw_parts(self.base.as_ptr(), self.words) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: this is what `mmap` returned, and no slice of it outlives `self`.
        let unmapped = unsafe { rustix::mm::munmap(self.base.as_ptr().cast(), self.words * 8) };
        debug_assert!(unmapped.is_ok(), "munmap of a mapping of ours: {unmapped:?}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_header_is_refused_with_the_reason() {
        let words = || {
            let words = Words::zeroed(HEADER_WORDS + 4);
            write_header(&words, RegionKind::Lanes, 77);
            words
        };
        assert!(matches!(check_header(&words(), RegionKind::Lanes), Ok(77)));
        let rows: [(usize, u64, &str); 5] = [
            (0, 5, "no shared memory of Ringway's"),
            (1, 2, "has version 2, this program 1"),
            (2, 5, "another build"),
            (3, 1, "of kind 1, expected Lanes"),
            (4, 8, "has 160 bytes where 8 belong"),
        ];
        for (word, value, message) in rows {
            let words = words();
            words[word].store(value, Ordering::Relaxed);
            let error = check_header(&words, RegionKind::Lanes).expect_err(message).to_string();
            assert!(error.contains(message), "{error}");
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "memfd")]
    fn both_sides_see_the_same_words() {
        let region = Region::create(RegionKind::Lanes, 1024, 5).expect("memory");
        let (joined, boot_id) = join(region.fd(), RegionKind::Lanes).expect("a region");
        joined[100].store(42, Ordering::Relaxed);
        assert_eq!((region.words()[100].load(Ordering::Relaxed), boot_id), (42, 5));
        assert!(matches!(join(region.fd(), RegionKind::Pages), Err(RegionError::NotSealed)));
    }

    #[test]
    #[cfg_attr(miri, ignore = "memfd")]
    fn nobody_resizes_a_region_or_writes_to_pages() {
        let lanes = Region::create(RegionKind::Lanes, 1024, 5).expect("memory");
        for bytes in [0, 1 << 20] {
            assert_eq!(rustix::fs::ftruncate(lanes.fd(), bytes), Err(Errno::PERM));
        }
        let pages = Region::create(RegionKind::Pages, 1024, 5).expect("memory");
        let writable = Mapping::new(pages.fd(), 1024, ProtFlags::READ | ProtFlags::WRITE);
        assert_eq!(writable.err(), Some(Errno::PERM));
        assert_eq!(rustix::io::pwrite(pages.fd(), &[1], 0), Err(Errno::PERM));
        pages.words()[100].store(42, Ordering::Relaxed);
        let (joined, _) = join(pages.fd(), RegionKind::Pages).expect("a region");
        assert_eq!(joined[100].load(Ordering::Relaxed), 42, "the creator still writes");
    }

    #[test]
    #[cfg_attr(miri, ignore = "memfd")]
    fn other_descriptors_are_refused() {
        let plain = rustix::fs::memfd_create("plain", MemfdFlags::CLOEXEC).expect("memory");
        assert!(matches!(join(plain.as_fd(), RegionKind::Lanes), Err(RegionError::NotSealed)));
        let null = std::fs::File::open("/dev/null").expect("null");
        assert!(matches!(
            join(null.as_fd(), RegionKind::Lanes),
            Err(RegionError::Map { step: "F_GET_SEALS", .. })
        ));
        let small = memfd(RegionKind::Lanes).expect("memory");
        rustix::fs::ftruncate(&small, 12).expect("a size");
        rustix::fs::fcntl_add_seals(&small, seals(RegionKind::Lanes)).expect("seals");
        assert!(matches!(
            join(small.as_fd(), RegionKind::Lanes),
            Err(RegionError::Size { found: 12, .. })
        ));
    }
}
