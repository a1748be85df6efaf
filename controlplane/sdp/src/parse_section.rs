//! Text to [`Section`]: the `m=` line and the attributes below it.

use crate::attributes::{Extmap, Msid, Rid, Simulcast, Source, SourceGroup, read_token};
use crate::candidate::Candidate;
use crate::error::{ParseError, Reason};
use crate::feedback::Feedback;
use crate::fingerprint::Fingerprint;
use crate::line::Line;
use crate::parse::SessionLevel;
use crate::payload::Payload;
use crate::section::{Direction, Kind, Section, Setup, TransportAttributes};

/// Header extensions of one section; browsers have about 15.
const MAX_EXTENSIONS: usize = 64;
/// Candidates of one section; a host with many addresses and relays has a few dozen.
const MAX_CANDIDATES: usize = 256;
/// SSRCs of one section; three layers with retransmissions and repairs are nine.
const MAX_SOURCES: usize = 128;
/// Everything else that may stand more than once in a section.
const MAX_OTHERS: usize = 64;

/// Appends, unless there are enough.
fn push<T>(list: &mut Vec<T>, item: T, limit: usize) -> Result<(), Reason> {
    if list.len() >= limit {
        return Err(Reason::TooMany);
    }
    list.push(item);
    Ok(())
}

/// A section while its lines come in.
pub(crate) struct SectionReader {
    section: Section,
    /// Where a payload type stands in the section's list.
    places: [Option<u8>; 128],
    direction: Option<Direction>,
    /// Feedback of all payload types (`a=rtcp-fb:*`).
    feedback: Feedback,
}

impl SectionReader {
    /// Begins with the `m=` line: `audio 9 UDP/TLS/RTP/SAVPF 111 63`.
    pub(crate) fn open(line: &Line<'_>) -> Result<Self, ParseError> {
        let error = |reason| ParseError { line: line.number, what: "m=", reason };
        let mut fields = line.value.split_ascii_whitespace();
        let mut next = || fields.next().ok_or(error(Reason::Malformed));
        let kind = Kind::named(next()?).ok_or(error(Reason::Unknown))?;
        let port = next()?.split('/').next().unwrap_or_default();
        let port = port.parse().map_err(|_| error(Reason::OutOfRange))?;
        let protocol = read_token(next()?).map_err(error)?;
        let mut section =
            Section { port, protocol, format: String::new(), ..Section::new(kind, "") };
        let mut places = [None; 128];
        if kind == Kind::Application {
            section.format = fields.next().map_or(Ok(String::new()), read_token).map_err(error)?;
        } else {
            for format in fields {
                let number: u8 = format.parse().map_err(|_| error(Reason::OutOfRange))?;
                let place = places.get_mut(usize::from(number));
                let place = place.ok_or(error(Reason::OutOfRange))?;
                // A number that stands twice is one payload type.
                if place.is_none() {
                    *place = u8::try_from(section.payloads.len()).ok();
                    section.payloads.push(Payload::bare(number));
                }
            }
        }
        Ok(Self { section, places, direction: None, feedback: Feedback::NONE })
    }

    /// Takes a line below the `m=` line.
    pub(crate) fn handle_line(&mut self, line: &Line<'_>) -> Result<(), ParseError> {
        if line.letter != 'a' {
            return Ok(());
        }
        let (name, value) = line.attribute();
        if let Some(direction) = Direction::named(line.value) {
            self.direction = Some(direction);
            return Ok(());
        }
        if read_transport(&mut self.section.transport, line)? {
            return Ok(());
        }
        let (what, outcome) = match name {
            "rtpmap" => ("a=rtpmap", self.handle_map(value)),
            "fmtp" => ("a=fmtp", self.handle_parameters(value)),
            "rtcp-fb" => ("a=rtcp-fb", self.handle_feedback(value)),
            "ssrc" => ("a=ssrc", self.handle_source(value)),
            _ => self.handle_plain(name, value),
        };
        outcome.map_err(|reason| ParseError { line: line.number, what, reason })
    }

