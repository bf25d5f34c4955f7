//! The identifier of an upload session.

use std::fmt;

/// The identifier of an upload session: a UUID (RFC 9562), which the caller makes.
///
/// It stands in a path on disk and in the address that a client uploads to, so it is parsed into bytes and written from
/// bytes: no text from outside reaches either.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId([u8; 16]);

/// Where the hyphens stand, as positions in the text.
const HYPHENS: [usize; 4] = [8, 13, 18, 23];

/// The length of the text, in bytes.
const TEXT_BYTES: usize = 36;

impl SessionId {
    /// Makes an identifier of version 4 from 16 random bytes. They must come from a source that cannot be foreseen:
    /// who knows the identifier can go on with the upload as far as the permission allows.
    pub fn from_random(mut bytes: [u8; 16]) -> SessionId {
        bytes[6] = (bytes[6] & 0x0f) | 0x40;
        bytes[8] = (bytes[8] & 0x3f) | 0x80;
        SessionId(bytes)
    }

    /// Returns the identifier in `text`, if it is the canonical form: 32 lower-case hexadecimal digits in groups of 8, 4,
    /// 4, 4 and 12. Other spellings would be other names for the same session.
    pub fn parse(text: &str) -> Option<SessionId> {
        if text.len() != TEXT_BYTES {
            return None;
        }
        let (mut bytes, mut digits) = ([0u8; 16], 0);
        for (at, character) in text.bytes().enumerate() {
            if HYPHENS.contains(&at) {
                if character != b'-' {
                    return None;
                }
                continue;
            }
            let value = match character {
                b'0'..=b'9' => character - b'0',
                b'a'..=b'f' => character - b'a' + 10,
                _ => return None,
            };
            bytes[digits / 2] = bytes[digits / 2] << 4 | value;
            digits += 1;
        }
        Some(SessionId(bytes))
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, byte) in self.0.iter().enumerate() {
            let hyphen = if matches!(at, 4 | 6 | 8 | 10) { "-" } else { "" };
            write!(f, "{hyphen}{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_the_canonical_form_is_an_identifier() {
        let text = "f81d4fae-7dec-41d0-a765-00a0c91e6bf6";
        assert_eq!(SessionId::parse(text).map(|id| id.to_string()), Some(text.to_owned()));
        for text in [
            "",
            "F81D4FAE-7DEC-41D0-A765-00A0C91E6BF6",
            "f81d4fae7dec41d0a76500a0c91e6bf6",
            "{f81d4fae-7dec-41d0-a765-00a0c91e6bf6}",
            "f81d4fae-7dec-41d0-a765-00a0c91e6bf",
            "f81d4fae-7dec-41d0-a765-00a0c91e6bf60",
            "f81d4fae-7dec-41d0-a765-00a0c91e6bfg",
            "f81d4fae_7dec-41d0-a765-00a0c91e6bf6",
            "f81d4fa-e7dec-41d0-a765-00a0c91e6bf6",
            "../../../../../../../../../etc/passwd",
        ] {
            assert_eq!(SessionId::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_random_identifier_says_its_version() {
        for bytes in [[0; 16], [0xff; 16]] {
            let text = SessionId::from_random(bytes).to_string();
            assert_eq!(&text[14..15], "4", "{text}");
            assert!(matches!(&text[19..20], "8" | "9" | "a" | "b"), "{text}");
        }
    }

    proptest! {
        #[test]
        fn an_identifier_survives_being_written(bytes in any::<[u8; 16]>()) {
            let id = SessionId(bytes);
            prop_assert_eq!(SessionId::parse(&id.to_string()), Some(id));
        }

        #[test]
        fn nothing_panics(text in ".{0,60}") {
            let _ = SessionId::parse(&text);
        }
    }
}
