//! What a bench run does: the command line, checked.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use serde::Serialize;

use crate::error::Error;
use crate::peer::Peer;
use crate::process::open_files_max;
use crate::wire::Version;

/// A kind of load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Workload {
    /// One sender, one receiver, window 100.
    #[value(name = "1x1")]
    #[serde(rename = "1x1")]
    OnePair,
    /// Fifty of each, window 100.
    #[value(name = "50x50")]
    #[serde(rename = "50x50")]
    FiftyPairs,
    /// One sender with one message in flight: the latency of a PUBACK.
    Window1,
    /// Many connections with 20 chats each and nothing to say: memory.
    Idle,
    /// Connections that are let in and leave, over TCP and TLS.
    Handshakes,
}

impl Workload {
    /// The name on the command line and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Workload::OnePair => "1x1",
            Workload::FiftyPairs => "50x50",
            Workload::Window1 => "window1",
            Workload::Idle => "idle",
            Workload::Handshakes => "handshakes",
        }
    }

    /// Pairs of sender and receiver.
    pub fn pairs(self) -> usize {
        if self == Workload::FiftyPairs { 50 } else { 1 }
    }

    /// What a sender may leave unacknowledged.
    pub fn window(self) -> u16 {
        match self {
            Workload::OnePair | Workload::FiftyPairs => 100,
            Workload::Window1 => 1,
            Workload::Idle | Workload::Handshakes => 10,
        }
    }
}

/// Chats that each user of the `idle` workload has.
pub const CHATS_PER_IDLER: usize = 20;

/// Runs the same work against bluetick and mosquitto on loopback and prints what it costs.
///
/// Build both with --release: `cargo build --release -p bluetick -p bluetick-benches`.
#[derive(Debug, Clone, Parser, Serialize)]
#[command(name = "bench")]
pub struct Settings {
    /// Only these workloads.
    #[arg(long, value_enum, num_args = 1.., value_name = "NAME")]
    pub only: Vec<Workload>,

    /// A few hundred messages of each, once: to see that everything works, not to measure.
    #[arg(long)]
    pub tiny: bool,

    /// How often each workload runs against each server, in turns.
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=100))]
    pub runs: u16,

    /// Messages of a run of 1x1 and 50x50, over all pairs.
    #[arg(long, default_value_t = 200_000, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    pub messages: u64,

    /// Seconds after which a run stops sending, whatever is left.
    #[arg(long, default_value_t = 8, value_name = "S", value_parser = clap::value_parser!(u16).range(1..=600))]
    pub seconds: u16,

    /// Messages of a run of window1.
    #[arg(long, default_value_t = 5_000, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub latencies: u64,

    /// Writes with fdatasync, over all runs of window1.
    #[arg(long, default_value_t = 2_000, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub syncs: u32,

    /// Connections of the workloads idle and handshakes.
    #[arg(long, default_value_t = 2_000, value_name = "N", value_parser = clap::value_parser!(u32).range(21..=100_000))]
    pub connections: u32,

    /// Send to bluetick without a message id.
    #[arg(long)]
    pub no_id: bool,

    /// Speak MQTT 5 rather than 3.1.1.
    #[arg(long)]
    pub mqtt5: bool,

    /// Write everything, every run of it, as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,

    /// The bluetick binary [default: the one beside this binary].
    #[arg(long, value_name = "PATH")]
    #[serde(skip)]
    pub bluetick: Option<PathBuf>,

    /// Leave bluetick out.
    #[arg(long, conflicts_with = "no_mosquitto")]
    pub no_bluetick: bool,

    /// Leave mosquitto out.
    #[arg(long)]
    pub no_mosquitto: bool,

    /// Where data directories are made and fdatasync is measured: on a real disk [default: beside this binary].
    #[arg(long, value_name = "DIR")]
    #[serde(skip)]
    pub dir: Option<PathBuf>,
}

impl Settings {
    /// Fills in what `--tiny` means and checks what the machine must give.
    ///
    /// # Errors
    /// [`Error::Setting`], with what to change.
    pub fn check(mut self) -> Result<Self, Error> {
        if self.tiny {
            self.runs = 1;
            self.messages = 500;
            self.latencies = 100;
            self.syncs = 50;
            self.connections = 24;
        }
        let files = self.connections as usize + 200;
        if self.workloads().contains(&Workload::Idle)
            && open_files_max().is_some_and(|most| most < files)
        {
            return Err(Error::Setting(format!(
                "idle needs {files} open files: `ulimit -n {files}`, or fewer --connections"
            )));
        }
        Ok(self)
    }

    /// The workloads to run, in order.
    pub fn workloads(&self) -> Vec<Workload> {
        let all = Workload::value_variants().iter().copied();
        all.filter(|workload| self.only.is_empty() || self.only.contains(workload)).collect()
    }

    /// The servers to run, in the order of their turns.
    pub fn peers(&self) -> Vec<Peer> {
        let mut peers = Vec::new();
        if !self.no_bluetick {
            peers.push(Peer::Bluetick);
        }
        if !self.no_mosquitto {
            peers.push(Peer::Mosquitto);
        }
        peers
    }

    /// Which MQTT to speak.
    pub fn version(&self) -> Version {
        if self.mqtt5 { Version::V5 } else { Version::V311 }
    }

    /// How long a run may send.
    pub fn time(&self) -> Duration {
        Duration::from_secs(u64::from(self.seconds))
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
