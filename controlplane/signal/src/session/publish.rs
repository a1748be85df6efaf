//! Media that the client sends: its offers answered, its sections matched to announced tracks.

use std::collections::BTreeMap;

use livekit_protocol as proto;
use livekit_protocol::signal_response::Message;
use ringway_room::calls::{
    AudioFeature, Encryption, LayerMode, LeaveAction, MediaMatch, MediaPublished, OfferedMedia,
    Request, TrackCodec, TrackInfo, TrackKind, TrackSid, TrackSource as Origin, VideoLayer,
    VideoQuality,
};
use ringway_sdp::{
    AnswerRequest, Codec, Description, Encodings, Kind, NegotiatedSection, NegotiationError,
    ParseError, Reason, Section, SectionWish, answer,
};

use super::{Output, Session, TrackSource, World, peer};
use crate::plane::{AddSource, Ask, Layer, SourceKey, SourceKind};
use crate::translate;

/// Media of a section that belongs to a track.
#[derive(Debug)]
pub(super) struct Published {
    pub(super) track: TrackSid,
    pub(super) source: SourceKey,
    /// The client's id of it, as it stands in the session description.
    cid: String,
    /// What the data plane was asked for.
    add: Box<AddSource>,
}

/// A section that nobody has announced a track for.
#[derive(Debug)]
pub(super) struct Unmatched(NegotiatedSection);

/// What goes back to the client.
pub(super) struct Answered {
    pub(super) sdp: String,
    pub(super) mid_to_track: Vec<(String, String)>,
}

impl Session {
    pub(super) fn handle_offer(
        &mut self,
        now_ms: u64,
        offered: &proto::SessionDescription,
        world: &dyn World,
    ) {
        let offer = match Description::parse(&offered.sdp) {
            Ok(offer) => offer,
            Err(error) => return self.refuse_offer(error),
        };
        match self.answer_offer(offer, world) {
            Ok(answered) => {
                self.respond(Message::Answer(proto::SessionDescription {
                    r#type: "answer".to_owned(),
                    sdp: answered.sdp,
                    id: offered.id,
                    mid_to_track_id: answered.mid_to_track.into_iter().collect(),
                }));
                self.require_missing_sections();
                self.plan_repeat(now_ms);
            }
            Err(_) => self.demand_reconnect(),
        }
    }

    /// What is no SDP at all is ignored, as by LiveKit. A client whose offer is only too long would
    /// wait for the answer and learn nothing: it is told to begin anew, with fewer sections, unless
    /// it began with this offer and would do it again.
    fn refuse_offer(&mut self, error: ParseError) {
        self.ignored.not_sdp += 1;
        if matches!(error.reason, Reason::TooMany | Reason::TooLong) {
            let first = self.publisher.theirs.is_none();
            self.break_off(if first { LeaveAction::Disconnect } else { LeaveAction::Reconnect });
        }
    }

    pub(super) fn answer_offer(
        &mut self,
        offer: Description,
        world: &dyn World,
    ) -> Result<Answered, NegotiationError> {
        let restarts = self.publisher.remote.as_ref().is_some_and(|before| {
            let now = offer.transport_section().map(|section| &section.transport);
            now.is_some_and(|now| now.ufrag != before.ufrag || now.pwd != before.pwd)
        });
        // RFC 8445 9: who hears of a restart restarts too.
        if restarts && let Some(ask) = self.publisher.restart(&mut self.random) {
            self.ask_plane(ask);
        }
        let wishes = self.wishes(&offer, world);
        let sends = self.place(&offer, world);
        let origin = self.publisher.next_origin();
        let answer = answer(&AnswerRequest {
            offer: &offer,
            origin,
            local: &self.publisher.local,
            capabilities: &self.publisher.capabilities,
            data: peer::DATA,
            wishes: &wishes,
            sends: &sends,
            one_shot: self.one_shot,
        })?;
        let answered =
            Answered { sdp: answer.description.to_string(), mid_to_track: answer.mid_to_track };
        self.publisher.theirs = Some(offer);
        self.publisher.ours = Some(answer.description);
        if let Some(ask) = self.publisher.open() {
            self.ask_plane(ask);
            self.tell_data();
        }
        for ask in self.publisher.take(answer.remote, answer.media) {
            self.ask_plane(ask);
        }
        for section in &answer.sections {
            if section.receives {
                self.receive(section.clone(), world);
            } else {
                self.unmatched.remove(&section.mid);
                self.end_section(&section.mid);
            }
        }
        // With two connections what the client receives has sections of its own, of the same names.
        if self.single || self.one_shot {
            self.take_sections(&answer.sections, world);
        }
        Ok(answered)
    }

