//! How a connection ends.

use std::io;

use crate::packet::Reason;
use crate::session::Close;

/// Whether the client is to blame for an end with this reason.
pub(super) fn is_clients_fault(reason: Reason) -> bool {
    ![
        Reason::SESSION_TAKEN_OVER,
        Reason::SERVER_SHUTTING_DOWN,
        Reason::USE_ANOTHER_SERVER,
        Reason::SERVER_UNAVAILABLE,
        Reason::KEEP_ALIVE_TIMEOUT,
        Reason::ADMINISTRATIVE_ACTION,
    ]
    .contains(&reason)
}

/// Why a connection ended.
pub(super) enum Ended {
    Closed(Close),
    Lost(io::Error),
}

impl From<io::Error> for Ended {
    fn from(error: io::Error) -> Self {
        Self::Lost(error)
    }
}

impl From<Close> for Ended {
    fn from(close: Close) -> Self {
        Self::Closed(close)
    }
}
