//! The forge's own signing keys, in a folder of the data folder that only its owner can read.
//!
//! The newest key of the algorithm in force signs, and every key that is there verifies; so a new key can be made at any
//! time without ending what the one before it has signed. A key goes a day after a newer one of its algorithm was made:
//! by then everything it signed has long expired. What is signed with them is [`crate::bearers`]'s business.
//!
//! The folder is the truth: a running server looks into it now and then, and at once when it meets a key it does not
//! know. So commands make and list keys beside a running server, and removing a file is how a key is distrusted.

mod key;

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use parking_lot::{Mutex, RwLock};
use serde_json::{Value, json};

pub use self::key::Key;
use crate::forge::OpenError;
use crate::settings::SigningAlgorithm;

/// The name of the folder of keys in the data folder.
pub const FOLDER: &str = "signing_keys";

/// The name of the file that held the one key of an earlier version, in PKCS #8.
const EARLIER_FILE: &str = "signing_key.der";

/// How many keys there may be.
const MAX_KEYS: usize = 16;

const SECOND: i64 = 1_000_000;

/// How long a key is kept after a newer one of its algorithm was made. A bearer lives for an hour at most, and is accepted
/// for a minute longer; a running server goes on signing with the older key for [`LOOK_AFTER`].
const KEPT_FOR: i64 = 24 * 3600 * SECOND;

/// How long a server goes on with what it last saw in the folder.
const LOOK_AFTER: u64 = 30 * SECOND as u64;

/// How often strangers can make a server look into the folder by naming keys that are not there.
const LOOK_FOR_UNKNOWN_AFTER: u64 = SECOND as u64;

/// The keys of one moment, newest first.
#[derive(Debug)]
pub(crate) struct Ring {
    /// Differs from that of every other ring of this process.
    pub generation: u64,
    keys: Vec<Arc<Key>>,
}

impl Ring {
    /// Returns the key whose header this is.
    pub fn find(&self, header: &str) -> Option<&Arc<Key>> {
        self.keys.iter().find(|key| key.header() == header)
    }
}

/// What an operator sees of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyView {
    /// Its name, the `kid` of what it signs.
    pub id: String,
    /// What it signs with.
    pub algorithm: SigningAlgorithm,
    /// When it was made, in Unix microseconds.
    pub made_at: i64,
    /// Whether it is the one that signs.
    pub signing: bool,
    /// The name of its file in the folder of keys.
    pub file: String,
}

/// The signing keys of a data folder.
#[derive(Debug)]
pub struct Keys {
    folder: PathBuf,
    algorithm: SigningAlgorithm,
    ring: RwLock<Arc<Ring>>,
    /// When the folder was last looked into. Whoever looks or writes holds it.
    looked_at: Mutex<i64>,
}

