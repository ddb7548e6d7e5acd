//! Networks and clients that mean harm, against the real server over real sockets: what each may
//! cost, how it is told, and that others do not notice. `make bench ONLY=hostile` has the figures.

mod connections;
mod receivers;
mod retained;
mod subscriptions;
#[path = "../support/mod.rs"]
mod support;
mod world;
