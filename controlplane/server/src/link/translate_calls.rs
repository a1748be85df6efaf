//! The words of signalling about calls to the contract's and back.

use ringway_abi::call as abi;
use ringway_abi::message::Refusal;
use ringway_signal::plane::{
    AddRoute, AddSource, Ask, Codec, DataOpening, ExtensionKind, Feedback, Fingerprint,
    HashAlgorithm, IceCredentials, Layer, Level, MediaMap, Picture, PlaneEvent, Playout, RouteKey,
    Service, SetData, SourceKey, SourceKind, Subject, TransportKey, Travelled,
};

const _: () = assert!(ringway_signal::plane::MAX_CNAME_BYTES <= abi::CNAME_BYTES);

/// No payload type.
const NONE: u8 = u8::MAX;

/// A question as commands of the contract; `None` where something does not fit into it.
pub(super) fn asks(ask: &Ask) -> Option<Vec<abi::CallCommand>> {
    Some(vec![match ask {
        Ask::OpenTransport { transport, ice, lite, trailer } => abi::CallCommand::OpenTransport {
            transport: transport.0,
            local: credentials(ice)?,
            lite: *lite,
            trailer: abi::Text::new(trailer)?,
        },
        Ask::BeginDtls { transport } => abi::CallCommand::BeginDtls { transport: transport.0 },
        Ask::SetRemote { transport, ice, fingerprint } => abi::CallCommand::SetRemote {
            transport: transport.0,
            remote: credentials(ice)?,
            fingerprint: hash(fingerprint)?,
        },
        Ask::AddCandidate { transport, address } => {
            abi::CallCommand::AddCandidate { transport: transport.0, address: *address }
        }
        Ask::RestartIce { transport, ice } => {
            abi::CallCommand::RestartIce { transport: transport.0, local: credentials(ice)? }
        }
        Ask::CloseTransport { transport } => {
            abi::CallCommand::CloseTransport { transport: transport.0 }
        }
        Ask::SetMedia { transport, media } => return Some(media_map(*transport, media)),
        Ask::AddSource(add) => abi::CallCommand::AddSource(source(add)?),
        Ask::SetSource { source, muted } => {
            abi::CallCommand::SetSource { source: source.0, muted: *muted }
        }
        Ask::RemoveSource { source } => abi::CallCommand::RemoveSource { source: source.0 },
        Ask::AddRoute(add) => abi::CallCommand::AddRoute(route(add)?),
        Ask::SetRoute { route, service: to } => {
            abi::CallCommand::SetRoute { route: route.0, service: service(to) }
        }
        Ask::RemoveRoute { route } => abi::CallCommand::RemoveRoute { route: route.0 },
        Ask::SetData(set) => return data(set),
        Ask::LimitBandwidth { transport, bps } => {
            abi::CallCommand::LimitBandwidth { transport: transport.0, bps: *bps }
        }
        Ask::SetDataTrack { transport, handle, track } => abi::CallCommand::SetDataTrack {
            transport: transport.0,
            handle: *handle,
            track: track.map_or(0, |track| track.0),
        },
        Ask::SetDataRoute { transport, handle, track, home } => abi::CallCommand::SetDataRoute {
            transport: transport.0,
            handle: *handle,
            track: track.map_or(0, |track| track.0),
            home: *home,
        },
        Ask::ReplayData { transport, publisher, after } => abi::CallCommand::ReplayData {
            transport: transport.0,
            publisher: abi::Text::new(publisher.as_bytes())?,
            after: *after,
        },
    }])
}

