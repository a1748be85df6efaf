//! How much may be under way (RFC 9260 7.2).

use crate::serial::newer;

/// The first window, packets: RFC 6928's, for the same reasons.
const INITIAL_PACKETS: usize = 10;
/// The least window after a loss that SACKs told of, packets (RFC 9260 7.2.3).
const LOSS_PACKETS: usize = 4;
/// RFC 9260 7.2.1: L, what one SACK adds in slow start, packets. Peers acknowledge every second.
const GROWTH_PACKETS: usize = 2;
/// The largest window, bytes. Raised, a path with deep buffers gets filled for longer.
const WINDOW_MAX: usize = 8_000_000;

/// The congestion window. Bytes count with their chunk headers.
#[derive(Clone, Debug)]
pub(crate) struct Congestion {
    mtu: usize,
    window: usize,
    threshold: usize,
    partial: usize,
    /// The fast recovery goes on until this is acknowledged.
    recovery: Option<u32>,
    /// Window and threshold before a timeout that may have been needless.
    before: Option<(usize, usize)>,
}

impl Congestion {
    pub(crate) fn new(mtu: usize) -> Self {
        let window = INITIAL_PACKETS * mtu;
        Self { mtu, window, threshold: usize::MAX, partial: 0, recovery: None, before: None }
    }

    /// Bytes that may be under way.
    #[inline]
    pub(crate) fn window(&self) -> usize {
        self.window
    }

    /// Whether SACKs are needed soon: losses are frequent, or the window is too small to wait.
    pub(crate) fn is_small(&self) -> bool {
        self.window < INITIAL_PACKETS * self.mtu
    }

    pub(crate) fn in_recovery(&self) -> bool {
        self.recovery.is_some()
    }

    /// A SACK acknowledged `bytes`; `before` were under way.
    pub(crate) fn handle_acknowledged(&mut self, cumulative: u32, bytes: usize, before: usize) {
        if let Some(until) = self.recovery {
            if newer(until, cumulative) {
                return;
            }
            self.recovery = None;
        }
        // RFC 9260 7.2.1, 7.2.2: it grows only when it was used. Less than a packet is no room.
        let used = before + self.mtu > self.window;
        if self.window <= self.threshold {
            if used {
                self.window += bytes.min(GROWTH_PACKETS * self.mtu);
            }
        } else {
            self.partial += bytes;
            if self.partial >= self.window {
                self.partial -= self.window;
                if used {
                    self.window += self.mtu;
                }
            }
            self.partial = self.partial.min(self.window);
        }
        self.window = self.window.min(WINDOW_MAX);
    }

    /// All that was sent is acknowledged (RFC 9260 7.2.2).
    pub(crate) fn handle_idle(&mut self) {
        self.partial = 0;
    }

    /// RFC 9260 7.2.3 and 7.2.4: SACKs tell of a loss, `last` was sent last. Gives whether that is
    /// news: the first packet that repairs it does not wait for the window.
    pub(crate) fn handle_loss(&mut self, last: u32) -> bool {
        if self.recovery.is_some() {
            return false;
        }
        self.recovery = Some(last);
        self.threshold = (self.window / 2).max(LOSS_PACKETS * self.mtu);
        self.window = self.threshold;
        self.partial = 0;
        true
    }

    /// RFC 9260 7.2.3: nothing came back in time.
    pub(crate) fn handle_timeout(&mut self) {
        self.before.get_or_insert((self.window, self.threshold));
        self.threshold = (self.window / 2).max(LOSS_PACKETS * self.mtu);
        self.window = self.mtu;
        self.partial = 0;
        self.recovery = None;
    }

    /// Whether it still has to turn out if a timeout was needless.
    #[inline]
    pub(crate) fn is_in_doubt(&self) -> bool {
        self.before.is_some()
    }

    /// What was repeated after a timeout turned out to be needed, or not.
    pub(crate) fn settle_doubt(&mut self, needless: bool) {
        if let Some((window, threshold)) = self.before.take()
            && needless
        {
            self.window = self.window.max(window);
            self.threshold = threshold;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_follows_rfc_9260() {
        let mut congestion = Congestion::new(1_000);
        congestion.handle_acknowledged(1, 5_000, 3_000);
        assert_eq!(congestion.window(), 10_000, "it was not used");
        congestion.handle_acknowledged(1, 5_000, 9_500);
        assert_eq!(congestion.window(), 12_000, "slow start adds two packets a SACK");
        assert!(congestion.handle_loss(50) && !congestion.handle_loss(51));
        assert_eq!(congestion.window(), 6_000);
        congestion.handle_acknowledged(49, 5_000, 6_000);
        assert_eq!(congestion.window(), 6_000, "not while recovering");
        congestion.handle_acknowledged(50, 1_000, 6_000);
        assert_eq!(congestion.window(), 7_000, "at the threshold slow start still counts");
        congestion.handle_acknowledged(51, 6_000, 7_000);
        assert_eq!(congestion.window(), 7_000);
        congestion.handle_acknowledged(52, 1_000, 7_000);
        assert_eq!(congestion.window(), 8_000, "then a packet per window");
        congestion.handle_timeout();
        assert_eq!((congestion.window(), congestion.threshold), (1_000, 4_000));
        assert!(congestion.is_small());
        congestion.handle_timeout();
        congestion.settle_doubt(true);
        assert_eq!((congestion.window(), congestion.threshold), (8_000, 6_000));
        congestion.handle_timeout();
        congestion.settle_doubt(false);
        congestion.settle_doubt(true);
        assert_eq!(congestion.window(), 1_000);
    }
}
