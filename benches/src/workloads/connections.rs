//! `connections`: `idle`, by how many there are; and what they cost while nothing happens.

use std::time::Duration;

use crate::error::Error;
use crate::figures::Figures;
use crate::measure::spent::Meter;
use crate::peers::Peer;
use crate::peers::server::Server;
use crate::settings::{Count, Settings, WINDOW};
use crate::workloads::idle::Crowd;
use crate::workloads::{Case, Workload};

/// Connections, each with one filter.
const CONNECTIONS: [Count; 3] = [
    Count { full: 10_000, tiny: 24 },
    Count { full: 2_000, tiny: 24 },
    Count { full: 1_000, tiny: 24 },
];
/// Milliseconds in which nothing happens.
const QUIET_MS: Count = Count { full: 5_000, tiny: 100 };
/// Addresses that they come from: one has 28,000 ports at most.
const SOURCES: u8 = 20;

/// More and more connections.
pub(crate) struct Connections;

impl Workload for Connections {
    fn name(&self) -> &'static str {
        "connections"
    }

    fn about(&self) -> &'static str {
        "1,000 to 10,000 connections as in idle: memory, CPU while nothing happens, time to connect"
    }

    fn cases(&self, settings: &Settings) -> Vec<Case> {
        // That it works is seen with one size as well.
        let counts = if settings.tiny { &CONNECTIONS[..1] } else { &CONNECTIONS };
        let sizes = counts.iter().map(|&count| settings.count(count));
        Case::each([Peer::Bluetick, Peer::BluetickPlain, Peer::Mosquitto], sizes)
    }

    /// One takes a minute or two.
    fn runs(&self, _settings: &Settings) -> u16 {
        1
    }

    fn connections(&self, settings: &Settings) -> u32 {
        let [most, ..] = CONNECTIONS;
        settings.count(most)
    }

    fn run(&self, case: Case, settings: &Settings) -> Result<Figures, Error> {
        let mut server = Server::start(case.peer, settings, WINDOW)?;
        drive(&mut server, case, settings).map_err(|error| server.explain(error))
    }

    fn plots(&self) -> &'static [&'static str] {
        &["bytes/connection", "idle CPU ms/s"]
    }
}

fn drive(server: &mut Server, case: Case, settings: &Settings) -> Result<Figures, Error> {
    let crowd = Crowd::gather(server, case.peer, case.size, settings, SOURCES)?;
    let meter = Meter::start(server.process())?;
    // Time itself is what is waited for here.
    std::thread::sleep(Duration::from_millis(settings.exactly(QUIET_MS).into()));
    let spent = meter.read()?;
    let figures = Figures::new()
        .with("bytes/connection", crowd.bytes_each())
        .with("idle CPU ms/s", spent.server.as_secs_f64() * 1e3 / spent.wall.as_secs_f64())
        .with("connects/s", f64::from(case.size) / crowd.connecting.as_secs_f64())
        .with("all connected after ms", crowd.connecting.as_secs_f64() * 1e3);
    crowd.fleet.close()?;
    Ok(figures)
}
