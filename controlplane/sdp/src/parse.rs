//! Text to [`Description`]: what stands at session level, and the cut into sections.

use std::collections::HashSet;

use crate::attributes::read_token;
use crate::description::{Description, Origin};
use crate::error::{ParseError, Reason};
use crate::line::{Line, MAX_SECTIONS, lines};
use crate::parse_section::{SectionReader, read_transport};
use crate::section::{Direction, Section, TransportAttributes};

/// What stands before the first section.
#[derive(Default)]
pub(crate) struct SessionLevel {
    pub(crate) origin: Option<Origin>,
    pub(crate) bundle: Vec<String>,
    pub(crate) ice_lite: bool,
    pub(crate) direction: Option<Direction>,
    pub(crate) extmap_allow_mixed: bool,
    pub(crate) transport: TransportAttributes,
}

/// Reads a whole description.
pub(crate) fn parse(text: &str) -> Result<Description, ParseError> {
    let missing = |what| ParseError { line: 1, what, reason: Reason::Missing };
    // RFC 8866 5: a description begins with its version, and there is only one.
    match lines(text).next().transpose()? {
        Some(Line { letter: 'v', value: "0", .. }) => {}
        _ => return Err(missing("v=")),
    }
    let (session, sections) = parse_parts(text)?;
    let origin = session.origin.ok_or_else(|| missing("o="))?;
    Ok(Description { origin, bundle: session.bundle, ice_lite: session.ice_lite, sections })
}

/// Reads the lines of a description or of a fragment of one.
pub(crate) fn parse_parts(text: &str) -> Result<(SessionLevel, Vec<Section>), ParseError> {
    let mut session = SessionLevel::default();
    let mut sections: Vec<Section> = Vec::new();
    let mut reader: Option<SectionReader> = None;
    let mut mids = HashSet::new();
    let mut last = 0;
    for line in lines(text) {
        let line = line?;
        last = line.number;
        if line.letter == 'm' {
            finish(reader.take(), &session, &mut mids, &mut sections, line.number)?;
            if sections.len() >= MAX_SECTIONS {
                return Err(ParseError { line: line.number, what: "m=", reason: Reason::TooMany });
            }
            reader = Some(SectionReader::open(&line)?);
            continue;
        }
        match &mut reader {
            Some(reader) => reader.handle_line(&line)?,
            None => session.handle_line(&line)?,
        }
    }
    finish(reader.take(), &session, &mut mids, &mut sections, last)?;
    Ok((session, sections))
}

fn finish(
    reader: Option<SectionReader>,
    session: &SessionLevel,
    mids: &mut HashSet<String>,
    sections: &mut Vec<Section>,
    line: u32,
) -> Result<(), ParseError> {
    let Some(reader) = reader else { return Ok(()) };
    let section = reader.finish(session);
    if !section.mid.is_empty() && !mids.insert(section.mid.clone()) {
        return Err(ParseError { line, what: "a=mid", reason: Reason::Twice });
    }
    sections.push(section);
    Ok(())
}

impl SessionLevel {
    fn handle_line(&mut self, line: &Line<'_>) -> Result<(), ParseError> {
        match line.letter {
            'o' => {
                let origin = read_origin(line.value);
                self.origin = Some(origin.map_err(|reason| error(line, "o=", reason))?);
                Ok(())
            }
            'a' => self.handle_attribute(line),
            // Name, times, connection and bandwidth mean nothing in WebRTC.
            _ => Ok(()),
        }
    }

    fn handle_attribute(&mut self, line: &Line<'_>) -> Result<(), ParseError> {
        let (name, value) = line.attribute();
        match name {
            "group" => {
                let mids = value.strip_prefix("BUNDLE").filter(|_| self.bundle.is_empty());
                if let Some(mids) = mids {
                    self.bundle = read_group(mids).map_err(|why| error(line, "a=group", why))?;
                }
            }
            "ice-lite" => self.ice_lite = true,
            "extmap-allow-mixed" => self.extmap_allow_mixed = true,
            _ => match Direction::named(line.value) {
                Some(direction) => self.direction = Some(direction),
                None => {
                    read_transport(&mut self.transport, line)?;
                }
            },
        }
        Ok(())
    }
}

fn error(line: &Line<'_>, what: &'static str, reason: Reason) -> ParseError {
    ParseError { line: line.number, what, reason }
}

/// `- 4611731400430051336 2 IN IP4 127.0.0.1`
fn read_origin(value: &str) -> Result<Origin, Reason> {
    let mut fields = value.split_ascii_whitespace().skip(1);
    let mut number = || -> Result<u64, Reason> {
        let field = fields.next().ok_or(Reason::Malformed)?;
        field.parse().map_err(|_| Reason::OutOfRange)
    };
    Ok(Origin { session_id: number()?, version: number()? })
}

fn read_group(mids: &str) -> Result<Vec<String>, Reason> {
    let mids: Vec<String> =
        mids.split_ascii_whitespace().map(read_token).collect::<Result<_, _>>()?;
    if mids.len() > MAX_SECTIONS { Err(Reason::TooMany) } else { Ok(mids) }
}
