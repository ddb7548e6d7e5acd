//! The small payloads that the server publishes: receipts, acknowledgements, refusals.

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

json!(Receipt SendAck Refusal);

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
    fn more_keys_are_passed_over_and_fewer_are_not() {
        let json = br#"{"topic":"t","packet_id":0,"code":144,"message":"m","hint":[1]}"#;
        assert!(Refusal::from_json(json).is_ok());
        for bad in [r#"{"topic":"t","packet_id":0,"code":144}"#, r#"["t",0,144,"m"]"#, "", "null"] {
            assert!(Refusal::from_json(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
