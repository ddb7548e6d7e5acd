//! Servers with certificates, their logs, and clients by hand.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion,
};

use crate::support::{PATIENCE, Server, bluetick};

/// CONNECT of MQTT 3.1.1, clean, client id `m`, user `mally`.
pub(crate) const CONNECT: &[u8] = b"\x10\x14\x00\x04MQTT\x04\x82\x00\x00\x00\x01m\x00\x05mally";
pub(crate) const CONNACK: &[u8] = b"\x20\x02\x00\x00";
pub(crate) const PINGREQ: &[u8] = b"\xC0\x00";
pub(crate) const PINGRESP: &[u8] = b"\xD0\x00";

/// A certificate authority in a folder.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    dir: PathBuf,
    /// Its certificate.
    pub(crate) file: PathBuf,
}

impl Authority {
    pub(crate) fn new(dir: &Path, name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("a certificate");
        let file = dir.join(format!("{name}.pem"));
        fs::write(&file, issuer.pem()).expect("written");
        Self { issuer, dir: dir.to_owned(), file }
    }

    /// Writes `{file}.pem` and `{file}.key` for these names, with that common name.
    pub(crate) fn issue(&self, file: &str, common_name: &str, names: &[&str]) -> Pair {
        let names: Vec<_> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names).expect("names");
        params.distinguished_name.push(DnType::CommonName, common_name);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("signed");
        let pair = Pair {
            cert: self.dir.join(format!("{file}.pem")),
            key: self.dir.join(format!("{file}.key")),
        };
        fs::write(&pair.cert, certificate.pem()).expect("written");
        fs::write(&pair.key, key.serialize_pem()).expect("written");
        pair
    }
}

/// A certificate's files.
pub(crate) struct Pair {
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
}

impl Pair {
    pub(crate) fn flags(&self) -> [&str; 4] {
        ["--cert", text(&self.cert), "--key", text(&self.key)]
    }

    pub(crate) fn der(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_file(&self.cert).expect("a certificate")
    }
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// Starts a server whose log at debug level can be read; `settings` are variables of its environment.
pub(crate) fn start_logged(dir: &Path, flags: &[&str], settings: &[(&str, &str)]) -> (Server, Log) {
    let log = Log(dir.join("log"));
    let mut command = bluetick();
    command.args(["serve", "--log", "info,bluetick_broker=debug", "--data-dir"]);
    command.arg(dir.join("data")).args(flags).envs(settings.iter().copied());
    command.stderr(File::create(&log.0).expect("a log"));
    let listeners = flags.iter().filter(|flag| crate::support::LISTENERS.contains(flag)).count();
    (Server::spawn(&mut command, listeners), log)
}

/// What the server says to its operator.
pub(crate) struct Log(PathBuf);

impl Log {
    /// Waits for a line with all of these in it.
    pub(crate) fn wait_for(&self, parts: &[&str]) {
        until(&format!("{parts:?} in the log"), || {
            let log = fs::read_to_string(&self.0).expect("a log");
            log.lines().any(|line| parts.iter().all(|part| line.contains(part)))
        });
    }
}

/// Waits until it is so.
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < PATIENCE, "waited for {what} in vain");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A client's TLS.
pub(crate) struct TlsClient(Arc<ClientConfig>);

impl TlsClient {
    pub(crate) fn trusting(authority: &Authority) -> Self {
        Self::new(authority, rustls::ALL_VERSIONS)
    }

    pub(crate) fn new(
        authority: &Authority,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(authority.issuer.der().clone()).expect("an authority");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self(Arc::new(config))
    }

    /// Connects and asks for a name; the handshake is done, unless that failed.
    pub(crate) fn connect(
        &self,
        stream: TcpStream,
        name: &str,
    ) -> std::io::Result<StreamOwned<ClientConnection, TcpStream>> {
        let name = ServerName::try_from(name.to_owned()).expect("a name");
        let connection = ClientConnection::new(self.0.clone(), name).expect("a client");
        let mut stream = StreamOwned::new(connection, stream);
        stream.flush()?;
        Ok(stream)
    }
}

/// Sends a CONNECT and is let in.
pub(crate) fn log_in(stream: &mut (impl Read + Write)) {
    ask(stream, CONNECT, CONNACK);
}

/// Sends bytes and gets these back.
pub(crate) fn ask(stream: &mut (impl Read + Write), sent: &[u8], expected: &[u8]) {
    stream.write_all(sent).expect("sent");
    let mut answer = vec![0; expected.len()];
    stream.read_exact(&mut answer).expect("an answer");
    assert_eq!(answer, expected);
}
