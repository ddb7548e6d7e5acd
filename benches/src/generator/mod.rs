//! The load generator: MQTT on byte buffers ([`wire`]), many connections on one thread ([`fleet`]), one connection for
//! latencies ([`blocking`]), and what workloads have in common on top of them.

pub mod blocking;
pub(crate) mod couple;
pub(crate) mod feed;
pub mod fleet;
pub(crate) mod group;
pub mod message;
pub mod pace;
pub(crate) mod quiet;
pub mod wire;
