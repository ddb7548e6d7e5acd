//! Runs the workloads, what each compares in turns.

use std::time::Instant;

use crate::error::Error;
use crate::measure::machine::Machine;
use crate::report::{Absent, Measured, Report, Runs};
use crate::settings::Settings;

/// Runs everything that `settings` asks for; `progress` is told what comes next.
///
/// Servers and sizes take turns (A B A B), so that a machine that becomes slower is slower for all.
///
/// # Errors
/// The first failure ends the run.
pub fn run(settings: &Settings, mut progress: impl FnMut(&str)) -> Result<Report, Error> {
    let mut report = Report::default();
    for workload in settings.workloads() {
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
        if cases.is_empty() {
            continue;
        }
        let times = workload.runs(settings);
        let start = Instant::now();
        for number in 1..=times {
            for runs in &mut cases {
                let next = format!("{} {number}/{times} {}", workload.name(), runs.case.name());
                progress(&next);
                let figures = workload.run(runs.case, settings).map_err(Error::during(next))?;
                runs.runs.push(figures);
            }
        }
        report.put(Measured {
            workload: workload.name().to_owned(),
            machine: Machine::here(),
            settings: settings.told(),
            seconds: start.elapsed().as_secs_f64(),
            cases,
            absent,
        });
    }
    Ok(report)
}
