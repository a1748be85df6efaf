//! Whom a data packet is for, as it names them. Not who is there: that is the room's to know.
//!
//! Names are looked up once per member of a room, so they are ordered once per packet: a long list
//! costs its sender's shard a search per member, not a walk.

/// Names that need no memory of their own. Raised: every packet costs more to set up; lowered: more
/// packets allocate.
const FEW: usize = 16;

/// How a packet names somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Naming {
    /// By identity, in the packet.
    Identity,
    /// By identity, in the user packet within: only where the packet itself names none.
    UserIdentity,
    /// By sid, in the user packet within.
    UserSid,
}

type Name<'a> = (Naming, &'a [u8]);

/// The names of one packet. To be asked only after [`Self::order`].
#[derive(Debug)]
pub(super) struct Destinations<'a> {
    few: [Name<'a>; FEW],
    count: usize,
    /// All of them, once they are more than few.
    many: Vec<Name<'a>>,
}

impl<'a> Destinations<'a> {
    pub(super) fn new() -> Self {
        Self { few: [(Naming::Identity, &[]); FEW], count: 0, many: Vec::new() }
    }

    pub(super) fn add(&mut self, naming: Naming, name: &'a [u8]) {
        if let Some(place) = self.few.get_mut(self.count) {
            *place = (naming, name);
        } else {
            if self.many.is_empty() {
                self.many.extend_from_slice(&self.few);
            }
            self.many.push((naming, name));
        }
        self.count += 1;
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// To be called when all are added.
    pub(super) fn order(&mut self) {
        match self.many.is_empty() {
            true => self.few[..self.count].sort_unstable(),
            false => self.many.sort_unstable(),
        }
    }

    /// Whether a participant is among them; everybody is where nobody is named.
    pub(super) fn include(&self, identity: &[u8], sid: &[u8]) -> bool {
        let names = match self.many.is_empty() {
            true => &self.few[..self.count],
            false => &self.many,
        };
        let Some((first, _)) = names.first() else { return true };
        let naming = match first {
            Naming::Identity => Naming::Identity,
            _ => Naming::UserIdentity,
        };
        let named = |naming, name| names.binary_search(&(naming, name)).is_ok();
        named(naming, identity) || named(Naming::UserSid, sid)
    }
}
