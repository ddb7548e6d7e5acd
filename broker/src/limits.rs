//! The bounds of a broker, each with what happens when it is reached.

/// Limits of a broker and its sessions.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Open connections. One more is closed at once and counted.
    pub connections_max: usize,
    /// Connections of one address that have not been let in yet. One more is closed at once.
    pub connecting_per_address_max: usize,
    /// Connections of all addresses that have not been let in yet. One more is closed at once.
    pub connecting_max: usize,
    /// Handshakes (PROXY header, TLS, WebSocket) at the same time. One more connection that needs
    /// one is closed at once.
    pub handshakes_max: usize,
    /// Milliseconds from the connection to the end of a CONNECT, handshakes included. Then it is
    /// closed.
    pub connect_timeout_ms: u64,
    /// The largest CONNECT taken, bytes. A larger one ends the connection (0x95).
    pub connect_bytes_max: usize,
    /// Milliseconds for the rest of a packet that has begun, and for a client to take some of what
    /// it is sent. Then the connection is closed (0x8D). 0: never.
    pub stall_timeout_ms: u64,
    /// Seconds without a word before the system asks whether a TCP client is still there. 0: never.
    pub tcp_keep_alive_s: u32,
    /// The largest packet taken, bytes. A larger one ends the connection (0x95).
    pub packet_bytes_max: usize,
    /// Bytes of a topic name or filter. A longer one is refused (0x90, 0x8F).
    pub topic_bytes_max: usize,
    /// Levels of a topic name or filter. A deeper one is refused (0x90, 0x8F).
    pub topic_levels_max: usize,
    /// Subscriptions of a session. One more is refused (0x97).
    pub subscriptions_max: usize,
    /// Subscriptions to plain topics of all sessions. One more is refused (0x97).
    pub subscriptions_total_max: usize,
    /// Filters of a SUBSCRIBE or UNSUBSCRIBE. One more ends the connection (0x97).
    pub filters_per_packet_max: usize,
    /// Sessions of a user, on line and off line. A client with one more is not let in (0x97).
    pub sessions_per_user_max: usize,
    /// Publishes of a client that wait for their acknowledgement: the receive maximum it is told.
    /// A client of MQTT 5 that goes beyond is disconnected (0x93); one of 3.1.1 is not read on.
    pub inflight_in_max: u16,
    /// Deliveries to a client that wait for its acknowledgement, if it allows as many. Further
    /// ones wait where they are.
    pub inflight_out_max: u16,
    /// User properties of a packet. One more ends the connection (0x97).
    pub user_properties_max: usize,
    /// Topic aliases that a client may set, and that it is given if it takes as many.
    pub topic_aliases_max: u16,
    /// Bytes on their way to a client that does not read. Beyond, nothing is prepared or read.
    pub pending_bytes_max: usize,
    /// Messages of plain topics queued for a session. Further ones are dropped and counted. As
    /// many notices of the host; further ones are dropped and counted.
    pub queued_messages_max: usize,
    /// Bytes of plain messages for a session that wait, or are on their way and not acknowledged.
    /// Further ones are dropped and counted.
    pub queued_bytes_max: usize,
    /// Bytes of such messages for all sessions. No session has more of it than is left for all
    /// others; further ones are dropped and counted.
    pub queued_total_bytes_max: usize,
    /// Whether a publish at QoS 1 that is queued for a session off line is acknowledged only when
    /// it is stored; else at once. At QoS 2 it always waits.
    pub puback_after_store: bool,
    /// Retained messages. One more is refused (0x97) where the client can be told, else it is
    /// delivered and not retained; both are counted.
    pub retained_messages_max: usize,
    /// Bytes of retained messages, likewise.
    pub retained_bytes_max: usize,
    /// Seconds a session may ask to outlive its connection; more is cut to this, and told.
    pub session_expiry_s_max: u32,
    /// Seconds of keep-alive; a client that asks for more, or for none, is told this. 0: no cap.
    pub keep_alive_s_max: u16,
    /// Where clients are sent when the broker stops (MQTT 5 §4.11); `None`: nowhere.
    pub server_reference: Option<String>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 100_000,
            connecting_per_address_max: 256,
            connecting_max: 10_000,
            handshakes_max: 4096,
            connect_timeout_ms: 10_000,
            connect_bytes_max: 64 << 10,
            stall_timeout_ms: 120_000,
            tcp_keep_alive_s: 300,
            packet_bytes_max: 1 << 20,
            topic_bytes_max: 1024,
            topic_levels_max: 32,
            subscriptions_max: 1000,
            subscriptions_total_max: 1_000_000,
            filters_per_packet_max: 1000,
            sessions_per_user_max: 100,
            inflight_in_max: 100,
            inflight_out_max: 256,
            user_properties_max: 32,
            topic_aliases_max: 32,
            pending_bytes_max: 1 << 20,
            queued_messages_max: 1000,
            queued_bytes_max: 8 << 20,
            queued_total_bytes_max: 256 << 20,
            puback_after_store: true,
            retained_messages_max: 100_000,
            retained_bytes_max: 64 << 20,
            session_expiry_s_max: 30 * 24 * 3600,
            keep_alive_s_max: 0,
            server_reference: None,
        }
    }
}
