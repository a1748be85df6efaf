//! What a client can do: gates of its protocol number and the peculiarities of its browser or SDK.

use livekit_protocol::client_info::{Capability, Sdk};
use livekit_protocol::{ClientConfiguration, ClientInfo, Codec, DisabledCodecs};

/// The protocol number of the server. 18 would promise negotiated data channels.
pub const PROTOCOL: i32 = 17;

/// A client as the server sees it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Client {
    /// What it said of itself.
    pub info: ClientInfo,
}

impl Client {
    /// Takes what the client said, and completes it from its HTTP request: its address and, where
    /// it left them out, browser, system and device from the `User-Agent`.
    pub fn new(mut info: ClientInfo, address: &str, user_agent: &str) -> Self {
        info.address = address.to_owned();
        let browsers = [Sdk::Js, Sdk::ReactNative, Sdk::Flutter, Sdk::Unity, Sdk::Unknown];
        if browsers.iter().any(|sdk| *sdk as i32 == info.sdk) {
            let (browser, version) = browser_of(user_agent);
            if info.browser.is_empty() {
                browser.clone_into(&mut info.browser);
                version.clone_into(&mut info.browser_version);
            }
            if info.os.is_empty() {
                system_of(user_agent).clone_into(&mut info.os);
            }
            if info.device_model.is_empty() {
                device_of(user_agent).clone_into(&mut info.device_model);
            }
        }
        Self { info }
    }

    fn browser_is(&self, name: &str) -> bool {
        self.info.browser.eq_ignore_ascii_case(name)
    }

    fn system_is(&self, name: &str) -> bool {
        self.info.os.eq_ignore_ascii_case(name)
    }

    fn sdk_is(&self, sdk: Sdk) -> bool {
        self.info.sdk == sdk as i32
    }

    /// `livekit-client`, in whatever browser or framework.
    pub fn is_js(&self) -> bool {
        self.sdk_is(Sdk::Js)
    }

    /// Firefox, desktop or mobile.
    pub fn is_firefox(&self) -> bool {
        self.browser_is("firefox") || self.browser_is("firefox mobile")
    }

    /// Safari.
    pub fn is_safari(&self) -> bool {
        self.browser_is("safari")
    }

    /// OBS over WHIP, whose sender reports cover only some layers.
    pub fn is_obs(&self) -> bool {
        self.info.browser.contains("OBS")
    }

    fn protocol_above(&self, number: i32) -> bool {
        self.info.protocol > number
    }

    /// The subscriber connection carries the session, and speakers come as changes.
    pub fn takes_subscriber_primary(&self) -> bool {
        self.protocol_above(2)
    }

    /// A section of the SDP may carry another track later. Safari shows the old one.
    pub fn reuses_sections(&self) -> bool {
        self.protocol_above(3) && !self.is_safari()
    }

    /// Wants connection qualities.
    pub fn takes_quality(&self) -> bool {
        self.protocol_above(4)
    }

    /// Wants to hear that its track is unpublished.
    pub fn takes_unpublished(&self) -> bool {
        self.protocol_above(6)
    }

    /// Wants tracks in the first offer.
    pub fn takes_fast_start(&self) -> bool {
        self.protocol_above(7)
    }

    /// Wants to hear whom it lost while it was away.
    pub fn takes_disconnected(&self) -> bool {
        self.protocol_above(8)
    }

    /// Finds out whose track it is where tracks of one participant share a stream. Firefox makes up
    /// ids of tracks.
    pub fn takes_synced_streams(&self) -> bool {
        self.protocol_above(9) && !self.is_firefox()
    }

    /// Knows the quality LOST.
    pub fn takes_quality_lost(&self) -> bool {
        self.protocol_above(10)
    }

    /// Understands an action in a leave request.
    pub fn takes_leave_action(&self) -> bool {
        self.protocol_above(12)
    }

    /// Understands request responses that are no errors.
    pub fn takes_good_responses(&self) -> bool {
        self.protocol_above(14)
    }

    /// Understands request responses and `track_subscribed`: old Rust SDKs end on what they do not
    /// know.
    pub fn takes_responses(&self) -> bool {
        !self.sdk_is(Sdk::Rust) || self.info.protocol >= 10
    }

