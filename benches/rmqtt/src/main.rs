//! `bench-rmqtt WINDOW`: the broker of the crate rmqtt on a loopback port, which it announces.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU16;

use anyhow::Context as _;
use rmqtt::context::ServerContext;
use rmqtt::net::Builder;
use rmqtt::server::MqttServer;

/// Messages that wait for a slow receiver: more than any run has, so that none is dropped.
const QUEUED_MESSAGES: usize = 100_000_000;
/// Connections that are let in at once are few; their backlog is the generator's.
const BACKLOG: i32 = 1024;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let window = std::env::args().nth(1).and_then(|window| window.parse::<NonZeroU16>().ok());
    let window = window.context("usage: bench-rmqtt WINDOW")?;
    // By itself it refuses connections while it finds the machine busy, which a bench makes it.
    let context = ServerContext::new().busy_check_enable(false).build().await;
    let listener = Builder::new()
        .name("bench")
        .laddr(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
        .backlog(BACKLOG)
        .nodelay(true)
        .max_inflight(window)
        .max_mqueue_len(QUEUED_MESSAGES)
        .bind()?
        .tcp()?;
    println!("listening {}", listener.local_addr()?);
    MqttServer::new(context).listener(listener).build().run().await
}
