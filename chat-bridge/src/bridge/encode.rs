//! Entries and watermarks as MQTT messages. An entry is encoded once for all who get it.

use std::cell::RefCell;
use std::sync::{Arc, OnceLock};

use bluetick_broker::Message;
use bluetick_broker::packet::PublishProperties;
use bluetick_protocol::compact::{LastMessage, LastReceipt};
use bluetick_protocol::{
    ChatId, MessageRef, Presence, Receipt, ReceiptCount, Refusal, SendAck, Seq, Typing, UserId,
    compact, messages_topic, presence_topic, receipts_topic, typing_topic,
};
use bytes::Bytes;

use crate::delivery::{Form, IsTyping};
use crate::engine::{Amends, Entry, Millis};

/// Room that a PUBLISH takes beside topic and payload, at most: header, length, packet id,
/// properties of ours.
const PACKET_OVERHEAD_BYTES: usize = 32;

/// What a thread's buffer keeps, bytes.
const SCRATCH_BYTES_MAX: usize = 64 << 10;

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    static RECENT_TOPIC: RefCell<Option<(ChatId, Arc<str>)>> = const { RefCell::new(None) };
}

/// An entry as a member's device gets it.
pub(super) struct Outgoing<'a> {
    pub(super) chat: &'a ChatId,
    pub(super) from: &'a UserId,
    pub(super) entry: &'a Entry,
    pub(super) after: Option<Seq>,
    pub(super) form: Form,
    /// For whom.
    pub(super) reader: &'a UserId,
    /// What a difference is told from; without, it is told as a map.
    pub(super) last: Option<LastMessage>,
}

/// An entry's encodings, each made when the first one needs it.
#[derive(Default)]
struct Encoded {
    json: OnceLock<Arc<Message>>,
    compact: OnceLock<Arc<Message>>,
}

impl Outgoing<'_> {
    /// The message for a device that takes packets of `max_packet_bytes`.
    pub(super) fn message(&self, max_packet_bytes: usize, now: Millis) -> Arc<Message> {
        // With a lifetime the seconds left are part of the packet; with `after` it is for one device, as
        // differences are; in the compact dialect authors are told the id: none of these is shared.
        let shared = self.after.is_none()
            && self.entry.expires_at_ms.is_none()
            && match self.form {
                Form::Json => true,
                Form::Compact => self.reader != self.from,
                Form::Differences => false,
            };
        let encode = || Arc::new(self.encode(None, now));
        let message = if shared {
            let encoded = self.entry.derived.get_or_init(|| Arc::new(Encoded::default()));
            let json = self.form == Form::Json;
            let place = if json { &encoded.json } else { &encoded.compact };
            place.get_or_init(encode).clone()
        } else {
            encode()
        };
        if fits(&message, max_packet_bytes) {
            return message;
        }
        // An event has no body: what is left out is what it says.
        let omitted = match self.entry.event {
            Some(_) => message.payload().len(),
            None => self.entry.body.len(),
        };
        Arc::new(self.encode(Some(omitted as u64), now))
    }

    fn encode(&self, omitted_bytes: Option<u64>, now: Millis) -> Message {
        let entry = self.entry;
        let mut payload = message_ref(self.chat, self.from, entry);
        payload.after = self.after;
        if omitted_bytes.is_some() {
            (payload.body, payload.event) = (None, None);
            payload.omitted_bytes = omitted_bytes;
        }
        // Put together in a buffer that is kept, copied where it has just the room it takes.
        let bytes = SCRATCH.with_borrow_mut(|out| {
            out.clear();
            out.shrink_to(SCRATCH_BYTES_MAX);
            match self.form {
                Form::Json => payload.write_json(out),
                Form::Compact => payload.write_compact(self.reader, out),
                Form::Differences => {
                    let last = self.last;
                    if !last.is_some_and(|last| payload.write_difference(last, self.reader, out)) {
                        payload.write_compact(self.reader, out);
                    }
                }
            }
            Bytes::copy_from_slice(out)
        });
        let topic = match self.form {
            Form::Json => recent_messages_topic(self.chat),
            Form::Compact => compact::messages_topic(self.chat).into(),
            Form::Differences => compact::message_differences_topic(self.chat).into(),
        };
        let left_ms = entry.expires_at_ms.map(|at| at.saturating_sub(now));
        let properties = PublishProperties {
            message_expiry_s: left_ms.and_then(|ms| u32::try_from(ms.div_ceil(1000)).ok()),
            ..PublishProperties::default()
        };
        Message::new(topic, bytes, &properties, false)
    }
}

