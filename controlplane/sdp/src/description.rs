//! A session description as WebRTC has it (RFC 8866, RFC 8829): unified plan, one BUNDLE group.
//!
//! Known attributes are typed, unknown ones are dropped. What stands at session level but belongs
//! to sections is copied into them, so that a [`Section`] can be read on its own. Writing gives a
//! text that reads back as the same value.

use std::fmt;

use crate::error::ParseError;
use crate::section::Section;
use crate::{parse, write};

/// Who made the description, and which version of it this is (`o=`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The same for the whole life of a peer connection.
    // RFC 8829 5.2.1: 64 bits with the highest bit zero.
    pub session_id: u64,
    /// Rises with every description that differs.
    pub version: u64,
}

impl Origin {
    /// The origin of a new peer connection; `seed` is any random number.
    pub const fn new(seed: u64) -> Self {
        Self { session_id: seed & (u64::MAX >> 1), version: 1 }
    }

    /// The origin of the following description.
    #[must_use]
    pub const fn next(self) -> Self {
        Self { session_id: self.session_id, version: self.version.saturating_add(1) }
    }
}

/// A session description.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Description {
    /// Who made it.
    pub origin: Origin,
    /// Mids of the first BUNDLE group, the first one carrying the transport.
    pub bundle: Vec<String>,
    /// The describer is an ICE-lite agent.
    pub ice_lite: bool,
    /// Media sections in order; never more than [`crate::MAX_SECTIONS`].
    pub sections: Vec<Section>,
}

impl Description {
    /// Reads a whole description. The caller bounds the size of the text; lines, sections and
    /// attributes are bounded here.
    ///
    /// # Errors
    /// The first line that is wrong, with its number.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        parse::parse(text)
    }

    /// The section of that mid.
    pub fn section(&self, mid: &str) -> Option<&Section> {
        self.sections.iter().find(|section| section.mid == mid && !mid.is_empty())
    }

    /// The section whose ICE and DTLS attributes count for all: the first of the BUNDLE group, or
    /// else the first that is not rejected.
    pub fn transport_section(&self) -> Option<&Section> {
        let tagged = self.bundle.first().and_then(|mid| self.section(mid));
        let usable = |section: &&Section| !section.is_rejected();
        tagged.filter(usable).or_else(|| self.sections.iter().find(usable))
    }
}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&write::write(self))
    }
}
