//! How an association comes to be, is begun anew, and is shut down by the peer (RFC 9260 5, 9.2).

use crate::association::{Association, BURST, NEVER};
use crate::chunk::{begin_packet, kind, put_chunk};
use crate::congestion::Congestion;
use crate::flight::Flight;
use crate::init::{Abilities, Cookie, Init, Side, put_init_ack};
use crate::messages::Messages;
use crate::outcome::{EndReason, Event, State};
use crate::queue::Queue;
use crate::reassembly::Reassembly;
use crate::reset::Resets;
use crate::rto::Rto;
use crate::tracker::Tracker;

/// RFC 9260 16: Max.Init.Retransmits.
const TRIES_MAX: u8 = 8;

/// INIT, COOKIE ECHO or SHUTDOWN ACK, until it is answered: T1 and T2.
#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) again_ns: u64,
    wait_ns: u64,
    tries: u8,
    /// It goes with the next packet.
    pub(crate) due: bool,
    /// The peer's cookie, to be sent back.
    pub(crate) cookie: Vec<u8>,
    /// An answer to an INIT, whole.
    pub(crate) answer: Vec<u8>,
    /// How often a tag was made for a peer that begins anew.
    restarts: u32,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            again_ns: NEVER,
            wait_ns: 0,
            tries: 0,
            due: false,
            cookie: Vec::new(),
            answer: Vec::new(),
            restarts: 0,
        }
    }
}

impl Setup {
    /// The next step's chunk shall go, and be repeated.
    fn begin(&mut self) {
        self.due = true;
        self.tries = 0;
        self.wait_ns = 0;
        self.again_ns = NEVER;
    }

    fn finish(&mut self) {
        self.due = false;
        self.again_ns = NEVER;
        self.cookie = Vec::new();
    }

    /// It went.
    pub(crate) fn note_sent(&mut self, now_ns: u64, rto_ns: u64, rto_max_ns: u64) {
        self.due = false;
        self.wait_ns = (2 * self.wait_ns).clamp(rto_ns, rto_max_ns.max(rto_ns));
        self.again_ns = now_ns + self.wait_ns;
    }
}

impl Association {
    /// Sends an INIT. Both sides may.
    pub fn connect(&mut self) {
        if self.state == State::Closed {
            self.state = State::CookieWait;
            self.setup.begin();
        }
    }

    /// T1 or T2 ran out.
    pub(crate) fn handle_setup_timeout(&mut self, _now_ns: u64) {
        self.setup.again_ns = NEVER;
        self.setup.tries += 1;
        if self.setup.tries > TRIES_MAX {
            self.end(EndReason::Unanswered);
        } else {
            self.setup.due = true;
        }
    }

    /// What we say of ourselves.
    pub(crate) fn own_side(&self, tag: u32, tsn: u32) -> Side {
        Side {
            tag,
            tsn,
            window: u32::try_from(self.config.receive_window).unwrap_or(u32::MAX),
            outbound: self.config.streams,
            inbound: self.config.streams,
            abilities: Abilities {
                forward_tsn: true,
                resets: true,
                zero_checksum: self.config.zero_checksum,
            },
        }
    }

    pub(crate) fn handle_init(&mut self, body: &[u8]) {
        let Some(init) = Init::parse(body) else {
            self.refused += 1;
            return;
        };
        // RFC 9260 5.1, 5.2.1: until there is an association, our tag and first TSN stay the same,
        // whichever side's INIT comes first.
        let (mut tag, mut tsn, mut ties) = (self.config.tag, self.config.initial_tsn, (0, 0));
        match self.state {
            State::Closed | State::CookieWait => {}
            State::CookieEchoed => ties = (self.local_tag, self.peer.tag),
            State::Established | State::ShutdownReceived => {
                // RFC 9260 5.2.2: a new tag, and ties to what there is.
                ties = (self.local_tag, self.peer.tag);
                self.setup.restarts = self.setup.restarts.wrapping_add(1);
                tag = mixed(self.config.tag, self.setup.restarts).max(1);
                tsn = mixed(self.config.initial_tsn, self.setup.restarts);
            }
            State::ShutdownAckSent => {
                self.setup.due = true;
                return;
            }
            State::Ended => return,
        }
        let cookie = Cookie {
            local_tag: tag,
            local_tsn: tsn,
            peer: init.side,
            tie_local: ties.0,
            tie_peer: ties.1,
        };
        let own = self.own_side(tag, tsn);
        let answer = &mut self.setup.answer;
        begin_packet(answer, init.side.tag);
        put_init_ack(answer, &own, &cookie, &init.unrecognized);
        crate::chunk::end_packet(answer);
    }

    pub(crate) fn handle_init_ack(&mut self, body: &[u8]) {
        // RFC 9260 5.2.3: in any other state it is old.
        if self.state != State::CookieWait {
            return;
        }
        let Some(init) = Init::parse(body) else {
            self.refused += 1;
            return;
        };
        let fits = |cookie: &&[u8]| cookie.len() + 16 <= self.config.mtu;
        self.peer = init.side;
        let Some(cookie) = init.cookie.filter(fits) else {
            self.end(EndReason::Violation);
            return;
        };
        self.begin(self.config.tag, self.config.initial_tsn, init.side);
        self.setup.begin();
        self.setup.cookie = cookie.to_vec();
        self.state = State::CookieEchoed;
    }

