//! Taking the client's answer to an offer of ours.

use crate::answer::check_bundle;
use crate::capabilities::Capabilities;
use crate::description::Description;
use crate::error::NegotiationError;
use crate::media_map::MediaMap;
use crate::negotiated::{
    NegotiatedData, NegotiatedSection, Rejection, match_extensions, match_payloads,
};
use crate::section::{Kind, Section};
use crate::transport::RemoteTransport;

/// What a client's answer means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcceptedAnswer {
    /// Sections of audio and video, in the offer's order.
    pub sections: Vec<NegotiatedSection>,
    /// The section of data channels.
    pub data: Option<NegotiatedData>,
    /// The client's end of the transport.
    pub remote: RemoteTransport,
    /// What all numbers mean on the transport.
    pub media: MediaMap,
}

/// Takes the client's answer to our offer. Sections send only what both sides want sent; payload
/// types are those that the client wants to receive.
///
/// # Errors
/// The answer is not one to this offer, or lacks what the transport needs.
pub fn accept_answer(
    offer: &Description,
    answer: &Description,
    capabilities: &Capabilities,
) -> Result<AcceptedAnswer, NegotiationError> {
    // RFC 3264 6: as many sections as the offer has, in the same order.
    if answer.sections.len() != offer.sections.len() {
        let index = answer.sections.len().min(offer.sections.len());
        return Err(NegotiationError::AnswerMismatch { index });
    }
    for (index, (ours, theirs)) in offer.sections.iter().zip(&answer.sections).enumerate() {
        let dead = ours.is_rejected() || theirs.is_rejected();
        let same_mid = ours.mid == theirs.mid || (dead && theirs.mid.is_empty());
        if ours.kind != theirs.kind || !same_mid {
            return Err(NegotiationError::AnswerMismatch { index });
        }
    }
    check_bundle(answer)?;
    let first = answer.transport_section().ok_or(NegotiationError::NothingAccepted)?;
    let remote = RemoteTransport::read(answer, first, offer.ice_lite)?;
    let mut sections = Vec::new();
    let mut data = None;
    for (index, (ours, theirs)) in offer.sections.iter().zip(&answer.sections).enumerate() {
        if ours.kind == Kind::Application {
            if !ours.is_rejected() && !theirs.is_rejected() {
                data = data.or_else(|| Some(NegotiatedData::read(theirs)));
            }
        } else {
            sections.push(accept(index, ours, theirs, capabilities));
        }
    }
    let media = MediaMap::of(&sections)?;
    Ok(AcceptedAnswer { sections, data, remote, media })
}

fn accept(
    index: usize,
    ours: &Section,
    theirs: &Section,
    capabilities: &Capabilities,
) -> NegotiatedSection {
    let mut outcome = NegotiatedSection::new(index, ours);
    if ours.is_rejected() || theirs.is_rejected() {
        outcome.rejection = Some(Rejection::ByPeer);
        return outcome;
    }
    outcome.payloads = match_payloads(theirs, capabilities, false, true);
    // What we did not offer in this section is not agreed on.
    let offered = |name: &str| ours.payloads.iter().any(|payload| payload.is(name));
    outcome.payloads.retain(|payload| offered(payload.codec.name()));
    if outcome.payloads.is_empty() {
        outcome.rejection = Some(Rejection::NoCodec);
        return outcome;
    }
    if !theirs.rtcp_mux {
        outcome.rejection = Some(Rejection::NoRtcpMux);
        return outcome;
    }
    outcome.extensions = match_extensions(theirs, capabilities, false, true);
    // RFC 8285 6: an answer keeps the ids of the offer.
    outcome.extensions.retain(|extension| extension.id == extension.kind.offered_id());
    outcome.reduced_rtcp = ours.rtcp_rsize && theirs.rtcp_rsize;
    outcome.sends = ours.direction.sends() && theirs.direction.receives();
    outcome
}
