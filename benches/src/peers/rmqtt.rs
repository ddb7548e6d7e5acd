//! RMQTT: a broker in Rust, as a crate, in memory, on tokio's threads.
//!
//! Its own program, `rmqttd`, has every plug-in (clients of Kafka, Pulsar and NATS, Raft: 700 crates). The library
//! alone is 280 and the same routing; `bench-rmqtt` (benches/rmqtt) is that. It has a workspace and a lock file of its
//! own, so that nobody builds it who does not want its figures: `make bench-peers`.

use super::server::{Launch, Ready, Setup};
use super::{System, Work};
use crate::error::Error;
use crate::settings::Settings;

pub(super) struct Rmqtt;

impl System for Rmqtt {
    fn work(&self) -> Work {
        Work::TOPICS
    }

    fn missing(&self, settings: &Settings) -> Option<String> {
        settings
            .built_beside("bench-rmqtt")
            .is_none()
            .then(|| "not built; `make bench-peers` builds it beside the bench".into())
    }

    fn launch(&self, setup: &Setup<'_>) -> Result<Launch, Error> {
        let mut command = setup.command_beside("bench-rmqtt");
        command.arg(setup.window.to_string());
        Ok(Launch::new(command, Ready::Announced("listening ")))
    }
}
