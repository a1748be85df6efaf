//! All allocations: found by client and by link, counted by user and by network.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::net::{IpAddr, SocketAddr};

use super::Client;
use super::allocation::{Allocation, MAX_PEERS, Request};
use super::attribute::Refused;

/// Allocations in all. Raised: more memory, and more than one thread can serve anyway. Lowered:
/// clients are refused that it could serve.
const MAX_ALLOCATIONS: u32 = 1 << SLOT_BITS;
/// Allocations of one network: many people may stand behind one address, each with two.
const MAX_OF_A_NETWORK: u32 = 2048;

const PEER_BITS: u32 = 4;
const SLOT_BITS: u32 = 13;
const GENERATION_BITS: u32 = 14;
const _: () = assert!(MAX_PEERS == 1 << PEER_BITS);
const _: () = assert!(PEER_BITS + SLOT_BITS + GENERATION_BITS == LinkId::BITS);

/// Names an allocation and one of its peers for as long as the allocation lives, and for some time
/// nothing after that. [`LinkId::BITS`] of it count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LinkId(pub u32);

impl LinkId {
    /// Bits that a link's number has.
    pub const BITS: u32 = 31;

    fn new(generation: u32, slot: u32, peer: u8) -> Self {
        let generation = generation & ((1 << GENERATION_BITS) - 1);
        Self((generation << SLOT_BITS | slot) << PEER_BITS | u32::from(peer))
    }

    fn peer(self) -> u8 {
        (self.0 & ((1 << PEER_BITS) - 1)) as u8
    }

    fn slot(self) -> u32 {
        self.0 >> PEER_BITS & ((1 << SLOT_BITS) - 1)
    }
}

#[derive(Debug, Default)]
struct Slot {
    generation: u32,
    allocation: Option<Box<Allocation>>,
}

/// The table.
#[derive(Debug, Default)]
pub(super) struct Table {
    slots: Vec<Slot>,
    /// The one that is free for the longest time is taken first: stale links stay stale long.
    free: VecDeque<u32>,
    by_client: HashMap<Client, u32>,
    of_user: HashMap<Box<[u8]>, u32>,
    of_network: HashMap<u64, u32>,
}

impl Table {
    /// Makes an allocation at `ip`, on one of `ports`, each of which has one allocation only.
    pub(super) fn allocate(
        &mut self,
        now_ns: u64,
        request: &Request<'_>,
        ip: IpAddr,
        ports: (u16, u16),
        per_user: u32,
    ) -> Result<&Allocation, Refused> {
        let network = network(request.client.remote.ip());
        let count = |counted: Option<&u32>| counted.copied().unwrap_or(0);
        if count(self.of_user.get(request.user)) >= per_user
            || count(self.of_network.get(&network)) >= MAX_OF_A_NETWORK
        {
            return Err(Refused::Quota);
        }
        let capacity = MAX_ALLOCATIONS.min(u32::from(ports.1.saturating_sub(ports.0)) + 1);
        let fresh = self.slots.len() as u32;
        // Slots beyond a range that has become smaller wait for better times.
        let usable = self.free.iter().position(|slot| *slot < capacity);
        let slot = match usable.and_then(|at| self.free.remove(at)) {
            Some(slot) => slot,
            None if fresh < capacity => {
                self.slots.push(Slot::default());
                fresh
            }
            None => return Err(Refused::Capacity),
        };
        let relayed = SocketAddr::new(ip, ports.0 + slot as u16);
        let allocation = Box::new(Allocation::new(now_ns, request, relayed));
        self.by_client.insert(request.client, slot);
        *self.of_user.entry(request.user.into()).or_default() += 1;
        *self.of_network.entry(network).or_default() += 1;
        let place = &mut self.slots[slot as usize].allocation;
        Ok(place.insert(allocation))
    }

    /// Whether a client has an allocation.
    pub(super) fn find(&self, client: &Client) -> Option<u32> {
        self.by_client.get(client).copied()
    }

    pub(super) fn get(&self, slot: u32) -> Option<&Allocation> {
        self.slots.get(slot as usize)?.allocation.as_deref()
    }

    pub(super) fn get_mut(&mut self, slot: u32) -> Option<&mut Allocation> {
        self.slots.get_mut(slot as usize)?.allocation.as_deref_mut()
    }

    /// How a peer of an allocation is named.
    pub(super) fn link(&self, slot: u32, peer: u8) -> LinkId {
        let generation = self.slots.get(slot as usize).map_or(0, |slot| slot.generation);
        LinkId::new(generation, slot, peer)
    }

    /// The allocation and the peer that a link names.
    pub(super) fn of_link(&mut self, link: LinkId) -> Option<(&mut Allocation, u8)> {
        let (slot, peer) = (link.slot(), link.peer());
        let same = self.link(slot, peer) == link;
        let allocation = self.get_mut(slot).filter(|_| same)?;
        (peer < allocation.peers()).then_some((allocation, peer))
    }

    /// Takes an allocation out; its links are stale from now on.
    pub(super) fn remove(&mut self, slot: u32) -> Option<Box<Allocation>> {
        let place = self.slots.get_mut(slot as usize)?;
        let allocation = place.allocation.take()?;
        place.generation = place.generation.wrapping_add(1);
        self.free.push_back(slot);
        self.by_client.remove(&allocation.client);
        discount(&mut self.of_user, &allocation.user);
        discount(&mut self.of_network, &network(allocation.client.remote.ip()));
        Some(allocation)
    }

    /// The allocations that have run out.
    pub(super) fn overdue(&self, now_ns: u64) -> Vec<u32> {
        let over = |slot: &u32| self.get(*slot).is_some_and(|one| one.expires_ns <= now_ns);
        (0..self.slots.len() as u32).filter(over).collect()
    }

    pub(super) fn len(&self) -> usize {
        self.by_client.len()
    }
}

fn discount<K: Hash + Eq + ?Sized, Q: Hash + Eq + std::borrow::Borrow<K>>(
    counts: &mut HashMap<Q, u32>,
    key: &K,
) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

/// An IPv4 address, or the 64 bits of an IPv6 address that a site is given as a whole.
fn network(ip: IpAddr) -> u64 {
    match ip.to_canonical() {
        IpAddr::V4(ip) => u64::from(ip.to_bits()),
        // No such prefix is given to anybody below 2000::/3, so the two do not meet.
        IpAddr::V6(ip) => (ip.to_bits() >> 64) as u64 | 1 << 63,
    }
}
