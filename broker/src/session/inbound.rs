//! From the client: publishes and their acknowledgements.

use std::collections::VecDeque;
use std::sync::Arc;

use super::{Call, Close, Session};
use crate::codec::{self, AckKind};
use crate::host::{HostPublish, Token};
use crate::message::Message;
use crate::packet::{Ack, AckProperties, Publish, QoS, Reason, Version};
use crate::topic;

/// Publishes of the client that are not done with.
#[derive(Debug, Default)]
pub(super) struct Inbound {
    /// In the order they came: acknowledgements go out in this order (MQTT 5 §4.6).
    waiting: VecDeque<Waiting>,
    /// Boxed: most clients use neither QoS 2 nor aliases.
    rare: Option<Box<Rare>>,
}

#[derive(Debug, Default)]
struct Rare {
    /// QoS 2: acknowledged with PUBREC, not yet released.
    received: Vec<Received>,
    aliases: Vec<Option<Arc<str>>>,
}

#[derive(Debug, Clone, Copy)]
struct Received {
    packet_id: u16,
    /// It is on stable storage, and goes from there before the client may use it again.
    kept: bool,
}

#[derive(Debug)]
struct Waiting {
    token: Token,
    packet_id: u16,
    qos: QoS,
    /// It is among the received ones already.
    repeated: bool,
    /// Its packet id is kept.
    kept: bool,
    done: Option<(Reason, Option<Box<AckProperties>>)>,
}

impl Inbound {
    /// How many publishes count against the receive maximum.
    fn open(&self) -> usize {
        let fresh = self.waiting.iter().filter(|waiting| !waiting.repeated);
        fresh.count() + self.rare.as_ref().map_or(0, |rare| rare.received.len())
    }

    /// How many publishes wait for us: for an answer of the host, or behind one that does.
    pub(super) fn unanswered(&self) -> usize {
        self.waiting.len()
    }

    /// What belongs to the connection goes: aliases, and publishes that are not acknowledged; the
    /// client will send those again.
    pub(super) fn disconnect(&mut self) {
        self.waiting = VecDeque::new();
        if let Some(rare) = &mut self.rare {
            rare.aliases = Vec::new();
            rare.received.shrink_to_fit();
        }
        self.rare.take_if(|rare| rare.received.is_empty());
    }

    /// Packet ids that were kept before the server was restarted.
    pub(super) fn restore(&mut self, packet_ids: Vec<u16>) {
        let kept = |packet_id| Received { packet_id, kept: true };
        let received: Vec<_> = packet_ids.into_iter().map(kept).collect();
        if !received.is_empty() {
            self.rare.get_or_insert_default().received = received;
        }
    }

    fn received(&self, packet_id: u16) -> Option<Received> {
        let received = &self.rare.as_ref()?.received;
        received.iter().find(|received| received.packet_id == packet_id).copied()
    }

    /// The client has released a packet id; `false`: it is not among the received ones.
    fn release(&mut self, packet_id: u16) -> bool {
        let Some(rare) = &mut self.rare else { return false };
        let at = rare.received.iter().position(|received| received.packet_id == packet_id);
        at.map(|at| rare.received.swap_remove(at)).is_some()
    }
}

impl Session {
    pub(super) fn handle_publish(&mut self, mut publish: Publish) -> Result<(), Close> {
        self.resolve_alias(&mut publish)?;
        if publish.properties.user_properties.len() > self.limits.user_properties_max {
            return Err(Close::because(Reason::QUOTA_EXCEEDED, "too many user properties"));
        }
        if publish.retain
            && self.limits.retained_messages_max == 0
            && self.link.version == Version::V5
        {
            // MQTT 5 §3.2.2.3.5: it was told so in CONNACK.
            return Err(Close::because(Reason::RETAIN_NOT_SUPPORTED, "nothing is retained here"));
        }
        if publish.qos == QoS::AtMostOnce {
            if self.topic_fits(&publish.topic) {
                let token = self.token();
                self.dispatch(publish, token);
            }
            return Ok(());
        }
        let packet_id = publish.packet_id;
        if self.inbound.waiting.iter().any(|waiting| waiting.packet_id == packet_id) {
            return Err(Close::because(
                Reason::PROTOCOL_ERROR,
                "PUBLISH with a packet identifier that is in use",
            ));
        }
        if publish.qos == QoS::ExactlyOnce && self.inbound.received(packet_id).is_some() {
            // Sent again because our PUBREC was lost: the message is here already, and the PUBREC
            // takes its place in the order (MQTT 5 §4.6).
            let token = self.token();
            let qos = publish.qos;
            let waiting =
                Waiting { token, packet_id, qos, repeated: true, kept: false, done: None };
            self.inbound.waiting.push_back(waiting);
            self.handle_published(token, Reason::SUCCESS, None);
            return Ok(());
        }
        let over = self.inbound.open() >= usize::from(self.limits.inflight_in_max);
        if over && self.link.version == Version::V5 {
            return Err(Close::because(
                Reason::RECEIVE_MAXIMUM_EXCEEDED,
                "more publishes without acknowledgement than the receive maximum",
            ));
        }
        let token = self.token();
        let qos = publish.qos;
        let waiting = Waiting { token, packet_id, qos, repeated: false, kept: false, done: None };
        self.inbound.waiting.push_back(waiting);
        if self.topic_fits(&publish.topic) {
            self.dispatch(publish, token);
        } else {
            let why =
                AckProperties::because("the topic is longer or has more levels than is taken");
            self.handle_published(token, Reason::TOPIC_NAME_INVALID, Some(why));
        }
        Ok(())
    }

