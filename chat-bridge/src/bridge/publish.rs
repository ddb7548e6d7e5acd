//! What a client publishes to the host's topics: submitted and answered.

use std::sync::Arc;

use bluetick_broker::host::{HostEvent, HostPublish, Token};
use bluetick_broker::packet::{AckProperties, QoS, Reason};
use bluetick_protocol::{ChatId, ChatKind, PublishTopic, Refusal, SendAck, Seq};

use super::command::{Author, Refused};
use super::session::Inner;
use super::{encode, quotas};
use crate::engine::{Outcome, Refused as EngineRefused};
use crate::partition::Unavailable;

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
        // Requests have answers of their own.
        if publish.topic.starts_with("rpc/")
            && let Ok(PublishTopic::Rpc { method, request }) = PublishTopic::parse(&publish.topic)
        {
            if let Err(Refused(reason, message)) = self.request(&publish, &method, request) {
                self.refuse(&origin, reason, message);
            }
            return;
        }
        let now = self.shared.now_ms();
        let person = self.person.get().map(|person| &**person);
        let acknowledged = &|chat: &ChatId| self.acknowledged(chat);
        let author = Author {
            shared: &self.shared,
            key: &self.key,
            epoch: self.epoch(),
            person,
            acknowledged,
        };
        match author.command(publish) {
            Ok((chat, command)) => {
                let partition = self.shared.of_chat(&chat).clone();
                let inner = self.clone();
                let reply = move |outcome| inner.answer(&origin, chat, outcome);
                partition.submit(command, now, Some(Box::new(reply)));
            }
            Err(Refused(reason, message)) => self.refuse(&origin, reason, message),
        }
    }

    fn answer(&self, origin: &Origin, chat: ChatId, outcome: Result<Outcome, Unavailable>) {
        match outcome {
            Ok(Outcome::Sent { id, seq, at_ms, duplicate }) => {
                if seq == Seq(1) && !duplicate && chat.kind() == ChatKind::Direct {
                    self.count_stranger();
                }
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
            Ok(Outcome::Typing { typing }) => {
                let now = self.shared.now_ms();
                self.shared.typists.note(chat, &self.key.user, typing, now);
                self.line.host(HostEvent::Published {
                    token: origin.token,
                    reason: Reason::SUCCESS,
                    properties: None,
                    notice: None,
                });
            }
            Ok(Outcome::Refused(EngineRefused::AdminsOnly)) => {
                let text = "only an owner or an admin may send here".to_owned();
                self.refuse(origin, Reason::NOT_AUTHORIZED, text);
            }
            Ok(Outcome::Refused(EngineRefused::TooManyEdits)) => {
                let text = "the message was edited as often as it can be".to_owned();
                self.refuse(origin, Reason::QUOTA_EXCEEDED, text);
            }
            Ok(Outcome::Refused(EngineRefused::NoReaction)) => {
                let text = "there is no reaction to take back".to_owned();
                self.refuse(origin, Reason::PAYLOAD_FORMAT_INVALID, text);
            }
            Ok(Outcome::OverQuota(quota)) => {
                self.shared.quota_stats.count(quota);
                self.refuse(origin, Reason::QUOTA_EXCEEDED, quotas::explain(quota).to_owned());
            }
            Ok(Outcome::Refused(_)) => {
                // Or it is a way to find out who exists.
                if chat.kind() == ChatKind::Direct {
                    self.count_stranger();
                }
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

    fn count_stranger(&self) {
        if let Some(person) = self.person.get() {
            person.usage.begun(&self.shared.options.quotas, self.shared.now_ms());
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
        let properties = self.mqtt5.then(|| AckProperties::because(message));
        self.line.host(HostEvent::Published { token: origin.token, reason, properties, notice });
    }
}