/// The identity in parts, then the rest.
fn data(set: &SetData) -> Option<Vec<abi::CallCommand>> {
    let transport = set.transport.0;
    let mut commands = Vec::new();
    for part in set.identity.as_bytes().chunks(abi::IDENTITY_PART_BYTES) {
        let (first, part) = (commands.is_empty(), abi::Text::new(part)?);
        commands.push(abi::CallCommand::NameData { transport, first, part });
    }
    let rights = [
        (set.publishes, abi::data_rights::PUBLISH),
        (set.delivers, abi::data_rights::DELIVER),
        (set.agent, abi::data_rights::AGENT),
        (set.metrics, abi::data_rights::METRICS),
        (set.hidden, abi::data_rights::HIDDEN),
        (set.bare, abi::data_rights::BARE),
    ];
    commands.push(abi::CallCommand::SetData(abi::DataSpec {
        transport,
        room: set.room,
        sid: abi::Text::new(set.sid.as_bytes())?,
        rights: rights.iter().filter(|(has, _)| *has).fold(0, |bits, (_, bit)| bits | bit),
        opening: match set.opening {
            DataOpening::Client => abi::DataOpening::Client,
            DataOpening::Shard => abi::DataOpening::Shard,
            DataOpening::Negotiated => abi::DataOpening::Negotiated,
        },
        slow_bps: set.slow_bps,
    }));
    Some(commands)
}

fn credentials(ice: &IceCredentials) -> Option<abi::IceCredentials> {
    let ufrag = abi::Text::new(ice.ufrag.as_bytes())?;
    let password = abi::Text::new(ice.pwd.as_bytes())?;
    Some(abi::IceCredentials { ufrag, password })
}

fn hash(fingerprint: &Fingerprint) -> Option<abi::Fingerprint> {
    let algorithm = match fingerprint.algorithm {
        HashAlgorithm::Sha256 => abi::HashAlgorithm::Sha256,
        HashAlgorithm::Sha384 => abi::HashAlgorithm::Sha384,
        HashAlgorithm::Sha512 => abi::HashAlgorithm::Sha512,
        _ => return None,
    };
    Some(abi::Fingerprint { algorithm, hash: abi::Text::new(&fingerprint.digest)? })
}

/// Payload types a few at a time, then the extensions, then RTCP.
fn media_map(transport: TransportKey, media: &MediaMap) -> Vec<abi::CallCommand> {
    let transport = transport.0;
    let payloads: Vec<abi::Payload> = media
        .payloads
        .iter()
        .filter_map(|payload| {
            Some(abi::Payload {
                payload_type: payload.payload_type,
                codec: codec(payload.codec)?,
                rtx_payload_type: payload.rtx_payload_type.unwrap_or(NONE),
                feedback: feedback(payload.feedback),
                clock_hz: payload.clock_rate,
            })
        })
        .collect();
    let mut commands = Vec::new();
    for part in payloads.chunks(abi::PAYLOADS) {
        let mut payloads = [abi::Payload::UNUSED; abi::PAYLOADS];
        payloads[..part.len()].copy_from_slice(part);
        let first = commands.is_empty();
        commands.push(abi::CallCommand::SetPayloads { transport, first, payloads });
    }
    let mut ids = [0; abi::EXTENSION_KINDS];
    for extension in &media.extensions {
        ids[extension_kind(extension.kind) as usize] = extension.id;
    }
    commands.push(abi::CallCommand::SetExtensions { transport, ids });
    let reduced_size = media.reduced_rtcp;
    commands.push(abi::CallCommand::SetRtcp { transport, reduced_size });
    commands
}

fn extension_kind(kind: ExtensionKind) -> abi::ExtensionKind {
    match kind {
        ExtensionKind::Mid => abi::ExtensionKind::Mid,
        ExtensionKind::Rid => abi::ExtensionKind::Rid,
        ExtensionKind::RepairedRid => abi::ExtensionKind::RepairedRid,
        ExtensionKind::AudioLevel => abi::ExtensionKind::AudioLevel,
        ExtensionKind::TransportCc => abi::ExtensionKind::TransportSequence,
        ExtensionKind::FrameMarking => abi::ExtensionKind::FrameMarking,
        ExtensionKind::DependencyDescriptor => abi::ExtensionKind::DependencyDescriptor,
        ExtensionKind::AbsCaptureTime => abi::ExtensionKind::AbsCaptureTime,
        ExtensionKind::AbsSendTime => abi::ExtensionKind::AbsSendTime,
        ExtensionKind::PlayoutDelay => abi::ExtensionKind::PlayoutDelay,
    }
}

