//! INIT, INIT ACK and the state cookie as bytes (RFC 9260 3.3.2, 3.3.3, 5.1.3).

use crate::chunk::{Chunks, kind, long, put_chunk, put_parameter, short};

/// Types of parameter (RFC 9260 3.3.2, RFC 5061 4.2.7, RFC 3758 3.1, RFC 9653 4).
const STATE_COOKIE: u16 = 7;
const UNRECOGNIZED: u16 = 8;
const ZERO_CHECKSUM: u16 = 0x8001;
const EXTENSIONS: u16 = 0x8008;
const FORWARD_TSN: u16 = 0xc000;

/// RFC 9653 5.1: DTLS is what protects packets instead.
const METHOD_DTLS: u32 = 1;
/// What a peer is told about parameters that we do not know, bytes.
const UNRECOGNIZED_MAX: usize = 256;

/// What either side says of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Side {
    pub(crate) tag: u32,
    pub(crate) tsn: u32,
    pub(crate) window: u32,
    pub(crate) outbound: u16,
    pub(crate) inbound: u16,
    pub(crate) abilities: Abilities,
}

/// Extensions that it knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Abilities {
    pub(crate) forward_tsn: bool,
    pub(crate) resets: bool,
    pub(crate) zero_checksum: bool,
}

/// An INIT or INIT ACK that came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Init<'a> {
    pub(crate) side: Side,
    pub(crate) cookie: Option<&'a [u8]>,
    /// Parameters to be reported as unknown, as they came.
    pub(crate) unrecognized: Vec<u8>,
}

impl<'a> Init<'a> {
    /// `None`: it is none that could be answered.
    pub(crate) fn parse(body: &'a [u8]) -> Option<Self> {
        let mut init = Self {
            side: Side {
                tag: long(body, 0)?,
                window: long(body, 4)?,
                outbound: short(body, 8)?,
                inbound: short(body, 10)?,
                tsn: long(body, 12)?,
                abilities: Abilities::default(),
            },
            ..Self::default()
        };
        // RFC 9260 3.3.2: neither the tag nor the numbers of streams may be 0.
        if init.side.tag == 0 || init.side.outbound == 0 || init.side.inbound == 0 {
            return None;
        }
        for parameter in Chunks::of_parameters(body.get(16..)?) {
            let name = u16::from_be_bytes([parameter.kind, parameter.flags]);
            if !init.note_parameter(name, parameter.body) {
                break;
            }
        }
        Some(init)
    }

    /// Gives whether to go on with the next.
    fn note_parameter(&mut self, name: u16, value: &'a [u8]) -> bool {
        /// Addresses, their kinds, and a cookie's longer life: known, and of no use behind DTLS.
        const IDLE: [u16; 5] = [5, 6, 9, 11, 12];
        let abilities = &mut self.side.abilities;
        match name {
            STATE_COOKIE => self.cookie = Some(value),
            FORWARD_TSN => abilities.forward_tsn = true,
            ZERO_CHECKSUM => abilities.zero_checksum |= long(value, 0) == Some(METHOD_DTLS),
            EXTENSIONS => {
                abilities.resets |= value.contains(&kind::RE_CONFIG);
                abilities.forward_tsn |= value.contains(&kind::FORWARD_TSN);
            }
            known if IDLE.contains(&known) => {}
            _ => {
                // RFC 9260 3.2.1: the second bit asks for a report, the first allows to go on.
                let length = value.len() + 4;
                if name & 0x4000 != 0 && self.unrecognized.len() + length <= UNRECOGNIZED_MAX {
                    put_parameter(&mut self.unrecognized, UNRECOGNIZED, |out| {
                        put_parameter(out, name, |out| out.extend_from_slice(value));
                    });
                }
                return name & 0x8000 != 0;
            }
        }
        true
    }
}

fn write_side(out: &mut Vec<u8>, side: &Side) {
    out.extend_from_slice(&side.tag.to_be_bytes());
    out.extend_from_slice(&side.window.to_be_bytes());
    out.extend_from_slice(&side.outbound.to_be_bytes());
    out.extend_from_slice(&side.inbound.to_be_bytes());
    out.extend_from_slice(&side.tsn.to_be_bytes());
    if side.abilities.forward_tsn {
        put_parameter(out, FORWARD_TSN, |_| {});
    }
    if side.abilities.zero_checksum {
        put_parameter(out, ZERO_CHECKSUM, |out| out.extend_from_slice(&METHOD_DTLS.to_be_bytes()));
    }
    let both = [kind::RE_CONFIG, kind::FORWARD_TSN];
    put_parameter(out, EXTENSIONS, |out| out.extend_from_slice(&both));
}

