//! The forwarder on one thread: simulated network, virtual clock.
