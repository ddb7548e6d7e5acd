//! Clients that write down what they do and see.
//!
//! A [`Device`] is an MQTT client of one user over any byte stream. It sends, receives,
//! acknowledges, reads, loses its connection and comes back, as its [`Plan`] and a seed say, and
//! records all of it in a history for the promise checker. It has a small codec of its own, so
//! that a mistake in the server's cannot blind it. What it hears and says is held against
//! docs/asyncapi.yaml.

mod device;
mod judge;
mod outbox;
mod plan;
mod record;
mod requests;
mod stranger;
pub mod wire;

pub use device::Device;
pub use plan::{Dial, Habits, Pace, Phase, Plan};
pub use record::Record;
pub use requests::Wish;
pub use stranger::Stranger;
