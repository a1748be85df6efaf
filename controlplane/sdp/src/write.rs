//! [`Description`] to text. Values that came from elsewhere lose their control characters, so that
//! nobody can smuggle in a line.

use std::fmt::{self, Write as _};

use crate::description::Description;
use crate::payload::Payload;
use crate::section::{Kind, Section, TransportAttributes};

/// Lines under construction.
#[derive(Default)]
pub(crate) struct Text(String);

impl Text {
    /// Appends one line, given without its end.
    pub(crate) fn line(&mut self, line: fmt::Arguments<'_>) {
        let start = self.0.len();
        // Writing to a string cannot fail.
        let _ = self.0.write_fmt(line);
        let dirty = self.0.get(start..).is_some_and(|line| line.contains(char::is_control));
        if dirty {
            let clean: String = self.0.drain(start..).filter(|c| !c.is_control()).collect();
            self.0.push_str(&clean);
        }
        self.0.push_str("\r\n");
    }

    pub(crate) fn finish(self) -> String {
        self.0
    }
}

macro_rules! line {
    ($text:expr, $($argument:tt)*) => { $text.line(format_args!($($argument)*)) };
}
pub(crate) use line;

/// Writes a whole description.
pub(crate) fn write(description: &Description) -> String {
    let mut text = Text::default();
    let origin = description.origin;
    line!(text, "v=0");
    line!(text, "o=- {} {} IN IP4 127.0.0.1", origin.session_id, origin.version);
    line!(text, "s=-");
    line!(text, "t=0 0");
    if description.ice_lite {
        line!(text, "a=ice-lite");
    }
    if !description.bundle.is_empty() {
        line!(text, "a=group:BUNDLE {}", description.bundle.join(" "));
    }
    // Chromium writes it at session level, and older peers look for it only there.
    let mut media = description.sections.iter().filter(|s| s.kind != Kind::Application).peekable();
    let all_mixed = media.peek().is_some() && media.all(|section| section.extmap_allow_mixed);
    if all_mixed {
        line!(text, "a=extmap-allow-mixed");
    }
    line!(text, "a=msid-semantic: WMS *");
    for section in &description.sections {
        write_section(&mut text, section, all_mixed);
    }
    text.finish()
}

fn write_section(text: &mut Text, section: &Section, all_mixed: bool) {
    write_media(text, section);
    line!(text, "c=IN IP4 0.0.0.0");
    write_transport(text, &section.transport);
    if !section.mid.is_empty() {
        line!(text, "a=mid:{}", section.mid);
    }
    if section.bundle_only {
        line!(text, "a=bundle-only");
    }
    for extension in &section.extensions {
        line!(text, "a=extmap:{extension}");
    }
    if section.extmap_allow_mixed && !all_mixed {
        line!(text, "a=extmap-allow-mixed");
    }
    if section.kind != Kind::Application {
        line!(text, "a={}", section.direction.name());
    }
    for msid in &section.msids {
        line!(text, "a=msid:{msid}");
    }
    if section.rtcp_mux {
        line!(text, "a=rtcp-mux");
    }
    if section.rtcp_rsize {
        line!(text, "a=rtcp-rsize");
    }
    for payload in &section.payloads {
        write_payload(text, payload);
    }
    write_streams(text, section);
    if let Some(port) = section.sctp_port {
        line!(text, "a=sctp-port:{port}");
    }
    if let Some(bytes) = section.max_message_bytes {
        line!(text, "a=max-message-size:{bytes}");
    }
}

fn write_media(text: &mut Text, section: &Section) {
    let formats = if section.kind == Kind::Application {
        section.format.clone()
    } else {
        let numbers = section.payloads.iter().map(|payload| payload.payload_type.to_string());
        numbers.collect::<Vec<_>>().join(" ")
    };
    line!(text, "m={} {} {} {formats}", section.kind.name(), section.port, section.protocol);
}

/// Writes what belongs to ICE and DTLS.
pub(crate) fn write_transport(text: &mut Text, transport: &TransportAttributes) {
    for candidate in &transport.candidates {
        line!(text, "a={candidate}");
    }
    if transport.end_of_candidates {
        line!(text, "a=end-of-candidates");
    }
    if !transport.ufrag.is_empty() {
        line!(text, "a=ice-ufrag:{}", transport.ufrag);
    }
    if !transport.pwd.is_empty() {
        line!(text, "a=ice-pwd:{}", transport.pwd);
    }
    if !transport.ice_options.is_empty() {
        line!(text, "a=ice-options:{}", transport.ice_options.join(" "));
    }
    for fingerprint in &transport.fingerprints {
        line!(text, "a=fingerprint:{fingerprint}");
    }
    if let Some(setup) = transport.setup {
        line!(text, "a=setup:{}", setup.name());
    }
}

fn write_payload(text: &mut Text, payload: &Payload) {
    let number = payload.payload_type;
    if !payload.name.is_empty() {
        if payload.channels > 1 {
            let (name, rate) = (&payload.name, payload.clock_rate);
            line!(text, "a=rtpmap:{number} {name}/{rate}/{}", payload.channels);
        } else {
            line!(text, "a=rtpmap:{number} {}/{}", payload.name, payload.clock_rate);
        }
    }
    for name in payload.feedback.names() {
        line!(text, "a=rtcp-fb:{number} {name}");
    }
    if !payload.fmtp.is_empty() {
        line!(text, "a=fmtp:{number} {}", payload.fmtp);
    }
}

fn write_streams(text: &mut Text, section: &Section) {
    for rid in &section.rids {
        line!(text, "a=rid:{rid}");
    }
    if let Some(simulcast) = &section.simulcast {
        line!(text, "a=simulcast:{simulcast}");
    }
    for group in &section.source_groups {
        line!(text, "a=ssrc-group:{group}");
    }
    for source in &section.sources {
        let ssrc = source.ssrc;
        if let Some(cname) = &source.cname {
            line!(text, "a=ssrc:{ssrc} cname:{cname}");
        }
        if let Some(msid) = &source.msid {
            line!(text, "a=ssrc:{ssrc} msid:{msid}");
        }
        if source.cname.is_none() && source.msid.is_none() {
            line!(text, "a=ssrc:{ssrc}");
        }
    }
}
