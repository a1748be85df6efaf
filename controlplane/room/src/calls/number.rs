//! Closed sets that carry a number of LiveKit's protocol, so that a translation is one call.

/// Defines an enum whose variants carry LiveKit's numbers.
macro_rules! numbered {
    ($(#[$doc:meta])* $name:ident {
        $($(#[$variant_doc:meta])* $variant:ident = $number:literal,)+
    }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[$variant_doc])* $variant = $number,)+
        }

        impl $name {
            /// All of them, in the order of their numbers.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// LiveKit's number.
            pub fn number(self) -> i32 {
                self as i32
            }

            /// The variant with this number of LiveKit's.
            pub fn from_number(number: i32) -> Option<Self> {
                match number {
                    $($number => Some(Self::$variant),)+
                    _ => None,
                }
            }
        }
    };
}

pub(crate) use numbered;

#[cfg(test)]
mod tests {
    use crate::calls::{DisconnectReason, ParticipantKind, TrackSource, VideoQuality};

    #[test]
    fn numbers_are_livekits_and_read_back() {
        assert_eq!(DisconnectReason::AgentError.number(), 16);
        assert_eq!(ParticipantKind::from_number(7), Some(ParticipantKind::Connector));
        assert_eq!(ParticipantKind::from_number(5), None);
        assert_eq!(TrackSource::from_number(-1), None);
        for quality in VideoQuality::ALL {
            assert_eq!(VideoQuality::from_number(quality.number()), Some(*quality));
        }
    }
}
