//! Who speaks, as the control plane hears it: in as many events as that takes.

use ringway_abi::call::{CallEvent, LEVELS, Level};
use ringway_sfu::call::speakers::Speaker;

/// The events that tell of all `speakers` of a room; one where nobody speaks.
pub(super) fn told(room: u64, speakers: &[Speaker]) -> impl Iterator<Item = CallEvent> + '_ {
    let parts = speakers.len().div_ceil(LEVELS).max(1);
    (1..=parts).map(move |part| {
        let speakers = speakers.get(LEVELS * (part - 1)..).unwrap_or_default();
        let mut levels = [Level::default(); LEVELS];
        for (level, speaker) in levels.iter_mut().zip(speakers) {
            let loudness = (speaker.level * 255.0) as u8;
            *level = Level { source: speaker.source.0, level: loudness };
        }
        let count = speakers.len().min(LEVELS) as u8;
        CallEvent::Levels { room, first: part == 1, last: part == parts, count, levels }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringway_sfu::call::demux::SourceKey;

    #[test]
    fn all_are_told_of() {
        for (speakers, parts) in [(0, 1), (1, 1), (8, 1), (9, 2), (24, 3), (100, 13)] {
            let all: Vec<Speaker> =
                (1..=speakers).map(|key| Speaker { source: SourceKey(key), level: 0.5 }).collect();
            let mut heard = Vec::new();
            let events: Vec<CallEvent> = told(7, &all).collect();
            assert_eq!(events.len(), parts, "{speakers}");
            for (at, event) in events.iter().enumerate() {
                let CallEvent::Levels { room, first, last, count, levels } = event else {
                    panic!("{event:?}")
                };
                assert_eq!((*room, *first, *last), (7, at == 0, at + 1 == parts), "{speakers}");
                heard.extend(levels[..usize::from(*count)].iter().map(|one| one.source));
            }
            assert!(heard.into_iter().eq(1..=speakers), "{speakers}");
        }
    }
}
