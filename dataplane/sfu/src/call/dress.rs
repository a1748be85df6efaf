//! The head of a packet as one receiver sees it, and which octets of the received packet follow.
//!
//! Extensions that describe the media (capture time, orientation, dependencies) are carried over
//! under the receiver's ids; those that describe the path (send time, transport-wide number) are
//! the receiving transport's own; those that name the stream (mid) are the subscription's.

use std::ops::Range;

use ringway_wire::dependency::Mask;
use ringway_wire::extension::{ExtensionKind, ExtensionMap, KindSet};
use ringway_wire::extension_value::{DependencyDescriptor, PlayoutDelay};
use ringway_wire::head::{HeadFields, HeadForm, HeadWriter};
use ringway_wire::payload::{Codec, vp8};

use super::demux::Name;
use super::prepared::Prepared;
use super::route::Sent;

/// The extensions of a source's packet that its receivers get too, where their transport has them.
const CARRIED: KindSet = KindSet::EMPTY
    .with(ExtensionKind::AbsCaptureTime)
    .with(ExtensionKind::DependencyDescriptor)
    .with(ExtensionKind::VideoOrientation)
    .with(ExtensionKind::FrameMarking)
    .with(ExtensionKind::AudioLevel);

/// The longest head without contributing sources: 12, extensions of 255 octets for a descriptor and
/// about 90 for all others, the original sequence number, a VP8 descriptor. A buffer of so much,
/// and
/// 60 more for contributing sources, always suffices.
pub const MAX_HEAD_BYTES: usize = 12 + 60 + 4 + 257 + 92 + 2 + vp8::MAX_DESCRIPTOR_BYTES + 7;

/// The longest data of an element.
const MAX_DESCRIPTOR_BYTES: usize = 255;

/// How one subscription's packets are dressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dress {
    /// SSRC.
    pub ssrc: u32,
    /// Payload type of the media.
    pub payload_type: u8,
    /// Payload type of RED; `None` where the receiver gets the newest frame alone.
    pub red_payload_type: Option<u8>,
    /// The media section, where the receiver needs to be told.
    pub mid: Option<Name>,
}

/// What the receiving transport puts on one packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    /// When it is sent, where that is told: [`ringway_wire::extension_value::abs_send_time`].
    pub abs_send_time: Option<[u8; 3]>,
    /// Its transport-wide number, where the transport counts.
    pub transport_sequence: Option<u16>,
    /// How long the receiver shall buffer, where it is told.
    pub playout_delay: Option<PlayoutDelay>,
}

/// A head that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Octets of the head.
    pub len: usize,
    /// The octets of the received packet that follow it.
    pub rest: Range<usize>,
}

impl Dress {
    /// The fixed header of a packet that leaves as `sent`.
    #[inline]
    pub fn fields(&self, packet: &Prepared, sent: &Sent) -> HeadFields {
        let payload_type = match packet.codec {
            Codec::Red => self.red_payload_type.unwrap_or(self.payload_type),
            _ => self.payload_type,
        };
        HeadFields {
            marker: sent.marker,
            payload_type,
            sequence: sent.sequence,
            timestamp: sent.timestamp,
            ssrc: self.ssrc,
            padding: false,
        }
    }

    /// Writes the head of `packet`, whose octets are `bytes`, into `out`. `None` where `out` is too
    /// small.
    #[inline]
    pub fn write(
        &self,
        packet: &Prepared,
        bytes: &[u8],
        sent: &Sent,
        extensions: &ExtensionMap,
        stamp: &Stamp,
        out: &mut [u8],
    ) -> Option<Head> {
        let fields = self.fields(packet, sent);
        self.write_as(&fields, &[], packet, bytes, sent, extensions, stamp, out)
    }

