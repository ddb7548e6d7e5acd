//! What a bench run does: the command line, checked.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use clap::builder::PossibleValuesParser;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::generator::wire::Version;
use crate::measure::process::open_files_max;
use crate::peers::Peer;
use crate::workloads::{self, Workload};

/// A full window: as many unacknowledged messages as bluetick takes of a client.
pub const WINDOW: u16 = 100;

/// Files that the generator and a server have open beside the connections of a workload.
const OTHER_FILES: u32 = 200;

/// How many of something a workload wants.
#[derive(Debug, Clone, Copy)]
pub struct Count {
    /// Where figures are to mean something.
    pub full: u32,
    /// Where only to see that it works; never fewer.
    pub tiny: u32,
}

/// Runs the same work against bluetick and other servers on loopback and prints what it costs.
///
/// Build both with --release: `cargo build --release -p bluetick -p bluetick-benches`.
#[derive(Debug, Clone, Parser)]
#[command(name = "bench")]
pub struct Settings {
    /// Only these workloads.
    #[arg(long, num_args = 1.., value_name = "NAME", hide_possible_values = true,
          value_parser = PossibleValuesParser::new(workloads::ALL.iter().map(|workload| workload.name())))]
    pub only: Vec<String>,

    /// Only these servers [default: all that can be had].
    #[arg(long, value_enum, num_args = 1.., value_delimiter = ',', value_name = "NAME")]
    pub peers: Vec<Peer>,

    /// Say which workloads there are, and end.
    #[arg(long)]
    pub list: bool,

    /// A few hundred messages of each, once: to see that everything works, not to measure.
    #[arg(long)]
    pub tiny: bool,

    /// How often each workload runs against each server, in turns.
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=100))]
    pub runs: u16,

    /// Thousandths of the full measure of messages, members, chats, connections.
    #[arg(long, default_value_t = 1_000, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub scale: u32,

    /// Seconds after which a run stops sending, whatever is left.
    #[arg(long, default_value_t = 4, value_name = "S", value_parser = clap::value_parser!(u16).range(1..=600))]
    pub seconds: u16,

    /// Send to bluetick without a message id.
    #[arg(long)]
    pub no_id: bool,

    /// Speak MQTT 5 rather than 3.1.1.
    #[arg(long)]
    pub mqtt5: bool,

    /// A file of results, as JSON with every run: workloads that were run now take the place of what it has of them.
    #[arg(long, value_name = "FILE")]
    pub results: Option<PathBuf>,

    /// A page (or several, each with its --page) with `<!-- bench: NAME -->` before and `<!-- /bench -->` behind each
    /// table: writes the tables anew, and plots (SVG) beside --results.
    #[arg(long, value_name = "FILE", requires = "results")]
    pub page: Vec<PathBuf>,

    /// Measure nothing: only read --results, print, and write --page.
    #[arg(long, requires = "results", conflicts_with_all = ["only", "tiny"])]
    pub show: bool,

    /// The bluetick binary [default: the one beside this binary].
    #[arg(long, value_name = "PATH")]
    pub bluetick: Option<PathBuf>,

    /// Where data directories are made and fdatasync is measured: on a real disk [default: beside this binary].
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

/// The settings that a figure depends on, as they stand beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// Only to see that it works.
    pub tiny: bool,
    /// Thousandths of the full measure.
    pub scale: u32,
    /// Seconds of sending.
    pub seconds: u16,
    /// Whether messages to bluetick had ids.
    pub with_id: bool,
    /// MQTT 5, or 3.1.1.
    pub mqtt5: bool,
}

impl Settings {
    /// Fills in what `--tiny` means and checks what the machine must give.
    ///
    /// # Errors
    /// [`Error::Setting`], with what to change.
    pub fn check(mut self) -> Result<Self, Error> {
        if self.tiny {
            self.runs = 1;
        }
        for workload in self.workloads() {
            let files = (workload.connections(&self) + OTHER_FILES) as usize;
            if open_files_max().is_some_and(|most| most < files) {
                return Err(Error::Setting(format!(
                    "{} needs {files} open files: `ulimit -n {files}`, or a smaller --scale",
                    workload.name()
                )));
            }
        }
        Ok(self)
    }

    /// How many, in the measure of the settings.
    pub fn count(&self, count: Count) -> u32 {
        if self.tiny {
            return count.tiny;
        }
        let scaled = u64::from(count.full) * u64::from(self.scale) / 1000;
        u32::try_from(scaled).unwrap_or(u32::MAX).max(count.tiny)
    }

    /// How many where the name of the workload says so: whatever the measure is.
    pub fn exactly(&self, count: Count) -> u32 {
        if self.tiny { count.tiny } else { count.full }
    }

    /// The workloads to run, in order.
    pub fn workloads(&self) -> Vec<&'static dyn Workload> {
        let wanted = |name| self.only.is_empty() || self.only.iter().any(|only| only == name);
        workloads::ALL.iter().copied().filter(|workload| wanted(workload.name())).collect()
    }

    /// Whether this server is to be run, if it can be had.
    pub fn wants(&self, peer: Peer) -> bool {
        self.peers.is_empty() || self.peers.contains(&peer)
    }

    /// Whether it was asked for by its name: then it is an error if it cannot be had.
    pub fn names(&self, peer: Peer) -> bool {
        self.peers.contains(&peer)
    }

    /// Which MQTT to speak.
    pub fn version(&self) -> Version {
        if self.mqtt5 { Version::V5 } else { Version::V311 }
    }

    /// How long a run may send.
    pub fn time(&self) -> Duration {
        Duration::from_secs(u64::from(self.seconds))
    }

    /// What stands beside the figures.
    pub fn told(&self) -> Told {
        Told {
            tiny: self.tiny,
            scale: self.scale,
            seconds: self.seconds,
            with_id: !self.no_id,
            mqtt5: self.mqtt5,
        }
    }

    /// The bluetick binary.
    ///
    /// # Errors
    /// [`Error::Io`] if this binary does not know where it lies.
    pub fn bluetick(&self) -> Result<PathBuf, Error> {
        match &self.bluetick {
            Some(path) => Ok(path.clone()),
            None => Ok(beside()?.join("bluetick")),
        }
    }

    /// A program that lies beside this one, if it was built.
    pub fn built_beside(&self, name: &str) -> Option<PathBuf> {
        let path = beside().ok()?.join(name);
        path.is_file().then_some(path)
    }

    /// Where data directories are made.
    ///
    /// # Errors
    /// [`Error::Io`] if this binary does not know where it lies.
    pub fn dir(&self) -> Result<PathBuf, Error> {
        self.dir.clone().map_or_else(beside, Ok)
    }
}

fn beside() -> Result<PathBuf, Error> {
    let mut path = std::env::current_exe().map_err(Error::io("find this binary"))?;
    path.pop();
    Ok(path)
}
