//! `bluetick chat`, `send`, `listen` and `history`: what the command line says, for the terminal's crate.

use std::path::PathBuf;
use std::time::Duration;

use bluetick_terminal::{self as terminal, Colours, Listen, ReadHistory, Send, Until};
use clap::{Args, Subcommand, ValueEnum};

use crate::Failure;

const CHAT_HELP: &str = "\
F1 shows the keys. docs/terminal.md is the guide.

Examples:
  bluetick chat --user alice
  bluetick chat bob --user alice --url mqtts://chat.example.org";

const SEND_HELP: &str = "\
Exit codes: 0 stored by the server (with --wait: delivered, read), 1 failed, 2 wrong command line,
5 queued: it waits on this machine for the next `bluetick send`, 6 refused, and nothing waits,
7 stored, but not delivered or read in time.

Examples:
  bluetick send --user alice bob 'see you at seven'
  uptime | bluetick send --user sensor --wait delivered alice
  bluetick send --user alice --flush";

const LISTEN_HELP: &str = "\
A message counts as delivered once it is printed. What comes while it does not run waits for it.

Examples:
  bluetick listen --user bob
  bluetick listen --user bot --json --read | jq -r --unbuffered .body";

const HISTORY_HELP: &str = "\
Examples:
  bluetick history --user alice bob
  bluetick history --user alice g-7k2m9x4q1zrt --limit 1000 --json";

/// The commands that chat.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Chat in this terminal.
    #[command(after_help = CHAT_HELP)]
    Chat {
        #[command(flatten)]
        account: Account,
        /// The user or chat to begin with.
        with: Option<String>,
        /// Colours for a dark or a light ground, or none; auto heeds NO_COLOR and COLORFGBG.
        #[arg(long, value_name = "THEME", default_value = "auto")]
        theme: Theme,
    },
    /// Send a message; the exit code tells whether the server has it.
    #[command(after_help = SEND_HELP)]
    Send {
        #[command(flatten)]
        account: Account,
        /// A user or a chat.
        #[arg(required_unless_present = "flush")]
        to: Option<String>,
        /// What to say; without it, or with -, standard input says it.
        text: Option<String>,
        /// Send what earlier runs could not.
        #[arg(long, conflicts_with = "to")]
        flush: bool,
        /// What it is, such as text/markdown.
        #[arg(long, value_name = "TYPE")]
        content_type: Option<String>,
        /// The number of the message that it answers.
        #[arg(long, value_name = "SEQ")]
        reply_to: Option<u64>,
        /// Seconds after which the server forgets it.
        #[arg(long, value_name = "SECONDS")]
        ttl: Option<u64>,
        /// How far it is to get.
        #[arg(long, value_name = "TICK", default_value = "sent")]
        wait: Wait,
        /// Seconds that all of it may take.
        #[arg(long, value_name = "SECONDS", default_value_t = 10)]
        timeout: u64,
        /// Print the message's number in its chat.
        #[arg(long, short)]
        verbose: bool,
    },
    /// Print what comes, until Ctrl-C or SIGTERM.
    #[command(after_help = LISTEN_HELP)]
    Listen {
        #[command(flatten)]
        account: Account,
        /// Of this user or chat alone.
        only: Option<String>,
        /// Print JSON, an object a line.
        #[arg(long)]
        json: bool,
        /// Print one's own messages too.
        #[arg(long)]
        own: bool,
        /// Print receipts, presence, typing and the connection too.
        #[arg(long)]
        all: bool,
        /// Say that what was printed is read.
        #[arg(long)]
        read: bool,
        /// End after so many messages.
        #[arg(long, value_name = "N")]
        count: Option<u64>,
    },
    /// Print what was said in a chat.
    #[command(after_help = HISTORY_HELP)]
    History {
        #[command(flatten)]
        account: Account,
        /// A user or a chat.
        chat: String,
        /// How much of it, at most.
        #[arg(long, value_name = "N", default_value_t = 50)]
        limit: u64,
        /// What is before this number.
        #[arg(long, value_name = "SEQ")]
        before: Option<u64>,
        /// Print JSON, an object a line.
        #[arg(long)]
        json: bool,
        /// Seconds that an answer may take.
        #[arg(long, value_name = "SECONDS", default_value_t = 10)]
        timeout: u64,
    },
}

