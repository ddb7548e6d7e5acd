//! What every sender has sent and what has come back: counts it, checks it, and answers it.

use super::Shape;
use crate::error::Error;
use crate::generator::fleet::{Fleet, Traffic};
use crate::generator::message::{Body, Ids, body_index, json_number, json_value};
use crate::generator::wire::{
    Packet, Version, put_puback, put_pubcomp, put_publish_at, put_pubrec, put_pubrel,
};
use crate::peers::{Delivery, Peer, refused};
use crate::settings::Settings;

/// The index in a body is that of the sender times this, and the message's.
const PER_SENDER: u64 = 10_000_000;
/// Bytes of a message id as text.
const ID_BYTES: usize = uuid::fmt::Hyphenated::LENGTH;

/// All senders and receivers: connection `n` is sender `n`, behind the senders come the receivers.
pub(crate) struct Ledger {
    version: Version,
    pairs: Vec<Pair>,
    receivers: usize,
    pub(super) window: u64,
    qos: u8,
    with_id: bool,
    /// At QoS 0, senders whose receiver has got a message: they may send another.
    received_of: Vec<usize>,
    /// Time is up: what is in flight is waited for, nothing more is sent.
    stopped: bool,
    /// Everything was sent before, and must not be delivered again.
    again: bool,
    receipts_wanted: bool,
    sent: u64,
    acked: u64,
    pub(crate) received: u64,
    /// At QoS 2, messages received that the server has let go.
    released: u64,
    pub(crate) receipts: u64,
    body: Body,
    ids: Ids,
    topic: Vec<u8>,
}

/// A sender and what he sends to his receiver.
struct Pair {
    topic: Vec<u8>,
    /// The ids of his messages, if they are to be sent again.
    ids: Option<Vec<u8>>,
    quota: u64,
    sent: u64,
    /// At QoS 2, how many the server has said to have.
    recorded: u64,
    acked: u64,
    received: u64,
    /// The place in the chat of the last message received.
    seq: u64,
    /// The place up to which the sender was told of the delivery.
    delivered: u64,
}

impl Ledger {
    pub(crate) fn new(shape: &Shape, peer: Peer, settings: &Settings) -> Self {
        let with_id = peer.takes_id() && !settings.no_id;
        let quota = u64::from(shape.messages.div_ceil(shape.senders));
        let receivers = shape.receivers as usize;
        let pair = |number| Pair {
            topic: peer.pair_topic(number % receivers, with_id),
            ids: None,
            quota,
            sent: 0,
            recorded: 0,
            acked: 0,
            received: 0,
            seq: 0,
            delivered: 0,
        };
        Self {
            version: settings.version(),
            pairs: (0..shape.senders as usize).map(pair).collect(),
            receivers,
            window: u64::from(shape.window),
            qos: shape.qos,
            with_id,
            received_of: Vec::new(),
            stopped: false,
            again: false,
            receipts_wanted: peer.tells_receipts(),
            sent: 0,
            acked: 0,
            received: 0,
            released: 0,
            receipts: 0,
            body: Body::of(shape.body_bytes),
            ids: Ids::default(),
            topic: Vec::new(),
        }
    }

    /// From now on all senders send `messages` more.
    pub(crate) fn extend(&mut self, messages: u32) {
        let each = u64::from(messages.div_ceil(self.pairs.len() as u32));
        for pair in &mut self.pairs {
            pair.quota = pair.sent + each;
        }
        self.stopped = false;
    }

    /// Remembers the ids of what is sent from now on.
    pub(crate) fn remember_ids(&mut self) {
        for pair in &mut self.pairs {
            pair.ids = Some(Vec::new());
        }
    }

    /// The next run sends all that was sent once more, with the same ids: none of it may be delivered again.
    pub(crate) fn repeat(&mut self) {
        for pair in &mut self.pairs {
            pair.quota = pair.sent;
            (pair.sent, pair.acked) = (0, 0);
        }
        (self.sent, self.acked) = (0, 0);
        (self.stopped, self.again) = (false, true);
    }

    /// Fills every sender's window.
    pub(super) fn prime(&mut self, fleet: &mut Fleet) -> Result<(), Error> {
        for number in 0..self.pairs.len() {
            let out = fleet.out(number);
            for _ in 0..self.window.min(self.pairs[number].quota - self.pairs[number].sent) {
                self.send(number, out);
            }
        }
        fleet.flush()
    }

