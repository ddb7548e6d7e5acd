//! What every pair has sent and what has come back: counts it, checks it, and answers it.

use crate::error::Error;
use crate::generator::fleet::{Fleet, Traffic};
use crate::generator::message::{Body, Ids, body_index, json_number, json_value};
use crate::generator::wire::{Packet, Version, put_puback, put_publish};
use crate::peers::{Delivery, Peer, refused};
use crate::settings::{Settings, WINDOW};

/// All pairs; connection `2n` is the sender of pair `n`, `2n + 1` its receiver.
pub(in super::super) struct Ledger {
    version: Version,
    pairs: Vec<Pair>,
    window: u64,
    qos0: bool,
    /// At QoS 0, pairs whose receiver has got a message: the sender may send another.
    received_of: Vec<usize>,
    /// Messages of each pair.
    quota: u64,
    /// Time is up: what is in flight is waited for, nothing more is sent.
    stopped: bool,
    receipts_wanted: bool,
    sent: u64,
    acked: u64,
    pub(crate) received: u64,
    pub(crate) receipts: u64,
    body: Body,
    ids: Ids,
    topic: Vec<u8>,
}

struct Pair {
    topic: Vec<u8>,
    with_id: bool,
    sent: u64,
    acked: u64,
    received: u64,
    /// The place in the chat of the last message received.
    seq: u64,
    /// The place up to which the sender was told of the delivery.
    delivered: u64,
}

impl Ledger {
    /// `pairs` pairs that send `messages` in all.
    pub(in super::super) fn new(
        pairs: usize,
        qos0: bool,
        messages: u64,
        peer: Peer,
        settings: &Settings,
    ) -> Self {
        let with_id = peer.takes_id() && !settings.no_id;
        let pair = |number| Pair {
            topic: peer.pair_topic(number, with_id),
            with_id,
            sent: 0,
            acked: 0,
            received: 0,
            seq: 0,
            delivered: 0,
        };
        Self {
            version: settings.version(),
            pairs: (0..pairs).map(pair).collect(),
            window: u64::from(WINDOW),
            qos0,
            received_of: Vec::new(),
            quota: messages.div_ceil(pairs as u64),
            stopped: false,
            receipts_wanted: peer.tells_receipts(),
            sent: 0,
            acked: 0,
            received: 0,
            receipts: 0,
            body: Body::default(),
            ids: Ids::default(),
            topic: Vec::new(),
        }
    }

    /// From now on all pairs send `messages` more.
    pub(in super::super) fn extend(&mut self, messages: u64) {
        self.stopped = false;
        let sent = self.pairs.iter().map(|pair| pair.sent).max().unwrap_or(0);
        self.quota = sent + messages.div_ceil(self.pairs.len() as u64);
    }

    /// Fills every sender's window.
    pub(crate) fn prime(&mut self, fleet: &mut Fleet) -> Result<(), Error> {
        for number in 0..self.pairs.len() {
            let out = fleet.out(2 * number);
            for _ in 0..self.window.min(self.quota - self.pairs[number].sent) {
                self.send(number, out);
            }
        }
        fleet.flush()
    }

    /// At QoS 0, sends as many messages as were received since the last time.
    pub(crate) fn follow_up(&mut self, fleet: &mut Fleet) -> Result<(), Error> {
        if self.received_of.is_empty() {
            return Ok(());
        }
        for number in std::mem::take(&mut self.received_of) {
            if !self.stopped && self.pairs[number].sent < self.quota {
                self.send(number, fleet.out(2 * number));
            }
        }
        fleet.flush()
    }

    /// Takes the clock's time for the ids that follow; `stop`: nothing more is sent.
    pub(crate) fn tick(&mut self, stop: bool) {
        self.stopped |= stop;
        self.ids.tick();
    }

    fn send(&mut self, number: usize, out: &mut Vec<u8>) {
        let pair = &mut self.pairs[number];
        self.topic.clear();
        self.topic.extend_from_slice(&pair.topic);
        if pair.with_id {
            self.ids.put(&mut self.topic);
        }
        let body = self.body.fill(pair.sent, false);
        let packet_id = if self.qos0 { 0 } else { packet_id(pair.sent) };
        put_publish(out, self.version, &self.topic, packet_id, body);
        pair.sent += 1;
        self.sent += 1;
    }

    fn handle_puback(
        &mut self,
        number: usize,
        packet_id_acked: u16,
        reason: u8,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let pair = &mut self.pairs[number];
        // The order of PUBACKs is MQTT's promise; 0x10 would mean that the receiver is not subscribed.
        if packet_id_acked != packet_id(pair.acked) || pair.acked == pair.sent || reason != 0 {
            return Err(Error::Wrong(format!(
                "pair {number}: PUBACK {packet_id_acked}, reason {reason:#04x}, in place of {}",
                packet_id(pair.acked)
            )));
        }
        pair.acked += 1;
        self.acked += 1;
        if !self.stopped && pair.sent < self.quota {
            self.send(number, out);
        }
        Ok(())
    }

    fn handle_message(&mut self, number: usize, payload: &[u8]) -> Result<(), Error> {
        let pair = &mut self.pairs[number];
        let index = body_index(payload).map(|(index, _)| index);
        if index != Some(pair.received) {
            return Err(Error::Wrong(format!(
                "pair {number}: message {index:?} in place of {}",
                pair.received
            )));
        }
        pair.received += 1;
        self.received += 1;
        if self.qos0 {
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
        let pair = &mut self.pairs[number];
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
    pub(crate) fn counted(&self) -> bool {
        let all = self.quota * self.pairs.len() as u64;
        self.received == self.sent && self.acked == self.sent && (self.stopped || self.sent == all)
    }

    /// Every sender knows that his last message was delivered.
    pub(crate) fn told(&self) -> bool {
        !self.receipts_wanted || self.pairs.iter().all(|pair| pair.delivered == pair.seq)
    }

    pub(crate) fn missing(&self) -> String {
        let mut missing = format!(
            "{} PUBACKs and {} deliveries of {} messages",
            self.sent - self.acked,
            self.sent - self.received,
            self.sent
        );
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
        let number = conn / 2;
        match *packet {
            Packet::PubAck { packet_id, reason } => {
                self.handle_puback(number, packet_id, reason, out)
            }
            Packet::Publish { topic, packet_id, payload } => {
                match Delivery::of(topic) {
                    Delivery::Message => self.handle_message(number, payload)?,
                    Delivery::Receipt => self.handle_receipt(number, payload)?,
                    Delivery::Refusal => return Err(refused(payload)),
                }
                if packet_id != 0 {
                    put_puback(out, packet_id);
                }
                Ok(())
            }
            ref other => Err(Error::Wrong(format!("pair {number}: {other:?}"))),
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
        let mut ledger = Ledger::new(1, false, 2, Peer::Bluetick, &settings);
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
        let packet =
            Packet::Publish { topic: topic.as_bytes(), packet_id: 3, payload: json.as_bytes() };
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
}
