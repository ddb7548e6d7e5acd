//! Senders and receivers: `1x1`, `50x50`, `1000x1000` and `fan-in`, at QoS 0, 1 and 2, each sender with a full window.
//!
//! A message counts once its receiver has it and its sender knows: has the PUBACK, or at QoS 2 the PUBCOMP. The order
//! is checked; with bluetick the run ends only when every sender was told that his last message was delivered. With a
//! chat server, a message counts once its sender has its receipt as well: there each has one.

mod ledger;
mod stanzas;

use std::time::{Duration, Instant};

pub(crate) use self::ledger::Ledger;
use self::stanzas::{Conversations, users};
use crate::error::{Deadline, Error};
use crate::figures::Figures;
use crate::generator::fleet::{Client, Fleet};
use crate::generator::message::BODY_BYTES;
use crate::generator::xmpp;
use crate::measure::spent::{Meter, Spent};
use crate::peers::server::Server;
use crate::peers::{Peer, Work};
use crate::settings::{Count, Settings, WINDOW};
use crate::workloads::{Case, Workload};

/// How long a run may take beyond its time to send.
const DRAIN_LIMIT: Duration = Duration::from_secs(30);
/// How long connecting may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(20);

/// Messages of a run, over all senders.
const MESSAGES: Count = Count { full: 200_000, tiny: 500 };

/// Who sends how to whom.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    /// Sender `n` writes to receiver `n % receivers`.
    pub(crate) senders: u32,
    pub(crate) receivers: u32,
    /// 0 to 2; with bluetick's chats, 1.
    pub(crate) qos: u8,
    /// Of each sender.
    pub(crate) window: u16,
    /// Of each message.
    pub(crate) body_bytes: usize,
    /// Over all senders.
    pub(crate) messages: u32,
}

impl Shape {
    /// Each sender with a receiver of his own, as `50x50`.
    pub(crate) fn pairs(pairs: u32, settings: &Settings) -> Self {
        Self {
            senders: pairs,
            receivers: pairs,
            qos: 1,
            window: WINDOW,
            body_bytes: BODY_BYTES,
            messages: settings.count(MESSAGES),
        }
    }

    fn clients(&self, peer: Peer) -> Vec<Client> {
        let senders = (0..self.senders as usize).map(|number| peer.sender(number));
        let receivers = (0..self.receivers as usize).map(|number| peer.receiver(number));
        // At the QoS of the messages: rumqttd delivers at that of the subscription, also what was sent at less.
        senders.chain(receivers).map(|client| Client { qos: self.qos, ..client }).collect()
    }

    /// Connects everybody: the senders first.
    pub(crate) fn connect(
        &self,
        server: &Server,
        peer: Peer,
        settings: &Settings,
        what: &str,
    ) -> Result<Fleet, Error> {
        let deadline = Deadline::new(what, CONNECT_LIMIT);
        let clients = self.clients(peer);
        Fleet::connect(server.address(), settings.version(), &clients, WINDOW, &deadline)
    }
}

/// So many senders and receivers.
pub(crate) struct Pairs {
    name: &'static str,
    about: &'static str,
    senders: Count,
    receivers: Count,
    qos: u8,
    window: u16,
    messages: Count,
}

const ONE: Count = Count { full: 1, tiny: 1 };
const FIFTY: Count = Count { full: 50, tiny: 50 };
const THOUSAND: Count = Count { full: 1_000, tiny: 50 };
/// The window of each of a thousand senders: 10,000 messages on their way.
const SMALL_WINDOW: u16 = 10;