    /// Understands a reconnect response: JS before 1.6.3 does not.
    pub fn takes_reconnect_response(&self) -> bool {
        !self.sdk_is(Sdk::Js) || version_of(&self.info.version) >= [1, 6, 3]
    }

    /// Opens data channels by number, without asking.
    pub fn negotiates_channels(&self) -> bool {
        self.protocol_above(17)
    }

    /// Tells its application of a stream in a section only once per connection, so that a track
    /// which comes again in the same section needs another stream. So do the Rust SDK with two
    /// connections, and all that are built on it.
    pub fn remembers_streams(&self) -> bool {
        [Sdk::Rust, Sdk::Python, Sdk::Node, Sdk::Cpp, Sdk::Unity, Sdk::Unreal]
            .into_iter()
            .any(|sdk| self.sdk_is(sdk))
    }

    /// Hears redundant audio.
    pub fn takes_red(&self) -> bool {
        !self.is_firefox() && !self.is_safari()
    }

    /// Works with an ICE-lite server. Firefox loses its way when candidates change; pion answers an
    /// offer of such a server as the DTLS server, and so do we.
    pub fn takes_ice_lite(&self) -> bool {
        self.protocol_above(5) && !self.is_firefox() && !self.sdk_is(Sdk::Go)
    }

    /// Applies the offer that it sends with its request to join only after it has read the
    /// response, beside reading on: an answer that comes right behind that is lost on it.
    pub fn applies_offer_late(&self) -> bool {
        self.sdk_is(Sdk::Go)
    }

    /// Tells its application of a track when packets of it come, not when it is described.
    pub fn hears_by_packets(&self) -> bool {
        self.sdk_is(Sdk::Go)
    }

    /// Takes the codecs that the first section of a kind names for all that later ones may.
    pub fn agrees_on_codecs_once(&self) -> bool {
        self.sdk_is(Sdk::Go)
    }

    /// Hears of a track in a section that was inactive before. pion stops the receiver of such a
    /// section at each offer that says so, the second time for good; LiveKit, which is made of
    /// pion, offers `recvonly`.
    pub fn reuses_inactive_sections(&self) -> bool {
        !self.sdk_is(Sdk::Go) && !self.sdk_is(Sdk::Unknown)
    }

    /// Goes on where a stream changes to another codec that its section has. pion's application
    /// sees no change, and of a client that does not say what it is nobody knows.
    pub fn takes_codec_changes(&self) -> bool {
        !self.sdk_is(Sdk::Go) && !self.sdk_is(Sdk::Unknown)
    }

    /// Connects over TCP.
    pub fn takes_ice_tcp(&self) -> bool {
        match self.info.sdk {
            sdk if sdk == Sdk::Go as i32 => false,
            sdk if sdk == Sdk::Swift as i32 => version_of(&self.info.version) >= [1, 0, 5],
            _ => true,
        }
    }

    /// Cuts packet trailers off itself.
    pub fn takes_packet_trailer(&self) -> bool {
        self.info.capabilities.contains(&(Capability::CapPacketTrailer as i32))
    }

    /// Codecs that this client must not use, in LiveKit's words; `None`: no restriction.
    pub fn configuration(&self) -> Option<ClientConfiguration> {
        let codec = |mime: &str| Codec { mime: mime.to_owned(), fmtp_line: String::new() };
        let mut disabled = DisabledCodecs::default();
        if self.is_safari() {
            disabled.codecs.push(codec("video/AV1"));
            if version_of(&self.info.browser_version) > [18, 3, 0] {
                disabled.publish.push(codec("video/VP9"));
            }
        }
        if self.is_firefox() {
            disabled.codecs.push(codec("video/AV1"));
        }
        let xiaomi = self.info.device_model.eq_ignore_ascii_case("xiaomi 2201117ti");
        if self.system_is("android") && (self.is_firefox() || xiaomi) {
            disabled.publish.push(codec("video/H264"));
        }
        let none = disabled.codecs.is_empty() && disabled.publish.is_empty();
        let configuration =
            ClientConfiguration { disabled_codecs: Some(disabled), ..Default::default() };
        (!none).then_some(configuration)
    }
}

/// The first three numbers of a version.
fn version_of(text: &str) -> [u32; 3] {
    let mut numbers = [0; 3];
    for (number, part) in numbers.iter_mut().zip(text.split('.')) {
        let digits = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
        *number = part[..digits].parse().unwrap_or_default();
    }
    numbers
}

