//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("BLUETICK_COMMIT"), ")");

const EXIT_CODES: &str = "Exit codes: 0 done, 1 failed, 2 wrong command line or configuration, \
                          3 the data directory is in use.";

/// A chat server that is nothing but MQTT on the outside: a PUBACK is a tick.
#[derive(Debug, Parser)]
#[command(name = "bluetick", version = VERSION, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the server until SIGTERM or Ctrl-C.
    #[command(after_help = "Example: bluetick serve --dev --data-dir data --mqtt 127.0.0.1:1883")]
    Serve(Settings),
    /// Print the effective configuration, with a comment for every key.
    Config(Settings),
    /// Manage the accounts; also while the server runs.
    User {
        #[command(flatten)]
        settings: Settings,
        #[command(subcommand)]
        action: UserAction,
    },
    /// Look into the data directory of a stopped server.
    Inspect {
        #[command(flatten)]
        settings: Settings,
        /// Print JSON, an object a line.
        #[arg(long, global = true)]
        json: bool,
        #[command(subcommand)]
        what: Inspect,
    },
    /// Print a completion script.
    #[command(
        after_help = "Example: bluetick completions bash > ~/.local/share/bash-completion/completions/bluetick"
    )]
    Completions {
        /// For which shell.
        shell: Shell,
    },
}

/// What the configuration is made of, beside the environment.
#[derive(Debug, Args, Default)]
pub(crate) struct Settings {
    /// Read this TOML file.
    #[arg(long, value_name = "FILE", env = "BLUETICK_CONFIG", global = true)]
    pub(crate) config: Option<PathBuf>,
    /// Where everything is stored.
    #[arg(long, value_name = "DIR", global = true)]
    pub(crate) data_dir: Option<String>,
    /// Listen here for MQTT over TCP; may be repeated. Port 0 takes a free one.
    #[arg(long, value_name = "ADDR", global = true)]
    pub(crate) mqtt: Vec<String>,
    /// Let everybody in without a password; only on loopback addresses.
    #[arg(long, global = true)]
    pub(crate) dev: bool,
    /// How to log: text or json.
    #[arg(long, value_name = "FORMAT", global = true)]
    pub(crate) log_format: Option<String>,
    /// What to log, such as "info" or "bluetick_broker=debug".
    #[arg(long, value_name = "FILTER", global = true)]
    pub(crate) log: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum UserAction {
    /// Add a user; asks for the password, or reads it from standard input.
    Add {
        /// The user's name: a-z, 0-9, '.', '_' and '-'.
        name: String,
    },
    /// Change a user's password.
    Passwd {
        /// Whose.
        name: String,
    },
    /// Remove a user. What he has sent stays.
    Remove {
        /// Whom.
        name: String,
    },
    /// List all users.
    List {
        /// Print a JSON array.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Inspect {
    /// All chats: head, members, how far they got.
    Chats,
    /// One chat: its members and its messages.
    Chat {
        /// Its name, such as alice~bob.
        name: String,
    },
    /// A user's chats and devices.
    User {
        /// Whose.
        name: String,
    },
    /// A device's session and its cursors.
    Device {
        /// Whose.
        user: String,
        /// The MQTT client id.
        device: String,
    },
}
