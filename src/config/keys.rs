//! Every key of the configuration: its default, what it takes, what it is for, and what happens
//! when a limit is reached. `bluetick config` and docs/operations.md are made from this table.

use std::fmt;
use std::net::SocketAddr;

/// A key.
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) default: &'static [&'static str],
    pub(super) doc: &'static str,
}

/// What a key takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Bool,
    OneOf(&'static [&'static str]),
    Addresses,
    Number { min: u64, max: u64 },
}

impl Kind {
    pub(super) fn takes(self, item: &str) -> bool {
        match self {
            Self::Text => !item.is_empty(),
            Self::Bool => item == "true" || item == "false",
            Self::OneOf(choices) => choices.contains(&item),
            Self::Addresses => item.parse::<SocketAddr>().is_ok(),
            Self::Number { min, max } => {
                item.replace('_', "").parse::<u64>().is_ok_and(|n| (min..=max).contains(&n))
            }
        }
    }

    pub(super) fn to_toml(self, items: &[String]) -> String {
        let quoted = || items.iter().map(|item| format!("{item:?}")).collect::<Vec<_>>();
        match self {
            Self::Text | Self::OneOf(_) => quoted().concat(),
            Self::Addresses => format!("[{}]", quoted().join(", ")),
            Self::Bool | Self::Number { .. } => items.concat(),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text => f.write_str("must be a text that is not empty"),
            Self::Bool => f.write_str("must be true or false"),
            Self::OneOf(choices) => write!(f, "must be one of {}", choices.join(", ")),
            Self::Addresses => f.write_str("must be an address and a port, such as 127.0.0.1:1883"),
            Self::Number { min, max } => write!(f, "must be a number, {min} to {max}"),
        }
    }
}

const fn key(
    name: &'static str,
    kind: Kind,
    default: &'static [&'static str],
    doc: &'static str,
) -> Key {
    Key { name, kind, default, doc }
}

const fn number(min: u64, max: u64) -> Kind {
    Kind::Number { min, max }
}

/// All keys, by section.
pub(super) const KEYS: &[Key] = &[
    key("data_dir", Kind::Text, &["data"], "Where everything is stored. One process at a time."),
    key(
        "dev",
        Kind::Bool,
        &["false"],
        "Let any valid user name in without a password. Only on loopback addresses.",
    ),
    key(
        "listen.mqtt",
        Kind::Addresses,
        &["127.0.0.1:1883"],
        "MQTT over TCP. 1883 is MQTT's registered port; loopback, because nothing is encrypted here.",
    ),
    key(
        "log.format",
        Kind::OneOf(&["text", "json"]),
        &["text"],
        "text for people, json for machines.",
    ),
    key(
        "log.filter",
        Kind::Text,
        &["info"],
        "What to log, by module and level. Ordinary disconnects are at debug.",
    ),
    key(
        "shutdown.grace_s",
        number(0, 3600),
        &["10"],
        "Seconds that clients get to take their last packets after SIGTERM.
         10: below the 30 after which most supervisors kill.",
    ),
    key(
        "limits.connections_max",
        number(1, 10_000_000),
        &["100000"],
        "Open connections. One more is closed at once and counted. Mind the limit of open files.",
    ),
    key(
        "limits.connecting_per_address_max",
        number(1, 1_000_000),
        &["256"],
        "Connections of one address that are not let in yet. One more is closed at once.",
    ),
    key(
        "limits.connect_timeout_s",
        number(1, 3600),
        &["10"],
        "Seconds from the connection until the client is let in. Then it is closed.",
    ),
    key(
        "limits.packet_bytes_max",
        number(1024, 268_435_460),
        &["1048576"],
        "The largest packet taken; clients of MQTT 5 are told. A larger one ends the connection (0x95).",
    ),
    key(
        "limits.topic_bytes_max",
        number(64, 65_535),
        &["1024"],
        "Bytes of a topic or filter. A longer one is refused (0x90, 0x8F).",
    ),
    key(
        "limits.topic_levels_max",
        number(4, 1024),
        &["32"],
        "Levels of a topic or filter. A deeper one is refused (0x90, 0x8F).",
    ),
    key(
        "limits.subscriptions_max",
        number(1, 1_000_000),
        &["1000"],
        "Subscriptions of a session. One more is refused (0x97). A chat user needs two.",
    ),
    key(
        "limits.inflight_in_max",
        number(1, 65_535),
        &["100"],
        "Publishes of a client that wait for their acknowledgement (its receive maximum).
         A client of MQTT 5 that sends more is disconnected (0x93), one of 3.1.1 is not read on.",
    ),
    key(
        "limits.inflight_out_max",
        number(1, 16_384),
        &["256"],
        "Deliveries that wait for a client's acknowledgement, if it allows as many.
         Further ones wait in the log; nothing is dropped.",
    ),
    key(
        "limits.user_properties_max",
        number(0, 65_535),
        &["32"],
        "User properties of a packet. One more ends the connection (0x97).",
    ),
    key(
        "limits.topic_aliases_max",
        number(0, 65_535),
        &["32"],
        "Topic aliases that a client may set.",
    ),
    key(
        "limits.pending_bytes_max",
        number(65_536, 1_073_741_824),
        &["1048576"],
        "Bytes on their way to a client that does not read. Beyond, nothing is prepared for it
         and it is not read from.",
    ),
    key(
        "limits.queued_messages_max",
        number(1, 1_000_000),
        &["1000"],
        "Messages of plain topics queued for a session. Further ones are dropped and counted.
         Messages of chats are not queued and never dropped.",
    ),
    key(
        "limits.session_expiry_s_max",
        number(0, 4_294_967_295),
        &["2592000"],
        "Seconds that a session may outlive its connection: 30 days. More is cut to this, and told.
         0: no cap. Undelivered messages wait for the user in any case.",
    ),
    key(
        "limits.keep_alive_s_max",
        number(0, 65_535),
        &["0"],
        "Seconds of keep-alive that a client of MQTT 5 is told at most. 0: as it asks.",
    ),
    key(
        "chat.message_bytes_max",
        number(1, 268_435_000),
        &["262144"],
        "Bytes of a message's body. A larger one is refused (0x95).",
    ),
    key(
        "chat.tail_bytes_max",
        number(0, 68_719_476_736),
        &["33554432"],
        "Bytes of the newest bodies kept in memory, per partition, for those who read along.
         Who is further behind is served from the disk.",
    ),
    key(
        "store.partitions",
        number(1, 64),
        &["2"],
        "Into how many parts chats are divided; fixed when a data directory is made.
         Each has its own lock: as many as cores, for a start.",
    ),
    key(
        "store.write_buffer_bytes",
        number(1_048_576, 4_294_967_296),
        &["67108864"],
        "RocksDB's memory for writes, per table. More was measured slower (processor caches).",
    ),
    key(
        "store.block_cache_bytes",
        number(1_048_576, 1_099_511_627_776),
        &["67108864"],
        "RocksDB's memory for what was read.",
    ),
];
