//! `fan-out`: one sender, a group whose members are all online; what each delivery costs.
//!
//! Each member has one connection with one wildcard filter and acknowledges at once. First one message at a time,
//! the next when all have the one before: how long until the last has it. Then a window of messages that not all
//! have yet: how many deliveries a second. The order is checked at every member.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::error::{Deadline, Error};
use crate::figures::Figures;
use crate::generator::fleet::{Fleet, Traffic};
use crate::generator::group::{SENDER, make_group};
use crate::generator::message::{Body, Ids, body_index};
use crate::generator::quiet::{acknowledge, wait_until_quiet};
use crate::generator::wire::{Packet, Version, put_publish};
use crate::measure::process::Process;
use crate::peers::server::Server;
use crate::peers::{Delivery, Peer, Work, chat_topic, refused};
use crate::settings::{Count, Settings, WINDOW};
use crate::workloads::{Case, Workload};

/// How long connecting may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(30);
/// How long each of the two parts may take beyond its time.
const PART_LIMIT: Duration = Duration::from_secs(30);
/// Of the deliveries of a run, those that are made one message at a time.
const ALONE_SHARE: u64 = 20;

/// Members of the groups, beside the sender.
const MEMBERS: [Count; 3] =
    [Count { full: 1_000, tiny: 6 }, Count { full: 100, tiny: 3 }, Count { full: 10, tiny: 2 }];
/// Deliveries of a run with a full window.
const DELIVERIES: Count = Count { full: 1_000_000, tiny: 240 };

/// A group whose members are all there.
pub(crate) struct FanOut;

impl Workload for FanOut {
    fn name(&self) -> &'static str {
        "fan-out"
    }

    fn about(&self) -> &'static str {
        "groups of 1,000, 100 and 10 whose members are all connected: what each delivery costs"
    }

    fn cases(&self, settings: &Settings) -> Vec<Case> {
        let sizes = MEMBERS.map(|count| settings.count(count));
        let mut cases = Case::each([Peer::Bluetick, Peer::Mosquitto], sizes);
        let brokers = [Peer::Rumqttd, Peer::Rmqtt, Peer::Rabbitmq];
        cases.extend(brokers.map(|peer| Case { peer, size: sizes[0] }));
        cases
    }

    fn connections(&self, settings: &Settings) -> u32 {
        let [largest, ..] = MEMBERS;
        settings.count(largest)
    }

    /// There are many cases.
    fn runs(&self, settings: &Settings) -> u16 {
        settings.runs.min(2)
    }

    fn run(&self, case: Case, settings: &Settings) -> Result<Figures, Error> {
        let server = Server::start(case.peer, settings, WINDOW)?;
        drive(&server, case.peer, case.size, settings).map_err(|error| server.explain(error))
    }

    fn plots(&self) -> &'static [&'static str] {
        &["deliveries/s", "server CPU us/delivery"]
    }
}

fn drive(server: &Server, peer: Peer, members: u32, settings: &Settings) -> Result<Figures, Error> {
    let what = format!("fan-out to {members} against {}", peer.name());
    let version = settings.version();
    let deliveries = u64::from(settings.count(DELIVERIES));
    let deadline = Deadline::new(&what, CONNECT_LIMIT);
    let (topic, with_id, filters) = match peer.work() {
        Work::Chats => {
            let chat = make_group(server.address(), settings, members, &deadline)?;
            let with_id = !settings.no_id;
            (chat_topic(&chat, with_id), with_id, vec!["me/errors".into()])
        }
        Work::Topics { .. } | Work::Stanzas { .. } => {
            (peer.pair_topic(0, false), false, Vec::new())
        }
    };
    let mut clients = vec![peer.client(SENDER.into(), filters)];
    clients.extend((0..members as usize).map(|number| peer.member(number)));
    let mut fleet = Fleet::connect(server.address(), version, &clients, WINDOW, &deadline)?;
    // The members are told that they are some; that is not of the workload.
    wait_until_quiet(server.process(), Some(&mut fleet), &what)?;
    let before_bytes = server.process().resident_bytes()?;

    let mut fan = Fan::new(members, version, topic, with_id);
    let messages = |deliveries: u64| deliveries.div_ceil(u64::from(members));
    let alone = fan.run_part(
        &mut fleet,
        server.process(),
        1,
        messages(deliveries / ALONE_SHARE),
        settings.time(),
        &Deadline::new(&what, settings.time() + PART_LIMIT),
    )?;
    let alone_times = std::mem::take(&mut fan.times);
    let full = fan.run_part(
        &mut fleet,
        server.process(),
        u64::from(WINDOW),
        messages(deliveries),
        settings.time(),
        &Deadline::new(&what, settings.time() + PART_LIMIT),
    )?;
    let after_bytes = server.process().resident_bytes()?;
    fleet.close()?;
    Figures::new()
        .with("deliveries/s", full.deliveries as f64 / full.wall.as_secs_f64())
        .with("server CPU us/delivery", full.per_delivery_us(full.server_cpu))
        .with("generator CPU us/delivery", full.per_delivery_us(full.generator_cpu))
        .with("messages", full.deliveries as f64 / f64::from(members))
        .with_latency("alone: last has it", alone_times)
        .map(|figures| {
            figures
                .with("alone: server CPU us/delivery", alone.per_delivery_us(alone.server_cpu))
                .with("before KiB", before_bytes as f64 / 1024.0)
                .with("after KiB", after_bytes as f64 / 1024.0)
        })
}

/// What one part of the run took.
struct Part {
    deliveries: u64,
    wall: Duration,
    server_cpu: Duration,
    generator_cpu: Duration,
}

