//! Another codec's opinion: `mqtt-protocol-core`, by others and without a common ancestor.

use std::fmt::Debug;

use bluetick_broker::packet::{
    Ack, Connect, Packet, Publish, PublishProperties, QoS, Subscribe, Version,
};
use bluetick_broker::topic::is_valid_filter;
use mqtt_protocol_core::mqtt::packet::{PayloadFormat, Property, Qos, v3_1_1, v5_0};

/// A packet in its frame: the first byte, and what follows the length.
pub(crate) struct Frame<'a> {
    pub(crate) first: u8,
    pub(crate) body: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Takes a whole packet off the front of `bytes`.
    pub(crate) fn split(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (first, mut rest) = bytes.split_first()?;
        let mut length = 0;
        for shift in [0, 7, 14, 21] {
            let (byte, after) = rest.split_first()?;
            rest = after;
            length |= usize::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                let body = rest.get(..length)?;
                return Some((Self { first: *first, body }, &rest[length..]));
            }
        }
        None
    }
}

/// Fails unless the other codec reads the frame as `packet`, which is what ours read.
pub(crate) fn agrees(version: Version, frame: &Frame<'_>, packet: &Packet) {
    match (version, packet) {
        (_, Packet::Connect(connect)) => agrees_on_connect(frame, connect),
        (_, Packet::Publish(publish)) => agrees_on_publish(version, frame, publish),
        (_, Packet::Subscribe(subscribe)) => agrees_on_subscribe(version, frame, subscribe),
        (Version::V4, Packet::Unsubscribe(ours)) => {
            let theirs = parsed(v3_1_1::Unsubscribe::parse(frame.body), frame);
            assert_eq!(theirs.packet_id(), ours.packet_id);
            same_texts(theirs.entries().iter().map(|it| it.as_str()), &ours.filters);
        }
        // As with SUBSCRIBE: a filter that is none is the session's to refuse.
        (Version::V5, Packet::Unsubscribe(ours))
            if ours.filters.iter().any(|filter| !is_valid_filter(filter)) => {}
        (Version::V5, Packet::Unsubscribe(ours)) => {
            let theirs = parsed(v5_0::Unsubscribe::parse(frame.body), frame);
            assert_eq!(theirs.packet_id(), ours.packet_id);
            same_texts(theirs.entries().iter().map(|it| it.as_str()), &ours.filters);
        }
        (Version::V4, Packet::PubAck(ack)) => {
            same_ack(parsed(v3_1_1::Puback::parse(frame.body), frame).packet_id(), None, ack);
        }
        (Version::V4, Packet::PubRec(ack)) => {
            same_ack(parsed(v3_1_1::Pubrec::parse(frame.body), frame).packet_id(), None, ack);
        }
        (Version::V4, Packet::PubRel(ack)) => {
            same_ack(parsed(v3_1_1::Pubrel::parse(frame.body), frame).packet_id(), None, ack);
        }
        (Version::V4, Packet::PubComp(ack)) => {
            same_ack(parsed(v3_1_1::Pubcomp::parse(frame.body), frame).packet_id(), None, ack);
        }
        // Ours takes reason codes that no specification has: they are only numbers to it.
        (Version::V5, Packet::PubAck(ack)) => {
            if let Ok((theirs, _)) = v5_0::Puback::parse(frame.body) {
                same_ack(theirs.packet_id(), theirs.reason_code().map(|it| it as u8), ack);
            }
        }
        (Version::V5, Packet::PubRec(ack)) => {
            if let Ok((theirs, _)) = v5_0::Pubrec::parse(frame.body) {
                same_ack(theirs.packet_id(), theirs.reason_code().map(|it| it as u8), ack);
            }
        }
        (Version::V5, Packet::PubRel(ack)) => {
            if let Ok((theirs, _)) = v5_0::Pubrel::parse(frame.body) {
                same_ack(theirs.packet_id(), theirs.reason_code().map(|it| it as u8), ack);
            }
        }
        (Version::V5, Packet::PubComp(ack)) => {
            if let Ok((theirs, _)) = v5_0::Pubcomp::parse(frame.body) {
                same_ack(theirs.packet_id(), theirs.reason_code().map(|it| it as u8), ack);
            }
        }
        (Version::V5, Packet::Disconnect(ours)) => {
            if let Ok((theirs, _)) = v5_0::Disconnect::parse(frame.body) {
                assert_eq!(theirs.reason_code().map_or(0, |it| it as u8), ours.reason.0);
                let properties = theirs.props.iter().flatten();
                let expiry_s = properties.into_iter().find_map(|property| match property {
                    Property::SessionExpiryInterval(it) => Some(it.val()),
                    _ => None,
                });
                assert_eq!(expiry_s, ours.session_expiry_s);
            }
        }
        (_, Packet::PingReq | Packet::Disconnect(_) | Packet::Auth) => {}
    }
}