    /// `tag` is the packet's. Gives whether the rest of the packet belongs to the association.
    pub(crate) fn handle_cookie_echo(&mut self, now_ns: u64, tag: u32, body: &[u8]) -> bool {
        // RFC 9260 5.1.5 (3): the tag is the one that the cookie knows.
        let Some(cookie) = Cookie::parse(body).filter(|cookie| cookie.local_tag == tag) else {
            self.refused += 1;
            return false;
        };
        match self.state {
            State::Ended => return false,
            State::ShutdownAckSent => {
                self.setup.due = true;
                return false;
            }
            State::Closed | State::CookieWait => {
                if cookie.local_tag != self.config.tag {
                    return false;
                }
                self.begin(cookie.local_tag, cookie.local_tsn, cookie.peer);
                self.establish(now_ns, Event::Connected);
            }
            State::CookieEchoed | State::Established | State::ShutdownReceived => {
                if !self.handle_cookie_again(now_ns, &cookie) {
                    return false;
                }
            }
        }
        put_chunk(&mut self.replies, kind::COOKIE_ACK, 0, |_| {});
        true
    }

    /// RFC 9260 5.2.4, table 12: a cookie while there is an association, or nearly.
    fn handle_cookie_again(&mut self, now_ns: u64, cookie: &Cookie) -> bool {
        let local = cookie.local_tag == self.local_tag;
        let peer = cookie.peer.tag == self.peer.tag;
        let tied = cookie.tie_local == self.local_tag && cookie.tie_peer == self.peer.tag;
        match (local, peer, tied) {
            // D: it is about what there is.
            (true, true, _) => {
                if self.state == State::CookieEchoed {
                    self.establish(now_ns, Event::Connected);
                }
            }
            // A: the peer began anew.
            (false, false, true) => {
                self.messages = Messages::default();
                self.queue = Queue::default();
                self.begin(cookie.local_tag, cookie.local_tsn, cookie.peer);
                self.establish(now_ns, Event::Restarted);
            }
            // B: both began, and the peer took another tag.
            (true, false, _) if self.state == State::CookieEchoed => {
                self.begin(cookie.local_tag, cookie.local_tsn, cookie.peer);
                self.establish(now_ns, Event::Connected);
            }
            // C, and what is in no row.
            _ => return false,
        }
        true
    }

    pub(crate) fn handle_cookie_ack(&mut self, now_ns: u64) {
        if self.state == State::CookieEchoed {
            self.establish(now_ns, Event::Connected);
        }
    }

    /// Everything that is about one association of two tags and first TSNs starts.
    fn begin(&mut self, local_tag: u32, local_tsn: u32, peer: Side) {
        let config = &self.config;
        self.local_tag = local_tag;
        self.peer = peer;
        self.tracker = Tracker::new(peer.tsn);
        self.reassembly = Reassembly::default();
        self.told_window = config.receive_window;
        self.flight = Flight::new(local_tsn);
        self.congestion = Congestion::new(config.mtu);
        self.rto = Rto::new(config.rto_initial_ns, config.rto_min_ns, config.rto_max_ns);
        self.resets = Resets::new(local_tsn, peer.tsn);
        self.replies.clear();
        self.repeat_ns = NEVER;
        (self.repeat_now, self.probe, self.forward, self.heartbeat) = (false, false, false, false);
        (self.asked_ns, self.silent_ns) = (None, None);
    }

    /// Messages go both ways.
    pub(crate) fn establish(&mut self, now_ns: u64, event: Event) {
        self.setup.finish();
        self.state = State::Established;
        self.active_ns = now_ns;
        self.heartbeat_ns = now_ns + self.config.heartbeat_ns;
        self.burst = BURST;
        self.events.push_back(event);
    }

    /// RFC 9260 9.2: the peer has nothing more to send.
    pub(crate) fn handle_shutdown(&mut self) {
        match self.state {
            State::Established => self.state = State::ShutdownReceived,
            State::ShutdownAckSent => self.setup.due = true,
            _ => {}
        }
        self.note_drained();
    }

    /// RFC 9260 9.2: all went to a peer that wants to shut down.
    pub(crate) fn note_drained(&mut self) {
        if self.state == State::ShutdownReceived
            && self.flight.len() == 0
            && self.queue.bytes() == 0
        {
            self.state = State::ShutdownAckSent;
            self.setup.begin();
        }
    }
}

/// Another number, for each `turn` one. Behind DTLS nobody guesses.
fn mixed(number: u32, turn: u32) -> u32 {
    let mut mixed = number ^ turn.wrapping_mul(0x9e37_79b9);
    mixed = (mixed ^ (mixed >> 16)).wrapping_mul(0x85eb_ca6b);
    mixed ^ (mixed >> 13)
}