    /// Attributes that stand for themselves.
    fn handle_plain(&mut self, name: &str, value: &str) -> (&'static str, Result<(), Reason>) {
        let section = &mut self.section;
        match name {
            "mid" => ("a=mid", read_token(value).map(|mid| section.mid = mid)),
            "extmap" => (
                "a=extmap",
                Extmap::read(value).and_then(|extension| {
                    extension.map_or(Ok(()), |e| push(&mut section.extensions, e, MAX_EXTENSIONS))
                }),
            ),
            "rid" => {
                ("a=rid", Rid::read(value).and_then(|rid| push(&mut section.rids, rid, MAX_OTHERS)))
            }
            "simulcast" => (
                "a=simulcast",
                Simulcast::read(value).map(|simulcast| section.simulcast = Some(simulcast)),
            ),
            "ssrc-group" => (
                "a=ssrc-group",
                SourceGroup::read(value).and_then(|group| {
                    group.map_or(Ok(()), |g| push(&mut section.source_groups, g, MAX_OTHERS))
                }),
            ),
            "msid" => (
                "a=msid",
                Msid::read(value).and_then(|msid| push(&mut section.msids, msid, MAX_OTHERS)),
            ),
            "sctp-port" => {
                let port = value.parse().map_err(|_| Reason::OutOfRange);
                ("a=sctp-port", port.map(|port| section.sctp_port = Some(port)))
            }
            "max-message-size" => {
                let bytes = value.parse().map_err(|_| Reason::OutOfRange);
                ("a=max-message-size", bytes.map(|bytes| section.max_message_bytes = Some(bytes)))
            }
            _ => {
                match name {
                    "extmap-allow-mixed" => section.extmap_allow_mixed = true,
                    "rtcp-mux" => section.rtcp_mux = true,
                    "rtcp-rsize" => section.rtcp_rsize = true,
                    "bundle-only" => section.bundle_only = true,
                    _ => {}
                }
                ("a=", Ok(()))
            }
        }
    }

    /// The payload type `number`, if the `m=` line names it.
    fn payload(&mut self, number: &str) -> Result<Option<&mut Payload>, Reason> {
        let number: usize = number.parse().map_err(|_| Reason::OutOfRange)?;
        let place = self.places.get(number).copied().flatten();
        Ok(place.and_then(|place| self.section.payloads.get_mut(usize::from(place))))
    }

    fn handle_map(&mut self, value: &str) -> Result<(), Reason> {
        let (number, map) = value.split_once(' ').ok_or(Reason::Malformed)?;
        self.payload(number)?.map_or(Ok(()), |payload| payload.set_map(map.trim()))
    }

    fn handle_parameters(&mut self, value: &str) -> Result<(), Reason> {
        let (number, parameters) = value.split_once(' ').ok_or(Reason::Malformed)?;
        if let Some(payload) = self.payload(number)? {
            payload.fmtp = parameters.trim().to_owned();
        }
        Ok(())
    }

    fn handle_feedback(&mut self, value: &str) -> Result<(), Reason> {
        let (number, kind) = value.split_once(' ').ok_or(Reason::Malformed)?;
        let kind = Feedback::named(kind.trim());
        if number == "*" {
            self.feedback |= kind;
        } else if let Some(payload) = self.payload(number)? {
            payload.feedback |= kind;
        }
        Ok(())
    }

    /// `3920327595 cname:aIYny997cLpJsFNI`
    fn handle_source(&mut self, value: &str) -> Result<(), Reason> {
        let (ssrc, attribute) = value.split_once(' ').unwrap_or((value, ""));
        let ssrc = ssrc.parse().map_err(|_| Reason::OutOfRange)?;
        let sources = &mut self.section.sources;
        let place = match sources.iter().position(|source| source.ssrc == ssrc) {
            Some(place) => place,
            None => {
                push(sources, Source { ssrc, ..Source::default() }, MAX_SOURCES)?;
                sources.len() - 1
            }
        };
        let Some(source) = sources.get_mut(place) else { return Ok(()) };
        match attribute.split_once(':') {
            Some(("cname", name)) if !name.trim().is_empty() => {
                source.cname = Some(name.trim().to_owned());
            }
            Some(("msid", msid)) => source.msid = Some(Msid::read(msid)?),
            _ => {}
        }
        Ok(())
    }

