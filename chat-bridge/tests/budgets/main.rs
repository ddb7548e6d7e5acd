//! What a message may cost, as tests: allocations, calls of the store, reads and writes of its connections.
//!
//! All are counts of this build, the same on a fast machine and on a slow one; what they come to in time is
//! for `make micro` and `make bench`. `whole` has the table for the whole server, `layers` the one for its
//! parts; broker/tests/allocations.rs has the broker's.
//!
//! A message that costs more than its budget fails the test, which prints what it found. Who makes one
//! cheaper lowers the budget; who has a reason to make it dearer raises it and says why in the commit.

#[path = "../support/around.rs"]
mod around;
mod cost;
mod counted;
mod layers;
mod server;
#[path = "../steady/mod.rs"]
mod steady;
mod whole;