/// Adds an INIT.
pub(crate) fn put_init(out: &mut Vec<u8>, side: &Side) {
    put_chunk(out, kind::INIT, 0, |out| write_side(out, side));
}

/// Adds an INIT ACK.
pub(crate) fn put_init_ack(out: &mut Vec<u8>, side: &Side, cookie: &Cookie, unrecognized: &[u8]) {
    put_chunk(out, kind::INIT_ACK, 0, |out| {
        write_side(out, side);
        put_parameter(out, STATE_COOKIE, |out| cookie.write(out));
        out.extend_from_slice(unrecognized);
    });
}

/// Everything about an association that does not exist yet. It is not signed: DTLS says that it
/// comes from the peer, who can lie about nothing but itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cookie {
    pub(crate) local_tag: u32,
    pub(crate) local_tsn: u32,
    pub(crate) peer: Side,
    /// RFC 9260 5.2.2: the tags of the association that there was; 0 where there was none.
    pub(crate) tie_local: u32,
    pub(crate) tie_peer: u32,
}

impl Cookie {
    const BYTES: usize = 36;

    fn write(&self, out: &mut Vec<u8>) {
        let Abilities { forward_tsn, resets, zero_checksum } = self.peer.abilities;
        let abilities =
            u16::from(forward_tsn) | u16::from(resets) << 1 | u16::from(zero_checksum) << 2;
        for word in [
            self.local_tag,
            self.local_tsn,
            self.peer.tag,
            self.peer.tsn,
            self.peer.window,
            u32::from(self.peer.outbound) << 16 | u32::from(self.peer.inbound),
            self.tie_local,
            self.tie_peer,
            u32::from(abilities),
        ] {
            out.extend_from_slice(&word.to_be_bytes());
        }
    }

    /// `None`: it is not one of ours.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; Self::BYTES] = bytes.try_into().ok()?;
        let abilities = long(bytes, 32)?;
        let has = |bit: u32| abilities & bit != 0;
        let peer = Side {
            tag: long(bytes, 8)?,
            tsn: long(bytes, 12)?,
            window: long(bytes, 16)?,
            outbound: short(bytes, 20)?,
            inbound: short(bytes, 22)?,
            abilities: Abilities { forward_tsn: has(1), resets: has(2), zero_checksum: has(4) },
        };
        let cookie = Self {
            local_tag: long(bytes, 0)?,
            local_tsn: long(bytes, 4)?,
            peer,
            tie_local: long(bytes, 24)?,
            tie_peer: long(bytes, 28)?,
        };
        (cookie.local_tag != 0 && peer.tag != 0).then_some(cookie)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIDE: Side = Side {
        tag: 0x0102_0304,
        tsn: u32::MAX,
        window: 400_000,
        outbound: 1_024,
        inbound: 17,
        abilities: Abilities { forward_tsn: true, resets: true, zero_checksum: true },
    };

    fn body(out: &[u8]) -> &[u8] {
        &out[4..]
    }

    #[test]
    fn what_is_written_is_read() {
        let mut out = Vec::new();
        put_init(&mut out, &SIDE);
        let init = Init::parse(body(&out)).expect("an INIT");
        assert_eq!(init, Init { side: SIDE, ..Init::default() });
        let cookie = Cookie { local_tag: 5, local_tsn: 6, peer: SIDE, tie_local: 7, tie_peer: 8 };
        out.clear();
        put_init_ack(&mut out, &SIDE, &cookie, &[]);
        let init = Init::parse(body(&out)).expect("an INIT ACK");
        assert_eq!(Cookie::parse(init.cookie.expect("a cookie")), Some(cookie));
        for end in 0..out.len() {
            let _ = Init::parse(body(&out).get(..end).unwrap_or(&[]));
        }
    }

    #[test]
    fn unknown_parameters_are_judged_by_their_first_bits() {
        // (type, reported, what follows is read)
        for (name, reported, read) in [
            (0x3001_u16, false, false),
            (0x7001, true, false),
            (0xb001, false, true),
            (0xf001, true, true),
            (12, false, true),
        ] {
            let mut bytes = Vec::new();
            write_side(&mut bytes, &Side { abilities: Abilities::default(), ..SIDE });
            bytes.truncate(16);
            put_parameter(&mut bytes, name, |out| out.extend_from_slice(&[1, 2, 3]));
            put_parameter(&mut bytes, FORWARD_TSN, |_| {});
            let init = Init::parse(&bytes).expect("an INIT");
            assert_eq!(init.side.abilities.forward_tsn, read, "{name:#x}");
            assert_eq!(!init.unrecognized.is_empty(), reported, "{name:#x}");
        }
    }
}
