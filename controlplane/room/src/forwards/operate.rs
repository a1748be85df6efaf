//! Operations: begun, ended, taken back.

use std::collections::HashSet;

use super::{Effect, Forwards, counts_of};
use crate::draft::{DestinationPatch, ForwardPatch};
use crate::entry::{Active, Asked, Entry, Kind, Undo};
use crate::id::{DestinationId, ForwardId};
use crate::operation::{Operation, Rejection, RejectionKind, Reply};
use crate::patch;
use crate::placement;
use crate::spec::{Destination, Forward, Input};
use crate::validate::{self, NewDestination, NewForward};

impl Active {
    /// Whether a refusal of destination `key` is this operation's to answer for.
    pub(crate) fn blames(&self, key: u64) -> bool {
        let asks = match &self.kind {
            Kind::Create | Kind::AddDestinations { .. } => true,
            Kind::UpdateDestination(changed) => *changed == key,
            Kind::Update | Kind::Delete | Kind::RemoveDestination => false,
        };
        asks && self.waits_for.contains(&key)
    }
}

/// What beginning an operation comes to.
type Begun = Result<Option<Reply>, Rejection>;

impl Forwards {
    /// Begins an operation; its forward carries out no other. The caller advances the forward.
    pub(super) fn start(&mut self, now_ms: u64, asked: Asked) {
        let request = asked.request;
        let begun = match asked.operation {
            Operation::Create(new) => self.create(request, *new),
            Operation::Update(id, patch) => self.update(now_ms, request, id, patch),
            Operation::Delete(id) => self.delete(request, id),
            Operation::AddDestinations(id, new) => self.add_destinations(request, id, new),
            Operation::UpdateDestination(id, destination, patch) => {
                self.update_destination(request, id, destination, patch)
            }
            Operation::RemoveDestination(id, destination) => {
                self.remove_destination(request, id, destination)
            }
        };
        match begun {
            Ok(None) => {}
            Ok(Some(reply)) => self.answer(request, Ok(reply)),
            Err(rejection) => self.answer(request, Err(rejection)),
        }
    }

    fn create(&mut self, request: u64, new: NewForward) -> Begun {
        let id = new.forward.id;
        if let Some(entry) = self.entries.get(&id) {
            return self.found(entry, &new).map(Some);
        }
        if !self.is_joined() {
            return Err(Rejection::away());
        }
        if self.ids.contains_key(&new.forward.key) {
            let message = "id is too like the id of another forward: choose another";
            return Err(conflict("id_taken", message, "id"));
        }
        if self.entries.len() >= self.limits.forwards {
            let message = format!(
                "there are {} forwards already: raise limits.max_forwards in the configuration or \
                 delete some",
                self.entries.len()
            );
            return Err(Rejection::new(
                RejectionKind::Conflict,
                "too_many_forwards",
                message,
                None,
            ));
        }
        if let Some(other) = self.collision(id, &new.forward.input) {
            let message = format!("input.port is taken by forward {other}: choose another");
            return Err(conflict("port_in_use", message, "input.port"));
        }
        let mut forward = new.forward;
        forward.shard = placement::forward(&mut self.loads);
        let mut counts = vec![0; self.shards.len()];
        for destination in forward.destinations.values_mut() {
            destination.shard = placement::destination(forward.shard, &mut counts, &mut self.loads);
        }
        let waits_for = forward.destinations.keys().copied().collect();
        self.ids.insert(forward.key, id);
        let mut entry = Entry::new(forward, false);
        let (kind, undo) = (Kind::Create, Undo::Forget);
        entry.active = Some(Active { request, kind, waits_for_input: true, waits_for, undo });
        self.entries.insert(id, entry);
        Ok(None)
    }

    /// Another forward that holds a port of `input`.
    pub(super) fn collision(&self, id: ForwardId, input: &Input) -> Option<ForwardId> {
        let mut others = self.entries.values().filter_map(|entry| entry.wanted.as_ref());
        others.find(|other| other.id != id && other.input.collides(input)).map(|other| other.id)
    }

    /// The id is there: the same request again, or another one that took the same id?
    fn found(&self, entry: &Entry, new: &NewForward) -> Result<Reply, Rejection> {
        let asked = &new.forward;
        let same = entry.visible().is_some_and(|there| {
            let pairs = there.destinations.values().zip(asked.destinations.values());
            there.name == asked.name
                && there.input.same_request(&asked.input)
                && there.destinations.len() == asked.destinations.len()
                && pairs
                    .zip(&new.named)
                    .all(|((a, b), named)| a.same_request(b) && (!named || a.id == b.id))
        });
        match entry.view(self.is_joined()) {
            Some(view) if same => Ok(Reply::Forward { view: Box::new(view), created: false }),
            _ => {
                let message = format!("forward {} exists with other content", asked.id);
                Err(conflict("already_exists", message, "id"))
            }
        }
    }

