//! Load figures of bluetick, with mosquitto run beside it on the same work.
//!
//! From the wire up: [`wire`] speaks MQTT on byte buffers, [`fleet`] drives many connections on one thread,
//! [`blocking`] one connection for latencies; [`peer`] says what each server calls the same work, [`server`]
//! starts and ends it, [`process`] reads what it costs. The workloads against both servers are [`pairs`], [`window1`],
//! [`idle`],
//! [`handshakes`] and [`fan_out`]; those of bluetick's own chats are [`offline`], [`chats_list`], [`million`] and [`dialects`];
//! [`hostile`] is what strangers do to both kinds of topics.
//! [`run`](fn@run) interleaves them and [`report`] prints what came out.
//!
//! Everything stays on loopback, and every wait has a [`Deadline`](error::Deadline) that says what was missing.

pub mod blocking;
pub mod chats_list;
mod couple;
pub mod dialects;
pub mod disk;
pub mod error;
pub mod fan_out;
mod feed;
pub mod fleet;
mod group;
pub mod handshakes;
pub mod hostile;
pub mod idle;
mod ledger;
pub mod machine;
pub mod message;
pub mod million;
pub mod offline;
pub mod pace;
pub mod pairs;
pub mod peer;
pub mod process;
mod quiet;
pub mod report;
mod run;
pub mod server;
pub mod settings;
pub mod stats;
pub mod window1;
pub mod wire;

pub use run::run;
