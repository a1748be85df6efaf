//! What payload types and extension ids mean on a whole transport: the sum of its sections.

use std::collections::BTreeMap;

use crate::codec::Codec;
use crate::error::NegotiationError;
use crate::extension::{ExtensionKind, NegotiatedExtension};
use crate::feedback::Feedback;
use crate::negotiated::NegotiatedSection;

/// A payload type of a transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MediaMapPayload {
    /// The number on the wire.
    pub payload_type: u8,
    /// The codec.
    pub codec: Codec,
    /// Clock rate, in hertz.
    pub clock_rate: u32,
    /// The payload type of its retransmissions.
    pub rtx_payload_type: Option<u8>,
    /// For RED, the payload type inside.
    pub red_inner_payload_type: Option<u8>,
    /// Feedback in any of the sections.
    pub feedback: Feedback,
}

/// The meaning of all numbers on one transport.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MediaMap {
    /// Payload types, ascending.
    pub payloads: Vec<MediaMapPayload>,
    /// Header extensions, ascending by id.
    pub extensions: Vec<NegotiatedExtension>,
    /// RTCP need not be compounds (RFC 5506): all sections say so, as one transport carries the
    /// reports of all.
    pub reduced_rtcp: bool,
}

impl MediaMap {
    /// Adds up the sections that are not rejected.
    ///
    /// # Errors
    /// A number with two meanings. RFC 8843 9: bundled sections share one number space.
    pub fn of(sections: &[NegotiatedSection]) -> Result<Self, NegotiationError> {
        let conflict = |what, number| NegotiationError::Conflict { what, number };
        let mut payloads: BTreeMap<u8, MediaMapPayload> = BTreeMap::new();
        let mut repairs: BTreeMap<u8, u8> = BTreeMap::new();
        let mut extensions: BTreeMap<u8, ExtensionKind> = BTreeMap::new();
        for section in sections.iter().filter(|section| section.rejection.is_none()) {
            for payload in &section.payloads {
                let number = payload.payload_type;
                let new = MediaMapPayload {
                    payload_type: number,
                    codec: payload.codec,
                    clock_rate: payload.clock_rate,
                    rtx_payload_type: payload.rtx_payload_type,
                    red_inner_payload_type: payload.red_inner_payload_type,
                    feedback: payload.feedback,
                };
                let known = payloads.entry(number).or_insert(new);
                if !known.join(&new) {
                    return Err(conflict("payload type", number));
                }
                if let Some(rtx) = new.rtx_payload_type
                    && *repairs.entry(rtx).or_insert(number) != number
                {
                    return Err(conflict("payload type", rtx));
                }
            }
            for extension in &section.extensions {
                if *extensions.entry(extension.id).or_insert(extension.kind) != extension.kind {
                    return Err(conflict("extension id", extension.id));
                }
            }
        }
        if let Some(number) = repairs.keys().find(|number| payloads.contains_key(number)) {
            return Err(conflict("payload type", *number));
        }
        let mut alive = sections.iter().filter(|section| section.rejection.is_none());
        let extension = |(id, kind)| NegotiatedExtension { id, kind };
        Ok(Self {
            payloads: payloads.into_values().collect(),
            extensions: extensions.into_iter().map(extension).collect(),
            reduced_rtcp: alive.all(|section| section.reduced_rtcp),
        })
    }
}

impl MediaMapPayload {
    /// Takes in what another section says of the same number; false if it is another thing.
    fn join(&mut self, other: &Self) -> bool {
        let rtx = self.rtx_payload_type.or(other.rtx_payload_type);
        let same_rtx = other.rtx_payload_type.is_none_or(|_| other.rtx_payload_type == rtx);
        self.rtx_payload_type = rtx;
        self.feedback |= other.feedback;
        self.codec == other.codec
            && self.clock_rate == other.clock_rate
            && self.red_inner_payload_type == other.red_inner_payload_type
            && same_rtx
    }
}
