//! Which of the tracks that we want to send go into which section of a client's offer.
//!
//! On a single peer connection only the client offers, so it must have offered sections that we
//! can send in. Where it has not, LiveKit's `media_sections_requirement` asks for more.

use std::collections::HashSet;

use crate::capabilities::Capabilities;
use crate::codec::Codec;
use crate::description::Description;
use crate::negotiated::{NegotiatedPayload, match_payloads, payload_for};
use crate::section::{Kind, Section};

/// A track that we want to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WantedTrack<'a> {
    /// The track's id.
    pub track: &'a str,
    /// Its codec; for RED name Opus, since RED can be unwrapped.
    pub codec: Codec,
    /// Its format parameters, as the publisher described them.
    pub fmtp: &'a str,
}

/// A track in a section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// The section.
    pub mid: String,
    /// The track.
    pub track: String,
}

/// How many sections the client must add.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SectionsNeeded {
    /// Receiving sections of audio.
    pub audios: u32,
    /// Receiving sections of video.
    pub videos: u32,
}

impl SectionsNeeded {
    /// Whether no section is missing.
    pub const fn is_none(self) -> bool {
        self.audios == 0 && self.videos == 0
    }
}

/// Where tracks go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placement {
    /// Tracks with a section.
    pub placed: Vec<Placed>,
    /// Sections for the tracks without one.
    pub needed: SectionsNeeded,
    /// Tracks that the client cannot decode.
    pub unsupported: Vec<String>,
}

/// Finds a section of `offer` for every wanted track.
///
/// A track that was `before` in a section stays there. `spent` are sections that must not carry
/// another track (see [`crate::Gates::no_section_reuse`]); leave it empty otherwise.
pub fn place_tracks(
    offer: &Description,
    capabilities: &Capabilities,
    before: &[Placed],
    spent: &[String],
    wanted: &[WantedTrack<'_>],
) -> Placement {
    let sections: Vec<Slot<'_>> =
        offer.sections.iter().filter_map(|section| Slot::of(section, capabilities)).collect();
    let mut taken: HashSet<&str> = spent.iter().map(String::as_str).collect();
    let mut placement = Placement::default();
    let mut waiting = Vec::new();
    for track in wanted {
        let old = before.iter().find(|placed| placed.track == track.track);
        let slot = old.and_then(|old| sections.iter().find(|slot| slot.section.mid == old.mid));
        match slot.filter(|slot| slot.carries(track)) {
            Some(slot) => {
                taken.insert(&slot.section.mid);
                placement.place(slot, track);
            }
            None => waiting.push(track),
        }
    }
    for track in waiting {
        let kind = track.codec.kind();
        let of_kind = || sections.iter().filter(|slot| slot.section.kind == kind);
        let able = || of_kind().filter(|slot| slot.carries(track));
        let free = of_kind()
            .filter(|slot| !taken.contains(slot.section.mid.as_str()))
            .find(|slot| slot.carries(track));
        match free {
            Some(slot) => {
                taken.insert(&slot.section.mid);
                placement.place(slot, track);
            }
            // The sections of a client are alike: if one cannot carry it, a new one cannot either.
            None if of_kind().next().is_some() && able().next().is_none() => {
                placement.unsupported.push(track.track.to_owned());
            }
            None if kind == Kind::Audio => placement.needed.audios += 1,
            None => placement.needed.videos += 1,
        }
    }
    placement
}

impl Placement {
    fn place(&mut self, slot: &Slot<'_>, track: &WantedTrack<'_>) {
        let (mid, track) = (slot.section.mid.clone(), track.track.to_owned());
        self.placed.push(Placed { mid, track });
    }
}

/// A section that we can send in.
struct Slot<'a> {
    section: &'a Section,
    payloads: Vec<NegotiatedPayload>,
}

impl<'a> Slot<'a> {
    fn of(section: &'a Section, capabilities: &Capabilities) -> Option<Self> {
        let usable = !section.is_rejected()
            && section.kind != Kind::Application
            && section.direction.receives()
            && section.rtcp_mux;
        let sends = section.direction.sends();
        // pion, which sends in sections that it receives in, too: where there are rids it expects
        // one of every stream, whoever sends it, and has no track for the SSRC that we announce.
        let layered = sends && !section.rids.is_empty();
        let usable = usable && !layered;
        usable
            .then(|| Self { section, payloads: match_payloads(section, capabilities, sends, true) })
    }

    fn carries(&self, track: &WantedTrack<'_>) -> bool {
        payload_for(&self.payloads, track.codec, track.fmtp).is_some()
    }
}
