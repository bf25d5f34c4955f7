//! The cookies: of a session, and of a sign-in that waits for a code. Each holds a secret that the database knows by its
//! digest, and nothing else.

use axum::http::header::COOKIE;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue};
use portcullis_app::settings::Settings;

use crate::client::Client;

/// A cookie with a secret in it.
#[derive(Clone, Copy, Debug)]
pub struct Cookie {
    /// The name where pages come encrypted. Browsers take a cookie of such a name only from this very host, and only with
    /// `Secure` and `Path=/`.
    secure_name: &'static str,
    /// The name where they do not.
    plain_name: &'static str,
}

/// The cookie of a session.
pub const SESSION: Cookie =
    Cookie { secure_name: "__Host-portcullis_session", plain_name: "portcullis_session" };

/// The cookie of somebody who gave the right password and has yet to give a code.
pub const PENDING: Cookie =
    Cookie { secure_name: "__Host-portcullis_sign_in", plain_name: "portcullis_sign_in" };

/// Longer values are no secret of ours.
const MAX_VALUE_BYTES: usize = 100;

/// Returns whether the browser of a request reached us encrypted, so that its cookie must be too.
fn is_secure(parts: &Parts, settings: &Settings) -> bool {
    settings.external_url.as_deref().is_some_and(|url| url.starts_with("https://"))
        || settings.tls_certificate.is_some()
        || Client::from_parts(parts).encrypted
}

/// Returns the value of the cookie with this name. Of two, one may be of somebody else's making, so neither counts.
fn only(headers: &HeaderMap, name: &str) -> Option<String> {
    let mut values = headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(found, _)| *found == name)
        .map(|(_, value)| value);
    let value = values.next().filter(|value| value.len() <= MAX_VALUE_BYTES)?;
    values.next().is_none().then(|| value.to_owned())
}

impl Cookie {
    fn name(self, secure: bool) -> &'static str {
        if secure { self.secure_name } else { self.plain_name }
    }

    /// Returns the secret in a request's cookie.
    pub fn read(self, parts: &Parts, settings: &Settings) -> Option<String> {
        only(&parts.headers, self.name(is_secure(parts, settings)))
    }

    /// Returns the header that gives a browser a secret, for this many seconds.
    pub fn give(self, parts: &Parts, settings: &Settings, secret: &str, seconds: u64) -> Option<HeaderValue> {
        self.header(is_secure(parts, settings), secret, seconds)
    }

    /// Returns the header that takes it away.
    pub fn take_away(self, parts: &Parts, settings: &Settings) -> Option<HeaderValue> {
        self.header(is_secure(parts, settings), "", 0)
    }

    fn header(self, secure: bool, value: &str, seconds: u64) -> Option<HeaderValue> {
        let secure_word = if secure { "; Secure" } else { "" };
        let name = self.name(secure);
        let text = format!("{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure_word}");
        HeaderValue::from_str(&text).ok()
    }
}

/// Returns the header that gives a browser the secret of its session, for as long as a session lives at most.
pub fn give_session(parts: &Parts, settings: &Settings, secret: &str) -> Option<HeaderValue> {
    SESSION.give(parts, settings, secret, u64::from(settings.session_days) * 24 * 60 * 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(cookies: &[&str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for cookie in cookies {
            headers.append(COOKIE, HeaderValue::from_str(cookie).unwrap());
        }
        only(&headers, SESSION.plain_name)
    }

    #[test]
    fn one_cookie_of_the_name_is_read_and_two_are_none() {
        assert_eq!(found(&["a=b; portcullis_session=x; c=d"]).as_deref(), Some("x"));
        assert_eq!(found(&["a=b", "portcullis_session=x"]).as_deref(), Some("x"));
        assert_eq!(found(&["portcullis_session=x; portcullis_session=y"]), None);
        assert_eq!(found(&["portcullis_session=x", "portcullis_session=x"]), None);
        assert_eq!(found(&["__Host-portcullis_session=x; portcullis_session2=y"]), None);
        assert_eq!(found(&[&format!("portcullis_session={}", "x".repeat(101))]), None);
    }

    #[test]
    fn a_cookie_is_for_this_host_and_no_script() {
        let given = SESSION.header(true, "x", 60).unwrap();
        assert_eq!(given, "__Host-portcullis_session=x; Path=/; Max-Age=60; HttpOnly; SameSite=Lax; Secure");
        let given = SESSION.header(false, "x", 60).unwrap();
        assert_eq!(given, "portcullis_session=x; Path=/; Max-Age=60; HttpOnly; SameSite=Lax");
    }
}
