//! A host that does as little as can be.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bluetick_broker::host::{
    Access, Attempt, Delivery, DeliveryId, Ended, HostEvent, HostPublish, HostSession, Open, Room,
    SessionKey, Sessions, Token,
};
use bluetick_broker::mailbox::Line;
use bluetick_broker::packet::FilterRequest;
use bluetick_broker::{Broker, Host, Limits};
use tokio::io::DuplexStream;

/// A will to a topic of the host: of which client, where, what.
pub(crate) type HostWill = (String, String, Vec<u8>);

/// Lets everybody in and owns what begins with `host/`, which goes nowhere.
#[derive(Default)]
pub(crate) struct Anybody {
    clients: AtomicU64,
    pub(crate) sessions: Mutex<Option<Arc<dyn Sessions>>>,
    pub(crate) wills: Arc<Mutex<Vec<HostWill>>>,
    /// Publishes to its topics, which it does not answer by itself: where to, and by what.
    pub(crate) published: Arc<Mutex<Vec<(Line, Token)>>>,
    /// A topic or filter that nobody may use.
    denied: Mutex<Option<String>>,
}

impl Anybody {
    /// From now on nobody may use this one, and all others may be used.
    pub(crate) fn deny(&self, topic: &str) {
        *self.denied.lock().expect("no panic") = Some(topic.to_owned());
    }

    pub(crate) fn broker() -> Broker<Self> {
        Broker::new(Self::default(), Limits::default())
    }
}

pub(crate) struct Nothing {
    line: Line,
    published: Arc<Mutex<Vec<(Line, Token)>>>,
}

impl Host for Anybody {
    type Session = Nothing;

    fn start(&self, sessions: Arc<dyn Sessions>) {
        *self.sessions.lock().expect("the lock") = Some(sessions);
    }

    fn authenticate(&self, _: Attempt, line: Line) {
        line.host(HostEvent::Authenticated(Ok("user".into())));
    }

    fn assign_client_id(&self) -> Arc<str> {
        self.clients.fetch_add(1, Ordering::Relaxed).to_string().into()
    }

    fn owns(&self, topic: &str) -> bool {
        topic.starts_with("host/")
    }

    fn may(&self, _: &SessionKey, _: Access, topic: &str) -> bool {
        self.denied.lock().expect("no panic").as_deref() != Some(topic)
    }

    fn open(&self, _: Open, line: Line) -> Nothing {
        line.host(HostEvent::Opened { epoch: 1, restored: None });
        Nothing { line, published: self.published.clone() }
    }

    fn will(&self, key: &SessionKey, will: HostPublish) {
        let will = (key.client_id.to_string(), will.topic.to_string(), will.payload.to_vec());
        self.wills.lock().expect("no panic").push(will);
    }

    fn end(&self, _: &SessionKey, _: u64) {}
}

impl HostSession for Nothing {
    fn publish(&mut self, publish: HostPublish) {
        let mut published = self.published.lock().expect("no panic");
        published.push((self.line.clone(), publish.token));
    }

    fn subscribe(&mut self, _: Token, _: &FilterRequest, _: Option<u32>, _: bool) {}

    fn unsubscribe(&mut self, _: Token, _: &str) {}

    fn pull(&mut self, _: Room) -> Vec<Delivery> {
        Vec::new()
    }

    fn acked(&mut self, _: &[DeliveryId]) {}

    fn fetch(&mut self, _: &[DeliveryId]) {}

    fn close(&mut self, _: Ended) {}
}

/// A connection in memory.
pub(crate) fn dial(broker: &Broker<Anybody>) -> DuplexStream {
    let (client, server) = tokio::io::duplex(4096);
    broker.serve_stream(server, SocketAddr::from(([127, 0, 0, 1], 1)));
    client
}
