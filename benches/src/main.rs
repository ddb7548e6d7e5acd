//! `bench`: prints the load figures of bluetick and mosquitto on the same work.

use std::error::Error as _;
use std::process::ExitCode;

use bluetick_benches::error::Error;
use bluetick_benches::settings::Settings;
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
    let settings = settings.check()?;
    let json = settings.json.clone();
    let report = bluetick_benches::run(settings, |next| eprintln!("{next}"))?;
    print!("{}", report.table());
    if let Some(path) = json {
        let doing = format!("write {}", path.display());
        let text = serde_json::to_string_pretty(&report).expect("a report is plain data");
        std::fs::write(path, text + "\n").map_err(Error::io(doing))?;
    }
    Ok(())
}
