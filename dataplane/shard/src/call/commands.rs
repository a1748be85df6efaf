//! What the control plane asks about calls.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ringway_abi::call::{
    self as abi, CallCommand, Fingerprint, HashAlgorithm, IceCredentials, Payload, RouteSpec,
    Service, SourceSpec, TRAILER_BYTES, Text,
};
use ringway_abi::message::{Outcome, Refusal};
use ringway_proto::dtls::{self, DtlsRole};
use ringway_proto::history::HistoryPool;
use ringway_proto::ice::{self, IceAgent, LocalAddress, Path, PathProtocol};
use ringway_proto::transport::{Transport, TransportConfig};
use ringway_sfu::call::blank::BlankKind;
use ringway_sfu::call::demux::{LayerSpec, Name, SourceKey};
use ringway_sfu::call::format::{Feedback, Format};
use ringway_sfu::call::picture::Picture;
use ringway_sfu::call::playout::{Playout, PlayoutBounds};
use ringway_sfu::call::source::{Source, SourceKind};
use ringway_wire::extension::{ExtensionKind, ExtensionMap};
use ringway_wire::payload::Codec;

use super::blanks::{announcement, blank_kind, silence};
use super::mirror::source_kind;
use super::session::Session;
use super::stamps::Stamps;
use super::stream::Stream;
use super::subscription::{Repair, Subscription};
use super::{Calls, HISTORY_BLOCKS, MAX_DATAGRAM_BYTES};
use crate::clock::Now;
use crate::gateway::FromShard;
use crate::ports;
use crate::shard::canonical;
use crate::slab::SlotId;
use crate::sockets::{MediaSocket, Sockets};

type Answer = Result<Outcome, (Refusal, i32)>;

/// What the gateway is asked by way of a shard.
fn ask_gateway<S: Sockets>(command: &CallCommand, sockets: &mut S) -> Answer {
    let done = match command {
        CallCommand::Listen { tcp } => sockets.listen(*tcp).map(|tcp| Outcome::Listening { tcp }),
        CallCommand::RelayTls { place, first, part } => {
            let kept = sockets.keep_relay_tls(*place, *first, part.as_bytes());
            kept.map(|()| Outcome::Accepted)
        }
        CallCommand::RelayProxies { networks } => {
            sockets.keep_relay_proxies(networks).map(|()| Outcome::Accepted)
        }
        CallCommand::Relay(spec) => sockets.relay(spec).map(|()| Outcome::Accepted),
        _ => return Err((Refusal::Invalid, 0)),
    };
    done.map_err(ports::refusal)
}