impl Part {
    fn per_delivery_us(&self, time: Duration) -> f64 {
        time.as_secs_f64() * 1e6 / self.deliveries as f64
    }
}

/// Connection 0 sends, the others are the members.
struct Fan {
    version: Version,
    topic: Vec<u8>,
    with_id: bool,
    /// The next message of each member.
    next: Vec<u64>,
    /// How many members have a message that not all have, the oldest first, and when it was sent.
    on_the_way: VecDeque<(usize, Instant)>,
    /// Messages that all have; the number of the first in `on_the_way`.
    complete: u64,
    sent: u64,
    acked: u64,
    /// From each message's PUBLISH until all had it.
    times: Vec<Duration>,
    body: Body,
    ids: Ids,
}

impl Fan {
    fn new(members: u32, version: Version, topic: Vec<u8>, with_id: bool) -> Self {
        Self {
            version,
            topic,
            with_id,
            next: vec![0; members as usize],
            on_the_way: VecDeque::new(),
            complete: 0,
            sent: 0,
            acked: 0,
            times: Vec::new(),
            body: Body::default(),
            ids: Ids::default(),
        }
    }

    /// Sends `messages`, or as many as `time` allows, at most `window` at a time that not all have; returns when
    /// all have all.
    fn run_part(
        &mut self,
        fleet: &mut Fleet,
        server: Process,
        window: u64,
        messages: u64,
        time: Duration,
        deadline: &Deadline,
    ) -> Result<Part, Error> {
        let first = self.sent;
        let mut end = first + messages;
        let (server_before, own_before) = (server.cpu()?, Process::own().cpu()?);
        let start = Instant::now();
        loop {
            self.ids.tick();
            if start.elapsed() >= time {
                end = self.sent;
            }
            while self.sent < end && self.sent - self.complete.min(self.acked) < window {
                self.send(fleet.out(0));
            }
            fleet.flush()?;
            if self.complete == end && self.acked == end {
                break;
            }
            deadline.check(|| {
                format!("{} PUBACKs, {} messages to all", end - self.acked, end - self.complete)
            })?;
            if window == 1 {
                fleet.turn(deadline.left(), self)?;
            } else {
                fleet.paced_turn(deadline.left(), self)?;
            }
        }
        Ok(Part {
            deliveries: (end - first) * self.next.len() as u64,
            wall: start.elapsed(),
            server_cpu: server.cpu()? - server_before,
            generator_cpu: Process::own().cpu()? - own_before,
        })
    }

    fn send(&mut self, out: &mut Vec<u8>) {
        let topic_bytes = self.topic.len();
        if self.with_id {
            self.ids.put(&mut self.topic);
        }
        let packet_id = (self.sent % u64::from(u16::MAX)) as u16 + 1;
        put_publish(out, self.version, &self.topic, packet_id, self.body.fill(self.sent, false));
        self.topic.truncate(topic_bytes);
        self.on_the_way.push_back((0, Instant::now()));
        self.sent += 1;
    }

    fn handle_message(&mut self, member: usize, payload: &[u8]) -> Result<(), Error> {
        let next = &mut self.next[member];
        let index = body_index(payload).map(|(index, _)| index);
        let place = next.checked_sub(self.complete).map(|place| place as usize);
        let message = place.and_then(|place| self.on_the_way.get_mut(place));
        let Some((arrived, _)) = message.filter(|_| index == Some(*next)) else {
            return Err(Error::Wrong(format!("member {member}: {index:?} in place of {next}")));
        };
        *arrived += 1;
        *next += 1;
        while let Some((_, sent_at)) =
            self.on_the_way.pop_front_if(|(arrived, _)| *arrived == self.next.len())
        {
            self.times.push(sent_at.elapsed());
            self.complete += 1;
        }
        Ok(())
    }
}

impl Traffic for Fan {
    fn handle_packet(
        &mut self,
        conn: usize,
        packet: &Packet<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        match (packet, conn.checked_sub(1)) {
            (&Packet::PubAck { reason: 0, .. }, None) => {
                self.acked += 1;
                Ok(())
            }
            (&Packet::Publish { topic, packet_id, payload, .. }, Some(member))
                if Delivery::of(topic) == Delivery::Message =>
            {
                self.handle_message(member, payload)?;
                acknowledge(packet_id, out)
            }
            (&Packet::Publish { payload, .. }, None) => Err(refused(payload)),
            (other, _) => Err(Error::Wrong(format!("connection {conn}: {other:?}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deliver(fan: &mut Fan, conn: usize, index: u64) -> Result<(), Error> {
        let body = Body::default().fill(index, false).to_vec();
        let topic = b"chats/g/messages";
        let packet = Packet::Publish { topic, qos: 1, packet_id: 3, payload: &body };
        fan.handle_packet(conn, &packet, &mut Vec::new())
    }

    #[test]
    fn a_message_is_complete_when_all_have_it_and_holes_and_doubles_end_the_run() {
        let mut fan = Fan::new(2, Version::V311, b"chats/g/send/".to_vec(), true);
        assert!(deliver(&mut fan, 1, 0).is_err(), "never sent");
        let mut out = Vec::new();
        fan.send(&mut out);
        fan.send(&mut out);
        assert!(deliver(&mut fan, 1, 1).is_err(), "a hole");
        deliver(&mut fan, 1, 0).unwrap();
        deliver(&mut fan, 1, 1).unwrap();
        assert_eq!(fan.complete, 0);
        assert!(deliver(&mut fan, 1, 1).is_err(), "a double");
        deliver(&mut fan, 2, 0).unwrap();
        assert_eq!((fan.complete, fan.times.len()), (1, 1));
        deliver(&mut fan, 2, 1).unwrap();
        assert_eq!((fan.complete, fan.times.len()), (2, 2));
    }
}
