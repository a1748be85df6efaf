#![allow(unsafe_code)] // Registers memory with the kernel.
//! Making a ring, and saying what the kernel lacks if it cannot be made.

use std::io;

use io_uring::IoUring;
use rustix::process::{Resource, getrlimit};

use super::buffer_ring::{BUFFER_GROUP, BufferRing};
use crate::arrival::NAME_BYTES;
use crate::control::CONTROL_BYTES;
use crate::engine::{EngineConfig, EngineError};
use crate::outbox::{OUTBOX_MESSAGES, empty_message};
use crate::probe::Missing;

/// Requests that can be queued. Twice the outbox, so that receives can be armed in the same entry
/// into the kernel; more costs cache.
const SUBMISSION_ENTRIES: u32 = 2 * OUTBOX_MESSAGES as u32;

/// Makes the ring.
pub(super) fn ring(buffers: u32, config: &EngineConfig) -> Result<IoUring, EngineError> {
    // At any time at most one completion per buffer, one end per receive, and one error per
    // queued request. The kernel clamps what is too large and keeps what does not fit.
    let enough = buffers + config.sockets + 2 * SUBMISSION_ENTRIES;
    let completions = config.completion_entries.unwrap_or(enough).max(SUBMISSION_ENTRIES);
    let ring = IoUring::builder()
        .setup_single_issuer()
        .setup_defer_taskrun()
        .setup_submit_all()
        .setup_clamp()
        .setup_cqsize(completions)
        .build(SUBMISSION_ENTRIES)
        .map_err(|error| Missing::from_setup(&error))?;
    let has = ring.params();
    if !(has.is_feature_nodrop() && has.is_feature_ext_arg()) {
        return Err(Missing::WaitArguments.into());
    }
    if !has.is_feature_skip_cqe_on_success() {
        return Err(Missing::SilentSends.into());
    }
    Ok(ring)
}

/// Registers the table of sockets and the ring of buffers.
pub(super) fn register(
    ring: &IoUring,
    config: &EngineConfig,
    buffer_ring: &BufferRing,
) -> Result<(), EngineError> {
    let submitter = ring.submitter();
    submitter.register_files_sparse(config.sockets).map_err(|error| file_error(error, config))?;
    let (address, entries) = (buffer_ring.address(), buffer_ring.entries());
    // SAFETY: the buffer ring is mapped as long as the engine, which closes the ring first.
    unsafe { submitter.register_buf_ring_with_flags(address, entries, BUFFER_GROUP, 0) }
        .map_err(buffer_error)
}

fn file_error(error: io::Error, config: &EngineConfig) -> EngineError {
    match error.raw_os_error() {
        Some(libc::EINVAL) => Missing::SocketTable.into(),
        Some(libc::ENOMEM) => Missing::locked_memory().into(),
        Some(libc::EMFILE) => EngineError::Sockets {
            asked: config.sockets,
            limit: getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX),
        },
        _ => EngineError::Kernel { step: "registering the table of sockets", source: error },
    }
}

fn buffer_error(error: io::Error) -> EngineError {
    match error.raw_os_error() {
        Some(libc::EINVAL) => Missing::BufferRings.into(),
        Some(libc::ENOMEM) => Missing::locked_memory().into(),
        _ => EngineError::Kernel { step: "registering the ring of receive buffers", source: error },
    }
}

pub(super) fn no_memory_for_buffers(source: io::Error) -> EngineError {
    EngineError::Kernel { step: "mapping the ring of receive buffers", source }
}

/// What the kernel shall tell about each datagram: who sent it, and the control messages.
pub(super) fn receive_header() -> libc::msghdr {
    let mut header = empty_message().msg_hdr;
    header.msg_namelen = NAME_BYTES as _;
    header.msg_controllen = CONTROL_BYTES as _;
    header
}
