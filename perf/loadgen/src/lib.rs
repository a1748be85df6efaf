//! Synthetic senders and receivers.
