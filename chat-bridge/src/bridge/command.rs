//! What a publish to the host's topics asks of the engine: topic, properties and body, parsed.

use std::cell::RefCell;

use bluetick_broker::host::HostPublish;
use bluetick_broker::packet::{PublishProperties, QoS, Reason};
use bluetick_protocol::{
    ChatId, MENTIONS_MAX, MessageId, PublishTopic, SendJson, Seq, Target, TopicError, UserId,
    compact, parse_reaction, parse_read, parse_typing,
};
use bytes::Bytes;
use xxhash_rust::xxh3::Xxh3;
use xxhash_rust::xxh32::xxh32;

use super::Shared;
use super::people::Person;
use crate::engine::{Amends, Command, ContentType, Quota, Read, Send, SessionKey, Typing};

/// Why a publish is refused: MQTT's reason and what to do about it.
pub(super) struct Refused(pub(super) Reason, pub(super) String);

/// Whose publish it is.
pub(super) struct Author<'a> {
    pub(super) shared: &'a Shared,
    pub(super) key: &'a SessionKey,
    pub(super) epoch: u64,
    /// `None`: a will of one who is not in mind any more.
    pub(super) person: Option<&'a Person>,
    /// The last message of a chat that the device has acknowledged, where that is known.
    pub(super) acknowledged: &'a dyn Fn(&ChatId) -> Option<Seq>,
}

/// A hash of the device, by which its own messages are known.
pub(super) fn origin(key: &SessionKey) -> u32 {
    xxh32(key.device.as_bytes(), 0)
}