impl Calls {
    /// Carries out a command. The second is the number of a media socket that was opened.
    pub fn apply<S: Sockets>(
        &mut self,
        now: Now,
        command: CallCommand,
        sockets: &mut S,
    ) -> (Answer, Option<u16>) {
        match command {
            CallCommand::OpenMedia { udp } => return self.open_media(udp, sockets),
            CallCommand::Listen { .. }
            | CallCommand::RelayTls { .. }
            | CallCommand::RelayProxies { .. }
            | CallCommand::Relay(_) => return (ask_gateway(&command, sockets), None),
            _ => {}
        }
        let answer = match command {
            CallCommand::OpenMedia { .. }
            | CallCommand::Listen { .. }
            | CallCommand::RelayTls { .. }
            | CallCommand::RelayProxies { .. }
            | CallCommand::Relay(_) => Err(Refusal::Invalid),
            CallCommand::OpenTransport { transport, local, lite, trailer } => {
                self.open_transport(now, transport, &local, lite, trailer)
            }
            CallCommand::BeginDtls { transport } => self.begin_dtls(transport),
            CallCommand::SetRemote { transport, remote, fingerprint } => {
                self.set_remote(now, transport, &remote, &fingerprint)
            }
            CallCommand::AddCandidate { transport, address } => {
                self.add_candidate(now, transport, address)
            }
            CallCommand::RestartIce { transport, local } => self.restart_ice(transport, &local),
            CallCommand::CloseTransport { transport } => self.close_transport(now, transport),
            CallCommand::SetPayloads { transport, first, payloads } => {
                self.set_payloads(transport, first, &payloads)
            }
            CallCommand::SetExtensions { transport, ids } => self.set_extensions(transport, &ids),
            CallCommand::SetRtcp { transport, reduced_size } => {
                self.set_rtcp(transport, reduced_size)
            }
            CallCommand::AddSource(spec) => self.add_source(now, &spec),
            CallCommand::SetSource { source, muted } => self.mute(now, source, muted),
            CallCommand::RemoveSource { source } => {
                if let Some(id) = self.stream_of.get(&source).copied() {
                    self.remove_stream(now, id);
                }
                Ok(())
            }
            CallCommand::AddRoute(spec) => self.add_route(now, &spec),
            CallCommand::SetRoute { route, service } => self.set_route(now, route, service),
            CallCommand::RemoveRoute { route } => {
                if let Some(id) = self.subscription_of.get(&route).copied() {
                    self.end_route(now, id);
                }
                Ok(())
            }
            CallCommand::NameData { .. }
            | CallCommand::SetData(_)
            | CallCommand::SetDataTrack { .. }
            | CallCommand::SetDataRoute { .. }
            | CallCommand::ReplayData { .. } => self.apply_data(now, command),
            CallCommand::LimitBandwidth { transport, bps } => self.limit(transport, bps),
            CallCommand::Disown { linger_ms } => {
                self.disown(now, linger_ms);
                Ok(())
            }
        };
        (answer.map(|()| Outcome::Accepted).map_err(|reason| (reason, 0)), None)
    }

    /// Whoever is gone already needs no closing.
    fn close_transport(&mut self, now: Now, key: u64) -> Result<(), Refusal> {
        if let Some(id) = self.session_of.get(&key).copied() {
            self.close_session(now, id);
        }
        Ok(())
    }

    /// Carries out a command about data.
    fn apply_data(&mut self, now: Now, command: CallCommand) -> Result<(), Refusal> {
        match command {
            CallCommand::NameData { transport, first, part } => {
                self.name_data(now, transport, first, part.as_bytes())
            }
            CallCommand::SetData(spec) => self.set_data(now, &spec),
            CallCommand::SetDataTrack { transport, handle, track } => {
                self.set_data_track(transport, handle, track)
            }
            CallCommand::SetDataRoute { transport, handle, track, home } => {
                self.set_data_route(now, transport, handle, (track, home))
            }
            CallCommand::ReplayData { transport, publisher, after } => {
                self.replay_data(now, transport, publisher.as_bytes(), after)
            }
            _ => Err(Refusal::Invalid),
        }
    }

    fn open_media<S: Sockets>(
        &mut self,
        udp: SocketAddr,
        sockets: &mut S,
    ) -> (Answer, Option<u16>) {
        let Some(dtls) = &self.dtls else { return (Err((Refusal::Invalid, 0)), None) };
        let mut fingerprint = [0; 32];
        fingerprint.copy_from_slice(dtls.fingerprint().bytes());
        let same = |open: &&MediaSocket| open.address == udp || udp.port() == 0;
        if let Some(open) = self.sockets.iter().find(same) {
            return (Ok(Outcome::Media { udp: open.address, fingerprint }), None);
        }
        let wildcard = self.sockets.iter().find(|open| open.covers(udp));
        match sockets.open_media(udp, wildcard) {
            Ok(opened) => {
                if self.sockets.is_empty() {
                    self.pool = HistoryPool::new(HISTORY_BLOCKS);
                    self.datagram = vec![0; MAX_DATAGRAM_BYTES].into();
                    self.packet = vec![0; MAX_DATAGRAM_BYTES].into();
                }
                let address = opened.address;
                let number = self.sockets.len() as u16;
                self.sockets.push(opened);
                if let Some(gateway) = &mut self.gateway {
                    gateway.say(FromShard::Port { port: address.port() });
                }
                (Ok(Outcome::Media { udp: address, fingerprint }), Some(number))
            }
            Err(error) => (Err(ports::refusal(error)), None),
        }
    }

