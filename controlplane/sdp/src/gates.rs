//! What certain clients cannot do, known from the facts that they tell about themselves.

use crate::codec::Codec;

/// What a client tells: the fields of the same names in LiveKit's `ClientInfo`, as they came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClientFacts<'a> {
    /// The SDK's name, such as `js` or `go`.
    pub sdk: &'a str,
    /// The browser, such as `Firefox`.
    pub browser: &'a str,
    /// Its version, such as `18.3`.
    pub browser_version: &'a str,
    /// The system, such as `Android`.
    pub os: &'a str,
    /// The device, such as `Xiaomi 2201117TI`.
    pub device_model: &'a str,
}

/// What must be left out for a client. The default leaves nothing out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gates {
    /// Codecs that the client must not publish.
    pub no_publish: Vec<Codec>,
    /// Codecs that must not be sent to the client.
    pub no_subscribe: Vec<Codec>,
    /// ICE-lite confuses the client.
    pub no_ice_lite: bool,
    /// The client cannot connect by ICE/TCP.
    pub no_ice_tcp: bool,
    /// A section that was stopped must not carry another track.
    pub no_section_reuse: bool,
    /// The client publishes with the codec that it likes, whatever the answer's order: an answer
    /// must have only the preferred one.
    pub ignores_codec_order: bool,
}

impl Gates {
    /// The gates of a client.
    pub fn of(client: &ClientFacts<'_>) -> Self {
        let is = |text: &str, name: &str| text.trim().eq_ignore_ascii_case(name);
        let firefox = is(client.browser, "firefox") || is(client.browser, "firefox mobile");
        let safari = is(client.browser, "safari");
        let (android, linux) = (is(client.os, "android"), is(client.os, "linux"));
        let xiaomi = is(client.device_model, "xiaomi 2201117ti");
        let mut gates = Self {
            no_ice_lite: firefox,
            no_ice_tcp: is(client.sdk, "go"),
            no_section_reuse: safari,
            ignores_codec_order: firefox && (linux || android),
            ..Self::default()
        };
        if firefox || safari {
            for codec in [Codec::Red, Codec::Av1] {
                gates.no_publish.push(codec);
                gates.no_subscribe.push(codec);
            }
        }
        if safari && is_newer(client.browser_version, [18, 3]) {
            gates.no_publish.push(Codec::Vp9);
        }
        if android && (firefox || xiaomi) {
            gates.no_publish.push(Codec::H264);
        }
        gates
    }
}

/// Whether `version`, such as `18.3.1`, comes after `bound`.
fn is_newer(version: &str, bound: [u32; 2]) -> bool {
    let mut fields = version.trim().split('.').map(|field| field.parse::<u32>().unwrap_or(0));
    let found = [fields.next().unwrap_or(0), fields.next().unwrap_or(0)];
    found > bound || (found == bound && fields.any(|field| field > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_known() {
        use Codec::*;
        let check = |facts: [&str; 4], publish: &[Codec], subscribe: &[Codec], flags: [bool; 4]| {
            let [browser, browser_version, os, device_model] = facts;
            let facts = ClientFacts { sdk: "js", browser, browser_version, os, device_model };
            let gates = Gates::of(&facts);
            assert_eq!(gates.no_publish, publish, "{facts:?}");
            assert_eq!(gates.no_subscribe, subscribe, "{facts:?}");
            let found = [
                gates.no_ice_lite,
                gates.no_ice_tcp,
                gates.no_section_reuse,
                gates.ignores_codec_order,
            ];
            assert_eq!(found, flags, "{facts:?}");
        };
        let none = [false; 4];
        check(["Chrome", "156", "Linux", ""], &[], &[], none);
        check(["Chrome", "156", "Android", "Xiaomi 2201117TI"], &[H264], &[], none);
        check(["Chrome", "156", "iOS", "Xiaomi 2201117TI"], &[], &[], none);
        let firefox = [true, false, false, true];
        check(["Firefox", "145", "Linux", ""], &[Red, Av1], &[Red, Av1], firefox);
        check(["Firefox", "145", "Android", ""], &[Red, Av1, H264], &[Red, Av1], firefox);
        let desktop = [true, false, false, false];
        check(["firefox mobile", "145", "iOS", ""], &[Red, Av1], &[Red, Av1], desktop);
        let safari = [false, false, true, false];
        check(["Safari", "18.3", "macOS", ""], &[Red, Av1], &[Red, Av1], safari);
        check(["Safari", "18.3.1", "macOS", ""], &[Red, Av1, Vp9], &[Red, Av1], safari);
        check(["Safari", "26.0", "macOS", ""], &[Red, Av1, Vp9], &[Red, Av1], safari);
        check(["Safari", "9.9", "macOS", ""], &[Red, Av1], &[Red, Av1], safari);
        assert!(Gates::of(&ClientFacts { sdk: "GO", ..ClientFacts::default() }).no_ice_tcp);
    }
}
