//! One payload type of a section: what `rtpmap`, `fmtp` and `rtcp-fb` say together.

use crate::error::Reason;
use crate::feedback::Feedback;

/// A payload type as described. An empty `name` means that nothing says what it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Payload {
    /// The number on the wire, 0..=127.
    pub payload_type: u8,
    /// The encoding's name as written, such as `VP8`; compare without case.
    pub name: String,
    /// Clock rate, in hertz.
    pub clock_rate: u32,
    /// Audio channels; 1 where nothing is said, 0 where the payload is not described.
    pub channels: u8,
    /// Format parameters as written; empty if there are none.
    pub fmtp: String,
    /// Feedback that both `rtcp-fb` of this payload type and those of `*` name.
    pub feedback: Feedback,
}

/// Payload types that need no `rtpmap`. RFC 3551 6, as far as audio in WebRTC has them.
const STATIC: [(u8, &str, u32); 5] =
    [(0, "PCMU", 8000), (3, "GSM", 8000), (8, "PCMA", 8000), (9, "G722", 8000), (13, "CN", 8000)];

impl Payload {
    /// A payload type as the `m=` line names it.
    pub(crate) fn bare(payload_type: u8) -> Self {
        let mut payload = Self { payload_type, ..Self::default() };
        if let Some((_, name, clock_rate)) = STATIC.iter().find(|row| row.0 == payload_type) {
            payload.name = (*name).to_owned();
            payload.clock_rate = *clock_rate;
            payload.channels = 1;
        }
        payload
    }

    /// Takes the rest of an `rtpmap` line, such as `opus/48000/2`.
    pub(crate) fn set_map(&mut self, map: &str) -> Result<(), Reason> {
        let mut fields = map.split('/');
        let name = fields.next().unwrap_or_default().trim();
        let clock_rate = fields.next().ok_or(Reason::Malformed)?;
        let channels = fields.next().unwrap_or("1");
        if name.is_empty() || name.contains(' ') {
            return Err(Reason::Malformed);
        }
        self.clock_rate = clock_rate.trim().parse().map_err(|_| Reason::OutOfRange)?;
        self.channels = channels.trim().parse().map_err(|_| Reason::OutOfRange)?;
        if self.channels == 0 {
            return Err(Reason::OutOfRange);
        }
        self.name = name.to_owned();
        Ok(())
    }

    /// Whether this is the encoding `name`, whatever the case.
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// The parameter `key` of `fmtp`.
    pub fn parameter(&self, key: &str) -> Option<&str> {
        format_parameter(&self.fmtp, key)
    }

    /// The payload type that this one retransmits, if it is RTX. RFC 4588 8.1: `apt`.
    pub fn associated(&self) -> Option<u8> {
        if self.is("rtx") { self.parameter("apt")?.parse().ok() } else { None }
    }
}

/// The value of `key` in format parameters `a=1;b=2`; a key without a value gives an empty one.
pub fn format_parameter<'a>(fmtp: &'a str, key: &str) -> Option<&'a str> {
    fmtp.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        name.trim().eq_ignore_ascii_case(key).then(|| value.trim())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_found() {
        let check = |fmtp, key, expect| assert_eq!(format_parameter(fmtp, key), expect, "{fmtp}");
        check("minptime=10;useinbandfec=1", "useinbandfec", Some("1"));
        check("minptime=10; useinbandfec=1", "USEINBANDFEC", Some("1"));
        check("apt=96", "apt", Some("96"));
        check("flag;apt=96", "flag", Some(""));
        check("111/111", "apt", None);
        check("", "apt", None);
    }

    #[test]
    fn maps_are_read() {
        let check = |map: &str, expect: Result<(&str, u32, u8), Reason>| {
            let mut payload = Payload::bare(96);
            let found = payload.set_map(map);
            let found = found.map(|()| (payload.name, payload.clock_rate, payload.channels));
            let expect = expect.map(|(name, rate, channels)| (name.to_owned(), rate, channels));
            assert_eq!(found, expect, "{map}");
        };
        check("VP8/90000", Ok(("VP8", 90_000, 1)));
        check("opus/48000/2", Ok(("opus", 48_000, 2)));
        check("opus/48000/0", Err(Reason::OutOfRange));
        check("opus/fast", Err(Reason::OutOfRange));
        check("opus", Err(Reason::Malformed));
        check("/90000", Err(Reason::Malformed));
        check("two words/90000", Err(Reason::Malformed));
    }
}