    fn open_transport(
        &mut self,
        now: Now,
        key: u64,
        local: &IceCredentials,
        lite: bool,
        trailer: Text<TRAILER_BYTES>,
    ) -> Result<(), Refusal> {
        if let Some(&id) = self.session_of.get(&key) {
            let known = self.sessions.get(id).ok_or(Refusal::NoSuchTransport)?;
            let same = known.transport.ufrag() == local.ufrag.as_bytes();
            return if same { Ok(()) } else { Err(Refusal::Conflict) };
        }
        let dtls = self.dtls.clone().ok_or(Refusal::Invalid)?;
        let credentials = credentials(local)?;
        if key == 0 || self.by_ufrag.contains_key(local.ufrag.as_bytes()) {
            return Err(Refusal::Invalid);
        }
        let ice = match self.epoch.filter(|_| !lite) {
            Some(epoch) => IceAgent::full(&credentials, &self.local_addresses(), epoch),
            None => IceAgent::lite(&credentials),
        };
        let config = TransportConfig { ice, dtls, dtls_role: DtlsRole::Server };
        let ssrc = (self.next_random() >> 32) as u32;
        let name = [self.next_random(), self.next_random()];
        let mut session = Session::new(key, Transport::new(config), ssrc, name);
        session.next_report_ns = now.mono_ns;
        session.trailer = trailer;
        let id = self.sessions.insert(session).map_err(|_| Refusal::TableFull)?;
        self.disturb(id.slot);
        self.session_of.insert(key, id);
        self.by_ufrag.insert(local.ufrag.as_bytes().into(), id);
        Ok(())
    }

    fn begin_dtls(&mut self, key: u64) -> Result<(), Refusal> {
        let id = self.session_of.get(&key).copied().ok_or(Refusal::NoSuchTransport)?;
        let session = self.sessions.get_mut(id).ok_or(Refusal::NoSuchTransport)?;
        session.transport.begin_dtls();
        self.mark_dirty(id);
        Ok(())
    }

    fn set_remote(
        &mut self,
        now: Now,
        key: u64,
        remote: &IceCredentials,
        fingerprint: &Fingerprint,
    ) -> Result<(), Refusal> {
        let remote = credentials(remote)?;
        let algorithm = match fingerprint.algorithm {
            HashAlgorithm::Sha256 => dtls::HashAlgorithm::Sha256,
            HashAlgorithm::Sha384 => dtls::HashAlgorithm::Sha384,
            HashAlgorithm::Sha512 => dtls::HashAlgorithm::Sha512,
        };
        let fingerprint = dtls::Fingerprint::new(algorithm, fingerprint.hash.as_bytes())
            .ok_or(Refusal::Invalid)?;
        let id = self.session_of.get(&key).copied().ok_or(Refusal::NoSuchTransport)?;
        let session = self.sessions.get_mut(id).ok_or(Refusal::NoSuchTransport)?;
        session.transport.set_remote(now.mono_ns, &remote, fingerprint);
        // Checks that came before are answered.
        session.transport.handle_timeout(now.mono_ns);
        self.mark_dirty(id);
        Ok(())
    }

    fn add_candidate(&mut self, now: Now, key: u64, address: SocketAddr) -> Result<(), Refusal> {
        let id = self.session_of.get(&key).copied().ok_or(Refusal::NoSuchTransport)?;
        let session = self.sessions.get_mut(id).ok_or(Refusal::NoSuchTransport)?;
        let path = Path { remote: canonical(address), protocol: PathProtocol::Udp, socket: 0 };
        session.transport.add_remote_candidate(path);
        // Its first check is due.
        session.transport.handle_timeout(now.mono_ns);
        self.mark_dirty(id);
        Ok(())
    }

