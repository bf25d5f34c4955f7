//! Bearers: short-lived signed notes of what the token endpoint allowed, for the container registry's own requests.
//!
//! They are JSON Web Tokens as the CNCF Distribution project wants them ("Token Authentication Implementation"), so a
//! registry elsewhere can trust them too. This module writes and reads them and knows whether one is genuine and of this
//! minute. Whether the token behind it is still alive, and its user still a member, is asked elsewhere, on every request.
//!
//! The form is JOSE's compact one and is written here in some lines, rather than by a library for all of JOSE: there are
//! two algorithms, each key has one header, and the time is passed in. The header of a bearer is compared and never
//! interpreted, so no bearer can choose its algorithm or its key.

use std::collections::HashMap;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use parking_lot::Mutex;
pub use portcullis_registry::{ResourceType, ScopeAction, ScopeEntry};
use portcullis_rules::id::TokenId;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::keys::{Key, Keys};
use crate::random::Random;

/// The longest bearer, in bytes: 20 entries with the longest names of repositories fit.
pub const MAX_BEARER_BYTES: usize = 16 * 1024;

const SECOND: i64 = 1_000_000;

/// How far the clocks of issuer and verifier may be apart, in seconds; Distribution has the same.
const LEEWAY: i64 = 60;

/// How long before it was issued a bearer begins to be good, in seconds.
const BACKDATED: i64 = 5;

/// How many bearers' signatures are remembered in each of the two generations of [`Verified`].
const GENERATION_LENGTH: usize = 2048;

/// What a bearer says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// The username; empty for an anonymous caller.
    pub subject: String,
    /// The token behind it, which must be alive whenever the bearer is used.
    pub token: Option<TokenId>,
    /// What was allowed when it was issued.
    pub access: Vec<ScopeEntry>,
    /// When it ends, in Unix microseconds.
    pub expires_at: i64,
}

/// What a bearer is to say.
#[derive(Clone, Copy, Debug)]
pub struct NewBearer<'a> {
    /// Who issues it, the `iss` claim.
    pub issuer: &'a str,
    /// Which service it is for, the `aud` claim.
    pub audience: &'a str,
    /// The username; empty for an anonymous caller.
    pub subject: &'a str,
    /// The token behind it.
    pub token: Option<TokenId>,
    /// What was allowed.
    pub access: &'a [ScopeEntry],
    /// How long it lives, in seconds.
    pub lifetime_seconds: u32,
}

/// A bearer, fresh. `Debug` hides its text.
pub struct Issued {
    /// Its text.
    pub token: String,
    /// How long it lives, in seconds.
    pub expires_in: u32,
    /// When it was issued, in Unix microseconds; a whole second.
    pub issued_at: i64,
}

impl std::fmt::Debug for Issued {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Issued").field("issued_at", &self.issued_at).finish_non_exhaustive()
    }
}

/// Why a bearer is not accepted. The caller answers all alike; the difference is for logs and tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BearerRefusal {
    /// It is longer than [`MAX_BEARER_BYTES`].
    #[error("the bearer is longer than {MAX_BEARER_BYTES} bytes")]
    TooLong,
    /// It is no bearer of ours at all.
    #[error("the bearer is malformed")]
    Malformed,
    /// Its header is not that of a key that is there: another key, another algorithm, or none.
    #[error("the bearer was signed by an unknown key")]
    UnknownKey,
    /// It was altered, or signed by somebody else.
    #[error("the signature of the bearer is wrong")]
    BadSignature,
    /// Another issuer's.
    #[error("the bearer is of another issuer")]
    WrongIssuer,
    /// For another service.
    #[error("the bearer is for another service")]
    WrongAudience,
    /// Its time is over.
    #[error("the bearer has expired")]
    Expired,
    /// Its time has not come.
    #[error("the bearer is not good yet")]
    NotYet,
}

/// The claims as they are written (RFC 7519, and Distribution's "Token Authentication Implementation").
#[derive(Serialize, Deserialize)]
struct Written {
    iss: String,
    sub: String,
    aud: String,
    exp: i64,
    nbf: i64,
    iat: i64,
    jti: String,
    access: Vec<WrittenAccess>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tid: Option<TokenId>,
}

