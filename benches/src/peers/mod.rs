//! The servers under load, and what each calls the same work.

pub mod server;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::generator::fleet::Client;

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
}

impl Peer {
    /// The name in reports and errors.
    pub fn name(self) -> &'static str {
        match self {
            Peer::Bluetick => "bluetick",
            Peer::BluetickPlain => "bluetick-plain",
            Peer::Mosquitto => "mosquitto",
            Peer::MosquittoNodelay => "mosquitto-nodelay",
        }
    }

    /// The sender of pair `pair`. With bluetick he is told the receipts, and whatever is refused.
    pub fn sender(self, pair: usize) -> Client {
        let filters = match self {
            Peer::Bluetick => vec!["chats/+/receipts".into(), "me/errors".into()],
            Peer::BluetickPlain | Peer::Mosquitto | Peer::MosquittoNodelay => Vec::new(),
        };
        client(format!("s{pair}"), filters)
    }

    /// The receiver of pair `pair`.
    pub fn receiver(self, pair: usize) -> Client {
        let filter = match self {
            Peer::Bluetick => "chats/+/messages".into(),
            Peer::BluetickPlain | Peer::Mosquitto | Peer::MosquittoNodelay => format!("t/{pair}"),
        };
        client(format!("r{pair}"), vec![filter])
    }

    /// Where the sender of `pair` publishes; a message id follows if [`Peer::takes_id`].
    pub fn pair_topic(self, pair: usize, with_id: bool) -> Vec<u8> {
        match self {
            Peer::Bluetick => send_topic(&format!("r{pair}"), with_id),
            Peer::BluetickPlain | Peer::Mosquitto | Peer::MosquittoNodelay => {
                format!("t/{pair}").into_bytes()
            }
        }
    }

    /// Whether the topic ends in a message id, if the settings want ids at all.
    pub fn takes_id(self) -> bool {
        self == Peer::Bluetick
    }

    /// Whether senders are told what was delivered.
    pub fn tells_receipts(self) -> bool {
        self == Peer::Bluetick
    }

    /// Member `number` of a group; with mosquitto, one of many subscribers to the topic of pair 0.
    pub fn member(self, number: usize) -> Client {
        let filter = match self {
            Peer::Bluetick => "chats/+/messages",
            Peer::BluetickPlain | Peer::Mosquitto | Peer::MosquittoNodelay => "t/0",
        };
        client(member_name(number), vec![filter.into()])
    }

    /// User `number` of the idle crowd.
    pub fn idler(self, number: usize) -> Client {
        let filter = match self {
            Peer::Bluetick => "chats/+/messages".into(),
            Peer::BluetickPlain | Peer::Mosquitto | Peer::MosquittoNodelay => format!("t/{number}"),
        };
        client(format!("u{number}"), vec![filter])
    }
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
