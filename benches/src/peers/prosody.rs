//! Prosody: a chat server in Lua, on one thread. Messages are archived for both sides (XEP-0313) in files that are
//! appended to and not synced; receipts (XEP-0184) are messages of the receiver's client.

use std::fs;
use std::process::Command;

use super::server::{Launch, Ready, Setup, free_port};
use super::{System, Work, find_program};
use crate::error::Error;
use crate::settings::Settings;

pub(super) struct Prosody;

impl System for Prosody {
    fn work(&self) -> Work {
        // `insecure` lets everybody in, and knows every user.
        Work::Stanzas { register: false }
    }

    fn missing(&self, _settings: &Settings) -> Option<String> {
        let found = find_program("prosody", &[]).is_some();
        (!found).then(|| "not found; it is the package `prosody`".into())
    }

    fn launch(&self, setup: &Setup<'_>) -> Result<Launch, Error> {
        let port = free_port()?;
        let config_file = setup.dir.join("prosody.cfg.lua");
        // An archive is trimmed at its limit, which costs more than all else: there is none. No modules but those of
        // the work.
        let config = format!(
            "run_as_root = true\n\
             pidfile = \"{dir}/prosody.pid\"\n\
             data_path = \"{data}\"\n\
             log = {{ info = \"*stdout\" }}\n\
             interfaces = {{ \"127.0.0.1\" }}\n\
             c2s_ports = {{ {port} }}\n\
             network_settings = {{ tcp_backlog = 1024 }}\n\
             modules_enabled = {{ \"saslauth\", \"presence\", \"message\", \"smacks\", \"mam\" }}\n\
             modules_disabled = {{ \"s2s\", \"tls\" }}\n\
             authentication = \"insecure\"\n\
             insecure_open_authentication = \"Yes please, I know what I'm doing!\"\n\
             c2s_require_encryption = false\n\
             allow_unencrypted_plain_auth = true\n\
             smacks_max_queue_size = 1000000\n\
             default_archive_policy = true\n\
             archive_expires_after = \"never\"\n\
             storage_archive_item_limit = 1000000000\n\
             VirtualHost \"localhost\"\n",
            dir = setup.dir.display(),
            data = setup.data_dir().display(),
        );
        fs::write(&config_file, config)
            .and_then(|()| fs::create_dir_all(setup.data_dir()))
            .map_err(Error::io("write Prosody's configuration"))?;
        let mut command = Command::new("prosody");
        command.args(["-F", "--config"]).arg(config_file);
        Ok(Launch::new(command, Ready::Line("Activated service 'c2s'", port)))
    }
}
