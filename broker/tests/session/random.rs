//! Random steps from fixed seeds: publishes both ways, answers out of order, broken connections.
//!
//! The client here keeps the rules of MQTT and remembers what a client has to. Whatever the steps,
//! it must never see a rule broken; and once the steps end, everything must drain.

use std::collections::{BTreeMap, BTreeSet};

use bluetick_broker::codec::AckKind;
use bluetick_broker::packet::{Ack, Packet, Reason, Version};
use fastrand::Rng;

use crate::client::{Got, connect, puback, pubcomp, publish, pubrec, pubrel};
use crate::pair::Pair;

const SEEDS: u64 = 1_000;
const STEPS: usize = 300;

/// Publishes that the client has open: what the server's receive maximum allows.
const OPEN_MAX: usize = 4;

#[test]
fn whatever_happens_no_rule_breaks_and_everything_drains() {
    let mut repeated = 0;
    for seed in 0..SEEDS {
        let mut run = Run::new(seed);
        for _ in 0..STEPS {
            run.step();
        }
        run.drain();
        repeated += run.repeated;
    }
    assert!(repeated > 100 * SEEDS as usize / 10, "only {repeated} deliveries were sent again");
}

struct Run {
    rng: Rng,
    pair: Pair,
    seed: u64,
    /// Publishes of the client, numbered; those at QoS 1 and 2 that are not done with, in order.
    sent: u64,
    open: Vec<Exchange>,
    /// Publishes of the host's list that were looked at, and that wait for its answer: of this
    /// connection, and of earlier ones.
    heard: usize,
    unanswered: Vec<usize>,
    void: Vec<usize>,
    /// Texts that the host got, and those whose PUBREC says that it never needs them again.
    host_got: BTreeSet<u64>,
    settled: BTreeSet<u64>,
    /// What the client has not acknowledged yet, in this connection.
    owed: Vec<Packet>,
    /// Packet ids of deliveries that count against its receive maximum.
    in_flight: BTreeSet<u16>,
    /// Packet ids at QoS 2 between PUBLISH and PUBREL.
    received: BTreeSet<u16>,
    /// Deliveries by the host and of plain topics.
    hosts: Deliveries,
    plain: Deliveries,
    repeated: usize,
}

/// A publish of the client that is not done with.
#[derive(Clone, Copy)]
struct Exchange {
    packet_id: u16,
    qos: u8,
    number: u64,
    received: bool,
}

/// Deliveries of one kind, numbered from 1.
#[derive(Default)]
struct Deliveries {
    /// Their QoS.
    offered: Vec<u8>,
    /// The highest that was sent.
    last: u64,
    /// The packet ids of those that were sent at QoS 1 and 2.
    packet_ids: BTreeMap<u64, u16>,
    /// How often the client's application got each.
    seen: BTreeMap<u64, u32>,
}

impl Run {
    fn new(seed: u64) -> Self {
        Self {
            rng: Rng::with_seed(seed),
            pair: Pair::online(Version::V5),
            seed,
            sent: 0,
            open: Vec::new(),
            heard: 0,
            unanswered: Vec::new(),
            void: Vec::new(),
            host_got: BTreeSet::new(),
            settled: BTreeSet::new(),
            owed: Vec::new(),
            in_flight: BTreeSet::new(),
            received: BTreeSet::new(),
            hosts: Deliveries::default(),
            plain: Deliveries::default(),
            repeated: 0,
        }
    }

    fn step(&mut self) {
        match self.rng.u8(..24) {
            0..5 => self.publish(),
            5..9 => self.answer(),
            9..12 => {
                let qos = self.rng.u8(..3);
                self.hosts.offered.push(qos);
                self.pair.offer(qos);
            }
            12..14 if self.pair.session().plain_room() > 0 => {
                let qos = self.rng.u8(..3);
                self.plain.offered.push(qos);
                self.pair.plain(qos, &format!("p{}", self.plain.offered.len()));
            }
            12..20 => self.acknowledge(),
            20 => self.pair.host.holds_fetches = self.rng.bool(),
            21 if self.pair.host.is_fetching() => self.pair.answer_fetch(),
            21 | 22 => self.pair.drive(),
            _ => self.reconnect(),
        }
        self.hear();
        let packets = if self.rng.u8(..4) == 0 { self.rng.usize(..3) } else { usize::MAX };
        self.look(packets);
        assert!(self.pair.is_online(), "seed {}: {:?}", self.seed, self.pair.closed);
    }

