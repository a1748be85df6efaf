//! The kernel: rings, registered buffers, sockets, and the plain-syscall engine.
