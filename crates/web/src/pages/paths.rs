//! Folds the addresses of pages below projects and groups, whose paths have any number of slashes, before routing.
//!
//! `/group/sub/app/-/settings/access_tokens` becomes `/-/pages/projects/group%2Fsub%2Fapp/settings/access_tokens`,
//! `/groups/group/sub/-/edit` becomes `/-/pages/groups/group%2Fsub/edit`, and `/acme` alone `/-/pages/namespaces/acme`. The
//! rules behind the route decide what such an
//! address means, so it does not matter that the folded form can be asked for directly.

use axum::http::Uri;
use axum::http::uri::PathAndQuery;
use portcullis_rules::names::{FullPath, is_reserved_at_top};

use crate::paths;

/// Where folded addresses begin.
const PREFIX: &str = "/-/pages/";

/// Where the forge's own pages begin that belong to no project or group.
const OWN: [&str; 5] = ["/-/assets/", "/-/user_settings/", "/admin/", "/users/", "/projects/"];

/// Those that are one address.
const OWN_EXACTLY: [&str; 7] =
    ["/", "/-/design", "/admin", "/dashboard", "/groups", "/groups/new", "/projects"];

/// Longer paths name nothing.
const MAX_PATH_BYTES: usize = 4096;

/// Returns whether a routed path is of a page.
pub fn is_of_pages(path: &str) -> bool {
    path.starts_with(PREFIX) || OWN.iter().any(|start| path.starts_with(start)) || OWN_EXACTLY.contains(&path)
}

/// Returns the path to route instead of `uri`'s, when it is of a page below a project or group.
pub fn fold(uri: &Uri) -> Option<Uri> {
    let path = uri.path();
    // The API is asked most. What begins like a repository is Git's, and what is no path of ours is nothing.
    if path.starts_with("/api/")
        || path.len() > MAX_PATH_BYTES
        || path.contains(".git/")
        || OWN_EXACTLY.contains(&path)
        || paths::SUFFIXES.iter().any(|suffix| path.ends_with(suffix))
    {
        return None;
    }
    let path = path.strip_prefix('/')?;
    let path = path.strip_suffix('/').unwrap_or(path);
    let (kind, path) = match path.strip_prefix("groups/") {
        Some(rest) => ("groups", rest),
        None => ("projects", path),
    };
    // Numbers are ids, and no name is one.
    let alone = kind == "projects"
        && !path.contains('/')
        && !path.ends_with(".git")
        && !path.bytes().all(|byte| byte.is_ascii_digit());
    let kind = if alone { "namespaces" } else { kind };
    let (place, rest) = match path.split_once("/-/") {
        Some((place, rest)) => (place, format!("/{rest}")),
        None => (path.strip_suffix(".git").unwrap_or(path), String::new()),
    };
    let (is_project, is_group) = (kind == "projects", kind == "groups");
    let first = place.split('/').next().unwrap_or_default();
    if FullPath::parse(place).is_none()
        || (!is_group && is_reserved_at_top(first))
        || (is_project && !place.contains('/'))
    {
        return None;
    }
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let folded = format!("{PREFIX}{kind}/{}{rest}{query}", place.replace('/', "%2F"));
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(folded).ok()?);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folded(path: &str) -> Option<String> {
        fold(&path.parse().ok()?).map(|uri| uri.to_string())
    }

    #[test]
    fn a_page_is_found_below_a_place_of_any_depth() {
        for (path, expected) in [
            ("/g/app", "/-/pages/projects/g%2Fapp"),
            ("/g/app/", "/-/pages/projects/g%2Fapp"),
            ("/g/app.git", "/-/pages/projects/g%2Fapp"),
            (
                "/g/s/app/-/settings/access_tokens?page=2",
                "/-/pages/projects/g%2Fs%2Fapp/settings/access_tokens?page=2",
            ),
            ("/groups/g", "/-/pages/groups/g"),
            ("/groups/g/", "/-/pages/groups/g"),
            ("/acme?page=2", "/-/pages/namespaces/acme?page=2"),
            ("/acme/", "/-/pages/namespaces/acme"),
            ("/groups/g/s/-/edit", "/-/pages/groups/g%2Fs/edit"),
        ] {
            assert_eq!(folded(path).as_deref(), Some(expected));
        }
    }

    #[test]
    fn what_is_the_forges_own_or_gits_or_nothing_stays() {
        for path in [
            "/",
            "/app.git",
            "/17",
            "/admin",
            "/robots.txt",
            "/groups",
            "/groups/new",
            "/users/sign_in",
            "/projects/new",
            "/admin",
            "/admin/users/new",
            "/api/v4/projects",
            "/-/health",
            "/-/pages/projects/1",
            "/v2/g/app",
            "/g/app.git/info/refs",
            "/g/app/info/refs",
            "/g/app/git-upload-pack",
            "/g/app/git-receive-pack",
            "/g/../app",
            "/g//app",
            "/g%2Fapp",
            "/g/.app",
            "/groups/",
            "/groups/-/edit",
        ] {
            assert_eq!(folded(path), None, "{path}");
        }
    }
}
