//! A client of the SDK, for tests: with patience, and with what it has seen.

use std::future::Future;
use std::net::SocketAddr;

use bluetick_client::{Builder, Chat, Client, Connection, Event, Events, Message, UserId};

use crate::support::PATIENCE;

/// A client and its events.
pub(crate) struct Peer {
    pub(crate) client: Client,
    pub(crate) events: Events,
}

pub(crate) fn user(name: &str) -> UserId {
    UserId::try_from(name).expect("a name")
}

/// A client of a user's device, that comes back quickly.
pub(crate) fn builder(address: SocketAddr, name: &str) -> Builder {
    let device = format!("{name}-sdk");
    let (min, max) = (std::time::Duration::from_millis(5), std::time::Duration::from_millis(200));
    Client::builder(format!("mqtt://{address}")).user(name).device(device).backoff(min, max)
}

/// Whatever it is, within [`PATIENCE`].
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("waited for {what}"),
    }
}

impl Peer {
    pub(crate) async fn connect(address: SocketAddr, name: &str) -> Self {
        Self::build(builder(address, name)).await
    }

    pub(crate) async fn build(builder: Builder) -> Self {
        let (client, events) = soon("the outbox", builder.connect()).await.expect("a client");
        Self { client, events }
    }

    pub(crate) fn with(&self, name: &str) -> Chat {
        self.client.chat_with(&user(name))
    }

    pub(crate) async fn online(&self) {
        let state = soon("a connection", self.client.settled()).await;
        assert!(state.is_online(), "{state:?}");
    }

    /// The first event of which this gives something; those before are passed over.
    pub(crate) async fn find<T>(
        &mut self,
        what: &str,
        mut found: impl FnMut(Event) -> Option<T>,
    ) -> T {
        soon(what, async {
            loop {
                if let Some(it) = found(self.events.next().await.expect("the client lives")) {
                    return it;
                }
            }
        })
        .await
    }

    pub(crate) async fn message(&mut self) -> Message {
        let found = |event| match event {
            Event::Message(message) => Some(message),
            _ => None,
        };
        self.find("a message", found).await
    }

    pub(crate) async fn state(&mut self, wanted: fn(&Connection) -> bool) -> Connection {
        let found = |event| match event {
            Event::Connection(state) if wanted(&state) => Some(state),
            _ => None,
        };
        self.find("a state of the connection", found).await
    }
}
