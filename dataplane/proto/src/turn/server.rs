//! The server: takes what clients send, answers, and says what is for whom.

use std::collections::{BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};

use ringway_wire::sniff::{Protocol, sniff};
use ringway_wire::stun::{BINDING, Class, MessageType, StunView, StunWriter, TransactionId};

use super::allocation::{self, Allocation};
use super::attribute::{
    ALLOCATE, CHANNEL_BIND, CHANNELS, CREATE_PERMISSION, DATA, DATA_ATTRIBUTE, LIFETIME, NONCE,
    REALM, REFRESH, Refused, SEND, UDP, XOR_PEER_ADDRESS, XOR_RELAYED_ADDRESS,
};
use super::credentials::{LongTermKey, TurnSecret, Username};
use super::nonce::Nonces;
use super::request::Request;
use super::table::{LinkId, Table};
use super::{Client, TurnDrop, channel_data};

const NS_PER_S: u64 = 1_000_000_000;

/// Answers per second to those who prove nothing and whose address may be somebody else's. Raised:
/// a flood with false addresses is passed on to more of them. Lowered: it keeps real clients out.
const STRANGERS_PER_S: u32 = 4000;

/// REQUESTED-ADDRESS-FAMILY (RFC 8656 18.6).
const IPV4: u8 = 1;
const IPV6: u8 = 2;

/// Now, by two clocks.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Of a clock that only runs forward, ns.
    pub mono_ns: u64,
    /// Unix time, s.
    pub unix_s: u64,
}

/// How a server works.
#[derive(Debug)]
pub struct TurnConfig {
    /// What credentials are made from.
    pub secret: TurnSecret,
    /// Our addresses as clients are told them: the only peers there are, and the first of each
    /// family is what clients get for their own.
    pub addresses: Vec<IpAddr>,
    /// First and last of the ports that clients get for their own. They are only names: nothing is
    /// opened. There are no more allocations than ports.
    pub ports: (u16, u16),
    /// Allocations of one user.
    pub per_user: u32,
}

/// What became of a client's packet.
#[derive(Debug, PartialEq, Eq)]
pub enum Handled<'a> {
    /// So many octets of `out` are the answer.
    Answer(usize),
    /// It is for one of our media ports.
    Relay {
        /// By which way answers find back.
        link: LinkId,
        /// From where it seems to come: the client's relayed address.
        from: SocketAddr,
        /// For which of our addresses.
        peer: SocketAddr,
        /// What the client sent.
        packet: &'a [u8],
    },
    /// It went nowhere.
    Dropped(TurnDrop),
}

/// An allocation that is no more.
#[derive(Debug, PartialEq, Eq)]
pub struct Ended {
    /// Whose it was.
    pub client: Client,
    /// Its relayed address.
    pub relayed: SocketAddr,
    /// Its links, and what the caller noted about each.
    pub links: Vec<(LinkId, Option<u16>)>,
}

/// The server.
pub struct TurnServer {
    config: Option<TurnConfig>,
    /// Media ports that are open.
    ports: BTreeSet<u16>,
    nonces: Nonces,
    table: Table,
    ended: VecDeque<Ended>,
    /// The second that strangers are counted in, and how many were answered.
    strangers: (u64, u32),
    indications: u64,
}

impl std::fmt::Debug for TurnServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TurnServer").field("allocations", &self.table.len()).finish_non_exhaustive()
    }
}

/// A request, with what its answer needs.
struct Asked<'a> {
    client: Client,
    view: StunView<'a>,
    request: Request<'a>,
}

impl TurnServer {
    /// A server that is off. `seed` is of the system's random device.
    pub fn new(seed: &[u8; 32]) -> Self {
        Self {
            config: None,
            ports: BTreeSet::new(),
            nonces: Nonces::new(seed),
            table: Table::default(),
            ended: VecDeque::new(),
            strangers: (0, 0),
            indications: 0,
        }
    }

    /// Turns it on, or changes how it works. Allocations stay, under the credentials that they were
    /// made with.
    pub fn configure(&mut self, config: TurnConfig) {
        self.config = Some(config);
    }

    /// A media port is open from now on.
    pub fn open_port(&mut self, port: u16) {
        self.ports.insert(port);
    }

    /// How many allocations there are.
    pub fn allocations(&self) -> usize {
        self.table.len()
    }

