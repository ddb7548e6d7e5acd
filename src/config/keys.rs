//! Every key of the configuration: its default, what it takes, what it is for, and what happens
//! when a limit is reached. `bluetick config` and docs/operations.md are made from this table.

use std::fmt;

use bluetick_protocol::UserId;
use tracing_subscriber::EnvFilter;

use crate::access::Rule;
use crate::listeners::Port;

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
    /// Of tracing's `EnvFilter`.
    Filter,
    Bool,
    OneOf(&'static [&'static str]),
    /// A list, which may be empty.
    Addresses,
    /// A list, which may be empty.
    Paths,
    /// A list, which may be empty.
    Users,
    /// A list, which may be empty, of servers as MQTT 5 §4.11 writes them.
    Servers,
    /// A list, which may be empty.
    Rules,
    Number {
        min: u64,
        max: u64,
    },
}

impl Key {
    pub(super) fn default_items(&self) -> Vec<String> {
        self.default.iter().map(ToString::to_string).collect()
    }
}

impl Kind {
    pub(super) fn takes(self, item: &str) -> bool {
        match self {
            Self::Text | Self::Paths => !item.is_empty(),
            Self::Filter => !item.is_empty() && EnvFilter::try_new(item).is_ok(),
            Self::Bool => item == "true" || item == "false",
            Self::OneOf(choices) => choices.contains(&item),
            Self::Addresses => item.parse::<Port>().is_ok(),
            Self::Servers => !item.is_empty() && !item.contains(char::is_whitespace),
            Self::Users => UserId::try_from(item).is_ok(),
            Self::Rules => item.parse::<Rule>().is_ok(),
            Self::Number { min, max } => {
                item.replace('_', "").parse::<u64>().is_ok_and(|n| (min..=max).contains(&n))
            }
        }
    }

    /// Whether it takes a list, which may be empty.
    pub(super) const fn is_list(self) -> bool {
        matches!(self, Self::Addresses | Self::Paths | Self::Users | Self::Servers | Self::Rules)
    }