    /// Which codec each section should carry, and how.
    fn wishes(&self, offer: &Description, world: &dyn World) -> Vec<SectionWish> {
        let carried = self.published.iter().map(|(mid, one)| (mid.as_str(), one.track));
        let mut carried: BTreeMap<&str, TrackSid> = carried.collect();
        let mut wishes = Vec::new();
        for section in &offer.sections {
            let Some(kind) = track_kind(section.kind) else { continue };
            if !section.direction.sends() || section.is_rejected() {
                continue;
            }
            let mid = section.mid.as_str();
            let mimes = if carried.contains_key(mid) { Vec::new() } else { mimes_of(section) };
            let others = carried.iter().filter(|(other, _)| **other != mid);
            let claimed: Vec<TrackSid> = others.map(|(_, track)| *track).collect();
            let found = |cid: &str| {
                let offered = OfferedMedia { cid, kind, mimes: &mimes, claimed: &claimed };
                match world.match_media(&offered) {
                    MediaMatch::Track(track) => Some((track.sid, wish(mid, cid, &track))),
                    _ => None,
                }
            };
            // A sender may give its section another name without announcing anything.
            let before = || self.published.get(mid).and_then(|one| found(&one.cid));
            let Some((track, wish)) = found(&cid_of_section(section)).or_else(before) else {
                continue;
            };
            carried.insert(mid, track);
            wishes.push(wish);
        }
        wishes
    }

    /// A section in which the client sends.
    fn receive(&mut self, section: NegotiatedSection, world: &dyn World) {
        let Some(kind) = track_kind(section.kind) else { return };
        let cid = cid_of(&section);
        let known = self.published.get(&section.mid);
        let before = known.map(|one| (one.track, one.cid == cid));
        let others = self.published.iter().filter(|(mid, _)| **mid != section.mid);
        let claimed: Vec<TrackSid> = others.map(|(_, one)| one.track).collect();
        // The client sends the first codec of our answer.
        let first = section.payloads.first().filter(|_| before.is_none());
        let mimes: Vec<&str> = first.iter().map(|payload| payload.codec.mime()).collect();
        let offered = OfferedMedia { cid: &cid, kind, mimes: &mimes, claimed: &claimed };
        match (world.match_media(&offered), before) {
            (MediaMatch::Track(track), Some((old, _))) if old != track.sid => {
                self.end_section(&section.mid);
                self.publish(section, cid, &track);
            }
            (MediaMatch::Track(track), _) => self.publish(section, cid, &track),
            // A sender may give its section another name without announcing anything.
            (_, Some(_)) => {}
            (MediaMatch::Unknown, None) => {
                self.unmatched.insert(section.mid.clone(), Unmatched(section));
            }
            (MediaMatch::Abandoned, None) => {
                self.unmatched.remove(&section.mid);
            }
        }
    }

    /// Another track is announced: perhaps its media was there first.
    pub(super) fn match_again(&mut self, world: &dyn World) {
        for (_, Unmatched(section)) in std::mem::take(&mut self.unmatched) {
            self.receive(section, world);
        }
    }

    fn publish(&mut self, section: NegotiatedSection, cid: String, track: &TrackInfo) {
        self.unmatched.remove(&section.mid);
        let Some(payload) = section.payloads.first() else { return };
        // Routes have payload types of one codec, so another codec is another source.
        let codec = payload.codec;
        if self.published.get(&section.mid).is_some_and(|one| one.add.codec != codec) {
            self.drop_section(&section.mid);
        }
        let known = self.published.get(&section.mid);
        let source = known.map(|one| one.source);
        let source = source.unwrap_or_else(|| SourceKey(self.random.key()));
        let fmtp = payload.fmtp.clone();
        let announced = announced(track, &cid);
        let mode = announced.and_then(|announced| announced.mode);
        let encodings = ordered(&section.encodings);
        let repaired = section.payloads.iter().any(|payload| payload.codec == Codec::FlexFec);
        let scalable =
            mode == Some(LayerMode::MultiplePerStream) && matches!(codec, Codec::Vp9 | Codec::Av1);
        let add = Box::new(AddSource {
            transport: self.publisher.key,
            source,
            room: self.room,
            kind: source_kind(section.kind, track.source),
            codec,
            mid: section.mid.clone(),
            layers: layers(&encodings, repaired, scalable),
            muted: track.muted,
            encrypted: track.encryption != Encryption::None,
        });
        // Muting goes its own way.
        let same = |one: &Published| {
            one.cid == cid && *one.add == AddSource { muted: one.add.muted, ..(*add).clone() }
        };
        if self.published.get(&section.mid).is_some_and(same) {
            return;
        }
        self.ask_plane(Ask::AddSource(add.clone()));
        let (shard, kind) = (self.shard, add.kind);
        let one = TrackSource { source, shard, kind, codec, fmtp };
        self.outputs.push_back(Output::Published(track.sid, one));
        let told = announced.map(|announced| announced.layers.as_slice()).unwrap_or_default();
        let layers = described(&encodings, if told.is_empty() { &track.layers } else { told });
        self.ask_room(Request::MediaPublished(Box::new(MediaPublished {
            track: track.sid,
            mime_type: codec.mime().to_owned(),
            mid: section.mid.clone(),
            sdp_cid: cid.clone(),
            simulcast: layers.len() > 1,
            layers,
            mode: None,
        })));
        let mid = section.mid.clone();
        self.published.insert(mid, Published { track: track.sid, source, cid, add });
    }

