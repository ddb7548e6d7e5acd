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
#[serde(rename_all = "kebab-case")]
pub enum Workload {
    /// One sender, one receiver, window 100.
    #[value(name = "1x1")]
    #[serde(rename = "1x1")]
    OnePair,
    /// Fifty of each, window 100.
    #[value(name = "50x50")]
    #[serde(rename = "50x50")]
    FiftyPairs,
    /// One sender, one receiver, QoS 0, 100 on their way: plain topics.
    #[value(name = "1x1-qos0")]
    #[serde(rename = "1x1-qos0")]
    OnePairQos0,
    /// Fifty of each, likewise.
    #[value(name = "50x50-qos0")]
    #[serde(rename = "50x50-qos0")]
    FiftyPairsQos0,
    /// One sender with one message in flight: the latency of a PUBACK.
    Window1,
    /// Many connections with 20 chats each and nothing to say: memory.
    Idle,
    /// A group whose members are all there: what each delivery costs.
    FanOut,
    /// The same group with nobody there: what each message costs.
    Offline,
    /// A user with many chats asks for them, page by page.
    ChatsList,
    /// The first message in one of very many chats.
    AMillionChats,
    /// Bytes on the wire of one message, in each dialect.
    Dialects,
    /// Connections that are let in and leave, over TCP and TLS.
    Handshakes,
    /// What strangers and clients that mean harm cost, and whether others notice.
    Hostile,
}

impl Workload {
    /// The name on the command line and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Workload::OnePair => "1x1",
            Workload::FiftyPairs => "50x50",
            Workload::OnePairQos0 => "1x1-qos0",
            Workload::FiftyPairsQos0 => "50x50-qos0",
            Workload::Window1 => "window1",
            Workload::Idle => "idle",
            Workload::FanOut => "fan-out",
            Workload::Offline => "offline",
            Workload::ChatsList => "chats-list",
            Workload::AMillionChats => "a-million-chats",
            Workload::Dialects => "dialects",
            Workload::Handshakes => "handshakes",
            Workload::Hostile => "hostile",
        }
    }

    /// Pairs of sender and receiver.
    pub fn pairs(self) -> usize {
        match self {
            Workload::FiftyPairs | Workload::FiftyPairsQos0 => 50,
            _ => 1,
        }
    }

    /// Whether messages are published at QoS 0; else at QoS 1.
    pub fn is_qos0(self) -> bool {
        matches!(self, Workload::OnePairQos0 | Workload::FiftyPairsQos0)
    }

    /// What a sender may leave unacknowledged or, at QoS 0, not yet received.
    pub fn window(self) -> u16 {
        match self {
            Workload::Window1 => 1,
            Workload::Idle | Workload::Handshakes => 10,
            _ => WINDOW,
        }
    }
}

/// A full window: as many unacknowledged messages as bluetick takes of a client.
pub const WINDOW: u16 = 100;

/// Members of the small group of `fan-out`.
const FEW_ONLINE: u32 = 50;
/// Members of the small group of `offline`.
const FEW_OFFLINE: u32 = 10;
/// Chats of the user of `chats-list` who has few.
const FEW_LISTED: u32 = 10;
/// Chats of the small data directory of `a-million-chats`.
const FEW_STORED: u32 = 1_000;

/// Chats that each user of the `idle` workload has.
pub const CHATS_PER_IDLER: usize = 20;

/// One of the things that a workload compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Case {
    /// Which server.
    pub peer: Peer,
    /// How many members or chats, where the workload compares many with few; else 0.
    pub size: u32,
}

