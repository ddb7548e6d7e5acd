//! `bench-rumqttd PORT WINDOW VERSION`: the broker of the crate rumqttd on a loopback port, for clients of MQTT 3.1.1
//! (version 4) or MQTT 5.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;

use rumqttd::{Broker, Config, ConnectionSettings, RouterConfig, ServerSettings};
use tracing_subscriber::EnvFilter;

/// Says that it listens, and what goes wrong.
const LOG: &str = "warn,rumqttd::server::broker=info";
/// What it keeps of each topic for slow receivers: segments of its default size, ten times as many.
const SEGMENT_BYTES: usize = 100 * 1024 * 1024;
const SEGMENTS: usize = 100;
/// Connections, of all workloads.
const CONNECTIONS: usize = 100_000;
/// Packets that it hands to one connection at a time, its default.
const OUTGOING_PACKETS: u64 = 200;
/// Bytes of a message, far above those of the workloads.
const PAYLOAD_BYTES: usize = 64 * 1024;
/// Milliseconds until a CONNECT has to be there.
const CONNECT_MS: u16 = 60_000;

fn main() -> ExitCode {
    let log = EnvFilter::new(LOG);
    tracing_subscriber::fmt().with_env_filter(log).with_ansi(false).init();
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let Some(config) = config(&arguments) else {
        eprintln!("usage: bench-rumqttd PORT WINDOW 4|5");
        return ExitCode::FAILURE;
    };
    match Broker::new(config).start() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-rumqttd: {error}");
            ExitCode::FAILURE
        }
    }
}

fn config(arguments: &[String]) -> Option<Config> {
    let [port, window, version] = arguments else { return None };
    let settings = ServerSettings {
        name: "bench".into(),
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, port.parse().ok()?)),
        tls: None,
        next_connection_delay_ms: 0,
        connections: ConnectionSettings {
            connection_timeout_ms: CONNECT_MS,
            max_payload_size: PAYLOAD_BYTES,
            max_inflight_count: window.parse().ok()?,
            auth: None,
            external_auth: None,
            dynamic_filters: true,
        },
    };
    let servers = Some(HashMap::from([("bench".to_owned(), settings)]));
    let (v4, v5) = match version.as_str() {
        "4" => (servers, None),
        "5" => (None, servers),
        _ => return None,
    };
    let router = RouterConfig {
        max_connections: CONNECTIONS,
        max_outgoing_packet_count: OUTGOING_PACKETS,
        max_segment_size: SEGMENT_BYTES,
        max_segment_count: SEGMENTS,
        ..RouterConfig::default()
    };
    Some(Config { router, v4, v5, ..Config::default() })
}
