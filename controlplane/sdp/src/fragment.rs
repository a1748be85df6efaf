//! Pieces of a description that carry only ICE: `application/trickle-ice-sdpfrag` (RFC 8840), as
//! WHIP and WHEP send them (RFC 9725 4.3).

use std::fmt;

use crate::description::Description;
use crate::error::ParseError;
use crate::parse::parse_parts;
use crate::section::{Kind, TransportAttributes};
use crate::transport::{LocalTransport, RemoteTransport};
use crate::write::{Text, line, write_transport};

/// What a fragment says of one section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FragmentMedia {
    /// The section's kind; the rest of its `m=` line means nothing here.
    pub kind: Kind,
    /// The section's mid; empty where the fragment has no section.
    pub mid: String,
    /// Credentials and candidates.
    pub transport: TransportAttributes,
}

/// A fragment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fragment {
    /// The writer is an ICE-lite agent.
    pub ice_lite: bool,
    /// Mids of the BUNDLE group.
    pub bundle: Vec<String>,
    /// Sections; credentials at session level are copied into them.
    pub media: Vec<FragmentMedia>,
}

impl Fragment {
    /// Reads a fragment. Lines of a whole description that mean nothing here are skipped.
    ///
    /// # Errors
    /// The first line that is wrong, with its number.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let (session, sections) = parse_parts(text)?;
        let mut media: Vec<FragmentMedia> = sections
            .into_iter()
            .map(|section| {
                let (kind, mid) = (section.kind, section.mid);
                FragmentMedia { kind, mid, transport: section.transport }
            })
            .collect();
        let mut transport = session.transport;
        match media.first_mut() {
            Some(first) => first.transport.candidates.append(&mut transport.candidates),
            // Some clients send bare lines.
            None if transport != TransportAttributes::default() => {
                media.push(FragmentMedia { kind: Kind::Audio, mid: String::new(), transport });
            }
            None => {}
        }
        Ok(Self { ice_lite: session.ice_lite, bundle: session.bundle, media })
    }

    /// The credentials that the candidates belong to, user name and password; either may be empty.
    pub fn credentials(&self) -> Option<(&str, &str)> {
        let has = |media: &&FragmentMedia| !media.transport.ufrag.is_empty();
        let media = self.media.iter().find(has)?;
        Some((&media.transport.ufrag, &media.transport.pwd))
    }

    /// Whether the fragment restarts ICE, as seen from what the peer said before.
    // RFC 8840 4.4: other credentials are those of another generation.
    pub fn restarts(&self, before: &RemoteTransport) -> bool {
        self.credentials().is_some_and(|(ufrag, pwd)| {
            ufrag != before.ufrag || (!pwd.is_empty() && pwd != before.pwd)
        })
    }

    /// The fragment that tells our end of the transport, after a restart, for the sections of the
    /// last answer.
    pub fn of_local(local: &LocalTransport, answer: &Description) -> Self {
        let media = answer.transport_section().map(|section| {
            let mut transport = section.transport.clone();
            transport.ufrag.clone_from(&local.ufrag);
            transport.pwd.clone_from(&local.pwd);
            transport.candidates.clone_from(&local.candidates);
            transport.end_of_candidates = !local.candidates.is_empty();
            transport.fingerprints.clear();
            transport.setup = None;
            FragmentMedia { kind: section.kind, mid: section.mid.clone(), transport }
        });
        let (ice_lite, bundle) = (local.lite, answer.bundle.clone());
        Self { ice_lite, bundle, media: media.into_iter().collect() }
    }
}

