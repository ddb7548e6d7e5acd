//! `1x1` and `50x50`: pairs of sender and receiver at QoS 1, each sender with a full window.
//!
//! A message counts once its receiver has it and its sender has the PUBACK. The order is checked; with
//! bluetick the run ends only when every sender was told that his last message was delivered.

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::error::{Deadline, Error};
use crate::fleet::{Fleet, Traffic};
use crate::message::{Body, Ids, body_index, json_number, json_value};
use crate::peer::{Delivery, Peer};
use crate::process::{Process, machine_cpu};
use crate::server::Server;
use crate::settings::{Settings, Workload};
use crate::wire::{Packet, Version, put_puback, put_publish};

/// How long a run may take beyond its time to send.
const DRAIN_LIMIT: Duration = Duration::from_secs(30);
/// How long connecting may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(20);

/// One run's figures.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct PairsRun {
    /// Messages sent, stored, delivered and acknowledged on both sides.
    pub messages: u64,
    /// From the first PUBLISH until the last message counted.
    pub wall_s: f64,
    /// `messages` by `wall_s`.
    pub messages_per_s: f64,
    /// User and system time of the server per message.
    pub server_cpu_us: f64,
    /// The same of the generator.
    pub generator_cpu_us: f64,
    /// Of all cores' time, what neither of the two used: a figure for how quiet the machine was.
    pub others_cpu_share: f64,
    /// Receipts told to senders, per message: below 1 by what was coalesced.
    pub receipts_per_message: f64,
}

/// Runs `workload` once against a fresh server.
///
/// # Errors
/// Whatever the server does wrong or too late.
pub fn run_pairs(workload: Workload, peer: Peer, settings: &Settings) -> Result<PairsRun, Error> {
    let what = format!("{} against {}", workload.name(), peer.name());
    let window = workload.window();
    let server = Server::start(peer, settings, window)?;
    let clients: Vec<_> = (0..workload.pairs())
        .flat_map(|pair| [peer.sender(pair), peer.receiver(pair)])
        .collect();
    let mut fleet = Fleet::connect(
        server.address(),
        settings.version(),
        &clients,
        window,
        &Deadline::new(&what, CONNECT_LIMIT),
    )?;
    let mut pairs = Pairs::new(workload, peer, settings);

    let deadline = Deadline::new(&what, settings.time() + DRAIN_LIMIT);
    let others_before = machine_cpu()?;
    let server_before = server.process().cpu()?;
    let own_before = Process::own().cpu()?;
    let start = Instant::now();
    pairs.prime(&mut fleet)?;
    while !pairs.counted() {
        deadline.check(|| pairs.missing())?;
        fleet.paced_turn(deadline.left(), &mut pairs)?;
        if !pairs.stopped && start.elapsed() >= settings.time() {
            pairs.stopped = true;
        }
        pairs.ids.tick();
    }
    let wall = start.elapsed();
    while !pairs.told() {
        deadline.check(|| pairs.missing())?;
        fleet.turn(deadline.left(), &mut pairs)?;
    }
    let server_cpu = server.process().cpu()? - server_before;
    let own_cpu = Process::own().cpu()? - own_before;
    let others = (machine_cpu()? - others_before).saturating_sub(server_cpu + own_cpu);
    let cores_time = start.elapsed().as_secs_f64() * crate::machine::Machine::here().cores as f64;
    fleet.close()?;

    let messages = pairs.received as f64;
    Ok(PairsRun {
        messages: pairs.received,
        wall_s: wall.as_secs_f64(),
        messages_per_s: messages / wall.as_secs_f64(),
        server_cpu_us: server_cpu.as_secs_f64() * 1e6 / messages,
        generator_cpu_us: own_cpu.as_secs_f64() * 1e6 / messages,
        others_cpu_share: others.as_secs_f64() / cores_time,
        receipts_per_message: pairs.receipts as f64 / messages,
    })
}

