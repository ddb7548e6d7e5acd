//! What one session lends another.

use std::collections::VecDeque;

use super::Call;

/// How much of what is lent is kept: bytes to send, and calls.
const LENT_BYTES_MAX: usize = 256 * 1024;
const LENT_CALLS_MAX: usize = 1024;

/// Room for what a session has only while it has something to do: to be lent to one after the other,
/// so that one that idles owns none and one that wakes up allocates none.
#[derive(Debug, Default)]
pub struct Lent {
    pub(super) transmit: Vec<u8>,
    pub(super) calls: VecDeque<Call>,
}

impl Lent {
    /// No room yet; allocates nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self { transmit: Vec::new(), calls: VecDeque::new() }
    }

    /// Whether it is of the size that most need, and worth to be kept for the next.
    #[must_use]
    pub fn is_of_use(&self) -> bool {
        let (bytes, calls) = (self.transmit.capacity(), self.calls.capacity());
        bytes <= LENT_BYTES_MAX && calls <= LENT_CALLS_MAX
    }
}
