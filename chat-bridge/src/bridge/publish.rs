//! What a client publishes to the host's topics: parsed, submitted, answered.

use std::sync::Arc;

use bluetick_broker::host::{HostEvent, HostPublish, Token};
use bluetick_broker::packet::{AckProperties, PublishProperties, QoS, Reason};
use bluetick_protocol::{
    CONTENT_TYPE_BYTES_MAX, ChatId, ChatKind, MENTIONS_MAX, MessageId, PublishTopic, Refusal,
    SendAck, SendJson, Seq, Target, UserId, parse_read,
};
use bytes::Bytes;
use xxhash_rust::xxh3::Xxh3;

use super::encode;
use super::session::Inner;
use crate::engine::{Command, ContentType, Outcome, Read, Send};
use crate::partition::Unavailable;

/// Why a publish is refused: MQTT's reason and what to do about it.
struct Refused(Reason, String);

/// What has to be known of a publish to answer it.
struct Origin {
    token: Token,
    qos: QoS,
    packet_id: u16,
    topic: Arc<str>,
}

impl Inner {
    pub(super) fn publish(self: &Arc<Self>, publish: HostPublish) {
        let origin = Origin {
            token: publish.token,
            qos: publish.qos,
            packet_id: publish.packet_id,
            topic: publish.topic.clone(),
        };
        let now = self.shared.now_ms();
        match self.command(publish) {
            Ok((chat, command)) => {
                let partition = self.shared.of_chat(&chat).clone();
                let inner = self.clone();
                let reply = move |outcome| inner.answer(&origin, chat, outcome);
                partition.submit(command, now, Some(Box::new(reply)));
            }
            Err(Refused(reason, message)) => self.refuse(&origin, reason, message),
        }
    }

    fn command(&self, publish: HostPublish) -> Result<(ChatId, Command), Refused> {
        let topic = PublishTopic::parse(&publish.topic)
            .map_err(|error| Refused(Reason(error.code()), error.to_string()))?;
        match topic {
            PublishTopic::Send { to, id } => {
                let chat = self.chat(to);
                Ok((chat.clone(), self.send(publish, chat, id)?))
            }
            PublishTopic::SendJson { to } => {
                let chat = self.chat(to);
                Ok((chat.clone(), self.send_json(publish, chat)?))
            }
            PublishTopic::Read { chat } => {
                let seq = parse_read(&publish.payload)
                    .map_err(|error| Refused(Reason::PAYLOAD_FORMAT_INVALID, error.to_string()))?;
                let user = self.key.user.clone();
                Ok((chat.clone(), Command::Read(Read { user, chat, seq })))
            }
        }
    }

    fn chat(&self, to: Target) -> ChatId {
        match to {
            Target::Chat(chat) => chat,
            Target::User(user) => ChatId::direct(&self.key.user, &user),
        }
    }

    fn send(
        &self,
        publish: HostPublish,
        chat: ChatId,
        id: Option<MessageId>,
    ) -> Result<Command, Refused> {
        let properties = &publish.properties;
        let content_type = properties.content_type.as_deref();
        check_content_type(content_type)?;
        let given = Properties::read(properties)?;
        let id = id.or(given.id);
        let send = Send {
            from: self.key.user.clone(),
            peer_exists: self.peer_exists(&chat),
            chat,
            id,
            fingerprint: self.fingerprint(&publish, id),
            dup: publish.dup,
            origin: self.origin(),
            content_type: ContentType::of(content_type, &publish.payload),
            reply_to: given.reply_to,
            mentions: given.mentions,
            ttl_s: properties.message_expiry_s.map(|ttl_s| ttl_s.max(1)),
            body: publish.payload,
        };
        self.check_body(&send.body)?;
        Ok(Command::Send(Box::new(send)))
    }

