//! What came out: a file of results with every run in it, and tables and plots made of that file alone.

mod page;
mod plot;
mod scaling;
mod table;
mod targets;

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use serde::{Deserialize, Serialize};

pub use page::{write_page, write_plots};
pub(crate) use table::{align, number, put};

use crate::error::Error;
use crate::figures::Figures;
use crate::measure::machine::Machine;
use crate::measure::stats::Spread;
use crate::peers::Peer;
use crate::settings::Told;
use crate::workloads::Case;

/// Measured workloads, each at most once, in the order of [`crate::workloads::ALL`].
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Report {
    /// All of them.
    pub workloads: Vec<Measured>,
}

/// One workload as it was measured.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Measured {
    /// Its name.
    pub workload: String,
    /// Where and when.
    pub machine: Machine,
    /// With which settings.
    pub settings: Told,
    /// How long all of its runs took.
    #[serde(default)]
    pub seconds: f64,
    /// What it compares.
    pub cases: Vec<Runs>,
    /// What it would have compared as well.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub absent: Vec<Absent>,
}

/// A server that could not be had.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Absent {
    /// Which one.
    pub peer: Peer,
    /// Why, and how to get it.
    pub why: String,
}

/// The runs of one case.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Runs {
    /// Which server, and how much of what the workload compares.
    #[serde(flatten)]
    pub case: Case,
    /// In the order they were run.
    pub runs: Vec<Figures>,
}

impl Runs {
    /// The spread of a figure over the runs that have it.
    pub fn spread(&self, figure: &str) -> Option<Spread> {
        Spread::of(self.runs.iter().filter_map(|run| run.get(figure)))
    }

    /// Its median.
    pub fn median(&self, figure: &str) -> Option<f64> {
        self.spread(figure).map(|spread| spread.median)
    }
}

impl Measured {
    /// Its table as text, with where and when.
    pub fn text(&self) -> String {
        table::head(self) + &table::table(self) + "\n"
    }

    /// The names of all figures, in order.
    pub fn figures(&self) -> Vec<&str> {
        let mut names = Vec::new();
        for name in self.cases.iter().flat_map(|runs| &runs.runs).flat_map(Figures::names) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    /// What the figures of `case` are held against: mosquitto at the same size, at any size if it has but one, else the last case.
    pub fn reference(&self, case: Case) -> Option<&Runs> {
        let mosquitto = |runs: &&Runs| runs.case.peer == Peer::Mosquitto;
        let same_size = |runs: &&Runs| mosquitto(runs) && runs.case.size == case.size;
        let against = match self.cases.iter().find(same_size) {
            Some(runs) => Some(runs),
            None if self.cases.iter().any(|runs| mosquitto(&runs)) => None,
            None => self.cases.last(),
        };
        against.filter(|runs| runs.case != case)
    }
}

impl Report {
    /// Takes what was measured, in place of what is here of that workload.
    pub fn put(&mut self, measured: Measured) {
        let place =
            |name: &str| crate::workloads::ALL.iter().position(|workload| workload.name() == name);
        self.workloads.retain(|old| old.workload != measured.workload);
        self.workloads.push(measured);
        self.workloads.sort_by_key(|measured| place(&measured.workload));
    }

    /// What was measured of this workload.
    pub fn measured(&self, workload: &str) -> Option<&Measured> {
        self.workloads.iter().find(|measured| measured.workload == workload)
    }

    /// Reads a file of results; an empty report if there is none.
    ///
    /// # Errors
    /// [`Error::Io`], or [`Error::Setting`] if it is not one.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text = match fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(Error::io(format!("read {}", path.display()))(error)),
        };
        serde_json::from_slice(&text).map_err(|error| {
            Error::Setting(format!("{} is no file of results: {error}", path.display()))
        })
    }

    /// Writes a file of results.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn write(&self, path: &Path) -> Result<(), Error> {
        let text = serde_json::to_string_pretty(self).expect("a report is plain data");
        fs::write(path, text + "\n").map_err(Error::io(format!("write {}", path.display())))
    }

    /// All tables as text.
    pub fn tables(&self) -> String {
        self.workloads.iter().map(Measured::text).collect()
    }

    /// What is aimed at with these workloads, beside what was measured, as a table.
    pub fn targets(&self) -> String {
        targets::table_of_measured(self)
    }
}