impl Case {
    /// The heading of its figures.
    pub fn name(self) -> String {
        match self.size {
            0 => self.peer.name().to_owned(),
            size => format!("{} {size}", self.peer.name()),
        }
    }
}

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

    /// Members of the large group of fan-out and offline, beside its sender.
    #[arg(long, default_value_t = 1_000, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=1_023))]
    pub members: u32,

    /// Deliveries of a run of fan-out with a full window, and of one message at a time a twentieth.
    #[arg(long, default_value_t = 1_000_000, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    pub deliveries: u64,

    /// Chats of the user of chats-list.
    #[arg(long, default_value_t = 1_000, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=10_000))]
    pub listed: u32,

    /// Pages that a run of chats-list asks for.
    #[arg(long, default_value_t = 200, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub pages: u32,

    /// Chats of the large data directory of a-million-chats.
    #[arg(long, default_value_t = 1_000_000, value_name = "N", value_parser = clap::value_parser!(u32).range(40..=100_000_000))]
    pub stored: u32,

    /// Chats in which a run of a-million-chats sends.
    #[arg(long, default_value_t = 200, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub probes: u32,

    /// Messages to which dialects fills a chat at most.
    #[arg(long, default_value_t = 100_000, value_name = "N", value_parser = clap::value_parser!(u32).range(7..=10_000_000))]
    pub seq_max: u32,

    /// Of what hostile does, so many thousandths: 1000 is thousands of connections and a million topics.
    #[arg(long, default_value_t = 1_000, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub hostility: u32,

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
            self.members = 6;
            self.deliveries = 240;
            self.listed = 60;
            self.pages = 4;
            self.stored = 200;
            self.probes = 5;
            self.seq_max = 40;
            self.hostility = 1;
        }
        let needs = [
            (Workload::Idle, self.connections, "--connections"),
            (Workload::FanOut, self.members, "--members"),
            (Workload::ChatsList, self.listed, "--listed"),
            (Workload::AMillionChats, self.senders(self.stored), "--stored"),
            (Workload::Hostile, self.hostile(6_000), "--hostility"),
        ];
        for (workload, connections, flag) in needs {
            let files = connections as usize + 200;
            if self.workloads().contains(&workload)
                && open_files_max().is_some_and(|most| most < files)
            {
                return Err(Error::Setting(format!(
                    "{} needs {files} open files: `ulimit -n {files}`, or a smaller {flag}",
                    workload.name()
                )));
            }
        }
        Ok(self)
    }

    /// So many thousandths of `count` as `--hostility` says, a few at least.
    pub fn hostile(&self, count: u32) -> u32 {
        let scaled = u64::from(count) * u64::from(self.hostility) / 1000;
        u32::try_from(scaled).unwrap_or(u32::MAX).max(4)
    }

    /// Users who each begin an equal share of `stored` chats: of twenty each where that is enough for few, and
    /// never more than a thousand.
    pub fn senders(&self, stored: u32) -> u32 {
        (stored / CHATS_PER_IDLER as u32).clamp(CHATS_PER_IDLER as u32, 1_000)
    }

    /// What `workload` is run with, in the order of the turns: which server, and how many members or chats where
    /// it compares many with few.
    pub fn cases(&self, workload: Workload) -> Vec<Case> {
        let two_sizes = |many: u32, few: u32| {
            [many, few.min(many / 2)].map(|size| Case { peer: Peer::Bluetick, size })
        };
        let bluetick = Case { peer: Peer::Bluetick, size: 0 };
        let plain = Case { peer: Peer::BluetickPlain, size: 0 };
        let mosquitto = Case { peer: Peer::Mosquitto, size: 0 };
        let mut cases: Vec<Case> = match workload {
            Workload::OnePair | Workload::FiftyPairs => vec![bluetick, plain, mosquitto],
            Workload::OnePairQos0 | Workload::FiftyPairsQos0 => {
                let nodelay = Case { peer: Peer::MosquittoNodelay, size: 0 };
                vec![plain, mosquitto, nodelay]
            }
            Workload::Idle => vec![bluetick, plain, mosquitto],
            Workload::Window1 | Workload::Handshakes => vec![bluetick, mosquitto],
            Workload::FanOut => {
                let [many, few] = two_sizes(self.members, FEW_ONLINE);
                vec![many, few, Case { size: self.members, ..mosquitto }]
            }
            Workload::Offline => two_sizes(self.members, FEW_OFFLINE).into(),
            Workload::ChatsList => two_sizes(self.listed, FEW_LISTED).into(),
            Workload::AMillionChats => two_sizes(self.stored, FEW_STORED).into(),
            Workload::Dialects | Workload::Hostile => vec![bluetick],
        };
        cases.retain(|case| match case.peer {
            Peer::Bluetick | Peer::BluetickPlain => !self.no_bluetick,
            Peer::Mosquitto | Peer::MosquittoNodelay => !self.no_mosquitto,
        });
        cases
    }

    /// How often each case of `workload` is run.
    pub fn runs(&self, workload: Workload) -> u16 {
        match workload {
            // Two minutes a run, and a count that is the same each time.
            Workload::AMillionChats | Workload::Dialects | Workload::Hostile => 1,
            _ => self.runs,
        }
    }

    /// The workloads to run, in order.
    pub fn workloads(&self) -> Vec<Workload> {
        let all = Workload::value_variants().iter().copied();
        all.filter(|workload| self.only.is_empty() || self.only.contains(workload)).collect()
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