/// Who connects where, of the commands that chat.
#[derive(Debug, Args)]
pub(crate) struct Account {
    /// Where the server is: mqtt://, mqtts://, ws:// or wss://.
    #[arg(long, value_name = "URL", env = "BLUETICK_URL", default_value = "mqtt://127.0.0.1:1883")]
    pub(crate) url: String,
    /// Who.
    #[arg(long, value_name = "NAME", env = "BLUETICK_USER")]
    pub(crate) user: String,
    /// The password; others on this machine may see it on the command line, not in the environment.
    #[arg(long, value_name = "TEXT", env = "BLUETICK_PASSWORD", hide_env_values = true)]
    pub(crate) password: Option<String>,
    /// A file whose first line is the password.
    #[arg(long, value_name = "FILE", env = "BLUETICK_PASSWORD_FILE")]
    pub(crate) password_file: Option<PathBuf>,
    /// The device's name; else one that is made up and kept.
    #[arg(long, value_name = "NAME", env = "BLUETICK_DEVICE")]
    pub(crate) device: Option<String>,
    /// Trust these certificate authorities (PEM) in place of the system's.
    #[arg(long, value_name = "FILE", env = "BLUETICK_CA")]
    pub(crate) ca: Option<PathBuf>,
    /// Where what is not sent yet, and what was said, is kept; else as XDG_STATE_HOME says.
    #[arg(long, value_name = "DIR", env = "BLUETICK_STATE_DIR")]
    pub(crate) state_dir: Option<PathBuf>,
}

/// Colours.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Theme {
    Auto,
    Dark,
    Light,
    None,
}

/// How far a message is to get.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Wait {
    /// One tick.
    Sent,
    /// Two.
    Delivered,
    /// Blue.
    Read,
}

pub(crate) fn run(command: Command) -> Result<(), Failure> {
    let done = match command {
        Command::Chat { account, with, theme } => {
            terminal::chat(&account.into(), with, theme.into())
        }
        Command::Send {
            account,
            to,
            text,
            flush: _,
            content_type,
            reply_to,
            ttl,
            wait,
            timeout,
            verbose,
        } => {
            let (ttl, timeout) = (ttl.map(Duration::from_secs), Duration::from_secs(timeout));
            let until = wait.into();
            let send = Send { to, text, content_type, reply_to, ttl, until, timeout, verbose };
            terminal::send(&account.into(), send)
        }
        Command::Listen { account, only, json, own, all, read, count } => {
            terminal::listen(&account.into(), &Listen { json, only, own, all, read, count })
        }
        Command::History { account, chat, limit, before, json, timeout } => {
            let timeout = Duration::from_secs(timeout);
            let history = ReadHistory { chat, limit, before, json, timeout };
            terminal::history(&account.into(), &history)
        }
    };
    done.map_err(Failure::from)
}

impl From<Account> for terminal::Account {
    fn from(account: Account) -> Self {
        let Account { url, user, password, password_file, device, ca, state_dir } = account;
        Self { url, user, password, password_file, device, authorities: ca, state_dir }
    }
}

impl From<Theme> for Colours {
    fn from(theme: Theme) -> Self {
        match theme {
            Theme::Auto => Self::Auto,
            Theme::Dark => Self::Dark,
            Theme::Light => Self::Light,
            Theme::None => Self::None,
        }
    }
}

impl From<Wait> for Until {
    fn from(wait: Wait) -> Self {
        match wait {
            Wait::Sent => Self::Sent,
            Wait::Delivered => Self::Delivered,
            Wait::Read => Self::Read,
        }
    }
}

impl From<terminal::Failure> for Failure {
    fn from(failure: terminal::Failure) -> Self {
        match failure {
            terminal::Failure::Usage(text) => Self::Configuration(text),
            terminal::Failure::Queued(text) => Self::Queued(text),
            terminal::Failure::Refused(text) => Self::Refused(text),
            terminal::Failure::Unconfirmed(text) => Self::Unconfirmed(text),
            terminal::Failure::OutputClosed => Self::OutputClosed,
            terminal::Failure::Other(text) => Self::Other(text),
        }
    }
}
