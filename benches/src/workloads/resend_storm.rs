//! `resend-storm`: fifty pairs send, and then all of it once more with the same ids, as clients do who are not sure.
//!
//! Each message is acknowledged again, and none is delivered again: that is checked.

use crate::error::Error;
use crate::figures::Figures;
use crate::generator::quiet::wait_until_quiet;
use crate::peers::Peer;
use crate::peers::server::Server;
use crate::settings::{Count, Settings, WINDOW};
use crate::workloads::pairs::{Ledger, Shape};
use crate::workloads::{Case, Workload};

/// Senders, and receivers.
const PAIRS: u32 = 50;
/// Messages of a run, each sent twice.
const MESSAGES: Count = Count { full: 50_000, tiny: 500 };

/// Everything twice.
pub(crate) struct ResendStorm;

impl Workload for ResendStorm {
    fn name(&self) -> &'static str {
        "resend-storm"
    }

    fn about(&self) -> &'static str {
        "fifty pairs send everything, and then all of it again with the same ids"
    }

    fn cases(&self, _settings: &Settings) -> Vec<Case> {
        vec![Case::of(Peer::Bluetick)]
    }

    fn run(&self, case: Case, settings: &Settings) -> Result<Figures, Error> {
        let server = Server::start(case.peer, settings, WINDOW)?;
        drive(&server, settings).map_err(|error| server.explain(error))
    }

    fn plots(&self) -> &'static [&'static str] {
        &["messages/s", "resends/s"]
    }
}

fn drive(server: &Server, settings: &Settings) -> Result<Figures, Error> {
    let what = "resend-storm";
    let messages = settings.count(MESSAGES);
    let shape = Shape { messages, ..Shape::pairs(PAIRS, settings) };
    // Without ids there is nothing to be sure of.
    let settings = &Settings { no_id: false, ..settings.clone() };
    let mut fleet = shape.connect(server, Peer::Bluetick, settings, what)?;
    let mut ledger = Ledger::new(&shape, Peer::Bluetick, settings);
    ledger.remember_ids();
    let (wall, spent) = ledger.run(&mut fleet, server, settings.time(), what)?;
    let messages = ledger.received as f64;
    let figures = Figures::new()
        .with("messages/s", messages / wall.as_secs_f64())
        .with("server CPU us/msg", spent.server_us(messages));
    ledger.repeat();
    let (wall, spent) = ledger.run(&mut fleet, server, settings.time(), what)?;
    let doubled = wait_until_quiet(server.process(), Some(&mut fleet), what)?;
    if doubled > 0 {
        return Err(Error::Wrong(format!("{doubled} messages were delivered twice")));
    }
    fleet.close()?;
    let figures = figures.with("resends/s", messages / wall.as_secs_f64());
    Ok(spent.put(figures, "resend", messages).with("messages", messages))
}
