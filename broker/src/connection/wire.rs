//! The socket.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::stats::Stats;

/// Bytes read from a socket at once.
pub(super) const READ_BYTES: usize = 64 * 1024;

thread_local! {
    /// Where sockets are read into: one per thread, so that an idle connection owns no buffer.
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_BYTES].into_boxed_slice());
}

/// The socket, and bytes read from it that do not make a packet yet.
pub(super) struct Wire<S> {
    pub(super) stream: S,
    pub(super) inbox: Vec<u8>,
    /// The stream has taken bytes that it has not passed on. Plain sockets never have; TLS and
    /// WebSocket have buffers of their own.
    unflushed: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, inbox: Vec::new(), unflushed: false }
    }

    /// Reads what there is, at most [`READ_BYTES`]; 0 is the end.
    ///
    /// # Cancel safety
    /// What was read is in the inbox; nothing is lost.
    pub(super) async fn read(&mut self) -> io::Result<usize> {
        poll_fn(|context| self.poll_read(context)).await
    }

    /// Waits until something was read (if `read`) or written (if there is something to write).
    ///
    /// What was read is in the inbox, what was written is removed from `transmit`.
    pub(super) fn poll_wait(
        &mut self,
        context: &mut Context<'_>,
        read: bool,
        transmit: &mut Vec<u8>,
    ) -> Poll<io::Result<Moved>> {
        let mut moved = Moved { read: 0, written: 0 };
        if !transmit.is_empty() || self.unflushed {
            moved.written = self.write(context, transmit)?;
        }
        if read {
            match self.poll_read(context) {
                Poll::Ready(Ok(0)) => {
                    return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
                }
                Poll::Ready(Ok(read)) => moved.read = read,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {}
            }
        }
        if moved.read + moved.written > 0 { Poll::Ready(Ok(moved)) } else { Poll::Pending }
    }

    /// Writes until the socket takes no more, and removes that from `transmit`; the context is woken
    /// when it takes more again.
    pub(super) fn write(
        &mut self,
        context: &mut Context<'_>,
        transmit: &mut Vec<u8>,
    ) -> io::Result<usize> {
        let mut written = 0;
        while written < transmit.len() {
            let rest = transmit.get(written..).unwrap_or_default();
            match Pin::new(&mut self.stream).poll_write(context, rest)? {
                Poll::Ready(0) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(bytes) => written += bytes,
                Poll::Pending => break,
            }
        }
        transmit.drain(..written);
        if written > 0 || self.unflushed {
            self.unflushed = Pin::new(&mut self.stream).poll_flush(context)?.is_pending();
        }
        Ok(written)
    }

    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        SCRATCH.with_borrow_mut(|scratch| {
            let mut buffer = ReadBuf::new(scratch);
            std::task::ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer))?;
            self.inbox.extend_from_slice(buffer.filled());
            Poll::Ready(Ok(buffer.filled().len()))
        })
    }
}

/// Bytes that went in and out.
pub(super) struct Moved {
    pub(super) read: usize,
    pub(super) written: usize,
}

/// Counts what a client has done wrong below MQTT: TLS and WebSocket tell it as invalid data.
pub(super) fn count_if_malformed(stats: &Stats, error: &io::Error) {
    if error.kind() == io::ErrorKind::InvalidData {
        Stats::add(&stats.protocol_errors, 1);
    }
}