#[derive(Serialize, Deserialize)]
struct WrittenAccess {
    r#type: String,
    name: String,
    actions: Vec<String>,
}

/// What the payload of a genuine bearer says: a function of its text alone.
struct Genuine {
    issuer: String,
    audience: String,
    /// In seconds.
    not_before: i64,
    /// In seconds.
    expires: i64,
    claims: Arc<Claims>,
}

/// Makes bearers and tells genuine ones.
pub struct Bearers {
    keys: Keys,
    random: Arc<dyn Random>,
    verified: Mutex<Verified>,
}

impl std::fmt::Debug for Bearers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bearers").field("keys", &self.keys).finish_non_exhaustive()
    }
}

impl Bearers {
    /// Returns what makes and tells bearers with these keys.
    pub fn new(keys: Keys, random: Arc<dyn Random>) -> Bearers {
        Bearers { keys, random, verified: Mutex::default() }
    }

    /// Returns the keys.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Writes and signs a bearer.
    ///
    /// # Errors
    /// When what it is to say is too long, or it cannot be signed.
    pub fn issue(&self, bearer: &NewBearer<'_>, now: i64) -> Result<Issued, Error> {
        let internal = |problem: &'static str| Error::Internal(problem.into());
        let key = self.keys.signing(now).ok_or_else(|| internal("there is no signing key"))?;
        let issued = now.div_euclid(SECOND);
        let access = bearer.access.iter().map(|entry| WrittenAccess {
            r#type: entry.resource.as_str().to_owned(),
            name: entry.name.clone(),
            actions: entry.actions.iter().map(|action| action.as_str().to_owned()).collect(),
        });
        let written = Written {
            iss: bearer.issuer.to_owned(),
            sub: bearer.subject.to_owned(),
            aud: bearer.audience.to_owned(),
            exp: issued + i64::from(bearer.lifetime_seconds),
            nbf: issued - BACKDATED,
            iat: issued,
            jti: self.new_id(),
            access: access.collect(),
            tid: bearer.token,
        };
        let payload = serde_json::to_vec(&written).map_err(|error| Error::Internal(error.into()))?;
        let mut token = format!("{}.{}", key.header(), BASE64_URL_SAFE_NO_PAD.encode(payload));
        let signature = key.sign(token.as_bytes()).map_err(|_| internal("a bearer could not be signed"))?;
        token.push('.');
        token.push_str(&BASE64_URL_SAFE_NO_PAD.encode(signature));
        if token.len() > MAX_BEARER_BYTES {
            return Err(Error::BadRequest("this is more than one bearer can allow; ask for less".to_owned()));
        }
        Ok(Issued { token, expires_in: bearer.lifetime_seconds, issued_at: issued * SECOND })
    }

    /// Returns what a bearer says, if it is genuine, for this service, and of this minute.
    ///
    /// # Errors
    /// Why it is not accepted.
    pub fn verify(
        &self,
        text: &str,
        issuer: &str,
        audience: &str,
        now: i64,
    ) -> Result<Arc<Claims>, BearerRefusal> {
        if text.len() > MAX_BEARER_BYTES {
            return Err(BearerRefusal::TooLong);
        }
        let genuine = self.genuine(text, now)?;
        if genuine.issuer != issuer {
            return Err(BearerRefusal::WrongIssuer);
        }
        if genuine.audience != audience {
            return Err(BearerRefusal::WrongAudience);
        }
        let seconds = now.div_euclid(SECOND);
        if seconds > genuine.expires.saturating_add(LEEWAY) {
            return Err(BearerRefusal::Expired);
        }
        if seconds < genuine.not_before.saturating_sub(LEEWAY) {
            return Err(BearerRefusal::NotYet);
        }
        Ok(Arc::clone(&genuine.claims))
    }