impl Keys {
    /// Reads the keys in the data folder. Makes one when there is none of the algorithm, and removes those whose time is
    /// over.
    ///
    /// # Errors
    /// When a file cannot be read or written, or holds something else.
    pub fn open(data: &Path, algorithm: SigningAlgorithm, now: i64) -> Result<Keys, OpenError> {
        let folder = data.join(FOLDER);
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)
            .map_err(|error| unusable(&folder, error))?;
        adopt_earlier(data, &folder)?;
        let ring = RwLock::new(Arc::new(Ring { generation: 0, keys: Vec::new() }));
        let keys = Keys { folder, algorithm, ring, looked_at: Mutex::new(now) };
        keys.look(now)?;
        Ok(keys)
    }

    /// Makes a key that signs from now on. The others stay, so that what they signed stays good.
    ///
    /// # Errors
    /// When it cannot be written, or there are too many.
    pub fn rotate(&self, now: i64) -> Result<KeyView, OpenError> {
        let _looked_at = self.looked_at.lock();
        self.look(now)?;
        let ring = self.current();
        if ring.keys.len() >= MAX_KEYS {
            return Err(OpenError::Unusable(format!(
                "{}: there are {MAX_KEYS} keys, and each is kept for a day after the next one; wait, or remove the file of \
                 one that nothing needs any more",
                self.folder.display()
            )));
        }
        // The clock may have been set back since the newest one was made.
        let newest = ring.keys.iter().map(|key| key.made_at()).max();
        let made_at = newest.map_or(now, |newest| now.max(newest + 1));
        let key = make(&self.folder, self.algorithm, made_at)?;
        let mut keys = ring.keys.clone();
        keys.insert(0, Arc::new(key));
        self.publish(keys);
        self.list()
            .into_iter()
            .find(|key| key.signing)
            .ok_or_else(|| unusable(&self.folder, "the key is gone"))
    }

    /// Returns every key, newest first.
    pub fn list(&self) -> Vec<KeyView> {
        let ring = self.current();
        let signing = signing(&ring.keys, self.algorithm).map(|key| key.id());
        let view = |key: &Arc<Key>| KeyView {
            id: key.id().to_owned(),
            algorithm: key.algorithm(),
            made_at: key.made_at(),
            signing: signing == Some(key.id()),
            file: key.file().to_owned(),
        };
        ring.keys.iter().map(view).collect()
    }

    /// Returns the public halves of all keys as a JSON Web Key Set (RFC 7517, section 5).
    pub fn jwks(&self, now: i64) -> Value {
        let keys: Vec<_> = self.ring(now).keys.iter().map(|key| key.jwk()).collect();
        json!({ "keys": keys })
    }

    /// Returns the certificates of all keys in PEM, newest first.
    pub fn certificates(&self, now: i64) -> String {
        self.ring(now).keys.iter().map(|key| key.certificate_pem()).collect()
    }

    /// Returns the key that signs.
    pub(crate) fn signing(&self, now: i64) -> Option<Arc<Key>> {
        signing(&self.ring(now).keys, self.algorithm).cloned()
    }

    /// Returns the keys, at most as old as [`LOOK_AFTER`].
    pub(crate) fn ring(&self, now: i64) -> Arc<Ring> {
        // Whoever finds somebody looking goes on with what there is.
        if let Some(mut looked_at) = self.looked_at.try_lock()
            && now.abs_diff(*looked_at) >= LOOK_AFTER
        {
            self.look_again(&mut looked_at, now);
        }
        self.current()
    }

    /// Returns the keys as they are this second, for one who looks for a key that [`Keys::ring`] did not have.
    pub(crate) fn newest_ring(&self, now: i64) -> Arc<Ring> {
        let mut looked_at = self.looked_at.lock();
        if now.abs_diff(*looked_at) >= LOOK_FOR_UNKNOWN_AFTER {
            self.look_again(&mut looked_at, now);
        }
        self.current()
    }

    fn current(&self) -> Arc<Ring> {
        Arc::clone(&self.ring.read())
    }

    /// Looks, and keeps to what was known when that fails.
    fn look_again(&self, looked_at: &mut i64, now: i64) {
        *looked_at = now;
        if let Err(error) = self.look(now) {
            tracing::error!(%error, "the signing keys were not read again; those before stay in force");
        }
    }

    fn look(&self, now: i64) -> Result<(), OpenError> {
        let ring = self.current();
        let mut keys = read_folder(&self.folder, &ring.keys)?;
        retire(&self.folder, &mut keys, now)?;
        if signing(&keys, self.algorithm).is_none() {
            keys.push(Arc::new(make(&self.folder, self.algorithm, now)?));
            keys.sort_by_key(|key| std::cmp::Reverse(key.made_at()));
        }
        let same = keys.len() == ring.keys.len()
            && keys.iter().zip(&ring.keys).all(|(one, other)| Arc::ptr_eq(one, other));
        if !same {
            self.publish(keys);
        }
        Ok(())
    }

    fn publish(&self, keys: Vec<Arc<Key>>) {
        if let Some(key) = signing(&keys, self.algorithm) {
            tracing::info!(signing = key.id(), count = keys.len(), "the signing keys were read");
        }
        let mut ring = self.ring.write();
        *ring = Arc::new(Ring { generation: ring.generation + 1, keys });
    }
}

/// Returns the newest key of an algorithm.
fn signing(keys: &[Arc<Key>], algorithm: SigningAlgorithm) -> Option<&Arc<Key>> {
    keys.iter().find(|key| key.algorithm() == algorithm)
}

