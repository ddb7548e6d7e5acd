//! ejabberd: a chat server in Erlang. Messages are archived for both sides (XEP-0313), receipts (XEP-0184) are messages
//! of the receiver's client.
//!
//! The archive is in SQLite, which ejabberd itself recommends for small servers, and is synced before a message is
//! acknowledged. Of its other stores, Mnesia needs no other package, but every message costs more than the one before
//! it (11 ms of CPU after 900), and ejabberd warns of it; PostgreSQL is a second server, which does not run as root.
//! Without an archive it is as fast as it can be with any store.

use std::fs::{self, DirEntry};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::server::{Launch, Ready, Setup, free_port};
use super::{IDLE_SCHEDULERS, NO_CRASH_DUMP, System, Work, find_program};
use crate::error::Error;
use crate::settings::Settings;

pub(super) struct Ejabberd {
    /// Whether messages are stored; else they are delivered and forgotten.
    pub(super) archive: bool,
}

impl System for Ejabberd {
    fn work(&self) -> Work {
        Work::Stanzas { register: true }
    }

    fn missing(&self, _settings: &Settings) -> Option<String> {
        if libraries().is_none() || find_program("erl", &[]).is_none() {
            return Some("not found; it is the package `ejabberd`".into());
        }
        let mut places = libraries().into_iter().chain([PathBuf::from("/usr/lib/erlang/lib")]);
        let sqlite = places.any(|folder| holds(&folder, "p1_sqlite3-"));
        (self.archive && !sqlite)
            .then(|| "its SQLite is not found; it is the package `erlang-p1-sqlite3`".into())
    }

    fn launch(&self, setup: &Setup<'_>) -> Result<Launch, Error> {
        let port = free_port()?;
        let (config_file, log_file) =
            (setup.dir.join("ejabberd.yml"), setup.dir.join("ejabberd.log"));
        // No limits on rates and queues, no modules but those of the work.
        let mut config = format!(
            "hosts: [localhost]\n\
             loglevel: info\n\
             listen:\n\
             \x20 - port: {port}\n\
             \x20   ip: 127.0.0.1\n\
             \x20   module: ejabberd_c2s\n\
             \x20   backlog: 1024\n\
             \x20   shaper: none\n\
             \x20   access: all\n\
             auth_method: internal\n\
             auth_password_format: plain\n\
             registration_timeout: infinity\n\
             max_fsm_queue: 1000000\n\
             modules:\n\
             \x20 mod_stream_mgmt:\n\
             \x20   max_ack_queue: infinity\n\
             \x20 mod_register:\n\
             \x20   ip_access: all\n"
        );
        if self.archive {
            let database = setup.data_dir().join("archive.db");
            config += &format!(
                "\x20 mod_mam:\n\
                 \x20   db_type: sql\n\
                 \x20   default: always\n\
                 sql_type: sqlite\n\
                 sql_database: {:?}\n",
                database.display().to_string()
            );
        }
        fs::write(&config_file, config).map_err(Error::io("write ejabberd's configuration"))?;
        // As `ejabberdctl foreground` does it, which insists on its own user and on Erlang's port mapper.
        let mut command = Command::new("erl");
        command
            .args(["+K", "true", "+P", "250000", "-noinput"])
            .args(IDLE_SCHEDULERS)
            .args(["-mnesia", "dir"])
            .arg(format!("{:?}", setup.data_dir().display().to_string()))
            .args(["-s", "ejabberd"])
            .env("HOME", setup.dir)
            .env(NO_CRASH_DUMP.0, NO_CRASH_DUMP.1)
            .env("ERL_LIBS", libraries().unwrap_or_default())
            .env("EJABBERD_CONFIG_PATH", config_file)
            .env("EJABBERD_LOG_PATH", log_file);
        Ok(Launch::new(command, Ready::Line("Start accepting TCP connections", port)))
    }
}

/// The folder of the system's libraries in which Debian keeps ejabberd's code.
fn libraries() -> Option<PathBuf> {
    let mut folders = entries(Path::new("/usr/lib")).map(|entry| entry.path());
    folders.find(|folder| holds(folder, "ejabberd-"))
}

/// Whether there is an Erlang application in `folder` whose name and version begin so.
fn holds(folder: &Path, name: &str) -> bool {
    entries(folder).any(|entry| {
        entry.file_name().to_string_lossy().starts_with(name) && entry.path().join("ebin").is_dir()
    })
}

/// None of what cannot be read.
fn entries(folder: &Path) -> impl Iterator<Item = DirEntry> {
    fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok)
}
