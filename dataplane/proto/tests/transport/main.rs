//! Two whole transports and a network between them that loses, repeats and reorders, in virtual
//! time: the client of the load generator against the server's lite agent and its full one.

mod hostile;
mod lives;
mod net;