/// One pair.
pub(crate) const ONE_PAIR: Pairs = Pairs {
    name: "1x1",
    about: "one sender, one receiver, QoS 1, window 100",
    senders: ONE,
    receivers: ONE,
    qos: 1,
    window: WINDOW,
    messages: MESSAGES,
};
/// Fifty.
pub(crate) const FIFTY_PAIRS: Pairs = Pairs {
    name: "50x50",
    about: "fifty senders, fifty receivers, QoS 1, window 100 each",
    senders: FIFTY,
    receivers: FIFTY,
    ..ONE_PAIR
};
/// A thousand.
pub(crate) const THOUSAND_PAIRS: Pairs = Pairs {
    name: "1000x1000",
    about: "a thousand senders, a thousand receivers, QoS 1, window 10 each",
    senders: THOUSAND,
    receivers: THOUSAND,
    window: SMALL_WINDOW,
    ..ONE_PAIR
};
/// A thousand who write to one.
pub(crate) const FAN_IN: Pairs = Pairs {
    name: "fan-in",
    about: "a thousand senders, one receiver, QoS 1, window 10 each",
    receivers: ONE,
    ..THOUSAND_PAIRS
};
/// One pair without acknowledgements.
pub(crate) const ONE_PAIR_QOS0: Pairs = Pairs {
    name: "1x1-qos0",
    about: "one sender, one receiver, plain topics at QoS 0, 100 on their way",
    qos: 0,
    ..ONE_PAIR
};
/// Fifty without acknowledgements.
pub(crate) const FIFTY_PAIRS_QOS0: Pairs = Pairs {
    name: "50x50-qos0",
    about: "fifty of each, plain topics at QoS 0, 100 on their way each",
    qos: 0,
    ..FIFTY_PAIRS
};
/// A thousand to one without acknowledgements.
pub(crate) const FAN_IN_QOS0: Pairs = Pairs {
    name: "fan-in-qos0",
    about: "a thousand senders, one receiver, plain topics at QoS 0, 10 on their way each",
    qos: 0,
    ..FAN_IN
};
/// One pair, exactly once.
pub(crate) const ONE_PAIR_QOS2: Pairs = Pairs {
    name: "1x1-qos2",
    about: "one sender, one receiver, plain topics at QoS 2, window 100",
    qos: 2,
    ..ONE_PAIR
};
/// Fifty, exactly once.
pub(crate) const FIFTY_PAIRS_QOS2: Pairs = Pairs {
    name: "50x50-qos2",
    about: "fifty of each, plain topics at QoS 2, window 100 each",
    qos: 2,
    ..FIFTY_PAIRS
};
/// A thousand to one, exactly once.
pub(crate) const FAN_IN_QOS2: Pairs = Pairs {
    name: "fan-in-qos2",
    about: "a thousand senders, one receiver, plain topics at QoS 2, window 10 each",
    qos: 2,
    // mosquitto has all of them in one list, which it searches at each step: four times the time for twice as many.
    messages: Count { full: 20_000, tiny: 500 },
    ..FAN_IN
};

impl Workload for Pairs {
    fn name(&self) -> &'static str {
        self.name
    }

    fn about(&self) -> &'static str {
        self.about
    }

    fn cases(&self, _settings: &Settings) -> Vec<Case> {
        let bluetick = [Peer::Bluetick, Peer::BluetickPlain];
        let plain = [Peer::BluetickPlain, Peer::Mosquitto, Peer::MosquittoNodelay];
        let mut peers = match (self.qos, self.senders.full, self.receivers.full) {
            // Nothing is kept of what nobody acknowledges.
            (0, ..=50, _) => [&plain[..], &[Peer::Rumqttd, Peer::Rmqtt, Peer::Rabbitmq]].concat(),
            (0, ..) => plain.into(),
            (1, ..=50, _) => [&bluetick[..], &Peer::BROKERS, &Peer::CHAT_SERVERS].concat(),
            (1, ..) => [&bluetick[..], &[Peer::Mosquitto]].concat(),
            _ => vec![Peer::BluetickPlain, Peer::Mosquitto],
        };
        // Its archive syncs every message by itself: full windows of fifty are minutes of work.
        peers.retain(|&peer| self.senders.full == 1 || peer != Peer::Ejabberd);
        peers.into_iter().map(Case::of).collect()
    }

    fn connections(&self, settings: &Settings) -> u32 {
        settings.exactly(self.senders) + settings.exactly(self.receivers)
    }

    fn run(&self, case: Case, settings: &Settings) -> Result<Figures, Error> {
        let server = Server::start(case.peer, settings, WINDOW)?;
        let shape = Shape {
            senders: settings.exactly(self.senders),
            receivers: settings.exactly(self.receivers),
            qos: self.qos,
            window: self.window,
            body_bytes: BODY_BYTES,
            messages: settings.count(self.messages),
        };
        let figures = match case.peer.work() {
            Work::Chats | Work::Topics { .. } => {
                drive(&server, self.name, &shape, case.peer, settings)
            }
            Work::Stanzas { register } => {
                drive_stanzas(&server, self.name, &shape, register, settings)
            }
        };
        figures.map_err(|error| server.explain(error))
    }

    fn plots(&self) -> &'static [&'static str] {
        &["messages/s", "server CPU us/msg"]
    }
}