fn feedback(feedback: Feedback) -> u8 {
    [
        (Feedback::NACK, abi::feedback::NACK),
        (Feedback::NACK_PLI, abi::feedback::PLI),
        (Feedback::CCM_FIR, abi::feedback::FIR),
        (Feedback::TRANSPORT_CC, abi::feedback::TRANSPORT_CC),
        (Feedback::GOOG_REMB, abi::feedback::REMB),
    ]
    .into_iter()
    .filter(|(theirs, _)| feedback.contains(*theirs))
    .fold(0, |bits, (_, bit)| bits | bit)
}

fn source(add: &AddSource) -> Option<abi::SourceSpec> {
    let mut layers = [abi::Layer::ANY; abi::LAYERS];
    if add.layers.len() > layers.len() {
        return None;
    }
    for (to, from) in layers.iter_mut().zip(&add.layers) {
        *to = match from {
            Layer::Only => abi::Layer::ANY,
            Layer::Rid(rid) => {
                abi::Layer { rid: abi::Text::new(rid.as_bytes())?, ..abi::Layer::ANY }
            }
            Layer::Ssrc { ssrc, rtx, fec } => {
                abi::Layer { ssrc: Some(*ssrc), rtx_ssrc: *rtx, fec_ssrc: *fec, ..abi::Layer::ANY }
            }
        };
    }
    Some(abi::SourceSpec {
        source: add.source.0,
        transport: add.transport.0,
        room: add.room,
        kind: source_kind(add.kind),
        mid: abi::Text::new(add.mid.as_bytes())?,
        layers,
        layer_count: add.layers.len().max(1) as u8,
        muted: add.muted,
        encrypted: add.encrypted,
    })
}

fn source_kind(kind: SourceKind) -> abi::SourceKind {
    match kind {
        SourceKind::Audio => abi::SourceKind::Audio,
        SourceKind::Camera => abi::SourceKind::Camera,
        SourceKind::Screen => abi::SourceKind::Screen,
    }
}

fn route(add: &AddRoute) -> Option<abi::RouteSpec> {
    Some(abi::RouteSpec {
        route: add.route.0,
        source: add.source.0,
        home: add.home,
        kind: source_kind(add.kind),
        transport: add.transport.0,
        ssrc: add.ssrc,
        rtx_ssrc: add.rtx_ssrc,
        payload_type: add.payload_type,
        red_payload_type: add.red_payload_type.unwrap_or(NONE),
        rtx_payload_type: add.rtx_payload_type.unwrap_or(NONE),
        mid: abi::Text::new(add.mid.as_bytes())?,
        cname: abi::Text::new(add.cname.as_bytes())?,
        service: service(&add.service),
        playout: add.playout.map(playout),
        encrypted: add.encrypted,
        cut_trailer: add.cut_trailer,
        announce: add.announce,
    })
}

fn playout(bounds: Playout) -> abi::PlayoutBounds {
    let Playout { min_ms, max_ms, adapts } = bounds;
    abi::PlayoutBounds { min_ms, max_ms, adapts }
}

fn service(service: &Service) -> abi::Service {
    abi::Service {
        paused: service.paused,
        max_layer: service.max_spatial,
        max_temporal: service.max_temporal,
        priority: service.priority,
    }
}

