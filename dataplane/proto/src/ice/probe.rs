//! Asking a peer whose media comes by a path that passed no check whether it is really there.
//!
//! A NAT that gives a peer another port does so behind its back: its next check may be seconds off
//! (libwebrtc: 2.5 s), but its media comes at once, and nobody else can have sealed it. So media is
//! taken from there, and the path is checked from our side; when the peer answers, it is sent to.
//! Without the answer nothing is: a datagram can be copied and sent from elsewhere by whoever sees
//! it, and what is sent needs consent (RFC 7675).
//!
//! A lite agent makes no checks of its own (RFC 8445 2.5), but any agent answers them (7.3), and
//! this one chooses nothing: it finds the pair again that the peer has chosen.

use ringway_wire::stun::{
    Class, IceRole, MessageType, StunRoomError, StunView, StunWriter, TransactionId,
};

use super::credentials::IceKey;
use super::{NS_PER_MS, Path};

/// Between the first check and the second; each further pause is as much longer. Raised: one lost
/// check costs more of the second within which media shall be back. Lowered: more are sent in vain
/// where the round trip is long.
const PAUSE_MS: u64 = 50;
/// Checks of one path: the sixth after 750 ms, the last one after 1050 ms. Where a tenth of all
/// packets is lost each way, six are answered but for once in 20,000 times.
const CHECKS: u32 = 7;
// RFC 8445 5.1.2.1: that of the first host candidate.
const PRIORITY: u32 = 126 << 24 | 65535 << 8 | 255;

/// The checks of one path. The latest path counts.
#[derive(Default)]
pub(super) struct Probe {
    asked: Option<Asked>,
    /// Paths so far.
    number: u64,
}

struct Asked {
    path: Path,
    transaction: TransactionId,
    sent: u32,
    due_ns: u64,
}

impl Probe {
    /// Begins to ask at `path`, unless that is under way. `local` makes what nobody can guess.
    pub(super) fn begin(&mut self, now_ns: u64, path: Path, local: &[u8; 20]) {
        if self.asked.as_ref().is_some_and(|asked| asked.path == path) {
            return;
        }
        self.number += 1;
        let mut transaction = TransactionId([0; 12]);
        transaction.0.copy_from_slice(&local[..12]);
        for (to, from) in transaction.0.iter_mut().zip(self.number.to_be_bytes()) {
            *to ^= from;
        }
        self.asked = Some(Asked { path, transaction, sent: 0, due_ns: now_ns });
    }

    /// Whether `view`, which came by `path`, is the peer's answer. Nothing more is asked then.
    pub(super) fn is_answer(&mut self, path: Path, view: &StunView<'_>, remote: &IceKey) -> bool {
        let asked = self.asked.as_ref();
        let ours = asked
            .is_some_and(|asked| asked.path == path && asked.transaction == view.transaction());
        // RFC 8445 7.2.5.2.1: it comes from where the check went; RFC 8489 9.1.4: signed like it.
        let answered = ours
            && view.message_type() == MessageType::binding(Class::Success)
            && view.signed().is_some_and(|signed| remote.verify(&signed));
        if answered {
            self.asked = None;
        }
        answered
    }

    pub(super) fn deadline(&self) -> Option<u64> {
        self.asked.as_ref().map(|asked| asked.due_ns)
    }

    /// Writes the check that is due, from the agent of ufrag `local`.
    pub(super) fn poll_transmit(
        &mut self,
        now_ns: u64,
        remote: &IceKey,
        local: &[u8],
        out: &mut [u8],
    ) -> Option<(Path, usize)> {
        let asked = self.asked.as_mut().filter(|asked| asked.due_ns <= now_ns)?;
        let (path, transaction) = (asked.path, asked.transaction);
        if asked.sent == CHECKS {
            self.asked = None;
            return None;
        }
        asked.sent += 1;
        asked.due_ns = now_ns + PAUSE_MS * u64::from(asked.sent) * NS_PER_MS;
        write(transaction, remote, local, out).ok().map(|len| (path, len))
    }
}

fn write(
    transaction: TransactionId,
    remote: &IceKey,
    local: &[u8],
    out: &mut [u8],
) -> Result<usize, StunRoomError> {
    let [a, b, c, d, e, f, g, h, ..] = transaction.0;
    let tie_breaker = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
    StunWriter::new(out, MessageType::binding(Class::Request), transaction)
        .username(remote.ufrag(), local)
        .priority(PRIORITY)
        .role(IceRole::Controlled(tie_breaker))
        .integrity(|message| remote.sign(message))
        .fingerprint()
        .finish()
}