    /// The section, with what it inherits.
    pub(crate) fn finish(mut self, session: &SessionLevel) -> Section {
        let section = &mut self.section;
        let direction = self.direction.or(session.direction).unwrap_or_default();
        // Data channels have neither a direction nor packets with extensions.
        let application = section.kind == Kind::Application;
        section.direction = if application { Direction::SendRecv } else { direction };
        section.extmap_allow_mixed |= session.extmap_allow_mixed;
        section.extmap_allow_mixed &= !application;
        for payload in &mut section.payloads {
            payload.feedback |= self.feedback;
        }
        inherit(&mut section.transport, &session.transport);
        self.section
    }
}

/// Takes over what the session says and the section does not.
fn inherit(section: &mut TransportAttributes, session: &TransportAttributes) {
    if section.ufrag.is_empty() && section.pwd.is_empty() {
        section.ufrag.clone_from(&session.ufrag);
        section.pwd.clone_from(&session.pwd);
    }
    if section.ice_options.is_empty() {
        section.ice_options.clone_from(&session.ice_options);
    }
    if section.fingerprints.is_empty() {
        section.fingerprints.clone_from(&session.fingerprints);
    }
    section.setup = section.setup.or(session.setup);
    section.end_of_candidates |= session.end_of_candidates;
}

/// Takes an attribute of ICE or DTLS; gives false if it is none.
pub(crate) fn read_transport(
    transport: &mut TransportAttributes,
    line: &Line<'_>,
) -> Result<bool, ParseError> {
    let (name, value) = line.attribute();
    let (what, outcome) = match name {
        "ice-ufrag" => ("a=ice-ufrag", read_ice(value, 4).map(|text| transport.ufrag = text)),
        "ice-pwd" => ("a=ice-pwd", read_ice(value, 22).map(|text| transport.pwd = text)),
        "ice-options" => {
            let options: Result<Vec<String>, Reason> =
                value.split_ascii_whitespace().take(MAX_OTHERS).map(read_token).collect();
            ("a=ice-options", options.map(|options| transport.ice_options = options))
        }
        "candidate" => {
            // RFC 8839 5.1: what is not understood is ignored, not an error.
            let candidate = Candidate::parse(line.value).ok();
            let pushed = candidate
                .map_or(Ok(()), |found| push(&mut transport.candidates, found, MAX_CANDIDATES));
            ("a=candidate", pushed)
        }
        "end-of-candidates" => {
            transport.end_of_candidates = true;
            ("a=end-of-candidates", Ok(()))
        }
        "fingerprint" => {
            let read = Fingerprint::read(value).and_then(|fingerprint| {
                fingerprint.map_or(Ok(()), |f| push(&mut transport.fingerprints, f, MAX_OTHERS))
            });
            ("a=fingerprint", read)
        }
        "setup" => {
            let setup = Setup::named(value).ok_or(Reason::Unknown);
            ("a=setup", setup.map(|setup| transport.setup = Some(setup)))
        }
        _ => return Ok(false),
    };
    outcome.map_err(|reason| ParseError { line: line.number, what, reason }).map(|()| true)
}

/// Credentials. RFC 8839 5.4: 4 to 256 characters of user name, 22 to 256 of password.
fn read_ice(value: &str, least: usize) -> Result<String, Reason> {
    let character = |byte: u8| byte.is_ascii_alphanumeric() || b"+/-_=".contains(&byte);
    let fits = (least..=256).contains(&value.len()) && value.bytes().all(character);
    if fits { Ok(value.to_owned()) } else { Err(Reason::Malformed) }
}
