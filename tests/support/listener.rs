//! A client over rumqttc that stays connected, asks and listens.

use std::collections::VecDeque;
use std::time::Instant;

use rumqttc::{Client, Connection, Event, MqttOptions, Outgoing, Packet, QoS, SubscribeReasonCode};
use serde_json::Value;

use super::{PATIENCE, Server, asyncapi};

/// A device of a user. Dropped, its connection is lost: only [`Listener::goodbye`] disconnects.
pub(crate) struct Listener {
    client: Client,
    connection: Connection,
    /// Messages that have come and were not asked for yet.
    heard: VecDeque<(String, Value)>,
    requests: u32,
    user: String,
}

impl Listener {
    /// Connects, with a clean session.
    pub(crate) fn connect(server: &Server, user: &str, device: &str) -> Self {
        let address = server.address();
        let mut options = MqttOptions::new(device, address.ip().to_string(), address.port());
        options.set_credentials(user, "password").set_keep_alive(PATIENCE);
        options.set_max_packet_size(1 << 20, 1 << 20);
        let (client, connection) = Client::new(options, 16);
        let mut listener =
            Self { client, connection, heard: VecDeque::new(), requests: 0, user: user.to_owned() };
        listener.wait_for("CONNACK", |event| {
            matches!(event, Event::Incoming(Packet::ConnAck(_))).then_some(())
        });
        listener
    }

    /// Subscribes at QoS 1; whether it was granted.
    pub(crate) fn subscribe(&mut self, filter: &str) -> bool {
        self.client.subscribe(filter, QoS::AtLeastOnce).expect("queued");
        self.wait_for("SUBACK", |event| match event {
            Event::Incoming(Packet::SubAck(ack)) => {
                Some(!ack.return_codes.contains(&SubscribeReasonCode::Failure))
            }
            _ => None,
        })
    }

    /// Publishes at QoS 1 and waits for the PUBACK.
    pub(crate) fn publish(&mut self, topic: &str, body: &str) {
        self.client.publish(topic, QoS::AtLeastOnce, false, body).expect("queued");
        self.wait_for("PUBACK", |event| {
            matches!(event, Event::Incoming(Packet::PubAck(_))).then_some(())
        });
    }

    /// The next message: its topic and what it says.
    pub(crate) fn next(&mut self) -> (String, Value) {
        while self.heard.is_empty() {
            self.wait_for("a message", |event| {
                matches!(event, Event::Incoming(Packet::Publish(_))).then_some(())
            });
        }
        self.heard.pop_front().expect("there is one")
    }

    /// What has come and was not asked for with [`Listener::next`] yet.
    pub(crate) fn unread(&self) -> &VecDeque<(String, Value)> {
        &self.heard
    }

    /// Asks and gets the answer; what comes before it is for [`Listener::next`].
    pub(crate) fn request(&mut self, method: &str, arguments: &str) -> Value {
        if self.requests == 0 {
            assert!(self.subscribe("me/replies/+"));
        }
        self.requests += 1;
        let id = format!("{}-{}", self.user, self.requests);
        let topic = format!("rpc/{method}/{id}");
        self.client.publish(topic, QoS::AtLeastOnce, false, arguments).expect("queued");
        let reply = format!("me/replies/{id}");
        self.wait_for(&reply, |event| match event {
            Event::Incoming(Packet::Publish(publish)) => (publish.topic == reply).then_some(()),
            _ => None,
        });
        let (topic, answer) = self.heard.pop_back().expect("it has just come");
        assert_eq!(topic, reply);
        answer
    }

    /// Says goodbye: DISCONNECT.
    pub(crate) fn goodbye(mut self) {
        self.client.disconnect().expect("queued");
        self.wait_for("the DISCONNECT to go out", |event| {
            matches!(event, Event::Outgoing(Outgoing::Disconnect)).then_some(())
        });
    }

    fn wait_for<T>(&mut self, what: &str, mut found: impl FnMut(&Event) -> Option<T>) -> T {
        let started = Instant::now();
        loop {
            let left = PATIENCE.saturating_sub(started.elapsed());
            let event = self.connection.recv_timeout(left);
            let event = match event {
                Ok(Ok(event)) => event,
                Ok(Err(error)) => panic!("{}: {what}: {error}", self.user),
                Err(_) => panic!("{} waits for {what}", self.user),
            };
            if let Event::Incoming(Packet::Publish(publish)) = &event {
                asyncapi::heard(&publish.topic, &publish.payload);
                let said = serde_json::from_slice(&publish.payload).expect("JSON");
                self.heard.push_back((publish.topic.clone(), said));
            }
            if let Some(found) = found(&event) {
                return found;
            }
        }
    }
}