    pub(super) fn to_toml(self, items: &[String]) -> String {
        let quote = |item: &String| toml::Value::String(item.clone()).to_string();
        let quoted = || items.iter().map(quote).collect::<Vec<_>>();
        match self {
            kind if kind.is_list() => format!("[{}]", quoted().join(", ")),
            Self::Bool | Self::Number { .. } => items.concat(),
            _ => quoted().concat(),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text => f.write_str("must be a text that is not empty"),
            Self::Filter => {
                f.write_str("must be a filter, such as info or info,bluetick_broker=debug")
            }
            Self::Bool => f.write_str("must be true or false"),
            Self::OneOf(choices) => write!(f, "must be one of {}", choices.join(", ")),
            Self::Addresses => f.write_str("must be an address and a port, such as 127.0.0.1:1883"),
            Self::Paths => f.write_str("must be the path of a file"),
            Self::Servers => {
                f.write_str("must be a server's name, such as chat.example.org or [::1]:1883")
            }
            Self::Users => f.write_str("must be the name of a user, such as alice"),
            Self::Rules => f.write_str(
                "must be a rule: allow or deny; publish, subscribe or all; a user or *; a pattern of \
                 topics, such as allow all * pub/#",
            ),
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
    key("data_dir", Kind::Text, &["data"], "Where everything is stored: a folder that only its owner can read, for one process at a time.
         A relative one, so that a first try needs no rights; services name an absolute one."),
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
        "Where to listen for MQTT over TCP. Port 0 takes a free one, which is printed.
         +proxy after an address, here and below: a PROXY protocol v2 header of a load balancer
         stands in front of each connection, and is believed.
         1883 is MQTT's registered port; loopback, because nothing is encrypted here. The default
         does not count if one of the other listeners is set.",
    ),
    key(
        "listen.mqtts",
        Kind::Addresses,
        &[],
        "Where to listen for MQTT over TLS (1.2 and 1.3); 8883 is the registered port.
         Nowhere: it needs a certificate.",
    ),
    key(
        "listen.ws",
        Kind::Addresses,
        &[],
        "Where to listen for MQTT over WebSocket, on any path, with the subprotocol mqtt.
         Nowhere: who has no browsers among his clients needs none.",
    ),
    key(
        "listen.wss",
        Kind::Addresses,
        &[],
        "The same over TLS.
         Nowhere: it needs a certificate.",
    ),
    key(
        "listen.unix",
        Kind::Paths,
        &[],
        "Unix sockets to listen on for MQTT; who may connect is up to the folder's permissions.
         Nowhere: for programs on the same machine, which find the port as well.",
    ),
    key(
        "listen.http",
        Kind::Addresses,
        &[],
        "Where to answer /healthz, /readyz and /metrics over HTTP, to whoever asks: loopback, or a
         network of one's own. No users and no topics are named there.
         Nowhere: a second server on a machine would find the port taken.",
    ),
    key(
        "tls.certs",
        Kind::Paths,
        &[],
        "The server's certificates with their chains, a PEM file each. A client gets the first that
         is valid for the name it asks for (SNI), or else the first of all. They are read again
         when they change; if they cannot be used, the old ones stay and the log says so.",
    ),
    key(
        "tls.keys",
        Kind::Paths,
        &[],
        "Their private keys, as many and in the same order, a PEM file each.",
    ),
    key(
        "tls.client_cas",
        Kind::Paths,
        &[],
        "Authorities of client certificates, in PEM. Whoever has a certificate of one of them is let
         in without a password as the user that its common name (CN) says, if there is an account.
         None: clients are not asked for certificates.",
    ),
    key(
        "tls.client_certs",
        Kind::OneOf(&["optional", "required"]),
        &["optional"],
        "Whether a client without such a certificate may log in by its password, or is refused.
         Counts if there are tls.client_cas. optional: both kinds of client use one port.",
    ),
    key(
        "access.rules",
        Kind::Rules,
        &["allow all * pub/#"],
        "Who may use which plain topics: allow or deny; publish, subscribe or all; a user or * for
         everybody; a pattern of topics, in which {user} and {client} stand for who asks. From top to
         bottom, the first that decides counts, and where none does, the answer is no. A subscription
         is allowed if all that it would get is, and denied if any of it is. Read anew at SIGHUP.
         allow all * pub/#: a playground for everybody with an account, and nothing else by mistake.
         In dev mode all topics are open unless this is set. Chats are no matter of these rules.",
    ),
    key(
        "log.format",
        Kind::OneOf(&["text", "json"]),
        &["text"],
        "How to log on standard error: text for people, who come first; json for machines.",
    ),
    key(
        "log.filter",
        Kind::Filter,
        &["info"],
        "What to log, by module and level, such as info,bluetick_broker=debug.
         info: what an operator has to know; connections that come and go are at debug.",
    ),
    key(
        "shutdown.grace_s",
        number(0, 3600),
        &["10"],
        "Seconds that clients get to take their last packets after SIGTERM.
         10: below the 30 after which most supervisors kill.",
    ),
    key(
        "shutdown.servers",
        Kind::Servers,
        &[],
        "Servers where clients are to go when this one stops: those of MQTT 5 are told (0x9C, with a
         server reference), those of 3.1.1 are disconnected.
         Nowhere: clients come back once this one is up again.",
    ),
    key(
        "limits.connections_max",
        number(1, 10_000_000),
        &["100000"],
        "Open connections. One more is closed at once and counted.
         100000: 600 MB at 6 KB each. Fewer, which the log says, if the system's limit of open files,
         which the server raises as far as it may, leaves no more: an eighth of it, 256 at least, is
         kept for the store.",
    ),
    key(
        "limits.connecting_per_address_max",
        number(1, 1_000_000),
        &["256"],
        "Connections of one address that are not let in yet. One more is closed at once.
         256: an office behind one address comes back after an outage; a flood does not fill
         limits.connections_max.",
    ),
    key(
        "limits.connecting_max",
        number(1, 10_000_000),
        &["10000"],
        "Connections of all addresses that are not let in yet. One more is closed at once and counted.
         10000: a tenth of limits.connections_max, so that a flood from many addresses leaves those
         who are let in their place. 640 MB if all have sent a whole CONNECT and wait.",
    ),
    key(
        "limits.handshakes_max",
        number(1, 1_000_000),
        &["4096"],
        "Handshakes (PROXY header, TLS, WebSocket) at the same time. One more connection that needs
         one is closed at once and counted. 4096: 100 MB if all stall after the first packet.",
    ),
    key(
        "limits.connect_timeout_s",
        number(1, 3600),
        &["10"],
        "Seconds from the connection until the client is let in, handshakes included. Then it is
         closed.
         10: a CONNECT over a bad mobile line, or a wait after wrong passwords (4 s).",
    ),
    key(
        "limits.connect_bytes_max",
        number(1024, 268_435_460),
        &["65536"],
        "Bytes of the largest CONNECT taken. A larger one ends the connection (0x95).
         64 KiB: a will and a token; who sends it is not known yet, and it is in memory.",
    ),
    key(
        "limits.stall_timeout_s",
        number(0, 86_400),
        &["120"],
        "Seconds for the rest of a packet that has begun, and for a client to take some of what it is
         sent. Then the connection is closed (0x8D) and counted. 0: never.
         120: the largest packet over a line of 70 kbit/s. Keep-alive does not see who asks for none.",
    ),
    key(
        "limits.tcp_keep_alive_s",
        number(0, 32_767),
        &["300"],
        "Seconds without a word from a TCP client before the system asks it, ten times in five minutes,
         whether it is there. 0: never. 300: for clients without MQTT's keep-alive, whose machine or
         line is gone; others say something more often.",
    ),
    key(
        "limits.packet_bytes_max",
        number(1024, 268_435_460),
        &["1048576"],
        "Bytes of the largest packet taken; clients of MQTT 5 are told. A larger one ends the
         connection (0x95). 1 MiB: four times a message's body, for JSON, Base64 and properties.",
    ),
    key(
        "limits.topic_bytes_max",
        number(64, 65_535),
        &["1024"],
        "Bytes of a topic or filter. A longer one is refused (0x90, 0x8F).
         1024: five times the longest topic of a chat.",
    ),
    key(
        "limits.topic_levels_max",
        number(4, 1024),
        &["32"],
        "Levels of a topic or filter. A deeper one is refused (0x90, 0x8F).
         32: matching costs time by the level; a chat's topics have four.",
    ),
    key(
        "limits.subscriptions_max",
        number(1, 1_000_000),
        &["1000"],
        "Subscriptions of a session. One more is refused (0x97).
         1000: a chat user needs two; the rest is for plain topics.",
    ),
    key(
        "limits.subscriptions_total_max",
        number(1, 1_000_000_000),
        &["1000000"],
        "Subscriptions to plain topics of all sessions, also those off line. One more is refused (0x97).
         1000000: 0.7 GB; 6 GB if all of them have as many levels as they may and share none.",
    ),
    key(
        "limits.filters_per_packet_max",
        number(1, 1_000_000),
        &["1000"],
        "Filters of a SUBSCRIBE or UNSUBSCRIBE. One more ends the connection (0x97).
         1000: all that a session may have in one packet; each is looked up among the others.",
    ),
    key(
        "limits.sessions_per_user_max",
        number(1, 10_000_000),
        &["100"],
        "Sessions of a user, on line and off line. A client with one more is not let in (0x97; in 3.1.1,
         3); sessions that there are come back. 100: nobody has so many devices. A fleet of things
         under one account needs more.",
    ),
    key(
        "limits.inflight_in_max",
        number(1, 65_535),
        &["100"],
        "Publishes of a client that wait for their acknowledgement (the receive maximum it is told).
         A client of MQTT 5 that sends more is disconnected (0x93), one of 3.1.1 is not read on.
         100: enough to keep a fast client busy while the disk syncs.",
    ),
    key(
        "limits.inflight_out_max",
        number(1, 16_384),
        &["256"],
        "Deliveries that wait for a client's acknowledgement, if it allows as many.
         Further ones wait in the log; nothing is dropped.
         256: a backlog flows over a slow line; what is under way is what costs memory.",
    ),
    key(
        "limits.user_properties_max",
        number(0, 65_535),
        &["32"],
        "User properties of a packet. One more ends the connection (0x97).
         32: room for id, reply_to and a few dozen mentions.",
    ),
    key(
        "limits.topic_aliases_max",
        number(0, 65_535),
        &["32"],
        "Topic aliases that a client of MQTT 5 may set, as it is told, and that it is given, if it
         takes as many. A higher one ends the
         connection (0x94). 32: each keeps a topic in memory; a chat user writes to few.",
    ),
    key(
        "limits.pending_bytes_max",
        number(65_536, 1_073_741_824),
        &["1048576"],
        "Bytes on their way to a client that does not read. Beyond, nothing is prepared for it
         and it is not read from. 1 MiB: one packet of the largest size.",
    ),
    key(
        "limits.queued_messages_max",
        number(1, 1_000_000),
        &["1000"],
        "Messages of plain topics queued for a session. Further ones are dropped and counted.
         1000: they are in memory. Messages of chats are not queued and never dropped. As many \
         notices (me/acks, me/errors) wait for a client that does not acknowledge them.",
    ),
    key(
        "limits.queued_bytes_max",
        number(1024, 1_099_511_627_776),
        &["8388608"],
        "Bytes of plain messages for a session that wait, or are on their way and not acknowledged.
         Further ones are dropped and counted. 8 MiB: a thousand messages of 8 KB.",
    ),
    key(
        "limits.queued_total_bytes_max",
        number(1024, 1_099_511_627_776),
        &["268435456"],
        "Bytes of such messages for all sessions; no session has more of it than is left for all others.
         Further ones are dropped and counted. 256 MiB: they are in memory, those of sessions off line on the disk as well.",
    ),
    key(
        "limits.retained_messages_max",
        number(0, 100_000_000),
        &["100000"],
        "Retained messages. One more is refused (0x97) if it comes at QoS 1 or 2 of MQTT 5, else it is
         delivered and not retained; both are counted. 0: clients of MQTT 5 are told that nothing is
         retained. 100000: a topic each of that many devices.",
    ),
    key(
        "limits.retained_bytes_max",
        number(0, 1_099_511_627_776),
        &["67108864"],
        "Bytes of retained messages, likewise. 64 MiB: they are in memory and on the disk.",
    ),
    key(
        "limits.session_expiry_s_max",
        number(0, 4_294_967_295),
        &["2592000"],
        "Seconds that a session may outlive its connection. More is cut to this, and told. 0: no cap.
         30 days: a phone left in a drawer comes back to its place; undelivered messages wait for
         the user in any case.",
    ),
    key(
        "limits.keep_alive_s_max",
        number(0, 65_535),
        &["0"],
        "Seconds of keep-alive; a client of MQTT 5 that asks for more, or for none, is told this.
         0: as it asks, because phones know best how often they can wake up.",
    ),
    key(
        "chat.message_bytes_max",
        number(1, 268_435_000),
        &["262144"],
        "Bytes of a message's body. A larger one is refused (0x95).
         256 KiB: text, voice snippets, thumbnails; larger media belong beside the chat.",
    ),
    key(
        "chat.edit_window_s",
        number(0, 4_294_967_295),
        &["3600"],
        "Seconds after which a message can no longer be edited (0x87). 0: never.
         3600: long enough for a mistake, too short to rewrite what others have answered.",
    ),
    key(
        "chat.group_members_max",
        number(2, 100_000),
        &["1024"],
        "Members of a group. One more is refused (0x97).
         1024: what people can follow; each member costs a message that he reads one delivery.",
    ),
    key(
        "chat.receipts_members_max",
        number(2, 100_000),
        &["64"],
        "In a group with more members, an author is told how many have his newest message, not who
         (chats.info says who). 64: a list that people still look through.",
    ),
    key(
        "chat.tail_bytes_max",
        number(0, 68_719_476_736),
        &["67108864"],
        "Bytes that the newest messages may take in memory, about, per partition, for those who read
         along. Who is further behind is served from the disk. 64 MiB: a second at full load.",
    ),
    key(
        "quota.user_messages_per_s",
        number(0, 1_000_000),
        &["100"],
        "Messages and requests of a user per second, over all his chats; ten seconds' worth may come
         at once. More is refused (0x97) until later. 0: no limit, as all quotas are in dev mode
         unless they are set. 100: no person types so fast, and a device that has gone mad is held.",
    ),
    key(
        "quota.chat_messages_per_s",
        number(0, 1_000_000),
        &["50"],
        "Messages of a user per second in one chat, likewise. 0: no limit.
         50: a sensor may say much; nobody can read more.",
    ),
    key(
        "quota.stored_bytes_max",
        number(0, 1_125_899_906_842_624),
        &["10737418240"],
        "Bytes that a user's messages may take: their bodies, and 100 for each. Beyond, he can only
         delete (0x97). Deleted and expired ones do not count. After a crash the count may miss what
         was sent in the last half minute. 0: no limit. 10 GiB: years of text, a month of snippets.",
    ),
    key(
        "quota.groups_owned_max",
        number(0, 1_000_000),
        &["200"],
        "Groups that a user may be an owner of when he makes another one (0x97). 0: no limit.
         200: more than anybody looks after.",
    ),
    key(
        "quota.strangers_per_hour",
        number(0, 1_000_000),
        &["60"],
        "Direct chats that a user may begin in an hour, or try to where there is no such user (0x97).
         0: no limit. 60: a new member of a team writes to all; who sends out leaflets is held up.",
    ),
    key(
        "plain.puback_after_store",
        Kind::Bool,
        &["true"],
        "Whether a publish to a plain topic at QoS 1 is acknowledged only when it is on the disk, if
         it is retained or waits there for a session off line. At QoS 2 it always is. true: who has
         a PUBACK need not send again; what reaches only those on line does not wait in any case.",
    ),
    key(
        "plain.operators",
        Kind::Users,
        &[],
        "Users who may subscribe to $SYS, where the server tells its figures. In dev mode, unless it is
         set, everybody may. Nobody: how busy a server is is not everybody's business.",
    ),
    key(
        "store.partitions",
        number(1, 64),
        &["2"],
        "Into how many parts chats are divided; fixed when a data directory is made.
         Each has its own lock: as many as cores, for a start.",
    ),
    key(
        "store.erase_every_s",
        number(1, 31_536_000),
        &["3600"],
        "Seconds after which bodies of deleted and expired messages have left the disk, at the latest
         (a restart in between begins anew). 3600: each time the files that hold them are written
         again.",
    ),
    key(
        "store.write_buffer_bytes",
        number(1_048_576, 4_294_967_296),
        &["67108864"],
        "Bytes of RocksDB's memory for writes, per table. When it is full it is written to a file.
         64 MiB: 256 were measured slower (processor caches).",
    ),
    key(
        "store.block_cache_bytes",
        number(1_048_576, 1_099_511_627_776),
        &["67108864"],
        "Bytes of RocksDB's memory for what was read. Beyond, the disk is read again.
         64 MiB: the same as it writes with; more helps where many read far back.",
    ),
    key(
        "store.log_bytes",
        number(1_048_576, 17_179_869_184),
        &["67108864"],
        "Bytes of the journal, of which all is read at the start after a crash. It is four files; with
         two of them full, what is in memory goes to RocksDB's files. 64 MiB: about a second of start;
         more writes fewer files.",
    ),
];
