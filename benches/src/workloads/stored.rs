//! `stored`: what is slower, and how long a restart takes, the more messages are stored; and what they take of the disk.
//!
//! Fifty pairs fill their chats over the wire, as in `50x50`. Then the server is killed and started again, and the same
//! pairs go on in the same chats. At last it is stopped and its database compacted.

use std::time::{Duration, Instant};

use super::pairs::{Ledger, run_phase};
use crate::error::{Deadline, Error};
use crate::figures::Figures;
use crate::generator::blocking::Blocking;
use crate::generator::fleet::Fleet;
use crate::generator::quiet::wait_until_quiet;
use crate::peers::server::Server;
use crate::peers::{Peer, client};
use crate::settings::{Count, Settings, WINDOW};
use crate::workloads::{Case, Workload};

/// How long it may take to store the messages.
const FILL_LIMIT: Duration = Duration::from_secs(300);
/// How long a step may take beyond its time.
const STEP_LIMIT: Duration = Duration::from_secs(60);
/// Pairs, each with a chat.
const PAIRS: usize = 50;
/// Messages that are stored before.
const FEW: Count = Count { full: 1_000_000, tiny: 1_000 };
/// Likewise.
const MANY: Count = Count { full: 10_000_000, tiny: 2_000 };
/// Messages that are sent then.
const MESSAGES: Count = Count { full: 400_000, tiny: 500 };

/// Messages among many stored ones.
pub(crate) struct Stored;

impl Workload for Stored {
    fn name(&self) -> &'static str {
        "stored"
    }

    fn about(&self) -> &'static str {
        "50x50 with 10,000,000 messages stored, beside 1,000,000 and none; restart, disk, write amplification"
    }

    fn cases(&self, settings: &Settings) -> Vec<Case> {
        Case::sizes([settings.count(MANY), settings.count(FEW), 0])
    }

    /// One takes minutes.
    fn runs(&self, _settings: &Settings) -> u16 {
        1
    }

    fn run(&self, case: Case, settings: &Settings) -> Result<Figures, Error> {
        let mut server = Server::start(case.peer, settings, WINDOW)?;
        drive(&mut server, case, settings).map_err(|error| server.explain(error))
    }

    fn plots(&self) -> &'static [&'static str] {
        &["messages/s", "restart s", "disk bytes/message"]
    }
}

fn drive(server: &mut Server, case: Case, settings: &Settings) -> Result<Figures, Error> {
    let what = format!("stored, {} messages", case.size);
    let peer = Peer::Bluetick;
    let clients: Vec<_> =
        (0..PAIRS).flat_map(|pair| [peer.sender(pair), peer.receiver(pair)]).collect();
    let deadline = |limit| Deadline::new(&what, limit);
    let connect = |server: &Server| {
        let limit = deadline(STEP_LIMIT);
        Fleet::connect(server.address(), settings.version(), &clients, WINDOW, &limit)
    };
    let stored = u64::from(case.size);
    let mut ledger = Ledger::new(PAIRS, false, stored, peer, settings);
    let start = Instant::now();
    let mut fleet = connect(server)?;
    let fill = match stored {
        0 => None,
        _ => Some(run_phase(server, &mut fleet, &mut ledger, FILL_LIMIT, &deadline(FILL_LIMIT))?),
    };
    let fill_s = start.elapsed().as_secs_f64();
    fleet.close()?;
    wait_until_quiet(server.process(), None, &what)?;
    let amplification = amplification(server)?;
    let filled_bytes = server.process().resident_bytes()?;

    let start = Instant::now();
    server.restart()?;
    let first = client("first".into(), Vec::new());
    let limit = deadline(STEP_LIMIT);
    Blocking::connect(server.address(), settings.version(), &first, WINDOW, limit)?.close()?;
    let restart_s = start.elapsed().as_secs_f64();
    wait_until_quiet(server.process(), None, &what)?;

    let mut fleet = connect(server)?;
    ledger.extend(settings.count(MESSAGES).into());
    let limit = deadline(settings.time() + STEP_LIMIT);
    let figures = run_phase(server, &mut fleet, &mut ledger, settings.time(), &limit)?;
    fleet.close()?;
    wait_until_quiet(server.process(), None, &what)?;
    let disk_bytes = server.disk_bytes()?;
    server.end_and_compact()?;
    let messages = ledger.received as f64;
    let get = |figures: &Figures, name: &str| figures.get(name).unwrap_or(0.0);
    let mut told = Figures::new()
        .with("messages/s", get(&figures, "messages/s"))
        .with("server CPU us/msg", get(&figures, "server CPU us/msg"))
        .with("restart s", restart_s)
        .with("disk bytes/message", server.disk_bytes()? as f64 / messages)
        .with("before compaction", disk_bytes as f64 / messages)
        .with("write amplification", amplification);
    // Of nothing there is nothing to tell.
    if let Some(fill) = fill {
        told = told
            .with("stored in s", fill_s)
            .with("at messages/s", get(&fill, "messages/s"))
            .with("resident then MiB", filled_bytes as f64 / 1_048_576.0);
    }
    Ok(told)
}

/// What RocksDB wrote, log and files, by what it was given to write: its own figures.
fn amplification(server: &Server) -> Result<f64, Error> {
    let metric = |name: &str| server.metric(&format!("bluetick_rocksdb_{name}_bytes_total"));
    Ok((metric("log")? + metric("flush")? + metric("compaction")?) / metric("batch")?)
}
