//! `handshakes`: what it costs to be let in, over TCP and over TLS 1.3 with a full handshake.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use rustls::version::TLS13;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde::Serialize;

use crate::error::Error;
use crate::peer::Peer;
use crate::server::{Certificate, Server};
use crate::settings::{Settings, Workload};
use crate::wire::{Version, put_connect};

/// Threads that connect, each one connection after the other.
const CLIENTS: u32 = 4;

/// How long one step of a connection may take.
const STEP_LIMIT: Duration = Duration::from_secs(20);

/// One run's figures.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct HandshakesRun {
    /// Connections of each kind, from the SYN to the CONNACK.
    pub connections: u32,
    /// Over TCP.
    pub tcp_per_s: f64,
    /// The server's CPU time for each.
    pub tcp_server_cpu_us: f64,
    /// Over TLS 1.3, ECDSA on P-256, nothing resumed.
    pub tls_per_s: f64,
    /// The server's CPU time for each.
    pub tls_server_cpu_us: f64,
}

/// Runs once against fresh servers.
///
/// # Errors
/// Whatever the server does wrong or too late.
pub fn run_handshakes(peer: Peer, settings: &Settings) -> Result<HandshakesRun, Error> {
    let window = Workload::Handshakes.window();
    let server = Server::start(peer, settings, window)?;
    let (tcp_per_s, tcp_server_cpu_us) =
        drive(&server, settings, None).map_err(|error| server.explain(error))?;
    drop(server);
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()])
        .map_err(|error| Error::Wrong(error.to_string()))?;
    let certificate = Certificate { chain: cert.pem(), key: signing_key.serialize_pem() };
    let server = Server::start_tls(peer, settings, window, certificate)?;
    let mut roots = RootCertStore::empty();
    let tls = roots.add(cert.der().clone()).and_then(|()| client(roots));
    let tls = tls.map_err(|error| Error::Wrong(error.to_string()))?;
    let (tls_per_s, tls_server_cpu_us) =
        drive(&server, settings, Some(&tls)).map_err(|error| server.explain(error))?;
    let connections = settings.connections;
    Ok(HandshakesRun { connections, tcp_per_s, tcp_server_cpu_us, tls_per_s, tls_server_cpu_us })
}

fn client(roots: RootCertStore) -> Result<Arc<ClientConfig>, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// Connections by second, and the server's CPU time for each in microseconds.
fn drive(
    server: &Server,
    settings: &Settings,
    tls: Option<&Arc<ClientConfig>>,
) -> Result<(f64, f64), Error> {
    let (count, version) = (settings.connections, settings.version());
    let next = AtomicU32::new(0);
    let process = server.process();
    let (cpu, started) = (process.cpu()?, Instant::now());
    std::thread::scope(|scope| {
        let one = || -> Result<(), Error> {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= count {
                    return Ok(());
                }
                connect(server.address(), version, number, tls)?;
            }
        };
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(one)).collect();
        let ended = clients.into_iter().map(|client| client.join().expect("it does not panic"));
        ended.collect::<Result<(), _>>()
    })?;
    let (cpu, took) = (process.cpu()? - cpu, started.elapsed());
    let count = f64::from(count);
    Ok((count / took.as_secs_f64(), cpu.as_secs_f64() * 1e6 / count))
}

/// Connects, is let in, and leaves.
fn connect(
    address: SocketAddr,
    version: Version,
    number: u32,
    tls: Option<&Arc<ClientConfig>>,
) -> Result<(), Error> {
    let mut stream = TcpStream::connect_timeout(&address, STEP_LIMIT)
        .and_then(|stream| {
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(STEP_LIMIT))?;
            Ok(stream)
        })
        .map_err(Error::io("open a connection"))?;
    let Some(tls) = tls else { return log_in(&mut stream, version, number) };
    let name = ServerName::try_from("localhost").expect("a name");
    let connection = ClientConnection::new(tls.clone(), name)
        .map_err(|error| Error::Wrong(error.to_string()))?;
    log_in(&mut StreamOwned::new(connection, stream), version, number)
}

fn log_in(stream: &mut (impl Read + Write), version: Version, number: u32) -> Result<(), Error> {
    let mut out = Vec::new();
    let (id, user) = (format!("h{number}"), format!("u{number}"));
    put_connect(&mut out, version, &id, &user, Workload::Handshakes.window(), false);
    let mut answer = [0; 4];
    stream
        .write_all(&out)
        .and_then(|()| stream.read_exact(&mut answer))
        .map_err(Error::io("be let in"))?;
    if answer[0] != 0x20 || answer[3] != 0 {
        return Err(Error::Wrong(format!("{answer:02x?} in place of CONNACK")));
    }
    Ok(())
}