/// Reads the folder, newest first. A file is read once: it is never changed.
fn read_folder(folder: &Path, known: &[Arc<Key>]) -> Result<Vec<Arc<Key>>, OpenError> {
    let mut keys = Vec::new();
    for entry in fs::read_dir(folder).map_err(|error| unusable(folder, error))? {
        let name = entry.map_err(|error| unusable(folder, error))?.file_name();
        let Some(name) = name.to_str() else { continue };
        let Some(made_at) = made_at(name) else { continue };
        if let Some(key) = known.iter().find(|key| key.file() == name) {
            keys.push(Arc::clone(key));
            continue;
        }
        let path = folder.join(name);
        let text = match fs::read(&path) {
            Ok(text) => text,
            // It was removed in between.
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(unusable(&path, error)),
        };
        keys.push(Arc::new(Key::read(name, made_at, &text).map_err(|problem| unusable(&path, problem))?));
    }
    keys.sort_by(|one, other| (other.made_at(), other.file()).cmp(&(one.made_at(), one.file())));
    Ok(keys)
}

/// Takes away the keys whose time is over, and their files.
fn retire(folder: &Path, keys: &mut Vec<Arc<Key>>, now: i64) -> Result<(), OpenError> {
    let mut newer: Vec<(SigningAlgorithm, i64)> = Vec::new();
    let (mut kept, mut over) = (Vec::new(), Vec::new());
    for key in keys.drain(..) {
        let followed_at = newer.iter().rev().find(|(algorithm, _)| *algorithm == key.algorithm());
        let is_over = followed_at.is_some_and(|(_, followed_at)| now.saturating_sub(*followed_at) > KEPT_FOR);
        newer.push((key.algorithm(), key.made_at()));
        if is_over { over.push(key) } else { kept.push(key) }
    }
    *keys = kept;
    for key in over {
        let path = folder.join(key.file());
        match fs::remove_file(&path) {
            Ok(()) => tracing::info!(key = key.id(), "a signing key was removed, as its time is over"),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(unusable(&path, error)),
        }
    }
    Ok(())
}

fn make(folder: &Path, algorithm: SigningAlgorithm, made_at: i64) -> Result<Key, OpenError> {
    let name = file_name(made_at, algorithm);
    let path = folder.join(&name);
    let made = Key::generate(algorithm).and_then(|pkcs8| Key::write_down(&pkcs8));
    let text = made.map_err(|problem| unusable(&path, problem))?;
    write_private(&path, text.as_bytes()).map_err(|error| unusable(&path, error))?;
    Key::read(&name, made_at, text.as_bytes()).map_err(|problem| unusable(&path, problem))
}

/// Moves the key of an earlier version into the folder. Doing it twice does it once, as its name comes from the file.
fn adopt_earlier(data: &Path, folder: &Path) -> Result<(), OpenError> {
    let earlier = data.join(EARLIER_FILE);
    let pkcs8 = match fs::read(&earlier) {
        Ok(pkcs8) => pkcs8,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(unusable(&earlier, error)),
    };
    let refused = |problem: key::KeyRefusal| unusable(&earlier, problem);
    let algorithm = Key::algorithm_of(&pkcs8).map_err(refused)?;
    let text = Key::write_down(&pkcs8).map_err(refused)?;
    let changed_at = fs::metadata(&earlier).and_then(|metadata| metadata.modified()).ok();
    let made_at = changed_at
        .and_then(|changed_at| changed_at.duration_since(UNIX_EPOCH).ok())
        .map_or(0, |since| i64::try_from(since.as_micros()).unwrap_or_default());
    let path = folder.join(file_name(made_at, algorithm));
    write_private(&path, text.as_bytes()).map_err(|error| unusable(&path, error))?;
    fs::remove_file(&earlier).map_err(|error| unusable(&earlier, error))
}

/// Returns the name of a key's file. It has when the key was made, so that files sort like keys and no file need be opened
/// to know.
fn file_name(made_at: i64, algorithm: SigningAlgorithm) -> String {
    format!("{made_at:016}-{}.pem", algorithm.as_str().to_ascii_lowercase())
}

/// Returns when the key of a file was made, if the name is that of a key's file.
fn made_at(file: &str) -> Option<i64> {
    let (made_at, algorithm) = file.strip_suffix(".pem")?.split_once('-')?;
    let is_number = !made_at.is_empty() && made_at.bytes().all(|byte| byte.is_ascii_digit());
    (is_number && matches!(algorithm, "es256" | "rs256")).then(|| made_at.parse().ok()).flatten()
}

