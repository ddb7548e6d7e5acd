//! The handle, the stream of events, and the task between them that owns the connection.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bluetick_protocol::{
    ACKS_TOPIC, ALL_MESSAGES_FILTER, ALL_RECEIPTS_FILTER, ChatId, ERRORS_TOPIC, Message, MessageId,
    Receipt, Refusal, SendAck, Seq, UserId, read_topic, send_topic,
};
use parking_lot::Mutex;
use rumqttc::{AsyncClient, EventLoop, MqttOptions, Packet, QoS};
use tokio::sync::{Semaphore, mpsc, oneshot};
use uuid::Uuid;

use crate::error::Error;

/// Events that wait for the application. Beyond, the connection is not read: the server keeps
/// what is to come.
const EVENTS_MAX: usize = 256;

/// Sends under way; a further one waits for one of them.
const SENDS_MAX: usize = 32;

/// Requests that wait for the connection: all sends once more, and then some.
const REQUESTS_MAX: usize = 2 * SENDS_MAX;

/// How long after a lost connection the next is tried.
const RECONNECT: Duration = Duration::from_millis(500);

/// Whom to connect as, and where.
#[derive(Debug, Clone)]
pub struct Options {
    /// The server's host name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Who.
    pub user: UserId,
    /// The device: the MQTT client id. Its session outlives its connections.
    pub device: String,
    /// Empty for a server without passwords.
    pub password: String,
}

/// A connected user's device. Cheap to clone; the connection ends when [`Events`] is dropped.
#[derive(Clone)]
pub struct Client {
    user: UserId,
    mqtt: AsyncClient,
    sends: Arc<Semaphore>,
    waiting: Arc<Mutex<Waiting>>,
}

/// Sends that wait for their answer, oldest first (ids begin with the time).
#[derive(Default)]
struct Waiting {
    connected: bool,
    sends: BTreeMap<MessageId, Pending>,
}

struct Pending {
    topic: String,
    body: Vec<u8>,
    answer: oneshot::Sender<Result<SendAck, Error>>,
}

/// What happens.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The connection stands (again).
    Connected,
    /// The connection is lost; it is tried again.
    Disconnected,
    /// A message, in the order of its chat.
    Message(Box<Message>),
    /// A member got further.
    Receipt(Receipt),
}

/// The stream of events of a client.
pub struct Events {
    receiver: mpsc::Receiver<Event>,
}

impl Events {
    /// The next event; `None` never comes while the client lives.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn next(&mut self) -> Option<Event> {
        self.receiver.recv().await
    }
}

impl Client {
    /// Starts a client in the current tokio runtime. Returns at once; [`Event::Connected`] tells
    /// when the connection stands.
    #[must_use]
    pub fn connect(options: Options) -> (Self, Events) {
        let mut mqtt = MqttOptions::new(&options.device, &options.host, options.port);
        mqtt.set_credentials(options.user.as_str(), &options.password)
            .set_clean_session(false)
            .set_keep_alive(Duration::from_secs(30));
        let (mqtt, event_loop) = AsyncClient::new(mqtt, REQUESTS_MAX);
        let waiting = Arc::new(Mutex::new(Waiting::default()));
        let (sender, receiver) = mpsc::channel(EVENTS_MAX);
        let connection = Connection { mqtt: mqtt.clone(), waiting: waiting.clone(), sender };
        tokio::spawn(connection.run(event_loop));
        let sends = Arc::new(Semaphore::new(SENDS_MAX));
        (Self { user: options.user, mqtt, sends, waiting }, Events { receiver })
    }

    /// Sends to the direct chat with a user under a new message id.
    ///
    /// # Cancel safety
    /// Dropping the future does not unsend.
    /// # Errors
    /// As [`Client::send`].
    pub async fn send_to(&self, user: &UserId, body: &[u8]) -> Result<SendAck, Error> {
        self.send(&ChatId::direct(&self.user, user), new_id(), body).await
    }

