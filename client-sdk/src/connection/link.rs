//! One connection, from CONNECT to its loss: packet ids, aliases, acknowledgements.
//!
//! Each connection has an event loop of rumqttc of its own, so that nothing of an earlier one is left in
//! it: what has to go out again is known to the outbox, and in its order.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Instant;

use bluetick_protocol::{ChatId, RequestId, Seq};
use bytes::Bytes;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{ConnAck, Filter, Publish};
use rumqttc::v5::{AsyncClient, ClientError, EventLoop, MqttOptions};

use super::encode::Outgoing;
use super::options::ALIASES_MAX;
use crate::inbox::Token;

/// Publishes under way, at most: enough for 1,000 messages a second at a round trip of 30 ms. The server's
/// receive maximum may make it fewer.
pub(super) const WINDOW_MAX: u16 = 32;

/// Packet ids that rumqttc uses in turn: more than are under way with subscriptions in between, so that one
/// is free again before its turn comes.
const PACKET_IDS: u16 = 2 * WINDOW_MAX;

/// What may wait for rumqttc's event loop beside acknowledgements: publishes, subscriptions, typing.
const REQUESTS_MAX: usize = 4 * WINDOW_MAX as usize;

/// What a PUBLISH is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Cargo {
    Entry(u64),
    Read(ChatId, Seq),
    Request(RequestId),
}

/// Why a connection cannot go on, and is made anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Broken {
    /// rumqttc takes no more: a mistake, as its queue has room for all that may be under way.
    #[error("the queue of the connection is full")]
    Congested,
    /// The server's mistake; to acknowledge what cannot be read would lose it.
    #[error("the server has used a topic alias that it had not set")]
    Alias,
}

impl From<ClientError> for Broken {
    fn from(_: ClientError) -> Self {
        Self::Congested
    }
}

/// One connection.
pub(super) struct Link {
    mqtt: AsyncClient,
    /// CONNACK has come.
    pub(super) online: bool,
    window: usize,
    pub(super) packet_bytes_max: usize,
    /// Under way, in the order of their PUBLISHes; their packet id, once they have one.
    flights: VecDeque<(Option<u16>, Cargo)>,
    /// Publishes at QoS 0 that wait for rumqttc.
    passing: usize,
    sent_aliases: Aliases,
    taken_aliases: HashMap<u16, Bytes>,
    acks: Acks,
    /// The server has said that it is too much: entries wait until then.
    pub(super) hold: Option<Instant>,
    /// DISCONNECT is on its way.
    pub(super) leaving: bool,
}

impl Link {
    /// A connection that is made when the event loop is polled. `unacked_max` bounds its queue of
    /// acknowledgements.
    pub(super) fn new(mut options: MqttOptions, unacked_max: u16) -> (Self, EventLoop) {
        options.set_outgoing_inflight_upper_limit(PACKET_IDS);
        let (mqtt, event_loop) = AsyncClient::new(options, REQUESTS_MAX + usize::from(unacked_max));
        let link = Self {
            mqtt,
            online: false,
            window: 0,
            packet_bytes_max: usize::MAX,
            flights: VecDeque::new(),
            passing: 0,
            sent_aliases: Aliases::default(),
            taken_aliases: HashMap::new(),
            acks: Acks::default(),
            hold: None,
            leaving: false,
        };
        (link, event_loop)
    }

    /// CONNACK.
    pub(super) fn begin(&mut self, connack: &ConnAck) {
        let properties = connack.properties.as_ref();
        let receive_max = properties.and_then(|it| it.receive_max).unwrap_or(u16::MAX);
        // One less: at its limit rumqttc would not even acknowledge.
        self.window = usize::from(WINDOW_MAX.min(receive_max.saturating_sub(1)).max(1));
        self.sent_aliases.max = properties.and_then(|it| it.topic_alias_max).unwrap_or(0);
        if let Some(bytes_max) = properties.and_then(|it| it.max_packet_size) {
            self.packet_bytes_max = bytes_max as usize;
        }
        self.online = true;
    }

