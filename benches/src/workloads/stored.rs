//! `stored`: what is slower, and how long a restart takes, the more messages are stored; and what they take of the disk.
//!
//! Fifty pairs fill their chats over the wire, as in `50x50`. Then the server is killed and started again, and the same
//! pairs go on in the same chats. At last it is stopped and its database compacted.

use std::time::{Duration, Instant};

use super::pairs::{Ledger, Shape};
use crate::error::{Deadline, Error};
use crate::figures::Figures;
use crate::generator::blocking::Blocking;
use crate::generator::quiet::wait_until_quiet;
use crate::peers::client;
use crate::peers::server::Server;
use crate::settings::{Count, Settings, WINDOW};
use crate::workloads::{Case, Workload};

/// How long it may take to store the messages.
const FILL_LIMIT: Duration = Duration::from_secs(300);
/// How long a step may take beyond its time.
const STEP_LIMIT: Duration = Duration::from_secs(60);
/// Pairs, each with a chat.
const PAIRS: u32 = 50;
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
    let shape = Shape { messages: case.size, ..Shape::pairs(PAIRS, settings) };
    let mut ledger = Ledger::new(&shape, case.peer, settings);
    let mut fleet = shape.connect(server, case.peer, settings, &what)?;
    let mut fill = Duration::ZERO;
    if case.size > 0 {
        (fill, _) = ledger.run(&mut fleet, server, FILL_LIMIT, &what)?;
        // A run that is out of time ends early, and fewer would pass for as many.
        if ledger.received < u64::from(case.size) {
            let (stored, limit_s) = (ledger.received, FILL_LIMIT.as_secs());
            return Err(Error::Wrong(format!("{stored} messages were stored in {limit_s} s")));
        }
    }
    fleet.close()?;
    wait_until_quiet(server.process(), None, &what)?;
    let amplification = amplification(server)?;
    let filled_bytes = server.process().resident_bytes()?;

    let start = Instant::now();
    server.restart()?;
    let first = client("first".into(), Vec::new());
    let limit = Deadline::new(&what, STEP_LIMIT);
    Blocking::connect(server.address(), settings.version(), &first, WINDOW, limit)?.close()?;
    let restart_s = start.elapsed().as_secs_f64();
    wait_until_quiet(server.process(), None, &what)?;

    let mut fleet = shape.connect(server, case.peer, settings, &what)?;
    let stored = ledger.received;
    ledger.extend(settings.count(MESSAGES));
    let (wall, spent) = ledger.run(&mut fleet, server, settings.time(), &what)?;
    fleet.close()?;
    wait_until_quiet(server.process(), None, &what)?;
    let disk_bytes = server.disk_bytes()? as f64;
    server.end_and_compact()?;
    let compacted_bytes = server.disk_bytes()? as f64;
    let (all, sent) = (ledger.received as f64, (ledger.received - stored) as f64);
    let figures = Figures::new().with("messages/s", sent / wall.as_secs_f64());
    let mut figures = spent
        .put(figures, "msg", sent)
        .with("restart s", restart_s)
        .with("disk bytes/message", compacted_bytes / all)
        .with("before compaction", disk_bytes / all)
        .with("write amplification", amplification);
    // Of nothing there is nothing to tell.
    if stored > 0 {
        figures = figures
            .with("stored in s", fill.as_secs_f64())
            .with("resident then MiB", filled_bytes as f64 / 1_048_576.0);
    }
    Ok(figures)
}

/// What was written, journal and RocksDB's files, by what RocksDB was given: the server's figures.
fn amplification(server: &Server) -> Result<f64, Error> {
    let metric = |name: &str| server.metric(&format!("bluetick_{name}_bytes_total"));
    let [journal, flush] = ["journal", "rocksdb_flush"].map(metric);
    let [compaction, batch] = ["rocksdb_compaction", "rocksdb_batch"].map(metric);
    Ok((journal? + flush? + compaction?) / batch?)
}
