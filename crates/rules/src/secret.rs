//! The secret of a token, and the digest that stands for it in the database.
//!
//! A secret is `prefix` + 30 base62 characters of randomness (178 bits) + 6 base62 characters of CRC-32 over
//! everything before them. The checksum lets a scanner, and our own door, reject a look-alike without asking the
//! database; it proves nothing and protects nothing.

use sha2::{Digest, Sha256};

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const RANDOM_LENGTH: usize = 30;
const CHECKSUM_LENGTH: usize = 6;

/// The longest secret that is looked at, in bytes: room for a prefix of 20 characters.
pub const MAX_SECRET_BYTES: usize = 20 + RANDOM_LENGTH + CHECKSUM_LENGTH;

/// A token's secret. It is shown once, to whoever made the token, and never stored.
#[derive(Clone)]
pub struct TokenSecret(String);

impl std::fmt::Debug for TokenSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TokenSecret(…)")
    }
}

impl TokenSecret {
    /// Makes a secret that begins with `prefix`, drawing bytes from `fill`.
    pub fn generate(prefix: &str, mut fill: impl FnMut(&mut [u8])) -> TokenSecret {
        let mut text = String::with_capacity(prefix.len() + RANDOM_LENGTH + CHECKSUM_LENGTH);
        text.push_str(prefix);
        let mut bytes = [0u8; 64];
        let wanted = prefix.len() + RANDOM_LENGTH;
        while text.len() < wanted {
            fill(&mut bytes);
            for byte in bytes {
                // 248 = 4 × 62: bytes above it are drawn again, so that every character is equally likely.
                if byte < 248 && text.len() < wanted {
                    text.push(char::from(ALPHABET[usize::from(byte % 62)]));
                }
            }
        }
        let checksum = checksum(&text);
        text.push_str(&checksum);
        TokenSecret(text)
    }

    /// Returns the secret that `text` is, if it has the shape of one and its checksum holds.
    ///
    /// The prefix is not compared: after the operator changed it, older tokens go on working.
    pub fn parse(text: &str) -> Option<TokenSecret> {
        let split = text.len().checked_sub(CHECKSUM_LENGTH)?;
        if text.len() > MAX_SECRET_BYTES || !text.is_ascii() || split < RANDOM_LENGTH {
            return None;
        }
        let (body, check) = text.split_at(split);
        (checksum(body) == check).then(|| TokenSecret(text.to_owned()))
    }

    /// Returns the digest that stands for this secret.
    pub fn digest(&self) -> TokenDigest {
        TokenDigest(Sha256::digest(self.0.as_bytes()).into())
    }

    /// Returns the secret itself, for the one answer that shows it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

fn checksum(body: &str) -> String {
    let mut rest = crc32fast::hash(body.as_bytes());
    let mut digits = [b'0'; CHECKSUM_LENGTH];
    for digit in digits.iter_mut().rev() {
        *digit = ALPHABET[(rest % 62) as usize];
        rest /= 62;
    }
    digits.iter().map(|digit| char::from(*digit)).collect()
}

/// SHA-256 of a secret. Looking a token up by it is safe: whoever can choose digests that collide in a prefix
/// would need preimages, and the secret has far more entropy than could be guessed, so no slow hash is needed.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenDigest(pub [u8; 32]);

impl std::fmt::Debug for TokenDigest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TokenDigest(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> TokenSecret {
        let mut next = 7u8;
        TokenSecret::generate("pcp_", |bytes| {
            for byte in bytes {
                next = next.wrapping_mul(31).wrapping_add(11);
                *byte = next;
            }
        })
    }

    #[test]
    fn a_secret_has_forty_characters_that_one_double_click_selects() {
        let secret = sample();
        assert_eq!(secret.reveal().len(), 40);
        assert!(secret.reveal().bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'));
    }

    #[test]
    fn a_secret_parses_and_any_single_change_does_not() {
        let secret = sample();
        assert!(TokenSecret::parse(secret.reveal()).is_some());
        for index in 0..secret.reveal().len() {
            let mut changed = secret.reveal().to_owned().into_bytes();
            changed[index] = if changed[index] == b'x' { b'y' } else { b'x' };
            assert!(TokenSecret::parse(std::str::from_utf8(&changed).unwrap()).is_none());
        }
    }

    #[test]
    fn hostile_shapes_are_not_secrets() {
        for text in ["", "pcp_", "é".repeat(40).as_str(), "a".repeat(10_000).as_str(), "000000"] {
            assert!(TokenSecret::parse(text).is_none());
        }
    }

    #[test]
    fn debug_shows_nothing() {
        let secret = sample();
        assert!(!format!("{secret:?}{:?}", secret.digest()).contains(&secret.reveal()[4..12]));
    }
}