    /// Our sockets as a full agent names them.
    fn local_addresses(&self) -> Vec<LocalAddress> {
        let mut locals = Vec::new();
        let mut add = |socket, address, protocol| {
            locals.push(LocalAddress { socket, address, protocol });
        };
        for (socket, open) in self.sockets.iter().enumerate() {
            for address in names(open.address) {
                add(socket as u32, address, PathProtocol::Udp);
            }
        }
        for name in NAMES {
            add(0, SocketAddr::new(name, 0), PathProtocol::Tcp);
        }
        locals
    }

    fn restart_ice(&mut self, key: u64, local: &IceCredentials) -> Result<(), Refusal> {
        let fresh = credentials(local)?;
        let id = self.session_of.get(&key).copied().ok_or(Refusal::NoSuchTransport)?;
        let session = self.sessions.get_mut(id).ok_or(Refusal::NoSuchTransport)?;
        self.by_ufrag.remove(session.transport.ufrag());
        session.transport.restart_ice(&fresh);
        self.by_ufrag.insert(local.ufrag.as_bytes().into(), id);
        Ok(())
    }

    fn limit(&mut self, key: u64, bps: Option<u64>) -> Result<(), Refusal> {
        let id = self.session_of.get(&key).copied().ok_or(Refusal::NoSuchTransport)?;
        let session = self.sessions.get_mut(id).ok_or(Refusal::NoSuchTransport)?;
        session.limit_bps = bps;
        Ok(())
    }

    fn set_payloads(&mut self, key: u64, first: bool, payloads: &[Payload]) -> Result<(), Refusal> {
        let id = self.session_of.get(&key).copied().ok_or(Refusal::NoSuchTransport)?;
        let session = self.sessions.get_mut(id).ok_or(Refusal::NoSuchTransport)?;
        if first {
            session.formats = Default::default();
        }
        for payload in payloads.iter().filter(|payload| payload.payload_type < 128) {
            let format = Format::Media { codec: codec(payload.codec), clock_hz: payload.clock_hz };
            session.formats.insert(payload.payload_type, format);
            session.formats.set_feedback(payload.payload_type, feedback(payload.feedback));
            let rtx = Format::Rtx { media: payload.payload_type };
            session.formats.insert(payload.rtx_payload_type, rtx);
        }
        self.change_looks(id);
        Ok(())
    }

    fn set_extensions(
        &mut self,
        key: u64,
        ids: &[u8; abi::EXTENSION_KINDS],
    ) -> Result<(), Refusal> {
        let id = self.session_of.get(&key).copied().ok_or(Refusal::NoSuchTransport)?;
        let session = self.sessions.get_mut(id).ok_or(Refusal::NoSuchTransport)?;
        let mut map = ExtensionMap::default();
        for (kind, id) in ExtensionKind::ALL.into_iter().zip(ids).filter(|(_, id)| **id != 0) {
            map.insert(*id, kind);
        }
        if session.extensions == map {
            return Ok(());
        }
        session.extensions = map;
        self.change_looks(id);
        Ok(())
    }

    fn set_rtcp(&mut self, key: u64, reduced_size: bool) -> Result<(), Refusal> {
        let id = self.session_of.get(&key).copied().ok_or(Refusal::NoSuchTransport)?;
        let session = self.sessions.get_mut(id).ok_or(Refusal::NoSuchTransport)?;
        session.reduced_rtcp = reduced_size;
        let bundled = std::mem::replace(&mut session.bundles, !reduced_size);
        self.bundlers = self.bundlers + u32::from(!reduced_size) - u32::from(bundled);
        Ok(())
    }

    /// What a peer gets, and what others get of it, looks otherwise from now on.
    fn change_looks(&mut self, id: SlotId) {
        let Some(session) = self.sessions.get(id) else { return };
        let streams = session.sources.iter().filter_map(|source| self.streams.get(*source));
        let own = session.routes.iter().map(|(_, route)| route);
        for route in own.chain(streams.flat_map(|stream| &stream.routes)) {
            if let Some(subscription) = self.subscriptions.get_mut(*route) {
                subscription.change_looks();
            }
        }
    }

