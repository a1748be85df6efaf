//! Admission: which address and SSRC may send to a forward, and who its source is now.
//!
//! A forward follows one source at a time. The policy says which candidates may become it; this
//! type remembers which one did, so that a stray or hostile sender is refused for the price of two
//! comparisons.

use std::net::{IpAddr, SocketAddr};

/// Which remote addresses may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Anyone at any time.
    Any,
    /// The first address that sends, until it has been silent for `silence_ns`.
    Latch {
        /// Silence after which another address may take over, ns.
        silence_ns: u64,
    },
    /// Only this address; any port.
    Address(IpAddr),
    /// Only this address and port; RTCP from any port of the address.
    Exact(SocketAddr),
}

/// Who may send: address and SSRC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Which addresses.
    pub origin: Origin,
    /// The only SSRC admitted, if one is named.
    pub ssrc: Option<u32>,
}

/// Why a packet is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Its address may not send.
    Source,
    /// Its SSRC may not be sent.
    Ssrc,
}

/// The source that a forward follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// Where its RTP comes from.
    pub address: SocketAddr,
    /// Its SSRC.
    pub ssrc: u32,
    /// When its last RTP packet came, ns.
    pub heard_ns: u64,
}

/// What an admitted packet means for the forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admitted {
    /// The source goes on.
    Same,
    /// The stream goes on from another address (the sender's port or network changed).
    Moved,
    /// Another stream begins.
    New,
}

/// The admission state of one forward.
#[derive(Clone, Debug)]
pub struct Admission {
    policy: Policy,
    source: Option<Source>,
    rtcp: Option<SocketAddr>,
}

impl Admission {
    /// Nobody has sent yet.
    pub fn new(policy: Policy) -> Self {
        Self { policy, source: None, rtcp: None }
    }

    /// Replaces the policy. The source followed now stays if the new policy admits it.
    pub fn set_policy(&mut self, policy: Policy) {
        self.policy = policy;
        let Some(source) = self.source else { return };
        let ssrc_fits = policy.ssrc.is_none_or(|ssrc| ssrc == source.ssrc);
        if !ssrc_fits || !self.origin_admits(source.address) {
            self.source = None;
            self.rtcp = None;
        }
    }

    /// The source followed now.
    pub fn source(&self) -> Option<&Source> {
        self.source.as_ref()
    }

    /// Where reports for the source go: where its RTCP came from, else the RTP address (`mux`) or
    /// the port after it (RFC 3550 11).
    pub fn report_address(&self, mux: bool) -> Option<SocketAddr> {
        let source = self.source?;
        if let Some(rtcp) = self.rtcp {
            return Some(rtcp);
        }
        let mut address = source.address;
        if !mux {
            address.set_port(address.port().checked_add(1)?);
        }
        Some(address)
    }

    /// Decides over an RTP packet that came at `now_ns` from `from` with `ssrc`.
    pub fn admit_rtp(
        &mut self,
        now_ns: u64,
        from: SocketAddr,
        ssrc: u32,
    ) -> Result<Admitted, Refused> {
        if let Some(source) = &mut self.source
            && source.address == from
            && source.ssrc == ssrc
        {
            source.heard_ns = now_ns;
            return Ok(Admitted::Same);
        }
        if !self.origin_admits(from) || !self.latch_admits(now_ns, from) {
            return Err(Refused::Source);
        }
        if self.policy.ssrc.is_some_and(|only| only != ssrc) {
            return Err(Refused::Ssrc);
        }
        let before = self.source.replace(Source { address: from, ssrc, heard_ns: now_ns });
        match before {
            Some(before) if before.ssrc == ssrc => {
                // The sender's RTCP port moves with it; wait to hear it again.
                if before.address.ip() != from.ip() {
                    self.rtcp = None;
                }
                Ok(Admitted::Moved)
            }
            _ => {
                self.rtcp = None;
                Ok(Admitted::New)
            }
        }
    }

    /// Whether RTCP from `from` speaks for the source. Remembers where it came from.
    pub fn admit_rtcp(&mut self, from: SocketAddr) -> Result<(), Refused> {
        let admitted = match (self.policy.origin, self.source) {
            (Origin::Address(ip), _) => ip == from.ip(),
            (Origin::Exact(only), _) => only.ip() == from.ip(),
            // RTCP may come before RTP and from another port, but only media latches.
            (_, Some(source)) => source.address.ip() == from.ip(),
            (_, None) => false,
        };
        if !admitted {
            return Err(Refused::Source);
        }
        self.rtcp = Some(from);
        Ok(())
    }

