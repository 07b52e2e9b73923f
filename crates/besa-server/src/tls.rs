//! TLS: a given certificate or one of our own, and client certificates.
//!
//! A client certificate must come from one of the given authorities; which user it is, is told by
//! its fingerprint (SHA-256 of the DER), which an administrator gave to the user.
//!
//! Certificates that were read from files are read again while the server runs (`Shown::renew`):
//! connections that are open keep theirs, new ones get the new one.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;

use crate::ServeError;

/// A server's certificate chain and key, both PEM.
#[derive(Clone)]
pub struct Identity {
    /// Certificates, the server's own first.
    pub certificates: Vec<u8>,
    /// Private key.
    pub key: Vec<u8>,
    /// The files that both come from, to read them again when they are renewed.
    pub files: Option<(PathBuf, PathBuf)>,
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
        let files = Some((certificates.to_owned(), key.to_owned()));
        Ok(Self { certificates: read(certificates)?, key: read(key)?, files })
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
                .and_then(|()| write_whole(&certificate, made.cert.pem().as_bytes()))
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

/// The certificate that is shown, exchangeable while the server runs.
pub(crate) struct Shown {
    identity: RwLock<(Identity, Arc<CertifiedKey>)>,
}

impl Shown {
    pub(crate) fn new(identity: &Identity) -> Result<Self, ServeError> {
        Ok(Self { identity: RwLock::new((identity.clone(), certified(identity)?)) })
    }

    /// Reads the files again; true if they hold something new that is now shown.
    pub(crate) fn renew(&self) -> Result<bool, ServeError> {
        let held = self.identity.read().unwrap_or_else(PoisonError::into_inner).0.clone();
        let Some((certificates, key)) = &held.files else { return Ok(false) };
        let found = Identity::read(certificates, key)?;
        if found.certificates == held.certificates && found.key == held.key {
            return Ok(false);
        }
        let certified = certified(&found)?;
        *self.identity.write().unwrap_or_else(PoisonError::into_inner) = (found, certified);
        Ok(true)
    }
}

impl std::fmt::Debug for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Shown(…)")
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.identity.read().unwrap_or_else(PoisonError::into_inner).1))
    }
}

/// Fails if the key is not the certificate's, as between the two writes of a renewal.
fn certified(identity: &Identity) -> Result<Arc<CertifiedKey>, ServeError> {
    let wrong = |error: &dyn std::fmt::Display| ServeError::Tls(error.to_string());
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&identity.certificates).collect();
    let certificates = certificates.map_err(|error| wrong(&error))?;
    let key = PrivateKeyDer::from_pem_slice(&identity.key).map_err(|error| wrong(&error))?;
    let provider = rustls::crypto::ring::default_provider();
    let certified = CertifiedKey::from_der(certificates, key, &provider).map_err(|error| wrong(&error))?;
    Ok(Arc::new(certified))
}

pub(crate) fn server_config(
    shown: Arc<Shown>,
    client_authorities: Option<&[u8]>,
) -> Result<rustls::ServerConfig, ServeError> {
    let wrong = |error: &dyn std::fmt::Display| ServeError::Tls(error.to_string());
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
    let mut config = builder.with_cert_resolver(shown);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// Writes a file that is there whole or not at all.
fn write_whole(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let partial = path.with_extension("partial");
    std::fs::write(&partial, bytes)?;
    std::fs::rename(&partial, path)
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
