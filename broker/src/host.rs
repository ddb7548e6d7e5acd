//! All that the broker asks of the program it is embedded in.
//!
//! The host decides who may connect and which topics are its own. What is published to those it
//! acknowledges itself, when it has done with it; what is subscribed to there the session *pulls*
//! as its window opens, so that the broker keeps no queue for it. All other topics are plain MQTT
//! and the broker's own business, under [`Host::may`].
//!
//! Calls return at once and never block; what takes time is answered through the connection's
//! [`Line`] with a [`HostEvent`].

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;

use crate::mailbox::Line;
use crate::message::Message;
use crate::packet::{AckProperties, FilterRequest, PublishProperties, QoS, Reason, Will};

/// Names a session: another user's equal client id is another session.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionKey {
    /// As [`Host::authenticate`] named him.
    pub user: Arc<str>,
    /// The MQTT client id.
    pub client_id: Arc<str>,
}

/// What a client says of itself when it connects.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// Where it comes from.
    pub address: SocketAddr,
    /// User name, if it gave one.
    pub user_name: Option<String>,
    /// Password, if it gave one.
    pub password: Option<Bytes>,
    /// Common name of its TLS certificate, which is verified; `None`: it has shown none, or one
    /// without exactly one common name.
    pub certificate: Option<Arc<str>>,
}

/// What somebody wants to do with a plain topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Publish to a topic.
    Publish,
    /// Subscribe to a filter.
    Subscribe,
}

/// The program around the broker.
pub trait Host: Send + Sync + 'static {
    /// Its side of one connected session.
    type Session: HostSession;

    /// The broker is made: by this the host can end sessions. Called once, before all else.
    fn start(&self, sessions: Arc<dyn Sessions>);

    /// Checks who connects; answered by [`HostEvent::Authenticated`].
    fn authenticate(&self, attempt: Attempt, line: Line);

    /// A client id for a client that brought none; no two are the same.
    fn assign_client_id(&self) -> Arc<str>;

    /// Whether a topic name or filter is the host's own.
    fn owns(&self, topic_or_filter: &str) -> bool;

    /// Whether the time from a publish to this topic, which is the host's own, to its
    /// acknowledgement is one to be measured ([`Stats::publish_acks`](crate::Stats::publish_acks)).
    fn is_timed(&self, _topic: &str) -> bool {
        false
    }

    /// Whether a user may do this with a plain topic, or subscribe to `$SYS`, which is the
    /// broker's.
    fn may(&self, key: &SessionKey, access: Access, topic_or_filter: &str) -> bool;

    /// A session goes on line; answered by [`HostEvent::Opened`] or [`HostEvent::Close`]. Nothing
    /// else may be asked of the session before the answer.
    fn open(&self, open: Open, line: Line) -> Self::Session;

    /// The will of a session whose connection was lost, to a topic of the host. There is no
    /// answer: nobody would hear it.
    fn will(&self, key: &SessionKey, will: HostPublish);

    /// A session that is off line has ended: it expired, or its client started anew.
    fn end(&self, key: &SessionKey, epoch: u64);
}

/// A session goes on line.
#[derive(Debug, Clone)]
pub struct Open {
    /// Which.
    pub key: SessionKey,
    /// State from before, kept by the broker while the session was off line.
    pub resume: Option<Resume>,
    /// The client wants no state from before; what the host still has of it ends.
    pub clean_start: bool,
    /// Seconds that the session outlives its connection; 0: not at all, `u32::MAX`: for ever.
    pub expiry_s: u32,
    /// The largest packet that the client takes, bytes.
    pub max_packet_bytes: usize,
    /// Whether the client speaks MQTT 5: what refusals can be told.
    pub mqtt5: bool,
    /// What the client says that it is, in MQTT 5's user property `client` of its CONNECT.
    pub client: Option<String>,
}

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// Seconds that the session may be resumed for, as the client said last; 0: it has ended.
    pub expiry_s: u32,
    /// The client said goodbye (DISCONNECT); else the connection was lost or the server ended it.
    pub goodbye: bool,
    /// How long before its end the client's last packet came.
    pub silent_ms: u64,
}

/// Ends sessions at the host's wish.
pub trait Sessions: Send + Sync {
    /// Ends a session, on line or off, as if its expiry were over. A client that is connected is
    /// told the reason. Does not block, and does nothing where there is no such session.
    fn end(&self, key: &SessionKey, reason: Reason);
}

/// What a session brings back on line.
#[derive(Debug, Clone)]
pub struct Resume {
    /// The epoch that [`HostEvent::Opened`] gave it.
    pub epoch: u64,
    /// Deliveries not yet acknowledged by the client.
    pub inflight: Vec<DeliveryId>,
}