    /// Sends a packet; often it stays on the way until the next one is sent.
    fn send(&mut self, packet: Packet) {
        self.pair.queue(packet);
        if self.rng.u8(..3) > 0 {
            self.pair.drive();
        }
    }

    fn publish(&mut self) {
        let qos = self.rng.u8(..3);
        if qos > 0 && self.open.len() == OPEN_MAX {
            return;
        }
        self.sent += 1;
        let number = self.sent;
        let mut packet_id = 0;
        if qos > 0 {
            let is_free = |id: &u16| self.open.iter().all(|open| open.packet_id != *id);
            packet_id = (1..).find(is_free).expect("more ids than publishes");
            self.open.push(Exchange { packet_id, qos, number, received: false });
        }
        self.send(Packet::Publish(Box::new(publish(qos, packet_id, &number.to_string()))));
    }

    /// The host is done with one of its publishes, not always the oldest.
    fn answer(&mut self) {
        if !self.void.is_empty() && self.rng.u8(..5) == 0 {
            let at = self.void.swap_remove(self.rng.usize(..self.void.len()));
            self.pair.answer(at, Reason::SUCCESS);
        } else if !self.unanswered.is_empty() {
            let at = self.unanswered.swap_remove(self.rng.usize(..self.unanswered.len()));
            let refused = self.rng.u8(..5) == 0;
            self.pair.answer(at, if refused { Reason::QUOTA_EXCEEDED } else { Reason::SUCCESS });
        }
    }

    /// The client acknowledges something, not always the oldest.
    fn acknowledge(&mut self) {
        if self.owed.is_empty() {
            return;
        }
        let at = if self.rng.bool() { 0 } else { self.rng.usize(..self.owed.len()) };
        let mut packet = self.owed.remove(at);
        match &mut packet {
            Packet::PubAck(Ack { packet_id, reason }) => {
                self.in_flight.remove(packet_id);
                if self.rng.u8(..5) == 0 {
                    *reason = Reason::UNSPECIFIED;
                }
            }
            Packet::PubComp(ack) => {
                self.in_flight.remove(&ack.packet_id);
            }
            _ => {}
        }
        self.send(packet);
    }

    /// The connection is lost with all that was on its way, and another one follows, perhaps in
    /// the other version and with another window.
    fn reconnect(&mut self) {
        while let Some(got) = self.pair.receive_one() {
            self.observe(&got);
        }
        self.pair.lose();
        self.void.append(&mut self.unanswered);
        self.owed.clear();
        self.in_flight.clear();
        self.pair.connect = match self.rng.bool() {
            true => connect(Version::V4),
            false => {
                let receive_maximum = Some(self.rng.u16(1..=6));
                bluetick_broker::packet::Connect { receive_maximum, ..connect(Version::V5) }
            }
        };
        self.pair.open();
        let connack = self.pair.receive_one().map(|got| got.to_string());
        assert_eq!(connack.as_deref(), Some("CONNACK present"), "seed {}", self.seed);
        // MQTT 5 §4.4: what is not done with, in the original order.
        for exchange in self.open.clone() {
            let Exchange { packet_id, qos, number, received } = exchange;
            let mut again = publish(qos, packet_id, &number.to_string());
            again.dup = true;
            self.send(if received { pubrel(packet_id) } else { Packet::Publish(Box::new(again)) });
        }
    }

    /// Looks at what the host got.
    fn hear(&mut self) {
        let seed = self.seed;
        for at in self.heard..self.pair.host.published.len() {
            let publish = &self.pair.host.published[at];
            let text = String::from_utf8_lossy(&publish.payload);
            let number: u64 = text.parse().expect("a number");
            let newest = self.host_got.last().copied().unwrap_or(0);
            if self.host_got.insert(number) {
                assert!(number > newest, "seed {seed}: {number} after {newest}");
            } else {
                assert!(publish.dup, "seed {seed}: {number} came twice");
            }
            assert!(!self.settled.contains(&number), "seed {seed}: {number} after its PUBREC");
            if publish.packet_id != 0 {
                self.unanswered.push(at);
            }
        }
        self.heard = self.pair.host.published.len();
    }

    /// The client reads some packets.
    fn look(&mut self, packets: usize) {
        for _ in 0..packets {
            let Some(got) = self.pair.receive_one() else { break };
            self.observe(&got);
            self.take(got);
        }
    }

