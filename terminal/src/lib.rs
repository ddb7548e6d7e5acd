//! bluetick in a terminal, on the SDK: a full screen for people ([`chat`]), and commands for scripts and bots
//! ([`send`], [`listen`], [`history`]).
//!
//! `app` is the state of the screen, without I/O and clock: what happens goes in, what is to be done comes
//! out. `view` makes a screen of it, `keys` says what each key does, `session` is the loop between the
//! terminal, the state and the SDK. docs/terminal.md is the guide.

mod account;
mod app;
mod cache;
mod commands;
mod input;
mod keys;
mod screen;
#[cfg(test)]
mod screens;
mod session;
mod text;
mod theme;
mod view;
mod worker;

use std::io;

use bluetick_client::{Error, ErrorKind};

pub use account::Account;
pub use commands::{Listen, ReadHistory, Send, Until};
pub use theme::Choice as Colours;

/// Why a command ends without having done its job.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// What was asked for cannot be.
    #[error("{0}")]
    Usage(String),
    /// The message waits in the outbox on this machine: the server has it not.
    #[error("{0}")]
    Queued(String),
    /// The server refuses it, or the login. Nothing of it waits.
    #[error("{0}")]
    Refused(String),
    /// The message is sent, and was not delivered or read in time.
    #[error("{0}")]
    Unconfirmed(String),
    /// Nobody reads what is printed any more.
    #[error("standard output is closed")]
    OutputClosed,
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

impl Failure {
    pub(crate) fn other(error: impl std::fmt::Display) -> Self {
        Self::Other(error.to_string())
    }

    /// What the SDK says.
    pub(crate) fn of(error: Error) -> Self {
        let text = text::clean_line(&error.to_string());
        match error.kind() {
            ErrorKind::Invalid => Self::Usage(text),
            ErrorKind::Refused => Self::Refused(text),
            _ => Self::Other(text),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::OutputClosed,
            _ => Self::Other(error.to_string()),
        }
    }
}

/// The full screen, until the person quits; `open` names the user or chat to begin with.
///
/// # Errors
/// [`Failure::Usage`]; [`Failure::Other`]: there is no terminal, or the account's folder cannot be used.
pub fn chat(account: &Account, open: Option<String>, colours: Colours) -> Result<(), Failure> {
    run(session::chat(account, open, colours))
}

/// Sends a message; returns when the server has it, or further.
///
/// # Errors
/// All kinds but [`Failure::OutputClosed`]: see there.
pub fn send(account: &Account, send: Send) -> Result<(), Failure> {
    run(commands::send(account, send))
}

/// Prints what comes, until SIGINT or SIGTERM.
///
/// # Errors
/// [`Failure::Usage`], [`Failure::Refused`]: the login; [`Failure::OutputClosed`], [`Failure::Other`].
pub fn listen(account: &Account, listen: &Listen) -> Result<(), Failure> {
    run(commands::listen(account, listen))
}

/// Prints what was said in a chat.
///
/// # Errors
/// As [`listen`].
pub fn history(account: &Account, history: &ReadHistory) -> Result<(), Failure> {
    run(commands::history(account, history))
}

fn run(command: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let result = runtime.block_on(command);
    // A thread that waits for a lock or for standard input is not waited for.
    runtime.shutdown_background();
    result
}
