//! bluetick: chats that are synced before their PUBACK, or plain topics in memory.

use std::fs;
use std::process::Command;

use super::server::{CHAIN_FILE, KEY_FILE, Launch, Ready, Setup};
use super::{System, Work};
use crate::error::Error;
use crate::settings::Settings;

/// What the workloads need, whatever the defaults are: the generator's users are few and each is as fast as a crowd,
/// so every limit on what one user may do is lifted here, and only here.
const CONFIG: &str = "\
[limits]
# The windows of the workloads.
inflight_in_max = 100
[chat]
# A group of a thousand and its sender.
group_members_max = 1024
[listen]
http = [\"127.0.0.1:0\"]
";

/// bluetick, measured by one kind of its topics.
pub(super) struct Bluetick {
    /// Plain topics, as mosquitto has them.
    pub(super) plain: bool,
}

impl System for Bluetick {
    fn work(&self) -> Work {
        if self.plain { Work::TOPICS } else { Work::Chats }
    }

    fn missing(&self, _settings: &Settings) -> Option<String> {
        // What is measured is not left out: without it there is an error.
        None
    }

    fn launch(&self, setup: &Setup<'_>) -> Result<Launch, Error> {
        let config = setup.dir.join("bluetick.toml");
        fs::write(&config, CONFIG).map_err(Error::io("write bluetick's configuration"))?;
        let mut command = Command::new(setup.settings.bluetick()?);
        command.args(["serve", "--dev", "--data-dir"]).arg(setup.data_dir());
        command.arg("--config").arg(config);
        command.args([if setup.tls { "--mqtts" } else { "--mqtt" }, "127.0.0.1:0"]);
        if setup.tls {
            command.arg("--cert").arg(setup.dir.join(CHAIN_FILE));
            command.arg("--key").arg(setup.dir.join(KEY_FILE));
        }
        let name = |key: &str| format!("BLUETICK_LIMITS__{}", key.to_uppercase());
        command.envs(setup.limits.iter().map(|(key, value)| (name(key), value)));
        if self.plain {
            // As mosquitto's `max_queued_messages 0`: who sends does not wait for who receives.
            command.env("BLUETICK_LIMITS__QUEUED_MESSAGES_MAX", "1000000");
            command.env("BLUETICK_LIMITS__QUEUED_BYTES_MAX", "1000000000");
            command.env("BLUETICK_LIMITS__QUEUED_TOTAL_BYTES_MAX", "1000000000");
        }
        let announced = if setup.tls { "listening mqtts " } else { "listening mqtt " };
        Ok(Launch::new(command, Ready::Announced(announced))
            .hint("build it (`cargo build --release`) or name it with --bluetick"))
    }
}
