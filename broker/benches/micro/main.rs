//! Micro benches of the broker: `make micro`, or `make micro ONLY=codec`. A figure is the time of one packet,
//! match or message.

mod codec;
mod session;
#[path = "../../tests/steady/mod.rs"]
mod steady;
mod trie;

use bluetick_broker::packet::Version;

/// Both, with their names.
const VERSIONS: [(Version, &str); 2] = [(Version::V4, "3.1.1"), (Version::V5, "5")];

criterion::criterion_group!(benches, codec::benches, trie::benches, session::benches);
criterion::criterion_main!(benches);
