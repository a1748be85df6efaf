//! How the packets of a section that we receive are told apart.

use crate::attributes::SourceSemantics;
use crate::section::Section;

/// Encodings of one track that are taken. Raised: the data plane has no place for more. Lowered:
/// simulcast loses its third layer.
pub(crate) const MAX_ENCODINGS: usize = 3;

/// One encoding, known by SSRC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SsrcEncoding {
    /// The media.
    pub ssrc: u32,
    /// Its retransmissions.
    pub rtx_ssrc: Option<u32>,
    /// Its FlexFEC repairs.
    pub fec_ssrc: Option<u32>,
}

/// How the encodings of a section are known; at most three of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Encodings {
    /// By the rid in the packets, in the order of the offer's `simulcast` line. LiveKit's clients
    /// put the lowest quality first; others (OBS) the highest.
    Rids(Vec<String>),
    /// By SSRC, lowest quality first; one, unless a SIM group says otherwise.
    Ssrcs(Vec<SsrcEncoding>),
    /// Not at all: whatever has the section's mid is the track.
    #[default]
    Unsignalled,
}

impl Encodings {
    /// What the SSRC lines of a section say.
    pub(crate) fn of_sources(section: &Section) -> Self {
        let groups = |semantics| {
            section.source_groups.iter().filter(move |group| group.semantics == semantics)
        };
        let partner = |semantics, ssrc: u32| {
            let mut pairs = groups(semantics).filter_map(|group| match group.ssrcs.as_slice() {
                [media, partner] => Some((*media, *partner)),
                _ => None,
            });
            pairs.find(|(media, _)| *media == ssrc).map(|(_, partner)| partner)
        };
        let encoding = |ssrc: u32| SsrcEncoding {
            ssrc,
            rtx_ssrc: partner(SourceSemantics::Fid, ssrc),
            fec_ssrc: partner(SourceSemantics::FecFr, ssrc),
        };
        let layers = groups(SourceSemantics::Sim).next();
        let ssrcs: Vec<u32> = match layers {
            Some(group) => group.ssrcs.iter().copied().take(MAX_ENCODINGS).collect(),
            None => {
                let pairs = groups(SourceSemantics::Fid).chain(groups(SourceSemantics::FecFr));
                let paired = pairs.filter_map(|group| group.ssrcs.first()).next();
                let first = section.sources.first().map(|source| &source.ssrc);
                paired.or(first).into_iter().copied().collect()
            }
        };
        if ssrcs.is_empty() {
            return Self::Unsignalled;
        }
        Self::Ssrcs(ssrcs.into_iter().map(encoding).collect())
    }
}
