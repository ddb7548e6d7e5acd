//! The session against a client, both in memory: bytes are moved by hand, time is a number, and
//! the connection breaks wherever a test wants it to.

mod client;
mod inbound;
mod link;
mod outbound;
mod pair;
mod qos2;
mod random;
mod reconnect;
mod statements;
mod subscriptions;
