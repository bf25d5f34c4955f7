//! HTTPS from two PEM files that can be replaced while the forge runs.
//!
//! Knows files and rustls; it does not know when to reload (the binary listens for the signal) and holds no
//! connection. Connections that are already open keep the certificate they began with.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
};

/// Why a certificate and its key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file is missing, unreadable, or holds nothing of the kind that is looked for.
    #[error("the {what} {} {said}", path.display())]
    File {
        /// Which of the two files.
        what: &'static str,
        /// Where it is.
        path: PathBuf,
        /// What is wrong with it, without any of its content.
        said: String,
    },
    /// Both files were read, but do not make a working pair.
    #[error("the certificate {} and the key {} cannot be used together: {source}", certificate.display(), key.display())]
    Pair {
        /// The file of the certificate chain.
        certificate: PathBuf,
        /// The file of the private key.
        key: PathBuf,
        /// What rustls holds against them.
        source: rustls::Error,
    },
}

/// The certificate in force and the files it came from. Clones share the certificate.
#[derive(Clone)]
pub struct TlsReload {
    shared: Arc<Shared>,
}

struct Shared {
    certificate: PathBuf,
    key: PathBuf,
    current: RwLock<Arc<ServerConfig>>,
}

impl TlsReload {
    /// Reads the certificate chain and its private key, both PEM files.
    ///
    /// # Errors
    ///
    /// [`TlsError`] when a file cannot be read or the two do not belong together.
    pub fn from_files(certificate: PathBuf, key: PathBuf) -> Result<Self, TlsError> {
        let current = RwLock::new(read_pair(&certificate, &key)?);
        Ok(Self { shared: Arc::new(Shared { certificate, key, current }) })
    }

    /// Reads the files again; the next handshake uses what they hold now.
    ///
    /// # Errors
    ///
    /// [`TlsError`] as at the start; then the certificate that was in force stays in force.
    pub fn reload(&self) -> Result<(), TlsError> {
        let fresh = read_pair(&self.shared.certificate, &self.shared.key)?;
        // A poisoned lock still holds a whole value: the only write is this one assignment.
        *self.shared.current.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    /// Returns what the next handshake uses.
    pub(crate) fn current(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.shared.current.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for TlsReload {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("TlsReload")
            .field("certificate", &self.shared.certificate)
            .field("key", &self.shared.key)
            .finish_non_exhaustive()
    }
}

fn read_pair(certificate: &Path, key: &Path) -> Result<Arc<ServerConfig>, TlsError> {
    let in_certificate = |said| TlsError::File { what: "certificate", path: certificate.to_owned(), said };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect)
        .map_err(|error| in_certificate(describe(&error)))?;
    if chain.is_empty() {
        return Err(in_certificate("holds no certificate in PEM form".to_owned()));
    }
    let private_key = PrivateKeyDer::from_pem_file(key).map_err(|error| TlsError::File {
        what: "key",
        path: key.to_owned(),
        said: describe(&error),
    })?;

    let in_pair =
        |source| TlsError::Pair { certificate: certificate.to_owned(), key: key.to_owned(), source };
    // The provider is named, so that no other crate's choice of a process-wide default can change it.
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(in_pair)?
        .with_no_client_auth()
        .with_single_cert(chain, private_key)
        .map_err(in_pair)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Says what is wrong with a PEM file without repeating any of it: a key must not reach a log through its error.
fn describe(error: &pem::Error) -> String {
    match error {
        pem::Error::Io(error) if error.kind() == io::ErrorKind::NotFound => "does not exist".to_owned(),
        pem::Error::Io(error) => format!("cannot be read: {error}"),
        pem::Error::NoItemsFound => "holds nothing of that kind in PEM form".to_owned(),
        _ => "is not a PEM file".to_owned(),
    }
}
