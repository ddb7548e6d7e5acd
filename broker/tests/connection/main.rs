//! The broker over connections in memory: what is a matter of a connection's beginning and end
//! rather than of its session, which has tests of its own.

mod buffered;
mod disconnect;
mod flood;
mod host;
mod plain;
mod shutdown;
mod statements;
mod wills;
