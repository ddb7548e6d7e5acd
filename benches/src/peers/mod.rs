//! The servers under load, one file each: how it is started, when it is ready, what it calls the same work.
//!
//! A new one is a file, a [`Peer`] and a line in `Peer::system`. One that cannot be had is left out and named.

mod bluetick;
mod ejabberd;
mod mosquitto;
mod prosody;
mod rabbitmq;
mod rmqtt;
mod rumqttd;
pub mod server;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use self::bluetick::Bluetick;
use self::ejabberd::Ejabberd;
use self::mosquitto::Mosquitto;
use self::prosody::Prosody;
use self::rabbitmq::Rabbitmq;
use self::rmqtt::Rmqtt;
use self::rumqttd::Rumqttd;
use self::server::{Launch, Setup};
use crate::error::Error;
use crate::generator::fleet::Client;
use crate::settings::Settings;

/// A server under load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Peer {
    /// Durable chats: stored, ordered, acknowledged after the sync, receipts told.
    Bluetick,
    /// The same server with plain topics, as mosquitto has them.
    BluetickPlain,
    /// The measure: plain topics in memory, no persistence.
    Mosquitto,
    /// The same with `set_tcp_nodelay`, which it needs where nothing is acknowledged.
    MosquittoNodelay,
    /// The same with persistence, saved every half hour, and sessions that outlive their connections.
    MosquittoPersistent,
    /// The crate's router: plain topics in memory.
    Rumqttd,
    /// The crate, without plug-ins: plain topics in memory.
    Rmqtt,
    /// Its MQTT plug-in with clean sessions: transient queues.
    Rabbitmq,
    /// The same with sessions that outlive their connections: durable queues, synced before the PUBACK.
    RabbitmqDurable,
    /// A chat server: XMPP with receipts and a synced archive.
    Ejabberd,
    /// The same without an archive: messages are delivered and forgotten.
    EjabberdUnarchived,
    /// A chat server: XMPP with receipts and an archive that is not synced.
    Prosody,
}

/// What a server calls the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// bluetick's chats.
    Chats,
    /// MQTT, one topic for each pair.
    Topics {
        /// Whether clients say who they are; nobody says a password.
        with_user: bool,
        /// Whether the receivers' sessions outlive their connections.
        durable: bool,
    },
    /// XMPP, with receipts and stream management.
    Stanzas {
        /// Whether users have to register first.
        register: bool,
    },
}

impl Work {
    /// What most brokers are given.
    const TOPICS: Work = Work::Topics { with_user: true, durable: false };
}

/// A server, in one configuration.
trait System: Sync {
    /// What it calls the work.
    fn work(&self) -> Work;

    /// Why it cannot be run here, and how to get it.
    fn missing(&self, settings: &Settings) -> Option<String>;

    /// How it is started.
    ///
    /// # Errors
    /// If its configuration cannot be written.
    fn launch(&self, setup: &Setup<'_>) -> Result<Launch, Error>;
}

impl Peer {
    /// The brokers beside bluetick.
    pub(crate) const BROKERS: [Peer; 6] = [
        Peer::Mosquitto,
        Peer::MosquittoPersistent,
        Peer::Rumqttd,
        Peer::Rmqtt,
        Peer::Rabbitmq,
        Peer::RabbitmqDurable,
    ];
    /// The chat servers beside bluetick.
    pub(crate) const CHAT_SERVERS: [Peer; 3] =
        [Peer::Ejabberd, Peer::EjabberdUnarchived, Peer::Prosody];

    /// Whether it is bluetick.
    pub fn is_ours(self) -> bool {
        matches!(self, Peer::Bluetick | Peer::BluetickPlain)
    }

    fn system(self) -> &'static dyn System {
        match self {
            Peer::Bluetick => &Bluetick { plain: false },
            Peer::BluetickPlain => &Bluetick { plain: true },
            Peer::Mosquitto => &Mosquitto { nodelay: false, persistent: false },
            Peer::MosquittoNodelay => &Mosquitto { nodelay: true, persistent: false },
            Peer::MosquittoPersistent => &Mosquitto { nodelay: false, persistent: true },
            Peer::Rumqttd => &Rumqttd,
            Peer::Rmqtt => &Rmqtt,
            Peer::Rabbitmq => &Rabbitmq { durable: false },
            Peer::RabbitmqDurable => &Rabbitmq { durable: true },
            Peer::Ejabberd => &Ejabberd { archive: true },
            Peer::EjabberdUnarchived => &Ejabberd { archive: false },
            Peer::Prosody => &Prosody,
        }
    }

