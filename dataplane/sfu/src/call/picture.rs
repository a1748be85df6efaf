//! What the pictures of a source are like as they come: how large they are, and how many there are
//! in a second up to each temporal layer. The control plane chooses layers by that.

use ringway_wire::payload::size::Size;

use super::MAX_LAYERS;

/// Temporal layers that are told apart.
pub const TEMPORALS: usize = 4;

/// A rate is news where it differs from the one before by so much, in parts of that one. Lowered,
/// encoders that waver make news all the time; raised, a camera that slows down in the dark is
/// noticed late.
const NEWS_PART: u8 = 4;

/// The pictures of one layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Picture {
    /// Pixels; 0 is not known.
    pub width: u16,
    /// Pixels; 0 is not known.
    pub height: u16,
    /// Pictures in a second for who gets up to each temporal layer; 0 is not known.
    pub fps: [u8; TEMPORALS],
}

/// The pictures of a source.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pictures {
    known: [Picture; MAX_LAYERS],
    /// Frames since the last count, by layer and temporal layer.
    frames: [[u16; TEMPORALS]; MAX_LAYERS],
    /// Layers of which frames came in the last interval, a bit for each: of one that began within
    /// this one no rate can be told.
    flowed: u8,
    since_ns: u64,
}

impl Pictures {
    /// What is known of each layer.
    pub(super) fn known(&self) -> [Picture; MAX_LAYERS] {
        self.known
    }

    /// A frame begins.
    #[inline]
    pub(super) fn count(&mut self, layer: u8, temporal: u8) {
        let frames = self.frames.get_mut(usize::from(layer));
        if let Some(count) = frames.and_then(|frames| frames.get_mut(usize::from(temporal))) {
            *count = count.saturating_add(1);
        }
    }

    /// A key frame of these sizes begins: those of the layers from `layer` on; `true` where that is
    /// news.
    pub(super) fn measure(&mut self, layer: u8, sizes: &[Option<Size>]) -> bool {
        let mut news = false;
        let known = self.known.iter_mut().skip(usize::from(layer));
        for (picture, (width, height)) in
            known.zip(sizes).filter_map(|(to, size)| Some((to, (*size)?)))
        {
            news |= (picture.width, picture.height) != (width, height);
            (picture.width, picture.height) = (width, height);
        }
        news
    }

    /// Ends an interval of some seconds; `true` where rates are others than were known.
    pub(super) fn end_interval(&mut self, now_ns: u64) -> bool {
        let elapsed_ns = now_ns.saturating_sub(std::mem::replace(&mut self.since_ns, now_ns));
        let frames = std::mem::take(&mut self.frames);
        let flowed = std::mem::take(&mut self.flowed);
        let mut news = false;
        for (layer, (picture, frames)) in self.known.iter_mut().zip(&frames).enumerate() {
            if frames.iter().all(|count| *count == 0) {
                continue;
            }
            self.flowed |= 1 << layer;
            if flowed >> layer & 1 == 0 {
                continue;
            }
            let mut sum = 0;
            let fps = frames.map(|count| {
                sum += u64::from(count);
                rate(sum, elapsed_ns)
            });
            let differs = |(was, is): (&u8, &u8)| was.abs_diff(*is) > *was / NEWS_PART;
            if picture.fps.iter().zip(&fps).any(differs) {
                picture.fps = fps;
                news = true;
            }
        }
        news
    }
}

fn rate(frames: u64, elapsed_ns: u64) -> u8 {
    let rounded = (frames * 1_000_000_000 + elapsed_ns / 2).checked_div(elapsed_ns);
    u8::try_from(rounded.unwrap_or(0)).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    #[test]
    fn rates_are_counted_over_whole_intervals() {
        let mut pictures = Pictures::default();
        // Frames of each temporal layer in 5 s, whether that is news, and what is known then.
        let rows: [([u16; 3], bool, [u8; 4]); 8] = [
            ([20, 20, 40], false, [0; 4]), // may have begun in the middle
            ([38, 37, 75], true, [8, 15, 30, 30]),
            ([40, 36, 74], false, [8, 15, 30, 30]),
            ([38, 0, 0], true, [8; 4]),
            ([0, 0, 0], false, [8; 4]),
            ([2, 2, 4], false, [8; 4]),
            ([75, 75, 150], true, [15, 30, 60, 60]),
            ([9999, 0, 0], true, [255; 4]),
        ];
        for (at, (frames, news, fps)) in (1..).zip(rows) {
            for (temporal, count) in (0..).zip(frames) {
                (0..count).for_each(|_| pictures.count(1, temporal));
            }
            pictures.count(9, 0);
            pictures.count(0, 9);
            assert_eq!(pictures.end_interval(at * 5 * S), news, "{at}");
            assert_eq!(pictures.known().map(|one| one.fps), [[0; 4], fps, [0; 4]], "{at}");
        }
        assert!(!pictures.end_interval(0), "a clock that goes back");
    }

    #[test]
    fn sizes_are_news_once() {
        let mut pictures = Pictures::default();
        let (small, large) = (Some((320, 180)), Some((1280, 720)));
        let check = |pictures: &mut Pictures, layer, sizes: &[Option<Size>], news, expect| {
            assert_eq!(pictures.measure(layer, sizes), news, "{layer} {sizes:?}");
            assert_eq!(pictures.known().map(|one| one.height), expect);
        };
        check(&mut pictures, 0, &[small, None, None], true, [180, 0, 0]);
        check(&mut pictures, 0, &[small, None, None], false, [180, 0, 0]);
        check(&mut pictures, 2, &[large, None, None], true, [180, 0, 720]);
        check(&mut pictures, 0, &[None; 3], false, [180, 0, 720]);
        check(&mut pictures, 0, &[small, small, small], true, [180; 3]);
        check(&mut pictures, 9, &[large], false, [180; 3]);
    }
}
