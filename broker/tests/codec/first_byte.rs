//! All 256 first bytes, in each state of a connection.

use bluetick_broker::codec::decode;
use bluetick_broker::packet::{Reason, Version};

use crate::notation::LIMIT_BYTES;

/// What the first byte alone decides: `None` where it is allowed.
fn expected(first: u8, version: Option<Version>) -> Option<Reason> {
    let flags = first & 0x0F;
    let (is_connect, flags_valid) = match first >> 4 {
        1 => (true, flags == 0),
        3 => (false, flags & 6 != 6 && (flags & 8 == 0 || flags & 6 != 0)),
        4 | 5 | 7 | 12 | 14 => (false, flags == 0),
        6 | 8 | 10 => (false, flags == 2),
        15 if version != Some(Version::V4) => (false, flags == 0),
        2 | 9 | 11 | 13 => return Some(Reason::PROTOCOL_ERROR),
        _ => return Some(Reason::MALFORMED_PACKET),
    };
    if !flags_valid {
        Some(Reason::MALFORMED_PACKET)
    } else if is_connect == version.is_some() {
        Some(Reason::PROTOCOL_ERROR)
    } else {
        None
    }
}

/// It is refused as soon as it is there, and whatever follows.
/// MQTT 5: [MQTT-2.1.3-1], [MQTT-3.3.1-2], [MQTT-3.3.1-4], [MQTT-3.6.1-1], [MQTT-3.8.1-1],
/// MQTT 5: [MQTT-3.10.1-1], [MQTT-3.14.1-1], [MQTT-3.15.1-1].
/// MQTT 3.1.1: [MQTT-2.2.2-1], [MQTT-2.2.2-2], [MQTT-3.3.1-2], [MQTT-3.3.1-4], [MQTT-3.6.1-1],
/// MQTT 3.1.1: [MQTT-3.8.1-1], [MQTT-3.10.1-1], [MQTT-3.14.1-1].
#[test]
fn decides_at_once() {
    for version in [None, Some(Version::V4), Some(Version::V5)] {
        for first in 0..=0xFF_u8 {
            let name = format!("0x{first:02x} in {version:?}");
            let alone = decode(&[first], version, LIMIT_BYTES);
            let followed = decode(&[first, 0x7F, 0, 0], version, LIMIT_BYTES);
            match expected(first, version) {
                None => {
                    assert_eq!(alone, Ok(None), "{name}");
                    assert_eq!(followed, Ok(None), "{name}");
                }
                Some(reason) => {
                    let error = alone.expect_err(&name);
                    assert_eq!((error.reason, error.version), (reason, version), "{name}");
                    assert_eq!(followed.expect_err(&name).reason, reason, "{name}");
                }
            }
        }
    }
}