    /// The client no longer sends in a section.
    fn end_section(&mut self, mid: &str) {
        let Some(track) = self.drop_section(mid) else { return };
        if !self.published.values().any(|one| one.track == track) {
            self.announced.remove(&track);
            self.ask_room(Request::MediaEnded { track });
        }
    }

    fn drop_section(&mut self, mid: &str) -> Option<TrackSid> {
        let Published { track, source, .. } = self.published.remove(mid)?;
        self.ask_plane(Ask::RemoveSource { source });
        self.outputs.push_back(Output::Unpublished(track, source));
        Some(track)
    }

    /// The room has ended a track: nothing of it is taken in any more.
    pub(super) fn drop_track(&mut self, track: TrackSid) {
        self.announced.remove(&track);
        self.qualities.remove(&track);
        let of_track = self.published.iter().filter(|(_, one)| one.track == track);
        let mids: Vec<String> = of_track.map(|(mid, _)| mid.clone()).collect();
        for mid in mids {
            self.drop_section(&mid);
        }
    }

    pub(super) fn set_muted(&mut self, track: TrackSid, muted: bool) {
        let of_track = self.published.values().filter(|one| one.track == track);
        let sources: Vec<SourceKey> = of_track.map(|one| one.source).collect();
        for source in sources {
            self.ask_plane(Ask::SetSource { source, muted });
        }
    }

    pub(super) fn handle_add_track(&mut self, add: proto::AddTrackRequest) {
        use proto::request_response::{Reason, Request as Echo};
        let refused = match translate::add_track(&add) {
            Ok(add) => return self.ask_room(Request::AddTrack(Box::new(add))),
            Err(translate::BadTrack::NotFound) => Reason::NotFound,
            Err(translate::BadTrack::UnsupportedType) => Reason::UnsupportedType,
        };
        self.respond_to_request(0, refused, String::new(), Echo::AddTrack(add));
    }
}

pub(super) fn track_kind(kind: Kind) -> Option<TrackKind> {
    match kind {
        Kind::Audio => Some(TrackKind::Audio),
        Kind::Video => Some(TrackKind::Video),
        Kind::Application => None,
    }
}

fn source_kind(kind: Kind, origin: Origin) -> SourceKind {
    match (kind, origin) {
        (Kind::Video, Origin::ScreenShare) => SourceKind::Screen,
        (Kind::Video, _) => SourceKind::Camera,
        _ => SourceKind::Audio,
    }
}

fn cid_of_section(section: &Section) -> String {
    section.msid().map(cid_of_msid).unwrap_or_default()
}

fn cid_of(section: &NegotiatedSection) -> String {
    section.msid.as_ref().map(cid_of_msid).unwrap_or_default()
}

/// The codecs that a section names.
fn mimes_of(section: &Section) -> Vec<&'static str> {
    let named = |codec: &Codec| section.payloads.iter().any(|payload| payload.is(codec.name()));
    Codec::ALL.into_iter().filter(named).map(Codec::mime).collect()
}

/// The track id, or the stream id of clients that leave the former out.
fn cid_of_msid(msid: &ringway_sdp::Msid) -> String {
    msid.track.clone().unwrap_or_else(|| msid.stream.clone())
}

/// The codec of a track that has this id, or its first one.
fn announced<'a>(track: &'a TrackInfo, cid: &str) -> Option<&'a TrackCodec> {
    let mut codecs = track.codecs.iter();
    let named = codecs.find(|codec| codec.cid == cid || codec.sdp_cid == cid);
    named.or(track.codecs.first())
}