    /// The name in reports and errors.
    pub fn name(self) -> &'static str {
        match self {
            Peer::Bluetick => "bluetick",
            Peer::BluetickPlain => "bluetick-plain",
            Peer::Mosquitto => "mosquitto",
            Peer::MosquittoNodelay => "mosquitto-nodelay",
            Peer::MosquittoPersistent => "mosquitto-persistent",
            Peer::Rumqttd => "rumqttd",
            Peer::Rmqtt => "rmqtt",
            Peer::Rabbitmq => "rabbitmq",
            Peer::RabbitmqDurable => "rabbitmq-durable",
            Peer::Ejabberd => "ejabberd",
            Peer::EjabberdUnarchived => "ejabberd-unarchived",
            Peer::Prosody => "prosody",
        }
    }

    /// Why it cannot be run here, and how to get it.
    pub fn missing(self, settings: &Settings) -> Option<String> {
        self.system().missing(settings)
    }

    /// What it calls the work.
    pub(crate) fn work(self) -> Work {
        self.system().work()
    }

    /// The sender of pair `pair`. With bluetick he is told the receipts, and whatever is refused.
    pub fn sender(self, pair: usize) -> Client {
        let filters = match self.work() {
            Work::Chats => vec!["chats/+/receipts".into(), "me/errors".into()],
            Work::Topics { .. } | Work::Stanzas { .. } => Vec::new(),
        };
        self.client(format!("s{pair}"), filters)
    }

    /// The receiver of pair `pair`.
    pub fn receiver(self, pair: usize) -> Client {
        self.listener(format!("r{pair}"), format!("t/{pair}"))
    }

    /// Where the sender of `pair` publishes; a message id follows if [`Peer::takes_id`].
    pub fn pair_topic(self, pair: usize, with_id: bool) -> Vec<u8> {
        match self.work() {
            Work::Chats => send_topic(&format!("r{pair}"), with_id),
            Work::Topics { .. } | Work::Stanzas { .. } => format!("t/{pair}").into_bytes(),
        }
    }

    /// Whether the topic ends in a message id, if the settings want ids at all.
    pub fn takes_id(self) -> bool {
        self.work() == Work::Chats
    }

    /// Whether senders are told on topics what was delivered.
    pub fn tells_receipts(self) -> bool {
        self.work() == Work::Chats
    }

    /// Member `number` of a group; with a broker, one of many subscribers to the topic of pair 0.
    pub fn member(self, number: usize) -> Client {
        self.listener(member_name(number), "t/0".into())
    }

    /// User `number` of the idle crowd.
    pub fn idler(self, number: usize) -> Client {
        self.listener(format!("u{number}"), format!("t/{number}"))
    }

    /// `user`, subscribed to all messages of chats, or to `topic`.
    fn listener(self, user: String, topic: String) -> Client {
        let filter = match self.work() {
            Work::Chats => "chats/+/messages".into(),
            Work::Topics { .. } | Work::Stanzas { .. } => topic,
        };
        let durable = matches!(self.work(), Work::Topics { durable: true, .. });
        Client { persistent: durable, ..self.client(user, vec![filter]) }
    }

    /// `user`, with these filters and a session that ends with its connection.
    pub(crate) fn client(self, user: String, filters: Vec<String>) -> Client {
        let client = client(user, filters);
        match self.work() {
            Work::Topics { with_user: false, .. } => Client { user: String::new(), ..client },
            _ => client,
        }
    }
}

/// Flags of Erlang's emulator with which its schedulers sleep when they have nothing to do. By themselves they spin for
/// a while, on cores that the generator needs, and count as CPU time.
const IDLE_SCHEDULERS: [&str; 6] = ["+sbwt", "none", "+sbwtdcpu", "none", "+sbwtdio", "none"];

/// A variable with which Erlang's emulator leaves no file where the bench was started, should it fail.
const NO_CRASH_DUMP: (&str, &str) = ("ERL_CRASH_DUMP_BYTES", "0");

/// The program of this name, in one of these places or where the PATH looks.
fn find_program(name: &str, places: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = places.iter().map(PathBuf::from);
    let in_path = std::env::split_paths(&path).map(|folder| folder.join(name));
    places.chain(in_path).find(|place: &PathBuf| Path::is_file(place))
}

/// The user name of member `number` of a group.
pub fn member_name(number: usize) -> String {
    format!("m{number}")
}

/// Where one sends to `chat` with bluetick; with an id, the id is to be appended.
pub fn chat_topic(chat: &str, with_id: bool) -> Vec<u8> {
    let slash = if with_id { "/" } else { "" };
    format!("chats/{chat}/send{slash}").into_bytes()
}

/// Where one sends to `user` with bluetick; with an id, the id is to be appended.
pub fn send_topic(user: &str, with_id: bool) -> Vec<u8> {
    let slash = if with_id { "/" } else { "" };
    format!("users/{user}/send{slash}").into_bytes()
}

/// The last level of the topics on which bluetick delivers, by what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// A message of a chat.
    Message,
    /// The watermarks of a chat.
    Receipt,
    /// A refusal, on `me/errors`.
    Refusal,
}

impl Delivery {
    /// What a topic says; plain topics are messages.
    pub fn of(topic: &[u8]) -> Delivery {
        if topic.ends_with(b"/receipts") {
            Delivery::Receipt
        } else if topic == b"me/errors" {
            Delivery::Refusal
        } else {
            Delivery::Message
        }
    }
}

/// The error of what came on `me/errors`.
pub(crate) fn refused(payload: &[u8]) -> Error {
    Error::Wrong(format!("refused: {}", String::from_utf8_lossy(payload)))
}

/// The device of `user`, with a clean session.
pub(crate) fn client(user: String, filters: Vec<String>) -> Client {
    Client { id: format!("{user}-device"), user, filters, qos: 1, persistent: false }
}
