//! Digests: what content is called by, so that nobody can be given other content under the same name.

use std::fmt;

use sha2::{Digest as _, Sha256, Sha512};

/// A hash function that the registry computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// SHA-256 (FIPS 180-4).
    Sha256,
    /// SHA-512 (FIPS 180-4).
    Sha512,
}

impl Algorithm {
    /// Every algorithm.
    pub const ALL: [Algorithm; 2] = [Algorithm::Sha256, Algorithm::Sha512];

    /// Returns the identifier that stands before the colon.
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::Sha256 => "sha256",
            Algorithm::Sha512 => "sha512",
        }
    }

    /// Returns how many hexadecimal digits stand behind the colon.
    pub fn hex_digits(self) -> usize {
        match self {
            Algorithm::Sha256 => 64,
            Algorithm::Sha512 => 128,
        }
    }
}

/// Why a digest was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DigestRefusal {
    /// The algorithm is none that the registry computes, so the content could never be checked.
    #[error("is of an algorithm that is not supported; sha256 and sha512 are")]
    Unsupported,
    /// It is not an algorithm, a colon and as many lower-case hexadecimal digits as the algorithm makes.
    #[error("is not a digest")]
    Malformed,
}

/// The digest of some content, such as `sha256:` and 64 lower-case hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest {
    algorithm: Algorithm,
    hex: String,
}

impl Digest {
    /// Returns the digest in `text`. Capital digits are refused rather than folded: two spellings would be two names for
    /// one content.
    ///
    /// # Errors
    /// Why it is not one.
    pub fn parse(text: &str) -> Result<Digest, DigestRefusal> {
        let (name, hex) = text.split_once(':').ok_or(DigestRefusal::Malformed)?;
        let Some(algorithm) = Algorithm::ALL.into_iter().find(|algorithm| algorithm.name() == name) else {
            return Err(if is_algorithm(name) {
                DigestRefusal::Unsupported
            } else {
                DigestRefusal::Malformed
            });
        };
        let digits = hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if !digits || hex.len() != algorithm.hex_digits() {
            return Err(DigestRefusal::Malformed);
        }
        Ok(Digest { algorithm, hex: hex.to_owned() })
    }

    /// Returns the digest of `content`.
    pub fn of(algorithm: Algorithm, content: &[u8]) -> Digest {
        let mut hasher = Hasher::new(algorithm);
        hasher.update(content);
        hasher.digest()
    }

    /// Returns the algorithm.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Returns the hexadecimal digits.
    pub fn hex(&self) -> &str {
        &self.hex
    }
}

/// Returns whether `text` could name an algorithm: `[a-z0-9]+([+._-][a-z0-9]+)*`.
fn is_algorithm(text: &str) -> bool {
    let is_word = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    text.split(['+', '.', '_', '-']).all(is_word)
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm.name(), self.hex)
    }
}

/// Computes the digest of content that arrives in pieces.
#[derive(Clone)]
pub struct Hasher(State);

#[derive(Clone)]
enum State {
    Sha256(Sha256),
    Sha512(Sha512),
}

impl Hasher {
    /// Returns a hasher that has seen no content.
    pub fn new(algorithm: Algorithm) -> Hasher {
        Hasher(match algorithm {
            Algorithm::Sha256 => State::Sha256(Sha256::new()),
            Algorithm::Sha512 => State::Sha512(Sha512::new()),
        })
    }

    /// Returns the algorithm.
    pub fn algorithm(&self) -> Algorithm {
        match self.0 {
            State::Sha256(_) => Algorithm::Sha256,
            State::Sha512(_) => Algorithm::Sha512,
        }
    }

    /// Takes the next piece of the content in.
    pub fn update(&mut self, piece: &[u8]) {
        match &mut self.0 {
            State::Sha256(state) => state.update(piece),
            State::Sha512(state) => state.update(piece),
        }
    }

    /// Returns the digest of the content so far. More may follow.
    pub fn digest(&self) -> Digest {
        let hex = match self.0.clone() {
            State::Sha256(state) => hex(&state.finalize()),
            State::Sha512(state) => hex(&state.finalize()),
        };
        Digest { algorithm: self.algorithm(), hex }
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Hasher").field(&self.algorithm()).finish()
    }
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn both_algorithms_are_read() {
        for algorithm in Algorithm::ALL {
            let text = format!("{}:{}", algorithm.name(), "0a".repeat(algorithm.hex_digits() / 2));
            let digest = Digest::parse(&text).unwrap();
            assert_eq!((digest.algorithm(), digest.to_string()), (algorithm, text));
        }
    }

    #[test]
    fn what_is_no_digest_is_refused() {
        let hex = "a".repeat(64);
        for text in [
            String::new(),
            hex.clone(),
            "sha256:".to_owned(),
            format!("sha256:{}", &hex[1..]),
            format!("sha256:{hex}a"),
            format!("sha256:{}G", &hex[1..]),
            format!("sha256:{}", hex.to_uppercase()),
            format!("SHA256:{hex}"),
            format!(" sha256:{hex}"),
            format!("sha256:{hex}\n"),
            format!("sha512:{hex}"),
            format!("sha256:sha256:{}", &hex[7..]),
            format!("sha-:{hex}"),
            format!(":{hex}"),
            "sha256:../../etc/passwd".to_owned(),
        ] {
            assert_eq!(Digest::parse(&text), Err(DigestRefusal::Malformed), "{text:?}");
        }
        for name in ["blake3", "md5", "sha256+b64", "multihash+base58"] {
            assert_eq!(Digest::parse(&format!("{name}:{hex}")), Err(DigestRefusal::Unsupported), "{name}");
        }
    }

    /// The vectors of FIPS 180-4 for "abc", and those of the empty content.
    #[test]
    fn digests_are_those_of_the_standard() {
        let known = [
            (Algorithm::Sha256, "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            (Algorithm::Sha256, "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            (
                Algorithm::Sha512,
                "abc",
                "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
                 2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
            ),
        ];
        for (algorithm, content, hex) in known {
            let digest = Digest::of(algorithm, content.as_bytes());
            assert_eq!(digest.to_string(), format!("{}:{hex}", algorithm.name()));
            assert_eq!(Digest::parse(&digest.to_string()), Ok(digest));
        }
    }

    #[test]
    fn a_hasher_goes_on_after_it_was_asked() {
        for algorithm in Algorithm::ALL {
            let mut hasher = Hasher::new(algorithm);
            hasher.update(b"ab");
            assert_eq!(hasher.digest(), Digest::of(algorithm, b"ab"));
            hasher.update(b"c");
            assert_eq!(hasher.digest(), Digest::of(algorithm, b"abc"));
        }
    }

    proptest! {
        #[test]
        fn a_digest_survives_being_written(hex in "[0-9a-f]{64}|[0-9a-f]{128}") {
            let name = if hex.len() == 64 { "sha256" } else { "sha512" };
            let text = format!("{name}:{hex}");
            let digest = Digest::parse(&text).unwrap();
            prop_assert_eq!(digest.hex(), &hex);
            prop_assert_eq!(digest.to_string(), text);
        }

        #[test]
        fn one_wrong_character_spoils_it(hex in "[0-9a-f]{64}", at in 0usize..64, wrong in "[^0-9a-f]") {
            let spoilt = format!("sha256:{}{wrong}{}", &hex[..at], &hex[at + 1..]);
            prop_assert_eq!(Digest::parse(&spoilt), Err(DigestRefusal::Malformed));
        }

        #[test]
        fn nothing_panics(text in ".{0,200}") {
            let _ = Digest::parse(&text);
        }
    }
}
