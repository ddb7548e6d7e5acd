//! The small payloads that the server publishes: receipts, acknowledgements, refusals, presence.

use serde::{Deserialize, Serialize};

use super::{PayloadError, from_object, write_value};
use crate::message_id::MessageId;
use crate::names::{ChatId, UserId};
use crate::seq::Seq;

/// How far a member got: `chats/{chat}/receipts`. Watermarks, not events: both only ever rise,
/// and `read` is never beyond `delivered`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// In which chat.
    pub chat: ChatId,
    /// Who.
    pub user: UserId,
    /// A device of his has acknowledged everything up to here.
    pub delivered: Seq,
    /// He has said that he read up to here.
    pub read: Seq,
    /// When one of the two last rose, Unix milliseconds; JSON `at`.
    #[serde(rename = "at")]
    pub at_ms: u64,
}

/// What became of a message that was sent: `me/acks`, after the PUBACK.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SendAck {
    /// In which chat.
    pub chat: ChatId,
    /// Its id: the server's where the sender gave none.
    pub id: MessageId,
    /// Its place.
    pub seq: Seq,
    /// When it was stored, Unix milliseconds; JSON `at`.
    #[serde(rename = "at")]
    pub at_ms: u64,
    /// It had been stored before; the place is the first one's.
    pub duplicate: bool,
}

/// What was refused: `me/errors`, for those whom MQTT's acknowledgement cannot tell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The topic published to.
    pub topic: String,
    /// The packet id of the PUBLISH; 0 at QoS 0, which has none.
    pub packet_id: u16,
    /// The MQTT 5 reason code.
    pub code: u8,
    /// What would have been right.
    pub message: String,
}

/// How far the members of a large group got, for the author: `chats/{chat}/receipts`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiptCount {
    /// In which chat.
    pub chat: ChatId,
    /// The author's latest message.
    pub seq: Seq,
    /// To how many members it was delivered.
    pub delivered_by: u64,
    /// How many members read it.
    pub read_by: u64,
}

/// Whether a user is there: `users/{user}/presence`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Presence {
    /// Who.
    pub user: UserId,
    /// A device of his is connected.
    pub online: bool,
    /// When one was last, Unix milliseconds; not told of one who is online. JSON `last_seen`.
    #[serde(rename = "last_seen", default, skip_serializing_if = "Option::is_none")]
    pub last_seen_ms: Option<u64>,
}

/// Whether a member types: `chats/{chat}/typing`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Typing {
    /// Where.
    pub chat: ChatId,
    /// Who.
    pub user: UserId,
    /// Whether he does.
    pub typing: bool,
}

macro_rules! json {
    ($($name:ident)*) => { $(
        impl $name {
            /// The JSON: keys in the order of the fields, no spaces.
            #[must_use]
            pub fn to_json(&self) -> Vec<u8> {
                let mut out = Vec::with_capacity(128);
                write_value(&mut out, self);
                out
            }

            /// Reads the JSON. Keys it does not know are passed over: a later server may add some.
            ///
            /// # Errors
            /// [`PayloadError`]: it is something else.
            pub fn from_json(json: &[u8]) -> Result<Self, PayloadError> {
                from_object(json)
            }
        }
    )* };
}

json!(Receipt SendAck Refusal ReceiptCount Presence Typing);

#[cfg(test)]
mod tests {
    use super::*;

    fn chat() -> ChatId {
        ChatId::try_from("alice~bob").expect("a chat")
    }

    fn text(json: &[u8]) -> &str {
        std::str::from_utf8(json).expect("JSON is text")
    }

    #[test]
    fn a_receipt_is_as_the_contract_shows_it() {
        let receipt = Receipt {
            chat: chat(),
            user: UserId::try_from("bob").expect("a user"),
            delivered: Seq(17),
            read: Seq(15),
            at_ms: 1_764_000_000_000,
        };
        let json =
            r#"{"chat":"alice~bob","user":"bob","delivered":17,"read":15,"at":1764000000000}"#;
        assert_eq!(text(&receipt.to_json()), json);
        assert_eq!(Receipt::from_json(json.as_bytes()), Ok(receipt));
    }

    #[test]
    fn an_ack_is_as_the_contract_shows_it() {
        let id = MessageId::try_from("0193a5f0-1c2b-7d3e-8f4a-5b6c7d8e9f00").expect("an id");
        let ack =
            SendAck { chat: chat(), id, seq: Seq(7), at_ms: 1_764_000_000_000, duplicate: true };
        let json = concat!(
            r#"{"chat":"alice~bob","id":"0193a5f0-1c2b-7d3e-8f4a-5b6c7d8e9f00","#,
            r#""seq":7,"at":1764000000000,"duplicate":true}"#
        );
        assert_eq!(text(&ack.to_json()), json);
        assert_eq!(SendAck::from_json(json.as_bytes()), Ok(ack));
    }

    #[test]
    fn a_refusal_is_as_the_contract_shows_it() {
        let refusal = Refusal {
            topic: "chats/bob~alice/send".to_owned(),
            packet_id: 9,
            code: 0x90,
            message: "say \"alice~bob\"".to_owned(),
        };
        let json = concat!(
            r#"{"topic":"chats/bob~alice/send","packet_id":9,"code":144,"#,
            r#""message":"say \"alice~bob\""}"#
        );
        assert_eq!(text(&refusal.to_json()), json);
        assert_eq!(Refusal::from_json(json.as_bytes()), Ok(refusal));
    }

    #[test]
    fn a_count_is_as_the_contract_shows_it() {
        let count = ReceiptCount { chat: chat(), seq: Seq(7), delivered_by: 900, read_by: 12 };
        let json = r#"{"chat":"alice~bob","seq":7,"delivered_by":900,"read_by":12}"#;
        assert_eq!(text(&count.to_json()), json);
        assert_eq!(ReceiptCount::from_json(json.as_bytes()), Ok(count));
        // The two share a topic, and are told apart by their keys.
        assert!(Receipt::from_json(json.as_bytes()).is_err());
    }

    #[test]
    fn presence_and_typing_are_as_the_contract_shows_them() {
        let user = UserId::try_from("bob").expect("a user");
        let online = Presence { user: user.clone(), online: true, last_seen_ms: None };
        let offline =
            Presence { online: false, last_seen_ms: Some(1_764_000_000_000), ..online.clone() };
        for (presence, json) in [
            (online, r#"{"user":"bob","online":true}"#),
            (offline, r#"{"user":"bob","online":false,"last_seen":1764000000000}"#),
        ] {
            assert_eq!(text(&presence.to_json()), json);
            assert_eq!(Presence::from_json(json.as_bytes()), Ok(presence));
        }
        let typing = Typing { chat: chat(), user, typing: true };
        let json = r#"{"chat":"alice~bob","user":"bob","typing":true}"#;
        assert_eq!(text(&typing.to_json()), json);
        assert_eq!(Typing::from_json(json.as_bytes()), Ok(typing));
    }

    #[test]
    fn more_keys_are_passed_over_and_fewer_are_not() {
        let json = br#"{"topic":"t","packet_id":0,"code":144,"message":"m","hint":[1]}"#;
        assert!(Refusal::from_json(json).is_ok());
        for bad in [r#"{"topic":"t","packet_id":0,"code":144}"#, r#"["t",0,144,"m"]"#, "", "null"] {
            assert!(Refusal::from_json(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
