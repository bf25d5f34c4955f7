//! Folds a path of the registry, whose name has any number of slashes, into a route.
//!
//! `/v2/group/app/manifests/v1` becomes `/-/registry/group%2Fapp/manifests/v1`, and what it stands for travels beside the
//! request, already read. A request for the folded form itself has nothing beside it, and finds nothing.

use axum::http::Uri;
use axum::http::uri::PathAndQuery;
use portcullis_app::registry::protocol::{Endpoint, RouteRefusal};

/// Where folded paths begin.
pub const PREFIX: &str = "/-/registry/";

/// Returns whether a path belongs to the registry: its protocol, its token endpoint, or a folded path.
pub fn is_of_registry(path: &str) -> bool {
    is_of_protocol(path) || path.starts_with("/jwt/") || path.starts_with(PREFIX)
}

/// Returns whether a path is one of the protocol.
pub fn is_of_protocol(path: &str) -> bool {
    path == "/v2" || path.starts_with("/v2/")
}

/// Returns what a path of the protocol stands for, and the address to route.
///
/// # Errors
/// Why it stands for nothing.
pub fn fold(uri: &Uri) -> Result<(Uri, Endpoint), RouteRefusal> {
    let endpoint = Endpoint::parse(uri.path())?;
    let rest = match &endpoint {
        Endpoint::VersionWithoutSlash | Endpoint::Version | Endpoint::Catalog => {
            return Ok((uri.clone(), endpoint));
        }
        Endpoint::Blob { digest, .. } => format!("blobs/{digest}"),
        Endpoint::Uploads { .. } => "uploads".to_owned(),
        Endpoint::Upload { session, .. } => format!("uploads/{session}"),
        Endpoint::Manifest { .. } => {
            let (_, reference) = uri.path().rsplit_once('/').ok_or(RouteRefusal::Unknown)?;
            format!("manifests/{reference}")
        }
        Endpoint::Tags { .. } => "tags".to_owned(),
        Endpoint::Referrers { digest, .. } => format!("referrers/{digest}"),
    };
    let name = endpoint.repository().map(|name| name.as_str().replace('/', "%2F")).unwrap_or_default();
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let path = PathAndQuery::try_from(format!("{PREFIX}{name}/{rest}{query}"));
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(path.map_err(|_| RouteRefusal::Unknown)?);
    let folded = Uri::from_parts(parts).map_err(|_| RouteRefusal::Unknown)?;
    Ok((folded, endpoint))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_of_any_depth_is_one_segment() {
        let digest = format!("sha256:{}", "a".repeat(64));
        for (path, expected) in [
            ("/v2/g/p/manifests/v1?tag=a".to_owned(), "/-/registry/g%2Fp/manifests/v1?tag=a".to_owned()),
            (format!("/v2/g/p/x/blobs/{digest}"), format!("/-/registry/g%2Fp%2Fx/blobs/{digest}")),
            ("/v2/g/p/blobs/uploads/".to_owned(), "/-/registry/g%2Fp/uploads".to_owned()),
            ("/v2/g/tags/list".to_owned(), "/-/registry/g/tags".to_owned()),
            ("/v2/".to_owned(), "/v2/".to_owned()),
        ] {
            let (folded, _) = fold(&path.parse().unwrap()).unwrap();
            assert_eq!(folded.to_string(), expected);
        }
    }

    #[test]
    fn nothing_else_is_of_the_registry() {
        for path in ["/v2x", "/api/v2/", "/-/git/v2/info/refs", "/g/v2/x", "/jwt"] {
            assert!(!is_of_registry(path), "{path}");
        }
    }
}
