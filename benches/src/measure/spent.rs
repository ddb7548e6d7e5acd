//! What a part of a run took: time, and CPU time of the server, of the generator, and of everybody else.

use std::time::{Duration, Instant};

use crate::error::Error;
use crate::figures::Figures;
use crate::measure::machine::Machine;
use crate::measure::process::{Process, machine_cpu};

/// Counts from when it was started.
pub(crate) struct Meter {
    server: Process,
    before: Spent,
    start: Instant,
}

impl Meter {
    /// # Errors
    /// [`Error::Io`] if the server is gone.
    pub(crate) fn start(server: Process) -> Result<Self, Error> {
        Ok(Self { server, before: Spent::until_now(server)?, start: Instant::now() })
    }

    /// What was spent since.
    ///
    /// # Errors
    /// [`Error::Io`] if the server is gone.
    pub(crate) fn read(&self) -> Result<Spent, Error> {
        let (wall, now) = (self.start.elapsed(), Spent::until_now(self.server)?);
        Ok(Spent {
            wall,
            server: now.server.saturating_sub(self.before.server),
            generator: now.generator.saturating_sub(self.before.generator),
            machine: now.machine.saturating_sub(self.before.machine),
        })
    }
}

/// Time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spent {
    pub(crate) wall: Duration,
    /// CPU time of the server.
    pub(crate) server: Duration,
    /// CPU time of the generator.
    pub(crate) generator: Duration,
    /// CPU time of all processes.
    machine: Duration,
}

impl Spent {
    fn until_now(server: Process) -> Result<Self, Error> {
        Ok(Self {
            wall: Duration::ZERO,
            server: server.cpu()?,
            generator: Process::own().cpu()?,
            machine: machine_cpu()?,
        })
    }

    /// CPU time of the server for each of so many, in microseconds.
    pub(crate) fn server_us(&self, count: f64) -> f64 {
        self.server.as_secs_f64() * 1e6 / count
    }

    /// Adds what each of `count` took of server and generator, and how busy the generator and everybody else were.
    pub(crate) fn put(&self, figures: Figures, each: &str, count: f64) -> Figures {
        let others = self.machine.saturating_sub(self.server + self.generator).as_secs_f64();
        let (generator, wall) = (self.generator.as_secs_f64(), self.wall.as_secs_f64());
        figures
            .with(format!("server CPU us/{each}"), self.server_us(count))
            .with(format!("generator CPU us/{each}"), generator * 1e6 / count)
            .with("generator CPU %", 100.0 * generator / wall)
            .with("others' CPU %", 100.0 * others / (wall * Machine::cores() as f64))
    }
}
