//! Attributes of a section that carry more than one field: header extensions, streams, simulcast.

use std::fmt;

use crate::error::Reason;
use crate::section::Direction;

/// Longest mid, rid, stream or track id that is read, in bytes. Raised: nothing gets better, the
/// header extension has room for 255. Lowered: ids of real clients (36 for a UUID) are refused.
pub(crate) const MAX_TOKEN_BYTES: usize = 256;

/// A token: not empty, not long, no blanks.
pub(crate) fn read_token(text: &str) -> Result<String, Reason> {
    let fits = !text.is_empty() && text.len() <= MAX_TOKEN_BYTES;
    if fits && !text.contains(char::is_whitespace) {
        Ok(text.to_owned())
    } else {
        Err(Reason::Malformed)
    }
}

/// `a=extmap`: an RTP header extension and its number (RFC 8285).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extmap {
    /// The id on the wire, 1..=255; larger ones are dropped on reading.
    pub id: u8,
    /// In which direction it is used, where that is not the section's.
    pub direction: Option<Direction>,
    /// What it is.
    pub uri: String,
}

impl Extmap {
    /// Reads `3/sendonly urn:...`; nothing where the id cannot stand in a packet.
    pub(crate) fn read(value: &str) -> Result<Option<Self>, Reason> {
        let mut fields = value.split_ascii_whitespace();
        let number = fields.next().ok_or(Reason::Malformed)?;
        let uri = fields.next().ok_or(Reason::Malformed)?;
        let (id, direction) = match number.split_once('/') {
            Some((id, direction)) => {
                (id, Some(Direction::named(direction).ok_or(Reason::Unknown)?))
            }
            None => (number, None),
        };
        let id: u16 = id.parse().map_err(|_| Reason::OutOfRange)?;
        // RFC 8285 4.2, 4.3: 0 is padding; 5: 4096 and more stand only in offers.
        let id = u8::try_from(id).ok().filter(|id| *id != 0);
        let uri = read_token(uri)?;
        Ok(id.map(|id| Self { id, direction, uri }))
    }
}

impl fmt::Display for Extmap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.id)?;
        if let Some(direction) = self.direction {
            write!(f, "/{}", direction.name())?;
        }
        write!(f, " {}", self.uri)
    }
}

/// `a=msid`: which track of which stream a section carries (RFC 8830).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Msid {
    /// The stream's id; `-` says that there is none.
    pub stream: String,
    /// The track's id; newer descriptions leave it out.
    pub track: Option<String>,
}

impl Msid {
    pub(crate) fn read(value: &str) -> Result<Self, Reason> {
        let mut fields = value.split_ascii_whitespace();
        let stream = read_token(fields.next().unwrap_or_default())?;
        let track = fields.next().map(read_token).transpose()?;
        Ok(Self { stream, track })
    }
}

impl fmt::Display for Msid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A name chosen by a client may hold blanks, which would make two fields of it.
        let token = |text: &str| text.replace(char::is_whitespace, "_");
        write!(f, "{}", token(&self.stream))?;
        match &self.track {
            Some(track) => write!(f, " {}", token(track)),
            None => Ok(()),
        }
    }
}

/// `a=rid`: one encoding of a simulcast section (RFC 8851).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rid {
    /// The id, which packets carry.
    pub id: String,
    /// Whether the describer sends it (or wants to receive it).
    pub sends: bool,
    /// Restrictions as written, such as `pt=96;max-width=1280`; empty if there are none.
    pub restrictions: String,
}

impl Rid {
    pub(crate) fn read(value: &str) -> Result<Self, Reason> {
        let mut fields = value.splitn(3, ' ');
        let id = read_token(fields.next().unwrap_or_default())?;
        let sends = match fields.next() {
            Some("send") => true,
            Some("recv") => false,
            _ => return Err(Reason::Malformed),
        };
        let restrictions = fields.next().unwrap_or_default().trim().to_owned();
        Ok(Self { id, sends, restrictions })
    }
}

impl fmt::Display for Rid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.id, if self.sends { "send" } else { "recv" })?;
        if self.restrictions.is_empty() { Ok(()) } else { write!(f, " {}", self.restrictions) }
    }
}

