//! Whom to trust, and what to show.

use std::fmt;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use crate::error::Error;

/// Whom to trust, and what to show.
#[derive(Clone, Default)]
pub(crate) struct Trust {
    /// PEM; `None`: the system's.
    pub(crate) authorities: Option<Vec<u8>>,
    /// PEM: a chain and its key.
    pub(crate) certificate: Option<(Vec<u8>, Vec<u8>)>,
}

impl Trust {
    /// For a URL; for one without TLS nothing is looked up.
    pub(crate) fn config(&self, url: &str) -> Result<Arc<ClientConfig>, Error> {
        let mut roots = RootCertStore::empty();
        if url.starts_with("mqtts:") || url.starts_with("wss:") {
            self.fill(&mut roots)?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::invalid(error.to_string()))?
            .with_root_certificates(roots);
        let config = match &self.certificate {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => {
                let chain = certificates(chain)?;
                let key = PrivateKeyDer::from_pem_slice(key)
                    .map_err(|error| Error::invalid(format!("the key: {error}")))?;
                let config = builder.with_client_auth_cert(chain, key);
                config.map_err(|error| Error::invalid(format!("the certificate: {error}")))?
            }
        };
        Ok(Arc::new(config))
    }

    fn fill(&self, roots: &mut RootCertStore) -> Result<(), Error> {
        let found = match &self.authorities {
            Some(pem) => certificates(pem)?,
            None => rustls_native_certs::load_native_certs().certs,
        };
        // Some systems have a few that no library takes.
        let (taken, passed_over) = roots.add_parsable_certificates(found);
        if taken == 0 {
            return Err(Error::invalid("there is no certificate authority to trust"));
        }
        tracing::debug!(taken, passed_over, "certificate authorities");
        Ok(())
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Error> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    read.map_err(|error| Error::invalid(format!("a certificate: {error}")))
}

/// Shows no key.
impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Trust")
    }
}