    /// At QoS 0, sends as many messages as were received since the last time.
    pub(super) fn follow_up(&mut self, fleet: &mut Fleet) -> Result<(), Error> {
        if self.received_of.is_empty() {
            return Ok(());
        }
        for number in std::mem::take(&mut self.received_of) {
            self.send_next(number, fleet.out(number));
        }
        fleet.flush()
    }

    /// Takes the clock's time for the ids that follow; `stop`: nothing more is sent.
    pub(super) fn tick(&mut self, stop: bool) {
        // What is sent again is as much as was sent before.
        self.stopped |= stop && !self.again;
        self.ids.tick();
    }

    fn send_next(&mut self, number: usize, out: &mut Vec<u8>) {
        let pair = &self.pairs[number];
        if !self.stopped && pair.sent < pair.quota {
            self.send(number, out);
        }
    }

    fn send(&mut self, number: usize, out: &mut Vec<u8>) {
        let pair = &mut self.pairs[number];
        self.topic.clear();
        self.topic.extend_from_slice(&pair.topic);
        match &mut pair.ids {
            Some(ids) => {
                let at = pair.sent as usize * ID_BYTES;
                if at == ids.len() {
                    self.ids.put(ids);
                }
                self.topic.extend_from_slice(&ids[at..at + ID_BYTES]);
            }
            None if self.with_id => self.ids.put(&mut self.topic),
            None => {}
        }
        let body = self.body.fill(number as u64 * PER_SENDER + pair.sent, false);
        let packet_id = packet_id(pair.sent);
        put_publish_at(out, self.version, self.qos, &self.topic, packet_id, body);
        pair.sent += 1;
        self.sent += 1;
    }

    /// The next of what was sent is acknowledged, or at QoS 2 said to be there; the order is MQTT's promise.
    fn acknowledged(
        &mut self,
        number: usize,
        packet: &Packet<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let Some(pair) = self.pairs.get_mut(number) else {
            return Err(Error::Wrong(format!("a receiver got {packet:?}")));
        };
        let (next, expected) = match (self.qos, packet) {
            // Reason 0x10 would mean that the receiver is not subscribed.
            (1, &Packet::PubAck { packet_id, reason: 0 }) => (&mut pair.acked, packet_id),
            (2, &Packet::PubRec { packet_id, reason: 0 }) => (&mut pair.recorded, packet_id),
            (2, &Packet::PubComp { packet_id }) if pair.acked < pair.recorded => {
                (&mut pair.acked, packet_id)
            }
            _ => return Err(Error::Wrong(format!("pair {number}: {packet:?}"))),
        };
        if expected != packet_id(*next) || *next == pair.sent {
            let wanted = packet_id(*next);
            return Err(Error::Wrong(format!("pair {number}: {packet:?} in place of {wanted}")));
        }
        *next += 1;
        if let Packet::PubRec { packet_id, .. } = *packet {
            put_pubrel(out, packet_id);
        } else {
            self.acked += 1;
            self.send_next(number, out);
        }
        Ok(())
    }

    fn handle_message(&mut self, conn: usize, payload: &[u8]) -> Result<(), Error> {
        let index = body_index(payload).map_or(u64::MAX, |(index, _)| index);
        let number = (index / PER_SENDER) as usize;
        let to = self.pairs.len() + number % self.receivers;
        let pair = self.pairs.get_mut(number).filter(|_| to == conn).ok_or_else(|| {
            Error::Wrong(format!("connection {conn} got message {index}, which is for {to}"))
        })?;
        if index % PER_SENDER != pair.received {
            return Err(Error::Wrong(format!(
                "pair {number}: message {} in place of {}",
                index % PER_SENDER,
                pair.received
            )));
        }
        pair.received += 1;
        self.received += 1;
        if self.qos == 0 {
            // Nobody acknowledges it: that it has come says so.
            pair.acked += 1;
            self.acked += 1;
            self.received_of.push(number);
        }
        if self.receipts_wanted {
            pair.seq = json_number(payload, "seq")
                .ok_or_else(|| Error::Wrong("a message without seq".into()))?;
        }
        Ok(())
    }

    fn handle_receipt(&mut self, number: usize, payload: &[u8]) -> Result<(), Error> {
        // The sender's own watermarks may come too; they say nothing of a delivery.
        let user = json_value(payload, "user")
            .ok_or_else(|| Error::Wrong("a receipt without user".into()))?;
        if !user.starts_with(b"\"r") {
            return Ok(());
        }
        self.receipts += 1;
        let delivered = json_number(payload, "delivered")
            .ok_or_else(|| Error::Wrong("a receipt without delivered".into()))?;
        let Some(pair) = self.pairs.get_mut(number) else {
            return Err(Error::Wrong("a receiver got a receipt".into()));
        };
        if delivered < pair.delivered || delivered > pair.sent {
            return Err(Error::Wrong(format!(
                "pair {number}: delivered {delivered} after {}, of {} sent",
                pair.delivered, pair.sent
            )));
        }
        pair.delivered = delivered;
        Ok(())
    }

