//! The bluetick program: command line, configuration, wiring.

mod access;
mod accounts;
mod allocator;
mod certificates;
mod chat;
mod cli;
mod compact;
mod config;
mod data_dir;
mod directory;
mod http;
mod inspect;
mod listeners;
mod logging;
mod open_files;
mod output;
mod report;
mod serve;
mod stamp;
mod users;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use cli::{Cli, Command, Place, Settings};
use config::{Config, ProcessEnvironment};

/// Why the program ends without having done its job; each kind has its exit code.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// The command line or the configuration: exit code 2.
    #[error("{0}")]
    Configuration(String),
    /// The store took no writes when the server was stopped: exit code 4.
    #[error(
        "stopped while the store took no writes: look for the cause above before the next start"
    )]
    StoreFailing,
    /// Another process has the data directory: exit code 3.
    #[error("{0}")]
    InUse(String),
    /// The message waits in the outbox on this machine: exit code 5.
    #[error("{0}")]
    Queued(String),
    /// The server refuses the message or the login: exit code 6.
    #[error("{0}")]
    Refused(String),
    /// The message is stored, and was not delivered or read in time: exit code 7.
    #[error("{0}")]
    Unconfirmed(String),
    /// Nobody reads what is printed any more: no failure of ours, exit code 0.
    #[error("standard output is closed")]
    OutputClosed,
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
            Self::OutputClosed => ExitCode::SUCCESS,
            Self::Other(_) => ExitCode::from(1),
            Self::Configuration(_) => ExitCode::from(2),
            Self::InUse(_) => ExitCode::from(3),
            Self::StoreFailing => ExitCode::from(4),
            Self::Queued(_) => ExitCode::from(5),
            Self::Refused(_) => ExitCode::from(6),
            Self::Unconfirmed(_) => ExitCode::from(7),
        }
    }
}

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !matches!(failure, Failure::OutputClosed) {
                eprintln!("bluetick: {failure}");
            }
            failure.code()
        }
    }
}

fn run(cli: Cli) -> Result<(), Failure> {
    match cli.command {
        Command::Serve(settings) => {
            let config = load(&settings)?;
            serve::run(&config, Box::new(move || load(&settings)))
        }
        Command::Config(settings) => output::bytes(load(&settings)?.to_toml().as_bytes()),
        Command::User { place, action } => users::run(&load_place(place)?, action),
        Command::Inspect { place, json, what } => inspect::run(&load_place(place)?, json, what),
        Command::Compact { place } => compact::run(&load_place(place)?),
        Command::Chat(command) => chat::run(command),
        Command::Healthcheck { place, http } => healthcheck(place, http),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "bluetick", &mut script);
            output::bytes(&script)
        }
    }
}

fn healthcheck(place: Place, http: Option<String>) -> Result<(), Failure> {
    let http = http.into_iter().collect();
    let config = load(&Settings { place, http, ..Settings::default() })?;
    let address = config.http.first().copied().filter(|address| address.port() != 0);
    http::ask(address.ok_or_else(|| {
        let text = "name the server's address of HTTP: --http, or listen.http with a port";
        Failure::Configuration(text.to_owned())
    })?)
}

fn load_place(place: Place) -> Result<Config, Failure> {
    load(&Settings { place, ..Settings::default() })
}

fn load(settings: &Settings) -> Result<Config, Failure> {
    Config::load(settings, &ProcessEnvironment).map_err(|mistakes| {
        let lines: Vec<_> = mistakes.iter().map(|mistake| format!("\n  {mistake}")).collect();
        let plural = if lines.len() == 1 { "" } else { "s" };
        let text = format!("{} mistake{plural} in the configuration:", lines.len());
        Failure::Configuration(text + &lines.concat())
    })
}
