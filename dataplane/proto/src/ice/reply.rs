//! Judging a connectivity check by its credentials, and writing the answer. Nothing is allocated.

use ringway_wire::stun::{
    Class, IceRole, MessageType, StunRoomError, StunView, StunWriter, TransactionId,
};

use super::credentials::IceKey;
use super::{IceDrop, Path};

/// Room for the longest answer: a refusal that lists unknown attributes.
pub(super) const REPLY_BYTES: usize = 128;

/// One answer that waits to be sent. An answer that nobody fetched is overwritten: it is lost like
/// a datagram, and the peer asks again.
pub(super) struct Reply {
    path: Option<Path>,
    len: usize,
    bytes: [u8; REPLY_BYTES],
}

impl Default for Reply {
    fn default() -> Self {
        Self { path: None, len: 0, bytes: [0; REPLY_BYTES] }
    }
}

impl Reply {
    /// Keeps what `write` makes for `path`; an answer without room is not sent.
    pub(super) fn put(
        &mut self,
        path: Path,
        write: impl FnOnce(&mut [u8]) -> Result<usize, StunRoomError>,
    ) {
        self.path = None;
        if let Ok(len) = write(&mut self.bytes) {
            (self.path, self.len) = (Some(path), len);
        }
    }

    pub(super) fn take(&mut self, out: &mut [u8]) -> Option<(Path, usize)> {
        let path = self.path.take()?;
        out.get_mut(..self.len)?.copy_from_slice(self.bytes.get(..self.len)?);
        Some((path, self.len))
    }

    pub(super) fn is_waiting(&self) -> bool {
        self.path.is_some()
    }
}

/// Whether `view` is a request of somebody who knows our password.
pub(super) fn authenticate(view: &StunView<'_>, local: &IceKey) -> Result<(), IceDrop> {
    // RFC 8489 9.1.3: without USERNAME or MESSAGE-INTEGRITY the answer is 400.
    let (Some((ours, _)), Some(signed)) = (view.ufrags(), view.signed()) else {
        return Err(IceDrop::Incomplete);
    };
    // RFC 8489 9.1.3: a USERNAME that is not valid, or a wrong integrity, is answered with 401.
    if ours != local.ufrag() {
        return Err(IceDrop::Ufrag);
    }
    if !local.verify(&signed) {
        return Err(IceDrop::Integrity);
    }
    // RFC 8489 6.3.1: unknown attributes that must be understood are answered with 420.
    if !view.unknown().is_empty() {
        return Err(IceDrop::Unknown);
    }
    Ok(())
}

/// Whether the peer takes the role that is ours.
pub(super) fn role_conflict(view: &StunView<'_>, controlling: bool) -> bool {
    match view.role() {
        Some(IceRole::Controlling(_)) => controlling,
        Some(IceRole::Controlled(_)) => !controlling,
        None => false,
    }
}

/// Grants a check: tells where it came from.
pub(super) fn grant(
    transaction: TransactionId,
    path: &Path,
    local: &IceKey,
    out: &mut [u8],
) -> Result<usize, StunRoomError> {
    StunWriter::new(out, MessageType::binding(Class::Success), transaction)
        .mapped_address(path.remote)
        .integrity(|message| local.sign(message))
        .fingerprint()
        .finish()
}

/// Refuses a check that somebody who knows our password sent.
pub(super) fn refuse_signed(
    view: &StunView<'_>,
    reason: IceDrop,
    local: &IceKey,
    out: &mut [u8],
) -> Result<usize, StunRoomError> {
    let mut writer = begin(view, reason, out);
    writer.integrity(|message| local.sign(message)).fingerprint().finish()
}

/// Writes the refusal of a request whose sender is unknown, into `out`; gives its length.
///
/// It is shorter than what it answers in all but odd cases, so that nobody gains by a forged
/// source. RFC 8489 9.1.3: such an answer has no MESSAGE-INTEGRITY.
pub fn refuse(
    view: &StunView<'_>,
    reason: IceDrop,
    out: &mut [u8],
) -> Result<usize, StunRoomError> {
    begin(view, reason, out).fingerprint().finish()
}

fn begin<'a>(view: &StunView<'_>, reason: IceDrop, out: &'a mut [u8]) -> StunWriter<'a> {
    let (code, phrase) = match reason {
        IceDrop::Ufrag | IceDrop::Integrity => (401, "Unauthenticated"),
        IceDrop::Unknown => (420, "Unknown Attribute"),
        IceDrop::Role => (487, "Role Conflict"),
        IceDrop::Incomplete | IceDrop::Unasked | IceDrop::Refused => (400, "Bad Request"),
    };
    let mut writer = StunWriter::new(out, MessageType::binding(Class::Error), view.transaction());
    writer.error_code(code, phrase);
    if reason == IceDrop::Unknown {
        writer.unknown_attributes(view.unknown());
    }
    writer
}

/// Refuses into `reply` where RFC 8489 asks for it.
pub(super) fn put_refusal(
    reply: &mut Reply,
    view: &StunView<'_>,
    path: Path,
    reason: IceDrop,
    local: &IceKey,
) {
    match reason {
        IceDrop::Unknown | IceDrop::Role => {
            reply.put(path, |out| refuse_signed(view, reason, local, out));
        }
        IceDrop::Incomplete | IceDrop::Ufrag | IceDrop::Integrity => {
            reply.put(path, |out| refuse(view, reason, out));
        }
        IceDrop::Unasked | IceDrop::Refused => {}
    }
}
