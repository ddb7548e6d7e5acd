//! What a connection costs in memory while it has nothing to do: bounds of its two parts.

use std::sync::Arc;

use tokio::net::TcpStream;

use super::driver::Driver;
use crate::host::{
    Access, Attempt, Delivery, DeliveryId, Ended, Host, HostPublish, HostSession, Open, Room,
    SessionKey, Sessions, Token,
};
use crate::mailbox::{Line, Mailbox};
use crate::packet::FilterRequest;

/// What serves a connection over TCP, beside the host's session, bytes. Whatever is rare belongs in
/// a box that is not there most of the time.
const DRIVER_BYTES_MAX: usize = 656;

/// The future of its task, bytes; most of it is the timer. With the 96 of tokio's own it is to fit
/// into 256: tokio rounds a task up to a multiple of 128.
const FUTURE_BYTES_MAX: usize = 160;

/// A mailbox, bytes: a session has one, on line or off.
const MAILBOX_BYTES_MAX: usize = 192;

/// Sizes of types are known without a value of them.
enum Nobody {}

struct NoSession;

impl Host for Nobody {
    type Session = NoSession;

    fn start(&self, _: Arc<dyn Sessions>) {}

    fn authenticate(&self, _: Attempt, _: Line) {}

    fn assign_client_id(&self) -> Arc<str> {
        match *self {}
    }

    fn owns(&self, _: &str) -> bool {
        false
    }

    fn may(&self, _: &SessionKey, _: Access, _: &str) -> bool {
        false
    }

    fn open(&self, _: Open, _: Line) -> NoSession {
        NoSession
    }

    fn will(&self, _: &SessionKey, _: HostPublish) {}

    fn end(&self, _: &SessionKey, _: u64) {}
}

impl HostSession for NoSession {
    fn publish(&mut self, _: HostPublish) {}

    fn subscribe(&mut self, _: Token, _: &FilterRequest, _: Option<u32>, _: bool) {}

    fn unsubscribe(&mut self, _: Token, _: &str) {}

    fn pull(&mut self, _: Room) -> Vec<Delivery> {
        Vec::new()
    }

    fn acked(&mut self, _: &[DeliveryId]) {}

    fn fetch(&mut self, _: &[DeliveryId]) {}

    fn close(&mut self, _: Ended) {}
}

fn bytes_of_output<A, F>(_: impl FnOnce(A) -> F) -> usize {
    size_of::<F>()
}

#[test]
fn an_idle_connection_stays_small() {
    let found = [
        ("driver", size_of::<Driver<Nobody, TcpStream>>(), DRIVER_BYTES_MAX),
        ("future", bytes_of_output(Driver::<Nobody, TcpStream>::run), FUTURE_BYTES_MAX),
        ("mailbox", size_of::<Mailbox>(), MAILBOX_BYTES_MAX),
    ];
    println!("{found:?}");
    for (what, bytes, bytes_max) in found {
        assert!(bytes <= bytes_max, "the {what} has {bytes} bytes, more than {bytes_max}");
    }
}