/// Whether the other codec takes the frame as a packet that a client may send.
pub(crate) fn accepts(version: Version, frame: &Frame<'_>) -> bool {
    let Frame { first, body } = *frame;
    let whole = |read: Option<usize>| read == Some(body.len());
    fn used<T, E>(parsed: Result<(T, usize), E>) -> Option<usize> {
        parsed.ok().map(|(_, used)| used)
    }
    let flags = first & 0x0F;
    let flags_valid = match first >> 4 {
        3 => flags & 6 != 6,
        6 | 8 | 10 => flags == 2,
        _ => flags == 0,
    };
    flags_valid
        && match (first >> 4, version) {
            (3, Version::V4) => whole(used(v3_1_1::Publish::parse(flags, body.into()))),
            (3, Version::V5) => whole(used(v5_0::Publish::parse(flags, body.into()))),
            (4, Version::V4) => whole(used(v3_1_1::Puback::parse(body))),
            (4, Version::V5) => whole(used(v5_0::Puback::parse(body))),
            (5, Version::V4) => whole(used(v3_1_1::Pubrec::parse(body))),
            (5, Version::V5) => whole(used(v5_0::Pubrec::parse(body))),
            (6, Version::V4) => whole(used(v3_1_1::Pubrel::parse(body))),
            (6, Version::V5) => whole(used(v5_0::Pubrel::parse(body))),
            (7, Version::V4) => whole(used(v3_1_1::Pubcomp::parse(body))),
            (7, Version::V5) => whole(used(v5_0::Pubcomp::parse(body))),
            (8, Version::V4) => whole(used(v3_1_1::Subscribe::parse(body))),
            (8, Version::V5) => whole(used(v5_0::Subscribe::parse(body))),
            (10, Version::V4) => whole(used(v3_1_1::Unsubscribe::parse(body))),
            (10, Version::V5) => whole(used(v5_0::Unsubscribe::parse(body))),
            (14, Version::V5) => whole(used(v5_0::Disconnect::parse(body))),
            _ => false,
        }
}

/// Fails unless the other codec reads all of the frame as a packet that a server may send.
pub(crate) fn takes_from_server(version: Version, frame: &Frame<'_>) {
    let Frame { first, body } = *frame;
    match (first, version) {
        (0x20, Version::V4) => drop(parsed(v3_1_1::Connack::parse(body), frame)),
        (0x20, Version::V5) => drop(parsed(v5_0::Connack::parse(body), frame)),
        (0x30..=0x3F, Version::V4) => {
            drop(parsed(v3_1_1::Publish::parse(first & 0x0F, body.into()), frame));
        }
        (0x30..=0x3F, Version::V5) => {
            drop(parsed(v5_0::Publish::parse(first & 0x0F, body.into()), frame));
        }
        (0x40, Version::V4) => drop(parsed(v3_1_1::Puback::parse(body), frame)),
        (0x40, Version::V5) => drop(parsed(v5_0::Puback::parse(body), frame)),
        (0x50, Version::V4) => drop(parsed(v3_1_1::Pubrec::parse(body), frame)),
        (0x50, Version::V5) => drop(parsed(v5_0::Pubrec::parse(body), frame)),
        (0x62, Version::V4) => drop(parsed(v3_1_1::Pubrel::parse(body), frame)),
        (0x62, Version::V5) => drop(parsed(v5_0::Pubrel::parse(body), frame)),
        (0x70, Version::V4) => drop(parsed(v3_1_1::Pubcomp::parse(body), frame)),
        (0x70, Version::V5) => drop(parsed(v5_0::Pubcomp::parse(body), frame)),
        (0x90, Version::V4) => drop(parsed(v3_1_1::Suback::parse(body), frame)),
        (0x90, Version::V5) => drop(parsed(v5_0::Suback::parse(body), frame)),
        (0xB0, Version::V4) => drop(parsed(v3_1_1::Unsuback::parse(body), frame)),
        (0xB0, Version::V5) => drop(parsed(v5_0::Unsuback::parse(body), frame)),
        (0xD0, _) => assert!(body.is_empty(), "PINGRESP with content"),
        (0xE0, Version::V5) => drop(parsed(v5_0::Disconnect::parse(body), frame)),
        _ => panic!("not a server's: {first:02x} {body:02x?}"),
    }
}

