//! `cores`: `50x50` with the server bound to some of the machine's cores, and the generator to the others.
//!
//! Where the server has all of them, the generator has all as well.

use std::process::Command;

use crate::error::Error;
use crate::figures::Figures;
use crate::measure::machine::Machine;
use crate::peers::Peer;
use crate::peers::server::Server;
use crate::settings::{Settings, WINDOW};
use crate::workloads::pairs::{self, Shape};
use crate::workloads::{Case, Workload};

/// Senders, and receivers.
const PAIRS: u32 = 50;

/// A server on few and on many cores.
pub(crate) struct Cores;

impl Workload for Cores {
    fn name(&self) -> &'static str {
        "cores"
    }

    fn about(&self) -> &'static str {
        "fifty pairs, QoS 1, window 100 each, with the server bound to 1, 2, 4... cores"
    }

    fn cases(&self, _settings: &Settings) -> Vec<Case> {
        let cores = u32::try_from(Machine::cores()).unwrap_or(1);
        let sizes: Vec<_> = std::iter::successors(Some(1), |cores| Some(cores * 2))
            .take_while(|&it| it <= cores)
            .collect();
        Case::each([Peer::Bluetick, Peer::Mosquitto], sizes)
    }

    fn run(&self, case: Case, settings: &Settings) -> Result<Figures, Error> {
        let all = Machine::cores() as u32;
        // The server is on the cores of who starts it.
        let mut bound = Bound::to(0, case.size)?;
        let server = Server::start(case.peer, settings, WINDOW)?;
        bound.rebind(if case.size < all { case.size } else { 0 }, all)?;
        let shape = Shape::pairs(PAIRS, settings);
        pairs::drive(&server, self.name(), &shape, case.peer, settings)
            .map_err(|error| server.explain(error))
    }

    fn plots(&self) -> &'static [&'static str] {
        &["messages/s"]
    }
}

/// This process on some cores; on all of the machine's when dropped.
struct Bound;

impl Bound {
    /// On the cores from `first` to `end` - 1.
    fn to(first: u32, end: u32) -> Result<Self, Error> {
        bind(first, end).map(|()| Self)
    }

    fn rebind(&mut self, first: u32, end: u32) -> Result<(), Error> {
        bind(first, end)
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        // What has worked before works again; if not, figures tell how busy the generator is.
        let _unbound = bind(0, Machine::cores() as u32);
    }
}

fn bind(first: u32, end: u32) -> Result<(), Error> {
    let (cores, process) = (format!("{first}-{}", end - 1), std::process::id().to_string());
    let mut command = Command::new("taskset");
    command.args(["--all-tasks", "--cpu-list", "--pid", &cores, &process]);
    let output = command.output().map_err(Error::io("run taskset (package util-linux)"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Error::Setting(format!("taskset does not bind to cores {cores}: {said}")))
}
