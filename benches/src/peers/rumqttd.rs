//! rumqttd: a broker in Rust, as a crate, in memory. One thread routes, the connections are tokio's tasks.
//!
//! Its own program takes its port from a file only; `bench-rumqttd` (benches/rumqttd) is the crate with the window
//! of the workloads, and a log that is long enough that a slow receiver loses nothing.

use super::server::{Launch, Ready, Setup, free_port};
use super::{System, Work};
use crate::error::Error;
use crate::generator::wire::Version;
use crate::settings::Settings;

pub(super) struct Rumqttd;

impl System for Rumqttd {
    fn work(&self) -> Work {
        Work::TOPICS
    }

    fn missing(&self, settings: &Settings) -> Option<String> {
        settings.built_beside("bench-rumqttd").is_none().then(|| {
            "not built; `cargo build --release -p bluetick-benches` builds it beside the bench"
                .into()
        })
    }

    fn launch(&self, setup: &Setup<'_>) -> Result<Launch, Error> {
        let port = free_port()?;
        let mut command = setup.command_beside("bench-rumqttd");
        command.arg(port.to_string()).arg(setup.window.to_string());
        command.arg(match setup.settings.version() {
            Version::V311 => "4",
            Version::V5 => "5",
        });
        Ok(Launch::new(command, Ready::Line("Listening for remote connections", port)))
    }
}