    /// What must hold for all that is sent, whether it arrives or not.
    fn observe(&mut self, got: &Got) {
        let seed = self.seed;
        match got {
            Got::Publish { qos, dup, packet_id, text, .. } => {
                let (kind, number) = self.kind(text);
                assert_eq!(kind.offered.get(number as usize - 1), Some(qos), "seed {seed}: {got}");
                if *dup {
                    assert_eq!(kind.packet_ids.get(&number), Some(packet_id), "seed {seed}: {got}");
                    self.repeated += 1;
                } else {
                    assert!(number > kind.last, "seed {seed}: {got} after {}", kind.last);
                    kind.last = number;
                    if *qos > 0 {
                        kind.packet_ids.insert(number, *packet_id);
                    }
                }
            }
            Got::Ack { kind: AckKind::PubRec, packet_id, reason: 0, .. } => {
                let open = self.open.iter().find(|open| open.packet_id == *packet_id);
                self.settled.insert(open.expect("a PUBREC of something").number);
            }
            _ => {}
        }
    }

    fn kind(&mut self, text: &str) -> (&mut Deliveries, u64) {
        match text.strip_prefix('p') {
            Some(number) => (&mut self.plain, number.parse().expect("a number")),
            None => (&mut self.hosts, text.parse().expect("a number")),
        }
    }

    /// What the client does with a packet.
    fn take(&mut self, got: Got) {
        let seed = self.seed;
        match got {
            Got::Publish { qos, packet_id, ref text, .. } => {
                let is_new = qos < 2 || self.received.insert(packet_id);
                if is_new {
                    let (kind, number) = self.kind(text);
                    *kind.seen.entry(number).or_default() += 1;
                }
                match qos {
                    0 => return,
                    1 => self.owed.push(puback(packet_id)),
                    _ => self.owed.push(pubrec(packet_id)),
                }
                assert!(self.in_flight.insert(packet_id), "seed {seed}: {got}: its id is in use");
                let asked = self.pair.connect.receive_maximum.unwrap_or(u16::MAX);
                let window = usize::from(asked.min(self.pair.limits.inflight_out_max));
                assert!(self.in_flight.len() <= window, "seed {seed}: {got}: beyond the window");
            }
            Got::Ack { kind: AckKind::PubRel, packet_id, .. } => {
                self.received.remove(&packet_id);
                self.owed.push(pubcomp(packet_id));
            }
            Got::Ack { kind: AckKind::PubComp, packet_id, .. } => self.close(packet_id),
            Got::Ack { kind, packet_id, reason, .. } => {
                let qos = if kind == AckKind::PubAck { 1 } else { 2 };
                let due = self.open.iter_mut().find(|open| open.qos == qos && !open.received);
                let due = due.expect("an acknowledgement of something");
                assert_eq!(due.packet_id, packet_id, "seed {seed}: out of order");
                if qos == 1 || reason >= 0x80 {
                    self.close(packet_id);
                } else {
                    due.received = true;
                    self.send(pubrel(packet_id));
                }
            }
            _ => panic!("seed {seed}: {got} out of place"),
        }
    }

    fn close(&mut self, packet_id: u16) {
        let at = self.open.iter().position(|open| open.packet_id == packet_id);
        self.open.remove(at.expect("the end of something"));
    }

    /// No more steps: whatever waits goes on until nothing does.
    fn drain(&mut self) {
        let seed = self.seed;
        for round in 0.. {
            assert!(round < 1_000, "seed {seed}: has no end");
            self.pair.drive();
            if self.pair.host.is_fetching() {
                self.pair.answer_fetch();
            }
            self.hear();
            for at in std::mem::take(&mut self.unanswered) {
                self.pair.answer(at, Reason::SUCCESS);
            }
            self.look(usize::MAX);
            if self.owed.is_empty() && self.pair.unread() == 0 && self.unanswered.is_empty() {
                break;
            }
            while !self.owed.is_empty() {
                self.acknowledge();
            }
        }
        assert!(self.open.is_empty(), "seed {seed}: publishes without an answer");
        let acked = |number: u64| self.pair.host.acked.iter().filter(|it| **it == number).count();
        for (kind, is_host) in [(&self.hosts, true), (&self.plain, false)] {
            for (number, qos) in (1..).zip(&kind.offered) {
                let seen = kind.seen.get(&number).copied().unwrap_or(0);
                let fits = match qos {
                    0 => seen <= 1,
                    1 => seen >= 1,
                    _ => seen == 1,
                };
                assert!(fits, "seed {seed}: {number} at QoS {qos} was seen {seen} times");
                if is_host {
                    assert_eq!(acked(number), usize::from(*qos > 0), "seed {seed}: {number}");
                }
            }
        }
        assert_eq!(self.pair.reconnect(), ["CONNACK present"], "seed {seed}: nothing is left");
    }
}
