//! Statements of the specification that no other file of these tests comes by.

use bluetick_broker::packet::{Packet, Version};

use crate::notation::packet;

/// `EF BB BF` is U+FEFF, a character as any other.
/// MQTT 5: [MQTT-1.5.4-3].
/// MQTT 3.1.1: [MQTT-1.5.3-3].
#[test]
fn a_zero_width_no_break_space_is_kept() {
    for (version, text) in
        [(Version::V4, "30 07 0005 efbbbf 612f"), (Version::V5, "30 08 0005 efbbbf 612f 00")]
    {
        let Packet::Publish(publish) = packet(Some(version), text) else { panic!("no PUBLISH") };
        assert_eq!(&*publish.topic, "\u{feff}a/");
    }
    let text = "10 16 'MQTT' 04 82 003c 0004 63efbbbf 'u\u{feff}'";
    let Packet::Connect(connect) = packet(None, text) else { panic!("no CONNECT") };
    assert_eq!(connect.client_id, "c\u{feff}");
    assert_eq!(connect.user_name.as_deref(), Some("u\u{feff}"));
}
