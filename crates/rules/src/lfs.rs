//! Names in the protocol of Git LFS: what a large file is called by, and the path that somebody locks.

/// How many digits an [`Oid`] has.
const OID_DIGITS: usize = 64;

/// The longest path that can be locked, in bytes.
pub const MAX_LOCK_PATH_BYTES: usize = 4096;

/// What a large file is called by: the SHA-256 of its content in 64 small hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Oid(Box<str>);

impl Oid {
    /// Returns the name written as `text`, if it is one.
    pub fn parse(text: &str) -> Option<Oid> {
        let digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        (text.len() == OID_DIGITS && text.bytes().all(digit)).then(|| Oid(text.into()))
    }

    /// Returns the digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the name as the blob store has it.
    pub fn digest(&self) -> String {
        format!("sha256:{}", self.0)
    }
}

impl std::fmt::Display for Oid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// A path inside a repository that somebody locks. It need not be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockPath(Box<str>);

impl LockPath {
    /// Returns the path written as `text`: parts with `/` between them, none of them empty, `.` or `..`, and nothing that a
    /// terminal would obey.
    pub fn parse(text: &str) -> Option<LockPath> {
        let fits =
            !text.is_empty() && text.len() <= MAX_LOCK_PATH_BYTES && !text.chars().any(char::is_control);
        let plain = |part: &str| !matches!(part, "" | "." | "..");
        (fits && text.split('/').all(plain)).then(|| LockPath(text.into()))
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_oid_is_sixty_four_small_digits() {
        let oid = Oid::parse(&"0f".repeat(32)).unwrap();
        assert_eq!(oid.digest(), format!("sha256:{oid}"));
        for wrong in ["", "0f", &"0F".repeat(32), &"0g".repeat(32), &"0f".repeat(33), &"é".repeat(32)] {
            assert_eq!(Oid::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_locked_path_stays_inside() {
        for path in ["a", "a/b.psd", "über/-x", ".gitattributes", "a b"] {
            assert_eq!(LockPath::parse(path).unwrap().as_str(), path);
        }
        for wrong in
            ["", "/a", "a/", "a//b", "../a", "a/./b", "a\0b", "a\nb", "a\u{1b}[2J", &"x".repeat(4097)]
        {
            assert_eq!(LockPath::parse(wrong), None, "{wrong:?}");
        }
    }
}