    /// Writes the head of a repetition: `fields` are those of the RTX stream, `osn` are the octets
    /// of the original sequence number. `None` where `out` is too small.
    #[allow(clippy::too_many_arguments)] // Each is another's: packet, receiver, transport, buffer.
    pub fn write_as(
        &self,
        fields: &HeadFields,
        osn: &[u8],
        packet: &Prepared,
        bytes: &[u8],
        sent: &Sent,
        extensions: &ExtensionMap,
        stamp: &Stamp,
        out: &mut [u8],
    ) -> Option<Head> {
        let carried = packet.extensions.set().and(CARRIED).and(extensions.set());
        let growth = if sent.active.is_some() { Mask::MAX_GROWTH } else { 0 };
        let long = carried.contains(ExtensionKind::DependencyDescriptor)
            && packet
                .extensions
                .range(ExtensionKind::DependencyDescriptor)
                .is_some_and(|range| range.len() + growth > 16);
        let form =
            if long || extensions.needs_two_byte() { HeadForm::TwoByte } else { HeadForm::OneByte };
        let csrcs = bytes.get(packet.csrcs())?;
        let mut head = HeadWriter::begin(out, fields, csrcs, form)?;
        for kind in carried.iter() {
            let value = packet.extensions.get(bytes, kind).zip(extensions.id(kind));
            let Some((data, id)) = value else { continue };
            if kind == ExtensionKind::DependencyDescriptor {
                put_descriptor(&mut head, id, packet, data, sent);
            } else {
                head.put(id, data);
            }
        }
        self.put_own(&mut head, extensions, stamp);
        let mut len = head.end();
        out.get_mut(len..len + osn.len())?.copy_from_slice(osn);
        len += osn.len();
        let mut rest = match self.red_payload_type {
            None => packet.primary().unwrap_or_else(|| packet.payload()),
            Some(_) => packet.payload(),
        };
        // Where nothing was left out or switched the numbers are the publisher's, and the payload
        // is sealed as it lies there.
        if let Some(descriptor) = packet.vp8.filter(|vp8| vp8.numbers() != sent.numbers) {
            let payload = bytes.get(rest.clone())?;
            let written = descriptor.renumber(payload, sent.numbers, out.get_mut(len..)?);
            if written == 0 {
                return None;
            }
            len += written;
            rest.start += written;
        }
        Some(Head { len, rest })
    }

    /// Writes a packet of padding alone, which takes a number that the receiver would wait for in
    /// vain; gives its length. `None` where `out` is too small.
    pub fn write_padding(
        &self,
        packet: &Prepared,
        sent: &Sent,
        extensions: &ExtensionMap,
        stamp: &Stamp,
        out: &mut [u8],
    ) -> Option<usize> {
        let fields = HeadFields { marker: false, padding: true, ..self.fields(packet, sent) };
        self.write_bare(&fields, extensions, stamp, &[0, 0, 0, 4], out)
    }

    /// Writes a packet of our own: `payload` under `fields`. Gives its length; `None` where `out`
    /// is too small.
    pub fn write_bare(
        &self,
        fields: &HeadFields,
        extensions: &ExtensionMap,
        stamp: &Stamp,
        payload: &[u8],
        out: &mut [u8],
    ) -> Option<usize> {
        let form = match extensions.needs_two_byte() {
            true => HeadForm::TwoByte,
            false => HeadForm::OneByte,
        };
        let mut head = HeadWriter::begin(out, fields, &[], form)?;
        self.put_own(&mut head, extensions, stamp);
        let len = head.end();
        out.get_mut(len..len + payload.len())?.copy_from_slice(payload);
        Some(len + payload.len())
    }

    #[inline]
    fn put_own(&self, head: &mut HeadWriter<'_>, extensions: &ExtensionMap, stamp: &Stamp) {
        if let Some(time) = &stamp.abs_send_time
            && let Some(id) = extensions.id(ExtensionKind::AbsSendTime)
        {
            head.put(id, time);
        }
        if let Some(sequence) = stamp.transport_sequence
            && let Some(id) = extensions.id(ExtensionKind::TransportSequence)
        {
            head.put(id, &sequence.to_be_bytes());
        }
        if let Some(delay) = stamp.playout_delay
            && let Some(id) = extensions.id(ExtensionKind::PlayoutDelay)
        {
            head.put(id, &delay.octets());
        }
        if let Some(mid) = &self.mid
            && let Some(id) = extensions.id(ExtensionKind::Mid)
        {
            head.put(id, mid.as_bytes());
        }
    }
}

/// Adds a dependency descriptor with the receiver's frame number, and its active targets where they
/// are others than the publisher's.
fn put_descriptor(head: &mut HeadWriter<'_>, id: u8, packet: &Prepared, data: &[u8], sent: &Sent) {
    let mut own = [0; MAX_DESCRIPTOR_BYTES];
    let mut restricted = || {
        let (scaled, active) = packet.scaled.as_ref().zip(sent.active)?;
        scaled.mask.write(data, active.into(), &mut own)
    };
    let len = restricted();
    let data = len.and_then(|len| own.get(..len)).unwrap_or(data);
    head.put_with(id, data, |data| DependencyDescriptor::renumber(data, sent.frame));
}
