//! Every way to the server but plain TCP, over real sockets: TLS, WebSocket, Unix sockets, and the
//! header of a load balancer; what is wrong with each, and what stalls.

mod handshakes;
mod proxy;
#[path = "../support/mod.rs"]
mod support;
mod tls;
mod unix;
mod websocket;
mod world;