    /// Whether a client has an allocation.
    pub fn knows(&self, client: &Client) -> bool {
        self.table.find(client).is_some()
    }

    /// The caller's note about a link.
    pub fn owner(&mut self, link: LinkId) -> Option<&mut Option<u16>> {
        let (allocation, peer) = self.table.of_link(link)?;
        allocation.owner(peer)
    }

    /// An allocation that has ended since the last call.
    pub fn poll_ended(&mut self) -> Option<Ended> {
        self.ended.pop_front()
    }

    /// Ends what has run out.
    pub fn handle_timeout(&mut self, now: Moment) {
        for slot in self.table.overdue(now.mono_ns) {
            self.end(slot);
        }
    }

    /// A client's connection is closed.
    pub fn handle_closed(&mut self, client: &Client) {
        if let Some(slot) = self.table.find(client) {
            self.end(slot);
        }
    }

    /// Takes a packet or message of `client`; an answer is put into `out`, where 1024 octets are
    /// enough.
    pub fn handle<'a>(
        &mut self,
        now: Moment,
        client: Client,
        packet: &'a [u8],
        out: &mut [u8],
    ) -> Handled<'a> {
        if self.config.is_none() {
            return Handled::Dropped(TurnDrop::Off);
        }
        let handled = match sniff(packet) {
            Protocol::TurnChannel => self.handle_channel_data(now, &client, packet),
            Protocol::Stun => match StunView::parse(packet) {
                Ok(view) => self.handle_stun(now, client, view, out),
                Err(_) => Err(TurnDrop::Malformed),
            },
            _ => Err(TurnDrop::Malformed),
        };
        handled.unwrap_or_else(Handled::Dropped)
    }

    fn handle_channel_data<'a>(
        &mut self,
        now: Moment,
        client: &Client,
        message: &'a [u8],
    ) -> Result<Handled<'a>, TurnDrop> {
        let (channel, packet) = channel_data::parse(message).ok_or(TurnDrop::Malformed)?;
        let slot = self.table.find(client).ok_or(TurnDrop::NoPermission)?;
        let allocation = self.table.get(slot).ok_or(TurnDrop::NoPermission)?;
        let peer = allocation.peer_of_channel(now.mono_ns, channel);
        let peer = peer.ok_or(TurnDrop::NoPermission)?;
        let address = allocation.address(peer).ok_or(TurnDrop::NoPermission)?;
        let (link, from) = (self.table.link(slot, peer), allocation.relayed);
        Ok(Handled::Relay { link, from, peer: address, packet })
    }

    fn handle_stun<'a>(
        &mut self,
        now: Moment,
        client: Client,
        view: StunView<'a>,
        out: &mut [u8],
    ) -> Result<Handled<'a>, TurnDrop> {
        let MessageType { class, method } = view.message_type();
        let request = Request::read(&view).ok_or(TurnDrop::Malformed)?;
        let asked = Asked { client, view, request };
        match (class, method) {
            (Class::Indication, SEND) => self.handle_send(now, &asked),
            (Class::Request, BINDING) => {
                self.admit_stranger(now, &client)?;
                let len = asked.succeed(out, None, |writer| {
                    writer.mapped_address(client.remote);
                });
                len.map(Handled::Answer)
            }
            (Class::Request, ALLOCATE | REFRESH | CREATE_PERMISSION | CHANNEL_BIND) => {
                self.handle_request(now, method, &asked, out).map(Handled::Answer)
            }
            _ => Err(TurnDrop::Unasked),
        }
    }

    fn handle_send<'a>(&mut self, now: Moment, asked: &Asked<'a>) -> Result<Handled<'a>, TurnDrop> {
        let request = &asked.request;
        let (Some(address), Some(packet), []) = (request.peer(), request.data, request.unknown())
        else {
            return Err(TurnDrop::Malformed);
        };
        let slot = self.table.find(&asked.client).ok_or(TurnDrop::NoPermission)?;
        let ours = self.is_ours(address);
        let allocation = self.table.get_mut(slot).ok_or(TurnDrop::NoPermission)?;
        if !ours || !allocation.permits(now.mono_ns, address.ip()) {
            return Err(TurnDrop::NoPermission);
        }
        let peer = allocation.peer(address).ok_or(TurnDrop::NoPermission)?;
        let from = allocation.relayed;
        let link = self.table.link(slot, peer);
        Ok(Handled::Relay { link, from, peer: address, packet })
    }

    fn handle_request(
        &mut self,
        now: Moment,
        method: u16,
        asked: &Asked<'_>,
        out: &mut [u8],
    ) -> Result<usize, TurnDrop> {
        let key = match self.authenticate(now, method, asked) {
            Ok(key) => key,
            Err(refused) => {
                self.admit_stranger(now, &asked.client)?;
                let nonce = self.nonces.make(now.mono_ns / NS_PER_S, &asked.client);
                let nonce = refused.is_challenge().then_some(&nonce[..]);
                return asked.refuse(out, refused, nonce, None);
            }
        };
        let result = if asked.request.unknown().is_empty() {
            match method {
                ALLOCATE => return self.allocate(now, asked, &key, out),
                REFRESH => return self.refresh(now, asked, &key, out),
                CREATE_PERMISSION => self.permit(now, asked),
                _ => self.bind(now, asked),
            }
        } else {
            Err(Refused::UnknownAttribute)
        };
        match result {
            Ok(()) => asked.succeed(out, Some(&key), |_| {}),
            Err(refused) => asked.refuse(out, refused, None, Some(&key)),
        }
    }

    // RFC 8489 9.2.4, in its order.
    fn authenticate(
        &self,
        now: Moment,
        method: u16,
        asked: &Asked<'_>,
    ) -> Result<LongTermKey, Refused> {
        let Asked { client, view, request } = asked;
        let signed = view.signed().ok_or(Refused::Unauthorized)?;
        let (Some(username), Some(realm), Some(nonce)) =
            (view.username(), request.realm, request.nonce)
        else {
            return Err(Refused::BadRequest);
        };
        if !self.nonces.check(now.mono_ns / NS_PER_S, client, nonce) {
            return Err(Refused::StaleNonce);
        }
        if realm != super::REALM.as_bytes() {
            return Err(Refused::Unauthorized);
        }
        let known = self.table.find(client).and_then(|slot| self.table.get(slot));
        let key = match known {
            // RFC 8656 5: all requests for an allocation have the credentials that it was made
            // with. They stay good for it when their time is over.
            Some(allocation) if *allocation.username == *username => allocation.key.clone(),
            Some(_) if method != ALLOCATE => return Err(Refused::WrongCredentials),
            _ => self.fresh_key(now, username)?,
        };
        if key.verify(&signed) { Ok(key) } else { Err(Refused::Unauthorized) }
    }

    fn fresh_key(&self, now: Moment, username: &[u8]) -> Result<LongTermKey, Refused> {
        let name = Username::parse(username).filter(|name| name.expires_s > now.unix_s);
        let config = self.config.as_ref().ok_or(Refused::Unauthorized)?;
        name.map(|name| config.secret.key(&name)).ok_or(Refused::Unauthorized)
    }

    fn allocate(
        &mut self,
        now: Moment,
        asked: &Asked<'_>,
        key: &LongTermKey,
        out: &mut [u8],
    ) -> Result<usize, TurnDrop> {
        let transaction = asked.view.transaction();
        let known = self.table.find(&asked.client).and_then(|slot| self.table.get(slot));
        let made = match known {
            Some(known) if known.transaction == transaction => Ok(known),
            Some(_) => Err(Refused::Mismatch),
            None => make(now, asked, key, self.config.as_ref(), &mut self.table),
        };
        match made {
            Ok(allocation) => asked.succeed(out, Some(key), |writer| {
                writer
                    .address(XOR_RELAYED_ADDRESS, allocation.relayed)
                    .attribute(LIFETIME, &allocation.lifetime_s.to_be_bytes())
                    .mapped_address(asked.client.remote);
            }),
            Err(refused) => asked.refuse(out, refused, None, Some(key)),
        }
    }

    fn refresh(
        &mut self,
        now: Moment,
        asked: &Asked<'_>,
        key: &LongTermKey,
        out: &mut [u8],
    ) -> Result<usize, TurnDrop> {
        let request = &asked.request;
        let slot = self.table.find(&asked.client);
        let Some((slot, allocation)) = slot.zip(slot.and_then(|slot| self.table.get_mut(slot)))
        else {
            return asked.refuse(out, Refused::Mismatch, None, Some(key));
        };
        // RFC 8656 8.2: a family that is not the allocation's is refused with 443.
        let family = if allocation.relayed.is_ipv4() { IPV4 } else { IPV6 };
        if request.family.is_some_and(|wanted| wanted != family) {
            return asked.refuse(out, Refused::PeerFamily, None, Some(key));
        }
        let lifetime_s = if request.lifetime_s == Some(0) {
            self.end(slot);
            0
        } else {
            allocation.refresh(now.mono_ns, request.lifetime_s);
            allocation.lifetime_s
        };
        asked.succeed(out, Some(key), |writer| {
            writer.attribute(LIFETIME, &lifetime_s.to_be_bytes());
        })
    }

    fn permit(&mut self, now: Moment, asked: &Asked<'_>) -> Result<(), Refused> {
        let slot = self.table.find(&asked.client).ok_or(Refused::Mismatch)?;
        let config = self.config.as_ref().ok_or(Refused::Forbidden)?;
        let allocation = self.table.get_mut(slot).ok_or(Refused::Mismatch)?;
        let mut none = true;
        // RFC 8656 10.2: if one cannot be permitted, none is.
        for peer in asked.request.peers().ok_or(Refused::Capacity)? {
            none = false;
            if peer.is_ipv4() != allocation.relayed.is_ipv4() {
                return Err(Refused::PeerFamily);
            }
            if !config.addresses.contains(&peer.ip()) {
                return Err(Refused::Forbidden);
            }
        }
        if none {
            return Err(Refused::BadRequest);
        }
        for peer in asked.request.peers().ok_or(Refused::Capacity)? {
            if !allocation.permit(now.mono_ns, peer.ip()) {
                return Err(Refused::Capacity);
            }
        }
        Ok(())
    }

    fn bind(&mut self, now: Moment, asked: &Asked<'_>) -> Result<(), Refused> {
        let slot = self.table.find(&asked.client).ok_or(Refused::Mismatch)?;
        let (Some(channel), Some(address)) = (asked.request.channel, asked.request.peer()) else {
            return Err(Refused::BadRequest);
        };
        let ours = self.is_ours(address);
        let allocation = self.table.get_mut(slot).ok_or(Refused::Mismatch)?;
        if !CHANNELS.contains(&channel) {
            return Err(Refused::BadRequest);
        }
        if address.is_ipv4() != allocation.relayed.is_ipv4() {
            return Err(Refused::PeerFamily);
        }
        if !ours {
            return Err(Refused::Forbidden);
        }
        let peer = allocation.peer(address).ok_or(Refused::Capacity)?;
        allocation.bind(now.mono_ns, channel, peer).ok_or(Refused::BadRequest)?;
        // RFC 8656 12.2: it "also installs or refreshes a permission" for the address.
        let permitted = allocation.permit(now.mono_ns, address.ip());
        if permitted { Ok(()) } else { Err(Refused::Capacity) }
    }

    /// Puts a packet that comes back by a link into the form in which its client wants it; gives
    /// the client and the length. `None`: nothing may pass.
    pub fn wrap(
        &mut self,
        now: Moment,
        link: LinkId,
        packet: &[u8],
        out: &mut [u8],
    ) -> Option<(Client, usize)> {
        let (allocation, peer) = self.table.of_link(link)?;
        let client = allocation.client;
        if let Some(channel) = allocation.channel(now.mono_ns, peer) {
            let len = channel_data::write(channel, packet, client.stream.is_some(), out)?;
            return Some((client, len));
        }
        let address = allocation.address(peer)?;
        if !allocation.permits(now.mono_ns, address.ip()) {
            return None;
        }
        self.indications += 1;
        let mut transaction = TransactionId::default();
        transaction.0[4..].copy_from_slice(&self.indications.to_be_bytes());
        let data = MessageType { class: Class::Indication, method: DATA };
        let len = StunWriter::new(out, data, transaction)
            .address(XOR_PEER_ADDRESS, address)
            .attribute(DATA_ATTRIBUTE, packet)
            .finish()
            .ok()?;
        Some((client, len))
    }

    #[cfg(test)]
    pub(super) fn nonces(&self) -> &Nonces {
        &self.nonces
    }

    fn is_ours(&self, peer: SocketAddr) -> bool {
        let config = self.config.as_ref();
        self.ports.contains(&peer.port())
            && config.is_some_and(|config| config.addresses.contains(&peer.ip()))
    }

    /// Whether one more who proves nothing is answered. Addresses of streams are true.
    fn admit_stranger(&mut self, now: Moment, client: &Client) -> Result<(), TurnDrop> {
        let second = now.mono_ns / NS_PER_S;
        if self.strangers.0 != second {
            self.strangers = (second, 0);
        }
        if client.stream.is_none() {
            self.strangers.1 += 1;
        }
        if self.strangers.1 > STRANGERS_PER_S && client.stream.is_none() {
            return Err(TurnDrop::Flood);
        }
        Ok(())
    }

    fn end(&mut self, slot: u32) {
        let Some(allocation) = self.table.get(slot) else { return };
        let link = |peer| self.table.link(slot, peer);
        let names: Vec<LinkId> = (0..allocation.peers()).map(link).collect();
        let Some(mut allocation) = self.table.remove(slot) else { return };
        let links = names.into_iter().zip(0..).map(|(link, peer)| {
            let owner = allocation.owner(peer).and_then(|owner| *owner);
            (link, owner)
        });
        let links = links.collect();
        let Allocation { client, relayed, .. } = *allocation;
        self.ended.push_back(Ended { client, relayed, links });
    }
}