    fn genuine(&self, text: &str, now: i64) -> Result<Arc<Genuine>, BearerRefusal> {
        let mut ring = self.keys.ring(now);
        let mut fingerprint = [0; 32];
        fingerprint.copy_from_slice(digest(&SHA256, text.as_bytes()).as_ref());
        if let Some(genuine) = self.verified.lock().get(ring.generation, &fingerprint) {
            return Ok(genuine);
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(BearerRefusal::Malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(BearerRefusal::Malformed)?;
        if ring.find(header).is_none() {
            ring = self.keys.newest_ring(now);
        }
        let key = ring.find(header).ok_or(BearerRefusal::UnknownKey)?;
        let genuine = Arc::new(read(key, signed, payload, signature)?);
        self.verified.lock().insert(ring.generation, fingerprint, &genuine);
        Ok(genuine)
    }

    /// Returns a random UUID (RFC 9562, section 5.4).
    fn new_id(&self) -> String {
        let mut bytes = [0; 16];
        self.random.fill(&mut bytes);
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        let digits = format!("{:032x}", u128::from_be_bytes(bytes));
        [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-")
    }
}

/// Reads a bearer whose header is that of the key. Nothing of the payload is looked at before the signature is.
fn read(key: &Key, signed: &str, payload: &str, signature: &str) -> Result<Genuine, BearerRefusal> {
    let decoded = |text: &str| BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| BearerRefusal::Malformed);
    if !key.has_signed(signed.as_bytes(), &decoded(signature)?) {
        return Err(BearerRefusal::BadSignature);
    }
    let written: Written =
        serde_json::from_slice(&decoded(payload)?).map_err(|_| BearerRefusal::Malformed)?;
    let access: Option<Vec<_>> = written.access.into_iter().map(read_access).collect();
    let claims = Claims {
        subject: written.sub,
        token: written.tid,
        access: access.ok_or(BearerRefusal::Malformed)?,
        expires_at: written.exp.saturating_mul(SECOND),
    };
    Ok(Genuine {
        issuer: written.iss,
        audience: written.aud,
        not_before: written.nbf,
        expires: written.exp,
        claims: Arc::new(claims),
    })
}

fn read_access(written: WrittenAccess) -> Option<ScopeEntry> {
    let resources = [ResourceType::Repository, ResourceType::Registry];
    let resource = resources.into_iter().find(|known| known.as_str() == written.r#type)?;
    let known = |word: &String| ScopeAction::ALL.into_iter().find(|action| action.as_str() == word);
    let actions: Option<Vec<_>> = written.actions.iter().map(known).collect();
    Some(ScopeEntry { resource, name: written.name, actions: actions? })
}

/// Which texts carry a good signature of a key that is there, and what they say. Nothing about access is in it: neither
/// whether the bearer's time has come or is over, nor anything of the token behind it.
///
/// It has two generations. When the younger one is full it becomes the older one, which is forgotten; what is used in
/// time moves over. So both are bounded, and no entry need know when it was last used.
#[derive(Default)]
struct Verified {
    /// The generation of keys that all entries belong to. With the keys go the entries.
    keys: u64,
    younger: HashMap<[u8; 32], Arc<Genuine>>,
    older: HashMap<[u8; 32], Arc<Genuine>>,
}

impl Verified {
    fn get(&mut self, keys: u64, fingerprint: &[u8; 32]) -> Option<Arc<Genuine>> {
        if self.keys != keys {
            return None;
        }
        if let Some(genuine) = self.younger.get(fingerprint) {
            return Some(Arc::clone(genuine));
        }
        let genuine = self.older.remove(fingerprint)?;
        self.insert(keys, *fingerprint, &genuine);
        Some(genuine)
    }

    fn insert(&mut self, keys: u64, fingerprint: [u8; 32], genuine: &Arc<Genuine>) {
        if keys < self.keys {
            // It was verified with keys that have changed meanwhile.
            return;
        }
        if keys > self.keys {
            *self = Verified { keys, ..Verified::default() };
        }
        if self.younger.len() >= GENERATION_LENGTH {
            self.older = std::mem::take(&mut self.younger);
        }
        self.younger.insert(fingerprint, Arc::clone(genuine));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};
    use tempfile::TempDir;

    use super::*;
    use crate::random::SystemRandom;
    use crate::settings::SigningAlgorithm;

    const START: i64 = 1_772_452_800_000_000;
    const ISSUER: &str = "portcullis";
    const SERVICE: &str = "container_registry";

    struct Fixture {
        bearers: Bearers,
        data: TempDir,
    }

    fn fixture(algorithm: SigningAlgorithm) -> Fixture {
        let data = tempfile::tempdir().unwrap();
        let keys = Keys::open(data.path(), algorithm, START).unwrap();
        Fixture { bearers: Bearers::new(keys, Arc::new(SystemRandom)), data }
    }

    fn access() -> Vec<ScopeEntry> {
        vec![
            ScopeEntry::repository("g/p/img", &[ScopeAction::Push, ScopeAction::Pull]),
            ScopeEntry {
                resource: ResourceType::Registry,
                name: "catalog".to_owned(),
                actions: vec![ScopeAction::Any],
            },
            ScopeEntry::repository("*", &[ScopeAction::Delete]),
        ]
    }

    impl Fixture {
        fn issue(&self) -> String {
            let access = access();
            let bearer = NewBearer {
                issuer: ISSUER,
                audience: SERVICE,
                subject: "project_7_bot",
                token: Some(TokenId(42)),
                access: &access,
                lifetime_seconds: 300,
            };
            self.bearers.issue(&bearer, START).unwrap().token
        }

        /// Verifies twice, so that what is remembered is asked too.
        fn verify_at(&self, text: &str, seconds: i64) -> Result<Arc<Claims>, BearerRefusal> {
            let now = START + seconds * SECOND;
            let first = self.bearers.verify(text, ISSUER, SERVICE, now);
            assert_eq!(self.bearers.verify(text, ISSUER, SERVICE, now), first);
            first
        }

        fn refusal(&self, text: &str) -> BearerRefusal {
            self.verify_at(text, 0).unwrap_err()
        }

        fn key(&self) -> Arc<Key> {
            self.bearers.keys.signing(START).unwrap()
        }

        /// Signs any header and payload with the forge's own key.
        fn forge(&self, header: &str, payload: &[u8]) -> String {
            let signed = format!("{header}.{}", encoded(payload));
            let signature = self.key().sign(signed.as_bytes()).unwrap();
            format!("{signed}.{}", encoded(&signature))
        }
    }

    fn encoded(bytes: impl AsRef<[u8]>) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(bytes)
    }

    fn part(text: &str, at: usize) -> Value {
        let part = text.split('.').nth(at).unwrap();
        serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
    }

    fn both(test: impl Fn(&Fixture)) {
        test(&fixture(SigningAlgorithm::Es256));
        test(&fixture(SigningAlgorithm::Rs256));
    }

    #[test]
    fn what_was_issued_is_what_is_verified() {
        both(|fixture| {
            let claims = fixture.verify_at(&fixture.issue(), 0).unwrap();
            let expected = Claims {
                subject: "project_7_bot".to_owned(),
                token: Some(TokenId(42)),
                access: access(),
                expires_at: START + 300 * SECOND,
            };
            assert_eq!(*claims, expected);
        });
    }

    #[test]
    fn a_bearer_has_the_form_that_distribution_reads() {
        let fixture = fixture(SigningAlgorithm::Es256);
        let text = fixture.issue();
        let header = part(&text, 0);
        assert_eq!(header["typ"], "JWT");
        assert_eq!(header["alg"], "ES256");
        assert_eq!(header["kid"], fixture.key().id());
        assert_eq!(header["x5c"].as_array().unwrap().len(), 1);
        let mut payload = part(&text, 1);
        let id = payload["jti"].take();
        let id = id.as_str().unwrap();
        assert_eq!(id.len(), 36);
        assert_eq!(&id[14..15], "4");
        let seconds = START / SECOND;
        assert_eq!(
            payload,
            json!({
                "iss": ISSUER,
                "aud": SERVICE,
                "sub": "project_7_bot",
                "iat": seconds,
                "nbf": seconds - 5,
                "exp": seconds + 300,
                "jti": null,
                "access": [
                    {"type": "repository", "name": "g/p/img", "actions": ["push", "pull"]},
                    {"type": "registry", "name": "catalog", "actions": ["*"]},
                    {"type": "repository", "name": "*", "actions": ["delete"]},
                ],
                "tid": 42,
            })
        );
        assert_ne!(part(&fixture.issue(), 1)["jti"], id);
    }

    #[test]
    fn an_anonymous_bearer_has_no_token() {
        let fixture = fixture(SigningAlgorithm::Es256);
        let bearer = NewBearer {
            issuer: ISSUER,
            audience: SERVICE,
            subject: "",
            token: None,
            access: &[],
            lifetime_seconds: 60,
        };
        let issued = fixture.bearers.issue(&bearer, START + SECOND / 2).unwrap();
        assert_eq!((issued.expires_in, issued.issued_at), (60, START));
        assert_eq!(part(&issued.token, 1).get("tid"), None);
        let claims = fixture.verify_at(&issued.token, 0).unwrap();
        assert_eq!((claims.subject.as_str(), claims.token, claims.access.len()), ("", None, 0));
        assert!(!format!("{issued:?}").contains(&issued.token));
    }

    #[test]
    fn alg_none_is_refused() {
        both(|fixture| {
            let text = fixture.issue();
            let payload = text.split('.').nth(1).unwrap();
            for alg in ["none", "None", "NONE", ""] {
                let header =
                    encoded(json!({"typ": "JWT", "alg": alg, "kid": fixture.key().id()}).to_string());
                assert_eq!(fixture.refusal(&format!("{header}.{payload}.")), BearerRefusal::UnknownKey);
            }
            // The genuine header without a signature.
            let header = text.split('.').next().unwrap();
            assert_eq!(fixture.refusal(&format!("{header}.{payload}.")), BearerRefusal::BadSignature);
        });
    }

    #[test]
    fn hs256_signed_with_the_public_key_is_refused() {
        use aws_lc_rs::hmac::{HMAC_SHA256, Key as HmacKey, sign};
        both(|fixture| {
            let payload = fixture.issue().split('.').nth(1).unwrap().to_owned();
            let key = fixture.key();
            let header = encoded(json!({"typ": "JWT", "alg": "HS256", "kid": key.id()}).to_string());
            let pem = key.certificate_pem();
            for secret in [key.certificate(), pem.as_bytes(), key.jwk().to_string().as_bytes()] {
                for header in [&*header, key.header()] {
                    let signed = format!("{header}.{payload}");
                    let signature = sign(&HmacKey::new(HMAC_SHA256, secret), signed.as_bytes());
                    let refusal = fixture.refusal(&format!("{signed}.{}", encoded(signature)));
                    assert!(matches!(refusal, BearerRefusal::UnknownKey | BearerRefusal::BadSignature));
                }
            }
        });
    }

    #[test]
    fn the_algorithm_is_that_of_the_key_and_not_of_the_header() {
        both(|fixture| {
            let payload = fixture.issue().split('.').nth(1).unwrap().to_owned();
            let payload = BASE64_URL_SAFE_NO_PAD.decode(payload).unwrap();
            let mut header = part(&fixture.issue(), 0);
            for alg in ["RS256", "ES256", "PS256", "ES384", "HS256"] {
                header["alg"] = alg.into();
                let text = fixture.forge(&encoded(header.to_string()), &payload);
                let is_own = alg == fixture.key().algorithm().as_str();
                assert_eq!(fixture.verify_at(&text, 0).is_ok(), is_own, "{alg}");
            }
        });
    }

    #[test]
    fn a_key_in_the_header_is_not_believed() {
        let fixture = fixture(SigningAlgorithm::Es256);
        let stranger = self::fixture(SigningAlgorithm::Es256);
        let mut header = part(&fixture.issue(), 0);
        header["jwk"] = stranger.key().jwk();
        header["jku"] = "https://example.com/keys".into();
        let text = stranger.forge(&encoded(header.to_string()), b"{}");
        assert_eq!(fixture.refusal(&text), BearerRefusal::UnknownKey);
        // The stranger's signature below the forge's own header.
        let text = stranger.forge(fixture.key().header(), b"{}");
        assert_eq!(fixture.refusal(&text), BearerRefusal::BadSignature);
    }

    #[test]
    fn an_unknown_kid_is_refused() {
        both(|fixture| {
            let other = self::fixture(fixture.key().algorithm());
            assert_eq!(fixture.refusal(&other.issue()), BearerRefusal::UnknownKey);
        });
    }

    #[test]
    fn another_issuer_is_refused() {
        let fixture = fixture(SigningAlgorithm::Es256);
        let text = fixture.issue();
        for issuer in ["", "Portcullis", "portcullis ", "other"] {
            let refused = fixture.bearers.verify(&text, issuer, SERVICE, START);
            assert_eq!(refused, Err(BearerRefusal::WrongIssuer), "{issuer}");
        }
        assert!(fixture.verify_at(&text, 0).is_ok());
    }

    #[test]
    fn another_audience_is_refused() {
        let fixture = fixture(SigningAlgorithm::Es256);
        let text = fixture.issue();
        for audience in ["", "container_registry2", "registry"] {
            let refused = fixture.bearers.verify(&text, ISSUER, audience, START);
            assert_eq!(refused, Err(BearerRefusal::WrongAudience), "{audience}");
        }
        assert!(fixture.verify_at(&text, 0).is_ok());
    }

    #[test]
    fn an_expired_bearer_is_refused_after_a_minute_of_leeway() {
        both(|fixture| {
            let text = fixture.issue();
            assert!(fixture.verify_at(&text, 360).is_ok());
            assert_eq!(fixture.verify_at(&text, 361), Err(BearerRefusal::Expired));
            assert_eq!(fixture.verify_at(&text, 1_000_000_000), Err(BearerRefusal::Expired));
        });
    }

    #[test]
    fn a_bearer_of_the_future_is_refused_before_a_minute_of_leeway() {
        let fixture = fixture(SigningAlgorithm::Es256);
        let text = fixture.issue();
        assert!(fixture.verify_at(&text, -65).is_ok());
        assert_eq!(fixture.verify_at(&text, -66), Err(BearerRefusal::NotYet));
    }

    #[test]
    fn an_altered_payload_is_refused() {
        both(|fixture| {
            let text = fixture.issue();
            fixture.verify_at(&text, 0).unwrap();
            let [header, _, signature] = text.split('.').collect::<Vec<_>>()[..] else {
                panic!("three parts")
            };
            for (name, value) in [
                ("sub", json!("root")),
                ("tid", json!(1)),
                ("exp", json!(99_999_999_999_i64)),
                ("access", json!([{"type": "repository", "name": "other", "actions": ["push"]}])),
            ] {
                let mut payload = part(&text, 1);
                payload[name] = value;
                let altered = format!("{header}.{}.{signature}", encoded(payload.to_string()));
                assert_eq!(fixture.refusal(&altered), BearerRefusal::BadSignature, "{name}");
            }
        });
    }

    #[test]
    fn any_altered_byte_is_refused() {
        let fixture = fixture(SigningAlgorithm::Es256);
        let text = fixture.issue();
        fixture.verify_at(&text, 0).unwrap();
        for at in 0..text.len() {
            let mut altered = text.clone().into_bytes();
            altered[at] = if altered[at] == b'A' { b'B' } else { b'A' };
            let altered = String::from_utf8(altered).unwrap();
            assert!(fixture.bearers.verify(&altered, ISSUER, SERVICE, START).is_err(), "byte {at}");
        }
    }

    #[test]
    fn a_genuine_signature_over_nonsense_is_refused() {
        let fixture = fixture(SigningAlgorithm::Es256);
        let payload = part(&fixture.issue(), 1);
        let with = |name: &str, value: Value| {
            let mut payload = payload.clone();
            payload[name] = value;
            payload.to_string()
        };
        for payload in [
            String::new(),
            "null".to_owned(),
            "{}".to_owned(),
            "[".repeat(1000),
            with("exp", json!("soon")),
            with("exp", json!(1e300)),
            with("exp", Value::Null),
            with("aud", json!([SERVICE])),
            with("tid", json!("42")),
            with("access", json!({})),
            with("access", json!([{"type": "plugin", "name": "a", "actions": ["pull"]}])),
            with("access", json!([{"type": "repository", "name": "a", "actions": ["fly"]}])),
            payload.to_string().replacen('{', "{\"sub\":\"root\",", 1),
        ] {
            let text = fixture.forge(fixture.key().header(), payload.as_bytes());
            assert_eq!(fixture.refusal(&text), BearerRefusal::Malformed, "{payload}");
        }
        for (name, refusal) in [("exp", BearerRefusal::Expired), ("nbf", BearerRefusal::NotYet)] {
            let extreme = if name == "exp" { i64::MIN } else { i64::MAX };
            let text = fixture.forge(fixture.key().header(), with(name, extreme.into()).as_bytes());
            assert_eq!(fixture.refusal(&text), refusal);
        }
    }

    #[test]
    fn what_is_no_bearer_is_refused() {
        let fixture = fixture(SigningAlgorithm::Es256);
        let text = fixture.issue();
        for malformed in ["", ".", "a", "a.b"] {
            let refusal = fixture.refusal(malformed);
            assert!(matches!(refusal, BearerRefusal::Malformed | BearerRefusal::UnknownKey), "{malformed}");
        }
        for altered in [
            format!("{text}.x"),
            format!("{text}="),
            format!("{text}\n"),
            format!(" {text}"),
            format!("x.{text}"),
            text.replacen('.', "..", 1),
        ] {
            assert!(fixture.verify_at(&altered, 0).is_err(), "{altered}");
        }
        let long = format!("{text}{}", "A".repeat(MAX_BEARER_BYTES - text.len() + 1));
        assert_eq!(fixture.refusal(&long), BearerRefusal::TooLong);
    }

    #[test]
    fn the_longest_names_fit_and_more_is_not_issued() {
        let fixture = fixture(SigningAlgorithm::Rs256);
        let with = |count: usize| {
            let access: Vec<_> =
                (0..count).map(|_| ScopeEntry::repository("n".repeat(255), &ScopeAction::ALL)).collect();
            let bearer = NewBearer {
                issuer: &"i".repeat(100),
                audience: SERVICE,
                subject: &"s".repeat(255),
                token: Some(TokenId(i64::MAX)),
                access: &access,
                lifetime_seconds: 3600,
            };
            fixture.bearers.issue(&bearer, START)
        };
        assert!(with(portcullis_registry::MAX_SCOPE_ENTRIES).is_ok());
        assert!(matches!(with(100), Err(Error::BadRequest(_))));
    }

    #[test]
    fn a_rotation_leaves_older_bearers_good_until_they_expire() {
        both(|fixture| {
            let older = fixture.issue();
            fixture.verify_at(&older, 0).unwrap();
            fixture.bearers.keys.rotate(START + SECOND).unwrap();
            let newer = fixture.issue();
            assert_ne!(part(&older, 0)["kid"], part(&newer, 0)["kid"]);
            for text in [&older, &newer] {
                assert!(fixture.verify_at(text, 360).is_ok());
                assert_eq!(fixture.verify_at(text, 361), Err(BearerRefusal::Expired));
            }
            // And over a restart.
            let keys = Keys::open(fixture.data.path(), fixture.key().algorithm(), START).unwrap();
            let restarted = Bearers::new(keys, Arc::new(SystemRandom));
            for text in [&older, &newer] {
                assert!(restarted.verify(text, ISSUER, SERVICE, START).is_ok());
            }
        });
    }

    #[test]
    fn a_bearer_of_a_key_made_elsewhere_is_accepted_at_once() {
        let fixture = fixture(SigningAlgorithm::Es256);
        let keys = Keys::open(fixture.data.path(), SigningAlgorithm::Es256, START).unwrap();
        keys.rotate(START + SECOND).unwrap();
        let elsewhere = Fixture {
            bearers: Bearers::new(keys, Arc::new(SystemRandom)),
            data: tempfile::tempdir().unwrap(),
        };
        assert!(fixture.verify_at(&elsewhere.issue(), 1).is_ok());
    }

    #[test]
    fn what_is_remembered_goes_with_its_key() {
        let fixture = fixture(SigningAlgorithm::Es256);
        let text = fixture.issue();
        fixture.verify_at(&text, 0).unwrap();
        let file = fixture.key().file().to_owned();
        std::fs::remove_file(fixture.data.path().join(crate::keys::FOLDER).join(file)).unwrap();
        assert!(fixture.verify_at(&text, 29).is_ok(), "a server looks every 30 seconds");
        assert_eq!(fixture.verify_at(&text, 30), Err(BearerRefusal::UnknownKey));
    }

    #[test]
    fn what_is_remembered_is_bounded_and_what_is_used_stays() {
        let genuine = Arc::new(Genuine {
            issuer: String::new(),
            audience: String::new(),
            not_before: 0,
            expires: 0,
            claims: Arc::new(Claims { subject: String::new(), token: None, access: vec![], expires_at: 0 }),
        });
        let fingerprint = |at: usize| {
            let mut fingerprint = [0; 32];
            fingerprint[..8].copy_from_slice(&at.to_be_bytes());
            fingerprint
        };
        let mut verified = Verified::default();
        for at in 0..10 * GENERATION_LENGTH {
            verified.insert(1, fingerprint(at), &genuine);
            assert!(verified.get(1, &fingerprint(0)).is_some());
            assert!(verified.younger.len() + verified.older.len() <= 2 * GENERATION_LENGTH);
        }
        assert!(verified.get(1, &fingerprint(1)).is_none());
        assert!(verified.get(2, &fingerprint(0)).is_none());
        verified.insert(2, fingerprint(1), &genuine);
        assert_eq!(verified.younger.len() + verified.older.len(), 1);
        // Somebody was slow.
        verified.insert(1, fingerprint(2), &genuine);
        assert!(verified.get(1, &fingerprint(2)).is_none() && verified.get(2, &fingerprint(2)).is_none());
    }

    /// Not a test of anything: `cargo test --release -p portcullis-app -- --ignored --nocapture what_it_costs`.
    #[test]
    #[ignore = "it measures"]
    fn what_it_costs() {
        let time = |name: &str, rounds: u32, act: &mut dyn FnMut()| {
            let begun = std::time::Instant::now();
            (0..rounds).for_each(|_| act());
            println!("{name}: {:.2} µs", begun.elapsed().as_secs_f64() * 1e6 / f64::from(rounds));
        };
        for algorithm in [SigningAlgorithm::Es256, SigningAlgorithm::Rs256] {
            let fixture = fixture(algorithm);
            let text = fixture.issue();
            println!("{} with {} bytes", algorithm.as_str(), text.len());
            time("issue", 2000, &mut || drop(fixture.issue()));
            time("verify, remembered", 200_000, &mut || {
                fixture.bearers.verify(&text, ISSUER, SERVICE, START).unwrap();
            });
            time("verify, not remembered", 5000, &mut || {
                *fixture.bearers.verified.lock() = Verified::default();
                fixture.bearers.verify(&text, ISSUER, SERVICE, START).unwrap();
            });
            let strange = self::fixture(algorithm).issue();
            time("refuse an unknown key", 50_000, &mut || {
                fixture.bearers.verify(&strange, ISSUER, SERVICE, START).unwrap_err();
            });
        }
    }

    proptest! {
        #[test]
        fn garbage_is_refused_without_a_panic(
            text in prop_oneof![".{0,200}", "[A-Za-z0-9_-]{0,80}(\\.[A-Za-z0-9_=-]{0,80}){0,4}"],
        ) {
            let fixture = fixture(SigningAlgorithm::Es256);
            prop_assert!(fixture.bearers.verify(&text, ISSUER, SERVICE, START).is_err());
        }

        #[test]
        fn garbage_below_a_genuine_header_is_refused(
            payload in proptest::collection::vec(any::<u8>(), 0..100),
            signature in "[A-Za-z0-9_=.-]{0,100}",
        ) {
            let fixture = fixture(SigningAlgorithm::Es256);
            let key = fixture.key();
            let unsigned = format!("{}.{}.{signature}", key.header(), encoded(&payload));
            prop_assert!(fixture.bearers.verify(&unsigned, ISSUER, SERVICE, START).is_err());
            let signed = fixture.forge(key.header(), &payload);
            prop_assert!(fixture.bearers.verify(&signed, ISSUER, SERVICE, START).is_err());
        }

        #[test]
        fn any_time_is_judged_without_a_panic(now in any::<i64>()) {
            let fixture = fixture(SigningAlgorithm::Es256);
            let text = fixture.issue();
            let _ = fixture.bearers.verify(&text, ISSUER, SERVICE, now);
        }
    }
}