/// Connects everybody, sends and receives everything.
pub(crate) fn drive(
    server: &Server,
    name: &str,
    shape: &Shape,
    peer: Peer,
    settings: &Settings,
) -> Result<Figures, Error> {
    let what = format!("{name} against {}", peer.name());
    let mut fleet = shape.connect(server, peer, settings, &what)?;
    let mut ledger = Ledger::new(shape, peer, settings);
    let (wall, spent) = ledger.run(&mut fleet, server, settings.time(), &what)?;
    fleet.close()?;
    Ok(figures(wall, &spent, ledger.received, ledger.receipts))
}

/// The same with a chat server, which speaks XMPP.
fn drive_stanzas(
    server: &Server,
    name: &str,
    shape: &Shape,
    register: bool,
    settings: &Settings,
) -> Result<Figures, Error> {
    let pairs = shape.senders as usize;
    let users: Vec<_> = (0..pairs).flat_map(users).collect();
    let deadline = Deadline::new(name, CONNECT_LIMIT);
    let mut fleet = xmpp::fleet::Fleet::connect(server.address(), &users, register, &deadline)?;
    let mut conversations = Conversations::new(pairs, u64::from(shape.messages));

    let deadline = Deadline::new(name, settings.time() + DRAIN_LIMIT);
    let meter = Meter::start(server.process())?;
    let start = Instant::now();
    conversations.prime(&mut fleet)?;
    while !conversations.counted() {
        deadline.check(|| conversations.missing())?;
        fleet.paced_turn(deadline.left(), &mut conversations)?;
        if start.elapsed() >= settings.time() {
            conversations.stop();
        }
    }
    let wall = start.elapsed();
    let spent = meter.read()?;
    fleet.close()?;
    Ok(figures(wall, &spent, conversations.received, conversations.receipts))
}

fn figures(wall: Duration, spent: &Spent, messages: u64, receipts: u64) -> Figures {
    let messages = messages as f64;
    let figures = Figures::new().with("messages/s", messages / wall.as_secs_f64());
    spent
        .put(figures, "msg", messages)
        .with("receipts/msg", receipts as f64 / messages)
        .with("messages", messages)
}

impl Ledger {
    /// Sends everything, or as much as `time` allows, until all is received and told; the time until all was
    /// received, and what was spent until all was told.
    pub(crate) fn run(
        &mut self,
        fleet: &mut Fleet,
        server: &Server,
        time: Duration,
        what: &str,
    ) -> Result<(Duration, Spent), Error> {
        let deadline = Deadline::new(what, time + DRAIN_LIMIT);
        let meter = Meter::start(server.process())?;
        let start = Instant::now();
        self.prime(fleet)?;
        while !self.counted() {
            deadline.check(|| self.missing())?;
            if self.window < u64::from(WINDOW) {
                fleet.turn(deadline.left(), self)?;
            } else {
                fleet.paced_turn(deadline.left(), self)?;
            }
            self.follow_up(fleet)?;
            self.tick(start.elapsed() >= time);
        }
        let wall = start.elapsed();
        while !self.told() {
            deadline.check(|| self.missing())?;
            fleet.turn(deadline.left(), self)?;
        }
        Ok((wall, meter.read()?))
    }
}
