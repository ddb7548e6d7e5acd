//! The kinds of load, one module each: what is compared, what is done, what is measured.
//!
//! A new one is a module, a [`Workload`] and a line in [`ALL`]; command line, turns, tables, plots and JSON come of that.

mod catch_up;
mod chats_list;
mod connections;
mod cores;
mod dialects;
mod fan_out;
mod handshakes;
mod history;
mod hostile;
mod idle;
mod latency;
mod million;
mod offline;
mod pairs;
mod payloads;
mod reconnect_storm;
mod resend_storm;
mod stored;
mod window1;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::figures::Figures;
use crate::peers::Peer;
use crate::report::Measured;
use crate::settings::Settings;

/// Chats of a user where many users have some.
pub(crate) const CHATS_EACH: usize = 20;

/// A kind of load.
pub trait Workload: Sync {
    /// The name on the command line and in reports.
    fn name(&self) -> &'static str;

    /// What is measured, in one line.
    fn about(&self) -> &'static str;

    /// What is compared, in the order of the turns.
    fn cases(&self, settings: &Settings) -> Vec<Case>;

    /// How often each case is run.
    fn runs(&self, settings: &Settings) -> u16 {
        settings.runs
    }

    /// Connections that are open at once: what the machine has to allow.
    fn connections(&self, _settings: &Settings) -> u32 {
        100
    }

    /// Runs one case once, against a fresh server.
    ///
    /// # Errors
    /// Whatever the server does wrong or too late.
    fn run(&self, case: Case, settings: &Settings) -> Result<Figures, Error>;

    /// Figures that are drawn: against the size where there are several, else side by side.
    fn plots(&self) -> &'static [&'static str] {
        &[]
    }

    /// Its table, if the common one does not show it well.
    fn table(&self, measured: &Measured) -> Option<String> {
        let _common = measured;
        None
    }
}

/// All of them, in the order in which they are run and printed.
pub const ALL: &[&dyn Workload] = &[
    &pairs::ONE_PAIR,
    &pairs::FIFTY_PAIRS,
    &pairs::ONE_PAIR_QOS0,
    &pairs::FIFTY_PAIRS_QOS0,
    &pairs::ONE_PAIR_QOS2,
    &pairs::FIFTY_PAIRS_QOS2,
    &pairs::THOUSAND_PAIRS,
    &pairs::FAN_IN,
    &pairs::FAN_IN_QOS0,
    &pairs::FAN_IN_QOS2,
    &payloads::Payloads,
    &cores::Cores,
    &window1::Window1,
    &latency::Latency,
    &idle::Idle,
    &connections::Connections,
    &reconnect_storm::ReconnectStorm,
    &fan_out::FanOut,
    &offline::Offline,
    &catch_up::DIRECT,
    &catch_up::GROUP,
    &resend_storm::ResendStorm,
    &chats_list::ChatsList,
    &history::History,
    &million::AMillionChats,
    &stored::Stored,
    &dialects::Dialects,
    &handshakes::Handshakes,
    &hostile::Hostile,
];

/// The workload of this name.
pub fn by_name(name: &str) -> Option<&'static dyn Workload> {
    ALL.iter().copied().find(|workload| workload.name() == name)
}

/// One of the things that a workload compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Case {
    /// Which server.
    pub peer: Peer,
    /// How many (members, chats, bytes, messages a second), where the workload compares many with few; else 0.
    pub size: u32,
}

impl Case {
    /// A case of a workload that has only one size.
    pub const fn of(peer: Peer) -> Self {
        Self { peer, size: 0 }
    }

    /// bluetick with each of these sizes.
    pub fn sizes(sizes: impl IntoIterator<Item = u32>) -> Vec<Self> {
        sizes.into_iter().map(|size| Self { peer: Peer::Bluetick, size }).collect()
    }

    /// Each of these servers with each of these sizes.
    pub fn each<P, S>(peers: P, sizes: S) -> Vec<Self>
    where
        P: IntoIterator<Item = Peer>,
        S: IntoIterator<Item = u32, IntoIter: Clone>,
    {
        let sizes = sizes.into_iter();
        let cases = |peer| sizes.clone().map(move |size| Self { peer, size });
        peers.into_iter().flat_map(cases).collect()
    }

    /// The heading of its figures.
    pub fn name(self) -> String {
        match self.size {
            0 => self.peer.name().to_owned(),
            size => format!("{} {size}", self.peer.name()),
        }
    }
}