/// Name and version of the browser that says this of itself.
fn browser_of(user_agent: &str) -> (&'static str, &str) {
    // The order matters: most browsers name those before them as well.
    const MARKS: &[(&str, &str)] = &[
        ("OBS-Studio/", "OBS Studio"),
        ("Edg/", "Edge"),
        ("OPR/", "Opera"),
        ("SamsungBrowser/", "Samsung Internet"),
        ("FxiOS/", "Firefox iOS"),
        ("Firefox/", "Firefox"),
        ("HeadlessChrome/", "HeadlessChrome"),
        ("CriOS/", "Chrome Mobile iOS"),
        ("Chrome/", "Chrome"),
    ];
    for (mark, name) in MARKS {
        if let Some((_, rest)) = user_agent.split_once(mark) {
            let mobile = *name == "Firefox" && user_agent.contains("Mobile");
            return (if mobile { "Firefox Mobile" } else { name }, first_word(rest));
        }
    }
    match user_agent.split_once("Version/") {
        Some((_, rest)) if user_agent.contains("Safari/") => ("Safari", first_word(rest)),
        _ => ("", ""),
    }
}

fn first_word(text: &str) -> &str {
    let end = text.find(|c: char| c != '.' && !c.is_ascii_digit()).unwrap_or(text.len());
    &text[..end]
}

fn system_of(user_agent: &str) -> &'static str {
    const MARKS: &[(&str, &str)] = &[
        ("Android", "Android"),
        ("iPhone", "iOS"),
        ("iPad", "iOS"),
        ("Windows", "Windows"),
        ("Mac OS X", "Mac OS X"),
        ("Linux", "Linux"),
    ];
    MARKS.iter().find(|(mark, _)| user_agent.contains(mark)).map_or("", |(_, name)| name)
}

