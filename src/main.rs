//! The bluetick program: command line, configuration, wiring.

mod accounts;
mod cli;
mod config;
mod data_dir;
mod directory;
mod inspect;
mod logging;
mod serve;
mod users;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use cli::{Cli, Command};
use config::Sources;

/// Why the program ends without having done its job; each kind has its exit code.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// The command line or the configuration: exit code 2.
    #[error("{0}")]
    Configuration(String),
    /// Another process has the data directory: exit code 3.
    #[error("{0}")]
    InUse(String),
    /// Anything else: exit code 1.
    #[error("{0}")]
    Other(String),
}

impl Failure {
    fn other(error: impl std::fmt::Display) -> Self {
        Self::Other(error.to_string())
    }

    fn code(&self) -> ExitCode {
        match self {
            Self::Other(_) => ExitCode::from(1),
            Self::Configuration(_) => ExitCode::from(2),
            Self::InUse(_) => ExitCode::from(3),
        }
    }
}

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("bluetick: {failure}");
            failure.code()
        }
    }
}

fn run(cli: Cli) -> Result<(), Failure> {
    let environment = |name: &str| std::env::var(name).ok();
    match cli.command {
        Command::Serve(settings) => serve::run(&settings.load(&environment)?),
        Command::Config(settings) => {
            print!("{}", settings.load(&environment)?.to_toml());
            Ok(())
        }
        Command::User { settings, action } => users::run(&settings.load(&environment)?, action),
        Command::Inspect { settings, json, what } => {
            inspect::run(&settings.load(&environment)?, json, what)
        }
        Command::Completions { shell } => {
            let mut command = Cli::command();
            clap_complete::generate(shell, &mut command, "bluetick", &mut std::io::stdout());
            Ok(())
        }
    }
}

impl cli::Settings {
    fn load(&self, environment: &Sources<'_>) -> Result<config::Config, Failure> {
        config::Config::load(self, environment).map_err(|mistakes| {
            let lines: Vec<_> = mistakes.iter().map(|mistake| format!("\n  {mistake}")).collect();
            let plural = if lines.len() == 1 { "" } else { "s" };
            let text = format!("{} mistake{plural} in the configuration:", lines.len());
            Failure::Configuration(text + &lines.concat())
        })
    }
}
