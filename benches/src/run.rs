//! Runs the workloads, what each compares in turns.

use std::time::Duration;

use crate::chats_list::run_chats_list;
use crate::dialects::run_dialects;
use crate::disk::sync_times;
use crate::error::Error;
use crate::fan_out::run_fan_out;
use crate::handshakes::run_handshakes;
use crate::hostile::run_hostile;
use crate::idle::run_idle;
use crate::machine::Machine;
use crate::million::run_million;
use crate::offline::run_offline;
use crate::pairs::run_pairs;
use crate::report::{Report, Runs};
use crate::settings::{Case, Settings, Workload};
use crate::stats::Latency;
use crate::window1::run_window1;

/// Runs everything that `settings` asks for; `progress` is told what comes next.
///
/// Servers and sizes take turns (A B A B), so that a machine that becomes slower is slower for all.
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
        fan_out: Vec::new(),
        offline: Vec::new(),
        chats_list: Vec::new(),
        million: Vec::new(),
        dialects: Vec::new(),
        handshakes: Vec::new(),
        hostile: Vec::new(),
        settings,
    };
    let settings = &report.settings;
    for workload in settings.workloads() {
        let progress = &mut progress;
        match workload {
            Workload::OnePair
            | Workload::FiftyPairs
            | Workload::OnePairQos0
            | Workload::FiftyPairsQos0 => {
                report.pairs.extend(in_turns(settings, workload, progress, |case, _| {
                    run_pairs(workload, case.peer, settings)
                })?);
            }
            Workload::Window1 => {
                let mut syncs = Vec::new();
                report.window1 = in_turns(settings, workload, progress, |case, turn| {
                    syncs.extend(sync_part(settings, turn)?);
                    Latency::of(run_window1(case.peer, settings)?)
                        .ok_or_else(|| Error::Wrong("no latency was measured".into()))
                })?;
                report.fdatasync = Latency::of(syncs);
            }
            Workload::Idle => {
                report.idle = in_turns(settings, workload, progress, |case, _| {
                    run_idle(case.peer, settings)
                })?;
            }
            Workload::FanOut => {
                report.fan_out = in_turns(settings, workload, progress, |case, _| {
                    run_fan_out(case.peer, case.size, settings)
                })?;
            }
            Workload::Offline => {
                report.offline = in_turns(settings, workload, progress, |case, _| {
                    run_offline(case.size, settings)
                })?;
            }
            Workload::ChatsList => {
                report.chats_list = in_turns(settings, workload, progress, |case, _| {
                    run_chats_list(case.size, settings)
                })?;
            }
            Workload::AMillionChats => {
                report.million = in_turns(settings, workload, progress, |case, _| {
                    run_million(case.size, settings)
                })?;
            }
            Workload::Dialects => {
                report.dialects =
                    in_turns(settings, workload, progress, |_, _| run_dialects(settings))?;
            }
            Workload::Handshakes => {
                report.handshakes = in_turns(settings, workload, progress, |case, _| {
                    run_handshakes(case.peer, settings)
                })?;
            }
            Workload::Hostile => {
                report.hostile =
                    in_turns(settings, workload, progress, |_, _| run_hostile(settings))?;
            }
        }
    }
    Ok(report)
}

/// Runs `work` with each case, as often as the settings say, in turns; it is told the number of the turn.
fn in_turns<T>(
    settings: &Settings,
    workload: Workload,
    progress: &mut impl FnMut(&str),
    mut work: impl FnMut(Case, u32) -> Result<T, Error>,
) -> Result<Vec<Runs<T>>, Error> {
    let mut all: Vec<_> = settings
        .cases(workload)
        .into_iter()
        .map(|case| Runs { workload, case, runs: Vec::new() })
        .collect();
    let mut turn = 0;
    let times = settings.runs(workload);
    for number in 1..=times {
        for runs in &mut all {
            let next = format!("{} {number}/{times} {}", workload.name(), runs.case.name());
            progress(&next);
            let figures = work(runs.case, turn).map_err(Error::during(next))?;
            runs.runs.push(figures);
            turn += 1;
        }
    }
    Ok(all)
}

/// This turn's share of the synced appends.
fn sync_part(settings: &Settings, turn: u32) -> Result<Vec<Duration>, Error> {
    let workload = Workload::Window1;
    let turns = u32::from(settings.runs(workload)) * settings.cases(workload).len().max(1) as u32;
    let share = settings.syncs / turns + u32::from(turn < settings.syncs % turns);
    sync_times(&settings.dir()?, share)
}
