//! `payloads`: ten pairs at QoS 1 with a full window, by the length of a message's body.

use crate::error::Error;
use crate::figures::Figures;
use crate::peers::Peer;
use crate::peers::server::Server;
use crate::settings::{Count, Settings, WINDOW};
use crate::workloads::pairs::{self, Shape};
use crate::workloads::{Case, Workload};

/// Bytes of a body.
const BYTES: [u32; 4] = [20, 100, 1_024, 65_536];
/// Senders, and receivers.
const PAIRS: u32 = 10;
/// Bodies of a run, in bytes: what limits it where they are long.
const BODIES: Count = Count { full: 1_000_000_000, tiny: 13_107_200 };

/// Short and long bodies.
pub(crate) struct Payloads;

impl Workload for Payloads {
    fn name(&self) -> &'static str {
        "payloads"
    }

    fn about(&self) -> &'static str {
        "ten pairs, QoS 1, window 100 each, with bodies of 20 bytes to 64 KiB"
    }

    fn cases(&self, _settings: &Settings) -> Vec<Case> {
        Case::each([Peer::Bluetick, Peer::Mosquitto], BYTES)
    }

    /// There are many cases.
    fn runs(&self, settings: &Settings) -> u16 {
        settings.runs.min(2)
    }

    fn run(&self, case: Case, settings: &Settings) -> Result<Figures, Error> {
        let server = Server::start(case.peer, settings, WINDOW)?;
        let shape = Shape::pairs(PAIRS, settings);
        let messages = shape.messages.min(settings.count(BODIES) / case.size);
        let shape = Shape { body_bytes: case.size as usize, messages, ..shape };
        let figures = pairs::drive(&server, self.name(), &shape, case.peer, settings)
            .map_err(|error| server.explain(error))?;
        let rate = figures.get("messages/s").unwrap_or(0.0);
        Ok(figures.with("MB/s", rate * f64::from(case.size) / 1e6))
    }

    fn plots(&self) -> &'static [&'static str] {
        &["messages/s", "MB/s", "server CPU us/msg"]
    }
}
