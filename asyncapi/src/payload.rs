//! Payloads as the document describes them: JSON, CBOR as JSON, and all else as text.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use minicbor::Decoder;
use minicbor::data::Type;
use serde_json::{Map, Value};

/// How deep items of CBOR may lie in each other: an event's members are the third.
const DEPTH_MAX: usize = 8;

/// What the schema of a message of this content type is asked about.
///
/// # Errors
/// It is no JSON, or no CBOR.
pub(crate) fn instance(content_type: &str, payload: &[u8]) -> Result<Value, String> {
    match content_type {
        "application/json" => {
            serde_json::from_slice(payload).map_err(|error| format!("no JSON: {error}"))
        }
        "application/cbor" => {
            let mut decoder = Decoder::new(payload);
            let value =
                item(&mut decoder, DEPTH_MAX).map_err(|error| format!("no CBOR: {error}"))?;
            if decoder.position() < payload.len() {
                return Err(format!("more follows the CBOR at byte {}", decoder.position()));
            }
            Ok(value)
        }
        "application/cbor-seq" => {
            let mut decoder = Decoder::new(payload);
            let mut items = Vec::new();
            while decoder.position() < payload.len() {
                let item = item_of_sequence(&mut decoder);
                items.push(item.map_err(|error| format!("no sequence of CBOR: {error}"))?);
            }
            Ok(items.into())
        }
        // Each byte a character where it is no UTF-8.
        _ => Ok(std::str::from_utf8(payload).map_or_else(
            |_| payload.iter().copied().map(char::from).collect::<String>().into(),
            Value::from,
        )),
    }
}

/// An item of a sequence (RFC 8742), which may be negative.
fn item_of_sequence(decoder: &mut Decoder<'_>) -> Result<Value, minicbor::decode::Error> {
    match decoder.datatype()? {
        Type::I8 | Type::I16 | Type::I32 | Type::I64 => Ok(decoder.i64()?.into()),
        _ => item(decoder, DEPTH_MAX),
    }
}

/// An item as JSON. Source: RFC 8949 §6.1; what the dialect does not have (docs/compact.md, "What is
/// written, and what is taken") is an error.
fn item(decoder: &mut Decoder<'_>, depth: usize) -> Result<Value, minicbor::decode::Error> {
    let refused = |what: Type| minicbor::decode::Error::type_mismatch(what);
    let kind = decoder.datatype()?;
    Ok(match kind {
        Type::Bool => decoder.bool()?.into(),
        Type::U8 | Type::U16 | Type::U32 | Type::U64 => decoder.u64()?.into(),
        Type::String => decoder.str()?.into(),
        Type::Bytes => URL_SAFE_NO_PAD.encode(decoder.bytes()?).into(),
        Type::Array if depth > 0 => {
            let length = decoder.array()?.ok_or_else(|| refused(kind))?;
            (0..length).map(|_| item(decoder, depth - 1)).collect::<Result<Vec<_>, _>>()?.into()
        }
        Type::Map if depth > 0 => {
            let length = decoder.map()?.ok_or_else(|| refused(kind))?;
            let mut map = Map::new();
            let mut last = None;
            for _ in 0..length {
                let key = decoder.u64()?;
                // Deterministic (§4.2.1): they rise, so none is there twice.
                if last.is_some_and(|last| last >= key) {
                    let text = format!("key {key} comes after {}", last.unwrap_or_default());
                    return Err(minicbor::decode::Error::message(text));
                }
                last = Some(key);
                map.insert(key.to_string(), item(decoder, depth - 1)?);
            }
            map.into()
        }
        kind => return Err(refused(kind)),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_is_read_as_what_it_is() {
        let text = |bytes| instance("text/plain", bytes);
        assert_eq!(text(b"17"), Ok(json!("17")));
        assert_eq!(text(b"\xffa"), Ok(json!("\u{ff}a")));
        assert_eq!(instance("application/json", b"17"), Ok(json!(17)));
        assert!(instance("application/json", b"{} x").is_err());
        let cbor = |bytes| instance("application/cbor", bytes);
        assert_eq!(cbor(b"\xa2\x02\x62hi\x10\xa1\x00\x03"), Ok(json!({"2": "hi", "16": {"0": 3}})));
        assert_eq!(cbor(b"\x82\xf5\x42\xff\xfe"), Ok(json!([true, "__4"])));
    }

    #[test]
    fn a_sequence_is_a_list_of_items() {
        let sequence = |bytes| instance("application/cbor-seq", bytes);
        assert_eq!(sequence(b""), Ok(json!([])));
        assert_eq!(sequence(b"\x00\x62hi"), Ok(json!([0, "hi"])));
        assert_eq!(sequence(b"\x37\xa1\x03\x00"), Ok(json!([-24, {"3": 0}])));
        for bad in [&b"\x00\x62h"[..], b"\x00\xf6", b"\x00\xa1\x00\x20"] {
            assert!(sequence(bad).is_err(), "{bad:x?}");
        }
    }

    #[test]
    fn what_the_dialect_does_not_have_is_an_error() {
        let deep = [0x81; 64];
        for bad in [
            &b""[..],
            b"\x62h",
            b"\x01\x01",
            b"\x9f\xff",
            b"\xf6",
            b"\x20",
            b"\xa1\x61a\x01",
            b"\xa2\x01\x01\x01\x01",
            b"\xa2\x02\x01\x01\x01",
            b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff",
            &deep,
        ] {
            assert!(instance("application/cbor", bad).is_err(), "{bad:x?}");
        }
    }
}
