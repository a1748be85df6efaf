//! What a client may ask of the forwards and how it is answered.

use std::collections::HashMap;
use std::net::SocketAddr;

use crate::draft::{DestinationPatch, ForwardPatch};
use crate::id::{DestinationId, ForwardId};
use crate::spec::Forward;
use crate::validate::{Invalid, NewDestination, NewForward};

/// A change that a client asks for.
#[derive(Clone, Debug)]
pub enum Operation {
    /// Create a forward, or find that it is there.
    Create(Box<NewForward>),
    /// Change name or policy.
    Update(ForwardId, ForwardPatch),
    /// Remove a forward.
    Delete(ForwardId),
    /// Add destinations.
    AddDestinations(ForwardId, Vec<NewDestination>),
    /// Change a destination.
    UpdateDestination(ForwardId, DestinationId, DestinationPatch),
    /// Remove a destination.
    RemoveDestination(ForwardId, DestinationId),
}

impl Operation {
    /// The forward that it is about.
    pub fn forward(&self) -> ForwardId {
        match self {
            Self::Create(new) => new.forward.id,
            Self::Update(id, _)
            | Self::Delete(id)
            | Self::AddDestinations(id, _)
            | Self::UpdateDestination(id, ..)
            | Self::RemoveDestination(id, _) => *id,
        }
    }
}

/// How a successful operation is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The forward as it is now.
    Forward {
        /// The forward.
        view: Box<View>,
        /// It was not there before.
        created: bool,
    },
    /// The forward as it is now and which of its destinations were meant.
    Destinations {
        /// The forward.
        view: Box<View>,
        /// Keys of the destinations, in the order of the request.
        keys: Vec<u64>,
        /// At least one was not there before.
        created: bool,
    },
    /// It is gone.
    Removed,
}

/// How a forward fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// It receives.
    Active,
    /// A shard is being asked, or the data plane is away.
    Pending,
    /// A shard refused it; it is tried again.
    Failed,
}

impl State {
    /// All states.
    pub const ALL: [Self; 3] = [Self::Active, Self::Pending, Self::Failed];

    /// The word for it in JSON and metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Pending => "pending",
            Self::Failed => "failed",
        }
    }
}

/// A forward and how it fares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// What is wanted.
    pub forward: Forward,
    /// How it fares.
    pub state: State,
    /// What is wrong, as a sentence.
    pub error: Option<String>,
    /// The source followed now, if a shard has told.
    pub source: Option<SocketAddr>,
    /// Its record in the pages of its shard.
    pub slot: Option<u32>,
    /// Records of its destinations by key, in the pages of their shards.
    pub slots: HashMap<u64, u32>,
}

/// How many there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Forwards by state, in the order of [`State::ALL`].
    pub forwards: [usize; 3],
    /// Destinations of all forwards.
    pub destinations: usize,
}

/// Which kind of "no" it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RejectionKind {
    /// The request is wrong in itself.
    Invalid,
    /// What it names is not there.
    NotFound,
    /// It contradicts what is there.
    Conflict,
    /// The data plane is not there.
    Away,
    /// A shard did not answer in time.
    TimedOut,
    /// The kernel said no to a shard.
    Kernel,
}

/// Why an operation was not carried out; nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// Which kind of "no".
    pub kind: RejectionKind,
    /// Stable word for programs.
    pub code: &'static str,
    /// A sentence for people: what is wrong and what to do.
    pub message: String,
    /// JSON path of the field to blame.
    pub field: Option<String>,
}

impl Rejection {
    pub(crate) fn new(
        kind: RejectionKind,
        code: &'static str,
        message: impl Into<String>,
        field: Option<&str>,
    ) -> Self {
        Self { kind, code, message: message.into(), field: field.map(str::to_owned) }
    }

    pub(crate) fn away() -> Self {
        let message = "the data plane is away: start ringway-dataplane and try again";
        Self::new(RejectionKind::Away, "data_plane_away", message, None)
    }

    pub(crate) fn timed_out() -> Self {
        let message = "the data plane did not answer in time: look at its log, then try again";
        Self::new(RejectionKind::TimedOut, "data_plane_timeout", message, None)
    }

    /// The forward is not there.
    pub fn no_forward(id: ForwardId) -> Self {
        let message = format!("there is no forward {id}");
        Self::new(RejectionKind::NotFound, "forward_not_found", message, None)
    }

    /// The destination is not there.
    pub fn no_destination(id: DestinationId) -> Self {
        let message = format!("this forward has no destination {id}");
        Self::new(RejectionKind::NotFound, "destination_not_found", message, None)
    }
}

impl From<Invalid> for Rejection {
    fn from(invalid: Invalid) -> Self {
        let message = format!("{} {}", invalid.field, invalid.message);
        Self::new(RejectionKind::Invalid, "invalid_field", message, Some(&invalid.field))
    }
}
