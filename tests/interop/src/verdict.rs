//! Is what was played what was sent?

use std::f64::consts::TAU;

/// Checks that `played` is one unbroken piece of `sent`, and misses at most `head` at the front and
/// `tail` at the end.
///
/// # Errors
/// What differs, in a sentence.
pub fn same_pictures(
    sent: &[String],
    played: &[String],
    head: usize,
    tail: usize,
) -> Result<(), String> {
    let first = played.first().ok_or("no picture was played")?;
    let start = sent.iter().position(|hash| hash == first);
    let start = start.ok_or("the first picture played was never sent")?;
    if start > head {
        return Err(format!("the first {start} pictures are missing, at most {head} may"));
    }
    let rest = &sent[start..];
    if let Some(index) = played.iter().zip(rest).position(|(a, b)| a != b) {
        return Err(format!("picture {} is not what was sent", start + index));
    }
    if played.len() > rest.len() {
        return Err(format!("{} pictures too many were played", played.len() - rest.len()));
    }
    let missing = rest.len() - played.len();
    if missing > tail {
        return Err(format!("the last {missing} pictures are missing, at most {tail} may"));
    }
    Ok(())
}

/// Share of the power of `samples` that lies at `tone_hz`: 1 for a pure tone, near 0 for silence,
/// noise and every other tone.
pub fn tone_share(samples: &[i16], sample_rate: u32, tone_hz: f64) -> f64 {
    let step = TAU * tone_hz / f64::from(sample_rate);
    let (mut real, mut imaginary, mut power, mut angle) = (0.0, 0.0, 0.0, 0.0f64);
    for sample in samples.iter().map(|sample| f64::from(*sample)) {
        real += sample * angle.cos();
        imaginary += sample * angle.sin();
        power += sample * sample;
        angle += step;
    }
    if power == 0.0 {
        return 0.0;
    }
    #[expect(clippy::cast_precision_loss, reason = "clips have far fewer than 2^52 samples")]
    let count = samples.len() as f64;
    2.0 * (real * real + imaginary * imaginary) / (count * power)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hashes(text: &str) -> Vec<String> {
        text.chars().map(String::from).collect()
    }

    #[test]
    fn pictures_are_compared() {
        for (played, expect) in [
            ("abcdefgh", true),
            ("bcdefgh", true),
            ("abcdefg", true),
            ("cdefgh", false),    // two missing at the front
            ("abcdef", false),    // two missing at the end
            ("abcefgh", false),   // one missing inside
            ("abcddefgh", false), // one twice
            ("abcXefgh", false),
            ("abcdefghi", false),
            ("X", false),
            ("", false),
        ] {
            let verdict = same_pictures(&hashes("abcdefgh"), &hashes(played), 1, 1);
            assert_eq!(verdict.is_ok(), expect, "{played}: {verdict:?}");
        }
    }

    #[test]
    fn tones_are_found() {
        let tone = |hz: f64| -> Vec<i16> {
            (0..48_000)
                .map(|n| (8000.0 * (TAU * hz * f64::from(n) / 48_000.0).sin()) as i16)
                .collect()
        };
        for (samples, expect) in [
            (tone(1000.0), 0.99..1.01),
            (tone(440.0), 0.0..0.01),
            (vec![0; 1000], 0.0..0.01),
            (Vec::new(), 0.0..0.01),
        ] {
            let share = tone_share(&samples, 48_000, 1000.0);
            assert!(expect.contains(&share), "{share} is not in {expect:?}");
        }
    }
}
