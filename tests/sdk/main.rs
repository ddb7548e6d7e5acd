//! The SDK against the real server.

mod conversation;
mod limits;
mod losses;
mod peer;
mod program;
mod proxy;
mod states;
#[path = "../support/mod.rs"]
mod support;
mod transports;
mod wire;
#[allow(dead_code)] // what the tests of transports need beside
#[path = "../transports/world.rs"]
mod world;
