//! Load figures of bluetick, with mosquitto run beside it on the same work.
//!
//! From the wire up: [`wire`] speaks MQTT on byte buffers, [`fleet`] drives many connections on one thread,
//! [`blocking`] one connection for latencies; [`peer`] says what each server calls the same work, [`server`]
//! starts and ends it, [`process`] reads what it costs. The workloads are [`pairs`], [`window1`], [`idle`] and [`handshakes`];
//! [`run`](fn@run) interleaves them and [`report`] prints what came out.
//!
//! Everything stays on loopback, and every wait has a [`Deadline`](error::Deadline) that says what was missing.

pub mod blocking;
pub mod disk;
pub mod error;
pub mod fleet;
pub mod handshakes;
pub mod idle;
mod ledger;
pub mod machine;
pub mod message;
pub mod pace;
pub mod pairs;
pub mod peer;
pub mod process;
pub mod report;
mod run;
pub mod server;
pub mod settings;
pub mod stats;
pub mod window1;
pub mod wire;

pub use run::run;
