//! Both sides of every pair: what is due, what is on its way, and how long it took.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::generator::fleet::{Fleet, Traffic};
use crate::generator::message::{Body, Ids, body_index};
use crate::generator::quiet::acknowledge;
use crate::generator::wire::{Packet, Version, put_publish};
use crate::peers::{Delivery, Peer, refused};
use crate::settings::{Settings, WINDOW};

/// Connection `n` is the sender of pair `n`; behind the senders come the receivers, in the same order.
pub(super) struct Sides {
    version: Version,
    with_id: bool,
    pairs: Vec<Pair>,
    /// Whose turn it is.
    turn: usize,
    acked: u64,
    due: u64,
    pub(super) received: u64,
    /// From when each message was due to its PUBACK.
    pub(super) acked_times: Vec<Duration>,
    /// From when each was due until the other one had it.
    pub(super) received_times: Vec<Duration>,
    /// From when each was due until it was written, those that waited for a full window left out: the generator's own
    /// part.
    pub(super) late_times: Vec<Duration>,
    body: Body,
    ids: Ids,
    topic: Vec<u8>,
}

struct Pair {
    topic: Vec<u8>,
    /// When the messages that are not yet sent were due.
    waiting: VecDeque<Instant>,
    /// How many of them found the window full.
    held: usize,
    /// When those were due that are not acknowledged.
    unacked: VecDeque<Instant>,
    /// When those were due that are not received.
    unreceived: VecDeque<Instant>,
    sent: u64,
    received: u64,
}

impl Sides {
    pub(super) fn new(pairs: u32, peer: Peer, settings: &Settings) -> Self {
        let with_id = peer.takes_id() && !settings.no_id;
        let pair = |number| Pair {
            topic: peer.pair_topic(number, with_id),
            waiting: VecDeque::new(),
            held: 0,
            unacked: VecDeque::new(),
            unreceived: VecDeque::new(),
            sent: 0,
            received: 0,
        };
        Self {
            version: settings.version(),
            with_id,
            pairs: (0..pairs as usize).map(pair).collect(),
            turn: 0,
            acked: 0,
            due: 0,
            received: 0,
            acked_times: Vec::new(),
            received_times: Vec::new(),
            late_times: Vec::new(),
            body: Body::default(),
            ids: Ids::default(),
            topic: Vec::new(),
        }
    }

    /// A message of the sender whose turn it is was due then.
    pub(super) fn due(&mut self, at: Instant) {
        self.pairs[self.turn].waiting.push_back(at);
        self.turn = (self.turn + 1) % self.pairs.len();
        self.due += 1;
    }

    /// Sends what is due, as far as the windows allow.
    pub(super) fn send(&mut self, fleet: &mut Fleet) {
        self.ids.tick();
        let now = Instant::now();
        for number in 0..self.pairs.len() {
            if !self.pairs[number].waiting.is_empty() {
                self.send_of(number, now, fleet.out(number));
            }
        }
    }

    fn send_of(&mut self, number: usize, now: Instant, out: &mut Vec<u8>) {
        let pair = &mut self.pairs[number];
        while pair.unacked.len() < usize::from(WINDOW)
            && let Some(due) = pair.waiting.pop_front()
        {
            self.topic.clear();
            self.topic.extend_from_slice(&pair.topic);
            if self.with_id {
                self.ids.put(&mut self.topic);
            }
            let packet_id = (pair.sent % u64::from(u16::MAX)) as u16 + 1;
            let body = self.body.fill(pair.sent, false);
            put_publish(out, self.version, &self.topic, packet_id, body);
            pair.sent += 1;
            pair.unacked.push_back(due);
            pair.unreceived.push_back(due);
            if pair.held == 0 {
                self.late_times.push(now.saturating_duration_since(due));
            }
            pair.held = pair.held.saturating_sub(1);
        }
        pair.held = pair.waiting.len();
    }

