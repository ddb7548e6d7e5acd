//! The SDK against the real server.

mod conversation;
mod peer;
#[path = "../support/mod.rs"]
mod support;
