//! `bench`: prints the load figures of bluetick and other servers on the same work.

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
            eprintln!("bench: {}", error.chain());
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
        print!("{}{}", results.tables(), results.targets());
        return write(&settings, &results);
    }
    let mut now = Report::default();
    let ran = bluetick_benches::run(
        &settings,
        |next| eprintln!("{next}"),
        |measured| {
            print!("{}", measured.text());
            now.put(measured.clone());
            results.put(measured);
            // Each as it comes: what fails or is interrupted later loses none of it.
            write(&settings, &results)
        },
    );
    for measured in &now.workloads {
        eprintln!("{:<18}{:>6.0} s", measured.workload, measured.seconds);
    }
    let all: f64 = now.workloads.iter().map(|measured| measured.seconds).sum();
    eprintln!("{:<18}{all:>6.0} s", "all");
    println!("{}", now.targets());
    ran
}

fn write(settings: &Settings, results: &Report) -> Result<(), Error> {
    let Some(path) = &settings.results else { return Ok(()) };
    if !settings.show {
        results.write(path)?;
    }
    if settings.page.is_empty() {
        return Ok(());
    }
    write_plots(path, results)?;
    settings.page.iter().try_for_each(|page| write_page(page, path, results))
}