    fn add_source(&mut self, now: Now, spec: &SourceSpec) -> Result<(), Refusal> {
        let session_id = self.session_of.get(&spec.transport).copied();
        let session_id = session_id.ok_or(Refusal::NoSuchTransport)?;
        let mut layers = [LayerSpec::default(); abi::LAYERS];
        let count = usize::from(spec.layer_count).clamp(1, abi::LAYERS);
        for (to, from) in layers.iter_mut().zip(&spec.layers) {
            *to = LayerSpec {
                rid: Name::new(from.rid.as_bytes()),
                ssrc: from.ssrc,
                rtx_ssrc: from.rtx_ssrc,
                fec_ssrc: from.fec_ssrc,
            };
        }
        let mid = Name::new(spec.mid.as_bytes());
        if spec.source == 0 {
            return Err(Refusal::Invalid);
        }
        if let Some(id) = self.stream_of.get(&spec.source).copied() {
            self.replace_source(session_id, id, mid, &layers[..count])?;
            return self.mute(now, spec.source, spec.muted);
        }
        let kind = source_kind(spec.kind);
        let mut source = Source::new(kind, count);
        for (at, layer) in layers[..count].iter().enumerate() {
            source.bind(at as u8, layer.ssrc, layer.rtx_ssrc);
        }
        let mut stream = Stream {
            room: spec.room,
            muted: spec.muted,
            encrypted: spec.encrypted,
            ..Stream::new(spec.source, session_id, source, self.hold.pads(kind))
        };
        stream.pair_repairs(&layers[..count], &mut self.pool);
        let id = self.streams.insert(stream).map_err(|_| Refusal::TableFull)?;
        let session = self.sessions.get_mut(session_id).ok_or(Refusal::NoSuchTransport)?;
        // By slot, so that no packet has to look its stream up by key.
        if !session.demux.add_source(SourceKey(id.bits()), mid, &layers[..count]) {
            self.streams.remove(id);
            return Err(Refusal::Invalid);
        }
        session.sources.push(id);
        self.disturb(session_id.slot);
        self.stream_of.insert(spec.source, id);
        if kind == SourceKind::Audio {
            self.join_room(spec.room, spec.source);
        }
        Ok(())
    }

    /// Takes a known source in otherwise.
    fn replace_source(
        &mut self,
        session_id: SlotId,
        id: SlotId,
        mid: Option<Name>,
        layers: &[LayerSpec],
    ) -> Result<(), Refusal> {
        let stream = self.streams.get_mut(id).ok_or(Refusal::NoSuchSource)?;
        if stream.session != session_id {
            return Err(Refusal::Conflict);
        }
        let session = self.sessions.get_mut(session_id).ok_or(Refusal::NoSuchTransport)?;
        if !session.demux.add_source(SourceKey(id.bits()), mid, layers) {
            return Err(Refusal::Invalid);
        }
        stream.source.set_layers(layers.len());
        for (at, layer) in layers.iter().enumerate() {
            stream.source.bind(at as u8, layer.ssrc, layer.rtx_ssrc);
        }
        for ssrc in stream.pair_repairs(layers, &mut self.pool).into_iter().flatten() {
            session.transport.remove_stream(ssrc);
        }
        Ok(())
    }

    fn mute(&mut self, now: Now, source: u64, muted: bool) -> Result<(), Refusal> {
        let id = self.stream_of.get(&source).copied().ok_or(Refusal::NoSuchSource)?;
        self.mute_stream(now, id, muted);
        self.tell_mirrors(id);
        Ok(())
    }

    /// Mutes or unmutes; nothing happens where that is known.
    pub(super) fn mute_stream(&mut self, now: Now, id: SlotId, muted: bool) {
        let Some(stream) = self.streams.get_mut(id) else { return };
        if stream.mirrored.is_some() && stream.muted == muted {
            return;
        }
        stream.muted = muted;
        let silence = silence(stream);
        for route in &stream.routes {
            let Some(subscription) = self.subscriptions.get_mut(*route) else { continue };
            if subscription.set_muted(now.mono_ns, muted, silence) {
                self.fading.push(*route);
                self.due_ns = 0;
            }
        }
        self.ask_for_waiting(now, id);
    }