    /// Gives up what is due and not sent; how much that was. Until now it has taken at least: that counts as its time.
    pub(super) fn give_up(&mut self) -> u64 {
        let waiting = self.pairs.iter_mut().flat_map(|pair| std::mem::take(&mut pair.waiting));
        let times: Vec<_> = waiting.map(|due| due.elapsed()).collect();
        self.acked_times.extend(&times);
        self.received_times.extend(&times);
        self.due -= times.len() as u64;
        times.len() as u64
    }

    /// All that were due so far.
    pub(super) fn all(&self) -> u64 {
        self.due
    }

    /// How many of them are not both acknowledged and received.
    pub(super) fn missing(&self) -> u64 {
        self.due - self.acked.min(self.received)
    }
}

impl Traffic for Sides {
    fn handle_packet(
        &mut self,
        conn: usize,
        packet: &Packet<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let wrong = || Error::Wrong(format!("connection {conn}: {packet:?}"));
        match *packet {
            Packet::PubAck { reason: 0, .. } => {
                let pair = self.pairs.get_mut(conn).ok_or_else(wrong)?;
                let due = pair.unacked.pop_front().ok_or_else(wrong)?;
                self.acked_times.push(due.elapsed());
                self.acked += 1;
                Ok(())
            }
            Packet::Publish { topic, packet_id, payload, .. } => {
                match Delivery::of(topic) {
                    Delivery::Message => {
                        let pair = conn.checked_sub(self.pairs.len());
                        let pair = pair.and_then(|pair| self.pairs.get_mut(pair));
                        let pair = pair.ok_or_else(wrong)?;
                        let index = body_index(payload).map(|(index, _)| index);
                        if index != Some(pair.received) {
                            let wanted = pair.received;
                            return Err(Error::Wrong(format!("{index:?} in place of {wanted}")));
                        }
                        let due = pair.unreceived.pop_front().ok_or_else(wrong)?;
                        self.received_times.push(due.elapsed());
                        pair.received += 1;
                        self.received += 1;
                    }
                    Delivery::Receipt => {}
                    Delivery::Refusal => return Err(refused(payload)),
                }
                acknowledge(packet_id, out)
            }
            _ => Err(wrong()),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[test]
    fn times_are_counted_from_when_a_message_was_due_and_what_is_held_is_not_the_generators_fault()
    {
        let settings = Settings::parse_from(["bench", "--tiny"]);
        let mut sides = Sides::new(1, Peer::Mosquitto, &settings);
        let late = Duration::from_secs(5);
        let Some(past) = Instant::now().checked_sub(late) else { return };
        let window = u64::from(WINDOW);
        for _ in 0..=window {
            sides.due(past);
        }
        sides.send_of(0, Instant::now(), &mut Vec::new());
        assert_eq!((sides.late_times.len() as u64, sides.missing()), (window, window + 1));
        let take = |sides: &mut Sides, index| {
            let payload = Body::default().fill(index, false).to_vec();
            let packet = Packet::Publish { topic: b"t/0", qos: 1, packet_id: 3, payload: &payload };
            sides.handle_packet(1, &packet, &mut Vec::new())
        };
        assert!(take(&mut sides, 1).is_err(), "a hole");
        let puback = Packet::PubAck { packet_id: 1, reason: 0 };
        sides.handle_packet(0, &puback, &mut Vec::new()).unwrap();
        sides.send_of(0, Instant::now(), &mut Vec::new());
        assert_eq!(sides.late_times.len() as u64, window, "the last one was held");
        for index in 0..=window {
            take(&mut sides, index).unwrap();
        }
        assert!(take(&mut sides, window).is_err(), "a double");
        assert!(sides.acked_times.iter().chain(&sides.received_times).all(|&time| time >= late));
        assert_eq!(sides.missing(), window);
        sides.due(past);
        assert_eq!((sides.give_up(), sides.missing()), (1, window));
        assert!(sides.acked_times.iter().chain(&sides.received_times).all(|&time| time >= late));
        assert_eq!((sides.acked_times.len(), sides.received_times.len() as u64), (2, window + 2));
    }
}
