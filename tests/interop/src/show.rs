//! The pattern and the tone that somebody publishes, and what of it another one sees and hears.

use serde_json::{Value, json};

/// Colour conversion and compression change a channel by less.
const COLOUR_TOLERANCE: i64 = 45;

/// Browsers tell pitches apart by 6 Hz.
const PITCH_TOLERANCE_HZ: f64 = 8.0;

/// Four colours, from the top left in reading order, and a sine.
#[derive(Debug, Clone, Copy)]
pub struct Show {
    colours: [[i64; 3]; 4],
    pitch_hz: f64,
    width: u32,
    height: u32,
    codec: &'static str,
    simulcast: bool,
}

/// Red, green, blue, yellow, and 440 Hz.
pub const BRIGHT: Show = Show {
    colours: [[200, 40, 40], [40, 170, 60], [40, 60, 200], [210, 200, 50]],
    pitch_hz: 440.0,
    width: 640,
    height: 360,
    codec: "vp8",
    simulcast: false,
};

/// White, purple, black, orange, and 660 Hz.
pub const DARK: Show = Show {
    colours: [[230, 230, 230], [130, 40, 150], [20, 20, 20], [220, 120, 30]],
    pitch_hz: 660.0,
    ..BRIGHT
};

impl Show {
    /// The same with another video codec: `vp8` or `h264`.
    #[must_use]
    pub fn codec(self, codec: &'static str) -> Self {
        Self { codec, ..self }
    }

    /// The same in several sizes at once.
    #[must_use]
    pub fn simulcast(self) -> Self {
        Self { simulcast: true, ..self }
    }

    /// What a client that signals wants to know of it.
    pub fn arguments(&self) -> Value {
        let mut arguments = self.plain_arguments();
        arguments["codec"] = json!(self.codec);
        arguments["simulcast"] = json!(self.simulcast);
        arguments
    }

    /// What a WHIP client wants to know of it: the codec is negotiated.
    pub fn plain_arguments(&self) -> Value {
        json!({
            "colours": self.colours,
            "hz": self.pitch_hz,
            "width": self.width,
            "height": self.height,
        })
    }

    /// True where `seen` shows these colours.
    pub fn is_seen(&self, seen: &Seen) -> bool {
        let near = |(a, b): (&[i64; 3], &[i64; 3])| {
            a.iter().zip(b).all(|(a, b)| (a - b).abs() <= COLOUR_TOLERANCE)
        };
        seen.colours.is_some_and(|colours| colours.iter().zip(&self.colours).all(near))
    }

    /// True where this tone is the loudest in what `seen` hears.
    pub fn is_heard(&self, seen: &Seen) -> bool {
        seen.pitch_hz.is_some_and(|pitch| (pitch - self.pitch_hz).abs() <= PITCH_TOLERANCE_HZ)
    }
}

/// What a client sees and hears of one track.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Seen {
    /// Decoded pictures, or blocks of sound.
    pub frames: u64,
    /// Packets that came.
    pub packets: u64,
    /// Size of the last picture.
    pub width: u64,
    /// See `width`.
    pub height: u64,
    /// Such as `video/VP8`; empty where the client does not say.
    pub codec: String,
    /// SRTP profile; empty where the client does not say.
    pub cipher: String,
    /// `udp` or `tcp`; empty where the client does not say.
    pub protocol: String,
    /// ICE checks of the server's; 0 where the client does not say.
    pub checks: u64,
    /// Sum of squared samples times their length, s.
    pub energy: f64,
    colours: Option<[[i64; 3]; 4]>,
    pitch_hz: Option<f64>,
}

impl Seen {
    /// Reads a client's answer; `None` while nothing arrives.
    pub fn read(answer: &Value) -> Option<Self> {
        let text = |name: &str| answer[name].as_str().unwrap_or_default().to_owned();
        let number = |name: &str| answer[name].as_u64().unwrap_or_default();
        answer.is_object().then(|| Self {
            frames: number("frames"),
            packets: number("packets"),
            width: number("width"),
            height: number("height"),
            codec: text("codec"),
            cipher: text("cipher"),
            protocol: text("protocol"),
            checks: number("checks"),
            energy: answer["energy"].as_f64().unwrap_or_default(),
            colours: read_colours(&answer["colours"]),
            pitch_hz: answer["pitch_hz"].as_f64(),
        })
    }
}

/// One layer of what a client sends.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sent {
    /// Such as `video/VP8`; empty while nothing was sent.
    pub codec: String,
    /// Its rid; empty where there is only one.
    pub rid: String,
    /// Whether it is encoded.
    pub active: bool,
}

impl Sent {
    pub(crate) fn read(answer: &Value) -> Self {
        let text = |name: &str| answer[name].as_str().unwrap_or_default().to_owned();
        Self { codec: text("codec"), rid: text("rid"), active: answer["active"] == true }
    }
}

fn read_colours(answer: &Value) -> Option<[[i64; 3]; 4]> {
    let mut colours = [[0; 3]; 4];
    for (quarter, colour) in colours.iter_mut().enumerate() {
        for (channel, value) in colour.iter_mut().enumerate() {
            *value = answer.get(quarter)?.get(channel)?.as_i64()?;
        }
    }
    Some(colours)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(colours: [[i64; 3]; 4], pitch_hz: f64) -> Seen {
        let answer = json!({ "frames": 1, "colours": colours, "pitch_hz": pitch_hz });
        Seen::read(&answer).expect("an object is an answer")
    }

    #[test]
    fn shows_are_told_apart() {
        let swapped = [BRIGHT.colours[1], BRIGHT.colours[0], BRIGHT.colours[2], BRIGHT.colours[3]];
        for (seen, bright, dark) in [
            (seen(BRIGHT.colours, 443.0), (true, true), (false, false)),
            (seen(DARK.colours, 656.0), (false, false), (true, true)),
            (seen(swapped, 430.0), (false, false), (false, false)),
            (seen([[0; 3]; 4], 880.0), (false, false), (false, false)),
            (Seen::default(), (false, false), (false, false)),
        ] {
            assert_eq!((BRIGHT.is_seen(&seen), BRIGHT.is_heard(&seen)), bright, "{seen:?}");
            assert_eq!((DARK.is_seen(&seen), DARK.is_heard(&seen)), dark, "{seen:?}");
        }
    }

    #[test]
    fn answers_may_be_empty() {
        assert_eq!(Seen::read(&Value::Null), None);
        assert_eq!(Seen::read(&json!({ "colours": null })), Some(Seen::default()));
    }
}