    /// Every message sent has been received and acknowledged, and no more are to be sent.
    pub(super) fn counted(&self) -> bool {
        let received = self.again || self.received == self.sent;
        let released = self.qos < 2 || self.released == self.received;
        let all = || self.pairs.iter().all(|pair| pair.sent == pair.quota);
        received && released && self.acked == self.sent && (self.stopped || all())
    }

    /// Every sender knows that his last message was delivered.
    pub(super) fn told(&self) -> bool {
        !self.receipts_wanted || self.pairs.iter().all(|pair| pair.delivered == pair.seq)
    }

    pub(super) fn missing(&self) -> String {
        let mut missing = format!(
            "{} PUBACKs and {} deliveries of {} messages",
            self.sent - self.acked,
            self.sent.saturating_sub(self.received),
            self.sent
        );
        if self.qos == 2 {
            missing += &format!("; {} PUBRELs of {}", self.released, self.received);
        }
        let late = |pair: &Pair| {
            pair.received < pair.sent
                || pair.acked < pair.sent
                || (self.receipts_wanted && pair.delivered < pair.seq)
        };
        if let Some(number) = self.pairs.iter().position(late) {
            let pair = &self.pairs[number];
            missing += &format!(
                "; first pair {number}: sent {}, acked {}, received {} up to seq {}, told of {}",
                pair.sent, pair.acked, pair.received, pair.seq, pair.delivered
            );
        }
        missing
    }
}

impl Traffic for Ledger {
    fn handle_packet(
        &mut self,
        conn: usize,
        packet: &Packet<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        match *packet {
            Packet::PubAck { .. } | Packet::PubRec { .. } | Packet::PubComp { .. } => {
                self.acknowledged(conn, packet, out)
            }
            Packet::PubRel { packet_id } => {
                self.released += 1;
                put_pubcomp(out, packet_id);
                Ok(())
            }
            Packet::Publish { topic, qos, packet_id, payload } => {
                match Delivery::of(topic) {
                    Delivery::Message if qos == self.qos => self.handle_message(conn, payload)?,
                    Delivery::Message => {
                        return Err(Error::Wrong(format!("a message at QoS {qos}")));
                    }
                    Delivery::Receipt => self.handle_receipt(conn, payload)?,
                    Delivery::Refusal => return Err(refused(payload)),
                }
                match qos {
                    0 => {}
                    1 => put_puback(out, packet_id),
                    _ => put_pubrec(out, packet_id),
                }
                Ok(())
            }
            ref other => Err(Error::Wrong(format!("connection {conn}: {other:?}"))),
        }
    }
}

