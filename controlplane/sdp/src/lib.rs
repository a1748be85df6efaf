//! SDP for WebRTC: parse, write, negotiate; pure functions over plain data.
//!
//! On the street of a signalling message this sits between the participant's conversation
//! (`signal`) and the text that browsers speak. It holds no state of a peer connection, chooses no
//! SSRC, credential or mid of its own, and never reaches the data plane: shards see the numbers
//! that come out of [`Answer`] and [`AcceptedAnswer`], never the text.
//!
//! - [`Description`] is the typed view of a session description, [`Candidate`] and [`Fragment`]
//!   those of trickled pieces.
//! - [`Capabilities`] say what may be negotiated with one client on one peer connection.
//! - [`answer`] answers a client's offer, [`build_offer`] and [`accept_answer`] are the other way
//!   round, [`place_tracks`] finds sections of a client's offer for tracks we want to send.
#![forbid(unsafe_code)]

mod accept;
mod answer;
mod attributes;
mod candidate;
mod capabilities;
mod codec;
mod description;
mod encodings;
mod error;
mod extension;
mod feedback;
mod fingerprint;
mod fragment;
mod gates;
mod h264;
mod line;
mod media_map;
mod negotiated;
mod offer;
mod parse;
mod parse_section;
mod payload;
mod placement;
mod section;
mod send_sections;
mod table;
mod transport;
mod write;

pub use accept::{AcceptedAnswer, accept_answer};
pub use answer::{
    Answer, AnswerRequest, DataOptions, MAX_CNAME_BYTES, SectionWish, SendTrack, answer, cname,
};
pub use attributes::{Extmap, Msid, Rid, Simulcast, Source, SourceGroup, SourceSemantics};
pub use candidate::{
    Candidate, CandidateAddress, CandidateError, CandidateKind, CandidateTransport, TcpType,
    host_candidates,
};
pub use capabilities::{Capabilities, CapabilityOptions, EnabledCodec, Purpose, default_codecs};
pub use codec::Codec;
pub use description::{Description, Origin};
pub use encodings::{Encodings, SsrcEncoding};
pub use error::{NegotiationError, ParseError, Reason};
pub use extension::{ExtensionKind, NegotiatedExtension};
pub use feedback::Feedback;
pub use fingerprint::{Fingerprint, HashAlgorithm};
pub use fragment::{Fragment, FragmentMedia};
pub use gates::{ClientFacts, Gates};
pub use h264::{H264Parameters, H264Profile};
pub use line::{MAX_LINE_BYTES, MAX_LINES, MAX_SECTIONS};
pub use media_map::{MediaMap, MediaMapPayload};
pub use negotiated::{NegotiatedData, NegotiatedPayload, NegotiatedSection, Rejection};
pub use offer::{OfferRequest, OfferSection, build_offer};
pub use payload::{Payload, format_parameter};
pub use placement::{Placed, Placement, SectionsNeeded, WantedTrack, place_tracks};
pub use section::{Direction, Kind, Section, Setup, TransportAttributes};
pub use send_sections::SendSections;
pub use table::{CodecEntry, TABLE};
pub use transport::{LocalTransport, RemoteTransport};