impl Author<'_> {
    pub(super) fn command(&self, publish: HostPublish) -> Result<(ChatId, Command), Refused> {
        if let Some((to, id)) = Recent::find(&self.key.user, &publish.topic) {
            return Ok((to.chat.clone(), self.send(publish, to, id, None)?));
        }
        if let Ok(topic) = compact::PublishTopic::parse(&publish.topic) {
            return self.compact(publish, topic);
        }
        let topic = PublishTopic::parse(&publish.topic)
            .map_err(|error| Refused(Reason(error.code()), error.to_string()))?;
        match topic {
            PublishTopic::Send { to, id } => {
                let to = self.addressee(self.chat(to));
                Recent::note(&self.key.user, &publish.topic, id.is_some(), &to);
                Ok((to.chat.clone(), self.send(publish, to, id, None)?))
            }
            PublishTopic::SendJson { to } => {
                let chat = self.chat(to);
                let json = SendJson::from_json(&publish.payload)
                    .map_err(|error| Refused(Reason::PAYLOAD_FORMAT_INVALID, error.to_string()))?;
                Ok((chat.clone(), self.send_parsed(&publish, chat, json)?))
            }
            PublishTopic::Read { chat } => {
                let seq = parse_read(&publish.payload)
                    .map_err(|error| Refused(Reason::PAYLOAD_FORMAT_INVALID, error.to_string()))?;
                let user = self.key.user.clone();
                Ok((
                    chat.clone(),
                    Command::Read(Read { user, chat, seq, told: self.tells_reading() }),
                ))
            }
            PublishTopic::Edit { chat, seq } => {
                Ok((chat.clone(), self.amend(publish, chat, Amends::Edit(seq))?))
            }
            PublishTopic::Delete { chat, seq } => {
                if !publish.payload.is_empty() {
                    let text = "a deletion has no payload".to_owned();
                    return Err(Refused(Reason::PAYLOAD_FORMAT_INVALID, text));
                }
                Ok((chat.clone(), self.amend(publish, chat, Amends::Delete(seq))?))
            }
            PublishTopic::React { chat, seq } => {
                parse_reaction(&publish.payload)
                    .map_err(|error| Refused(Reason::PAYLOAD_FORMAT_INVALID, error.to_string()))?;
                Ok((chat.clone(), self.amend(publish, chat, Amends::React(seq))?))
            }
            // A request has answers of its own, and a will that asks has nobody to be answered.
            PublishTopic::Rpc { .. } => Err(not_served()),
            PublishTopic::Typing { chat } => {
                let typing = parse_typing(&publish.payload)
                    .map_err(|error| Refused(Reason::PAYLOAD_FORMAT_INVALID, error.to_string()))?;
                Ok((chat.clone(), self.typing(chat, typing)))
            }
        }
    }

    fn compact(
        &self,
        publish: HostPublish,
        topic: compact::PublishTopic,
    ) -> Result<(ChatId, Command), Refused> {
        let invalid = |error: compact::Error| Refused(Reason(error.code()), error.to_string());
        match topic {
            compact::PublishTopic::Send { chat } => {
                let send = compact::SendRef::from_compact(&publish.payload).map_err(invalid)?;
                let send = SendJson::from(send);
                Ok((chat.clone(), self.send_parsed(&publish, chat, send)?))
            }
            compact::PublishTopic::Read { chat } => {
                let seq = match publish.payload.is_empty() {
                    true => self.acknowledged(&publish, &chat)?,
                    false => compact::parse_read(&publish.payload).map_err(invalid)?,
                };
                let user = self.key.user.clone();
                Ok((
                    chat.clone(),
                    Command::Read(Read { user, chat, seq, told: self.tells_reading() }),
                ))
            }
            compact::PublishTopic::Typing { chat } => {
                let typing = compact::parse_typing(&publish.payload).map_err(invalid)?;
                Ok((chat.clone(), self.typing(chat, typing)))
            }
        }
    }

    /// What an empty payload says one has read. Sent again, it is of an earlier connection, in which
    /// something else may have been acknowledged.
    fn acknowledged(&self, publish: &HostPublish, chat: &ChatId) -> Result<Seq, Refused> {
        let acknowledged = Some(chat).filter(|_| !publish.dup).and_then(self.acknowledged);
        acknowledged.ok_or_else(|| {
            let text = "an empty payload is the last message that this device has acknowledged in \
                        this connection, of those it gets as differences (c/+/m/d); there is \
                        none: say its seq";
            Refused(Reason::PAYLOAD_FORMAT_INVALID, text.to_owned())
        })
    }

    /// Whether others may know what he has read; where it is not known, not.
    fn tells_reading(&self) -> bool {
        self.person.is_some_and(|person| !person.hides_reading())
    }

    /// The quota that stands against a message.
    fn over(&self, chat: &ChatId) -> Option<Quota> {
        let now = self.shared.now_ms();
        self.person?.usage.message(chat, &self.shared.options.quotas, now)
    }

    fn may_begin(&self) -> bool {
        let (quotas, now) = (&self.shared.options.quotas, self.shared.now_ms());
        self.person.is_none_or(|person| person.usage.may_begin(quotas, now))
    }

    fn typing(&self, chat: ChatId, typing: bool) -> Command {
        Command::Typing(Typing { user: self.key.user.clone(), chat, typing })
    }

    fn chat(&self, to: Target) -> ChatId {
        match to {
            Target::Chat(chat) => chat,
            Target::User(user) => ChatId::direct(&self.key.user, &user),
        }
    }

    fn addressee(&self, chat: ChatId) -> Addressee {
        Addressee { exists: self.peer_exists(&chat), chat }
    }

    fn amend(
        &self,
        publish: HostPublish,
        chat: ChatId,
        amends: Amends,
    ) -> Result<Command, Refused> {
        // It does not begin a chat.
        self.send(publish, Addressee { chat, exists: false }, None, Some(amends))
    }

    fn send(
        &self,
        publish: HostPublish,
        to: Addressee,
        id: Option<MessageId>,
        amends: Option<Amends>,
    ) -> Result<Command, Refused> {
        let properties = &publish.properties;
        let content_type = properties.content_type.as_deref();
        check_content_type(content_type)?;
        let given = Properties::read(properties)?;
        let id = id.or(given.id);
        let send = Send {
            from: self.key.user.clone(),
            peer_exists: to.exists,
            may_begin: self.may_begin(),
            over: self.over(&to.chat),
            chat: to.chat,
            id,
            fingerprint: self.fingerprint(&publish, id),
            dup: publish.dup,
            origin: origin(self.key),
            content_type: ContentType::of(content_type, &publish.payload),
            reply_to: given.reply_to,
            mentions: given.mentions,
            ttl_s: properties.message_expiry_s.map(|ttl_s| ttl_s.max(1)),
            body: publish.payload,
            amends,
            edit_window_ms: u64::from(self.shared.options.edit_window_s) * 1000,
        };
        self.check_body(&send.body)?;
        Ok(Command::Send(Box::new(send)))
    }

    fn send_parsed(
        &self,
        publish: &HostPublish,
        chat: ChatId,
        json: SendJson,
    ) -> Result<Command, Refused> {
        let body = Bytes::from(json.body);
        self.check_body(&body)?;
        let send = Send {
            from: self.key.user.clone(),
            peer_exists: self.peer_exists(&chat),
            may_begin: self.may_begin(),
            over: self.over(&chat),
            chat,
            id: json.id,
            fingerprint: self.fingerprint(publish, json.id),
            dup: publish.dup,
            origin: origin(self.key),
            content_type: ContentType::of(json.content_type.as_deref(), &body),
            reply_to: json.reply_to,
            mentions: json.mentions,
            ttl_s: json.ttl_s,
            body,
            amends: None,
            edit_window_ms: 0,
        };
        Ok(Command::Send(Box::new(send)))
    }

    fn check_body(&self, body: &[u8]) -> Result<(), Refused> {
        let max = self.shared.options.message_bytes_max;
        if body.len() > max {
            let text = format!("the body has {} bytes, at most {max} are taken", body.len());
            // A PUBACK knows no 0x95 (MQTT 5 §3.4.2.1).
            return Err(Refused(Reason::IMPLEMENTATION_SPECIFIC, text));
        }
        Ok(())
    }

    /// Whether the other user of a direct chat exists; matters only if it is the first message.
    fn peer_exists(&self, chat: &ChatId) -> bool {
        let user = &self.key.user;
        let peer = chat.peer_of(user);
        peer.is_some_and(|peer| peer == *user || self.shared.directory.exists(&peer))
    }

    /// See [`Send::fingerprint`]. Only a publish that MQTT may send again has one.
    fn fingerprint(&self, publish: &HostPublish, id: Option<MessageId>) -> Option<u64> {
        if id.is_some() || publish.qos == QoS::AtMostOnce {
            return None;
        }
        let mut hash = Xxh3::new();
        hash.update(self.key.user.as_str().as_bytes());
        hash.update(&[0]);
        hash.update(self.key.device.as_bytes());
        hash.update(&self.epoch.to_be_bytes());
        hash.update(&publish.packet_id.to_be_bytes());
        hash.update(&[publish.qos as u8]);
        hash.update(publish.topic.as_bytes());
        hash.update(&[0]);
        for text in [&publish.properties.content_type, &publish.properties.response_topic] {
            hash.update(text.as_deref().unwrap_or_default().as_bytes());
            hash.update(&[0]);
        }
        for (name, value) in &publish.properties.user_properties {
            hash.update(name.as_bytes());
            hash.update(&[0]);
            hash.update(value.as_bytes());
            hash.update(&[0]);
        }
        hash.update(&publish.payload);
        Some(hash.digest())
    }
}

