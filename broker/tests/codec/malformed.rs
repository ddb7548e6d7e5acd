//! One row for every way to be wrong that we know of.

use bluetick_broker::codec::decode;
use bluetick_broker::packet::{Reason, Version};

use crate::notation::{LIMIT_BYTES, bytes, error};

const V4: Option<Version> = Some(Version::V4);
const V5: Option<Version> = Some(Version::V5);

struct Row {
    name: &'static str,
    version: Option<Version>,
    packet: &'static str,
    reason: Reason,
}

fn rows() -> Vec<Row> {
    let lines = include_str!("malformed.txt").lines();
    lines.filter(|line| !line.is_empty() && !line.starts_with('#')).map(row).collect()
}

fn row(line: &'static str) -> Row {
    let fields: Vec<&str> = line.split(" | ").collect();
    let &[name, version, packet, reason] = fields.as_slice() else {
        panic!("not four fields: {line}");
    };
    let version = match version {
        "-" => None,
        "3.1.1" => V4,
        "5" => V5,
        other => panic!("no version: {other}"),
    };
    let reason = Reason(u8::from_str_radix(reason, 16).expect("a reason code"));
    Row { name, version, packet, reason }
}

/// MQTT 5: [MQTT-1.5.4-1], [MQTT-1.5.4-2], [MQTT-1.5.5-1], [MQTT-1.5.7-1], [MQTT-3.1.2-1],
/// MQTT 5: [MQTT-3.1.2-2], [MQTT-3.1.2-3], [MQTT-3.1.2-9], [MQTT-3.1.2-11], [MQTT-3.1.2-12],
/// MQTT 5: [MQTT-3.1.2-13], [MQTT-3.1.2-16], [MQTT-3.1.2-17], [MQTT-3.1.2-18], [MQTT-3.1.2-19],
/// MQTT 5: [MQTT-3.1.3-3], [MQTT-3.1.3-4], [MQTT-3.1.3-11], [MQTT-3.1.3-12], [MQTT-3.1.4-1],
/// MQTT 5: [MQTT-3.3.2-1], [MQTT-3.3.2-2], [MQTT-3.3.2-13], [MQTT-3.3.2-14], [MQTT-3.3.2-19],
/// MQTT 5: [MQTT-3.8.3-1], [MQTT-3.8.3-2], [MQTT-3.8.3-4], [MQTT-3.8.3-5], [MQTT-3.10.3-1],
/// MQTT 5: [MQTT-3.10.3-2], [MQTT-4.13.1-1].
/// MQTT 3.1.1: [MQTT-1.5.3-1], [MQTT-1.5.3-2], [MQTT-2.3.1-1], [MQTT-3.1.2-1], [MQTT-3.1.2-3],
/// MQTT 3.1.1: [MQTT-3.1.2-9], [MQTT-3.1.2-11], [MQTT-3.1.2-13], [MQTT-3.1.2-14],
/// MQTT 3.1.1: [MQTT-3.1.2-15], [MQTT-3.1.2-18], [MQTT-3.1.2-19], [MQTT-3.1.2-20],
/// MQTT 3.1.1: [MQTT-3.1.2-21], [MQTT-3.1.2-22], [MQTT-3.1.3-3], [MQTT-3.1.3-4], [MQTT-3.1.3-10],
/// MQTT 3.1.1: [MQTT-3.1.3-11], [MQTT-3.3.2-1], [MQTT-3.3.2-2], [MQTT-3.8.3-1], [MQTT-3.8.3-3],
/// MQTT 3.1.1: [MQTT-3.8.3-4], [MQTT-3.10.3-1], [MQTT-3.10.3-2], [MQTT-4.8.0-1].
#[test]
fn each_is_refused_with_its_reason() {
    let mut wrong = Vec::new();
    for Row { name, version, packet, reason } in rows() {
        let error = error(version, packet);
        if error.reason != reason {
            wrong.push(format!("{name} ({packet}): not 0x{:02x} but: {error}", reason.0));
        }
        let lower_case = error.detail.to_lowercase().replace("mqtt", "MQTT");
        assert_eq!(error.detail, lower_case, "{name}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(rows().len() > 100, "rows are missing");
}

/// The rows are wrong in what they say, not in their length: it is that of the packet. The few
/// whose length is what is wrong come first.
#[test]
fn the_rows_are_whole_packets() {
    let is_about_lengths =
        |row: &Row| row.name.contains(" of length") || row.name.contains("padded length");
    for row in rows().iter().filter(|row| !is_about_lengths(row)) {
        let bytes = bytes(row.packet);
        assert_eq!(usize::from(bytes[1]), bytes.len() - 2, "{}: {}", row.name, row.packet);
    }
}

/// The answer to a CONNECT depends on its version, as far as it is known.
#[test]
fn a_connect_tells_its_version_before_it_fails() {
    for (text, version) in [
        ("10 0d 'MQTT' 04 03 003c 'c'", V4),
        ("10 0e 'MQTT' 05 03 003c 00 'c'", V5),
        ("10 8e00 'MQTT' 05 02 003c 00 'c'", V5),
        ("10 07 'MQTT' 04", V4),
        ("10 0d 'MQTT' 06 02 003c 'c'", None),
        ("10 0f 'MQIsdp' 03 02 003c 'c'", None),
        ("10 06 'MQTT'", None),
        ("c0", None),
    ] {
        assert_eq!(error(None, text).version, version, "{text}");
    }
    assert_eq!(error(V5, "30 02 ''").version, V5);
}

/// As soon as the length is known, before the body is there.
#[test]
fn too_large() {
    let limit = 20;
    for (text, is_refused) in [
        ("30 13", true),
        ("30 12", false),
        ("30 80", false),
        ("30 8001", true),
        ("30 ffffff7f", true),
    ] {
        for version in [V4, V5] {
            match decode(&bytes(text), version, limit) {
                Err(error) => {
                    assert!(is_refused, "{text}: {error}");
                    assert_eq!(error.reason, Reason::PACKET_TOO_LARGE, "{text}");
                    assert_eq!(error.version, version, "{text}");
                }
                Ok(other) => {
                    assert!(!is_refused, "{text}");
                    assert_eq!(other, None, "{text}");
                }
            }
        }
    }
    let refused = decode(&bytes("10 13"), None, limit).expect_err("more than the limit");
    assert_eq!(refused.reason, Reason::PACKET_TOO_LARGE);
    let whole = bytes("30 12 0010 61616161616161616161616161616161");
    assert!(decode(&whole, V4, whole.len()).is_ok_and(|packet| packet.is_some()));
    assert!(decode(&whole, V4, whole.len() - 1).is_err());
    assert_eq!(decode(&[], None, LIMIT_BYTES), Ok(None));
}
