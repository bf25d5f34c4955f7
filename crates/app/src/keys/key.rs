//! One signing key: its pair, its name, its certificate, and how it is written down.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, ParsedPublicKey,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair,
};
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use pem::{EncodeConfig, LineEnding, Pem};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyUsagePurpose};
use serde_json::{Value, json};

use crate::settings::SigningAlgorithm;

/// What the two parts of a key's file are called (RFC 7468).
const PRIVATE_KEY: &str = "PRIVATE KEY";
const CERTIFICATE: &str = "CERTIFICATE";

/// How many characters of a key's name stand in the name of its certificate.
const SHORT_ID_LENGTH: usize = 12;

enum Pair {
    Es256(EcdsaKeyPair),
    Rs256(RsaKeyPair),
}

/// What keeps bytes from being a signing key.
#[derive(Debug, thiserror::Error)]
pub(super) enum KeyRefusal {
    #[error("a signing key could not be made")]
    NotMade,
    #[error("this is no signing key; restore it from a backup, or remove it to have a new one made")]
    NoKey,
}

/// A key. `Debug` shows nothing of its private half.
pub struct Key {
    id: String,
    made_at: i64,
    file: String,
    pair: Pair,
    public: ParsedPublicKey,
    certificate: Vec<u8>,
    header: String,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Pair {
    fn algorithm(&self) -> SigningAlgorithm {
        match self {
            Pair::Es256(_) => SigningAlgorithm::Es256,
            Pair::Rs256(_) => SigningAlgorithm::Rs256,
        }
    }

    fn read(pkcs8: &[u8]) -> Option<Pair> {
        let es256 = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8).ok().map(Pair::Es256);
        es256.or_else(|| RsaKeyPair::from_pkcs8(pkcs8).ok().map(Pair::Rs256))
    }

    fn public(&self) -> Option<ParsedPublicKey> {
        match self {
            Pair::Es256(pair) => ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, pair.public_key()),
            Pair::Rs256(pair) => ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, pair.public_key()),
        }
        .ok()
    }

    /// Returns the members of the public key that make its thumbprint, in the order that it wants (RFC 7638, section 3.2).
    fn members(&self) -> Vec<(&'static str, String)> {
        let encoded = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
        match self {
            Pair::Es256(pair) => {
                // An uncompressed point: the byte 4, then both coordinates, 32 bytes each.
                let coordinates = pair.public_key().as_ref().get(1..).unwrap_or_default();
                let (x, y) = coordinates.split_at(coordinates.len() / 2);
                vec![
                    ("crv", "P-256".to_owned()),
                    ("kty", "EC".to_owned()),
                    ("x", encoded(x)),
                    ("y", encoded(y)),
                ]
            }
            Pair::Rs256(pair) => {
                let (n, e) = (pair.public_key().modulus(), pair.public_key().exponent());
                vec![
                    ("e", encoded(e.big_endian_without_leading_zero())),
                    ("kty", "RSA".to_owned()),
                    ("n", encoded(n.big_endian_without_leading_zero())),
                ]
            }
        }
    }

    fn id(&self) -> String {
        thumbprint(&self.members())
    }
}

/// Returns the thumbprint of a public key (RFC 7638, section 3).
fn thumbprint(members: &[(&str, String)]) -> String {
    let members: Vec<_> = members.iter().map(|(name, value)| format!("\"{name}\":\"{value}\"")).collect();
    let text = format!("{{{}}}", members.join(","));
    BASE64_URL_SAFE_NO_PAD.encode(digest(&SHA256, text.as_bytes()))
}