// RFC 8656 7.2, in its order.
fn make<'t>(
    now: Moment,
    asked: &Asked<'_>,
    key: &LongTermKey,
    config: Option<&TurnConfig>,
    table: &'t mut Table,
) -> Result<&'t Allocation, Refused> {
    let request = &asked.request;
    let config = config.ok_or(Refused::Forbidden)?;
    match request.transport {
        None => return Err(Refused::BadRequest),
        Some(UDP) => {}
        Some(_) => return Err(Refused::Transport),
    }
    if request.reserves {
        return Err(Refused::Capacity);
    }
    let wants_ipv4 = match request.family {
        None | Some(IPV4) => true,
        Some(IPV6) => false,
        Some(_) => return Err(Refused::Family),
    };
    let ip = config.addresses.iter().find(|ip| ip.is_ipv4() == wants_ipv4);
    let ip = *ip.ok_or(Refused::Family)?;
    let name = asked.view.username().and_then(Username::parse).ok_or(Refused::Unauthorized)?;
    let wanted = allocation::Request {
        client: asked.client,
        username: name.whole,
        user: name.user,
        key: key.clone(),
        transaction: asked.view.transaction(),
        lifetime_s: request.lifetime_s,
    };
    table.allocate(now.mono_ns, &wanted, ip, config.ports, config.per_user)
}

