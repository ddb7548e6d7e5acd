//! Runs the workloads, what each compares in turns.

use std::time::Instant;

use crate::error::Error;
use crate::measure::machine::Machine;
use crate::report::{Absent, Measured, Runs};
use crate::settings::Settings;
use crate::workloads::Workload;

/// Runs everything that `settings` asks for; `progress` is told what comes next, and `measured` gets each workload
/// once it is done.
///
/// Servers and sizes take turns (A B A B), so that a machine that becomes slower is slower for all. A workload that
/// bluetick fails is told and left, the others go on; another server that fails is left out of the workload, and its
/// failure stands in the place of its figures.
///
/// # Errors
/// What bluetick failed in, at the end; at once if `measured` fails, or a server is missing that was named.
pub fn run(
    settings: &Settings,
    mut progress: impl FnMut(&str),
    mut measured: impl FnMut(Measured) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut failure = None;
    for workload in settings.workloads() {
        let (cases, absent) = cases(workload, settings, &mut progress)?;
        if cases.is_empty() {
            continue;
        }
        let start = Instant::now();
        match turns(workload, settings, cases, absent, &mut progress) {
            Ok((cases, absent)) => measured(Measured {
                workload: workload.name().to_owned(),
                machine: Machine::here(),
                settings: settings.told(),
                seconds: start.elapsed().as_secs_f64(),
                cases,
                absent,
            })?,
            Err(error) => {
                progress(&format!("failed: {}", error.chain()));
                failure.get_or_insert(error);
            }
        }
    }
    failure.map_or(Ok(()), Err)
}

/// What there is to run of a workload, and which servers are missing.
fn cases(
    workload: &dyn Workload,
    settings: &Settings,
    progress: &mut impl FnMut(&str),
) -> Result<(Vec<Runs>, Vec<Absent>), Error> {
    let wanted = workload.cases(settings).into_iter().filter(|case| settings.wants(case.peer));
    let (mut cases, mut absent) = (Vec::new(), Vec::<Absent>::new());
    for case in wanted {
        match case.peer.missing(settings) {
            None => cases.push(Runs { case, runs: Vec::new() }),
            Some(why) if settings.names(case.peer) => {
                return Err(Error::Setting(format!("{}: {why}", case.peer.name())));
            }
            Some(_) if absent.iter().any(|it| it.peer == case.peer) => {}
            Some(why) => {
                progress(&format!("{} without {}: {why}", workload.name(), case.peer.name()));
                absent.push(Absent { peer: case.peer, why });
            }
        }
    }
    Ok((cases, absent))
}

fn turns(
    workload: &dyn Workload,
    settings: &Settings,
    mut cases: Vec<Runs>,
    mut absent: Vec<Absent>,
    progress: &mut impl FnMut(&str),
) -> Result<(Vec<Runs>, Vec<Absent>), Error> {
    let times = workload.runs(settings);
    for number in 1..=times {
        for runs in &mut cases {
            let peer = runs.case.peer;
            if absent.iter().any(|it| it.peer == peer) {
                continue;
            }
            let next = format!("{} {number}/{times} {}", workload.name(), runs.case.name());
            progress(&next);
            match workload.run(runs.case, settings).map_err(Error::during(next)) {
                Ok(figures) => runs.runs.push(figures),
                Err(error) if peer.is_ours() || settings.names(peer) => return Err(error),
                Err(error) => {
                    let why = error.chain();
                    progress(&why);
                    absent.push(Absent { peer, why });
                }
            }
        }
    }
    cases.retain(|runs| !absent.iter().any(|it| it.peer == runs.case.peer));
    Ok((cases, absent))
}
