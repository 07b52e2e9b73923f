//! TLS: a given certificate or one of our own, and client certificates.
//!
//! A client certificate must come from one of the given authorities; which user it is, is told by
//! its fingerprint (SHA-256 of the DER), which an administrator gave to the user.

use std::path::Path;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;

use crate::ServeError;

/// A server's certificate chain and key, both PEM.
#[derive(Clone)]
pub struct Identity {
    /// Certificates, the server's own first.
    pub certificates: Vec<u8>,
    /// Private key.
    pub key: Vec<u8>,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Identity(…)")
    }
}

impl Identity {
    /// Reads a certificate chain and a key from PEM files.
    pub fn read(certificates: &Path, key: &Path) -> Result<Self, ServeError> {
        let read = |path: &Path| {
            std::fs::read(path).map_err(|error| ServeError::Tls(format!("`{}`: {error}", path.display())))
        };
        Ok(Self { certificates: read(certificates)?, key: read(key)? })
    }

    /// The node's own certificate for these names, made in the folder if it is not there.
    ///
    /// It is signed by itself: give `certificate.pem` to those who shall trust it.
    pub fn own(folder: &Path, names: &[String]) -> Result<Self, ServeError> {
        let (certificate, key) = (folder.join("certificate.pem"), folder.join("key.pem"));
        if !certificate.exists() || !key.exists() {
            let made = rcgen::generate_simple_self_signed(names)
                .map_err(|error| ServeError::Tls(format!("no certificate for {names:?}: {error}")))?;
            std::fs::create_dir_all(folder)
                .and_then(|()| write_private(&key, made.signing_key.serialize_pem().as_bytes()))
                .and_then(|()| std::fs::write(&certificate, made.cert.pem()))
                .map_err(|error| ServeError::Tls(format!("`{}`: {error}", folder.display())))?;
        }
        Self::read(&certificate, &key)
    }
}

/// The fingerprint of the first certificate of a PEM text, by which a user is known.
pub fn fingerprint(pem: &[u8]) -> Result<String, ServeError> {
    let certificate = CertificateDer::from_pem_slice(pem)
        .map_err(|error| ServeError::Tls(format!("no certificate can be read: {error}")))?;
    Ok(digest(&certificate))
}

pub(crate) fn digest(certificate: &CertificateDer<'_>) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, certificate);
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn server_config(
    identity: &Identity,
    client_authorities: Option<&[u8]>,
) -> Result<rustls::ServerConfig, ServeError> {
    let wrong = |error: &dyn std::fmt::Display| ServeError::Tls(error.to_string());
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&identity.certificates).collect();
    let certificates = certificates.map_err(|error| wrong(&error))?;
    let key = PrivateKeyDer::from_pem_slice(&identity.key).map_err(|error| wrong(&error))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong(&error))?;
    let builder = match client_authorities {
        None => builder.with_no_client_auth(),
        Some(pem) => {
            let mut roots = RootCertStore::empty();
            for authority in CertificateDer::pem_slice_iter(pem) {
                roots.add(authority.map_err(|error| wrong(&error))?).map_err(|error| wrong(&error))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .allow_unauthenticated()
                .build()
                .map_err(|error| wrong(&error))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder.with_single_cert(certificates, key).map_err(|error| wrong(&error))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// Writes a file that only its owner may read, from the start.
fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::io::Write;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)?.write_all(bytes)
}