/// Where a message goes.
#[derive(Clone)]
struct Addressee {
    chat: ChatId,
    /// Of a direct chat: whether the other user exists.
    exists: bool,
}

thread_local! {
    static RECENT: RefCell<Option<Recent>> = const { RefCell::new(None) };
}

/// Where this thread's last message went. Who sends many at once sends them to one chat, whose name
/// need not be read, checked and put together for each; one per thread, so that it costs a
/// connection that is idle nothing.
struct Recent {
    from: UserId,
    /// The topic without a message's id, up to `/send`.
    topic: Box<str>,
    to: Addressee,
}

impl Recent {
    /// Notes it; `has_id`: the topic ends with one.
    fn note(from: &UserId, topic: &str, has_id: bool, to: &Addressee) {
        let without_id = topic.rsplit_once('/').filter(|_| has_id).map_or(topic, |(rest, _)| rest);
        let (from, topic, to) = (from.clone(), without_id.into(), to.clone());
        RECENT.set(Some(Self { from, topic, to }));
    }

    /// Where `topic` goes, and the id in it, if the last one went there.
    fn find(from: &UserId, topic: &str) -> Option<(Addressee, Option<MessageId>)> {
        RECENT.with_borrow(|recent| {
            let recent = recent.as_ref().filter(|recent| recent.from == *from)?;
            let id = match topic.strip_prefix(&*recent.topic)? {
                "" => None,
                // What is no id is for others to explain.
                rest => Some(MessageId::try_from(rest.strip_prefix('/')?).ok()?),
            };
            Some((recent.to.clone(), id))
        })
    }
}

/// For topics of the protocol that this server does not serve yet.
fn not_served() -> Refused {
    let error = TopicError::Unknown;
    Refused(Reason(error.code()), error.to_string())
}

/// What MQTT 5's user properties say of a message.
#[derive(Default)]
struct Properties {
    id: Option<MessageId>,
    reply_to: Option<Seq>,
    mentions: Vec<UserId>,
}

impl Properties {
    fn read(properties: &PublishProperties) -> Result<Self, Refused> {
        let mut read = Self::default();
        for (name, value) in &properties.user_properties {
            match name.as_str() {
                "id" => {
                    let id = MessageId::try_from(value.as_str());
                    read.id = Some(id.map_err(|error| invalid("id", &error))?);
                }
                "reply_to" => {
                    let seq = parse_read(value.as_bytes())
                        .map_err(|error| invalid("reply_to", &error))?;
                    if seq == Seq::ZERO {
                        return Err(invalid("reply_to", &"a seq is 1 or greater"));
                    }
                    read.reply_to = Some(seq);
                }
                "mention" => {
                    if read.mentions.len() >= MENTIONS_MAX {
                        return Err(invalid("mention", &format!("at most {MENTIONS_MAX}")));
                    }
                    let user = UserId::try_from(value.as_str());
                    read.mentions.push(user.map_err(|error| invalid("mention", &error))?);
                }
                // Others are the client's own affair.
                _ => {}
            }
        }
        Ok(read)
    }
}

fn invalid(name: &str, error: &dyn std::fmt::Display) -> Refused {
    Refused(Reason::PAYLOAD_FORMAT_INVALID, format!("user property {name:?}: {error}"))
}

fn check_content_type(content_type: Option<&str>) -> Result<(), Refused> {
    content_type
        .map_or(Ok(()), bluetick_protocol::check_content_type)
        .map_err(|error| Refused(Reason::PAYLOAD_FORMAT_INVALID, error.to_string()))
}