/// The topic of a chat's messages. Whoever encodes many at once mostly has them of one chat.
fn recent_messages_topic(chat: &ChatId) -> Arc<str> {
    RECENT_TOPIC.with_borrow_mut(|recent| match recent {
        Some((of, topic)) if of == chat => topic.clone(),
        _ => {
            let topic: Arc<str> = messages_topic(chat).into();
            *recent = Some((chat.clone(), topic.clone()));
            topic
        }
    })
}

/// Whether a client that takes packets of `max_packet_bytes` takes the message.
pub(super) fn fits(message: &Message, max_packet_bytes: usize) -> bool {
    message.topic().len() + message.payload().len() + PACKET_OVERHEAD_BYTES <= max_packet_bytes
}

/// An entry as its payload, as all members but those it is not for get it.
#[must_use]
pub fn message_ref<'a>(chat: &'a ChatId, from: &'a UserId, entry: &'a Entry) -> MessageRef<'a> {
    let content_type = entry.content_type.as_str();
    let (edit_of, delete_of, react_to) = match entry.amends {
        None => (None, None, None),
        Some(Amends::Edit(seq)) => (Some(seq), None, None),
        Some(Amends::Delete(seq)) => (None, Some(seq), None),
        Some(Amends::React(seq)) => (None, None, Some(seq)),
    };
    let has_body = entry.event.is_none() && delete_of.is_none() && !entry.deleted;
    MessageRef {
        body: has_body.then_some(&entry.body[..]),
        reply_to: entry.reply_to,
        mentions: &entry.mentions,
        expires_at_ms: entry.expires_at_ms,
        edit_of,
        delete_of,
        react_to,
        event: entry.event.as_ref(),
        deleted: entry.deleted,
        ..MessageRef::new(chat, entry.seq, entry.id, from, entry.at_ms, content_type)
    }
}

/// A receipt, for `reader`; as a difference to `last`, where it is told so.
pub(super) fn receipt(
    receipt: &Receipt,
    form: Form,
    reader: &UserId,
    last: Option<LastReceipt>,
) -> Arc<Message> {
    let chat = &receipt.chat;
    if form == Form::Json {
        return plain(receipts_topic(chat), receipt.to_json());
    }
    let mut out = Vec::new();
    if !last.is_some_and(|last| receipt.write_difference(last, reader, &mut out)) {
        receipt.write_compact(reader, &mut out);
    }
    plain(compact_receipts_topic(chat, form), out)
}

/// How many have the author's newest message.
pub(super) fn receipt_count(count: &ReceiptCount, form: Form) -> Arc<Message> {
    if form == Form::Json {
        return plain(receipts_topic(&count.chat), count.to_json());
    }
    let mut out = Vec::new();
    count.write_compact(&mut out);
    plain(compact_receipts_topic(&count.chat, form), out)
}

fn compact_receipts_topic(chat: &ChatId, form: Form) -> String {
    match form {
        Form::Differences => compact::receipt_differences_topic(chat),
        Form::Json | Form::Compact => compact::receipts_topic(chat),
    }
}

/// That somebody is typing, or no longer, for `reader`.
pub(super) fn typing(typing: IsTyping, reader: &UserId) -> Arc<Message> {
    let IsTyping { chat, user, typing, form } = typing;
    if form == Form::Json {
        let topic = typing_topic(&chat);
        return plain(topic, Typing { chat, user, typing }.to_json());
    }
    let mut out = Vec::new();
    let notice = compact::TypingNotice { chat, user, typing };
    notice.write_compact(reader, &mut out);
    plain(compact::typing_topic(&notice.chat), out)
}

/// Whether somebody is there.
pub(super) fn presence(presence: &Presence) -> Arc<Message> {
    plain(presence_topic(&presence.user), presence.to_json())
}

/// What the sender is told of a message that is stored.
pub(super) fn ack(ack: &SendAck) -> Arc<Message> {
    plain(bluetick_protocol::ACKS_TOPIC.to_owned(), ack.to_json())
}

/// What a client is told of a request that is refused.
pub(super) fn refusal(refusal: &Refusal) -> Arc<Message> {
    plain(bluetick_protocol::ERRORS_TOPIC.to_owned(), refusal.to_json())
}

fn plain(topic: String, payload: impl Into<Bytes>) -> Arc<Message> {
    Arc::new(Message::new(topic.into(), payload.into(), &PublishProperties::default(), false))
}
