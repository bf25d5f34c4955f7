//! Addresses that people are sent to: of builds, and of what a release brings.

/// The longest address, in bytes.
pub const MAX_ADDRESS_BYTES: usize = 2048;

/// Addresses of pages.
pub const PAGES: &[&str] = &["http", "https"];

/// Addresses of files.
pub const DOWNLOADS: &[&str] = &["http", "https", "ftp"];

/// Returns whether `text` is a whole address with one of these schemes (RFC 3986, section 3): it names a host, holds
/// nothing that would end it in a page or a header, and no user or password, which would be shown to everybody.
pub fn is_address(text: &str, schemes: &[&str]) -> bool {
    let Some((scheme, rest)) = text.split_once("://") else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.split(':').next().unwrap_or_default();
    let unfit = |character: char| {
        character.is_control()
            || character.is_whitespace()
            || matches!(character, '<' | '>' | '"' | '\\' | '`')
    };
    text.len() <= MAX_ADDRESS_BYTES
        && schemes.iter().any(|known| scheme.eq_ignore_ascii_case(known))
        && !host.is_empty()
        && !authority.contains('@')
        && !text.contains(unfit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_scheme_and_a_host_and_nothing_secret() {
        for (text, fine) in [
            ("https://ci.example.com/jobs/1?x=%20#log", true),
            ("HTTP://localhost:8080", true),
            ("https://[::1]:80/x", true),
            ("https://example.com/ü", true),
            ("ftp://example.com/a", false),
            ("javascript:alert(1)", false),
            ("javascript://x/%0aalert(1)", false),
            ("data:text/html,x", false),
            ("//example.com", false),
            ("https://", false),
            ("https:///path", false),
            ("https://:80/", false),
            ("https://user:secret@example.com/", false),
            ("https://example.com/a b", false),
            ("https://example.com/\r\nx: y", false),
            ("https://example.com/\"><script>", false),
            (" https://example.com/", false),
            ("", false),
        ] {
            assert_eq!(is_address(text, PAGES), fine, "{text:?}");
        }
        assert!(is_address("ftp://example.com/a", DOWNLOADS));
        let long = |length: usize| format!("https://e/{}", "x".repeat(length - 10));
        assert!(is_address(&long(MAX_ADDRESS_BYTES), PAGES));
        assert!(!is_address(&long(MAX_ADDRESS_BYTES + 1), PAGES));
    }
}
