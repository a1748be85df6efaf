//! The SSRCs of one session and what is remembered of each; bounded.

use super::SrtpDrop;
use super::replay::ReplayWindow;

/// SSRCs that one peer may use at once, in RTP and in RTCP each. Raised: a peer can make us keep
/// more (150 bytes each). Lowered: who publishes many simulcast tracks on one connection (up to
/// six SSRCs each) is cut off.
pub const MAX_STREAMS: usize = 256;

/// Packets of the session without one of an SSRC, after which a new SSRC may take its place.
/// Raised: a peer that publishes anew again and again runs out of places. Lowered: a silent
/// stream's roll-over counter and replay list are forgotten.
const STALE_PACKETS: u64 = 1 << 16;

struct Stream<const WORDS: usize> {
    window: ReplayWindow<WORDS>,
    /// What [`Streams::opened`] was at its latest packet.
    used_at: u64,
}

/// Where the packet that is being looked at belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Known(usize),
    New,
}

/// A table that is searched from the front: few SSRCs are in use at once.
#[derive(Default)]
pub(super) struct Streams<const WORDS: usize> {
    ssrcs: Vec<u32>,
    streams: Vec<Stream<WORDS>>,
    // The latest hit, as packets come in bursts of one SSRC.
    latest: usize,
    opened: u64,
}

impl<const WORDS: usize> Streams<WORDS> {
    /// Looks `ssrc` up; refuses a new one when every place is in use.
    pub(super) fn find(&mut self, ssrc: u32) -> Result<Place, SrtpDrop> {
        if self.ssrcs.get(self.latest) == Some(&ssrc) {
            return Ok(Place::Known(self.latest));
        }
        if let Some(at) = self.ssrcs.iter().position(|known| *known == ssrc) {
            self.latest = at;
            return Ok(Place::Known(at));
        }
        if self.ssrcs.len() < MAX_STREAMS || self.stalest().is_some() {
            return Ok(Place::New);
        }
        Err(SrtpDrop::Streams)
    }

    /// Whether `ssrc` has a place.
    pub(super) fn has(&self, ssrc: u32) -> bool {
        self.ssrcs.contains(&ssrc)
    }

    /// What was opened of the stream at `place`; `None` for a new one.
    pub(super) fn window(&self, place: Place) -> Option<&ReplayWindow<WORDS>> {
        let Place::Known(at) = place else { return None };
        self.streams.get(at).map(|stream| &stream.window)
    }

    /// Remembers an authentic packet.
    pub(super) fn accept(&mut self, place: Place, ssrc: u32, index: u64) {
        self.opened += 1;
        if let Place::Known(at) = place
            && let Some(stream) = self.streams.get_mut(at)
        {
            stream.window.accept(index);
            stream.used_at = self.opened;
            return;
        }
        let stream = Stream { window: ReplayWindow::new(index), used_at: self.opened };
        if self.ssrcs.len() < MAX_STREAMS {
            self.latest = self.ssrcs.len();
            self.ssrcs.push(ssrc);
            self.streams.push(stream);
        } else if let Some(at) = self.stalest() {
            self.latest = at;
            self.ssrcs[at] = ssrc;
            self.streams[at] = stream;
        }
    }

    fn stalest(&self) -> Option<usize> {
        let (at, stream) =
            self.streams.iter().enumerate().min_by_key(|(_, stream)| stream.used_at)?;
        (self.opened - stream.used_at >= STALE_PACKETS).then_some(at)
    }

    /// Forgets `ssrc`, which the peer no longer uses.
    pub(super) fn remove(&mut self, ssrc: u32) {
        if let Some(at) = self.ssrcs.iter().position(|known| *known == ssrc) {
            self.ssrcs.swap_remove(at);
            self.streams.swap_remove(at);
        }
    }

    /// How many SSRCs are known.
    pub(super) fn len(&self) -> usize {
        self.ssrcs.len()
    }
}
