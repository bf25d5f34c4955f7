//! The names of generic packages, in GitLab's grammar.

/// The longest name, version or file name, in bytes.
pub const MAX_PACKAGE_NAME_BYTES: usize = 255;

/// Returns whether a text can be the name of a package: letters, digits, `.`, `_`, `-` and `+`.
pub fn is_name(text: &str) -> bool {
    bounded(text) && text.bytes().all(plain) && !is_dots(text)
}

/// Returns whether a text can be the version of a package: as its name, without two dots in a row.
pub fn is_version(text: &str) -> bool {
    is_name(text) && !text.contains("..")
}

/// Returns whether a text can be the name of a file in a package: components of letters, digits, `.`, `_`, `-`, `+`, `~` and
/// `@`, with slashes between them. None of them stands for another folder, and the whole does not begin with `~` or `@`.
pub fn is_file_name(text: &str) -> bool {
    let component = |part: &str| {
        !part.is_empty()
            && !is_dots(part)
            && part.bytes().all(|byte| plain(byte) || matches!(byte, b'~' | b'@'))
    };
    bounded(text) && !text.starts_with(['~', '@']) && text.split('/').all(component)
}

fn bounded(text: &str) -> bool {
    !text.is_empty() && text.len() <= MAX_PACKAGE_NAME_BYTES
}

fn plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'+')
}

fn is_dots(text: &str) -> bool {
    text.bytes().all(|byte| byte == b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_a_grammar() {
        let long = "a".repeat(256);
        for text in ["a", "my-package_1.0+x", "A.b", &long[1..]] {
            assert!(is_name(text), "{text}");
        }
        for text in ["", ".", "..", "a b", "a/b", "a@b", "ü", "a\0", "a%2Fb", &long] {
            assert!(!is_name(text), "{text}");
        }
        assert!(is_version("1.0.0-rc.1+build"));
        for text in ["1..0", "", "v 1"] {
            assert!(!is_version(text), "{text}");
        }
    }

    #[test]
    fn a_file_may_be_in_folders_and_never_above_them() {
        for text in ["a.tgz", ".hidden", "linux/amd64/a", "a@1~2"] {
            assert!(is_file_name(text), "{text}");
        }
        for text in
            ["", "/a", "a/", "a//b", "../a", "a/../b", "a/.", "~a", "@a", "a\\b", "a b", "a\"b", "a\r\nb"]
        {
            assert!(!is_file_name(text), "{text}");
        }
    }
}
