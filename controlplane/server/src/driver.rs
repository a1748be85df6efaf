//! The one task that owns the domain: takes requests of HTTP handlers and words of the data plane,
//! turns the crank of [`Forwards`] and carries out what comes out.
//!
//! All input that is waiting is taken as one batch; its changes are one transaction, durable before
//! the batch's commands are sent and its answers given. If the store refuses, the requests of the
//! batch are told so and the domain starts again from what is stored, as after a crash.

use std::collections::HashMap;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use ringway_room::{
    Counts, Effect, ForwardId, Forwards, Limits, Operation, Page, Rejection, Reply, View,
};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use crate::error::ApiError;
use crate::link::{Commands, LinkEvent, Plane};
use crate::store::{Change, Store, StoreError};

/// Requests that may wait for the driver. More would answer later than their clients wait.
const WAITING_MAX: usize = 1024;
/// Input taken as one batch: larger makes fewer transactions, smaller answers the first one sooner.
const BATCH_MAX: usize = 256;
/// How often shards are asked how busy they are.
const LOAD_INTERVAL: Duration = Duration::from_secs(1);
/// After this a handler no longer waits: longer than the domain takes to give up by itself.
const PATIENCE: Duration = Duration::from_secs(10);

enum Ask {
    Operation(Operation, oneshot::Sender<Result<Reply, Rejection>>),
    Get(ForwardId, oneshot::Sender<Option<View>>),
    List(Option<ForwardId>, usize, oneshot::Sender<Page>),
    Counts(oneshot::Sender<Counts>),
}

/// What handlers know of the driver.
#[derive(Clone)]
pub struct Driver(mpsc::Sender<Ask>);

impl Driver {
    /// Carries out an operation.
    pub async fn operate(&self, operation: Operation) -> Result<Reply, ApiError> {
        let result = self.ask(|reply| Ask::Operation(operation, reply)).await?;
        result.map_err(ApiError::from)
    }

    /// One forward.
    pub async fn get(&self, id: ForwardId) -> Result<View, ApiError> {
        let view = self.ask(|reply| Ask::Get(id, reply)).await?;
        view.ok_or_else(|| Rejection::no_forward(id).into())
    }

    /// Forwards after `after`.
    pub async fn list(&self, after: Option<ForwardId>, limit: usize) -> Result<Page, ApiError> {
        self.ask(|reply| Ask::List(after, limit, reply)).await
    }

    /// How many there are. Also the proof that the driver lives.
    pub async fn counts(&self) -> Result<Counts, ApiError> {
        self.ask(Ask::Counts).await
    }

    async fn ask<T>(&self, ask: impl FnOnce(oneshot::Sender<T>) -> Ask) -> Result<T, ApiError> {
        let (reply, answer) = oneshot::channel();
        let exchange = async {
            self.0.send(ask(reply)).await.ok()?;
            answer.await.ok()
        };
        match tokio::time::timeout(PATIENCE, exchange).await {
            Ok(Some(value)) => Ok(value),
            Ok(None) => {
                let status = StatusCode::INTERNAL_SERVER_ERROR;
                let message = "the store refused the change, which has been dropped: look at the \
                               log of ringway-controlplane and at the space on its disk";
                Err(ApiError::new(status, "store_failed", message))
            }
            Err(_) => {
                let message = "the control plane is overloaded: try again later";
                Err(ApiError::new(StatusCode::GATEWAY_TIMEOUT, "overloaded", message))
            }
        }
    }
}

/// The task's state.
pub struct DriverTask {
    limits: Limits,
    forwards: Forwards,
    store: Arc<Store>,
    asks: mpsc::Receiver<Ask>,
    link: mpsc::Receiver<LinkEvent>,
    commands: Option<Commands>,
    plane: Plane,
    started: Instant,
    answers: HashMap<u64, oneshot::Sender<Result<Reply, Rejection>>>,
    next_request: u64,
    /// Readings, answered when the batch is carried out: they never show what is not stored.
    readings: Vec<Ask>,
    busy_ns: Vec<u64>,
    sampled: Instant,
}

impl DriverTask {
    /// Takes up what is stored.
    pub fn new(
        limits: Limits,
        store: Store,
        link: mpsc::Receiver<LinkEvent>,
        plane: Plane,
    ) -> Result<(Self, Driver), StoreError> {
        let (sender, asks) = mpsc::channel(WAITING_MAX);
        let stored = store.load()?;
        tracing::info!(forwards = stored.len(), "the store is open");
        let now = Instant::now();
        let task = Self {
            limits,
            forwards: Forwards::new(limits, stored),
            store: Arc::new(store),
            asks,
            link,
            commands: None,
            plane,
            started: now,
            answers: HashMap::new(),
            next_request: 0,
            readings: Vec::new(),
            busy_ns: Vec::new(),
            sampled: now,
        };
        Ok((task, Driver(sender)))
    }