fn unusable(path: &Path, problem: impl std::fmt::Display) -> OpenError {
    OpenError::Unusable(format!("{}: {problem}", path.display()))
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use tempfile::TempDir;

    use super::*;

    const START: i64 = 1_772_452_800_000_000;
    const HOUR: i64 = 3600 * SECOND;

    fn folder() -> TempDir {
        tempfile::tempdir().unwrap()
    }

    fn open(data: &TempDir, now: i64) -> Keys {
        Keys::open(data.path(), SigningAlgorithm::Es256, now).unwrap()
    }

    fn ids(keys: &Keys) -> Vec<String> {
        keys.list().into_iter().map(|key| key.id).collect()
    }

    fn ids_in_jwks(keys: &Keys, now: i64) -> Vec<String> {
        let jwks = keys.jwks(now);
        jwks["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
    }

    fn signing_id(keys: &Keys, now: i64) -> String {
        keys.signing(now).unwrap().id().to_owned()
    }

    #[test]
    fn the_first_start_makes_one_key_that_only_its_owner_can_read() {
        let data = folder();
        let keys = open(&data, START);
        let [key] = &*keys.list() else { panic!("expected one key") };
        assert!(key.signing);
        assert_eq!((key.algorithm, key.made_at), (SigningAlgorithm::Es256, START));
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&data.path().join(FOLDER)), 0o700);
        assert_eq!(mode(&data.path().join(FOLDER).join(&key.file)), 0o600);
        assert_eq!(fs::read_dir(data.path().join(FOLDER)).unwrap().count(), 1, "a part of a file was left");
    }

    #[test]
    fn a_restart_keeps_the_keys_and_their_certificates() {
        let data = folder();
        let keys = open(&data, START);
        keys.rotate(START + HOUR).unwrap();
        let again = open(&data, START + 2 * HOUR);
        assert_eq!(again.list(), keys.list());
        assert_eq!(again.certificates(START + 2 * HOUR), keys.certificates(START + 2 * HOUR));
        assert_eq!(again.jwks(START + 2 * HOUR), keys.jwks(START + 2 * HOUR));
    }

    #[test]
    fn after_a_rotation_the_new_key_signs_and_both_are_shown() {
        let data = folder();
        let keys = open(&data, START);
        let first = signing_id(&keys, START);
        let made = keys.rotate(START + HOUR).unwrap();
        assert!(made.signing);
        assert_ne!(made.id, first);
        assert_eq!(signing_id(&keys, START + HOUR), made.id);
        assert_eq!(ids(&keys), [made.id.clone(), first.clone()]);
        assert_eq!(ids_in_jwks(&keys, START + HOUR), [made.id, first]);
        assert_eq!(keys.certificates(START + HOUR).matches("-----BEGIN CERTIFICATE-----").count(), 2);
        assert!(!keys.certificates(START + HOUR).contains("PRIVATE"));
    }

    #[test]
    fn a_new_key_signs_even_when_the_clock_was_set_back() {
        let data = folder();
        let keys = open(&data, START);
        let made = keys.rotate(START - HOUR).unwrap();
        assert_eq!(signing_id(&keys, START - HOUR), made.id);
        assert_eq!(made.made_at, START + 1);
    }

    #[test]
    fn a_key_goes_a_day_after_the_next_one_was_made() {
        let data = folder();
        let keys = open(&data, START);
        let first = signing_id(&keys, START);
        let second = keys.rotate(START + HOUR).unwrap().id;
        assert_eq!(ids(&open(&data, START + 25 * HOUR)), [second.clone(), first]);
        assert_eq!(ids(&open(&data, START + 25 * HOUR + 1)), std::slice::from_ref(&second));
        assert_eq!(fs::read_dir(data.path().join(FOLDER)).unwrap().count(), 1);
        // A running server does the same when it next looks, and the key that signs stays however old it is.
        assert_eq!(ids_in_jwks(&keys, START + 9000 * HOUR), [second]);
    }

    #[test]
    fn a_running_server_meets_new_keys() {
        let data = folder();
        let server = open(&data, START);
        let first = signing_id(&server, START);
        let made = open(&data, START).rotate(START + SECOND).unwrap().id;
        // It signs with the older one until it looks again.
        assert_eq!(signing_id(&server, START + 29 * SECOND), first);
        assert_eq!(signing_id(&server, START + 30 * SECOND), made);

        // Whoever names an unknown key makes it look, once a second.
        let next = open(&data, START).rotate(START + 31 * SECOND).unwrap().id;
        let knows = |ring: &Ring| ring.keys.iter().any(|key| key.id() == next);
        let before = START + 31 * SECOND - 1;
        assert!(!knows(&server.ring(before)));
        assert!(!knows(&server.newest_ring(START + 30 * SECOND + SECOND / 2)));
        assert!(knows(&server.newest_ring(START + 31 * SECOND)));
    }

    #[test]
    fn a_key_whose_file_is_gone_is_forgotten_and_another_made() {
        let data = folder();
        let keys = open(&data, START);
        let [lost] = &*keys.list() else { panic!("expected one key") };
        fs::remove_file(data.path().join(FOLDER).join(&lost.file)).unwrap();
        let now = START + 30 * SECOND;
        let found = ids_in_jwks(&keys, now);
        assert_eq!(found, [signing_id(&keys, now)]);
        assert_ne!(found, std::slice::from_ref(&lost.id));
    }

    #[test]
    fn the_algorithm_in_force_signs_and_the_other_verifies() {
        let data = folder();
        let es256 = signing_id(&open(&data, START), START);
        let keys = Keys::open(data.path(), SigningAlgorithm::Rs256, START + HOUR).unwrap();
        let rs256 = signing_id(&keys, START + HOUR);
        assert_eq!(keys.signing(START + HOUR).unwrap().algorithm(), SigningAlgorithm::Rs256);
        assert_eq!(ids_in_jwks(&keys, START + HOUR), [rs256.clone(), es256.clone()]);
        // The newest of each stays, so going back makes none.
        let back = open(&data, START + 100 * HOUR);
        assert_eq!(signing_id(&back, START + 100 * HOUR), es256);
        assert_eq!(ids(&back), [rs256, es256]);
    }

    #[test]
    fn the_key_of_an_earlier_version_is_taken_over() {
        let data = folder();
        let pkcs8 = Key::generate(SigningAlgorithm::Es256).unwrap();
        let earlier = data.path().join(EARLIER_FILE);
        fs::write(&earlier, &pkcs8).unwrap();
        let text = Key::write_down(&pkcs8).unwrap();
        let id = Key::read("", 0, text.as_bytes()).unwrap().id().to_owned();
        let keys = open(&data, START);
        assert_eq!(ids(&keys), [id]);
        assert!(!earlier.exists());
        assert_eq!(open(&data, START).list(), keys.list());
        // It came back with a backup; that makes no second one.
        let made_at = UNIX_EPOCH + std::time::Duration::from_micros(keys.list()[0].made_at as u64);
        fs::write(&earlier, &pkcs8).unwrap();
        fs::File::options().write(true).open(&earlier).unwrap().set_modified(made_at).unwrap();
        assert_eq!(open(&data, START).list(), keys.list());
    }

    #[test]
    fn a_file_that_is_no_key_is_named_at_the_start_and_changes_nothing_later() {
        let data = folder();
        let keys = open(&data, START);
        let before = keys.list();
        let broken = data.path().join(FOLDER).join(file_name(START + 1, SigningAlgorithm::Es256));
        fs::write(&broken, "not a key").unwrap();
        fs::write(data.path().join(FOLDER).join("notes.txt"), "ours").unwrap();
        keys.ring(START + HOUR);
        assert_eq!(keys.list(), before);
        let refusal = Keys::open(data.path(), SigningAlgorithm::Es256, START).unwrap_err().to_string();
        assert!(refusal.starts_with(&format!("{}: this is no signing key", broken.display())), "{refusal}");

        let data = folder();
        fs::write(data.path().join(EARLIER_FILE), "not a key").unwrap();
        let refusal = Keys::open(data.path(), SigningAlgorithm::Es256, START).unwrap_err().to_string();
        assert!(refusal.contains(EARLIER_FILE), "{refusal}");
    }

    #[test]
    fn the_number_of_keys_is_bounded() {
        let data = folder();
        let keys = open(&data, START);
        for at in 1..MAX_KEYS as i64 {
            keys.rotate(START + at).unwrap();
        }
        let refusal = keys.rotate(START + HOUR).unwrap_err().to_string();
        assert!(refusal.contains("there are 16 keys"), "{refusal}");
        assert_eq!(keys.list().len(), MAX_KEYS);
        // A day later the others are over.
        keys.rotate(START + 25 * HOUR).unwrap();
        assert_eq!(keys.list().len(), 2);
    }
}
