//! Valid packets with a few bytes changed, and plain noise: nothing panics, nothing is consumed
//! that is not there, and what is accepted keeps what the types promise.

use bluetick_broker::codec::decode;
use bluetick_broker::packet::{Packet, Version};
use fastrand::Rng;

use crate::notation::{LIMIT_BYTES, bytes};
use crate::round_trip;

const SEED: u64 = 20_251_124;

const CASES: usize = 150_000;

const SEEDS: &[(Option<Version>, &str)] = &[
    (None, "10 1e 'MQTT' 04 ce 000a 'c' 'w/t' 'bye' 'u' 'pw'"),
    (None, "10 0e 'MQTT' 05 02 003c 00 'c'"),
    (
        None,
        "10 6c 'MQTT' 05 f6 000a
        2a 11 0000000a 21 0014 27 00000100 22 0005 19 01 17 00 26 'k' 'v' 26 'k' 'w' 15 'm' 16 'd'
        'c' 22 18 00000003 01 01 02 00000004 03 't' 08 'r/t' 09 0002ff00 26 'a' 'b'
        'w/t' 'bye' 'u' 'pw'",
    ),
    (Some(Version::V4), "3b 09 'a/b' 000a 00ff"),
    (
        Some(Version::V5),
        "34 26 'a/b' ffff 1c 01 01 02 0000003c 03 't' 08 'r' 09 'c' 23 0007 26 'k' '' 6869",
    ),
    (Some(Version::V5), "40 0f 1234 97 0b 1f 'x' 26 'k' 'v'"),
    (Some(Version::V5), "62 02 1234"),
    (Some(Version::V4), "82 0e 000a 'a/b' 01 'c/d' 02"),
    (Some(Version::V5), "82 20 0001 0c 0b ffffff7f 26 'k' 'v' 'a' 2e '$share/g/#' 10"),
    (Some(Version::V4), "a2 0c 000a 'a/b' 'c/d'"),
    (Some(Version::V5), "a2 14 000a 07 26 'k' 'v' 'a/b' 'c/d'"),
    (Some(Version::V5), "e0 0b 00 09 11 00000e10 1f 'x'"),
    (Some(Version::V5), "f0 0a 18 08 15 'm' 16 'd'"),
    (Some(Version::V4), "c0 00"),
];

#[test]
fn mutated_packets() {
    for &(version, text) in SEEDS {
        assert!(check(&bytes(text), version), "{text}");
    }
    let mut rng = Rng::with_seed(SEED);
    let mut accepted = 0;
    for _ in 0..CASES {
        let &(version, text) = rng.choice(SEEDS).expect("there are some");
        let mut packet = bytes(text);
        for _ in 0..rng.usize(1..4) {
            mutate(&mut rng, &mut packet);
        }
        // Half of them with a length that fits, so that the change is what is looked at.
        if rng.bool() && (2..130).contains(&packet.len()) {
            packet[1] = u8::try_from(packet.len() - 2).expect("a short packet");
        }
        accepted += usize::from(check(&packet, version));
    }
    // The test would prove little if nearly all, or nearly none, got through.
    assert!((CASES / 20..CASES).contains(&accepted), "{accepted} of {CASES} accepted");
}

#[test]
fn noise() {
    let mut rng = Rng::with_seed(SEED);
    for _ in 0..CASES {
        let version = *rng.choice(&[None, Some(Version::V4), Some(Version::V5)]).unwrap_or(&None);
        let mut packet: Vec<u8> = (0..rng.usize(..40)).map(|_| rng.u8(..)).collect();
        if packet.len() >= 2 {
            packet[0] &= 0xF2;
            packet[1] = u8::try_from(packet.len() - 2).expect("a short packet");
        }
        check(&packet, version);
    }
}

fn mutate(rng: &mut Rng, packet: &mut Vec<u8>) {
    let at = rng.usize(..=packet.len());
    match rng.u8(..5) {
        0 if at < packet.len() => packet[at] = rng.u8(..),
        1 if at < packet.len() => packet[at] ^= 1 << rng.u8(..8),
        2 if at < packet.len() => drop(packet.remove(at)),
        3 => packet.truncate(at),
        _ => packet.insert(at, rng.u8(..)),
    }
}

/// Whether the packet was accepted.
fn check(packet: &[u8], version: Option<Version>) -> bool {
    let (decoded, used) = match decode(packet, version, LIMIT_BYTES) {
        Ok(Some(decoded)) => decoded,
        Ok(None) => return false,
        Err(error) => {
            // The guard knows all that the decoder behind it refuses.
            assert!(!error.detail.contains("the decoder"), "{error}: {packet:02x?}");
            return false;
        }
    };
    assert!((2..=packet.len()).contains(&used), "{used} of {packet:02x?}");
    // What follows the packet has no part in it.
    assert_eq!(decode(&packet[..used], version, used), Ok(Some((decoded.clone(), used))));
    assert_eq!(decode(&packet[..used - 1], version, used), Ok(None));
    let version = match &decoded {
        Packet::Connect(connect) => connect.version,
        _ => version.expect("the first packet is a connect"),
    };
    keeps_its_promises(version, &decoded);
    true
}

/// What the documentation of `packet` says that the session need not check.
fn keeps_its_promises(version: Version, packet: &Packet) {
    let is_text = |text: &str| !text.contains('\0');
    match packet {
        Packet::Connect(connect) => {
            assert!(is_text(&connect.client_id));
            assert!(connect.receive_maximum != Some(0) && connect.max_packet_bytes != Some(0));
            if let Some(will) = &connect.will {
                assert!(bluetick_broker::topic::is_valid_name(&will.topic));
            }
        }
        Packet::Publish(publish) => {
            assert!(is_text(&publish.topic) && !publish.topic.contains(['+', '#']));
            assert!(!publish.topic.is_empty() || publish.topic_alias.is_some());
            round_trip::check(version, publish);
        }
        Packet::PubAck(ack) | Packet::PubRec(ack) | Packet::PubRel(ack) | Packet::PubComp(ack) => {
            assert_ne!(ack.packet_id, 0);
        }
        Packet::Subscribe(subscribe) => {
            assert!(subscribe.packet_id != 0 && subscribe.subscription_id != Some(0));
            assert!(!subscribe.filters.is_empty());
            for request in &subscribe.filters {
                assert!(!request.filter.is_empty() && is_text(&request.filter));
                assert!(request.retain_handling <= 2);
            }
        }
        Packet::Unsubscribe(unsubscribe) => {
            assert!(unsubscribe.packet_id != 0 && !unsubscribe.filters.is_empty());
            assert!(unsubscribe.filters.iter().all(|filter| !filter.is_empty() && is_text(filter)));
        }
        Packet::Auth => assert_eq!(version, Version::V5),
        Packet::PingReq | Packet::Disconnect(_) => {}
    }
}