/// All pairs; connection `2n` is the sender of pair `n`, `2n + 1` its receiver.
struct Pairs {
    version: Version,
    pairs: Vec<Pair>,
    window: u64,
    /// Messages of each pair.
    quota: u64,
    /// Time is up: what is in flight is waited for, nothing more is sent.
    stopped: bool,
    receipts_wanted: bool,
    sent: u64,
    acked: u64,
    received: u64,
    receipts: u64,
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

impl Pairs {
    fn new(workload: Workload, peer: Peer, settings: &Settings) -> Self {
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
        let count = workload.pairs();
        Self {
            version: settings.version(),
            pairs: (0..count).map(pair).collect(),
            window: u64::from(workload.window()),
            quota: settings.messages.div_ceil(count as u64),
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

    /// Fills every sender's window.
    fn prime(&mut self, fleet: &mut Fleet) -> Result<(), Error> {
        for number in 0..self.pairs.len() {
            let out = fleet.out(2 * number);
            for _ in 0..self.window.min(self.quota) {
                self.send(number, out);
            }
        }
        fleet.flush()
    }

    fn send(&mut self, number: usize, out: &mut Vec<u8>) {
        let pair = &mut self.pairs[number];
        self.topic.clear();
        self.topic.extend_from_slice(&pair.topic);
        if pair.with_id {
            self.ids.put(&mut self.topic);
        }
        let body = self.body.fill(pair.sent, false);
        put_publish(out, self.version, &self.topic, packet_id(pair.sent), body);
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
    fn counted(&self) -> bool {
        let all = self.quota * self.pairs.len() as u64;
        self.received == self.sent && self.acked == self.sent && (self.stopped || self.sent == all)
    }

    /// Every sender knows that his last message was delivered.
    fn told(&self) -> bool {
        !self.receipts_wanted || self.pairs.iter().all(|pair| pair.delivered == pair.seq)
    }

    fn missing(&self) -> String {
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

impl Traffic for Pairs {
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
            Packet::Publish {
                topic,
                packet_id,
                payload,
            } => {
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

/// The error of what came on `me/errors`.
pub(crate) fn refused(payload: &[u8]) -> Error {
    Error::Wrong(format!("refused: {}", String::from_utf8_lossy(payload)))
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

    fn pairs() -> (Pairs, Vec<u8>) {
        let settings = Settings::parse_from(["bench", "--messages", "2"]);
        let mut pairs = Pairs::new(Workload::OnePair, Peer::Bluetick, &settings);
        let mut out = Vec::new();
        pairs.send(0, &mut out);
        pairs.send(0, &mut out);
        (pairs, out)
    }

    fn deliver(pairs: &mut Pairs, index: u64) -> Result<(), Error> {
        let text = String::from_utf8(Body::default().fill(index, false).to_vec()).unwrap();
        let json = format!(r#"{{"chat":"r0~s0","seq":{},"body":"{text}"}}"#, index + 1);
        publish(pairs, RECEIVER, "chats/r0~s0/messages", &json)
    }

    fn receipt(pairs: &mut Pairs, user: &str, delivered: u64) -> Result<(), Error> {
        let json =
            format!(r#"{{"chat":"r0~s0","user":"{user}","delivered":{delivered},"read":0}}"#);
        publish(pairs, SENDER, "chats/r0~s0/receipts", &json)
    }

    fn publish(pairs: &mut Pairs, conn: usize, topic: &str, json: &str) -> Result<(), Error> {
        let packet = Packet::Publish {
            topic: topic.as_bytes(),
            packet_id: 3,
            payload: json.as_bytes(),
        };
        let mut out = Vec::new();
        pairs.handle_packet(conn, &packet, &mut out)?;
        assert_eq!(out, [0x40, 2, 0, 3]);
        Ok(())
    }

    fn puback(pairs: &mut Pairs, packet_id: u16) -> Result<(), Error> {
        let packet = Packet::PubAck {
            packet_id,
            reason: 0,
        };
        pairs.handle_packet(SENDER, &packet, &mut Vec::new())
    }

    #[test]
    fn a_run_is_over_when_all_is_acked_received_and_told() {
        let (mut pairs, out) = pairs();
        assert!(String::from_utf8_lossy(&out).contains("users/r0/send/"));
        for index in 0..2 {
            assert!(!pairs.counted());
            deliver(&mut pairs, index).unwrap();
            puback(&mut pairs, index as u16 + 1).unwrap();
        }
        assert!(pairs.counted() && !pairs.told());
        receipt(&mut pairs, "s0", 2).unwrap();
        receipt(&mut pairs, "r0", 1).unwrap();
        assert!(!pairs.told());
        receipt(&mut pairs, "r0", 2).unwrap();
        assert!(pairs.told());
        assert_eq!(pairs.receipts, 2);
    }

    #[test]
    fn losses_doubles_and_lies_end_the_run() {
        let (mut pairs, _) = pairs();
        assert!(deliver(&mut pairs, 1).is_err(), "a hole");
        deliver(&mut pairs, 0).unwrap();
        assert!(deliver(&mut pairs, 0).is_err(), "a double");
        assert!(puback(&mut pairs, 2).is_err(), "an overtaking PUBACK");
        assert!(receipt(&mut pairs, "r0", 3).is_err(), "more than was sent");
        receipt(&mut pairs, "r0", 1).unwrap();
        assert!(
            receipt(&mut pairs, "r0", 0).is_err(),
            "a watermark that falls"
        );
        let error = publish(&mut pairs, SENDER, "me/errors", r#"{"code":135}"#).unwrap_err();
        assert!(error.to_string().contains("135"), "{error}");
        assert!(pairs.missing().contains("2 PUBACKs and 1 deliveries of 2"));
    }
}
