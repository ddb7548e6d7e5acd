//! Runs the workloads, each against each server in turns.

use std::time::Duration;

use crate::disk::sync_times;
use crate::error::Error;
use crate::handshakes::run_handshakes;
use crate::idle::run_idle;
use crate::machine::Machine;
use crate::pairs::run_pairs;
use crate::peer::Peer;
use crate::report::{Report, Runs};
use crate::settings::{Settings, Workload};
use crate::stats::Latency;
use crate::window1::run_window1;

/// Runs everything that `settings` asks for; `progress` is told what comes next.
///
/// Servers take turns (A B A B), so that a machine that becomes slower is slower for both.
///
/// # Errors
/// The first failure ends the run.
pub fn run(settings: Settings, mut progress: impl FnMut(&str)) -> Result<Report, Error> {
    let mut report = Report {
        machine: Machine::here(),
        fdatasync: None,
        pairs: Vec::new(),
        window1: Vec::new(),
        idle: Vec::new(),
        handshakes: Vec::new(),
        settings,
    };
    let settings = &report.settings;
    for workload in settings.workloads() {
        match workload {
            Workload::OnePair | Workload::FiftyPairs => {
                report.pairs.extend(in_turns(settings, workload, &mut progress, |peer, _| {
                    run_pairs(workload, peer, settings)
                })?);
            }
            Workload::Window1 => {
                let mut syncs = Vec::new();
                report.window1 = in_turns(settings, workload, &mut progress, |peer, turn| {
                    syncs.extend(sync_part(settings, turn)?);
                    Latency::of(run_window1(peer, settings)?)
                        .ok_or_else(|| Error::Wrong("no latency was measured".into()))
                })?;
                report.fdatasync = Latency::of(syncs);
            }
            Workload::Idle => {
                report.idle = in_turns(settings, workload, &mut progress, |peer, _| {
                    run_idle(peer, settings)
                })?;
            }
            Workload::Handshakes => {
                report.handshakes = in_turns(settings, workload, &mut progress, |peer, _| {
                    run_handshakes(peer, settings)
                })?;
            }
        }
    }
    Ok(report)
}

/// Runs `work` with each server, `settings.runs` times in turns; it is told the number of the turn.
fn in_turns<T>(
    settings: &Settings,
    workload: Workload,
    progress: &mut impl FnMut(&str),
    mut work: impl FnMut(Peer, u32) -> Result<T, Error>,
) -> Result<Vec<Runs<T>>, Error> {
    let mut all: Vec<_> = settings
        .peers()
        .into_iter()
        .map(|peer| Runs { workload, peer, runs: Vec::new() })
        .collect();
    let mut turn = 0;
    for number in 1..=settings.runs {
        for runs in &mut all {
            let next =
                format!("{} {number}/{} {}", workload.name(), settings.runs, runs.peer.name());
            progress(&next);
            let figures = work(runs.peer, turn).map_err(Error::during(next))?;
            runs.runs.push(figures);
            turn += 1;
        }
    }
    Ok(all)
}

/// This turn's share of the synced appends.
fn sync_part(settings: &Settings, turn: u32) -> Result<Vec<Duration>, Error> {
    let turns = u32::from(settings.runs) * settings.peers().len().max(1) as u32;
    let share = settings.syncs / turns + u32::from(turn < settings.syncs % turns);
    sync_times(&settings.dir()?, share)
}