/// `None`: what a shard does not tell apart.
fn codec(codec: Codec) -> Option<abi::Codec> {
    Some(match codec {
        Codec::Opus => abi::Codec::Opus,
        Codec::Red => abi::Codec::Red,
        Codec::Pcmu => abi::Codec::Pcmu,
        Codec::Pcma => abi::Codec::Pcma,
        Codec::Vp8 => abi::Codec::Vp8,
        Codec::Vp9 => abi::Codec::Vp9,
        Codec::H264 => abi::Codec::H264,
        Codec::H265 => abi::Codec::H265,
        Codec::Av1 => abi::Codec::Av1,
        // It is known by its SSRC.
        Codec::FlexFec => return None,
    })
}

fn codec_back(codec: abi::Codec) -> Codec {
    match codec {
        abi::Codec::Opus => Codec::Opus,
        abi::Codec::Red => Codec::Red,
        abi::Codec::Pcmu => Codec::Pcmu,
        abi::Codec::Pcma => Codec::Pcma,
        abi::Codec::Vp8 => Codec::Vp8,
        abi::Codec::Vp9 => Codec::Vp9,
        abi::Codec::H264 => Codec::H264,
        abi::Codec::H265 => Codec::H265,
        abi::Codec::Av1 => Codec::Av1,
    }
}

/// What a shard said.
pub(super) fn event(shard: u16, event: abi::CallEvent) -> PlaneEvent {
    match event {
        abi::CallEvent::Connected { transport, remote, tcp } => {
            PlaneEvent::Connected { transport: TransportKey(transport), remote, tcp }
        }
        abi::CallEvent::Ended { transport, reason: abi::EndReason::Closed } => {
            PlaneEvent::Closed { transport: TransportKey(transport) }
        }
        abi::CallEvent::Ended { transport, reason } => {
            PlaneEvent::Failed { transport: TransportKey(transport), reason: ended(reason) }
        }
        abi::CallEvent::SourceLayers { source, live, codec, pictures } => {
            PlaneEvent::SourceLayers {
                source: SourceKey(source),
                live,
                codec: codec.map(codec_back),
                pictures: pictures.map(picture),
            }
        }
        abi::CallEvent::RouteState { route, paused } => {
            PlaneEvent::RouteState { route: RouteKey(route), paused }
        }
        abi::CallEvent::Levels { room, first, last, count, levels } => PlaneEvent::Levels {
            shard,
            room,
            first,
            last,
            speakers: levels
                .iter()
                .take(usize::from(count))
                .map(|one| Level {
                    source: SourceKey(one.source),
                    level: f32::from(one.level) / 255.0,
                })
                .collect(),
        },
        abi::CallEvent::DataHeard { transport, sequence } => {
            PlaneEvent::DataHeard { transport: TransportKey(transport), sequence }
        }
        abi::CallEvent::Quality { subject, expected, lost, heard, lacking_permille } => {
            let subject = match subject {
                abi::Subject::Source(source) => Subject::Source(SourceKey(source)),
                abi::Subject::Route(route) => Subject::Route(RouteKey(route)),
            };
            let one = Travelled { subject, expected, lost, heard, lacking_permille };
            PlaneEvent::Quality(vec![one])
        }
    }
}

fn picture(abi::Picture { width, height, fps }: abi::Picture) -> Picture {
    Picture { width: width.into(), height: height.into(), fps }
}

fn ended(reason: abi::EndReason) -> &'static str {
    match reason {
        abi::EndReason::Closed => "the client closed it",
        abi::EndReason::Unreached => "no check of the client arrived",
        abi::EndReason::Unfinished => "DTLS did not finish in time",
        abi::EndReason::Silent => "the client fell silent",
        abi::EndReason::Fingerprint => "the client's certificate is another than it announced",
        abi::EndReason::Dtls => "DTLS failed",
    }
}

pub(super) fn refusal(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::NoSuchTransport => "no such transport",
        Refusal::NoSuchSource => "no such source",
        Refusal::NoSuchRoute => "no such route",
        Refusal::TableFull => "the shard's tables are full",
        Refusal::Conflict => "the name is taken",
        Refusal::Invalid => "a value out of its range",
        _ => "refused",
    }
}