    fn update(&mut self, now_ms: u64, request: u64, id: ForwardId, patch: ForwardPatch) -> Begun {
        let joined = self.is_joined();
        let entry = self.visible_mut(id)?;
        let Some(before) = entry.wanted.clone() else { return Err(Rejection::no_forward(id)) };
        let after = patch::forward(patch, &before)?;
        let changes_input = after.input != before.input;
        if changes_input && !joined {
            return Err(Rejection::away());
        }
        entry.wanted = Some(after);
        if let Some(failure) = entry.failure.as_mut().filter(|_| changes_input) {
            failure.retry_at_ms = now_ms;
        }
        let waits_for_input = changes_input && !entry.is_failed();
        entry.active = Some(Active {
            request,
            kind: Kind::Update,
            waits_for_input,
            waits_for: HashSet::new(),
            undo: Undo::Restore(Box::new(before)),
        });
        Ok(None)
    }

    fn delete(&mut self, request: u64, id: ForwardId) -> Begun {
        let entry = self.visible_mut(id)?;
        entry.wanted = None;
        entry.failure = None;
        entry.active = Some(Active {
            request,
            kind: Kind::Delete,
            waits_for_input: true,
            waits_for: HashSet::new(),
            undo: Undo::Stored,
        });
        self.effects.push_back(Effect::Forget(id));
        Ok(None)
    }

    fn add_destinations(&mut self, request: u64, id: ForwardId, new: Vec<NewDestination>) -> Begun {
        let (limits, shards, joined) = (self.limits, self.shards.len(), self.is_joined());
        let entry = self.entries.get_mut(&id).filter(|entry| entry.visible().is_some());
        let entry = entry.ok_or_else(|| Rejection::no_forward(id))?;
        let Some(before) = entry.wanted.clone() else { return Err(Rejection::no_forward(id)) };
        let mut after = before.clone();
        let keys: Vec<u64> = new.iter().map(|new| new.destination.key).collect();
        let paths = new.iter().map(|new| (new.destination.key, new.path.clone())).collect();
        let mut counts = counts_of(&after, shards);
        let mut added = HashSet::new();
        for NewDestination { mut destination, path, .. } in new {
            validate::reachable(&after.input, &destination, &path)?;
            if let Some(there) = after.destinations.get(&destination.key) {
                if there.id != destination.id || !there.same_request(&destination) {
                    let field = if path.is_empty() { "id".to_owned() } else { path + ".id" };
                    let message = format!("destination {} exists with other content", there.id);
                    return Err(conflict("already_exists", message, &field));
                }
                continue;
            }
            if !joined {
                return Err(Rejection::away());
            }
            if after.destinations.len() >= limits.destinations_per_forward {
                return Err(validate::too_many(limits).into());
            }
            destination.shard = placement::destination(after.shard, &mut counts, &mut self.loads);
            added.insert(destination.key);
            after.destinations.insert(destination.key, destination);
        }
        let created = !added.is_empty();
        let waits_for = if entry.is_failed() { HashSet::new() } else { added };
        entry.wanted = Some(after);
        entry.mark_changes(&before);
        entry.active = Some(Active {
            request,
            kind: Kind::AddDestinations { keys, paths, created },
            waits_for_input: false,
            waits_for,
            undo: Undo::Restore(Box::new(before)),
        });
        Ok(None)
    }

    fn update_destination(
        &mut self,
        request: u64,
        id: ForwardId,
        destination: DestinationId,
        patch: DestinationPatch,
    ) -> Begun {
        let joined = self.is_joined();
        let entry = self.visible_mut(id)?;
        let Some(before) = entry.wanted.clone() else { return Err(Rejection::no_forward(id)) };
        let mut after = before.clone();
        let there = find(&mut after, destination)?;
        let next = patch::destination(patch, there)?;
        let changed = next != *there;
        *there = next;
        validate::reachable(&after.input, &next, "")?;
        if changed && !joined {
            return Err(Rejection::away());
        }
        let waits = changed && !entry.is_failed();
        entry.wanted = Some(after);
        entry.failures.remove(&next.key);
        entry.mark_changes(&before);
        entry.active = Some(Active {
            request,
            kind: Kind::UpdateDestination(next.key),
            waits_for_input: false,
            waits_for: waits.then_some(next.key).into_iter().collect(),
            undo: Undo::Restore(Box::new(before)),
        });
        Ok(None)
    }