    fn send_json(&self, publish: HostPublish, chat: ChatId) -> Result<Command, Refused> {
        let json = SendJson::from_json(&publish.payload)
            .map_err(|error| Refused(Reason::PAYLOAD_FORMAT_INVALID, error.to_string()))?;
        check_content_type(json.content_type.as_deref())?;
        let body = Bytes::from(json.body);
        self.check_body(&body)?;
        let send = Send {
            from: self.key.user.clone(),
            peer_exists: self.peer_exists(&chat),
            chat,
            id: json.id,
            fingerprint: self.fingerprint(&publish, json.id),
            dup: publish.dup,
            origin: self.origin(),
            content_type: ContentType::of(json.content_type.as_deref(), &body),
            reply_to: json.reply_to,
            mentions: json.mentions,
            ttl_s: json.ttl_s,
            body,
        };
        Ok(Command::Send(Box::new(send)))
    }

    fn check_body(&self, body: &[u8]) -> Result<(), Refused> {
        let max = self.shared.options.message_bytes_max;
        if body.len() > max {
            let text = format!("the body has {} bytes, at most {max} are taken", body.len());
            return Err(Refused(Reason::PACKET_TOO_LARGE, text));
        }
        Ok(())
    }

    /// Whether the other user of a direct chat exists; matters only if it is the first message.
    fn peer_exists(&self, chat: &ChatId) -> bool {
        match chat.kind() {
            ChatKind::Group => false,
            ChatKind::Direct => chat.direct_members().is_some_and(|(a, b)| {
                let other = if a == self.key.user { b } else { a };
                other == self.key.user || self.shared.directory.exists(&other)
            }),
        }
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
        hash.update(&self.epoch().to_be_bytes());
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

    fn answer(&self, origin: &Origin, chat: ChatId, outcome: Result<Outcome, Unavailable>) {
        match outcome {
            Ok(Outcome::Sent { id, seq, at_ms, duplicate }) => {
                let properties = self.mqtt5.then(|| {
                    let mut user_properties = vec![
                        ("seq".to_owned(), seq.0.to_string()),
                        ("at".to_owned(), at_ms.to_string()),
                    ];
                    if duplicate {
                        user_properties.push(("duplicate".to_owned(), "1".to_owned()));
                    }
                    Box::new(AckProperties { reason_string: None, user_properties })
                });
                let notice = self
                    .subscribed_to_notices(bluetick_protocol::ACKS_TOPIC)
                    .then(|| encode::ack(&SendAck { chat, id, seq, at_ms, duplicate }));
                self.line.host(HostEvent::Published {
                    token: origin.token,
                    reason: Reason::SUCCESS,
                    properties,
                    notice,
                });
            }
            Ok(Outcome::Refused(_)) => {
                let text = "not a member, or there is no such chat or user".to_owned();
                self.refuse(origin, Reason::NOT_AUTHORIZED, text);
            }
            Ok(_) => self.line.host(HostEvent::Published {
                token: origin.token,
                reason: Reason::SUCCESS,
                properties: None,
                notice: None,
            }),
            // Nothing is acknowledged that may not be stored: the client tries again.
            Err(Unavailable) => {
                self.line.host(HostEvent::Close(Reason::SERVER_UNAVAILABLE));
            }
        }
    }

    fn refuse(&self, origin: &Origin, reason: Reason, message: String) {
        // MQTT 5 says it in the acknowledgement; without one, or in 3.1.1, a notice does.
        let untold = !self.mqtt5 || origin.qos == QoS::AtMostOnce;
        let told = untold && self.subscribed_to_notices(bluetick_protocol::ERRORS_TOPIC);
        let notice = told.then(|| {
            encode::refusal(&Refusal {
                topic: origin.topic.to_string(),
                packet_id: origin.packet_id,
                code: reason.0,
                message: message.clone(),
            })
        });
        let properties = self.mqtt5.then(|| {
            Box::new(AckProperties { reason_string: Some(message), user_properties: Vec::new() })
        });
        self.line.host(HostEvent::Published { token: origin.token, reason, properties, notice });
    }
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
                    let seq = parse_read(value.as_bytes());
                    read.reply_to = Some(seq.map_err(|error| invalid("reply_to", &error))?);
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
    match content_type {
        Some(text) if text.is_empty() || text.len() > CONTENT_TYPE_BYTES_MAX => {
            let text = format!("a content type has 1 to {CONTENT_TYPE_BYTES_MAX} bytes");
            Err(Refused(Reason::PAYLOAD_FORMAT_INVALID, text))
        }
        _ => Ok(()),
    }
}
