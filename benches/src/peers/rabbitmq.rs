//! RabbitMQ with its MQTT plug-in: a broker in Erlang. Subscriptions are queues.
//!
//! Those of clean sessions are transient, and stay in memory. Those of kept sessions are durable: what is published to
//! them at QoS 1 gets its PUBACK when it is synced, or when the receiver has acknowledged it before that.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::server::{Launch, Ready, Setup, free_port};
use super::{IDLE_SCHEDULERS, NO_CRASH_DUMP, System, Work, find_program};
use crate::error::Error;
use crate::settings::Settings;

/// Debian's is not the one in the PATH: that one becomes the user `rabbitmq`, who may not write to our directory.
const PROGRAM: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";

pub(super) struct Rabbitmq {
    /// Sessions are kept.
    pub(super) durable: bool,
}

impl System for Rabbitmq {
    fn work(&self) -> Work {
        // A user without a password is refused; nobody at all is the default user.
        Work::Topics { with_user: false, durable: self.durable }
    }

    fn missing(&self, settings: &Settings) -> Option<String> {
        if settings.mqtt5 {
            return Some("its MQTT plug-in (of version 3.10) speaks 3.1.1 alone".into());
        }
        let found = Path::new(PROGRAM).exists() && find_program("epmd", &[]).is_some();
        (!found).then(|| "not found; it is the package `rabbitmq-server`".into())
    }

    fn launch(&self, setup: &Setup<'_>) -> Result<Launch, Error> {
        let (port, epmd_port, distribution_port) = (free_port()?, free_port()?, free_port()?);
        let dir = setup.dir;
        // The prefetch is the window towards receivers. Everything else is as it comes.
        let config = format!(
            "listeners.tcp = none\n\
             mqtt.listeners.tcp.1 = 127.0.0.1:{port}\n\
             mqtt.allow_anonymous = true\n\
             mqtt.prefetch = {}\n\
             mqtt.tcp_listen_options.nodelay = true\n\
             mqtt.tcp_listen_options.backlog = 1024\n\
             log.console = true\n\
             log.console.level = warning\n\
             log.file = false\n",
            setup.window
        );
        let (config_file, plugins_file) = (dir.join("rabbitmq.conf"), dir.join("enabled_plugins"));
        fs::write(&config_file, config)
            .and_then(|()| fs::write(&plugins_file, "[rabbitmq_mqtt].\n"))
            .map_err(Error::io("write RabbitMQ's configuration"))?;

        let mut command = Command::new(PROGRAM);
        command
            // In the foreground, and the emulator in place of the script: what is ended is the server.
            .env("RABBITMQ_ALLOW_INPUT", "1")
            .arg("-noinput")
            .env("HOME", dir)
            .env(NO_CRASH_DUMP.0, NO_CRASH_DUMP.1)
            .env("RABBITMQ_CONF_ENV_FILE", "/dev/null")
            .env("RABBITMQ_CONFIG_FILE", config_file)
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", plugins_file)
            .env("RABBITMQ_MNESIA_BASE", setup.data_dir())
            .env("RABBITMQ_LOG_BASE", dir.join("log"))
            .env("RABBITMQ_PID_FILE", dir.join("pid"))
            .env("RABBITMQ_NODENAME", "bench@localhost")
            .env("RABBITMQ_DIST_PORT", distribution_port.to_string())
            .env(
                "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
                format!(
                    "-kernel inet_dist_use_interface {{127,0,0,1}} {}",
                    IDLE_SCHEDULERS.join(" ")
                ),
            )
            .env("ERL_EPMD_PORT", epmd_port.to_string())
            .env("ERL_EPMD_ADDRESS", "127.0.0.1");
        // It insists on Erlang's port mapper, and would leave one behind that it started itself.
        let mut epmd = Command::new("epmd");
        epmd.args(["-port", &epmd_port.to_string(), "-address", "127.0.0.1"]);
        // Said when all plug-ins listen.
        Ok(Launch::new(command, Ready::Line("completed with 1 plugins", port)).beside(epmd))
    }
}
