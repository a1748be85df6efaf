//! The lite agent: it answers checks and does what the latest nomination says.
//!
//! RFC 8445 2.5: a lite agent has host candidates only, sends no checks, and is always controlled
//! by a full one. Of several nominations the latest wins, so that a client which changes networks
//! is followed at once, and not when the old pair has timed out.

use ringway_wire::stun::{Class, MessageType, StunView};

use super::credentials::IceKey;
use super::paths::Paths;
use super::reply::{Reply, authenticate, grant, put_refusal, role_conflict};
use super::{IceCredentials, IceDrop, Path};

pub(super) struct LiteAgent {
    local: IceKey,
    reply: Reply,
}

impl LiteAgent {
    pub(super) fn new(local: &IceCredentials) -> Self {
        Self { local: IceKey::new(local), reply: Reply::default() }
    }

    /// From now on only the new credentials are good.
    pub(super) fn restart(&mut self, local: &IceCredentials) {
        self.local = IceKey::new(local);
    }

    pub(super) fn ufrag(&self) -> &[u8] {
        self.local.ufrag()
    }

    pub(super) fn reply(&mut self) -> &mut Reply {
        &mut self.reply
    }

    pub(super) fn is_waiting(&self) -> bool {
        self.reply.is_waiting()
    }

    /// Takes a message that came by `path`; tells whether it nominated that path.
    pub(super) fn handle(&mut self, path: Path, view: &StunView<'_>) -> Result<bool, IceDrop> {
        if view.message_type() != MessageType::binding(Class::Request) {
            return Err(IceDrop::Unasked);
        }
        if let Err(reason) = self.judge(view) {
            put_refusal(&mut self.reply, view, path, reason, &self.local);
            return Err(reason);
        }
        let local = &self.local;
        self.reply.put(path, |out| grant(view.transaction(), &path, local, out));
        Ok(view.use_candidate())
    }

    fn judge(&self, view: &StunView<'_>) -> Result<(), IceDrop> {
        authenticate(view, &self.local)?;
        // RFC 8445 7.3.1.1: an agent that stays controlled refuses with 487, and the peer becomes
        // controlling. A lite agent has no tie-breaker to lose by.
        if role_conflict(view, false) { Err(IceDrop::Role) } else { Ok(()) }
    }
}

/// What an accepted check means for the paths: the latest nomination is the selected one.
pub(super) fn nominate(paths: &mut Paths, path: Path, nominated: bool) -> bool {
    nominated && paths.select(path)
}