/// The host's side of one connected session. Dropped only after [`HostSession::close`].
pub trait HostSession: Send + 'static {
    /// A message to a topic of the host; answered by [`HostEvent::Published`], also at QoS 0: what
    /// is not answered counts against what is read of the client. What the client acknowledged before a
    /// publish without payload was told to [`HostSession::acked`] before it, and nothing later.
    fn publish(&mut self, publish: HostPublish);

    /// A subscription to a filter of the host; answered by [`HostEvent::Subscribed`]. `renewed`:
    /// the session has this filter already.
    fn subscribe(
        &mut self,
        token: Token,
        request: &FilterRequest,
        subscription_id: Option<u32>,
        renewed: bool,
    );

    /// The end of a subscription that was granted; answered by [`HostEvent::Unsubscribed`].
    fn unsubscribe(&mut self, token: Token, filter: &str);

    /// The session has room: gives what there is for it, up to that. After fewer than there was
    /// room for, [`HostEvent::News`] says when there is more.
    fn pull(&mut self, room: Room) -> Vec<Delivery>;

    /// The client has acknowledged these, in the order it did.
    fn acked(&mut self, ids: &[DeliveryId]);

    /// Asks again for deliveries that the client has not acknowledged; answered by
    /// [`HostEvent::Fetched`].
    fn fetch(&mut self, ids: &[DeliveryId]);

    /// The connection has ended. If the answer to the open was not [`HostEvent::Opened`], the
    /// session is as it was before, if there was one, whatever `ended` says of its expiry.
    fn close(&mut self, ended: Ended);
}

/// Ties an answer to what was asked; chosen by the session, unique within it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u64);

/// A message to a topic of the host.
#[derive(Debug, Clone)]
pub struct HostPublish {
    /// For the answer.
    pub token: Token,
    /// How it came.
    pub qos: QoS,
    /// It may have come before.
    pub dup: bool,
    /// Asked to be retained.
    pub retain: bool,
    /// 0 at QoS 0.
    pub packet_id: u16,
    /// The topic, resolved if it came as an alias.
    pub topic: Arc<str>,
    /// MQTT 5.
    pub properties: PublishProperties,
    /// The body.
    pub payload: Bytes,
}

impl From<Will> for HostPublish {
    fn from(will: Will) -> Self {
        Self {
            token: Token(0),
            qos: will.qos,
            dup: false,
            retain: will.retain,
            packet_id: 0,
            topic: will.topic.into(),
            properties: will.properties,
            payload: will.payload,
        }
    }
}

/// How much a session takes at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Messages.
    pub messages: usize,
    /// Bytes of payload; the last one may exceed it.
    pub bytes: usize,
}

/// Names a delivery of the host; what it means is the host's business.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeliveryId(pub u64, pub u64, pub u64);

/// A message of the host for one session.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// To acknowledge it by.
    pub id: DeliveryId,
    /// At which QoS to send it.
    pub qos: QoS,
    /// What, shared among all who get it.
    pub message: Arc<Message>,
}

/// What the host tells a session.
#[derive(Debug)]
pub enum HostEvent {
    /// The answer to [`Host::authenticate`]: the user's name, or why not.
    Authenticated(Result<Arc<str>, Reason>),
    /// The answer to [`Host::open`].
    Opened {
        /// Tells this session from earlier and later ones of the same key.
        epoch: u64,
        /// The host's subscriptions of a session that outlived a restart.
        restored: Option<Vec<Restored>>,
    },
    /// A publish is done with.
    Published {
        /// Which.
        token: Token,
        /// Success, or why not.
        reason: Reason,
        /// For the acknowledgement in MQTT 5.
        properties: Option<Box<AckProperties>>,
        /// A message of the host for this session alone, sent right after the acknowledgement if
        /// the session has a subscription for its topic.
        notice: Option<Arc<Message>>,
    },
    /// A subscription is decided.
    Subscribed {
        /// Which.
        token: Token,
        /// The granted QoS as 0, 1, 2, or why not.
        reason: Reason,
    },
    /// A subscription has ended.
    Unsubscribed {
        /// Which.
        token: Token,
        /// Success, or why not.
        reason: Reason,
    },
    /// There is something to pull.
    News,
    /// A message of the host for this session alone, at QoS 0, sent if the session has a
    /// subscription for its topic. It is of the moment: a session that is off line never hears it.
    Notice(Arc<Message>),
    /// The answer to [`HostSession::fetch`]; `None`: it is no longer to be delivered.
    Fetched(Vec<(DeliveryId, Option<Arc<Message>>)>),
    /// The host cannot serve this session on: the connection is to be closed.
    Close(Reason),
}

/// A subscription of the host that outlived a restart.
#[derive(Debug, Clone)]
pub struct Restored {
    /// The filter and its options.
    pub request: FilterRequest,
    /// MQTT 5's identifier.
    pub subscription_id: Option<u32>,
}