    /// Runs until nobody can ask any more, or the store fails and cannot be opened again.
    pub async fn run(mut self) -> Result<(), StoreError> {
        loop {
            let deadline = self.forwards.deadline().map(|ms| self.at(ms));
            tokio::select! {
                ask = self.asks.recv() => match ask {
                    Some(ask) => {
                        self.take_events();
                        self.take_ask(ask);
                    }
                    None => return Ok(()),
                },
                Some(event) = self.link.recv() => self.take_event(event),
                () = async { match deadline {
                    Some(at) => sleep_until(at).await,
                    None => pending().await,
                } } => self.forwards.handle_timeout(self.now_ms()),
                () = sleep_until(self.sampled + LOAD_INTERVAL) => self.sample_loads(),
            }
            for _ in 1..BATCH_MAX {
                let ask = self.asks.try_recv();
                self.take_events();
                let Ok(ask) = ask else { break };
                self.take_ask(ask);
            }
            self.carry_out().await?;
        }
    }

    /// Takes what the link has said by now. An ask that is already here may follow from it: a
    /// client that heard that the data plane is there asks for something at once.
    fn take_events(&mut self) {
        for _ in 0..self.link.len() {
            let Ok(event) = self.link.try_recv() else { return };
            self.take_event(event);
        }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// The instant of a time of [`DriverTask::now_ms`], not before it: rounding must not spin.
    fn at(&self, ms: u64) -> Instant {
        self.started + Duration::from_millis(ms.min(u64::from(u32::MAX) * 1000))
    }

    fn take_ask(&mut self, ask: Ask) {
        match ask {
            Ask::Operation(operation, reply) => {
                let request = self.next_request;
                self.next_request += 1;
                self.answers.insert(request, reply);
                self.forwards.handle_operation(self.now_ms(), request, operation);
            }
            reading => self.readings.push(reading),
        }
    }

    fn take_event(&mut self, event: LinkEvent) {
        let now_ms = self.now_ms();
        match event {
            LinkEvent::Joined { shards, commands } => {
                self.commands = Some(commands);
                self.busy_ns = vec![0; usize::from(shards)];
                self.forwards.handle_joined(now_ms, shards);
            }
            LinkEvent::Said(shard, event) => self.forwards.handle_event(now_ms, shard, event),
            LinkEvent::Lost => {
                self.commands = None;
                self.forwards.handle_lost(now_ms);
            }
        }
    }

    fn sample_loads(&mut self) {
        let elapsed_us = u64::try_from(self.sampled.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.sampled = Instant::now();
        let mut permille = Vec::with_capacity(self.busy_ns.len());
        for (shard, before_ns) in self.busy_ns.iter_mut().enumerate() {
            let now_ns = self.plane.busy_ns(shard as u16).unwrap_or(*before_ns);
            let busy_ns = now_ns.saturating_sub(std::mem::replace(before_ns, now_ns));
            let share = busy_ns / elapsed_us.max(1);
            permille.push(u32::try_from(share).unwrap_or(u32::MAX).min(1000));
        }
        self.forwards.handle_loads(&permille);
    }

    async fn carry_out(&mut self) -> Result<(), StoreError> {
        if let Err(error) = self.carry_out_batch().await {
            tracing::error!(%error, "changes are refused; starting again from what is stored");
            self.start_again()?;
            self.carry_out_batch().await?;
        }
        for reading in std::mem::take(&mut self.readings) {
            // An error only means that the client has gone.
            let _ = match reading {
                Ask::Get(id, reply) => reply.send(self.forwards.get(id)).is_ok(),
                Ask::List(after, limit, reply) => {
                    reply.send(self.forwards.list(after, limit)).is_ok()
                }
                Ask::Counts(reply) => reply.send(self.forwards.counts()).is_ok(),
                Ask::Operation(..) => true,
            };
        }
        Ok(())
    }

    async fn carry_out_batch(&mut self) -> Result<(), StoreError> {
        let effects: Vec<Effect> = std::iter::from_fn(|| self.forwards.poll_effect()).collect();
        let mut changes = Vec::new();
        let mut rest = Vec::with_capacity(effects.len());
        for effect in effects {
            match effect {
                Effect::Store(forward) => changes.push(Change::Put(forward)),
                Effect::Forget(id) => changes.push(Change::Remove(id)),
                other => rest.push(other),
            }
        }
        if !changes.is_empty() {
            let store = Arc::clone(&self.store);
            let written = tokio::task::spawn_blocking(move || store.write(&changes)).await;
            written.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))?;
        }
        for effect in rest {
            match effect {
                Effect::Send(shard, command) => {
                    if let Some(commands) = &self.commands {
                        commands.send(shard, command);
                    }
                }
                Effect::Answer(request, result) => {
                    if let Some(reply) = self.answers.remove(&request) {
                        // An error only means that the client has gone.
                        let _ = reply.send(result);
                    }
                }
                Effect::Store(_) | Effect::Forget(_) => {}
            }
        }
        Ok(())
    }

    fn start_again(&mut self) -> Result<(), StoreError> {
        self.answers.clear();
        let store = Arc::get_mut(&mut self.store).expect("a write holds it only while it runs");
        store.reopen()?;
        self.forwards = Forwards::new(self.limits, self.store.load()?);
        if self.commands.is_some() {
            self.forwards.handle_joined(self.now_ms(), self.busy_ns.len() as u16);
        }
        Ok(())
    }
}
