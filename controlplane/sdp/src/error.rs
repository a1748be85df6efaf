//! What can be wrong: with a text ([`ParseError`]) and with a conversation ([`NegotiationError`]).

use thiserror::Error;

/// A text is not a session description that this crate reads.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("line {line}, {what}: {reason}")]
pub struct ParseError {
    /// The line, counted from 1; empty lines count.
    pub line: u32,
    /// The line's letter or attribute, such as `m=` or `a=rtpmap`.
    pub what: &'static str,
    /// What is wrong with it.
    pub reason: Reason,
}

/// What is wrong with a line.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Reason {
    /// The line does not begin with a letter and an equals sign.
    #[error("not of the form <letter>=<value>")]
    NotALine,
    /// A character below U+0020, or U+007F.
    #[error("holds a control character")]
    ControlCharacter,
    /// Longer than [`crate::MAX_LINE_BYTES`].
    #[error("is too long")]
    TooLong,
    /// More of them than this crate reads.
    #[error("there are too many")]
    TooMany,
    /// The description must have one.
    #[error("is missing")]
    Missing,
    /// It may stand only once.
    #[error("stands twice")]
    Twice,
    /// A field is missing or malformed.
    #[error("is malformed")]
    Malformed,
    /// A number does not fit.
    #[error("holds a number out of range")]
    OutOfRange,
    /// A media kind, role or algorithm that WebRTC does not have.
    #[error("is of an unknown kind")]
    Unknown,
}

/// A description that can be read, but not met.
///
/// Nothing here blames one section: a section that cannot be met is rejected within an answer, and
/// says why in [`crate::Rejection`].
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum NegotiationError {
    /// Two live sections do not share one transport.
    #[error("section {mid:?} is not in the first section's BUNDLE group")]
    NotBundled {
        /// The section outside.
        mid: String,
    },
    /// A live section has no mid, so that nothing can refer to it.
    #[error("section {index} has no mid")]
    NoMid {
        /// Its place, from 0.
        index: usize,
    },
    /// No `ice-ufrag` or no `ice-pwd`.
    #[error("there are no ICE credentials")]
    NoIceCredentials,
    /// No fingerprint of SHA-256 or stronger.
    #[error("there is no certificate fingerprint of SHA-256 or stronger")]
    NoFingerprint,
    /// The peer does not want DTLS for now.
    #[error("the peer holds the connection")]
    OnHold,
    /// The peer wants to begin DTLS where we have, or the reverse.
    #[error("the peer wants to be another end of DTLS than it is")]
    OtherRole,
    /// Two ICE-lite agents never send a check.
    #[error("both sides are ICE-lite")]
    BothLite,
    /// One payload type or extension id with two meanings within one transport.
    #[error("{what} {number} means two things within one transport")]
    Conflict {
        /// `payload type` or `extension id`.
        what: &'static str,
        /// The number.
        number: u8,
    },
    /// An answer whose sections are not those of the offer.
    #[error("section {index} of the answer is not that of the offer")]
    AnswerMismatch {
        /// Its place, from 0.
        index: usize,
    },
    /// A track is to be sent in a section that cannot take it.
    #[error("section {mid:?} cannot carry what is to be sent in it")]
    CannotSend {
        /// The section.
        mid: String,
    },
    /// A one-shot offer of which nothing could be accepted.
    #[error("nothing in the offer can be accepted")]
    NothingAccepted,
    /// No section is left.
    #[error("there are as many sections as a description may have")]
    TooManySections,
}