    fn remove_destination(
        &mut self,
        request: u64,
        id: ForwardId,
        destination: DestinationId,
    ) -> Begun {
        let joined = self.is_joined();
        let entry = self.visible_mut(id)?;
        let Some(forward) = entry.wanted.as_mut() else { return Err(Rejection::no_forward(id)) };
        let key = find(forward, destination)?.key;
        forward.destinations.shift_remove(&key);
        entry.failures.remove(&key);
        entry.dirty.insert(key);
        let waits = joined && !entry.is_failed();
        entry.active = Some(Active {
            request,
            kind: Kind::RemoveDestination,
            waits_for_input: false,
            waits_for: waits.then_some(key).into_iter().collect(),
            undo: Undo::Stored,
        });
        self.store(id);
        Ok(None)
    }

    /// Ends the active operation if all that it waits for has come true.
    pub(super) fn settle(&mut self, id: ForwardId, gone: bool) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        let Some(active) = &entry.active else { return };
        let done = match active.kind {
            Kind::Delete => gone,
            _ => !active.waits_for_input && active.waits_for.is_empty(),
        };
        if !done {
            return;
        }
        let Some(active) = entry.active.take() else { return };
        entry.accepted = true;
        if !matches!(active.undo, Undo::Stored) {
            self.store(id);
        }
        let view = self.entries.get(&id).and_then(|entry| entry.view(self.is_joined()));
        let reply = match (active.kind, view.map(Box::new)) {
            (Kind::Delete | Kind::RemoveDestination, _) => Ok(Reply::Removed),
            (_, None) => Err(Rejection::no_forward(id)),
            (Kind::Create, Some(view)) => Ok(Reply::Forward { view, created: true }),
            (Kind::Update, Some(view)) => Ok(Reply::Forward { view, created: false }),
            (Kind::AddDestinations { keys, created, .. }, Some(view)) => {
                Ok(Reply::Destinations { view, keys, created })
            }
            (Kind::UpdateDestination(key), Some(view)) => {
                Ok(Reply::Destinations { view, keys: vec![key], created: false })
            }
        };
        self.answer(active.request, reply);
    }

    /// Takes the active operation back and answers why. The caller advances the forward.
    pub(super) fn undo(&mut self, now_ms: u64, id: ForwardId, rejection: Rejection) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        let Some(active) = entry.active.take() else { return };
        match active.undo {
            Undo::Forget => {
                entry.wanted = None;
                entry.failure = None;
            }
            Undo::Restore(before) => {
                let undone = entry.wanted.replace(*before);
                if let Some(undone) = undone {
                    entry.mark_changes(&undone);
                }
                let wanted = entry.wanted.as_ref();
                let known = |key: &u64| wanted.is_some_and(|f| f.destinations.contains_key(key));
                entry.failures.retain(|key, _| known(key));
                if let Some(failure) = &mut entry.failure {
                    failure.retry_at_ms = now_ms;
                }
            }
            Undo::Stored => {}
        }
        self.answer(active.request, Err(rejection));
    }

    /// Nobody answered in time.
    pub(super) fn time_out(&mut self, now_ms: u64, id: ForwardId, request: u64) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        if entry.active.as_ref().is_some_and(|active| active.request == request) {
            self.undo(now_ms, id, Rejection::timed_out());
            return self.advance(now_ms, id);
        }
        if let Some(index) = entry.queue.iter().position(|asked| asked.request == request) {
            entry.queue.remove(index);
            self.answer(request, Err(Rejection::timed_out()));
        }
    }

    /// The data plane is gone: what needs it is taken back, what is stored is done.
    pub(super) fn abandon(&mut self, now_ms: u64, id: ForwardId) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        match &mut entry.active {
            Some(Active { undo: Undo::Stored, waits_for, .. }) => waits_for.clear(),
            Some(_) => self.undo(now_ms, id, Rejection::away()),
            None => {}
        }
    }

    fn visible_mut(&mut self, id: ForwardId) -> Result<&mut Entry, Rejection> {
        let entry = self.entries.get_mut(&id).filter(|entry| entry.visible().is_some());
        entry.ok_or_else(|| Rejection::no_forward(id))
    }
}

fn find(forward: &mut Forward, id: DestinationId) -> Result<&mut Destination, Rejection> {
    let there = forward.destinations.get_mut(&id.key()).filter(|there| there.id == id);
    there.ok_or_else(|| Rejection::no_destination(id))
}

fn conflict(code: &'static str, message: impl Into<String>, field: &str) -> Rejection {
    Rejection::new(RejectionKind::Conflict, code, message, Some(field))
}