    /// Sends to a chat; returns once the message is on stable storage and has its place.
    ///
    /// # Cancel safety
    /// Dropping the future does not unsend: send again with the same id.
    /// # Errors
    /// [`crate::ErrorKind::Refused`]: not a member, no such user, too large.
    pub async fn send(&self, chat: &ChatId, id: MessageId, body: &[u8]) -> Result<SendAck, Error> {
        let _permit = self.sends.acquire().await.map_err(|_| Error::closed())?;
        let (answer, receiver) = oneshot::channel();
        let topic = send_topic(chat, Some(id));
        let connected = {
            let mut waiting = self.waiting.lock();
            let pending = Pending { topic: topic.clone(), body: body.to_vec(), answer };
            waiting.sends.insert(id, pending);
            waiting.connected
        };
        // Without a connection it goes out with the next one.
        if connected && self.mqtt.publish(topic, QoS::AtLeastOnce, false, body).await.is_err() {
            self.waiting.lock().sends.remove(&id);
            return Err(Error::closed());
        }
        receiver.await.unwrap_or_else(|_| Err(Error::closed()))
    }

    /// Says that all up to `seq` has been read. Queued, not yet sent, when this returns.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Closed`].
    pub async fn read(&self, chat: &ChatId, seq: Seq) -> Result<(), Error> {
        let queued =
            self.mqtt.publish(read_topic(chat), QoS::AtLeastOnce, false, seq.to_string()).await;
        queued.map_err(|_| Error::closed())
    }
}

/// A new message id, later than those before.
fn new_id() -> MessageId {
    MessageId::from_uuid(Uuid::now_v7()).expect("a version 7 UUID is not nil")
}

struct Connection {
    mqtt: AsyncClient,
    waiting: Arc<Mutex<Waiting>>,
    sender: mpsc::Sender<Event>,
}

impl Connection {
    /// Keeps the connection up until nobody takes its events.
    async fn run(self, mut event_loop: EventLoop) {
        let mut connected = false;
        while !self.sender.is_closed() {
            let happened = tokio::select! {
                polled = event_loop.poll() => polled,
                () = self.sender.closed() => break,
            };
            let event = match happened {
                Ok(rumqttc::Event::Incoming(Packet::ConnAck(_))) => {
                    connected = true;
                    self.begin();
                    Some(Event::Connected)
                }
                Ok(rumqttc::Event::Incoming(Packet::Publish(publish))) => {
                    self.handle(&publish.topic, &publish.payload)
                }
                Ok(_) => None,
                Err(error) => {
                    tracing::debug!(%error, "connection lost");
                    self.waiting.lock().connected = false;
                    let lost = std::mem::take(&mut connected).then_some(Event::Disconnected);
                    tokio::time::sleep(RECONNECT).await;
                    lost
                }
            };
            if let Some(event) = event
                && self.sender.send(event).await.is_err()
            {
                break;
            }
        }
        self.waiting.lock().sends.clear();
    }

    /// A connection stands: subscribes, and sends again whatever waits. The server knows what it
    /// has by its id; an answer that was lost comes once more.
    fn begin(&self) {
        for filter in [ACKS_TOPIC, ERRORS_TOPIC, ALL_MESSAGES_FILTER, ALL_RECEIPTS_FILTER] {
            self.tell(self.mqtt.try_subscribe(filter, QoS::AtLeastOnce));
        }
        let mut waiting = self.waiting.lock();
        waiting.connected = true;
        for pending in waiting.sends.values() {
            let (topic, body) = (pending.topic.as_str(), pending.body.as_slice());
            self.tell(self.mqtt.try_publish(topic, QoS::AtLeastOnce, false, body));
        }
    }

    fn tell(&self, queued: Result<(), rumqttc::ClientError>) {
        // The queue has room for all of it; if it has not, the next connection begins again.
        if let Err(error) = queued {
            tracing::warn!(%error, "not queued");
        }
    }

    /// What a message of the server is for the application.
    fn handle(&self, topic: &str, payload: &[u8]) -> Option<Event> {
        if topic == ACKS_TOPIC {
            let ack = SendAck::from_json(payload).ok()?;
            self.answer(ack.id, Ok(ack));
            None
        } else if topic == ERRORS_TOPIC {
            let refusal = Refusal::from_json(payload).ok()?;
            let id = refusal.topic.rsplit('/').next()?;
            let id = MessageId::try_from(id).ok()?;
            self.answer(id, Err(Error::refused(refusal.message)));
            None
        } else if topic.ends_with("/messages") {
            Message::from_json(payload).ok().map(|message| Event::Message(Box::new(message)))
        } else {
            Receipt::from_json(payload).ok().map(Event::Receipt)
        }
    }

    fn answer(&self, id: MessageId, answer: Result<SendAck, Error>) {
        if let Some(pending) = self.waiting.lock().sends.remove(&id) {
            // Whoever sent it may have stopped waiting.
            let _heard = pending.answer.send(answer);
        }
    }
}
