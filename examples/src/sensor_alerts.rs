//! A thing with little memory and a narrow line: MQTT 3.1.1, few bytes, no SDK. It reads temperatures from
//! its input, a number a line, reports into a chat when one is beyond its limit, and takes commands
//! from there: `limit 30`, `now`.
//! Usage: `sensor_alerts HOST PORT USER CHAT`, such as `127.0.0.1 1883 sensor g-7k2m9x4q1zrt`.
//!
//! What makes it small is the compact dialect (docs/compact.md): a report is the text and two bytes of CBOR
//! around it. What makes it safe is a persistent session: what is commanded while it is off line
//! waits, and the server knows a PUBLISH that MQTT repeats (DUP) for what it is.

use std::error::Error;
use std::time::Duration;

use bluetick_protocol::compact::{Message, SendRef, messages_topic, send_topic};
use bluetick_protocol::{ChatId, UserId};
use rumqttc::{AsyncClient, Event, MqttOptions, Packet, QoS};
use tokio::io::{AsyncBufReadExt as _, BufReader};

/// Packets that wait to be sent.
const QUEUE_MAX: usize = 16;

/// How long after a loss the connection is tried again.
const RECONNECT: Duration = Duration::from_secs(2);

/// What it knows.
struct Sensor {
    user: UserId,
    chat: ChatId,
    limit: f64,
    last: Option<f64>,
    is_above: bool,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [host, port, user, chat] = words.as_slice() else {
        return Err("usage: sensor_alerts HOST PORT USER CHAT".into());
    };
    let (user, chat) = (UserId::try_from(user.as_str())?, ChatId::try_from(chat.as_str())?);
    let mut options = MqttOptions::new(format!("{user}-1"), host, port.parse()?);
    options.set_credentials(user.as_str(), std::env::var("PASSWORD").unwrap_or_default());
    options.set_clean_session(false).set_keep_alive(Duration::from_secs(300));
    let (mqtt, mut events) = AsyncClient::new(options, QUEUE_MAX);
    let mut sensor = Sensor { user, chat, limit: 25.0, last: None, is_above: false };
    let mut input = BufReader::new(tokio::io::stdin()).lines();
    let mut has_input = true;
    loop {
        let report = tokio::select! {
            line = input.next_line(), if has_input => match line? {
                Some(line) => sensor.measure(&line),
                None => {
                    has_input = false;
                    None
                }
            },
            event = events.poll() => match event {
                Ok(Event::Incoming(Packet::ConnAck(_))) => {
                    mqtt.try_subscribe(messages_topic(&sensor.chat), QoS::AtLeastOnce)?;
                    None
                }
                Ok(Event::Incoming(Packet::Publish(publish))) => sensor.obey(&publish.payload),
                Ok(_) => None,
                Err(error) => {
                    eprintln!("{error}");
                    tokio::time::sleep(RECONNECT).await;
                    None
                }
            },
        };
        if let Some(report) = report {
            let payload = SendRef::text(&report).to_compact();
            mqtt.try_publish(send_topic(&sensor.chat), QoS::AtLeastOnce, false, payload)?;
        }
    }
}

impl Sensor {
    /// A measurement: what is to be reported, if anything.
    fn measure(&mut self, line: &str) -> Option<String> {
        let degrees = line.trim().parse().ok()?;
        self.last = Some(degrees);
        let was_above = std::mem::replace(&mut self.is_above, degrees > self.limit);
        match (was_above, self.is_above) {
            (false, true) => Some(format!("{degrees} is above {}", self.limit)),
            (true, false) => Some(format!("{degrees} is fine again")),
            _ => None,
        }
    }

    /// A message of the chat: what is to be said to it, if it is a command.
    fn obey(&mut self, payload: &[u8]) -> Option<String> {
        let message = Message::from_compact(&self.chat, &self.user, payload).ok()?;
        if message.from == self.user {
            return None;
        }
        let body = message.body?;
        match std::str::from_utf8(&body).ok()?.split_once(' ') {
            Some(("limit", number)) => {
                self.limit = number.trim().parse().ok()?;
                Some(format!("the limit is {} now", self.limit))
            }
            None if body == b"now" => {
                Some(self.last.map_or("nothing measured yet".to_owned(), |it| it.to_string()))
            }
            _ => None,
        }
    }
}
