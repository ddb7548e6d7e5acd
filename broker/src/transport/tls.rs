//! TLS: which certificate for which name, client certificates, and new ones while connections live.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::RwLock;
use rustls::client::verify_server_name;
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::{self, Ticketer};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use x509_cert::Certificate;
use x509_cert::der::asn1::ObjectIdentifier;
use x509_cert::der::{Decode, Tag, Tagged};

use super::handshake::HandshakeError;

/// X.520's `commonName`.
const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");

/// A certificate's files, in PEM.
#[derive(Debug, Clone)]
pub struct CertificateFiles {
    /// The certificate and those that lead to its authority.
    pub chain: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// What clients may, or have to, show.
#[derive(Debug, Clone)]
pub struct ClientCertificates {
    /// Whoever has a certificate of one of these authorities is who it says. PEM files.
    pub authorities: Vec<PathBuf>,
    /// Who has none is not let in.
    pub required: bool,
}

/// Where all of it is.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// At least one. A client gets the first that is valid for the name it asks for, or else the
    /// first of all.
    pub certificates: Vec<CertificateFiles>,
    /// `None`: clients are not asked for certificates.
    pub clients: Option<ClientCertificates>,
}

impl TlsFiles {
    /// All files, for whoever looks whether they have changed.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        let own = self.certificates.iter().flat_map(|files| [&files.chain, &files.key]);
        let clients = self.clients.iter().flat_map(|clients| &clients.authorities);
        own.chain(clients).map(PathBuf::as_path)
    }
}

/// A file that cannot be used: which, and why.
#[derive(Debug, thiserror::Error)]
#[error("{}: {why}", path.display())]
pub struct TlsError {
    path: PathBuf,
    why: String,
}

impl TlsError {
    fn new(path: &Path, why: impl fmt::Display) -> Self {
        Self { path: path.to_owned(), why: why.to_string() }
    }
}

/// TLS 1.2 and 1.3 for listeners.
#[derive(Debug)]
pub struct Tls {
    files: TlsFiles,
    config: RwLock<Arc<ServerConfig>>,
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// The first file that cannot be used.
    pub fn load(files: TlsFiles) -> Result<Self, TlsError> {
        let config = RwLock::new(read(&files)?);
        Ok(Self { files, config })
    }

    /// Reads the files again: what they say counts for handshakes from now on, connections stay.
    ///
    /// # Errors
    /// The first file that cannot be used; all stays as it was.
    pub fn reload(&self) -> Result<(), TlsError> {
        let fresh = read(&self.files)?;
        *self.config.write() = fresh;
        Ok(())
    }

    /// Where it was read.
    #[must_use]
    pub fn files(&self) -> &TlsFiles {
        &self.files
    }

    /// The handshake. Gives the common name of the client's certificate, if it has shown one.
    pub(super) async fn accept<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
    ) -> Result<(TlsStream<S>, Option<Arc<str>>), HandshakeError> {
        let config = self.config.read().clone();
        let stream = TlsAcceptor::from(config).accept(stream).await?;
        let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let name = shown.and_then(common_name);
        Ok((stream, name))
    }
}

/// The one common name of the subject; of several, none would be the right one.
fn common_name(certificate: &CertificateDer<'_>) -> Option<Arc<str>> {
    let certificate = Certificate::from_der(certificate).ok()?;
    let subject = &certificate.tbs_certificate.subject;
    let mut names =
        subject.0.iter().flat_map(|part| part.0.iter()).filter(|it| it.oid == COMMON_NAME);
    let (name, None) = (names.next()?, names.next()) else { return None };
    let is_text =
        matches!(name.value.tag(), Tag::Utf8String | Tag::PrintableString | Tag::Ia5String);
    is_text.then(|| std::str::from_utf8(name.value.value()).ok().map(Arc::from)).flatten()
}

fn read(files: &TlsFiles) -> Result<Arc<ServerConfig>, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let first = files.certificates.first().map_or(Path::new(""), |files| files.chain.as_path());
    let failed = |error: rustls::Error| TlsError::new(first, error);
    let keys = files.certificates.iter().map(|files| read_key(files, &provider));
    let keys = keys.collect::<Result<Vec<_>, _>>()?;
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(failed)?;
    let builder = match &files.clients {
        None => builder.with_no_client_auth(),
        Some(clients) => {
            let roots = Arc::new(read_authorities(&clients.authorities)?);
            let mut verifier = WebPkiClientVerifier::builder_with_provider(roots, provider);
            if !clients.required {
                verifier = verifier.allow_unauthenticated();
            }
            let path = clients.authorities.first().map_or(Path::new(""), PathBuf::as_path);
            let verifier = verifier.build().map_err(|error| TlsError::new(path, error))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder.with_cert_resolver(Arc::new(ByName { keys }));
    // Phones come back often: a ticket spares both sides most of the handshake. The keys of tickets
    // are made anew with each reload, so that nobody comes in by what an old authority has signed.
    config.ticketer = Ticketer::new().map_err(failed)?;
    config.send_tls13_tickets = 1;
    Ok(Arc::new(config))
}

fn read_key(
    files: &CertificateFiles,
    provider: &CryptoProvider,
) -> Result<Arc<CertifiedKey>, TlsError> {
    let chain = read_certificates(&files.chain)?;
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .map_err(|error| TlsError::new(&files.key, error))?;
    // Also refuses a key that is not the certificate's.
    let key = CertifiedKey::from_der(chain, key, provider)
        .map_err(|error| TlsError::new(&files.key, error))?;
    let leaf = key.end_entity_cert().map_err(|error| TlsError::new(&files.chain, error))?;
    ParsedCertificate::try_from(leaf).map_err(|error| TlsError::new(&files.chain, error))?;
    Ok(Arc::new(key))
}

fn read_authorities(paths: &[PathBuf]) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for path in paths {
        for certificate in read_certificates(path)? {
            roots.add(certificate).map_err(|error| TlsError::new(path, error))?;
        }
    }
    Ok(roots)
}

fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| TlsError::new(path, error))?;
    if certificates.is_empty() {
        return Err(TlsError::new(path, "there is no certificate in it"));
    }
    Ok(certificates)
}

/// Chooses by the name that the client asks for (SNI, RFC 6066 §3).
#[derive(Debug)]
struct ByName {
    keys: Vec<Arc<CertifiedKey>>,
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name().and_then(|name| ServerName::try_from(name).ok());
        let schemes = hello.signature_schemes();
        let usable = |key: &&Arc<CertifiedKey>| key.key.choose_scheme(schemes).is_some();
        let named = name
            .and_then(|name| self.keys.iter().filter(usable).find(|key| is_valid_for(key, &name)));
        named.or_else(|| self.keys.iter().find(usable)).cloned()
    }
}

fn is_valid_for(key: &CertifiedKey, name: &ServerName<'_>) -> bool {
    let certificate = key.end_entity_cert().and_then(ParsedCertificate::try_from);
    certificate.is_ok_and(|certificate| verify_server_name(&certificate, name).is_ok())
}