impl Asked<'_> {
    fn succeed(
        &self,
        out: &mut [u8],
        key: Option<&LongTermKey>,
        write: impl FnOnce(&mut StunWriter<'_>),
    ) -> Result<usize, TurnDrop> {
        let kind = MessageType { class: Class::Success, ..self.view.message_type() };
        let mut writer = StunWriter::new(out, kind, self.view.transaction());
        write(&mut writer);
        self.finish(writer, key)
    }

    fn refuse(
        &self,
        out: &mut [u8],
        refused: Refused,
        nonce: Option<&[u8]>,
        key: Option<&LongTermKey>,
    ) -> Result<usize, TurnDrop> {
        let kind = MessageType { class: Class::Error, ..self.view.message_type() };
        let mut writer = StunWriter::new(out, kind, self.view.transaction());
        let (code, reason) = refused.code();
        writer.error_code(code, reason);
        if let Some(nonce) = nonce {
            writer.attribute(REALM, super::REALM.as_bytes()).attribute(NONCE, nonce);
        }
        if refused == Refused::UnknownAttribute {
            writer.unknown_attributes(self.request.unknown());
        }
        self.finish(writer, key)
    }

    fn finish(
        &self,
        mut writer: StunWriter<'_>,
        key: Option<&LongTermKey>,
    ) -> Result<usize, TurnDrop> {
        if let Some(key) = key {
            writer.integrity(|message| key.sign(message));
        }
        // Who fingerprints its messages tells ours by the same.
        if self.view.has_fingerprint() {
            writer.fingerprint();
        }
        writer.finish().map_err(|_| TurnDrop::Malformed)
    }
}
