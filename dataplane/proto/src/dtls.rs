//! DTLS of one peer connection: the wrapper of `ringway-dtls`, made so that its work can be done
//! elsewhere.
//!
//! A handshake costs the CPU as much as hundreds of packets, so a shard must not do it while it
//! forwards. [`DtlsLink`] stays with the transport and only collects what is to be done;
//! [`DtlsWork`] is that work together with the session it is done on, may be sent to another
//! thread, and comes back as [`DtlsDone`]. While it is away more work collects, up to a bound: DTLS
//! repeats what is lost. Who has time does the work on the spot.
//!
//! Whose datagrams belong here, and whether the peer's certificate is the right one, is decided in
//! `transport`.

use std::collections::VecDeque;
use std::mem;

pub use ringway_dtls::{
    Config as DtlsConfig, Context as DtlsContext, Failure as DtlsFailure, Fingerprint,
    HashAlgorithm, Role as DtlsRole,
};
use ringway_dtls::{Connected, Event, Session};

use crate::srtp::{MasterKey, MasterKeys, SrtpProfile};

/// Things to do that may wait while the session is away. Raised: a peer can make us keep more.
/// Lowered: a flight of many fragments loses some and is repeated.
const MAX_INPUTS: usize = 32;

/// Datagrams that may wait to be sent. More than a few are there only while no path is known.
const MAX_OUTPUTS: usize = 64;

/// The longest datagram that is kept. DTLS over UDP fits into a packet of Ethernet; more is junk.
pub const MAX_DTLS_DATAGRAM_BYTES: usize = 2048;

/// Something for the session to do.
#[derive(Debug)]
enum Input {
    /// Begin, as the client does.
    Begin,
    Datagram(Box<[u8]>),
    Timeout,
    /// Tell the fingerprint of the peer's certificate.
    Identify(HashAlgorithm),
    /// Seal a message.
    Send(Box<[u8]>),
    Close,
}

/// What the session said.
#[derive(Debug)]
pub(crate) enum Output {
    Connected {
        fingerprint: Fingerprint,
        keys: Option<MasterKeys>,
    },
    /// The answer to a question for another kind of fingerprint; `None` when there is no peer.
    Identified(Option<Fingerprint>),
    Data(Box<[u8]>),
    Closed,
    Failed(DtlsFailure),
}

/// The session, or what it will be made of.
struct Endpoint {
    context: DtlsContext,
    role: DtlsRole,
    session: Option<Session>,
}

/// Work on one session, which it owns for the time.
pub struct DtlsWork {
    endpoint: Box<Endpoint>,
    inputs: VecDeque<Input>,
    now_ns: u64,
}

/// Work that was done; it goes back to the transport that it came from.
pub struct DtlsDone {
    endpoint: Box<Endpoint>,
    datagrams: Vec<Box<[u8]>>,
    outputs: Vec<Output>,
    deadline_ns: Option<u64>,
}

const fn assert_send<T: Send>() {}
const _: () = (assert_send::<DtlsWork>(), assert_send::<DtlsDone>()).0;

impl DtlsWork {
    /// Does it; up to a millisecond for a handshake.
    pub fn run(mut self) -> DtlsDone {
        let mut outputs = Vec::new();
        let Endpoint { context, role, session } = &mut *self.endpoint;
        let session = session.get_or_insert_with(|| match role {
            DtlsRole::Server => Session::server(context),
            DtlsRole::Client => Session::client(context, self.now_ns),
        });
        for input in self.inputs {
            match input {
                Input::Begin => {}
                Input::Datagram(datagram) => session.handle_datagram(self.now_ns, &datagram),
                Input::Timeout => session.handle_timeout(self.now_ns),
                Input::Identify(algorithm) => {
                    outputs.push(Output::Identified(session.peer_fingerprint(algorithm)));
                }
                // What cannot be sent is lost, as on the way; SCTP notices.
                Input::Send(data) => drop(session.send_application_data(self.now_ns, &data)),
                Input::Close => session.close(self.now_ns),
            }
            while let Some(event) = session.poll_event() {
                outputs.push(output(event));
            }
        }
        let mut datagrams = Vec::new();
        while let Some(datagram) = session.poll_transmit() {
            datagrams.push(datagram.into());
        }
        let deadline_ns = session.deadline();
        DtlsDone { endpoint: self.endpoint, datagrams, outputs, deadline_ns }
    }
}

fn output(event: Event<'_>) -> Output {
    match event {
        Event::Connected(Connected { peer_fingerprint, srtp }) => {
            let keys = srtp.as_ref().and_then(|keys| {
                let profile = SrtpProfile::from_id(keys.profile().id())?;
                Some(MasterKeys {
                    client: MasterKey::new(profile, keys.client_key(), keys.client_salt())?,
                    server: MasterKey::new(profile, keys.server_key(), keys.server_salt())?,
                })
            });
            Output::Connected { fingerprint: peer_fingerprint, keys }
        }
        Event::ApplicationData(data) => Output::Data(data.into()),
        Event::Closed => Output::Closed,
        Event::Failed(failure) => Output::Failed(failure),
    }
}

