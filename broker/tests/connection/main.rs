//! The broker over connections in memory: what is a matter of a connection's beginning and end
//! rather than of its session, which has tests of its own.

mod buffered;
mod client;
mod disconnect;
mod flood;
mod host;
mod packet_size;
mod plain;
mod retained;
mod shares;
mod shutdown;
mod statements;
mod wills;
mod wire;
