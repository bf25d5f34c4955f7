//! Whether a form was sent from one of our own pages.
//!
//! Every browser says so: with `Sec-Fetch-Site` where it trusts the connection, with `Origin` always. A request that changes
//! something and says neither is no browser's, and pages are for browsers; programs have the REST API.

use axum::extract::Request;
use axum::http::HeaderMap;
use axum::http::header::ORIGIN;
use portcullis_app::settings::Settings;

use crate::client::BaseUrl;

/// Returns whether a request that changes something must be refused, because it did not come from a page of ours.
pub fn is_foreign(request: &Request, settings: &Settings) -> bool {
    if request.method().is_safe() {
        return false;
    }
    let mut parts = axum::http::Request::new(()).into_parts().0;
    parts.uri = request.uri().clone();
    parts.headers = request.headers().clone();
    parts.extensions = request.extensions().clone();
    let own = [BaseUrl::of(&parts, settings), BaseUrl::of_pages(&parts, settings)];
    !is_own(request.headers(), &own.each_ref().map(|own| &*own.0))
}

fn is_own(headers: &HeaderMap, own: &[&str]) -> bool {
    if let Some(site) = headers.get("sec-fetch-site") {
        return site == "same-origin";
    }
    let mut origins = headers.get_all(ORIGIN).iter();
    match (origins.next().and_then(|origin| origin.to_str().ok()), origins.next()) {
        (Some(origin), None) => own.iter().any(|own| own.eq_ignore_ascii_case(origin)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    #[test]
    fn only_our_own_pages_change_something() {
        let own = ["https://git.example.com"];
        for (headers, expected) in [
            (&[("sec-fetch-site", "same-origin")][..], true),
            (&[("sec-fetch-site", "same-origin"), ("origin", "null")], true),
            (&[("origin", "https://git.example.com")], true),
            (&[], false),
            (&[("origin", "null")], false),
            (&[("origin", "http://git.example.com")], false),
            (&[("origin", "https://git.example.com.evil.example")], false),
            (&[("origin", "https://git.example.com"), ("sec-fetch-site", "cross-site")], false),
            (&[("origin", "https://git.example.com"), ("sec-fetch-site", "same-site")], false),
            (&[("origin", "https://git.example.com"), ("origin", "https://evil.example")], false),
            (&[("sec-fetch-site", "none")], false),
        ] {
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                map.append(*name, HeaderValue::from_static(value));
            }
            assert_eq!(is_own(&map, &own), expected, "{headers:?}");
        }
    }
}
