//! The load generator: MQTT on byte buffers ([`wire`]), many connections on one thread (`connections`, and [`fleet`] of
//! those that speak MQTT), one connection for latencies ([`blocking`]), what workloads have in common on top of them,
//! and the same for chat servers ([`xmpp`]).

pub mod blocking;
pub(crate) mod connections;
pub(crate) mod couple;
pub(crate) mod feed;
pub mod fleet;
pub(crate) mod group;
pub mod message;
pub mod pace;
pub(crate) mod quiet;
pub mod wire;
pub mod xmpp;