/// The packet id of message `index`: 1 to 65,535 in turn, far more than any window.
fn packet_id(index: u64) -> u16 {
    (index % u64::from(u16::MAX)) as u16 + 1
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    const SENDER: usize = 0;
    const RECEIVER: usize = 1;

    fn ledger() -> (Ledger, Vec<u8>) {
        let settings = Settings::parse_from(["bench", "--tiny"]);
        let shape = Shape { messages: 2, ..Shape::pairs(1, &settings) };
        let mut ledger = Ledger::new(&shape, Peer::Bluetick, &settings);
        ledger.remember_ids();
        let mut out = Vec::new();
        ledger.send(0, &mut out);
        ledger.send(0, &mut out);
        (ledger, out)
    }

    fn deliver(ledger: &mut Ledger, index: u64) -> Result<(), Error> {
        let text = String::from_utf8(Body::default().fill(index, false).to_vec()).unwrap();
        let json = format!(r#"{{"chat":"r0~s0","seq":{},"body":"{text}"}}"#, index + 1);
        publish(ledger, RECEIVER, "chats/r0~s0/messages", &json)
    }

    fn receipt(ledger: &mut Ledger, user: &str, delivered: u64) -> Result<(), Error> {
        let json =
            format!(r#"{{"chat":"r0~s0","user":"{user}","delivered":{delivered},"read":0}}"#);
        publish(ledger, SENDER, "chats/r0~s0/receipts", &json)
    }

    fn publish(ledger: &mut Ledger, conn: usize, topic: &str, json: &str) -> Result<(), Error> {
        let (topic, payload) = (topic.as_bytes(), json.as_bytes());
        let packet = Packet::Publish { topic, qos: 1, packet_id: 3, payload };
        let mut out = Vec::new();
        ledger.handle_packet(conn, &packet, &mut out)?;
        assert_eq!(out, [0x40, 2, 0, 3]);
        Ok(())
    }

    fn puback(ledger: &mut Ledger, packet_id: u16) -> Result<(), Error> {
        let packet = Packet::PubAck { packet_id, reason: 0 };
        ledger.handle_packet(SENDER, &packet, &mut Vec::new())
    }

    #[test]
    fn a_run_is_over_when_all_is_acked_received_and_told() {
        let (mut ledger, out) = ledger();
        assert!(String::from_utf8_lossy(&out).contains("users/r0/send/"));
        for index in 0..2 {
            assert!(!ledger.counted());
            deliver(&mut ledger, index).unwrap();
            puback(&mut ledger, index as u16 + 1).unwrap();
        }
        assert!(ledger.counted() && !ledger.told());
        receipt(&mut ledger, "s0", 2).unwrap();
        receipt(&mut ledger, "r0", 1).unwrap();
        assert!(!ledger.told());
        receipt(&mut ledger, "r0", 2).unwrap();
        assert!(ledger.told());
        assert_eq!(ledger.receipts, 2);
    }

    #[test]
    fn losses_doubles_and_lies_end_the_run() {
        let (mut ledger, _) = ledger();
        assert!(deliver(&mut ledger, 1).is_err(), "a hole");
        deliver(&mut ledger, 0).unwrap();
        assert!(deliver(&mut ledger, 0).is_err(), "a double");
        assert!(puback(&mut ledger, 2).is_err(), "an overtaking PUBACK");
        assert!(receipt(&mut ledger, "r0", 3).is_err(), "more than was sent");
        receipt(&mut ledger, "r0", 1).unwrap();
        assert!(receipt(&mut ledger, "r0", 0).is_err(), "a watermark that falls");
        let error = publish(&mut ledger, SENDER, "me/errors", r#"{"code":135}"#).unwrap_err();
        assert!(error.to_string().contains("135"), "{error}");
        assert!(ledger.missing().contains("2 PUBACKs and 1 deliveries of 2"));
    }

    #[test]
    fn what_is_sent_again_has_the_same_ids_and_must_not_come_again() {
        let (mut ledger, first) = ledger();
        for index in 0..2 {
            deliver(&mut ledger, index).unwrap();
            puback(&mut ledger, index as u16 + 1).unwrap();
        }
        ledger.repeat();
        let mut again = Vec::new();
        ledger.send(0, &mut again);
        ledger.send(0, &mut again);
        assert_eq!(again, first);
        puback(&mut ledger, 1).unwrap();
        assert!(!ledger.counted());
        assert!(deliver(&mut ledger, 1).is_err(), "a double");
        puback(&mut ledger, 2).unwrap();
        assert!(ledger.counted());
    }

    #[test]
    fn qos_2_is_over_when_both_sides_have_let_go_and_one_receiver_has_many_senders() {
        let settings = Settings::parse_from(["bench", "--tiny"]);
        let shape = Shape { qos: 2, receivers: 1, messages: 2, ..Shape::pairs(2, &settings) };
        let mut ledger = Ledger::new(&shape, Peer::Mosquitto, &settings);
        let take = |ledger: &mut Ledger, conn, packet: Packet<'_>| {
            let mut out = Vec::new();
            ledger.handle_packet(conn, &packet, &mut out).map(|()| out)
        };
        for sender in 0..2 {
            ledger.send(sender, &mut Vec::new());
            assert!(take(&mut ledger, sender, Packet::PubComp { packet_id: 1 }).is_err());
            let recorded = Packet::PubRec { packet_id: 1, reason: 0 };
            assert_eq!(take(&mut ledger, sender, recorded).unwrap(), [0x62, 2, 0, 1]);
            take(&mut ledger, sender, Packet::PubComp { packet_id: 1 }).unwrap();
            let payload = Body::default().fill(sender as u64 * PER_SENDER, false).to_vec();
            let message =
                |qos| Packet::Publish { topic: b"t/0", qos, packet_id: 7, payload: &payload };
            assert!(take(&mut ledger, 2, message(1)).is_err(), "the wrong QoS");
            assert_eq!(take(&mut ledger, 2, message(2)).unwrap(), [0x50, 2, 0, 7]);
            assert!(!ledger.counted());
            let released = Packet::PubRel { packet_id: 7 };
            assert_eq!(take(&mut ledger, 2, released).unwrap(), [0x70, 2, 0, 7]);
        }
        assert!(ledger.counted());
    }
}
