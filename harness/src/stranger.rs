//! One who is a member of nothing and tries everything.

use std::io;
use std::time::Duration;

use bluetick_checker::Event;
use fastrand::Rng;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::plan::{Dial, Phase};
use crate::record::Record;
use crate::wire::{self, Connect, Packet, Publish};

/// A SUBACK of MQTT 5 with "unspecified error" in it.
const UNAVAILABLE: &str = "[80]";

/// How long a server may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// From one probe to the next, at most.
const PAUSE_MAX: Duration = Duration::from_millis(200);

/// What stands for the name of a chat or of a user.
const NAME: &str = "{name}";

/// What he listens to all the time.
const LISTENS: &[&str] = &[
    "#",
    "+/+/messages",
    "chats/+/messages",
    "chats/+/receipts",
    "chats/+/typing",
    "c/+/m",
    "c/+/r",
    "users/+/presence",
    "me/errors",
    "me/replies/+",
];

/// Topic and payload.
const PUBLISHES: &[(&str, &str)] = &[
    ("chats/{name}/send", "let me in"),
    ("chats/{name}/send/0193a5f0-1c2b-7d3e-8f4a-5b6c7d8e9f00", "let me in"),
    ("chats/{name}/send.json", r#"{"body":"let me in"}"#),
    ("chats/{name}/edit/1", "changed"),
    ("chats/{name}/delete/1", ""),
    ("chats/{name}/react/1", "👍"),
    ("chats/{name}/read", "1"),
    ("chats/{name}/typing", "1"),
];

const FILTERS: &[&str] = &[
    "chats/{name}/messages",
    "chats/{name}/receipts",
    "chats/{name}/typing",
    "c/{name}/m",
    "users/{name}/presence",
];

/// Method and arguments.
const REQUESTS: &[(&str, &str)] = &[
    ("users.profile", r#"{"user":"{name}"}"#),
    ("chats.info", r#"{"chat":"{name}"}"#),
    ("chats.history", r#"{"chat":"{name}"}"#),
    ("chats.set_ttl", r#"{"chat":"{name}","ttl_s":60}"#),
    ("chats.mute", r#"{"chat":"{name}","until":1}"#),
    ("groups.add", r#"{"chat":"{name}","members":["mallory"]}"#),
    ("groups.remove", r#"{"chat":"{name}","members":["alice"]}"#),
    ("groups.leave", r#"{"chat":"{name}"}"#),
    ("groups.set_role", r#"{"chat":"{name}","user":"mallory","role":"owner"}"#),
    ("groups.update", r#"{"chat":"{name}","title":"mine"}"#),
];

/// A client of a user who is a member of no chat. It asks the same of chats that exist and of some that do
/// not, and writes down what it is answered and whatever else it hears.
pub struct Stranger {
    /// His name, and that of his device.
    pub user: String,
    /// 4 (3.1.1) or 5.
    pub version: u8,
    /// Chats that exist and chats that do not.
    pub chats: Vec<String>,
    /// Users who exist and users who do not.
    pub users: Vec<String>,
    /// Where he writes.
    pub record: Record,
    /// Decides what he tries when.
    pub random: Rng,
}

/// What is asked and not answered yet.
enum Wait {
    Published(u16),
    Refusal,
    Subscribed(u16),
    Reply(String),
}

/// A connection, and what has been read of it.
struct Wire<S> {
    stream: S,
    inbox: Vec<u8>,
}

impl Stranger {
    /// Tries things as long as the phase is [`Phase::Busy`].
    pub async fn run<D: Dial>(mut self, dial: D, phase: watch::Receiver<Phase>) {
        let mut probe = 0;
        while *phase.borrow() == Phase::Busy {
            if let Ok(stream) = dial.dial().await {
                let wire = Wire { stream, inbox: Vec::new() };
                // A server that dies or breaks off is tried again, with the same.
                let _broken_off = self.visit(wire, &phase, &mut probe).await;
            }
            self.pause().await;
        }
    }

    async fn pause(&mut self) {
        sleep(PAUSE_MAX.mul_f64(self.random.f64())).await;
    }

    async fn visit<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        mut wire: Wire<S>,
        phase: &watch::Receiver<Phase>,
        probe: &mut u16,
    ) -> io::Result<()> {
        let mut out = Vec::new();
        let (client_id, user) = (&*self.user, &*self.user);
        let version = self.version;
        wire::connect(&mut out, &Connect { version, clean: true, expiry_s: 0, client_id, user });
        let listens: Vec<_> = LISTENS.iter().map(|filter| ((*filter).to_owned(), 0)).collect();
        wire::subscribe(&mut out, version, u16::MAX, &listens);
        wire.stream.write_all(&out).await?;
        self.answer(&mut wire, Wait::Subscribed(u16::MAX)).await?;
        while *phase.borrow() == Phase::Busy {
            *probe = *probe % 60_000 + 1;
            self.probe(&mut wire, *probe).await?;
            self.pause().await;
        }
        Ok(())
    }

    async fn probe<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        wire: &mut Wire<S>,
        id: u16,
    ) -> io::Result<()> {
        let mut out = Vec::new();
        let at = self.random.usize(..PUBLISHES.len() + FILTERS.len() + REQUESTS.len());
        let asks = at.checked_sub(PUBLISHES.len() + FILTERS.len());
        let subscribes = at.checked_sub(PUBLISHES.len()).filter(|_| asks.is_none());
        let of_user = subscribes.is_some_and(|at| FILTERS[at].starts_with("users/"))
            || asks.is_some_and(|at| REQUESTS[at].0.starts_with("users."));
        let names = if of_user { &self.users } else { &self.chats };
        let name = names[self.random.usize(..names.len())].clone();
        let (what, wait) = if let Some(at) = asks {
            let (method, arguments) = REQUESTS[at];
            let (topic, payload) = (format!("rpc/{method}/r{id}"), arguments.replace(NAME, &name));
            self.publish(&mut out, id, &topic, &payload);
            (format!("ask {method}"), Wait::Reply(format!("me/replies/r{id}")))
        } else if let Some(at) = subscribes {
            let filter = FILTERS[at];
            let filters = [(filter.replace(NAME, &name), self.random.u8(..3))];
            wire::subscribe(&mut out, self.version, id, &filters);
            (format!("subscribe {filter}"), Wait::Subscribed(id))
        } else {
            let (topic, payload) = PUBLISHES[at];
            self.publish(&mut out, id, &topic.replace(NAME, &name), payload);
            (format!("publish {topic}"), Wait::Published(id))
        };
        wire.stream.write_all(&out).await?;
        let refused = matches!(wait, Wait::Published(_)) && self.version < 5;
        let mut answer = self.answer(wire, wait).await?;
        if refused {
            // MQTT 3.1.1 acknowledges what it refuses, and says so afterwards.
            answer = self.answer(wire, Wait::Refusal).await?;
        }
        if self.version == 5 && answer == "[80]" {
            // The store could not be read: that says nothing of the chat.
            return Ok(());
        }
        let (user, probe) = (self.user.clone(), what);
        if self.version == 5 && subscribes.is_some() && answer == UNAVAILABLE {
            // The store fails at the moment, whatever was asked; 3.1.1 cannot tell that apart.
            return Ok(());
        }
        let answer = answer.replace(&name, NAME);
        self.record.push(Event::Probed { user, chat: name, probe, answer });
        Ok(())
    }

    fn publish(&self, out: &mut Vec<u8>, id: u16, topic: &str, payload: &str) {
        let payload = payload.as_bytes();
        wire::publish(
            out,
            self.version,
            &Publish { qos: 1, id, topic, payload, ..Publish::default() },
        );
    }

    /// What the server answers; all else that comes is written down.
    async fn answer<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        wire: &mut Wire<S>,
        wait: Wait,
    ) -> io::Result<String> {
        loop {
            match (wire.next(self.version).await?, &wait) {
                (Packet::Ack { kind: 4, id, reason, properties }, Wait::Published(of))
                    if id == *of =>
                {
                    return Ok(format!("{reason:#x} {properties:?}"));
                }
                (Packet::SubAck { id, codes }, Wait::Subscribed(of)) if id == *of => {
                    return Ok(format!("{codes:x?}"));
                }
                (Packet::Publish { topic, payload, .. }, Wait::Refusal) if topic == "me/errors" => {
                    let mut json: Value = serde_json::from_slice(&payload).unwrap_or_default();
                    json["packet_id"] = Value::Null;
                    return Ok(json.to_string());
                }
                (Packet::Publish { topic, payload, .. }, Wait::Reply(reply)) if topic == *reply => {
                    return Ok(String::from_utf8_lossy(&payload).into_owned());
                }
                (Packet::Publish { topic, .. }, _) if !topic.starts_with("me/") => {
                    self.record.push(Event::Overheard { user: self.user.clone(), topic });
                }
                (Packet::Disconnect { .. }, _) => return Err(io::ErrorKind::ConnectionReset.into()),
                _ => {}
            }
        }
    }
}

impl<S: AsyncRead + Unpin> Wire<S> {
    async fn next(&mut self, version: u8) -> io::Result<Packet> {
        let mut buffer = [0; 1024];
        loop {
            let packet = wire::decode(&mut self.inbox, version);
            if let Some(packet) = packet.map_err(io::Error::other)? {
                return Ok(packet);
            }
            let read = timeout(ANSWER_TIMEOUT, self.stream.read(&mut buffer)).await??;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.inbox.extend_from_slice(buffer.get(..read).unwrap_or_default());
        }
    }
}
