//! The sections of our offers over the life of a connection: appended, emptied, used again.
//!
//! An emptied section is free for another track once the client has answered an offer in which it
//! was inactive. Filled again before that, the client would see a section that never stopped, and
//! tell nobody of the new track (W3C WebRTC 4.4.1.5: a track event needs a change of direction).

use crate::answer::SendTrack;
use crate::codec::Codec;
use crate::error::NegotiationError;
use crate::line::MAX_SECTIONS;
use crate::offer::OfferSection;
use crate::section::Kind;

/// The sections in order, and the next free mid.
#[derive(Clone, Debug, Default)]
pub struct SendSections {
    sections: Vec<OfferSection>,
    /// How far each of them is emptied.
    emptied: Vec<Emptied>,
    keeps_apart: bool,
}

/// A section on its way from one track to the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Emptied {
    /// It carries a track, or may carry one.
    #[default]
    Settled,
    /// Its track was taken out since the last offer.
    Since,
    /// The offer that is under way says so.
    Offered,
}

impl SendSections {
    /// No sections yet. With `keeps_apart` an emptied section is never used again; see
    /// [`crate::Gates::no_section_reuse`].
    pub const fn new(keeps_apart: bool) -> Self {
        Self { sections: Vec::new(), emptied: Vec::new(), keeps_apart }
    }

    /// The sections in order, for [`crate::build_offer`].
    pub fn sections(&self) -> &[OfferSection] {
        &self.sections
    }

    /// Appends the section of data channels and gives its mid.
    ///
    /// # Errors
    /// There are too many sections.
    pub fn add_data(&mut self) -> Result<&str, NegotiationError> {
        self.append(Kind::Application, &[], None)
    }

    /// Finds a section for a track and gives its mid.
    ///
    /// # Errors
    /// There are too many sections.
    pub fn add(
        &mut self,
        kind: Kind,
        codecs: &[Codec],
        track: SendTrack,
    ) -> Result<&str, NegotiationError> {
        let free = |(section, emptied): (&OfferSection, &Emptied)| {
            section.kind == kind && section.track.is_none() && *emptied == Emptied::Settled
        };
        let mut places = self.sections.iter().zip(&self.emptied);
        let found = places.position(free).filter(|_| !self.keeps_apart);
        let Some(place) = found else {
            return self.append(kind, codecs, Some(track));
        };
        let section = &mut self.sections[place];
        section.codecs = codecs.to_vec();
        section.track = Some(track);
        Ok(&section.mid)
    }

    /// How many sections of media carry nothing.
    pub fn unused(&self) -> usize {
        let media = self.sections.iter().filter(|section| section.kind != Kind::Application);
        media.filter(|section| section.track.is_none()).count()
    }

    /// Takes the track out of a section; false if there was none.
    pub fn stop(&mut self, mid: &str) -> bool {
        let mut places = self.sections.iter_mut().zip(&mut self.emptied);
        let Some((section, emptied)) = places.find(|(section, _)| section.mid == mid) else {
            return false;
        };
        let stopped = section.track.take().is_some();
        if stopped {
            *emptied = Emptied::Since;
        }
        stopped
    }

    /// The sections were offered as they are.
    pub fn handle_offered(&mut self) {
        for emptied in self.emptied.iter_mut().filter(|emptied| **emptied == Emptied::Since) {
            *emptied = Emptied::Offered;
        }
    }

    /// The last offer was answered.
    pub fn handle_answered(&mut self) {
        for emptied in self.emptied.iter_mut().filter(|emptied| **emptied == Emptied::Offered) {
            *emptied = Emptied::Settled;
        }
    }

    fn append(
        &mut self,
        kind: Kind,
        codecs: &[Codec],
        track: Option<SendTrack>,
    ) -> Result<&str, NegotiationError> {
        if self.sections.len() >= MAX_SECTIONS {
            return Err(NegotiationError::TooManySections);
        }
        // The place serves as mid: short, so that the header extension costs little.
        let mid = self.sections.len().to_string();
        let codecs = codecs.to_vec();
        self.sections.push(OfferSection { mid, kind, codecs, track, stopped: false });
        self.emptied.push(Emptied::Settled);
        let last = self.sections.last().map(|section| section.mid.as_str());
        Ok(last.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn track(name: &str) -> SendTrack {
        SendTrack { track: name.to_owned(), ..SendTrack::default() }
    }

    #[test]
    fn emptied_sections_are_used_again_unless_kept_apart() {
        for keeps_apart in [false, true] {
            let mut sections = SendSections::new(keeps_apart);
            assert_eq!(sections.add_data(), Ok("0"));
            assert_eq!(sections.add(Kind::Audio, &[Codec::Opus], track("a")), Ok("1"));
            assert_eq!(sections.add(Kind::Video, &[Codec::Vp8], track("b")), Ok("2"));
            assert!(sections.stop("2"));
            assert!(!sections.stop("2"));
            assert!(!sections.stop("9"));
            assert_eq!(sections.unused(), 1);
            assert_eq!(sections.add(Kind::Audio, &[Codec::Opus], track("c")), Ok("3"));
            // The client has not seen yet that the section is empty, nor has it after an answer to
            // an offer of before.
            sections.handle_answered();
            assert_eq!(sections.add(Kind::Video, &[Codec::H264], track("d")), Ok("4"));
            sections.handle_offered();
            assert_eq!(sections.add(Kind::Video, &[Codec::H264], track("e")), Ok("5"));
            sections.handle_answered();
            let again = if keeps_apart { "6" } else { "2" };
            assert_eq!(sections.add(Kind::Video, &[Codec::H264], track("f")), Ok(again));
            let kept = sections.sections().iter().find(|section| section.mid == again).unwrap();
            assert_eq!(kept.codecs, [Codec::H264]);
        }
    }

    #[test]
    fn sections_are_bounded() {
        let mut sections = SendSections::new(true);
        for _ in 0..MAX_SECTIONS {
            sections.add(Kind::Audio, &[], track("a")).unwrap();
        }
        let full = sections.add(Kind::Audio, &[], track("a")).map(str::to_owned);
        assert_eq!(full, Err(NegotiationError::TooManySections));
    }
}
