//! What commands print on standard output.

use std::fmt::Display;
use std::io::{self, Write as _};

use crate::Failure;

/// Prints a line.
///
/// # Errors
/// [`Failure::OutputClosed`] if nobody reads on, as behind `| head`.
pub(crate) fn line(text: impl Display) -> Result<(), Failure> {
    checked(writeln!(io::stdout(), "{text}"))
}

/// Prints bytes as they are.
///
/// # Errors
/// As [`fn@line`].
pub(crate) fn bytes(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    checked(out.write_all(bytes).and_then(|()| out.flush()))
}

fn checked(written: io::Result<()>) -> Result<(), Failure> {
    written.map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::OutputClosed,
        _ => Failure::Other(format!("cannot write to standard output: {error}")),
    })
}
