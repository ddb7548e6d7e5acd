//! `1x1` and `50x50`: pairs of sender and receiver at QoS 1, or at QoS 0, each sender with a full window.
//!
//! A message counts once its receiver has it and, at QoS 1, its sender has the PUBACK. The order is checked; with
//! bluetick the run ends only when every sender was told that his last message was delivered.

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::error::{Deadline, Error};
use crate::fleet::Fleet;
use crate::ledger::Ledger;
use crate::machine::Machine;
use crate::peer::Peer;
use crate::process::{Process, machine_cpu};
use crate::server::Server;
use crate::settings::{Settings, Workload};

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
    let server = Server::start(peer, settings, workload.window())?;
    drive(&server, workload, peer, settings).map_err(|error| server.explain(error))
}

fn drive(
    server: &Server,
    workload: Workload,
    peer: Peer,
    settings: &Settings,
) -> Result<PairsRun, Error> {
    let what = format!("{} against {}", workload.name(), peer.name());
    let window = workload.window();
    let clients: Vec<_> =
        (0..workload.pairs()).flat_map(|pair| [peer.sender(pair), peer.receiver(pair)]).collect();
    let mut fleet = Fleet::connect(
        server.address(),
        settings.version(),
        &clients,
        window,
        &Deadline::new(&what, CONNECT_LIMIT),
    )?;
    let mut ledger = Ledger::new(workload, peer, settings);

    let deadline = Deadline::new(&what, settings.time() + DRAIN_LIMIT);
    let others_before = machine_cpu()?;
    let server_before = server.process().cpu()?;
    let own_before = Process::own().cpu()?;
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
    let server_cpu = server.process().cpu()? - server_before;
    let own_cpu = Process::own().cpu()? - own_before;
    let others = (machine_cpu()? - others_before).saturating_sub(server_cpu + own_cpu);
    let cores_time = start.elapsed().as_secs_f64() * Machine::here().cores as f64;
    fleet.close()?;

    let messages = ledger.received as f64;
    Ok(PairsRun {
        messages: ledger.received,
        wall_s: wall.as_secs_f64(),
        messages_per_s: messages / wall.as_secs_f64(),
        server_cpu_us: server_cpu.as_secs_f64() * 1e6 / messages,
        generator_cpu_us: own_cpu.as_secs_f64() * 1e6 / messages,
        others_cpu_share: others.as_secs_f64() / cores_time,
        receipts_per_message: ledger.receipts as f64 / messages,
    })
}
