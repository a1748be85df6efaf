//! A path that loses, repeats and reorders, from one seed.

/// Random numbers: xorshift64*.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    pub(crate) fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % sides
    }

    pub(crate) fn percent(&mut self, chance: u64) -> bool {
        self.roll(100) < chance
    }
}

/// The longest that a packet is under way, in packets sent meanwhile.
const MOST_DELAY: u64 = 32;
/// So many packets' time passes in a frame, however few are sent.
const LEAST_PER_FRAME: u64 = 3;
/// No packet is under way for more frames.
pub(crate) const LATE_FRAMES: u64 = MOST_DELAY.div_ceil(LEAST_PER_FRAME) + 1;

/// How bad a path is, all in per cent.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Path {
    pub(crate) loss: u64,
    pub(crate) repair: u64,
    pub(crate) reorder: u64,
    pub(crate) double: u64,
}

/// A packet under way.
struct Flying<P> {
    packet: P,
    arrives: u64,
    order: u64,
    repaired: bool,
}

/// Packets under way.
pub(crate) struct Network<P> {
    path: Path,
    flying: Vec<Flying<P>>,
    sent: u64,
    /// Where `sent` will be at least when the next frame begins.
    frame_end: u64,
}

impl<P: Clone> Network<P> {
    pub(crate) fn new(path: Path) -> Self {
        Self { path, flying: Vec::new(), sent: 0, frame_end: 0 }
    }

    /// A frame's time begins: what is under way comes nearer even if hardly anybody sends, so that
    /// no packet is late by more than [`LATE_FRAMES`].
    pub(crate) fn begin_frame(&mut self) {
        self.sent = self.sent.max(self.frame_end);
        self.frame_end = self.sent + LEAST_PER_FRAME;
    }

    /// Sends a packet at `now`, in packets sent so far.
    pub(crate) fn send(&mut self, dice: &mut Dice, packet: P) {
        self.sent += 1;
        let now = self.sent;
        let mut fly = |packet: P, delay: u64, repaired: bool| {
            self.flying.push(Flying { packet, arrives: now + delay, order: now, repaired });
        };
        if dice.percent(self.path.loss) {
            if dice.percent(self.path.repair) {
                fly(packet, 3 + dice.roll(MOST_DELAY - 2), true);
            }
            return;
        }
        if dice.percent(self.path.double) {
            fly(packet.clone(), dice.roll(20), dice.percent(50));
        }
        let delay = if dice.percent(self.path.reorder) { 1 + dice.roll(6) } else { 0 };
        fly(packet, delay, false);
    }

    /// The next packet that has arrived, and whether it was repaired.
    pub(crate) fn receive(&mut self) -> Option<(P, bool)> {
        let arrived = self.flying.iter().enumerate().filter(|(_, one)| one.arrives <= self.sent);
        let (at, _) = arrived.min_by_key(|(_, one)| (one.arrives, one.order))?;
        let one = self.flying.remove(at);
        Some((one.packet, one.repaired))
    }

    /// From now on it is as bad as `path`.
    pub(crate) fn set_path(&mut self, path: Path) {
        self.path = path;
    }

    /// Lets everything arrive.
    pub(crate) fn settle(&mut self) {
        self.sent += 1000;
    }
}
