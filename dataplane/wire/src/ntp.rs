//! NTP time as RTCP carries it (RFC 3550 section 4, RFC 5905 section 6).
//!
//! The 64-bit form has seconds since 1900 in its upper half and their fraction in its lower. The
//! 32-bit short form is the middle of the long one: units of 1/65536 s, wrapping every 18 hours.

/// Seconds between the NTP epoch (1900) and the Unix epoch (1970).
pub const UNIX_EPOCH_S: u64 = 2_208_988_800;

const NS_PER_S: u64 = 1_000_000_000;

/// How far a round trip may come out negative before the report is taken for nonsense, in 1/65536 s
/// (here 1/8 s). Peers round their delay to milliseconds or more, which on a fast path is longer
/// than the trip. Raised, nonsense passes for "no delay"; lowered, coarse clocks show no round
/// trip.
const ROUNDING_SLACK: i32 = 1 << 13;

/// The 64-bit NTP time of `unix_ns`, nanoseconds since the Unix epoch. Wraps into era 1 in 2036.
#[inline]
pub const fn from_unix_ns(unix_ns: u64) -> u64 {
    let seconds = unix_ns / NS_PER_S + UNIX_EPOCH_S;
    // Rounded up, so that the way back, which rounds down, returns the same nanosecond.
    let fraction = ((unix_ns % NS_PER_S) << 32).div_ceil(NS_PER_S);
    (seconds << 32) | fraction
}

/// `ns` nanoseconds of any clock in the 64-bit form, for who wants to hear them again (RFC 3611 4.4
/// allows a clock without an epoch).
#[inline]
pub const fn from_elapsed_ns(ns: u64) -> u64 {
    let seconds = ns / NS_PER_S;
    (seconds << 32) | (((ns % NS_PER_S) << 32) / NS_PER_S)
}

/// Nanoseconds since the Unix epoch of a 64-bit NTP time.
///
/// RFC 4330 section 3: with the top bit clear the time lies in era 1, 2036 to 2104. Times before
/// 1970 give 0.
#[inline]
pub const fn to_unix_ns(ntp: u64) -> u64 {
    let era = if ntp >> 63 == 0 { 1 << 32 } else { 0 };
    let Some(seconds) = (era + (ntp >> 32)).checked_sub(UNIX_EPOCH_S) else {
        return 0;
    };
    seconds * NS_PER_S + (((ntp & 0xffff_ffff) * NS_PER_S) >> 32)
}

/// The middle 32 bits of a 64-bit NTP time: the short form of LSR fields (RFC 3550 section 6.4.1).
#[inline]
pub const fn middle(ntp: u64) -> u32 {
    (ntp >> 16) as u32
}

/// A duration of `ns` nanoseconds in 1/65536 s, as DLSR fields carry it; saturates at 18 hours.
#[inline]
pub const fn short_from_ns(ns: u64) -> u32 {
    let short = ((ns as u128) << 16) / NS_PER_S as u128;
    if short > u32::MAX as u128 { u32::MAX } else { short as u32 }
}

/// A duration in 1/65536 s as nanoseconds.
#[inline]
pub const fn short_to_ns(short: u32) -> u64 {
    (short as u64 * NS_PER_S) >> 16
}

/// The round trip that a report block tells of, in 1/65536 s.
///
/// RFC 3550 section 6.4.1: "A - LSR - DLSR", with `arrival` the middle of the NTP time at which the
/// report came, `last_sr` and `delay_since_last_sr` from its block. `None` where the peer had no
/// sender report yet (`last_sr` 0) and where the report contradicts itself.
#[inline]
pub const fn round_trip(arrival: u32, last_sr: u32, delay_since_last_sr: u32) -> Option<u32> {
    if last_sr == 0 {
        return None;
    }
    match arrival.wrapping_sub(last_sr).wrapping_sub(delay_since_last_sr) as i32 {
        trip @ 0.. => Some(trip as u32),
        trip if trip >= -ROUNDING_SLACK => Some(0),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unix_time_round_trips() {
        let check = |unix_ns: u64, ntp: u64| {
            assert_eq!(from_unix_ns(unix_ns), ntp, "{unix_ns}");
            assert_eq!(to_unix_ns(ntp), unix_ns, "{ntp:016x}");
        };
        check(0, 0x83aa_7e80_0000_0000);
        check(500_000_000, 0x83aa_7e80_8000_0000);
        check(1_000_000_000_000_000_000, 3_208_988_800 << 32);
        // The last second of era 0 and the first of era 1 (7 February 2036).
        check(2_085_978_495_000_000_000, 0xffff_ffff_0000_0000);
        check(2_085_978_496_000_000_000, 0);
        for unix_ns in [1, 999_999_999, 1_763_724_180_123_456_789, 2_085_978_496_000_000_001] {
            assert_eq!(to_unix_ns(from_unix_ns(unix_ns)), unix_ns);
        }
    }

    #[test]
    fn times_before_1970_are_the_epoch() {
        for ntp in [1 << 63, 0x83aa_7e7f_ffff_ffff] {
            assert_eq!(to_unix_ns(ntp), 0, "{ntp:016x}");
        }
        assert!(to_unix_ns(u64::MAX) > 0);
        assert!(to_unix_ns((1 << 63) - 1) > 0);
    }

    #[test]
    fn short_form() {
        assert_eq!(middle(0x0123_4567_89ab_cdef), 0x4567_89ab);
        let rows = [(0, 0), (NS_PER_S, 1 << 16), (500_000_000, 1 << 15), (15_259, 1)];
        for (ns, short) in rows {
            assert_eq!(short_from_ns(ns), short, "{ns}");
        }
        assert_eq!(short_from_ns(u64::MAX), u32::MAX);
        assert_eq!(short_to_ns(1 << 16), NS_PER_S);
        assert_eq!(short_to_ns(1), 15_258);
        assert_eq!(from_elapsed_ns(3_500_000_000), 0x3_8000_0000);
    }

    #[test]
    fn round_trips() {
        let check = |arrival, last_sr, delay, expect| {
            assert_eq!(round_trip(arrival, last_sr, delay), expect, "{arrival:x} {last_sr:x}");
        };
        // The example of RFC 3550 section 6.4.1, figure 2: 6.125 s.
        check(0xb710_8000, 0xb705_2000, 0x0005_4000, Some(0x0006_2000));
        check(5, 0, 0, None);
        check(10, 10, 0, Some(0));
        check(10, 10, 1, Some(0));
        check(0x0000_0010, 0xffff_fff0, 0x10, Some(0x10));
        check(10, 10, 1 << 13, Some(0));
        check(10, 10, (1 << 13) + 1, None);
        check(0, 0x0001_0000, u32::MAX, None);
    }
}