impl fmt::Display for Fragment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = Text::default();
        if self.ice_lite {
            line!(text, "a=ice-lite");
        }
        if !self.bundle.is_empty() {
            line!(text, "a=group:BUNDLE {}", self.bundle.join(" "));
        }
        for media in &self.media {
            match media.kind {
                Kind::Application => {
                    line!(text, "m=application 9 UDP/DTLS/SCTP webrtc-datachannel");
                }
                kind => line!(text, "m={} 9 UDP/TLS/RTP/SAVPF 0", kind.name()),
            }
            if !media.mid.is_empty() {
                line!(text, "a=mid:{}", media.mid);
            }
            write_transport(&mut text, &media.transport);
        }
        f.write_str(&text.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// After the example of RFC 8840 9.
    const TRICKLED: &str = "a=group:BUNDLE 0 1\r\n\
        m=audio 9 UDP/TLS/RTP/SAVPF 0\r\n\
        a=mid:0\r\n\
        a=ice-ufrag:8hhY\r\n\
        a=ice-pwd:asd88fgpdd777uzjYhagZg\r\n\
        a=candidate:1 1 UDP 2130706431 192.0.2.1 5000 typ host\r\n\
        a=candidate:2 1 UDP 1694498815 192.0.2.3 5010 typ srflx raddr 10.0.1.1 rport 8998\r\n\
        a=end-of-candidates\r\n";

    fn before(ufrag: &str, pwd: &str) -> RemoteTransport {
        RemoteTransport {
            ufrag: ufrag.to_owned(),
            pwd: pwd.to_owned(),
            fingerprint: crate::Fingerprint {
                algorithm: crate::HashAlgorithm::Sha256,
                digest: vec![1; 32],
            },
            setup: crate::Setup::ActPass,
            lite: false,
            candidates: Vec::new(),
            end_of_candidates: false,
        }
    }

    #[test]
    fn fragments_are_read_and_written() {
        let fragment = Fragment::parse(TRICKLED).unwrap();
        assert_eq!(fragment.bundle, ["0", "1"]);
        assert_eq!(fragment.media.len(), 1);
        assert_eq!(fragment.media[0].mid, "0");
        assert_eq!(fragment.media[0].transport.candidates.len(), 2);
        assert!(fragment.media[0].transport.end_of_candidates);
        assert_eq!(Fragment::parse(&fragment.to_string()), Ok(fragment));
    }

    #[test]
    fn credentials_may_stand_at_session_level_and_sections_may_be_missing() {
        let text = "a=ice-ufrag:8hhY\na=ice-pwd:asd88fgpdd777uzjYhagZg\n\
                    a=candidate:1 1 UDP 2130706431 192.0.2.1 5000 typ host\n";
        let bare = Fragment::parse(text).unwrap();
        assert_eq!(bare.credentials(), Some(("8hhY", "asd88fgpdd777uzjYhagZg")));
        assert_eq!(bare.media[0].transport.candidates.len(), 1);
        let with = Fragment::parse(&format!("{text}m=video 9 RTP/AVP 0\na=mid:v\n")).unwrap();
        assert_eq!(with.credentials(), bare.credentials());
        assert_eq!(with.media[0].transport.candidates, bare.media[0].transport.candidates);
        assert_eq!(Fragment::parse("").unwrap(), Fragment::default());
        assert!(Fragment::parse("nonsense").is_err());
    }

    #[test]
    fn a_restart_is_noticed() {
        let check = |text: &str, ufrag, pwd, expect| {
            let fragment = Fragment::parse(text).unwrap();
            assert_eq!(fragment.restarts(&before(ufrag, pwd)), expect, "{text}");
        };
        check(TRICKLED, "8hhY", "asd88fgpdd777uzjYhagZg", false);
        check(TRICKLED, "9hhY", "asd88fgpdd777uzjYhagZg", true);
        check(TRICKLED, "8hhY", "another88fgpdd777uzjYh", true);
        check("a=ice-ufrag:8hhY\n", "8hhY", "asd88fgpdd777uzjYhagZg", false);
        check("m=audio 9 RTP/AVP 0\na=mid:0\n", "8hhY", "asd88fgpdd777uzjYhagZg", false);
    }
}
