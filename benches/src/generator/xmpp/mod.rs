//! Chat servers that speak XMPP: stanzas on byte buffers ([`stanza`]), many clients on one thread ([`fleet`]).

pub mod fleet;
pub mod stanza;
