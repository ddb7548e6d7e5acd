//! Connections in memory, which break as those of a network do.

use std::cell::Cell;
use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use fastrand::Rng;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::sync::Notify;
use tokio::time::{Instant, Sleep, sleep};

/// The longest that a bad wire takes.
const LATENCY_MAX: Duration = Duration::from_millis(100);

/// How much is on a bad wire at most, bytes.
const UNDER_WAY_MAX: usize = 4096;

/// How long a bad wire holds at most.
const LIFE_MAX: Duration = Duration::from_secs(2);

/// After so long all wires are good enough that everything comes to its end.
const BAD_FOR: Duration = Duration::from_secs(14);

/// What is between clients and server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(dead_code, reason = "not every test needs both")]
pub(crate) enum Wire {
    /// What the server sends is there at once: none is lost unless one of both ends dies just then.
    Instant,
    /// It takes a while, and the wire breaks by itself, also when nobody does anything any more.
    /// What is under way is lost then, and may be the last of its kind.
    Bad,
}

impl Wire {
    /// The latencies and the end of connection number `no`, made when the run is `age` old.
    pub(crate) fn trouble(self, no: u64, age: Duration) -> Option<Trouble> {
        if self == Self::Instant {
            return None;
        }
        let mut random = Rng::with_seed(no);
        let life = LIFE_MAX.mul_f64(random.f64());
        let breaks = (age < BAD_FOR).then(|| Box::pin(sleep(life)));
        let timer = Box::pin(sleep(Duration::ZERO));
        Some(Trouble { random, breaks, under_way: VecDeque::new(), bytes: 0, ended: false, timer })
    }
}

/// Whether a server is dead: its connections end then, in the order they were made.
#[derive(Default)]
pub(crate) struct Killed {
    dead: Cell<bool>,
    told: Notify,
}

impl Killed {
    pub(crate) fn kill(&self) {
        self.dead.set(true);
        self.told.notify_waiters();
    }
}

/// A connection that ends when its server is killed, with whatever was under way.
pub(crate) struct SimStream {
    inner: DuplexStream,
    killed: Rc<Killed>,
    told: Pin<Box<dyn Future<Output = ()>>>,
    trouble: Option<Trouble>,
}

impl SimStream {
    pub(crate) fn new(inner: DuplexStream, killed: Rc<Killed>, trouble: Option<Trouble>) -> Self {
        let told = Box::pin({
            let killed = killed.clone();
            async move { killed.told.notified().await }
        });
        Self { inner, killed, told, trouble }
    }

    fn check(&mut self, context: &mut Context<'_>) -> bool {
        let breaks = self.trouble.as_mut().and_then(|trouble| trouble.breaks.as_mut());
        self.killed.dead.get()
            || self.told.as_mut().poll(context).is_ready()
            || breaks.is_some_and(|breaks| breaks.as_mut().poll(context).is_ready())
    }
}

impl AsyncRead for SimStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.check(context) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let Self { inner, trouble, .. } = &mut *self;
        match trouble {
            Some(trouble) => trouble.poll_read(inner, context, buffer),
            None => Pin::new(inner).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for SimStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.check(context) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

/// A bad wire: what has been sent and has not arrived, and when it breaks.
pub(crate) struct Trouble {
    random: Rng,
    breaks: Option<Pin<Box<Sleep>>>,
    /// With the time of its arrival, which does not fall.
    under_way: VecDeque<(Instant, Vec<u8>)>,
    bytes: usize,
    ended: bool,
    timer: Pin<Box<Sleep>>,
}

impl Trouble {
    fn poll_read(
        &mut self,
        inner: &mut DuplexStream,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.take_in(inner, context)?;
        let Some((at, _)) = self.under_way.front() else {
            return if self.ended { Poll::Ready(Ok(())) } else { Poll::Pending };
        };
        if self.timer.deadline() != *at {
            self.timer.as_mut().reset(*at);
        }
        ready!(self.timer.as_mut().poll(context));
        if let Some((at, mut bytes)) = self.under_way.pop_front() {
            let rest = bytes.split_off(bytes.len().min(buffer.remaining()));
            buffer.put_slice(&bytes);
            self.bytes -= bytes.len();
            if !rest.is_empty() {
                self.under_way.push_front((at, rest));
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Takes what the server has sent onto the wire.
    fn take_in(&mut self, inner: &mut DuplexStream, context: &mut Context<'_>) -> io::Result<()> {
        while !self.ended && self.bytes < UNDER_WAY_MAX {
            let mut bytes = [0; 256];
            let mut some = ReadBuf::new(&mut bytes);
            match Pin::new(&mut *inner).poll_read(context, &mut some) {
                Poll::Pending => break,
                Poll::Ready(read) => read?,
            }
            self.ended = some.filled().is_empty();
            if self.ended {
                break;
            }
            let earliest = self.under_way.back().map_or_else(Instant::now, |(at, _)| *at);
            let at = earliest.max(Instant::now() + LATENCY_MAX.mul_f64(self.random.f64()));
            self.bytes += some.filled().len();
            self.under_way.push_back((at, some.filled().to_vec()));
        }
        Ok(())
    }
}