impl Key {
    /// Makes the private half of a key, in PKCS #8.
    pub(super) fn generate(algorithm: SigningAlgorithm) -> Result<Vec<u8>, KeyRefusal> {
        let made = match algorithm {
            SigningAlgorithm::Es256 => EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)
                .and_then(|pair| pair.to_pkcs8v1())
                .map(|pkcs8| pkcs8.as_ref().to_vec()),
            SigningAlgorithm::Rs256 => RsaKeyPair::generate(KeySize::Rsa2048)
                .and_then(|pair| pair.as_der())
                .map(|pkcs8| pkcs8.as_ref().to_vec()),
        };
        made.map_err(|_| KeyRefusal::NotMade)
    }

    /// Returns which algorithm a private half is for.
    pub(super) fn algorithm_of(pkcs8: &[u8]) -> Result<SigningAlgorithm, KeyRefusal> {
        Pair::read(pkcs8).map(|pair| pair.algorithm()).ok_or(KeyRefusal::NoKey)
    }

    /// Returns the text of a key's file: its private half, and a certificate of it that it signs itself.
    ///
    /// A registry elsewhere is told to trust the certificate. As no two signatures of ECDSA are the same, it is kept and
    /// not made again. It has no end that anybody would live to see: a key is trusted for as long as it is listed, and a
    /// certificate that expired by itself would only be an outage.
    pub(super) fn write_down(pkcs8: &[u8]) -> Result<String, KeyRefusal> {
        let id = Pair::read(pkcs8).ok_or(KeyRefusal::NoKey)?.id();
        let pair = rcgen::KeyPair::try_from(pkcs8).map_err(|_| KeyRefusal::NoKey)?;
        let mut name = DistinguishedName::new();
        let short_id = id.get(..SHORT_ID_LENGTH).unwrap_or(&id);
        name.push(DnType::CommonName, format!("Portcullis signing key {short_id}"));
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name = name;
        // A verifier's clock may be behind ours.
        parameters.not_before = rcgen::date_time_ymd(2020, 1, 1);
        parameters.not_after = rcgen::date_time_ymd(9999, 12, 31);
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let certificate = parameters.self_signed(&pair).map_err(|_| KeyRefusal::NotMade)?;
        let parts = [Pem::new(PRIVATE_KEY, pkcs8), Pem::new(CERTIFICATE, certificate.der().as_ref())];
        Ok(pem::encode_many_config(&parts, EncodeConfig::new().set_line_ending(LineEnding::LF)))
    }

    /// Reads the text of a key's file.
    pub(super) fn read(file: &str, made_at: i64, text: &[u8]) -> Result<Key, KeyRefusal> {
        let parts = pem::parse_many(text).map_err(|_| KeyRefusal::NoKey)?;
        let part = |tag: &str| parts.iter().find(|part| part.tag() == tag).map(Pem::contents);
        let (pkcs8, certificate) = part(PRIVATE_KEY).zip(part(CERTIFICATE)).ok_or(KeyRefusal::NoKey)?;
        let pair = Pair::read(pkcs8).ok_or(KeyRefusal::NoKey)?;
        let public = pair.public().ok_or(KeyRefusal::NoKey)?;
        let id = pair.id();
        let header = json!({
            "typ": "JWT",
            "alg": pair.algorithm().as_str(),
            "kid": id,
            "x5c": [BASE64_STANDARD.encode(certificate)],
        });
        Ok(Key {
            header: BASE64_URL_SAFE_NO_PAD.encode(header.to_string()),
            id,
            made_at,
            file: file.to_owned(),
            certificate: certificate.to_vec(),
            pair,
            public,
        })
    }

    /// Returns its name, the `kid` of what it signs: the thumbprint of the public key (RFC 7638).
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns what it signs with.
    pub fn algorithm(&self) -> SigningAlgorithm {
        self.pair.algorithm()
    }

    /// Returns when it was made, in Unix microseconds.
    pub fn made_at(&self) -> i64 {
        self.made_at
    }

    /// Returns the name of its file in the folder of keys.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Returns its certificate in DER.
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// Returns its certificate in PEM.
    pub fn certificate_pem(&self) -> String {
        let part = Pem::new(CERTIFICATE, self.certificate.as_slice());
        pem::encode_config(&part, EncodeConfig::new().set_line_ending(LineEnding::LF))
    }

    /// Returns its public half as a JSON Web Key (RFC 7517, section 4).
    pub fn jwk(&self) -> Value {
        let mut jwk = json!({
            "use": "sig",
            "alg": self.algorithm().as_str(),
            "kid": self.id,
            "x5c": [BASE64_STANDARD.encode(&self.certificate)],
        });
        for (name, value) in self.pair.members() {
            jwk[name] = value.into();
        }
        jwk
    }

    /// Returns the header of everything it signs, encoded. There is only this one, so what begins otherwise was not signed
    /// by this key, and no header is ever believed.
    pub(crate) fn header(&self) -> &str {
        &self.header
    }

    /// Signs.
    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, aws_lc_rs::error::Unspecified> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Es256(pair) => Ok(pair.sign(&random, message)?.as_ref().to_vec()),
            Pair::Rs256(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)?;
                Ok(signature)
            }
        }
    }

    /// Returns whether it signed the message.
    pub(crate) fn has_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        self.public.verify_sig(message, signature).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(algorithm: SigningAlgorithm) -> Key {
        let text = Key::write_down(&Key::generate(algorithm).unwrap()).unwrap();
        Key::read("a.pem", 7, text.as_bytes()).unwrap()
    }

    /// The example of RFC 7638, section 3.1.
    #[test]
    fn a_thumbprint_is_that_of_the_standard() {
        let n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCi\
                 FV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgn\
                 Yb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqb\
                 w0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
        let members = [("e", "AQAB".to_owned()), ("kty", "RSA".to_owned()), ("n", n.to_owned())];
        assert_eq!(thumbprint(&members), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    }

    #[test]
    fn a_key_verifies_what_it_signed_and_nothing_else() {
        let keys = [made(SigningAlgorithm::Es256), made(SigningAlgorithm::Rs256)];
        for (at, key) in keys.iter().enumerate() {
            let signature = key.sign(b"message").unwrap();
            for (other_at, other) in keys.iter().enumerate() {
                assert_eq!(other.has_signed(b"message", &signature), at == other_at);
            }
            assert!(!key.has_signed(b"massage", &signature));
            assert!(!key.has_signed(b"message", b""));
            assert!(!key.has_signed(b"message", &[0; 64]));
        }
    }

    #[test]
    fn a_public_key_has_no_private_member() {
        for (algorithm, names) in [
            (SigningAlgorithm::Es256, ["alg", "crv", "kid", "kty", "use", "x", "x5c", "y"].as_slice()),
            (SigningAlgorithm::Rs256, &["alg", "e", "kid", "kty", "n", "use", "x5c"]),
        ] {
            let key = made(algorithm);
            let jwk = key.jwk();
            let mut found: Vec<_> = jwk.as_object().unwrap().keys().map(String::as_str).collect();
            found.sort_unstable();
            assert_eq!(found, names);
            assert_eq!(jwk["kid"], key.id());
            assert_eq!(jwk["alg"], algorithm.as_str());
            assert_eq!(format!("{key:?}"), format!("Key {{ id: {:?}, .. }}", key.id()));
        }
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let text = Key::write_down(&Key::generate(SigningAlgorithm::Es256).unwrap()).unwrap();
        let only_key = text.split_inclusive("-----END PRIVATE KEY-----\n").next().unwrap();
        let only_certificate = text.strip_prefix(only_key).unwrap();
        for text in ["", "-----BEGIN PRIVATE KEY-----", only_key, only_certificate] {
            assert!(Key::read("a.pem", 0, text.as_bytes()).is_err());
        }
        for bytes in [&b""[..], b"not a key", &[0x30, 0x82, 0xff, 0xff]] {
            assert!(Key::algorithm_of(bytes).is_err());
            assert!(Key::write_down(bytes).is_err());
        }
    }
}