/// The model of the Android device whose browser says this of itself. Other systems say none, and
/// Chrome of late says `K` for all.
fn device_of(user_agent: &str) -> &str {
    /// Longer than any model: what follows is no browser's.
    const MODEL_BYTES_MAX: usize = 64;
    let told = user_agent.split_once("Android ").and_then(|(_, rest)| rest.split_once(')'));
    let fields = told.into_iter().flat_map(|(told, _)| told.split(';').skip(1)).map(str::trim);
    // Old browsers say their language before the model, views within applications `wv` behind it.
    let built = fields.clone().find_map(|field| field.split_once(" Build/"));
    let model = built.map(|(model, _)| model).or_else(|| fields.clone().next());
    let firefox = |model: &str| ["Mobile", "Tablet", "TV"].contains(&model);
    let short = |model: &&str| model.len() <= MODEL_BYTES_MAX && !firefox(model);
    model.filter(short).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(browser: &str, version: &str, os: &str) -> Client {
        let text = str::to_owned;
        let (browser, browser_version, os) = (text(browser), text(version), text(os));
        Client { info: ClientInfo { browser, browser_version, os, ..ClientInfo::default() } }
    }

    #[test]
    fn user_agents() {
        let check = |user_agent: &str, expect: [&str; 3]| {
            let info = Client::new(ClientInfo::default(), "192.0.2.1", user_agent).info;
            let got = [info.browser, info.browser_version, info.os];
            assert_eq!(got, expect, "{user_agent}");
        };
        let chrome = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
                      Chrome/142.0.0.0 Safari/537.36";
        check(chrome, ["Chrome", "142.0.0.0", "Linux"]);
        let safari = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 \
                      (KHTML, like Gecko) Version/18.5 Safari/605.1.15";
        check(safari, ["Safari", "18.5", "Mac OS X"]);
        let firefox = "Mozilla/5.0 (Android 15; Mobile; rv:144.0) Gecko/144.0 Firefox/144.0";
        check(firefox, ["Firefox Mobile", "144.0", "Android"]);
        check(
            "Mozilla/5.0 (OBS-Studio/31.0; Windows x86_64; en-US)",
            ["OBS Studio", "31.0", "Windows"],
        );
        check("", ["", "", ""]);
        check("GStreamer souphttpsrc", ["", "", ""]);
        check("Chrome/é", ["Chrome", "", ""]);
    }

    #[test]
    fn devices() {
        let check = |fields: &str, expect: &str| {
            let user_agent = format!("Mozilla/5.0 ({fields}) AppleWebKit/537.36 Chrome/103.0.0.0");
            let info = Client::new(ClientInfo::default(), "", &user_agent).info;
            assert_eq!(info.device_model, expect, "{fields}");
        };
        check("Linux; Android 12; 2201117TI Build/SKQ1.211103.001", "2201117TI");
        check("Linux; Android 12; Xiaomi 2201117TI", "Xiaomi 2201117TI");
        check("Linux; Android 13; SM-S901B Build/TP1A; wv", "SM-S901B");
        check("Linux; U; Android 4.4; en-us; Nexus 5 Build/KRT16M", "Nexus 5");
        check("Linux; Android 10; K", "K");
        check("Android 15; Mobile; rv:144.0", "");
        check("Linux; Android 10", "");
        check("X11; Linux x86_64", "");
        check(&format!("Linux; Android 10; {}", "x".repeat(65)), "");
    }

    #[test]
    fn what_the_client_says_counts_more() {
        let info = ClientInfo { sdk: Sdk::Js as i32, browser: "Edge".into(), ..Default::default() };
        assert_eq!(Client::new(info, "", "Firefox/9 Linux").info.browser, "Edge");
        let info = ClientInfo { sdk: Sdk::Python as i32, ..Default::default() };
        assert_eq!(Client::new(info, "", "Firefox/9 Linux").info.os, "");
        let info = ClientInfo { device_model: "Pixel".into(), ..Default::default() };
        let user_agent = "(Linux; Android 12; Xiaomi 2201117TI)";
        assert_eq!(Client::new(info, "", user_agent).info.device_model, "Pixel");
        // The rule for a device holds for a browser that says so.
        let client = Client::new(ClientInfo::default(), "", user_agent);
        assert!(client.configuration().is_some_and(|told| told.disabled_codecs.is_some()));
    }

    #[test]
    fn who_takes_ice_lite() {
        let check = |client: Client, sdk: Sdk, protocol: i32, expect: bool| {
            let info = ClientInfo { sdk: sdk as i32, protocol, ..client.info };
            assert_eq!(Client { info }.takes_ice_lite(), expect, "{sdk:?} {protocol}");
        };
        check(client("Chrome", "142", "Linux"), Sdk::Js, 16, true);
        check(client("Chrome", "142", "Linux"), Sdk::Js, 5, false);
        check(client("Firefox", "144.0", "Linux"), Sdk::Js, 16, false);
        check(client("", "", "linux"), Sdk::Python, 16, true);
        check(client("", "", "linux"), Sdk::Go, 16, false);
    }

    #[test]
    fn restrictions() {
        let check = |client: Client, everywhere: &[&str], publish: &[&str]| {
            let told = client.configuration().and_then(|told| told.disabled_codecs);
            let told = told.unwrap_or_default();
            let mimes = |codecs: Vec<Codec>| codecs.into_iter().map(|codec| codec.mime);
            assert!(mimes(told.codecs).eq(everywhere.iter().copied()), "{client:?}");
            assert!(mimes(told.publish).eq(publish.iter().copied()), "{client:?}");
        };
        check(client("Chrome", "142", "Linux"), &[], &[]);
        check(client("Safari", "18.3", "Mac OS X"), &["video/AV1"], &[]);
        check(client("safari", "18.4", "iOS"), &["video/AV1"], &["video/VP9"]);
        check(client("Firefox", "144.0", "Linux"), &["video/AV1"], &[]);
        check(client("Firefox Mobile", "144.0", "Android"), &["video/AV1"], &["video/H264"]);
        let mut xiaomi = client("Chrome Mobile", "1", "android");
        xiaomi.info.device_model = "Xiaomi 2201117TI".into();
        check(xiaomi, &[], &["video/H264"]);
        assert_eq!(client("Chrome", "1", "Linux").configuration(), None);
    }

    #[test]
    fn versions() {
        for (text, expect) in [
            ("1.6.3", [1, 6, 3]),
            ("2.21.0-next.1", [2, 21, 0]),
            ("18", [18, 0, 0]),
            ("", [0; 3]),
            ("99999999999999.1", [0, 1, 0]),
            ("é", [0; 3]),
        ] {
            assert_eq!(version_of(text), expect, "{text}");
        }
    }
}
