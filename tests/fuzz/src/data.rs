//! What comes over data channels as far as it is looked at: data packets, which leave with their
//! true sender and otherwise as they came, and packets of data tracks, which leave with another
//! handle.
//!
//! The first octet says who sends it.

use prost::Message;
use ringway_signal::proto::{DataPacket, data_packet, data_stream};
use ringway_wire::data_packet::{Content, DataPacketView, Kind, Sender};
use ringway_wire::data_track::DataTrackView;

const IDENTITY: &str = "alice";
const SID: &str = "PA_a";

/// Judges the bytes after the first one as either kind.
pub fn data(data: &[u8]) {
    let Some((&who, bytes)) = data.split_first() else { return };
    data_packet(who, bytes);
    let Ok(view) = DataTrackView::parse(bytes) else { return };
    let mut out = Vec::new();
    let handle = view.handle ^ u16::from(who);
    view.write_as(handle, &mut out);
    assert_eq!(DataTrackView::parse(&out).map(|again| again.handle), Ok(handle));
    assert!(out.len() == bytes.len() && out[..2] == bytes[..2] && out[4..] == bytes[4..]);
}

/// LiveKit's own reading must agree with ours about who sent it and what it is.
fn data_packet(who: u8, bytes: &[u8]) {
    let Ok(view) = DataPacketView::parse(bytes) else { return };
    let sender = Sender {
        identity: IDENTITY.as_bytes(),
        sid: SID.as_bytes(),
        hidden: who & 1 == 1,
        agent: who & 2 == 2,
    };
    let kind = if who & 4 == 4 { Kind::Lossy } else { Kind::Reliable };
    let mut out = Vec::new();
    view.write_from(&sender, kind, &mut out);
    let again = DataPacketView::parse(&out);
    assert_eq!(again.map(|again| again.content), Ok(view.content));
    // Ours is looser: it does not look into what it need not know.
    let Ok(before) = DataPacket::decode(bytes) else { return };
    let after = DataPacket::decode(&*out).expect("as good as it was");
    let own = if sender.hidden { "" } else { IDENTITY };
    assert_eq!(after.participant_sid, SID);
    assert_eq!(after.sequence, before.sequence);
    assert_eq!(after.sequence, view.sequence);
    assert_eq!(after.destination_identities, before.destination_identities);
    for name in &after.destination_identities {
        assert!(view.is_for(name.as_bytes(), b"somebody else"));
    }
    assert_eq!(kind_of(&after), kind as i32);
    let Some(before_value) = before.value else {
        return assert_eq!((view.content, after.value), (Content::Newer, None));
    };
    let after_value = after.value.expect("the same");
    let speaks_for_another = match (&before_value, &after_value) {
        (data_packet::Value::User(before), data_packet::Value::User(after)) => {
            assert_eq!(view.content, Content::User);
            assert_eq!((&after.payload, &after.topic), (&before.payload, &before.topic));
            assert_eq!(view.payload, before.payload);
            assert_eq!(named_sender(after), (own.to_owned(), sid_of(sender.hidden)));
            false
        }
        (data_packet::Value::ChatMessage(before), data_packet::Value::ChatMessage(after)) => {
            assert_eq!(after.message, before.message);
            after.generated && !before.generated
        }
        (data_packet::Value::StreamHeader(before), data_packet::Value::StreamHeader(after)) => {
            assert_eq!(after.stream_id, before.stream_id);
            is_generated(after) && !is_generated(before)
        }
        (before, after) => {
            // As text: numbers in measurements may be none, which equal nothing.
            assert_eq!(format!("{before:?}"), format!("{after:?}"));
            false
        }
    };
    if after.participant_identity != own {
        assert!(sender.agent && after.participant_identity == before.participant_identity);
    }
    assert!(!speaks_for_another || after.participant_identity != own);
}

// Clients read it.
#[allow(deprecated)]
fn kind_of(packet: &DataPacket) -> i32 {
    packet.kind
}

// Older clients read these.
#[allow(deprecated)]
fn named_sender(user: &ringway_signal::proto::UserPacket) -> (String, String) {
    (user.participant_identity.clone(), user.participant_sid.clone())
}

fn sid_of(hidden: bool) -> String {
    if hidden { String::new() } else { SID.to_owned() }
}

fn is_generated(header: &data_stream::Header) -> bool {
    use data_stream::header::ContentHeader;
    matches!(&header.content_header, Some(ContentHeader::TextHeader(text)) if text.generated)
}
