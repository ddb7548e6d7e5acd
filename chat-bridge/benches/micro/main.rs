//! Micro benches of the chats: `make micro`, or `make micro ONLY=store`. A figure is the time of one message, or,
//! where the name has a number of them, of so many; then `thrpt` has the messages per second.

mod encode;
mod engine;
#[path = "../../tests/steady/mod.rs"]
mod steady;
mod store;

criterion::criterion_group!(benches, engine::benches, store::benches, encode::benches);
criterion::criterion_main!(benches);