fn wish(mid: &str, cid: &str, track: &TrackInfo) -> SectionWish {
    let named = announced(track, cid).and_then(|codec| Codec::named(&codec.mime_type));
    let audio = track.kind == TrackKind::Audio;
    let prefer = match named {
        Some(codec) => vec![codec],
        None if audio && !track.disable_red => vec![Codec::Red, Codec::Opus],
        None if audio => vec![Codec::Opus],
        None => Vec::new(),
    };
    SectionWish {
        mid: mid.to_owned(),
        prefer,
        dtx: audio && !track.audio_features.contains(&AudioFeature::NoDtx),
        stereo: audio && track.audio_features.contains(&AudioFeature::Stereo),
    }
}

/// Encodings with the lowest quality first. Names that are known tell their order; others come in
/// the client's order.
fn ordered(encodings: &Encodings) -> Encodings {
    const KNOWN: [[&str; 3]; 2] = [["q", "h", "f"], ["2", "1", "0"]];
    let Encodings::Rids(rids) = encodings else { return encodings.clone() };
    let place = |names: &[&str; 3], rid: &String| names.iter().position(|name| name == rid);
    let all = |names: &&[&str; 3]| rids.iter().all(|rid| place(names, rid).is_some());
    let mut rids = rids.clone();
    if let Some(names) = KNOWN.iter().find(all) {
        rids.sort_by_key(|rid| place(names, rid));
    }
    Encodings::Rids(rids)
}

/// The layers as the data plane is told of them; FlexFEC repairs only where they were agreed on.
/// Browsers that know scalability by way of simulcast alone (Chrome before 113, React Native) offer
/// three rids and send one of them, with all layers in it.
fn layers(encodings: &Encodings, repaired: bool, scalable: bool) -> Vec<Layer> {
    let by_ssrc = |one: &ringway_sdp::SsrcEncoding| Layer::Ssrc {
        ssrc: one.ssrc,
        rtx: one.rtx_ssrc,
        fec: one.fec_ssrc.filter(|_| repaired),
    };
    match encodings {
        Encodings::Rids(rids) if scalable && rids.len() > 1 => vec![Layer::Only],
        Encodings::Rids(rids) => rids.iter().cloned().map(Layer::Rid).collect(),
        Encodings::Ssrcs(ssrcs) => ssrcs.iter().map(by_ssrc).collect(),
        Encodings::Unsignalled => vec![Layer::Only],
    }
}

/// The layers as others are told of them: their sizes as announced, their names as offered. None
/// if the offer says nothing about layers.
fn described(encodings: &Encodings, announced: &[VideoLayer]) -> Vec<VideoLayer> {
    let marks: Vec<(String, u32, u32)> = match encodings {
        Encodings::Rids(rids) => rids.iter().map(|rid| (rid.clone(), 0, 0)).collect(),
        Encodings::Ssrcs(all) if all.len() > 1 => {
            let mark = |one: &ringway_sdp::SsrcEncoding| {
                (String::new(), one.ssrc, one.rtx_ssrc.unwrap_or(0))
            };
            all.iter().map(mark).collect()
        }
        _ => return Vec::new(),
    };
    let mut announced = announced.to_vec();
    announced.sort_by_key(|layer| layer.quality);
    let layer = |(place, (rid, ssrc, repair_ssrc)): (usize, (String, u32, u32))| {
        let quality = VideoQuality::ALL.get(place).copied().unwrap_or(VideoQuality::High);
        let like = announced.get(place);
        VideoLayer {
            quality: like.map_or(quality, |like| like.quality),
            width: like.map_or(0, |like| like.width),
            height: like.map_or(0, |like| like.height),
            bitrate_bps: like.map_or(0, |like| like.bitrate_bps),
            ssrc,
            spatial_layer: i32::try_from(place).unwrap_or_default(),
            rid,
            repair_ssrc,
        }
    };
    marks.into_iter().enumerate().map(layer).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rids_are_layers_unless_one_stream_has_them_all() {
        let rids = |names: &[&str]| Encodings::Rids(names.iter().map(|&one| one.into()).collect());
        let rid = |name: &str| Layer::Rid(name.to_owned());
        for (names, scalable, expect) in [
            (&["q", "h", "f"][..], false, vec![rid("q"), rid("h"), rid("f")]),
            (&["q", "h", "f"], true, vec![Layer::Only]),
            (&["f"], true, vec![rid("f")]),
        ] {
            assert_eq!(layers(&rids(names), false, scalable), expect, "{names:?} {scalable}");
        }
    }
}
