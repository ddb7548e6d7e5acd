//! `bench`: prints the load figures of bluetick and other servers on the same work.

use std::error::Error as _;
use std::process::ExitCode;

use bluetick_benches::error::Error;
use bluetick_benches::report::{Report, write_page, write_plots};
use bluetick_benches::settings::Settings;
use bluetick_benches::workloads;
use clap::Parser;

fn main() -> ExitCode {
    match bench(Settings::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprint!("bench: {error}");
            let mut source = error.source();
            while let Some(cause) = source {
                eprint!(": {cause}");
                source = cause.source();
            }
            eprintln!();
            ExitCode::FAILURE
        }
    }
}

fn bench(settings: Settings) -> Result<(), Error> {
    if settings.list {
        for workload in workloads::ALL {
            println!("{:<18}{}", workload.name(), workload.about());
        }
        return Ok(());
    }
    let settings = settings.check()?;
    let mut results = match &settings.results {
        Some(path) => Report::read(path)?,
        None => Report::default(),
    };
    if settings.show {
        print!("{}", results.tables());
    } else {
        let report = bluetick_benches::run(&settings, |next| eprintln!("{next}"))?;
        print!("{}", report.tables());
        for measured in &report.workloads {
            eprintln!("{:<18}{:>6.0} s", measured.workload, measured.seconds);
        }
        let all: f64 = report.workloads.iter().map(|measured| measured.seconds).sum();
        eprintln!("{:<18}{all:>6.0} s", "all");
        for measured in report.workloads {
            results.put(measured);
        }
        if let Some(path) = &settings.results {
            results.write(path)?;
        }
    }
    println!("{}", results.targets());
    let Some(path) = settings.results.filter(|_| !settings.page.is_empty()) else { return Ok(()) };
    write_plots(&path, &results)?;
    settings.page.iter().try_for_each(|page| write_page(page, &path, &results))
}