    fn add_route(&mut self, now: Now, spec: &RouteSpec) -> Result<(), Refusal> {
        let session_id = self.session_of.get(&spec.transport).copied();
        let session_id = session_id.ok_or(Refusal::NoSuchTransport)?;
        let stream_id = self.stream_for(now, spec)?;
        let repair = spec.rtx_ssrc.zip(below_128(spec.rtx_payload_type));
        if spec.route == 0 || repair.is_some_and(|(ssrc, _)| ssrc == spec.ssrc) {
            return Err(Refusal::Invalid);
        }
        if let Some(id) = self.subscription_of.get(&spec.route).copied() {
            self.remove_subscription(id);
        }
        self.clear_ssrcs(session_id, [Some(spec.ssrc), repair.map(|(ssrc, _)| ssrc)]);
        self.clear_section(session_id, Name::new(spec.mid.as_bytes()));
        let random = self.next_random();
        let session = self.sessions.get_mut(session_id).ok_or(Refusal::NoSuchTransport)?;
        let stream = self.streams.get_mut(stream_id).ok_or(Refusal::NoSuchSource)?;
        let video = stream.source.kind().is_video();
        let mut subscription =
            Subscription::new(spec.route, session_id, stream_id, video, spec.service);
        subscription.dress.ssrc = spec.ssrc;
        subscription.dress.payload_type = spec.payload_type & 0x7f;
        subscription.dress.red_payload_type = below_128(spec.red_payload_type);
        subscription.dress.mid = Name::new(spec.mid.as_bytes());
        subscription.cname = spec.cname;
        subscription.encrypted = spec.encrypted;
        subscription.cuts_trailer = spec.cut_trailer;
        subscription.playout = spec.playout.map(|bounds| Box::new(playout(bounds)));
        if let Some(line) = session.spent.take_line(spec.ssrc) {
            subscription.go_on(line);
        }
        subscription.repair = repair.map(|(ssrc, payload_type)| {
            let next = session.spent.take_repair(ssrc);
            next.map_or(Repair::new(ssrc, payload_type, (random >> 16) as u16), |next| {
                Repair::after(ssrc, payload_type, next)
            })
        });
        subscription.stamps = (video && repair.is_none()).then(Stamps::default);
        subscription.route.set_scalable(stream.source.is_scalable());
        subscription.route.set_live(stream.source.live());
        subscription.set_muted(now.mono_ns, stream.muted, None);
        if spec.announce
            && let Some((codec, clock_hz)) = session.formats.media(spec.payload_type)
        {
            let kind = announcement(codec, &subscription);
            subscription.route.announce(now.mono_ns, kind, clock_hz, random);
        }
        let fills = subscription.route.blank_deadline().is_some();
        let id = self.subscriptions.insert(subscription).map_err(|_| Refusal::TableFull)?;
        if fills {
            self.fading.push(id);
            self.due_ns = 0;
        }
        stream.routes.push(id);
        session.add_route(spec.ssrc, id);
        self.hold.reserve(self.streams.len() as usize, self.subscriptions.len() as usize);
        self.subscription_of.insert(spec.route, id);
        self.ask_for_waiting(now, stream_id);
        Ok(())
    }

    /// Ends subscriptions of a session that use one of `ssrcs`: two under one SSRC would use the
    /// same numbers.
    fn clear_ssrcs(&mut self, session: SlotId, ssrcs: [Option<u32>; 2]) {
        let Some(routes) = self.sessions.get(session).map(|session| session.routes.clone()) else {
            return;
        };
        for (ssrc, id) in routes {
            let repair = self.subscriptions.get(id).and_then(Subscription::repair_line);
            if ssrcs.contains(&Some(ssrc))
                || repair.is_some_and(|repair| ssrcs.contains(&Some(repair.ssrc)))
            {
                self.remove_subscription(id);
            }
        }
    }

