//! What is sent: topics, payloads, properties.

use bluetick_protocol::rpc::Request;
use bluetick_protocol::{
    ChatId, RequestId, Seq, compact, default_content_type, delete_topic, edit_topic, react_topic,
    read_topic, rpc_topic, send_topic, typing_topic,
};
use bytes::Bytes;
use rumqttc::v5::mqttbytes::v5::PublishProperties;

use crate::builder::Dialect;
use crate::outbox::{Entry, Verb};

/// What is sent, before it has an alias.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Outgoing {
    pub(super) topic: String,
    /// It is worth one of the aliases: more of it will come.
    pub(super) alias: bool,
    pub(super) payload: Bytes,
    pub(super) properties: PublishProperties,
}

impl Outgoing {
    fn new(topic: String, alias: bool, payload: impl Into<Bytes>) -> Self {
        let properties = PublishProperties::default();
        Self { topic, alias, payload: payload.into(), properties }
    }

    /// Bytes of the packet, at most.
    pub(super) fn bytes_max(&self) -> usize {
        /// The fixed header, lengths, packet id and alias.
        const FIXED: usize = 5 + 2 + 2 + 4 + 3;
        let properties = &self.properties;
        let user = properties.user_properties.iter();
        let user: usize = user.map(|(name, value)| 5 + name.len() + value.len()).sum();
        let content_type = properties.content_type.as_ref().map_or(0, |text| 3 + text.len());
        FIXED + self.topic.len() + user + content_type + 5 + self.payload.len()
    }
}

pub(super) fn entry(entry: &Entry, dialect: Dialect) -> Outgoing {
    let (head, chat) = (&entry.head, &entry.head.chat);
    let topic = match (head.verb, dialect) {
        (Verb::Send, Dialect::Compact) => return compact_send(entry),
        (Verb::Send, Dialect::Json) => send_topic(chat, None),
        (Verb::Edit(seq), _) => edit_topic(chat, seq),
        (Verb::Delete(seq), _) => delete_topic(chat, seq),
        (Verb::React(seq), _) => react_topic(chat, seq),
    };
    // The id as a property: in the topic it would undo the alias.
    let alias = head.verb == Verb::Send;
    let mut outgoing = Outgoing::new(topic, alias, entry.body.clone());
    let mut user_properties = vec![("id".to_owned(), head.id.to_string())];
    let header = &head.header;
    if let Some(seq) = header.reply_to {
        user_properties.push(("reply_to".to_owned(), seq.to_string()));
    }
    let mentions = header.mentions.iter();
    user_properties.extend(mentions.map(|user| ("mention".to_owned(), user.to_string())));
    let content_type = header.content_type.as_deref();
    let usual = default_content_type(&entry.body);
    outgoing.properties = PublishProperties {
        message_expiry_interval: header.ttl_s,
        content_type: content_type.filter(|it| *it != usual).map(str::to_owned),
        user_properties,
        ..PublishProperties::default()
    };
    outgoing
}

fn compact_send(entry: &Entry) -> Outgoing {
    let header = &entry.head.header;
    let content_type = header.content_type.as_deref();
    let send = compact::SendRef {
        id: Some(entry.head.id),
        reply_to: header.reply_to,
        mentions: header.mentions.clone(),
        ttl_s: header.ttl_s,
        ..compact::SendRef::new(
            &entry.body,
            content_type.unwrap_or_else(|| default_content_type(&entry.body)),
        )
    };
    Outgoing::new(compact::send_topic(&entry.head.chat), true, send.to_compact())
}

pub(super) fn read(chat: &ChatId, seq: Seq, dialect: Dialect) -> Outgoing {
    match dialect {
        Dialect::Json => Outgoing::new(read_topic(chat), true, seq.to_string()),
        Dialect::Compact => {
            Outgoing::new(compact::read_topic(chat), true, compact::read_payload(seq))
        }
    }
}

pub(super) fn typing(chat: &ChatId, typing: bool, dialect: Dialect) -> Outgoing {
    match dialect {
        Dialect::Json => {
            let payload: &'static [u8] = if typing { b"1" } else { b"0" };
            Outgoing::new(typing_topic(chat), true, payload)
        }
        Dialect::Compact => {
            Outgoing::new(compact::typing_topic(chat), true, compact::typing_payload(typing))
        }
    }
}

pub(super) fn request(id: &RequestId, request: &Request) -> Outgoing {
    Outgoing::new(rpc_topic(request.method(), Some(id)), false, request.to_json())
}

#[cfg(test)]
mod tests {
    use bluetick_protocol::UserId;
    use rumqttc::v5::mqttbytes::{QoS, v5::Publish};

    use super::*;
    use crate::draft::Header;
    use crate::outbox::Head;

    fn sample(verb: Verb) -> Entry {
        let header = Header {
            content_type: Some("text/markdown".to_owned()),
            reply_to: Some(Seq(3)),
            mentions: vec![UserId::try_from("bob").expect("a user")],
            ttl_s: Some(60),
        };
        let head = Head {
            id: "0193a5f0-1c2b-7d3e-8f4a-5b6c7d8e9f00".parse().expect("an id"),
            chat: ChatId::try_from("alice~bob").expect("a chat"),
            verb,
            header,
            at_ms: 0,
            give_up_ms: None,
        };
        Entry { head, body: b"*hi*".to_vec() }
    }

    #[test]
    fn the_bound_of_a_packet_is_one() {
        let mut aliased = entry(&sample(Verb::Send), Dialect::Json);
        let bound = aliased.bytes_max();
        aliased.properties.topic_alias = Some(7);
        let properties = Some(aliased.properties);
        let mut publish =
            Publish::new(aliased.topic, QoS::AtLeastOnce, aliased.payload, properties);
        publish.pkid = 1;
        assert!(publish.size() <= bound, "{} {bound}", publish.size());
    }

    #[test]
    fn the_usual_is_not_said() {
        let mut sample = sample(Verb::Send);
        sample.head.header = Header::default();
        let json = entry(&sample, Dialect::Json);
        assert_eq!(json.topic, "chats/alice~bob/send");
        let id = ("id".to_owned(), sample.head.id.to_string());
        let only_id =
            PublishProperties { user_properties: vec![id], ..PublishProperties::default() };
        assert_eq!(json.properties, only_id);
        sample.head.header.content_type = Some("text/plain".to_owned());
        assert_eq!(entry(&sample, Dialect::Json), json);
        let compact = entry(&sample, Dialect::Compact);
        assert_eq!((compact.topic.as_str(), compact.payload.len()), ("c/alice~bob/s", 25));
        assert_eq!(compact.properties, PublishProperties::default());
    }
}
