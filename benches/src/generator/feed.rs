//! Publishing a given list on many connections, each with a full window: how a workload makes its data.

use crate::error::{Deadline, Error};
use crate::generator::fleet::{Fleet, Traffic};
use crate::generator::message::{Body, Ids};
use crate::generator::quiet::acknowledge;
use crate::generator::wire::{Packet, Version, put_publish};
use crate::peers::Delivery;
use crate::peers::refused;
use crate::settings::{Settings, WINDOW};

/// What to publish: appends the topic of message `index` of connection `conn`, up to where an id is to follow if
/// there are ids; `false` if the connection has no such message.
pub(crate) trait List: FnMut(usize, u64, &mut Vec<u8>) -> bool {}

impl<F: FnMut(usize, u64, &mut Vec<u8>) -> bool> List for F {}

/// Publishes all of `list` and waits for every PUBACK and for `deliveries`, which are acknowledged; how many
/// messages there were.
///
/// # Errors
/// A refusal (for who is subscribed to `me/errors`), a lost connection, or the deadline.
pub(crate) fn feed(
    fleet: &mut Fleet,
    connections: usize,
    settings: &Settings,
    deadline: &Deadline,
    deliveries: u64,
    list: impl List,
) -> Result<u64, Error> {
    let mut feed = Feed {
        version: settings.version(),
        with_id: !settings.no_id,
        list,
        next: vec![0; connections],
        sent: 0,
        acked: 0,
        delivered: 0,
        body: Body::default(),
        ids: Ids::default(),
        topic: Vec::new(),
    };
    for conn in 0..connections {
        let out = fleet.out(conn);
        for _ in 0..WINDOW {
            feed.send(conn, out);
        }
    }
    fleet.flush()?;
    while feed.acked < feed.sent || feed.delivered < deliveries {
        deadline.check(|| {
            format!(
                "{} PUBACKs of {} messages and {} deliveries of {deliveries}",
                feed.sent - feed.acked,
                feed.sent,
                deliveries.saturating_sub(feed.delivered)
            )
        })?;
        feed.ids.tick();
        fleet.turn(deadline.left(), &mut feed)?;
    }
    Ok(feed.sent)
}

struct Feed<L> {
    version: Version,
    with_id: bool,
    list: L,
    next: Vec<u64>,
    sent: u64,
    acked: u64,
    delivered: u64,
    body: Body,
    ids: Ids,
    topic: Vec<u8>,
}

impl<L: List> Feed<L> {
    fn send(&mut self, conn: usize, out: &mut Vec<u8>) {
        let index = self.next[conn];
        self.topic.clear();
        if !(self.list)(conn, index, &mut self.topic) {
            return;
        }
        if self.with_id {
            self.ids.put(&mut self.topic);
        }
        let packet_id = (index % u64::from(u16::MAX)) as u16 + 1;
        put_publish(out, self.version, &self.topic, packet_id, self.body.fill(index, false));
        self.next[conn] += 1;
        self.sent += 1;
    }
}

impl<L: List> Traffic for Feed<L> {
    fn handle_packet(
        &mut self,
        conn: usize,
        packet: &Packet<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        match *packet {
            Packet::PubAck { reason: 0, .. } => {
                self.acked += 1;
                self.send(conn, out);
                Ok(())
            }
            Packet::Publish { topic, payload, .. } if Delivery::of(topic) == Delivery::Refusal => {
                Err(refused(payload))
            }
            Packet::Publish { packet_id, .. } => {
                self.delivered += 1;
                acknowledge(packet_id, out)
            }
            ref other => Err(Error::Wrong(format!("connection {conn}: {other:?}"))),
        }
    }
}
