//! The records of one forward and one destination, as they stand in a shard's pages.
//!
//! The shard writes each record as a seqlock page about ten times a second while it changes. A
//! record whose `key` is not the expected one belongs to someone else by now: the reader treats it
//! as absent.

/// A record of fixed width that can be copied through shared memory word by word.
pub trait Record: Sized {
    /// Names of the fields, one word each, in page order.
    const FIELDS: &'static [&'static str];
    /// Words of the record.
    const WORDS: usize = Self::FIELDS.len();
    /// Writes the record to `words`, which has [`Record::WORDS`] words.
    fn to_words(&self, words: &mut [u64]);
    /// Reads the record from `words`, which has [`Record::WORDS`] words.
    fn from_words(words: &[u64]) -> Self;
}

macro_rules! record {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: u64,)*
        }

        impl Record for $name {
            const FIELDS: &'static [&'static str] = &[$(stringify!($field),)*];

            fn to_words(&self, words: &mut [u64]) {
                words.copy_from_slice(&[$(self.$field,)*]);
            }

            fn from_words(words: &[u64]) -> Self {
                let mut words = words.iter().copied();
                Self { $($field: words.next().unwrap_or(0),)* }
            }
        }
    };
}

record! {
    /// What one forward has received.
    ForwardStats {
        /// [`crate::message::ForwardKey`]; 0 while the slot is free.
        key,
        /// RTP packets accepted.
        packets,
        /// Bytes of those packets, RTP header included.
        bytes,
        /// RTCP datagrams accepted.
        rtcp_packets,
        /// RTP packets that should have come and did not (RFC 3550 A.3), over all sources.
        lost,
        /// Fraction lost since the last report, 0–255 (RFC 3550 6.4.1).
        fraction_lost,
        /// Interarrival jitter in timestamp units (RFC 3550 A.8).
        jitter,
        /// SSRC of the source followed now.
        ssrc,
        /// Payload type of the last packet.
        payload_type,
        /// Packets refused by the input policy.
        refused,
        /// Packets that could not be parsed.
        malformed,
        /// When the last RTP packet came, ns since the Unix epoch; 0 if none came.
        last_packet_ns,
        /// How often the source changed.
        source_changes,
    }
}

record! {
    /// What one destination was sent and what it reported.
    DestinationStats {
        /// [`crate::message::DestinationKey`]; 0 while the slot is free.
        key,
        /// The [`crate::message::ForwardKey`] of its forward.
        forward,
        /// RTP packets handed to the kernel.
        packets,
        /// Bytes of those packets, RTP header included.
        bytes,
        /// Packets dropped on the way to it: buffers full, unreachable, lane full.
        dropped,
        /// RTCP datagrams sent to it.
        rtcp_packets,
        /// Receiver reports that came from it.
        reports,
        /// Fraction lost it reported last, 0–255.
        fraction_lost,
        /// Packets lost it reported last, in all; a negative count is 0.
        lost,
        /// Interarrival jitter it reported last, timestamp units.
        jitter,
        /// Round-trip time from its last report, µs; 0 if unknown.
        round_trip_us,
        /// When its last report came, ns since the Unix epoch; 0 if none came.
        last_report_ns,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_round_trip() {
        let stats = DestinationStats { key: 1, last_report_ns: 9, lost: 4, ..Default::default() };
        let mut words = [0; DestinationStats::WORDS];
        stats.to_words(&mut words);
        assert_eq!((words[0], words[DestinationStats::WORDS - 1]), (1, 9));
        assert_eq!(DestinationStats::from_words(&words), stats);
    }
}
