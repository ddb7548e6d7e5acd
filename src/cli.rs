//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

use crate::chat;

const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("BLUETICK_COMMIT"), ")");

const EXIT_CODES: &str = "Exit codes: 0 done, 1 failed, 2 wrong command line or configuration, \
                          3 the data directory is in use, 4 stopped \
                          while the store took no writes; of send also 5 queued on this machine, \
                          6 refused by the server, 7 sent but not delivered or read in time.";

const SERVE_HELP: &str = "\
Examples:
  bluetick serve --dev --data-dir data
  bluetick serve --config /etc/bluetick.toml --mqtt 0.0.0.0:1883 --mqtt '[::]:1883'
  bluetick serve --mqtts 0.0.0.0:8883 --wss 0.0.0.0:8084 --cert chain.pem --key key.pem
  bluetick serve --mqtts 0.0.0.0:8883+proxy --cert chain.pem --key key.pem
  BLUETICK_LIMITS__CONNECTIONS_MAX=1000 bluetick serve

Once it listens, a line `listening mqtt ADDRESS` (or mqtts, ws, wss, unix) for each address goes to
standard output (http is there before the store is open); logs go to standard error. Behind a load balancer, +proxy after an address expects
a PROXY protocol v2 header in front of each connection. `bluetick config` shows every key there is.
SIGTERM lets clients take their last packets and ends with exit code 0; SIGHUP reads access
rules and certificates again.";

const CONFIG_HELP: &str = "\
A flag outweighs a variable of the environment, and that the file. The variable of a key is
BLUETICK_ and its name in capitals, section and key joined by two underscores.

Examples:
  bluetick config > bluetick.toml
  BLUETICK_LIMITS__CONNECTIONS_MAX=1000 bluetick config --config bluetick.toml";

const USER_HELP: &str = "\
A change counts for the next who connects; connections that are open stay.

Examples:
  bluetick user add alice
  printf %s \"$PASSWORD\" | bluetick user add alice --password-stdin
  bluetick user list --json";

const INSPECT_HELP: &str = "\
Examples:
  bluetick inspect chats
  bluetick inspect chat alice~bob --json
  bluetick inspect device alice alice-phone";

const COMPACT_HELP: &str = "\
A server does that by itself, little by little, so that this is for after a large import or before
a copy. It says for each table what its files take before and after, and needs room for the largest
table a second time. If it is stopped, all is there as it was.

Example: bluetick compact --data-dir /var/lib/bluetick";

const HEALTHCHECK_HELP: &str = "\
It asks /readyz; why a server is not ready is told on standard error, with exit code 1. The
configuration is read like that of the server, so that in a container it needs no flags.

Example: bluetick healthcheck --http 127.0.0.1:9883";

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
    #[command(after_help = SERVE_HELP)]
    Serve(Settings),
    /// Print the effective configuration, with a comment for every key.
    #[command(after_help = CONFIG_HELP)]
    Config(Settings),
    /// Manage the accounts; also while the server runs.
    #[command(after_help = USER_HELP)]
    User {
        #[command(flatten)]
        place: Place,
        #[command(subcommand)]
        action: UserAction,
    },
    /// Look into the data directory of a stopped server.
    #[command(after_help = INSPECT_HELP)]
    Inspect {
        #[command(flatten)]
        place: Place,
        /// Print JSON, an object a line.
        #[arg(long, global = true)]
        json: bool,
        #[command(subcommand)]
        what: Inspect,
    },
    /// Rewrite the database of a stopped server: without what was overwritten, all compressed.
    #[command(after_help = COMPACT_HELP)]
    Compact {
        #[command(flatten)]
        place: Place,
    },
    #[command(flatten)]
    Chat(chat::Command),
    /// Ask a running server whether it is ready; exit code 0 if it is.
    #[command(after_help = HEALTHCHECK_HELP)]
    Healthcheck {
        #[command(flatten)]
        place: Place,
        /// Where it answers HTTP; else listen.http of the configuration says it.
        #[arg(long, value_name = "ADDR")]
        http: Option<String>,
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

/// Where the configuration and the data are.
#[derive(Debug, Args, Default)]
pub(crate) struct Place {
    /// Read this TOML file.
    #[arg(long, value_name = "FILE", env = "BLUETICK_CONFIG", global = true)]
    pub(crate) config: Option<PathBuf>,
    /// Where everything is stored.
    #[arg(long, value_name = "DIR", global = true)]
    pub(crate) data_dir: Option<String>,
}

/// What the configuration is made of, beside the environment.
#[derive(Debug, Args, Default)]
pub(crate) struct Settings {
    #[command(flatten)]
    pub(crate) place: Place,
    /// Listen here for MQTT over TCP; may be repeated. Port 0 takes a free one.
    #[arg(long, value_name = "ADDR")]
    pub(crate) mqtt: Vec<String>,
    /// Listen here for MQTT over TLS; may be repeated. Needs --cert and --key.
    #[arg(long, value_name = "ADDR")]
    pub(crate) mqtts: Vec<String>,
    /// Listen here for MQTT over WebSocket; may be repeated.
    #[arg(long, value_name = "ADDR")]
    pub(crate) ws: Vec<String>,
    /// Listen here for MQTT over WebSocket and TLS; may be repeated. Needs --cert and --key.
    #[arg(long, value_name = "ADDR")]
    pub(crate) wss: Vec<String>,
    /// Listen for MQTT on a Unix socket; may be repeated.
    #[arg(long, value_name = "PATH")]
    pub(crate) unix: Vec<String>,
    /// Answer /healthz, /readyz and /metrics over HTTP here; may be repeated.
    #[arg(long, value_name = "ADDR")]
    pub(crate) http: Vec<String>,
    /// The server's certificate with its chain, in PEM; may be repeated, for other names.
    #[arg(long, value_name = "FILE")]
    pub(crate) cert: Vec<String>,
    /// The private key of the certificate, in PEM; as many as --cert, in the same order.
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Vec<String>,
    /// Let in whose certificate is of this authority (PEM) as the user its common name says,
    /// without a password; may be repeated.
    #[arg(long, value_name = "FILE")]
    pub(crate) client_ca: Vec<String>,
    /// Let everybody in without a password; only on loopback addresses.
    #[arg(long)]
    pub(crate) dev: bool,
    /// How to log: text or json.
    #[arg(long, value_name = "FORMAT")]
    pub(crate) log_format: Option<String>,
    /// What to log, such as "info" or "bluetick_broker=debug".
    #[arg(long, value_name = "FILTER")]
    pub(crate) log: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum UserAction {
    /// Add a user; asks for the password, or reads it from standard input.
    Add {
        /// The user's name: a-z, 0-9, '.', '_' and '-'.
        name: String,
        /// Read the password from standard input even if that is a terminal.
        #[arg(long)]
        password_stdin: bool,
    },
    /// Change a user's password.
    Passwd {
        /// Whose.
        name: String,
        /// Read the password from standard input even if that is a terminal.
        #[arg(long)]
        password_stdin: bool,
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
