//! mosquitto: a broker in C, on one thread. It keeps everything in memory; with persistence, it saves it from time to
//! time.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::server::{CHAIN_FILE, KEY_FILE, Launch, Ready, Setup, free_port};
use super::{System, Work, find_program};
use crate::error::Error;
use crate::settings::Settings;

/// mosquitto, in one of its configurations.
#[derive(Default)]
pub(super) struct Mosquitto {
    /// `set_tcp_nodelay`. It stays off at QoS 1, its default: turned on, the same work took 19 us of CPU in place of
    /// 12, and the latency at window 1 was the same. The measure is mosquitto at its best. At QoS 0 nothing comes
    /// back from the receiver, and one pair waits for its delayed acknowledgements.
    pub(super) nodelay: bool,
    /// `persistence`, and sessions that outlive their connections, without which it has nothing to save. It saves
    /// every half hour (`autosave_interval`, its default) and when it ends, never before a PUBACK: a crash loses all
    /// since.
    pub(super) persistent: bool,
}

impl System for Mosquitto {
    fn work(&self) -> Work {
        Work::Topics { with_user: true, durable: self.persistent }
    }

    fn missing(&self, _settings: &Settings) -> Option<String> {
        program().is_none().then(|| "not found; it is the package `mosquitto`".into())
    }

    fn launch(&self, setup: &Setup<'_>) -> Result<Launch, Error> {
        let path = setup.dir.join("mosquitto.conf");
        let port = free_port()?;
        let Self { nodelay, persistent } = self;
        let window = setup.window;
        let mut config = format!(
            "listener {port} 127.0.0.1\n\
             allow_anonymous true\n\
             persistence {persistent}\n\
             max_inflight_messages {window}\n\
             max_queued_messages 0\n\
             set_tcp_nodelay {nodelay}\n\
             connection_messages false\n\
             log_dest stderr\n\
             log_type error\n\
             log_type warning\n\
             log_type notice\n\
             log_type information\n"
        );
        if *persistent {
            config += &format!("persistence_location {}/\n", setup.dir.display());
        }
        if setup.tls || *persistent {
            // Started by root it would become a user who may neither read nor write there; by anybody else, this
            // counts for nothing.
            config += "user root\n";
        }
        if setup.tls {
            let file = |name: &str| setup.dir.join(name).display().to_string();
            config += &format!("certfile {}\nkeyfile {}\n", file(CHAIN_FILE), file(KEY_FILE));
        }
        fs::write(&path, config).map_err(Error::io("write mosquitto's configuration"))?;
        let mut command = Command::new(program().unwrap_or_else(|| "mosquitto".into()));
        command.arg("-c").arg(path);
        Ok(Launch::new(command, Ready::Line(" running", port))
            .hint("install the package `mosquitto`"))
    }
}

fn program() -> Option<PathBuf> {
    // Debian keeps it where only an administrator's PATH looks.
    find_program("mosquitto", &["/usr/sbin/mosquitto"])
}
