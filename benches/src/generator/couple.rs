//! Two users who write to each other at a steady pace while something else is measured, or done to the server.

use std::time::{Duration, Instant};

use crate::error::{Deadline, Error};
use crate::generator::blocking::Blocking;
use crate::generator::message::{Body, Ids, body_index};
use crate::generator::wire::Packet;
use crate::peers::server::Server;
use crate::peers::{client, send_topic};
use crate::settings::{Settings, WINDOW};

/// Time from one message to the next: their own load is not the question.
const PACE: Duration = Duration::from_millis(5);

/// What a message took, from the PUBLISH on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Said {
    /// Until the PUBACK.
    pub(crate) acked: Duration,
    /// Until it was acknowledged and the other one had it.
    pub(crate) received: Duration,
}

/// Both of them: one writes, the other receives.
pub(crate) struct Couple {
    writer: Blocking,
    reader: Blocking,
    with_id: bool,
    written: u64,
}

impl Couple {
    pub(crate) fn connect(
        server: &Server,
        settings: &Settings,
        deadline: Deadline,
    ) -> Result<Self, Error> {
        let connect = |user| {
            let deadline = deadline.clone();
            Blocking::connect(server.address(), settings.version(), &user, WINDOW, deadline)
        };
        Ok(Self {
            writer: connect(client("writer".into(), vec!["me/errors".into()]))?,
            reader: connect(client("reader".into(), vec!["chats/+/messages".into()]))?,
            with_id: !settings.no_id,
            written: 0,
        })
    }

    /// Writes a message at each beat for as long as `more` wants one, which is told how many there were.
    pub(crate) fn write(
        &mut self,
        mut more: impl FnMut(usize) -> bool,
    ) -> Result<Vec<Said>, Error> {
        let (mut body, mut ids) = (Body::default(), Ids::default());
        let base = send_topic("reader", self.with_id);
        let mut said = Vec::new();
        while more(said.len()) {
            let mut topic = base.clone();
            if self.with_id {
                ids.tick();
                ids.put(&mut topic);
            }
            let sent_at = Instant::now();
            let acked = self.writer.publish(&topic, body.fill(self.written, false))?;
            let (packet_id, index) = match self.reader.receive("a message")? {
                Packet::Publish { packet_id, payload, .. } => (packet_id, body_index(payload)),
                other => return Err(Error::Wrong(format!("{other:?} in place of a message"))),
            };
            said.push(Said { acked, received: sent_at.elapsed() });
            if index.map(|(index, _)| index) != Some(self.written) {
                return Err(Error::Wrong(format!("{index:?} in place of {}", self.written)));
            }
            self.reader.acknowledge(packet_id)?;
            self.written += 1;
            // Time itself is what is waited for here.
            std::thread::sleep(PACE.saturating_sub(sent_at.elapsed()));
        }
        Ok(said)
    }
}
