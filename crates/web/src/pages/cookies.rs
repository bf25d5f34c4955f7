//! The cookie of a session. It holds a secret that the database knows by its digest, and nothing else.

use axum::http::header::COOKIE;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue};
use portcullis_app::settings::Settings;

use crate::client::Client;

/// The name where pages come encrypted. Browsers take a cookie of such a name only from this very host, and only with
/// `Secure` and `Path=/`.
const SECURE_NAME: &str = "__Host-portcullis_session";

/// The name where they do not.
const PLAIN_NAME: &str = "portcullis_session";

/// Longer values are no secret of ours.
const MAX_VALUE_BYTES: usize = 100;

/// Returns whether the browser of a request reached us encrypted, so that its cookie must be too.
fn is_secure(parts: &Parts, settings: &Settings) -> bool {
    settings.external_url.as_deref().is_some_and(|url| url.starts_with("https://"))
        || settings.tls_certificate.is_some()
        || Client::from_parts(parts).encrypted
}

fn name(secure: bool) -> &'static str {
    if secure { SECURE_NAME } else { PLAIN_NAME }
}

/// Returns the secret in a request's cookie.
pub fn session_secret(parts: &Parts, settings: &Settings) -> Option<String> {
    only(&parts.headers, name(is_secure(parts, settings)))
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

/// Returns the header that gives a browser the secret of its session, for as long as a session lives at most.
pub fn give(parts: &Parts, settings: &Settings, secret: &str) -> Option<HeaderValue> {
    header(is_secure(parts, settings), secret, u64::from(settings.session_days) * 24 * 60 * 60)
}

/// Returns the header that takes it away.
pub fn take_away(parts: &Parts, settings: &Settings) -> Option<HeaderValue> {
    header(is_secure(parts, settings), "", 0)
}

fn header(secure: bool, value: &str, seconds: u64) -> Option<HeaderValue> {
    let secure_word = if secure { "; Secure" } else { "" };
    let text =
        format!("{}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure_word}", name(secure));
    HeaderValue::from_str(&text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(cookies: &[&str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for cookie in cookies {
            headers.append(COOKIE, HeaderValue::from_str(cookie).unwrap());
        }
        only(&headers, PLAIN_NAME)
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
        let given = header(true, "x", 60).unwrap();
        assert_eq!(given, "__Host-portcullis_session=x; Path=/; Max-Age=60; HttpOnly; SameSite=Lax; Secure");
        let given = header(false, "x", 60).unwrap();
        assert_eq!(given, "portcullis_session=x; Path=/; Max-Age=60; HttpOnly; SameSite=Lax");
    }
}
