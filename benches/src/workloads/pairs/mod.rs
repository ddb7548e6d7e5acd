//! `1x1` and `50x50`: pairs of sender and receiver at QoS 1, or at QoS 0, each sender with a full window.
//!
//! A message counts once its receiver has it and, at QoS 1, its sender has the PUBACK. The order is checked; with
//! bluetick the run ends only when every sender was told that his last message was delivered.

mod ledger;

use std::time::{Duration, Instant};

pub(super) use self::ledger::Ledger;
use crate::error::{Deadline, Error};
use crate::figures::Figures;
use crate::generator::fleet::Fleet;
use crate::measure::machine::Machine;
use crate::measure::process::{Process, machine_cpu};
use crate::peers::Peer;
use crate::peers::server::Server;
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
            [Peer::BluetickPlain, Peer::Mosquitto, Peer::MosquittoNodelay]
        } else {
            [Peer::Bluetick, Peer::BluetickPlain, Peer::Mosquitto]
        };
        peers.map(Case::of).into()
    }

    fn run(&self, case: Case, settings: &Settings) -> Result<Figures, Error> {
        let server = Server::start(case.peer, settings, WINDOW)?;
        drive(&server, self, case.peer, settings).map_err(|error| server.explain(error))
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
    let messages = u64::from(settings.count(MESSAGES));
    let mut ledger = Ledger::new(workload.pairs, workload.qos0, messages, peer, settings);
    let deadline = Deadline::new(&what, settings.time() + DRAIN_LIMIT);
    let figures = run_phase(server, &mut fleet, &mut ledger, settings.time(), &deadline)?;
    fleet.close()?;
    Ok(figures)
}

/// Has all pairs send what they have left, or as much as `time` allows; returns when all is received, acknowledged
/// and told.
pub(super) fn run_phase(
    server: &Server,
    fleet: &mut Fleet,
    ledger: &mut Ledger,
    time: Duration,
    deadline: &Deadline,
) -> Result<Figures, Error> {
    let (received, receipts) = (ledger.received, ledger.receipts);
    let others_before = machine_cpu()?;
    let server_before = server.process().cpu()?;
    let own_before = Process::own().cpu()?;
    let start = Instant::now();
    ledger.prime(fleet)?;
    while !ledger.counted() {
        deadline.check(|| ledger.missing())?;
        fleet.paced_turn(deadline.left(), ledger)?;
        ledger.follow_up(fleet)?;
        ledger.tick(start.elapsed() >= time);
    }
    let wall = start.elapsed();
    while !ledger.told() {
        deadline.check(|| ledger.missing())?;
        fleet.turn(deadline.left(), ledger)?;
    }
    let server_cpu = server.process().cpu()? - server_before;
    let own_cpu = Process::own().cpu()? - own_before;
    let others = (machine_cpu()? - others_before).saturating_sub(server_cpu + own_cpu);
    let start_to_end = start.elapsed();
    let cores_time = start_to_end.as_secs_f64() * Machine::here().cores as f64;

    let messages = (ledger.received - received) as f64;
    Ok(Figures::new()
        .with("messages/s", messages / wall.as_secs_f64())
        .with("server CPU us/msg", server_cpu.as_secs_f64() * 1e6 / messages)
        .with("generator CPU us/msg", own_cpu.as_secs_f64() * 1e6 / messages)
        .with("generator CPU %", 100.0 * own_cpu.as_secs_f64() / start_to_end.as_secs_f64())
        .with("others' CPU %", 100.0 * others.as_secs_f64() / cores_time)
        .with("receipts/msg", (ledger.receipts - receipts) as f64 / messages)
        .with("messages", messages))
}