    fn origin_admits(&self, from: SocketAddr) -> bool {
        match self.policy.origin {
            Origin::Any | Origin::Latch { .. } => true,
            Origin::Address(ip) => ip == from.ip(),
            Origin::Exact(only) => only == from,
        }
    }

    fn latch_admits(&self, now_ns: u64, from: SocketAddr) -> bool {
        let (Origin::Latch { silence_ns }, Some(source)) = (self.policy.origin, self.source) else {
            return true;
        };
        source.address == from || now_ns.saturating_sub(source.heard_ns) >= silence_ns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "192.0.2.1:4000";
    const A2: &str = "192.0.2.1:4002";
    const B: &str = "192.0.2.2:4000";

    fn at(address: &str) -> SocketAddr {
        address.parse().expect("an address")
    }

    /// Packets as (time, address, SSRC) and what becomes of each.
    fn check(
        origin: Origin,
        ssrc: Option<u32>,
        packets: &[(u64, &str, u32, Result<Admitted, Refused>)],
    ) {
        let mut admission = Admission::new(Policy { origin, ssrc });
        for &(now, from, ssrc, expect) in packets {
            let got = admission.admit_rtp(now, at(from), ssrc);
            assert_eq!(got, expect, "{origin:?}: packet at {now} from {from} with SSRC {ssrc}");
        }
    }

    #[test]
    fn policies() {
        use Admitted::{Moved, New, Same};
        use Refused::{Source, Ssrc};
        let latch = Origin::Latch { silence_ns: 100 };
        check(Origin::Any, None, &[(0, A, 1, Ok(New)), (1, B, 2, Ok(New)), (2, A, 1, Ok(New))]);
        check(
            Origin::Any,
            None,
            &[(0, A, 1, Ok(New)), (1, A2, 1, Ok(Moved)), (2, A2, 1, Ok(Same))],
        );
        check(Origin::Any, Some(1), &[(0, A, 2, Err(Ssrc)), (1, A, 1, Ok(New))]);
        check(
            latch,
            None,
            &[
                (0, A, 1, Ok(New)),
                (50, B, 1, Err(Source)),
                (60, A, 1, Ok(Same)),
                (150, B, 1, Err(Source)),
                (160, B, 1, Ok(Moved)),
                (161, A, 1, Err(Source)),
            ],
        );
        check(latch, None, &[(0, A, 1, Ok(New)), (1, A, 2, Ok(New)), (2, A, 2, Ok(Same))]);
        check(
            Origin::Address(at(A).ip()),
            None,
            &[(0, B, 1, Err(Source)), (1, A, 1, Ok(New)), (2, A2, 1, Ok(Moved))],
        );
        check(Origin::Exact(at(A)), None, &[(0, A2, 1, Err(Source)), (1, A, 1, Ok(New))]);
    }

    #[test]
    fn reports_go_where_rtcp_came_from() {
        let mut admission = Admission::new(Policy { origin: Origin::Any, ssrc: None });
        assert_eq!(admission.admit_rtcp(at(A)), Err(Refused::Source));
        assert_eq!(admission.report_address(false), None);
        admission.admit_rtp(0, at(A), 1).expect("admitted");
        assert_eq!(admission.report_address(true), Some(at(A)));
        assert_eq!(admission.report_address(false), Some(at("192.0.2.1:4001")));
        assert_eq!(admission.admit_rtcp(at(B)), Err(Refused::Source));
        assert_eq!(admission.admit_rtcp(at("192.0.2.1:9")), Ok(()));
        assert_eq!(admission.report_address(false), Some(at("192.0.2.1:9")));
        admission.admit_rtp(1, at(B), 2).expect("admitted");
        assert_eq!(admission.report_address(true), Some(at(B)));
    }

    #[test]
    fn new_policy_keeps_a_source_that_fits() {
        let mut admission = Admission::new(Policy { origin: Origin::Any, ssrc: None });
        admission.admit_rtp(0, at(A), 1).expect("admitted");
        admission.set_policy(Policy { origin: Origin::Address(at(A).ip()), ssrc: Some(1) });
        assert!(admission.source().is_some());
        admission.set_policy(Policy { origin: Origin::Address(at(A).ip()), ssrc: Some(2) });
        assert!(admission.source().is_none());
    }
}
