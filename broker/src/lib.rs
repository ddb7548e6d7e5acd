//! An MQTT 3.1.1 and 5 broker to embed.
//!
//! The broker knows MQTT: connections, sessions, windows, plain topics. What its host wants to
//! give a meaning of its own it claims through one trait, [`Host`]: the broker hands over what is
//! published there and acknowledges when the host says so, and lets sessions pull what they are
//! subscribed to there.
//!
//! The way of a packet: [`Broker`] accepts a connection, opens its layers ([`transport`]) and drives it; [`codec`] makes packets of
//! bytes; a [`Session`](session::Session), which does no I/O, decides what follows; its calls go
//! to the host or to the router of plain topics; answers come through a [`mailbox`].

mod broker;
pub mod codec;
mod connection;
mod histogram;
pub mod host;
pub mod keep;
mod limits;
pub mod mailbox;
mod message;
pub mod packet;
mod plain;
mod queue;
mod registry;
mod retained;
mod router;
pub mod session;
mod shares;
mod stats;
mod sys;
pub mod topic;
pub mod transport;
mod wills;

pub use broker::Broker;
pub use histogram::{Histogram, HistogramSnapshot};
pub use host::Host;
pub use limits::Limits;
pub use message::Message;
pub use router::Rechecked;
pub use stats::{Packets, Stats};
