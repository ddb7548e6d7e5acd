//! What a device is sent: written down, and acknowledged later.

use bluetick_checker::Event;
use bluetick_protocol::compact::{DeliveryTopic, Message};
use bluetick_protocol::{MessageId, MessageRef, UserId};
use serde_json::Value;

use super::{Delivered, Device, SEEN_MAX, Seen};
use crate::requests;

impl Device {
    fn membership(&self, chat: &str, seq: u64, from: &str, event: &Value) {
        let kind = event.get("kind").and_then(Value::as_str);
        let members = event.get("members").and_then(Value::as_array);
        let members = members.into_iter().flatten().filter_map(Value::as_str);
        let say = |user: &str, joins| self.record.membership(chat, user, seq, joins);
        match kind {
            Some("added") => members.for_each(|user| say(user, true)),
            Some("removed") => members.for_each(|user| say(user, false)),
            Some("left") => say(from, false),
            _ => {}
        }
    }

    /// What was sent, as JSON says it.
    fn told(&mut self, topic: &str, payload: &[u8]) -> Result<Value, String> {
        let wrong = |error: &dyn std::fmt::Display| format!("{topic} {payload:02x?}: {error}");
        let reader = UserId::try_from(self.plan.user.as_str()).map_err(|error| wrong(&error))?;
        let json = match DeliveryTopic::parse(topic) {
            Ok(DeliveryTopic::MessageDifference { chat }) => {
                let message = self.heard.message(&chat, &reader, payload);
                return Ok(json(&message.map_err(|error| wrong(&error))?));
            }
            Ok(DeliveryTopic::ReceiptDifference { chat }) => {
                let receipt = self.heard.receipt(&chat, &reader, payload);
                receipt.map_err(|error| wrong(&error))?.to_json()
            }
            _ => payload.to_vec(),
        };
        Ok(serde_json::from_slice(&json).unwrap_or_default())
    }

    pub(super) fn delivered(
        &mut self,
        qos: u8,
        packet_id: u16,
        topic: &str,
        payload: &[u8],
    ) -> Result<(), String> {
        let (user, device) = self.names();
        let json = self.told(topic, payload)?;
        let number = |name: &str| json.get(name).and_then(Value::as_u64);
        let text = |name: &str| json.get(name).and_then(Value::as_str).map(str::to_owned);
        let chat = text("chat").unwrap_or_default();
        let mut of_chat = None;
        if topic.ends_with("/messages") || topic.ends_with("/m/d") {
            let seq = number("seq").unwrap_or_default();
            let from = text("from").unwrap_or_default();
            let event = json.get("event");
            let deleted = json.get("deleted").is_some();
            let amends = requests::amends(&json);
            // What is said of a message that does not last goes with it, and is not to be missed here.
            let lasts = json.get("expires_at").is_none();
            if event.is_none() && amends.is_none() && lasts {
                self.seen.push_back(Seen { chat: chat.clone(), seq, from: from.clone() });
                if self.seen.len() > SEEN_MAX {
                    self.seen.pop_front();
                }
            }
            if let Some(event) = event {
                self.membership(&chat, seq, &from, event);
            }
            self.record.push(Event::Received {
                user,
                device,
                chat: chat.clone(),
                seq,
                id: text("id"),
                from,
                // What an event says has to be the same for everybody, too.
                body: event.map(Value::to_string).or_else(|| text("body")),
                amends,
                deleted,
                after: number("after"),
                qos,
            });
            let highest = self.highest.entry(chat.clone()).or_default();
            *highest = seq.max(*highest);
            of_chat = Some((chat, seq));
        } else if topic.ends_with("/receipts") || topic.ends_with("/r/d") {
            self.record.push(Event::Receipt {
                user,
                device,
                chat,
                of: text("user").unwrap_or_default(),
                delivered: number("delivered").unwrap_or_default(),
                read: number("read").unwrap_or_default(),
            });
        } else if topic.ends_with("/presence") {
            self.record.push(Event::Presence {
                user,
                device,
                of: text("user").unwrap_or_default(),
                online: json.get("online").and_then(Value::as_bool).unwrap_or_default(),
                last_seen: number("last_seen"),
            });
        } else if let Some(request) = topic.strip_prefix("me/replies/r") {
            let no = request.parse().unwrap_or_default();
            for event in self.requests.answered(no, &user, &device, &json) {
                self.record.push(event);
            }
        } else if topic == "me/errors" {
            let id = number("packet_id").and_then(|id| u16::try_from(id).ok()).unwrap_or_default();
            let code = number("code").and_then(|code| u8::try_from(code).ok()).unwrap_or_default();
            if let Some(tag) = self.acknowledged.get(&id).copied() {
                self.record.push(Event::Refused { user, device, tag, code });
            }
        }
        if qos > 0 {
            self.to_ack.push_back(Delivered { chat: of_chat, qos, packet_id });
        }
        Ok(())
    }
}

/// A message as JSON says it, but for its id where it was not told.
fn json(message: &Message) -> Value {
    let untold = MessageId::from_bytes([0xFF; 16]).expect("some id");
    let id = message.id.unwrap_or(untold);
    let Message { chat, seq, from, at_ms, .. } = message;
    let json = MessageRef {
        body: message.body.as_deref(),
        reply_to: message.reply_to,
        mentions: &message.mentions,
        expires_at_ms: message.expires_at_ms,
        edit_of: message.edit_of,
        delete_of: message.delete_of,
        react_to: message.react_to,
        event: message.event.as_ref(),
        deleted: message.deleted,
        omitted_bytes: message.omitted_bytes,
        after: message.after,
        ..MessageRef::new(chat, *seq, id, from, *at_ms, &message.content_type)
    };
    let mut out = Vec::new();
    json.write_json(&mut out);
    let mut json: Value = serde_json::from_slice(&out).expect("JSON");
    if let (None, Some(keys)) = (message.id, json.as_object_mut()) {
        keys.remove("id");
    }
    json
}