    fn topic_fits(&self, topic: &str) -> bool {
        topic.len() <= self.limits.topic_bytes_max
            && topic::depth(topic) <= self.limits.topic_levels_max
    }

    fn dispatch(&mut self, publish: Publish, token: Token) {
        if publish.payload.is_empty() {
            // It may be about what was acknowledged before it.
            let acked = self.outbound.take_acked();
            if !acked.is_empty() {
                self.calls.push_back(Call::Acked(acked));
            }
        }
        self.calls.push_back(Call::Publish(HostPublish {
            token,
            qos: publish.qos,
            dup: publish.dup,
            retain: publish.retain,
            packet_id: publish.packet_id,
            topic: publish.topic,
            properties: publish.properties,
            payload: publish.payload,
        }));
    }

    fn resolve_alias(&mut self, publish: &mut Publish) -> Result<(), Close> {
        let Some(alias) = publish.topic_alias else { return Ok(()) };
        if alias > self.limits.topic_aliases_max {
            return Err(Close::because(
                Reason::TOPIC_ALIAS_INVALID,
                "a topic alias above the maximum",
            ));
        }
        let aliases = &mut self.inbound.rare.get_or_insert_default().aliases;
        let at = usize::from(alias) - 1;
        if publish.topic.is_empty() {
            let known = aliases.get(at).and_then(Clone::clone);
            publish.topic = known.ok_or(Close::because(
                Reason::PROTOCOL_ERROR,
                "a topic alias that was not set in this connection",
            ))?;
        } else {
            if aliases.len() <= at {
                aliases.resize(at + 1, None);
            }
            aliases[at] = Some(publish.topic.clone());
        }
        Ok(())
    }

    /// A publish at QoS 2 is kept by its packet id: to be said before [`Self::handle_published`].
    pub fn handle_received(&mut self, token: Token) {
        let mut waiting = self.inbound.waiting.iter_mut();
        if let Some(found) = waiting.find(|waiting| waiting.token == token) {
            found.kept = true;
        }
    }

    /// A publish is done with: its acknowledgement goes out once all before it are.
    pub fn handle_published(
        &mut self,
        token: Token,
        reason: Reason,
        properties: Option<Box<AckProperties>>,
    ) {
        // From an earlier connection, or at QoS 0: nobody waits.
        let waiting = &mut self.inbound.waiting;
        let Some(found) = waiting.iter_mut().find(|waiting| waiting.token == token) else { return };
        found.done = Some((reason, properties));
        let version = self.link.version;
        while let Some(front) = waiting.front_mut() {
            let Some((reason, properties)) = front.done.take() else { break };
            let Waiting { packet_id, qos, repeated, kept, .. } = *front;
            waiting.pop_front();
            let kind = if qos == QoS::ExactlyOnce { AckKind::PubRec } else { AckKind::PubAck };
            let properties = properties.as_deref().filter(|_| self.link.problem_info);
            // 3.1.1 has no way to refuse: the acknowledgement only ends the exchange.
            let reason = if version == Version::V4 { Reason::SUCCESS } else { reason };
            if qos == QoS::ExactlyOnce && !reason.is_error() && !repeated {
                let rare = self.inbound.rare.get_or_insert_default();
                rare.received.push(Received { packet_id, kept });
            }
            let start = self.transmit.len();
            codec::write_ack(&mut self.transmit, version, kind, packet_id, reason, properties);
            if self.transmit.len() - start > self.link.max_packet_bytes {
                // MQTT 5 §3.4.2.2: what would make the packet too large is left out.
                self.transmit.truncate(start);
                codec::write_ack(&mut self.transmit, version, kind, packet_id, reason, None);
            }
        }
        if self.inbound.waiting.is_empty() {
            self.inbound.waiting = VecDeque::new();
        }
    }

    pub(super) fn handle_pubrel(&mut self, ack: Ack) {
        let reason = match self.inbound.received(ack.packet_id) {
            Some(received) if received.kept => {
                // Kept on, it would be taken for a repeat when the client uses it again.
                self.calls.push_back(Call::Unreceive { packet_id: ack.packet_id });
                return;
            }
            Some(_) => {
                self.inbound.release(ack.packet_id);
                Reason::SUCCESS
            }
            // Also after a restart of the server: the message is stored, the exchange ends.
            None => Reason::PACKET_ID_NOT_FOUND,
        };
        self.write_pubcomp(ack.packet_id, reason);
    }

    /// A packet id is kept no more: the client may use it again.
    pub fn handle_unreceived(&mut self, packet_id: u16) {
        if self.inbound.release(packet_id) {
            self.write_pubcomp(packet_id, Reason::SUCCESS);
        }
    }

    fn write_pubcomp(&mut self, packet_id: u16, reason: Reason) {
        let version = self.link.version;
        codec::write_ack(&mut self.transmit, version, AckKind::PubComp, packet_id, reason, None);
    }
}

impl HostPublish {
    /// The same as a message for the router of plain topics.
    #[must_use]
    pub fn into_message(self) -> Message {
        Message::new(self.topic, self.payload, &self.properties, self.retain)
    }
}
