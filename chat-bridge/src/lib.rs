//! The chat engine of bluetick, its writer and its store; the broker's host.
//!
//! The way of a message: the [`bridge`] makes a command of a topic and a payload and submits it
//! to the [`partition`] of its chat; the [`writer`] has the [`engine`] decide it, stores the batch
//! it is in ([`store`]) and lets the answers go; [`delivery`] knows which devices it is for, wakes
//! them, and gives it to each when it has room.

pub mod bridge;
pub mod delivery;
pub mod engine;
mod numbers;
pub mod partition;
pub mod store;
pub mod writer;

pub use bridge::{Bridge, BridgeOptions, Directory};
