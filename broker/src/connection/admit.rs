//! Who is let in: the CONNECT, and the host's word on it.

use std::io;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use super::Peer;
use super::wire::Wire;
use crate::broker::Shared;
use crate::codec::{self, DecodeError};
use crate::host::{Attempt, Host, HostEvent, SessionKey};
use crate::mailbox::Mailbox;
use crate::packet::{ConnAck, ConnAckReason, Connect, Packet, Reason, Version};
use crate::session::connack_fits;
use crate::stats::Stats;
use crate::topic;

/// Bytes of a client id. A longer one is refused (0x85).
const CLIENT_ID_BYTES_MAX: usize = 256;

/// What a CONNECT begins with.
const CONNECT: u8 = 1 << 4;

/// A client that was let in.
pub(super) struct Admitted {
    pub(super) connect: Box<Connect>,
    pub(super) key: SessionKey,
    /// The server chose the client id.
    pub(super) assigned: bool,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Decode(#[from] DecodeError),
    #[error("the connection was closed")]
    Closed,
    #[error("refused with {0:?}")]
    Refused(Reason),
}

/// Reads CONNECT and checks who it is.
pub(super) async fn admit<H: Host, S: AsyncRead + AsyncWrite + Unpin>(
    shared: &Shared<H>,
    wire: &mut Wire<S>,
    peer: Peer,
) -> Result<Admitted, Refusal> {
    let connect = read_connect(shared, wire).await?;
    let refusal = check_connect(shared, &connect);
    if let Some(reason) = refusal {
        return refuse(shared, wire, &connect, reason).await;
    }
    let mailbox = Arc::new(Mailbox::new(Arc::default()));
    let attempt = Attempt {
        address: peer.address,
        certificate: peer.certificate,
        user_name: connect.user_name.clone(),
        password: connect.password.clone(),
    };
    shared.host.authenticate(attempt, mailbox.set_online());
    let user = loop {
        let events = mailbox.take(0, 0).events;
        let answer = events.into_iter().find_map(|event| match event {
            HostEvent::Authenticated(answer) => Some(answer),
            _ => None,
        });
        match answer {
            Some(answer) => break answer,
            None => mailbox.wait().await,
        }
    };
    match user {
        Ok(user) => {
            let assigned = connect.client_id.is_empty();
            let client_id: Arc<str> = if assigned {
                shared.host.assign_client_id()
            } else {
                connect.client_id.as_str().into()
            };
            let told = assigned.then_some(&*client_id);
            if !connack_fits(&connect, &shared.limits, told) {
                return refuse(shared, wire, &connect, Reason::PACKET_TOO_LARGE).await;
            }
            let key = SessionKey { user, client_id };
            Ok(Admitted { connect, key, assigned })
        }
        Err(reason) => {
            Stats::add(&shared.stats.logins_refused, 1);
            refuse(shared, wire, &connect, reason).await
        }
    }
}

async fn read_connect<H: Host, S: AsyncRead + AsyncWrite + Unpin>(
    shared: &Shared<H>,
    wire: &mut Wire<S>,
) -> Result<Box<Connect>, Refusal> {
    loop {
        match codec::decode(&wire.inbox, None, shared.limits.connect_bytes_max) {
            Ok(Some((Packet::Connect(connect), length))) => {
                shared.stats.packets_in.count(CONNECT);
                wire.inbox.drain(..length);
                return Ok(connect);
            }
            // The codec takes nothing but a CONNECT before the version is known.
            Ok(Some(_)) => return Err(Refusal::Closed),
            Ok(None) => {}
            Err(error) => {
                Stats::add(&shared.stats.protocol_errors, 1);
                // MQTT 5 §4.13: what cannot be understood as MQTT is closed without a word; a
                // client whose version is known, or is not served, is told.
                let version = match error.reason {
                    Reason::UNSUPPORTED_VERSION => Some(error.version.unwrap_or(Version::V4)),
                    _ => error.version,
                };
                if let Some(version) = version {
                    return refuse_unread(shared, wire, version, None, error.reason).await;
                }
                return Err(error.into());
            }
        }
        match wire.read().await? {
            0 => return Err(Refusal::Closed),
            read => Stats::add(&shared.stats.bytes_in, read as u64),
        }
    }
}

fn check_connect<H: Host>(shared: &Shared<H>, connect: &Connect) -> Option<Reason> {
    let limits = &shared.limits;
    if shared.is_stopping() {
        Some(shared.stop_reason())
    } else if connect.authentication_method.is_some() {
        Some(Reason::BAD_AUTHENTICATION_METHOD)
    } else if connect.client_id.len() > CLIENT_ID_BYTES_MAX
        // MQTT 3.1.1 §3.1.3.1: a client without an id must ask for a clean session.
        || (connect.client_id.is_empty() && connect.version == Version::V4 && !connect.clean_start)
    {
        Some(Reason::CLIENT_ID_NOT_VALID)
    } else if connect.user_properties.len() > limits.user_properties_max {
        Some(Reason::QUOTA_EXCEEDED)
    } else if connect.will.as_ref().is_some_and(|will| {
        !topic::is_valid_name(&will.topic)
            || will.topic.len() > limits.topic_bytes_max
            || topic::depth(&will.topic) > limits.topic_levels_max
    }) {
        Some(Reason::TOPIC_NAME_INVALID)
    } else if connect.will.as_ref().is_some_and(|will| will.retain)
        && limits.retained_messages_max == 0
    {
        Some(Reason::RETAIN_NOT_SUPPORTED)
    } else {
        None
    }
}

/// Tells a client that it is not let in, and why.
pub(super) async fn refuse<H: Host, S: AsyncRead + AsyncWrite + Unpin, T>(
    shared: &Shared<H>,
    wire: &mut Wire<S>,
    connect: &Connect,
    reason: Reason,
) -> Result<T, Refusal> {
    refuse_unread(shared, wire, connect.version, connect.max_packet_bytes, reason).await
}

/// As [`refuse`], where there is no CONNECT that could be read.
async fn refuse_unread<H: Host, S: AsyncRead + AsyncWrite + Unpin, T>(
    shared: &Shared<H>,
    wire: &mut Wire<S>,
    version: Version,
    max_packet_bytes: Option<u32>,
    reason: Reason,
) -> Result<T, Refusal> {
    let takes = max_packet_bytes.map_or(usize::MAX, |bytes| bytes as usize);
    let moved = reason == Reason::USE_ANOTHER_SERVER;
    let plain = ConnAck {
        reason: ConnAckReason(reason),
        retain_available: true,
        shared_subscriptions_available: true,
        ..ConnAck::default()
    };
    let full = ConnAck {
        reason_string: why(reason).map(ToOwned::to_owned),
        server_reference: shared.limits.server_reference.clone().filter(|_| moved),
        ..plain.clone()
    };
    let mut out = Vec::new();
    for ack in [full, plain] {
        out.clear();
        codec::write_connack(&mut out, version, &ack);
        if out.len() <= takes {
            break;
        }
    }
    if out.len() > takes {
        // MQTT 5 §3.1.2.11.4: nothing that it does not take may be sent, and so it is not told.
        out.clear();
    }
    for (first_byte, _) in codec::written(&out) {
        shared.stats.packets_out.count(first_byte);
    }
    Stats::add(&shared.stats.bytes_out, out.len() as u64);
    wire.stream.write_all(&out).await?;
    wire.stream.shutdown().await?;
    Err(Refusal::Refused(reason))
}

/// For a person who looks why a client is not let in; where the code says it all, nothing.
fn why(reason: Reason) -> Option<&'static str> {
    Some(match reason {
        Reason::UNSUPPORTED_VERSION => "MQTT 3.1.1 and 5 are spoken here",
        Reason::CLIENT_ID_NOT_VALID => "the client id is too long",
        Reason::BAD_AUTHENTICATION_METHOD => "there is no enhanced authentication here",
        Reason::QUOTA_EXCEEDED => "too many sessions of this user, or too many user properties",
        Reason::TOPIC_NAME_INVALID => "the will's topic is not a valid topic name",
        Reason::RETAIN_NOT_SUPPORTED => "nothing is retained here, and so no will",
        Reason::PACKET_TOO_LARGE => "the maximum packet size has no room for a CONNACK",
        Reason::SERVER_UNAVAILABLE => "the server cannot store at the moment: try again later",
        _ => return None,
    })
}
