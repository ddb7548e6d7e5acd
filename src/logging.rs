//! Logs, to standard error.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use crate::Failure;
use crate::config::Config;

/// Starts logging as the configuration says.
///
/// # Errors
/// The filter is not one.
pub(crate) fn start(config: &Config) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(&config.log_filter).map_err(|error| {
        Failure::Configuration(format!("log.filter = {:?}: {error}", config.log_filter))
    })?;
    let mut builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // Colours are for people; on a terminal, NO_COLOR decides.
    if !std::io::stderr().is_terminal() {
        builder = builder.with_ansi(false);
    }
    let started = if config.log_json { builder.json().try_init() } else { builder.try_init() };
    started.map_err(Failure::other)
}
