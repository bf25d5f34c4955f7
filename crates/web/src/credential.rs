//! Where a credential hides in a request, for each door.
//!
//! However a token is presented, the same secret is decided in the same way: this file only finds it.

use axum::body::Body;
use axum::extract::Request;
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;

use crate::door::Door;
use crate::params::{FORM, collect, media_type, query_pairs};

/// Longer headers hold no credential of ours.
const MAX_HEADER_BYTES: usize = 8 * 1024;

/// What was presented.
#[derive(Clone, PartialEq, Eq)]
pub enum Presented {
    /// Nothing.
    Nothing,
    /// A secret, to be checked.
    Secret(String),
    /// Something in the place of a credential that cannot be one. It is refused like a wrong secret.
    Unusable,
}

/// A token from a form's field `private_token`, noted beside the request.
#[derive(Clone)]
struct FormToken(String);

/// Notes the token in the field `private_token` of a form, which the REST API takes like the parameter of that name in
/// the URL.
///
/// Only a form that comes without any other credential is read ahead for it: every other request's guard answers before
/// the body is read.
pub async fn note_form_token(request: Request, max_body_bytes: usize) -> Request {
    let (mut parts, body) = request.into_parts();
    let is_form = !parts.method.is_safe() && media_type(&parts.headers) == FORM;
    if !is_form || Presented::find(&parts, Door::Api, true) != Presented::Nothing {
        return Request::from_parts(parts, body);
    }
    // A body that cannot be read holds no token, and the request goes on as a stranger's without it.
    let bytes = collect(body, max_body_bytes).await.unwrap_or_default();
    let token = token_among(query_pairs(&String::from_utf8_lossy(&bytes)));
    if let Some(token) = token {
        parts.extensions.insert(FormToken(token));
    }
    Request::from_parts(parts, Body::from(bytes))
}

/// Returns the parameter `private_token`; a blank one counts as absent.
fn token_among(pairs: Vec<(String, String)>) -> Option<String> {
    pairs
        .into_iter()
        .find(|(name, value)| name == "private_token" && !value.trim().is_empty())
        .map(|(_, value)| value)
}

impl Presented {
    /// Returns what a request to `door` presents.
    pub fn find(parts: &Parts, door: Door, query_allowed: bool) -> Presented {
        match door {
            Door::Git | Door::Lfs | Door::Registry => basic_or_bearer(&parts.headers),
            Door::Api | Door::Files | Door::Operations => api(parts, query_allowed),
            // Pages take a session's cookie alone, and nothing else takes that.
            Door::Pages => Presented::Nothing,
        }
    }
}

/// The REST API: the parameter in the URL, else the `PRIVATE-TOKEN` header, else a bearer, else a form's field. Blank values
/// count as absent.
fn api(parts: &Parts, query_allowed: bool) -> Presented {
    if let Some(secret) = token_among(query_pairs(parts.uri.query().unwrap_or_default())) {
        // When the operator refuses it, a token in the URL is no credential, and the request must not pass as anonymous.
        return if query_allowed { Presented::Secret(secret) } else { Presented::Unusable };
    }
    match parts.headers.get("private-token") {
        Some(value) if value.as_bytes().trim_ascii().is_empty() => {}
        Some(value) => return secret_or_unusable(value.as_bytes()),
        None => {}
    }
    match authorization(&parts.headers) {
        Some((scheme, value)) if scheme.eq_ignore_ascii_case("bearer") && !value.is_empty() => {
            secret_or_unusable(value.as_bytes())
        }
        Some((scheme, value)) if scheme.eq_ignore_ascii_case("basic") && takes_basic(parts.uri.path()) => {
            basic(value)
        }
        // Other schemes are no credentials here; a blank bearer counts as absent.
        _ => match parts.extensions.get() {
            Some(FormToken(secret)) => Presented::Secret(secret.clone()),
            None => Presented::Nothing,
        },
    }
}

/// Returns whether a route of the API takes the password of Basic as Git does: those of package clients and of Terraform,
/// which know nothing else.
pub(crate) fn takes_basic(path: &str) -> bool {
    let mut segments = path.strip_prefix("/api/v4/projects/").unwrap_or_default().split('/').skip(1);
    matches!(
        (segments.next(), segments.next()),
        (Some("packages"), Some("generic")) | (Some("terraform"), Some("state"))
    )
}

/// Returns the bearer of a request, if it has one; any other credential counts as none, because clients are to be sent to
/// the token endpoint with it.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, value) = authorization(headers)?;
    (scheme.eq_ignore_ascii_case("bearer") && !value.is_empty()).then_some(value)
}

