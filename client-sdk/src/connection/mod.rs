//! The connection: the task that owns it, and what it knows.

mod address;
mod backoff;
mod decode;
mod driver;
mod encode;
mod incoming;
mod ledger;
mod link;
mod loss;
mod options;
mod reads;

pub(crate) use address::{Address, Scheme};
pub(crate) use driver::{Driver, Parts};
pub(crate) use options::Settings;

use bluetick_protocol::rpc::Request;
use bluetick_protocol::{ChatId, Seq};
use tokio::sync::oneshot;

use crate::error::Error;
use crate::request::Whose;

/// Commands that wait for the task; a further one waits for room.
pub(crate) const COMMANDS_MAX: usize = 64;

/// What the handles ask of the task.
#[derive(Debug)]
pub(crate) enum Command {
    Read {
        chat: ChatId,
        seq: Seq,
        answer: oneshot::Sender<Result<(), Error>>,
    },
    Typing {
        chat: ChatId,
        typing: bool,
    },
    Request(Request, Whose),
    Reconnect,
    /// Dropped when the connection has ended.
    Close(oneshot::Sender<()>),
}
