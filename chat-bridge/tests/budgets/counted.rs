//! A store and a socket that count what is asked of them.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bluetick_bridge::store::{Kv, KvBatch, StoreError, Table, Visit};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

use super::cost::Counters;

/// A store that counts its calls: `store/rocks.rs` makes one call of RocksDB of each.
pub(crate) struct CountedKv {
    pub(crate) inner: Arc<dyn Kv>,
    pub(crate) counters: Arc<Counters>,
}

impl Kv for CountedKv {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Counters::add(&self.counters.gets, 1);
        self.inner.get(table, key)
    }

    fn scan(
        &self,
        table: Table,
        from: &[u8],
        to: &[u8],
        each: &mut Visit<'_>,
    ) -> Result<(), StoreError> {
        Counters::add(&self.counters.scans, 1);
        self.inner.scan(table, from, to, each)
    }

    fn commit(&self, batch: &KvBatch) -> Result<(), StoreError> {
        Counters::add(&self.counters.commits, 1);
        Counters::add(&self.counters.records, batch.len());
        self.inner.commit(batch)
    }

    fn drop_overwritten(&self, ranges: &[(Table, Vec<u8>, Vec<u8>)]) -> Result<(), StoreError> {
        self.inner.drop_overwritten(ranges)
    }

    fn recover(&self) -> Result<(), StoreError> {
        self.inner.recover()
    }
}

/// The server's end of a pipe. Each read that gives something and each write would be a system call on
/// a socket; a read that gives nothing would not be made, as the runtime knows of the socket.
pub(crate) struct CountedStream {
    pub(crate) inner: DuplexStream,
    pub(crate) counters: Arc<Counters>,
}

impl AsyncRead for CountedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.inner).poll_read(context, buffer))?;
        Counters::add(&self.counters.reads, 1);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for CountedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Counters::add(&self.counters.writes, 1);
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}
