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

use crate::error::Error;
use crate::figures::Figures;
use crate::generator::wire::{Version, put_connect};
use crate::peers::Peer;
use crate::peers::server::{Certificate, Server};
use crate::settings::{Count, Settings};
use crate::workloads::{Case, Workload};

/// Threads that connect, each one connection after the other.
const CLIENTS: u32 = 4;

/// How long one step of a connection may take.
const STEP_LIMIT: Duration = Duration::from_secs(20);

/// Connections of each kind, from the SYN to the CONNACK.
const CONNECTIONS: Count = Count { full: 2_000, tiny: 24 };
/// What each may leave unacknowledged.
const WINDOW: u16 = 10;

/// Connections that are let in and leave.
pub(crate) struct Handshakes;

impl Workload for Handshakes {
    fn name(&self) -> &'static str {
        "handshakes"
    }

    fn about(&self) -> &'static str {
        "connections that are let in and leave, over TCP and over TLS 1.3 (ECDSA on P-256, nothing resumed)"
    }

    fn cases(&self, _settings: &Settings) -> Vec<Case> {
        [Peer::Bluetick, Peer::Mosquitto].map(Case::of).into()
    }

    fn run(&self, case: Case, settings: &Settings) -> Result<Figures, Error> {
        measure(case.peer, settings)
    }

    fn plots(&self) -> &'static [&'static str] {
        &["TCP server CPU us each", "TLS server CPU us each"]
    }
}

fn measure(peer: Peer, settings: &Settings) -> Result<Figures, Error> {
    let server = Server::start(peer, settings, WINDOW)?;
    let (tcp_per_s, tcp_server_cpu_us) =
        drive(&server, settings, None).map_err(|error| server.explain(error))?;
    drop(server);
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()])
        .map_err(|error| Error::Wrong(error.to_string()))?;
    let certificate = Certificate { chain: cert.pem(), key: signing_key.serialize_pem() };
    let server = Server::start_tls(peer, settings, WINDOW, certificate)?;
    let mut roots = RootCertStore::empty();
    let tls = roots.add(cert.der().clone()).and_then(|()| client(roots));
    let tls = tls.map_err(|error| Error::Wrong(error.to_string()))?;
    let (tls_per_s, tls_server_cpu_us) =
        drive(&server, settings, Some(&tls)).map_err(|error| server.explain(error))?;
    Ok(Figures::new()
        .with("TCP connects/s", tcp_per_s)
        .with("TCP server CPU us each", tcp_server_cpu_us)
        .with("TLS 1.3 connects/s", tls_per_s)
        .with("TLS server CPU us each", tls_server_cpu_us)
        .with("connections", f64::from(settings.count(CONNECTIONS))))
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
    let (count, version) = (settings.count(CONNECTIONS), settings.version());
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
    put_connect(&mut out, version, &id, &user, WINDOW, false);
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