/// `a=simulcast`: the order of a section's encodings (RFC 8853). Of alternatives only the first is
/// kept, and whether an encoding starts paused is not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Simulcast {
    /// Rids that the describer sends.
    pub send: Vec<String>,
    /// Rids that the describer wants to receive.
    pub receive: Vec<String>,
}

/// Encodings of one simulcast line that are read.
const MAX_ENCODINGS: usize = 16;

impl Simulcast {
    pub(crate) fn read(value: &str) -> Result<Self, Reason> {
        let mut simulcast = Self::default();
        let mut fields = value.split_ascii_whitespace();
        while let Some(direction) = fields.next() {
            let list = match direction {
                "send" => &mut simulcast.send,
                "recv" => &mut simulcast.receive,
                _ => return Err(Reason::Malformed),
            };
            let names = fields.next().ok_or(Reason::Malformed)?;
            if !list.is_empty() {
                return Err(Reason::Twice);
            }
            for alternatives in names.split(';') {
                let first = alternatives.split(',').next().unwrap_or_default();
                let name = first.strip_prefix('~').unwrap_or(first);
                // RFC 8853 5.1: one mark at most, and no name begins with it.
                if name.starts_with('~') {
                    return Err(Reason::Malformed);
                }
                list.push(read_token(name)?);
            }
            if list.len() > MAX_ENCODINGS {
                return Err(Reason::TooMany);
            }
        }
        let empty = simulcast.send.is_empty() && simulcast.receive.is_empty();
        if empty { Err(Reason::Malformed) } else { Ok(simulcast) }
    }
}

impl fmt::Display for Simulcast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lists = [("send", &self.send), ("recv", &self.receive)];
        let lists = lists.iter().filter(|(_, list)| !list.is_empty());
        for (index, (name, list)) in lists.enumerate() {
            let blank = if index == 0 { "" } else { " " };
            write!(f, "{blank}{name} {}", list.join(";"))?;
        }
        Ok(())
    }
}

/// What `a=ssrc` lines say of one SSRC (RFC 5576).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Source {
    /// The SSRC.
    pub ssrc: u32,
    /// The canonical name.
    pub cname: Option<String>,
    /// The track, as older descriptions say it.
    pub msid: Option<Msid>,
}

/// What the SSRCs of a group are to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceSemantics {
    /// A stream and its retransmissions (RFC 4588).
    Fid,
    /// The encodings of one track, lowest first.
    Sim,
    /// A stream and its FlexFEC repairs (RFC 5956).
    FecFr,
}

impl SourceSemantics {
    const ALL: [Self; 3] = [Self::Fid, Self::Sim, Self::FecFr];

    /// The name in SDP.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fid => "FID",
            Self::Sim => "SIM",
            Self::FecFr => "FEC-FR",
        }
    }
}

/// `a=ssrc-group`; groups of other semantics are dropped on reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceGroup {
    /// What the SSRCs are to each other.
    pub semantics: SourceSemantics,
    /// The SSRCs in order; at least one.
    pub ssrcs: Vec<u32>,
}

impl SourceGroup {
    pub(crate) fn read(value: &str) -> Result<Option<Self>, Reason> {
        let mut fields = value.split_ascii_whitespace();
        let name = fields.next().ok_or(Reason::Malformed)?;
        let ssrcs: Result<Vec<u32>, _> = fields.map(str::parse).collect();
        let ssrcs = ssrcs.map_err(|_| Reason::OutOfRange)?;
        if ssrcs.len() > MAX_ENCODINGS {
            return Err(Reason::TooMany);
        }
        let semantics = SourceSemantics::ALL.into_iter().find(|known| known.name() == name);
        let semantics = semantics.filter(|_| !ssrcs.is_empty());
        Ok(semantics.map(|semantics| Self { semantics, ssrcs }))
    }
}

impl fmt::Display for SourceGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.semantics.name())?;
        self.ssrcs.iter().try_for_each(|ssrc| write!(f, " {ssrc}"))
    }
}
