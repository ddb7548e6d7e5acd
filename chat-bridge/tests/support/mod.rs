//! What the tests of this crate share.

mod faulty_host;
mod faulty_kv;
mod members;
pub(crate) mod sabotage;
pub(crate) mod wire;
pub(crate) mod world;
