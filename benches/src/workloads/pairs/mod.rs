//! `1x1` and `50x50`: pairs of sender and receiver at QoS 1, or at QoS 0, each sender with a full window.
//!
//! A message counts once its receiver has it and, at QoS 1, its sender has the PUBACK. The order is checked; with
//! bluetick the run ends only when every sender was told that his last message was delivered. With a chat server, a
//! message counts once its sender has its receipt as well: there each has one.

mod ledger;
mod stanzas;

use std::time::{Duration, Instant};

use self::ledger::Ledger;
use self::stanzas::{Conversations, users};
use crate::error::{Deadline, Error};
use crate::figures::Figures;
use crate::generator::fleet::Fleet;
use crate::generator::xmpp;
use crate::measure::machine::Machine;
use crate::measure::process::{Process, machine_cpu};
use crate::peers::server::Server;
use crate::peers::{Peer, Work};
use crate::settings::{Count, Settings, WINDOW};
use crate::workloads::{Case, Workload};

/// How long a run may take beyond its time to send.
const DRAIN_LIMIT: Duration = Duration::from_secs(30);
/// How long connecting may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(20);

/// Messages of a run, over all pairs.
const MESSAGES: Count = Count { full: 200_000, tiny: 500 };

/// So many pairs.
pub(crate) struct Pairs {
    name: &'static str,
    about: &'static str,
    pairs: usize,
    qos0: bool,
}

/// One pair.
pub(crate) const ONE_PAIR: Pairs = Pairs {
    name: "1x1",
    about: "one sender, one receiver, QoS 1, window 100",
    pairs: 1,
    qos0: false,
};
/// Fifty.
pub(crate) const FIFTY_PAIRS: Pairs = Pairs {
    name: "50x50",
    about: "fifty senders, fifty receivers, QoS 1, window 100 each",
    pairs: 50,
    qos0: false,
};
/// One pair without acknowledgements.
pub(crate) const ONE_PAIR_QOS0: Pairs = Pairs {
    name: "1x1-qos0",
    about: "one sender, one receiver, plain topics at QoS 0, 100 on their way",
    pairs: 1,
    qos0: true,
};
/// Fifty without acknowledgements.
pub(crate) const FIFTY_PAIRS_QOS0: Pairs = Pairs {
    name: "50x50-qos0",
    about: "fifty of each, plain topics at QoS 0, 100 on their way each",
    pairs: 50,
    qos0: true,
};

impl Workload for Pairs {
    fn name(&self) -> &'static str {
        self.name
    }

    fn about(&self) -> &'static str {
        self.about
    }

    fn cases(&self, _settings: &Settings) -> Vec<Case> {
        let peers = if self.qos0 {
            // Nothing is kept of what nobody acknowledges.
            let plain = [Peer::BluetickPlain, Peer::Mosquitto, Peer::MosquittoNodelay];
            [&plain[..], &[Peer::Rumqttd, Peer::Rmqtt, Peer::Rabbitmq]].concat()
        } else {
            let bluetick = [Peer::Bluetick, Peer::BluetickPlain];
            let mut peers = [&bluetick[..], &Peer::BROKERS, &Peer::CHAT_SERVERS].concat();
            // Its archive syncs every message by itself: full windows of fifty are minutes of work.
            peers.retain(|&peer| self.pairs == 1 || peer != Peer::Ejabberd);
            peers
        };
        peers.into_iter().map(Case::of).collect()
    }

    fn run(&self, case: Case, settings: &Settings) -> Result<Figures, Error> {
        let server = Server::start(case.peer, settings, WINDOW)?;
        let figures = match case.peer.work() {
            Work::Chats | Work::Topics { .. } => drive(&server, self, case.peer, settings),
            Work::Stanzas { register } => {
                drive_stanzas(&server, self, case.peer, register, settings)
            }
        };
        figures.map_err(|error| server.explain(error))
    }

    fn plots(&self) -> &'static [&'static str] {
        &["messages/s", "server CPU us/msg"]
    }
}

fn drive(
    server: &Server,
    workload: &Pairs,
    peer: Peer,
    settings: &Settings,
) -> Result<Figures, Error> {
    let what = format!("{} against {}", workload.name, peer.name());
    let clients: Vec<_> =
        (0..workload.pairs).flat_map(|pair| [peer.sender(pair), peer.receiver(pair)]).collect();
    let mut fleet = Fleet::connect(
        server.address(),
        settings.version(),
        &clients,
        WINDOW,
        &Deadline::new(&what, CONNECT_LIMIT),
    )?;
    let mut ledger = Ledger::new(workload, peer, settings);

    let deadline = Deadline::new(&what, settings.time() + DRAIN_LIMIT);
    let costs = Costs::begin(server.process())?;
    let start = Instant::now();
    ledger.prime(&mut fleet)?;
    while !ledger.counted() {
        deadline.check(|| ledger.missing())?;
        fleet.paced_turn(deadline.left(), &mut ledger)?;
        ledger.follow_up(&mut fleet)?;
        ledger.tick(start.elapsed() >= settings.time());
    }
    let wall = start.elapsed();
    while !ledger.told() {
        deadline.check(|| ledger.missing())?;
        fleet.turn(deadline.left(), &mut ledger)?;
    }
    let figures = costs.end(ledger.received, wall, ledger.receipts)?;
    fleet.close()?;
    Ok(figures)
}

fn drive_stanzas(
    server: &Server,
    workload: &Pairs,
    peer: Peer,
    register: bool,
    settings: &Settings,
) -> Result<Figures, Error> {
    let what = format!("{} against {}", workload.name, peer.name());
    let users: Vec<_> = (0..workload.pairs).flat_map(users).collect();
    let deadline = Deadline::new(&what, CONNECT_LIMIT);
    let mut fleet = xmpp::fleet::Fleet::connect(server.address(), &users, register, &deadline)?;
    let mut conversations = Conversations::new(workload, settings);

    let deadline = Deadline::new(&what, settings.time() + DRAIN_LIMIT);
    let costs = Costs::begin(server.process())?;
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
    let figures = costs.end(conversations.received, wall, conversations.receipts)?;
    fleet.close()?;
    Ok(figures)
}

/// CPU time that was used before a run began.
struct Costs {
    begun: Instant,
    process: Process,
    server: Duration,
    own: Duration,
    machine: Duration,
}

impl Costs {
    fn begin(process: Process) -> Result<Self, Error> {
        let (machine, server, own) = (machine_cpu()?, process.cpu()?, Process::own().cpu()?);
        Ok(Self { begun: Instant::now(), process, server, own, machine })
    }

    /// The figures of a run whose messages counted `wall` after it began, and which is over now.
    fn end(self, messages: u64, wall: Duration, receipts: u64) -> Result<Figures, Error> {
        let server = self.process.cpu()? - self.server;
        let own = Process::own().cpu()? - self.own;
        let others = (machine_cpu()? - self.machine).saturating_sub(server + own);
        let took_s = self.begun.elapsed().as_secs_f64();
        let cores_time_s = took_s * Machine::here().cores as f64;
        let messages = messages as f64;
        Ok(Figures::new()
            .with("messages/s", messages / wall.as_secs_f64())
            .with("server CPU us/msg", server.as_secs_f64() * 1e6 / messages)
            .with("generator CPU us/msg", own.as_secs_f64() * 1e6 / messages)
            .with("generator CPU %", 100.0 * own.as_secs_f64() / took_s)
            .with("others' CPU %", 100.0 * others.as_secs_f64() / cores_time_s)
            .with("receipts/msg", receipts as f64 / messages)
            .with("messages", messages))
    }
}