    /// Ends what only fades in a section that carries another track now: its receiver knows nothing
    /// of it any more.
    fn clear_section(&mut self, session: SlotId, mid: Option<Name>) {
        let routes = self.sessions.get(session).map_or(&[][..], |session| &session.routes);
        let fades = |(_, id): &&(u32, SlotId)| {
            let subscription = self.subscriptions.get(*id);
            subscription.is_some_and(|one| one.ending && one.dress.mid == mid)
        };
        let fading = routes.iter().find(fades).map(|(_, id)| *id);
        if let Some(id) = fading.filter(|_| mid.is_some()) {
            self.remove_subscription(id);
        }
    }

    fn set_route(&mut self, now: Now, key: u64, service: Service) -> Result<(), Refusal> {
        let id = self.subscription_of.get(&key).copied().ok_or(Refusal::NoSuchRoute)?;
        let subscription = self.subscriptions.get_mut(id).ok_or(Refusal::NoSuchRoute)?;
        let stream = subscription.stream;
        let silence = self.streams.get(stream).and_then(silence);
        if subscription.set_service(now.mono_ns, service, silence) {
            self.fading.push(id);
            self.due_ns = 0;
        }
        self.ask_for_waiting(now, stream);
        Ok(())
    }

    /// Drops a subscription.
    pub(super) fn remove_subscription(&mut self, id: SlotId) {
        let Some(subscription) = self.subscriptions.remove(id) else { return };
        if self.subscription_of.get(&subscription.key) == Some(&id) {
            self.subscription_of.remove(&subscription.key);
        }
        if let Some(stream) = self.streams.get_mut(subscription.stream) {
            stream.routes.retain(|route| *route != id);
        }
        if let Some(session) = self.sessions.get_mut(subscription.session) {
            session.remove_route(id);
            session.spent.put(subscription.line(), subscription.repair_line());
        }
    }

    /// Ends a subscription that is not wanted any more. Its source may go on.
    fn end_route(&mut self, now: Now, id: SlotId) {
        let stream = self.subscriptions.get(id).map(|subscription| subscription.stream);
        let stream = stream.and_then(|stream| self.streams.get_mut(stream));
        let blank = stream.and_then(|stream| {
            // Nothing of the source's concerns it any more.
            stream.routes.retain(|route| *route != id);
            blank_kind(stream)
        });
        self.end_subscription(now, id, blank);
    }

    /// Lets a subscription end that no source feeds any more: after a moment of silence or black,
    /// where it gets one. Its key is free at once.
    fn end_subscription(&mut self, now: Now, id: SlotId, blank: Option<BlankKind>) {
        let Some(subscription) = self.subscriptions.get_mut(id) else { return };
        if !subscription.end(now.mono_ns, blank) {
            return self.remove_subscription(id);
        }
        if self.subscription_of.get(&subscription.key) == Some(&id) {
            self.subscription_of.remove(&subscription.key);
        }
        self.fading.push(id);
        self.due_ns = 0;
    }

    /// Drops a source and its subscriptions.
    pub(super) fn remove_stream(&mut self, now: Now, id: SlotId) {
        let Some(mut stream) = self.streams.remove(id) else { return };
        if self.stream_of.get(&stream.key) == Some(&id) {
            self.stream_of.remove(&stream.key);
        }
        self.tell_gone(&stream, id);
        let blank = blank_kind(&stream);
        for route in std::mem::take(&mut stream.routes) {
            self.end_subscription(now, route, blank);
        }
        for store in &mut stream.stores {
            if let Some(history) = &mut store.history {
                history.clear(&mut self.pool);
            }
        }
        let repairs = stream.pair_repairs(&[], &mut self.pool);
        self.queued = self.queued.saturating_sub(stream.queued.len());
        if let Some(session) = self.sessions.get_mut(stream.session) {
            session.demux.remove_source(SourceKey(id.bits()));
            session.sources.retain(|source| *source != id);
            for layer in stream.source.layers() {
                for ssrc in [layer.ssrc, layer.rtx_ssrc].into_iter().flatten() {
                    session.transport.remove_stream(ssrc);
                }
            }
            for ssrc in repairs.into_iter().flatten() {
                session.transport.remove_stream(ssrc);
            }
        }
        if !stream.source.kind().is_video() && stream.mirrored.is_none() {
            self.leave_room(stream.room, stream.key);
        }
    }

