//! AV1 payloads: the aggregation header (AV1 RTP payload format, section 4.4).

const CONTINUES: u8 = 0x80;
const NEW_SEQUENCE: u8 = 0x08;

/// Whether the packet begins a coded video sequence: N is set and its first element is no
/// continuation. A sequence begins with a sequence header and a key frame, so a decoder can too.
///
/// The OBUs behind the header are not looked at: end-to-end encryption hides them.
#[inline]
pub fn begins_sequence(payload: &[u8]) -> bool {
    match payload {
        [header, _, ..] => header & (CONTINUES | NEW_SEQUENCE) == NEW_SEQUENCE,
        _ => false,
    }
}