/// Git, its large files, and the token endpoint of the registry: the password of Basic (RFC 7617) with any non-empty user name, or a bearer.
fn basic_or_bearer(headers: &HeaderMap) -> Presented {
    let Some(value) = headers.get(AUTHORIZATION) else { return Presented::Nothing };
    if value.len() > MAX_HEADER_BYTES {
        return Presented::Unusable;
    }
    match authorization(headers) {
        Some((scheme, value)) if scheme.eq_ignore_ascii_case("basic") => basic(value),
        Some((scheme, value)) if scheme.eq_ignore_ascii_case("bearer") => {
            secret_or_unusable(value.as_bytes())
        }
        _ => Presented::Unusable,
    }
}

fn authorization(headers: &HeaderMap) -> Option<(&str, &str)> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, rest) = value.trim().split_once(' ').unwrap_or((value.trim(), ""));
    Some((scheme, rest.trim()))
}

fn basic(encoded: &str) -> Presented {
    let Some(decoded) = decode_base64(encoded).and_then(|bytes| String::from_utf8(bytes).ok()) else {
        return Presented::Unusable;
    };
    match decoded.split_once(':') {
        Some((user, password)) if !user.is_empty() && !password.is_empty() => {
            Presented::Secret(password.to_owned())
        }
        _ => Presented::Unusable,
    }
}

fn secret_or_unusable(bytes: &[u8]) -> Presented {
    match std::str::from_utf8(bytes.trim_ascii()) {
        Ok(text) if !text.is_empty() && text.len() <= MAX_HEADER_BYTES => Presented::Secret(text.to_owned()),
        _ => Presented::Unusable,
    }
}

/// Decodes standard base64 (RFC 4648, section 4), with or without padding.
fn decode_base64(text: &str) -> Option<Vec<u8>> {
    use base64::Engine as _;
    use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
    const ENGINE: GeneralPurpose = GeneralPurpose::new(
        &base64::alphabet::STANDARD,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    ENGINE.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::Request;

    fn presented(door: Door, uri: &str, headers: &[(&str, &str)]) -> Presented {
        let mut request = Request::builder().uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Presented::find(&request.body(()).unwrap().into_parts().0, door, true)
    }

    fn is_secret(presented: &Presented, secret: &str) -> bool {
        *presented == Presented::Secret(secret.to_owned())
    }

    #[test]
    fn the_api_takes_the_parameter_before_the_header_before_the_bearer() {
        let headers = [("private-token", "header"), ("authorization", "Bearer bearer")];
        assert!(is_secret(&presented(Door::Api, "/?private_token=query", &headers), "query"));
        assert!(is_secret(&presented(Door::Api, "/", &headers), "header"));
        assert!(is_secret(&presented(Door::Api, "/", &headers[1..]), "bearer"));
        assert!(is_secret(&presented(Door::Api, "/?private_token=", &headers), "header"));
    }

    #[test]
    fn basic_is_for_package_clients_and_terraform() {
        // x:secret
        let headers = [("authorization", "Basic eDpzZWNyZXQ=")];
        let path = "/api/v4/projects/g%2Fp/packages/generic/a/1/f";
        assert!(is_secret(&presented(Door::Api, path, &headers), "secret"));
        let path = "/api/v4/projects/1/terraform/state/prod/lock";
        assert!(is_secret(&presented(Door::Api, path, &headers), "secret"));
        for path in
            ["/api/v4/projects/1", "/api/v4/projects/packages/generic", "/api/v4/projects/1/packages", "/x"]
        {
            assert!(presented(Door::Api, path, &headers) == Presented::Nothing, "{path}");
        }
    }

    #[test]
    fn blank_values_count_as_absent_on_the_api() {
        for headers in [[("private-token", "")], [("private-token", "  ")], [("authorization", "Bearer ")]] {
            assert!(presented(Door::Api, "/", &headers) == Presented::Nothing);
        }
    }

    #[test]
    fn git_takes_any_user_name_but_not_none() {
        // x:secret, :secret, secret:, noise
        assert!(is_secret(&presented(Door::Git, "/", &[("authorization", "Basic eDpzZWNyZXQ=")]), "secret"));
        assert!(is_secret(&presented(Door::Git, "/", &[("authorization", "basic eDpzZWNyZXQ")]), "secret"));
        for value in
            ["Basic OnNlY3JldA==", "Basic c2VjcmV0Og==", "Basic !!", "Basic", "Digest x", "Basic //79"]
        {
            assert!(presented(Door::Git, "/", &[("authorization", value)]) == Presented::Unusable, "{value}");
        }
        assert!(presented(Door::Git, "/?private_token=x", &[("private-token", "x")]) == Presented::Nothing);
    }
}