    /// Drops a transport with all that hangs on it. Its goodbye is sent with the turn.
    pub(super) fn close_session(&mut self, now: Now, id: SlotId) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        let sources = std::mem::take(&mut session.sources);
        let routes = std::mem::take(&mut session.routes);
        let data = session.data.take();
        self.bundlers -= u32::from(std::mem::take(&mut session.bundles));
        session.transport.close();
        if let Some(data) = data {
            self.leave_data(id, &data);
        }
        sources.into_iter().for_each(|source| self.remove_stream(now, source));
        routes.into_iter().for_each(|(_, route)| self.remove_subscription(route));
        // Its key may be another's by now.
        if let Some(session) = self.sessions.get(id)
            && self.session_of.get(&session.key) == Some(&id)
        {
            self.session_of.remove(&session.key);
        }
        // It leaves the tables when its last datagrams are out.
        self.mark_dirty(id);
    }
}

/// Addresses in place of the unspecified ones, which no candidate may have: the dummies of RFC 7600
/// and RFC 6666.
const NAMES: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 8)),
    IpAddr::V6(Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 1)),
];

fn playout(bounds: abi::PlayoutBounds) -> Playout {
    let abi::PlayoutBounds { min_ms, max_ms, adapts } = bounds;
    Playout::new(PlayoutBounds { min_ms, max_ms, adapts })
}

/// A socket's address by family. `[::]` takes both.
fn names(address: SocketAddr) -> Vec<SocketAddr> {
    if !address.ip().is_unspecified() {
        return vec![canonical(address)];
    }
    let families = if address.is_ipv6() { &NAMES[..] } else { &NAMES[..1] };
    families.iter().map(|name| SocketAddr::new(*name, address.port())).collect()
}

fn credentials(credentials: &IceCredentials) -> Result<ice::IceCredentials, Refusal> {
    let (ufrag, password) = (credentials.ufrag.as_bytes(), credentials.password.as_bytes());
    ice::IceCredentials::new(ufrag, password).ok_or(Refusal::Invalid)
}

/// The contract's bits of feedback in the words of `sfu`.
fn feedback(bits: u8) -> Feedback {
    Feedback {
        nack: bits & abi::feedback::NACK != 0,
        pli: bits & abi::feedback::PLI != 0,
        fir: bits & abi::feedback::FIR != 0,
        transport_cc: bits & abi::feedback::TRANSPORT_CC != 0,
    }
}

fn below_128(number: u8) -> Option<u8> {
    (number < 128).then_some(number)
}

/// The contract's codec in the words of `wire`.
fn codec(codec: abi::Codec) -> Codec {
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

/// What is known of a layer's pictures.
pub(super) fn abi_picture(Picture { width, height, fps }: Picture) -> abi::Picture {
    abi::Picture { width, height, fps }
}

/// And back.
pub(super) fn abi_codec(codec: Codec) -> abi::Codec {
    match codec {
        Codec::Opus => abi::Codec::Opus,
        Codec::Red => abi::Codec::Red,
        Codec::Pcmu => abi::Codec::Pcmu,
        Codec::Pcma => abi::Codec::Pcma,
        Codec::Vp8 => abi::Codec::Vp8,
        Codec::Vp9 => abi::Codec::Vp9,
        Codec::H264 => abi::Codec::H264,
        Codec::H265 => abi::Codec::H265,
        Codec::Av1 => abi::Codec::Av1,
    }
}

const _: () = assert!(abi::EXTENSION_KINDS == ExtensionKind::COUNT, "one place for each kind");
