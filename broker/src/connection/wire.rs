//! The socket.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

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
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    /// Reads what there is, at most [`READ_BYTES`]; 0 is the end.
    ///
    /// # Cancel safety
    /// What was read is in the inbox; nothing is lost.
    pub(super) async fn read(&mut self) -> io::Result<usize> {
        poll_fn(|context| self.poll_read(context)).await
    }

    /// Waits until something was read (if `read`) or written (if there is something to write).
    ///
    /// # Cancel safety
    /// What was read is in the inbox, what was written is removed from `transmit`.
    pub(super) async fn wait(&mut self, read: bool, transmit: &mut Vec<u8>) -> io::Result<Moved> {
        poll_fn(|context| {
            let mut moved = Moved { read: 0, written: 0 };
            if !transmit.is_empty() {
                match Pin::new(&mut self.stream).poll_write(context, transmit) {
                    Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    Poll::Ready(Ok(written)) => {
                        transmit.drain(..written);
                        moved.written = written;
                    }
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending => {}
                }
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
        })
        .await
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
