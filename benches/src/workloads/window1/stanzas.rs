//! The same with a chat server: until stream management says that the message was handled.

use std::time::{Duration, Instant};

use super::{DRAIN_LIMIT, MESSAGES, WARM_UP};
use crate::error::{Deadline, Error};
use crate::generator::message::{Body, body_index};
use crate::generator::xmpp::fleet::{Fleet, Side, Traffic};
use crate::generator::xmpp::stanza::{Id, Stanza};
use crate::peers::Peer;
use crate::peers::server::Server;
use crate::settings::Settings;

const SENDER: usize = 0;
const RECEIVER: usize = 1;

/// The time from each write to its acknowledgement.
pub(super) fn drive(
    server: &Server,
    peer: Peer,
    register: bool,
    settings: &Settings,
) -> Result<Vec<Duration>, Error> {
    let deadline =
        Deadline::new(format!("window1 against {}", peer.name()), settings.time() + DRAIN_LIMIT);
    let users = ["s0", "r0"].map(str::to_owned);
    let mut fleet = Fleet::connect(server.address(), &users, register, &deadline)?;
    let (mut couple, mut body) = (Couple::default(), Body::default());
    let mut times = Vec::new();
    let start = Instant::now();
    let messages = u64::from(settings.count(MESSAGES)) + WARM_UP;
    let mut sent = 0;
    while sent < messages && (sent < WARM_UP || start.elapsed() < settings.time()) {
        let mut side = fleet.side(SENDER);
        side.send(&users[RECEIVER], Id::of_message(sent), body.fill(sent, false));
        side.ask();
        let sent_at = Instant::now();
        fleet.flush()?;
        sent += 1;
        couple.acked_at = None;
        let acked_at = loop {
            if let Some(acked_at) = couple.acked_at {
                break acked_at;
            }
            deadline.check(|| "an acknowledgement".into())?;
            fleet.turn(deadline.left(), &mut couple)?;
        };
        if sent > WARM_UP {
            times.push(acked_at - sent_at);
        }
    }
    while couple.received < sent || couple.receipts < sent {
        deadline.check(|| {
            let [missing, receipts] = [couple.received, couple.receipts].map(|got| sent - got);
            format!("{missing} deliveries and {receipts} receipts of {sent} messages")
        })?;
        fleet.turn(deadline.left(), &mut couple)?;
    }
    fleet.close()?;
    Ok(times)
}

#[derive(Default)]
struct Couple {
    acked_at: Option<Instant>,
    received: u64,
    receipts: u64,
}

impl Traffic for Couple {
    fn handle_stanza(
        &mut self,
        conn: usize,
        stanza: &Stanza<'_>,
        side: &mut Side<'_>,
    ) -> Result<(), Error> {
        match (conn, stanza) {
            (SENDER, Stanza::Ack { .. }) if side.unacked() == 0 => {
                self.acked_at = Some(Instant::now());
            }
            (SENDER, Stanza::Receipt { of }) if *of == Id::of_message(self.receipts) => {
                self.receipts += 1;
            }
            (RECEIVER, Stanza::Message { id, body })
                if body_index(body) == Some((self.received, false)) =>
            {
                side.receipt("s0", *id);
                self.received += 1;
            }
            (conn, other) => {
                return Err(Error::Wrong(format!(
                    "connection {conn}: {other:?} after {} messages and {} receipts",
                    self.received, self.receipts
                )));
            }
        }
        Ok(())
    }
}