/// The transport's end.
pub(crate) struct DtlsLink {
    role: DtlsRole,
    /// `None` while it is away.
    endpoint: Option<Box<Endpoint>>,
    inputs: VecDeque<Input>,
    datagrams: VecDeque<Box<[u8]>>,
    deadline_ns: Option<u64>,
}

impl DtlsLink {
    pub(crate) fn new(context: DtlsContext, role: DtlsRole) -> Self {
        let endpoint = Some(Box::new(Endpoint { context, role, session: None }));
        let (inputs, datagrams) = (VecDeque::new(), VecDeque::new());
        Self { role, endpoint, inputs, datagrams, deadline_ns: None }
    }

    pub(crate) fn role(&self) -> DtlsRole {
        self.role
    }

    /// Makes it the client; false once a session is there.
    pub(crate) fn become_client(&mut self) -> bool {
        let Some(endpoint) = self.endpoint.as_deref_mut() else { return false };
        if endpoint.session.is_none() {
            (self.role, endpoint.role) = (DtlsRole::Client, DtlsRole::Client);
        }
        endpoint.session.is_none()
    }

    fn put(&mut self, input: Input) -> bool {
        let room = self.inputs.len() < MAX_INPUTS;
        if room {
            self.inputs.push_back(input);
        }
        room
    }

    pub(crate) fn begin(&mut self) {
        self.put(Input::Begin);
    }

    /// Keeps a datagram for the session; false when it is too long or too many wait.
    pub(crate) fn handle_datagram(&mut self, datagram: &[u8]) -> bool {
        datagram.len() <= MAX_DTLS_DATAGRAM_BYTES && self.put(Input::Datagram(datagram.into()))
    }

    /// Keeps a message to be sealed; false when too many wait.
    pub(crate) fn send(&mut self, data: &[u8]) -> bool {
        self.put(Input::Send(data.into()))
    }

    /// Seals a message into `out` on the spot; gives its length. `None` when the session is away or
    /// has other things to do first, or does not take it: then [`Self::send`] does.
    pub(crate) fn seal(&mut self, now_ns: u64, data: &[u8], out: &mut [u8]) -> Option<usize> {
        if !self.inputs.is_empty() || !self.datagrams.is_empty() {
            return None;
        }
        let session = self.endpoint.as_mut()?.session.as_mut()?;
        session.send_application_data(now_ns, data).ok()?;
        let sealed = session.poll_transmit()?;
        let len = sealed.len();
        out.get_mut(..len)?.copy_from_slice(sealed);
        Some(len)
    }

    pub(crate) fn identify(&mut self, algorithm: HashAlgorithm) {
        self.inputs.push_back(Input::Identify(algorithm));
    }

    pub(crate) fn close(&mut self) {
        self.inputs.push_back(Input::Close);
    }

    pub(crate) fn deadline(&self) -> Option<u64> {
        self.deadline_ns
    }

    pub(crate) fn handle_timeout(&mut self, now_ns: u64) {
        if self.deadline_ns.is_some_and(|deadline_ns| deadline_ns <= now_ns) {
            // The session gives a new one with the work that this becomes.
            self.deadline_ns = None;
            self.inputs.push_back(Input::Timeout);
        }
    }

    /// Whether there is work that belongs to a handshake.
    pub(crate) fn wants_handshake(&self) -> bool {
        let connected =
            |endpoint: &Endpoint| endpoint.session.as_ref().is_some_and(Session::is_connected);
        !self.inputs.is_empty() && self.endpoint.as_deref().is_some_and(|e| !connected(e))
    }

    pub(crate) fn poll_work(&mut self, now_ns: u64) -> Option<DtlsWork> {
        if self.inputs.is_empty() {
            return None;
        }
        let endpoint = self.endpoint.take()?;
        Some(DtlsWork { endpoint, inputs: mem::take(&mut self.inputs), now_ns })
    }

    pub(crate) fn handle_done(&mut self, done: DtlsDone) -> Vec<Output> {
        self.endpoint = Some(done.endpoint);
        self.deadline_ns = done.deadline_ns;
        for datagram in done.datagrams {
            if self.datagrams.len() < MAX_OUTPUTS {
                self.datagrams.push_back(datagram);
            }
        }
        done.outputs
    }

    /// The next datagram to send, into `out`; gives its length.
    pub(crate) fn poll_transmit(&mut self, out: &mut [u8]) -> Option<usize> {
        loop {
            let datagram = self.datagrams.pop_front()?;
            // Queues are idle for hours after a handshake.
            if self.datagrams.is_empty() {
                self.datagrams = VecDeque::new();
            }
            if let Some(out) = out.get_mut(..datagram.len()) {
                out.copy_from_slice(&datagram);
                return Some(datagram.len());
            }
        }
    }
}