    /// Whether one more PUBLISH may be under way.
    pub(super) fn has_room(&self) -> bool {
        self.online && !self.leaving && self.flights.len() < self.window
    }

    /// Whether an entry of the outbox is under way.
    pub(super) fn has_entries(&self) -> bool {
        self.flights.iter().any(|(_, cargo)| matches!(cargo, Cargo::Entry(_)))
    }

    /// Publishes at QoS 1.
    pub(super) fn publish(&mut self, outgoing: Outgoing, cargo: Cargo) -> Result<(), Broken> {
        self.hand_over(outgoing, QoS::AtLeastOnce)?;
        self.flights.push_back((None, cargo));
        Ok(())
    }

    /// Publishes at QoS 0; if many of these wait already, it is not worth it.
    pub(super) fn tell(&mut self, outgoing: Outgoing) -> Result<(), Broken> {
        if self.passing >= usize::from(WINDOW_MAX) {
            return Ok(());
        }
        self.passing += 1;
        self.hand_over(outgoing, QoS::AtMostOnce)
    }

    fn hand_over(&mut self, outgoing: Outgoing, qos: QoS) -> Result<(), Broken> {
        let Outgoing { mut topic, alias, payload, mut properties } = outgoing;
        if alias && let Some((number, is_known)) = self.sent_aliases.of(&topic) {
            properties.topic_alias = Some(number);
            if is_known {
                topic.clear();
            }
        }
        self.mqtt.try_publish_with_properties(topic, qos, false, payload, properties)?;
        Ok(())
    }

    pub(super) fn subscribe(&self, filters: Vec<Filter>) -> Result<(), Broken> {
        Ok(self.mqtt.try_subscribe_many(filters)?)
    }

    pub(super) fn unsubscribe(&self, filter: &str) -> Result<(), Broken> {
        Ok(self.mqtt.try_unsubscribe(filter)?)
    }

    /// Says goodbye.
    pub(super) fn leave(&mut self) -> Result<(), Broken> {
        self.leaving = true;
        Ok(self.mqtt.try_disconnect()?)
    }

    /// rumqttc has given a PUBLISH its packet id; 0 is QoS 0.
    pub(super) fn has_gone(&mut self, packet_id: u16) {
        if packet_id == 0 {
            self.passing = self.passing.saturating_sub(1);
        } else if let Some((id, _)) = self.flights.iter_mut().find(|(id, _)| id.is_none()) {
            *id = Some(packet_id);
        }
    }

    /// A PUBACK: what it is about.
    pub(super) fn landed(&mut self, packet_id: u16) -> Option<Cargo> {
        let at = self.flights.iter().position(|(id, _)| *id == Some(packet_id))?;
        self.flights.remove(at).map(|(_, cargo)| cargo)
    }

    /// The topic of a PUBLISH that came, whether it says it or has an alias for it.
    pub(super) fn topic_of(&mut self, publish: &Publish) -> Result<Bytes, Broken> {
        let alias = publish.properties.as_ref().and_then(|it| it.topic_alias);
        let Some(alias) = alias else { return Ok(publish.topic.clone()) };
        if publish.topic.is_empty() {
            return self.taken_aliases.get(&alias).cloned().ok_or(Broken::Alias);
        }
        if alias > ALIASES_MAX {
            return Err(Broken::Alias);
        }
        self.taken_aliases.insert(alias, publish.topic.clone());
        Ok(publish.topic.clone())
    }

    /// A PUBLISH at QoS 1 is to be acknowledged when this is dealt with; `None`: it is.
    pub(super) fn owe(&mut self, packet_id: u16, token: Option<Token>) {
        self.acks.owed.push_back((packet_id, token));
    }

    /// This is dealt with. What came on an earlier connection is owed nothing on this one.
    pub(super) fn settle(&mut self, token: Token) {
        if self.acks.owed.iter().any(|(_, owed)| *owed == Some(token)) {
            self.acks.done.insert(token);
        }
    }