/// What it parsed, which has to be the whole body.
fn parsed<T, E: Debug>(parsed: Result<(T, usize), E>, frame: &Frame<'_>) -> T {
    let Frame { first, body } = frame;
    match parsed {
        Ok((packet, used)) => {
            assert_eq!(used, body.len(), "bytes left over in {first:02x} {body:02x?}");
            packet
        }
        Err(error) => panic!("refused by the other codec: {error:?}: {first:02x} {body:02x?}"),
    }
}

fn same_ack(packet_id: u16, reason: Option<u8>, ours: &Ack) {
    assert_eq!((packet_id, reason.unwrap_or_default()), (ours.packet_id, ours.reason.0));
}

fn same_texts<'a>(theirs: impl Iterator<Item = &'a str>, ours: &[std::sync::Arc<str>]) {
    assert!(theirs.eq(ours.iter().map(|text| &**text)), "{ours:?}");
}

fn qos(theirs: Qos) -> Option<QoS> {
    QoS::from_bits(theirs as u8)
}

fn agrees_on_publish(version: Version, frame: &Frame<'_>, ours: &Publish) {
    let flags = frame.first & 0x0F;
    macro_rules! same {
        ($theirs:ident) => {
            assert_eq!(qos($theirs.qos()), Some(ours.qos));
            assert_eq!(($theirs.dup(), $theirs.retain()), (ours.dup, ours.retain));
            assert_eq!($theirs.topic_name(), &*ours.topic);
            assert_eq!($theirs.packet_id().unwrap_or_default(), ours.packet_id);
            assert_eq!($theirs.payload().as_slice(), &*ours.payload);
        };
    }
    match version {
        Version::V4 => {
            let theirs = parsed(v3_1_1::Publish::parse(flags, frame.body.into()), frame);
            same!(theirs);
        }
        Version::V5 => {
            let theirs = parsed(v5_0::Publish::parse(flags, frame.body.into()), frame);
            same!(theirs);
            let alias = theirs.props.iter().find_map(|property| match property {
                Property::TopicAlias(it) => Some(it.val()),
                _ => None,
            });
            assert_eq!(alias, ours.topic_alias);
            same_properties(&theirs.props, &ours.properties);
        }
    }
}

fn same_properties(theirs: &[Property], ours: &PublishProperties) {
    let mut read = PublishProperties::default();
    for property in theirs {
        match property {
            Property::PayloadFormatIndicator(it) => {
                read.payload_format_utf8 = it.val() == PayloadFormat::String as u8;
            }
            Property::MessageExpiryInterval(it) => read.message_expiry_s = Some(it.val()),
            Property::ContentType(it) => read.content_type = Some(it.val().to_owned()),
            Property::ResponseTopic(it) => read.response_topic = Some(it.val().to_owned()),
            Property::CorrelationData(it) => {
                read.correlation_data = Some(it.val().to_vec().into());
            }
            Property::UserProperty(it) => {
                read.user_properties.push((it.key().to_owned(), it.val().to_owned()));
            }
            Property::TopicAlias(_) | Property::WillDelayInterval(_) => {}
            other => panic!("a property of another packet: {other}"),
        }
    }
    assert_eq!(&read, ours);
}

