//! The forge's own signing key: made on the first start, kept in the data folder, readable by its owner only.
//!
//! ECDSA on P-256 with SHA-256 (ES256, RFC 7518), in PKCS #8. Short-lived bearers are signed with it.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};

use crate::forge::OpenError;

/// The name of the key's file in the data folder.
pub const FILE_NAME: &str = "signing_key.der";

/// A key pair. `Debug` shows nothing of it.
pub struct SigningKey(EcdsaKeyPair);

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningKey(…)")
    }
}

impl SigningKey {
    /// Reads the key in `data`, or makes it when there is none.
    ///
    /// # Errors
    /// When the file cannot be read or written, or holds something else.
    pub fn open(data: &Path) -> Result<SigningKey, OpenError> {
        let path = data.join(FILE_NAME);
        let unusable = |problem: String| OpenError::Unusable(format!("{}: {problem}", path.display()));
        let der = match fs::read(&path) {
            Ok(der) => der,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)
                    .map_err(|_| unusable("a signing key could not be made".to_owned()))?;
                let der =
                    pair.to_pkcs8v1().map_err(|_| unusable("a signing key could not be made".to_owned()))?;
                write_private(&path, der.as_ref()).map_err(|error| unusable(error.to_string()))?;
                der.as_ref().to_vec()
            }
            Err(error) => return Err(unusable(error.to_string())),
        };
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der).map(SigningKey).map_err(|_| {
            unusable(
                "this is no signing key; restore it from a backup, or remove it to have a new one made"
                    .to_owned(),
            )
        })
    }

    /// Returns the public half, an uncompressed point.
    pub fn public(&self) -> &[u8] {
        self.0.public_key().as_ref()
    }
}

/// Writes a file that only its owner can read, whole or not at all.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let part = path.with_extension("part");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&part, path)?;
    if let Some(folder) = path.parent() {
        fs::File::open(folder)?.sync_all()?;
    }
    Ok(())
}
