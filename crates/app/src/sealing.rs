//! Encrypts what must be kept and sent again, such as the secret of a web hook, with a key beside the database and not in it.

use std::fs;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

use crate::Error;
use crate::random::Random;

/// The name of the file that holds the key.
const FILE: &str = "sealing_key";

const KEY_BYTES: usize = 32;

/// The key.
pub(crate) struct Sealing(LessSafeKey);

impl Sealing {
    /// Reads the key in a data folder, which is made if it is not there.
    pub(crate) fn open(data: &Path, random: &dyn Random) -> Result<Sealing, String> {
        let path = data.join(FILE);
        let said = |error: std::io::Error| format!("{}: {error}", path.display());
        let key = match fs::read(&path) {
            Ok(key) => key,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let mut key = [0; KEY_BYTES];
                random.fill(&mut key);
                let mut part = [0; 8];
                random.fill(&mut part);
                let part = data.join(format!("{FILE}.{:016x}", u64::from_ne_bytes(part)));
                let mut file = fs::OpenOptions::new()
                    .write(true)
                    .create_new(true)
                    .mode(0o600)
                    .open(&part)
                    .map_err(said)?;
                file.write_all(&key).and_then(|()| file.sync_all()).map_err(said)?;
                // Another process that begins at the same moment keeps the key of whoever was first.
                match fs::hard_link(&part, &path) {
                    Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(said(error)),
                    _ => fs::remove_file(&part).map_err(said)?,
                }
                fs::read(&path).map_err(said)?
            }
            Err(error) => return Err(said(error)),
        };
        let key = UnboundKey::new(&AES_256_GCM, &key)
            .map_err(|_| format!("{} does not hold a key of {KEY_BYTES} bytes", path.display()))?;
        Ok(Sealing(LessSafeKey::new(key)))
    }

    /// Encrypts a text. `purpose` must be the same when it is opened.
    pub(crate) fn seal(&self, random: &dyn Random, purpose: &str, text: &str) -> Result<Vec<u8>, Error> {
        let mut nonce = [0; NONCE_LEN];
        random.fill(&mut nonce);
        let mut sealed = text.as_bytes().to_vec();
        self.0
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(purpose.as_bytes()),
                &mut sealed,
            )
            .map_err(|_| Error::Internal("a text could not be encrypted".into()))?;
        Ok([&nonce[..], &sealed].concat())
    }

    /// Decrypts a text; `None` when it was not encrypted with this key, or for this purpose.
    pub(crate) fn open_sealed(&self, purpose: &str, sealed: &[u8]) -> Option<String> {
        let (nonce, sealed) = sealed.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut text = sealed.to_vec();
        let text = self.0.open_in_place(nonce, Aad::from(purpose.as_bytes()), &mut text).ok()?;
        String::from_utf8(text.to_vec()).ok()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::sync::atomic::{AtomicU8, Ordering};

    use super::*;

    struct Counting(AtomicU8);

    impl Random for Counting {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill_with(|| self.0.fetch_add(1, Ordering::Relaxed));
        }
    }

    #[test]
    fn what_was_sealed_is_opened_with_the_same_key_and_purpose_alone() {
        let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let random = Counting(AtomicU8::new(0));
        let sealing = Sealing::open(folder.path(), &random).unwrap();
        let mode = fs::metadata(folder.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        let sealed = sealing.seal(&random, "a", "secret").unwrap();
        assert!(!sealed.windows(6).any(|part| part == b"secret"));
        assert_ne!(sealed, sealing.seal(&random, "a", "secret").unwrap());
        let again = Sealing::open(folder.path(), &random).unwrap();
        assert_eq!(again.open_sealed("a", &sealed).as_deref(), Some("secret"));
        assert_eq!(again.open_sealed("b", &sealed), None);
        assert_eq!(again.open_sealed("a", &sealed[1..]), None);
        assert_eq!(again.open_sealed("a", b""), None);
        let stranger = Sealing::open(other.path(), &random).unwrap();
        assert_eq!(stranger.open_sealed("a", &sealed), None);
        fs::write(other.path().join(FILE), b"short").unwrap();
        assert!(Sealing::open(other.path(), &random).is_err());
    }
}