fn agrees_on_subscribe(version: Version, frame: &Frame<'_>, ours: &Subscribe) {
    // A filter that is none is refused by our session, alone and not with its packet.
    if ours.filters.iter().any(|request| !is_valid_filter(&request.filter)) {
        return;
    }
    macro_rules! same {
        ($theirs:ident) => {
            assert_eq!($theirs.packet_id(), ours.packet_id);
            assert_eq!($theirs.entries().len(), ours.filters.len());
            for (theirs, ours) in $theirs.entries().iter().zip(&ours.filters) {
                let options = theirs.sub_opts();
                assert_eq!(theirs.topic_filter(), &*ours.filter);
                assert_eq!(qos(options.qos()), Some(ours.qos));
                assert_eq!(
                    (options.nl(), options.rap()),
                    (ours.no_local, ours.retain_as_published)
                );
                assert_eq!(options.rh() as u8, ours.retain_handling);
            }
        };
    }
    match version {
        Version::V4 => {
            let theirs = parsed(v3_1_1::Subscribe::parse(frame.body), frame);
            same!(theirs);
        }
        Version::V5 => {
            let theirs = parsed(v5_0::Subscribe::parse(frame.body), frame);
            same!(theirs);
            let id = theirs.props.iter().find_map(|property| match property {
                Property::SubscriptionIdentifier(it) => Some(it.val()),
                _ => None,
            });
            assert_eq!(id, ours.subscription_id);
        }
    }
}

fn agrees_on_connect(frame: &Frame<'_>, ours: &Connect) {
    macro_rules! same {
        ($theirs:ident) => {
            assert_eq!($theirs.clean_start(), ours.clean_start);
            assert_eq!($theirs.keep_alive(), ours.keep_alive_s);
            assert_eq!($theirs.client_id(), ours.client_id);
            assert_eq!($theirs.user_name(), ours.user_name.as_deref());
            assert_eq!($theirs.password(), ours.password.as_deref());
            assert_eq!($theirs.will_flag(), ours.will.is_some());
            if let Some(will) = &ours.will {
                assert_eq!(qos($theirs.will_qos()), Some(will.qos));
                assert_eq!($theirs.will_retain(), will.retain);
                assert_eq!($theirs.will_topic(), Some(&*will.topic));
                assert_eq!($theirs.will_payload(), Some(&*will.payload));
            }
        };
    }
    match ours.version {
        Version::V4 => {
            let theirs = parsed(v3_1_1::Connect::parse(frame.body), frame);
            same!(theirs);
        }
        // MQTT 5 §3.1.2.9 allows a password without a user name; the other codec (0.7.9) does not.
        Version::V5 if ours.password.is_some() && ours.user_name.is_none() => {}
        Version::V5 => {
            let theirs = parsed(v5_0::Connect::parse(frame.body), frame);
            same!(theirs);
            if let Some(will) = &ours.will {
                same_properties(&theirs.will_props, &will.properties);
            }
            let mut user_properties = Vec::new();
            for property in &theirs.props {
                match property {
                    Property::SessionExpiryInterval(it) => {
                        assert_eq!(Some(it.val()), ours.session_expiry_s);
                    }
                    Property::ReceiveMaximum(it) => {
                        assert_eq!(Some(it.val()), ours.receive_maximum);
                    }
                    Property::MaximumPacketSize(it) => {
                        assert_eq!(Some(it.val()), ours.max_packet_bytes);
                    }
                    Property::TopicAliasMaximum(it) => {
                        assert_eq!(it.val(), ours.topic_alias_maximum);
                    }
                    Property::RequestProblemInformation(it) => {
                        assert_eq!(it.val() == 1, ours.request_problem_info);
                    }
                    Property::RequestResponseInformation(it) => {
                        assert_eq!(it.val() == 1, ours.request_response_info);
                    }
                    Property::AuthenticationMethod(it) => {
                        assert_eq!(Some(it.val()), ours.authentication_method.as_deref());
                    }
                    Property::UserProperty(it) => {
                        user_properties.push((it.key().to_owned(), it.val().to_owned()));
                    }
                    _ => {}
                }
            }
            assert_eq!(user_properties, ours.user_properties);
        }
    }
}