    /// Sends the PUBACKs that may go: in the order of the PUBLISHes (MQTT 5.0, 4.6).
    pub(super) fn acknowledge(&mut self) -> Result<(), Broken> {
        while let Some(packet_id) = self.acks.next() {
            let publish = Publish { qos: QoS::AtLeastOnce, pkid: packet_id, ..Publish::default() };
            self.mqtt.try_ack(&publish)?;
        }
        Ok(())
    }
}

/// PUBACKs that are owed.
#[derive(Debug, Default)]
struct Acks {
    owed: VecDeque<(u16, Option<Token>)>,
    /// Those of `owed` that are dealt with.
    done: HashSet<Token>,
}

impl Acks {
    /// The next that may go.
    fn next(&mut self) -> Option<u16> {
        let (packet_id, token) = *self.owed.front()?;
        if token.is_some_and(|token| !self.done.contains(&token)) {
            return None;
        }
        self.owed.pop_front();
        if let Some(token) = token
            && !self.owed.iter().any(|(_, other)| *other == Some(token))
        {
            self.done.remove(&token);
        }
        Some(packet_id)
    }
}

/// Numbers for topics, as many as the server takes; the longest-standing makes room.
#[derive(Debug, Default)]
struct Aliases {
    max: u16,
    numbers: HashMap<String, u16>,
    topics: VecDeque<String>,
}

impl Aliases {
    /// A topic's number, and whether the server knows it already.
    fn of(&mut self, topic: &str) -> Option<(u16, bool)> {
        if let Some(number) = self.numbers.get(topic) {
            return Some((*number, true));
        }
        let number = if self.topics.len() < usize::from(self.max) {
            u16::try_from(self.topics.len()).ok()? + 1
        } else {
            self.numbers.remove(&self.topics.pop_front()?)?
        };
        self.topics.push_back(topic.to_owned());
        self.numbers.insert(topic.to_owned(), number);
        Some((number, false))
    }
}

#[cfg(test)]
mod tests {
    use rumqttc::v5::mqttbytes::v5::PublishProperties;

    use super::*;

    #[test]
    fn acknowledges_in_the_order_of_what_came() {
        let mut acks = Acks::default();
        let tokens = [Some(Token(1)), None, Some(Token(2)), Some(Token(1))];
        acks.owed.extend((1..).zip(tokens));
        acks.done.insert(Token(2));
        assert_eq!(acks.next(), None);
        acks.done.insert(Token(1));
        let all: Vec<_> = std::iter::from_fn(|| acks.next()).collect();
        assert_eq!((all, acks.done.len()), (vec![1, 2, 3, 4], 0));
    }

    #[test]
    fn an_alias_that_was_not_set_is_not_passed_over() {
        let (mut link, _) = Link::new(MqttOptions::new("d", "h", 1), 1);
        let publish = |topic: &str, alias| {
            let properties = PublishProperties { topic_alias: alias, ..Default::default() };
            Publish::new(topic, QoS::AtLeastOnce, "", Some(properties))
        };
        assert_eq!(link.topic_of(&publish("", Some(1))), Err(Broken::Alias));
        assert_eq!(link.topic_of(&publish("a", Some(1))), Ok(Bytes::from("a")));
        assert_eq!(link.topic_of(&publish("", Some(1))), Ok(Bytes::from("a")));
        assert_eq!(link.topic_of(&publish("b", None)), Ok(Bytes::from("b")));
        let beyond = Some(ALIASES_MAX + 1);
        assert_eq!(link.topic_of(&publish("c", beyond)), Err(Broken::Alias));
    }

    #[test]
    fn aliases_are_reused() {
        let mut aliases = Aliases { max: 2, ..Aliases::default() };
        let seen = ["a", "b", "a", "c", "a", "c"].map(|topic| aliases.of(topic));
        let expected = [(1, false), (2, false), (1, true), (1, false), (2, false), (1, true)];
        assert_eq!(seen, expected.map(Some));
        assert_eq!(Aliases::default().of("a"), None);
    }
}
