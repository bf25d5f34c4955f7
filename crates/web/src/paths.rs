//! Folds a project's path, which has any number of slashes, into one segment before routing: where a repository is asked
//! for, or a file that was uploaded.
//!
//! `/group/sub/app.git/info/refs` becomes `/-/git/group%2Fsub%2Fapp/info/refs`,
//! `/group/app/uploads/…/a.png` becomes `/-/project/group%2Fapp/uploads/…/a.png`. What such a path means is decided by
//! the rules behind the route, so it does not matter that the folded form can also be asked for directly.
//!
//! What could never be a repository's path is not folded. It names no route then, and is refused before a credential is
//! read or anything is looked up.

use axum::http::Uri;
use axum::http::uri::PathAndQuery;
use percent_encoding::percent_decode_str;
use portcullis_rules::files::is_secret;
use portcullis_rules::names::FullPath;

/// Where folded paths begin.
pub const GIT_PREFIX: &str = "/-/git/";

/// Where repositories asked for without `.git` are sent, to be redirected.
pub const GIT_REDIRECT_PREFIX: &str = "/-/git-redirect/";

/// Where large files of repositories are.
pub const LFS_PREFIX: &str = "/-/lfs/";

/// Where uploaded files are.
pub const FILES_PREFIX: &str = "/-/project/";

/// Longer paths name nothing.
const MAX_PATH_BYTES: usize = 4096;

/// What may follow a repository's path.
pub(crate) const SUFFIXES: [&str; 3] = ["/info/refs", "/git-upload-pack", "/git-receive-pack"];

/// What the paths of its large files begin with, behind a repository's path.
const LFS_BEGINNINGS: [&str; 2] = ["/info/lfs/", "/gitlab-lfs/objects/"];

/// Paths of the dumb protocol, which is not served.
const DUMB_SUFFIXES: [&str; 2] = ["/HEAD", "/objects/"];

/// Returns the path to route instead of `uri`'s, when it is a repository's.
pub fn fold(uri: &Uri) -> Option<Uri> {
    let path = uri.path();
    if path.starts_with("/-/") || path.starts_with("/api/") || path.len() > MAX_PATH_BYTES {
        return None;
    }
    if let Some((project, tag, file)) = split_download(path) {
        let tag = tag.replace('/', "%2F");
        return folded_uri(uri, project, &format!("/releases/{tag}/downloads/{file}"), FILES_PREFIX);
    }
    let (project, rest, prefix) = split_upload(path).or_else(|| split(path))?;
    folded_uri(uri, project, rest, prefix)
}

fn folded_uri(uri: &Uri, project: &str, rest: &str, prefix: &str) -> Option<Uri> {
    let folded = repository_path(project)?.replace('/', "%2F");
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let path = PathAndQuery::try_from(format!("{prefix}{folded}{rest}{query}")).ok()?;
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(path);
    Uri::from_parts(parts).ok()
}

/// Splits the path of an uploaded file below its project's.
fn split_upload(path: &str) -> Option<(&str, &str, &'static str)> {
    let (before, name) = path.rsplit_once('/')?;
    let (before, secret) = before.rsplit_once('/')?;
    let project = before.strip_suffix("/uploads")?;
    (is_secret(secret) && !name.is_empty()).then(|| (project, &path[project.len()..], FILES_PREFIX))
}

/// Splits the address of what a release brings into its project, its tag and the rest.
fn split_download(path: &str) -> Option<(&str, &str, &str)> {
    let (project, rest) = path.split_once("/-/releases/")?;
    let (tag, file) = rest.split_once("/downloads/")?;
    (!tag.is_empty() && !file.is_empty()).then_some((project, tag, file))
}

/// Returns a repository's path, decoded once, if it has the shape of one: a namespace and a name, in plain characters.
fn repository_path(path: &str) -> Option<String> {
    let segments = path.strip_prefix('/')?.split('/').map(|segment| {
        let segment = percent_decode_str(segment).decode_utf8().ok()?;
        // An encoded slash would make two segments of one.
        (!segment.contains('/')).then_some(segment)
    });
    let path = segments.collect::<Option<Vec<_>>>()?.join("/");
    (path.contains('/') && FullPath::parse(&path).is_some()).then_some(path)
}

/// Splits a path at the last `.git` that is followed by something we serve.
fn split(path: &str) -> Option<(&str, &str, &'static str)> {
    for (at, _) in path.rmatch_indices(".git/") {
        let rest = &path[at + 4..];
        if LFS_BEGINNINGS.iter().any(|beginning| rest.starts_with(beginning)) {
            return Some((&path[..at], rest, LFS_PREFIX));
        }
        let known = SUFFIXES.contains(&rest) || DUMB_SUFFIXES.iter().any(|dumb| rest.starts_with(dumb));
        if known {
            return Some((&path[..at], rest, GIT_PREFIX));
        }
    }
    // Without `.git` only the first request of a fetch or push is known, and answered by a redirect.
    let rest = "/info/refs";
    let project = path.strip_suffix(rest)?;
    Some((project, rest, GIT_REDIRECT_PREFIX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folded(path: &str) -> Option<String> {
        fold(&path.parse().ok()?).map(|uri| uri.to_string())
    }

    #[test]
    fn a_repository_of_any_depth_is_one_segment() {
        for (path, expected) in [
            (
                "/g/app.git/info/refs?service=git-upload-pack",
                "/-/git/g%2Fapp/info/refs?service=git-upload-pack",
            ),
            ("/a/b/c/app.git/git-receive-pack", "/-/git/a%2Fb%2Fc%2Fapp/git-receive-pack"),
            ("/g/proj.git-thing.git/git-upload-pack", "/-/git/g%2Fproj.git-thing/git-upload-pack"),
            ("/g/app/info/refs", "/-/git-redirect/g%2Fapp/info/refs"),
            ("/g/app.git/HEAD", "/-/git/g%2Fapp/HEAD"),
            ("/g/app.git/info/lfs/objects/batch", "/-/lfs/g%2Fapp/info/lfs/objects/batch"),
            ("/g/app.git/gitlab-lfs/objects/0f", "/-/lfs/g%2Fapp/gitlab-lfs/objects/0f"),
        ] {
            assert_eq!(folded(path).as_deref(), Some(expected));
        }
    }

    #[test]
    fn an_upload_is_found_below_a_project_of_any_depth() {
        let secret = "0123456789abcdef0123456789abcdef";
        for (path, expected) in [
            (
                format!("/g/app/uploads/{secret}/a.png?x=1"),
                format!("/-/project/g%2Fapp/uploads/{secret}/a.png?x=1"),
            ),
            (
                format!("/g/s/uploads/uploads/{secret}/%C3%BC"),
                format!("/-/project/g%2Fs%2Fuploads/uploads/{secret}/%C3%BC"),
            ),
        ] {
            assert_eq!(folded(&path), Some(expected));
        }
        for path in [
            format!("/app/uploads/{secret}/a"),
            format!("/g/app/uploads/{secret}/"),
            format!("/g/app/uploads/{secret}"),
            format!("/g/../app/uploads/{secret}/a"),
            format!("/-/project/1/uploads/{secret}/a"),
            format!("/api/v4/projects/1/uploads/{secret}/a"),
            "/g/app/uploads/0123/a".to_owned(),
        ] {
            assert_eq!(folded(&path), None, "{path}");
        }
    }

    #[test]
    fn what_a_release_brings_is_found_below_a_project_of_any_depth() {
        for (path, expected) in [
            ("/g/app/-/releases/v1/downloads/a", "/-/project/g%2Fapp/releases/v1/downloads/a"),
            (
                "/g/s/app/-/releases/v%2F1/downloads/b/a?x=1",
                "/-/project/g%2Fs%2Fapp/releases/v%2F1/downloads/b/a?x=1",
            ),
            ("/g/app/-/releases/v/1/downloads/a", "/-/project/g%2Fapp/releases/v%2F1/downloads/a"),
        ] {
            assert_eq!(folded(path).as_deref(), Some(expected));
        }
        for path in [
            "/app/-/releases/v1/downloads/a",
            "/g/../app/-/releases/v1/downloads/a",
            "/g/app/-/releases/v1/downloads/",
            "/g/app/-/releases/v1",
            "/-/releases/v1/downloads/a",
            "/api/v4/projects/1/-/releases/v1/downloads/a",
        ] {
            assert_eq!(folded(path), None, "{path}");
        }
    }

    #[test]
    fn other_paths_stay() {
        for path in [
            "/",
            "/g/app",
            "/g/app.git",
            "/g/app/info/lfs/objects/batch",
            "/g/app.git/info/lfs",
            "/api/v4/projects/1/info/refs",
            "/-/git/x/info/refs",
            "/.git/config",
        ] {
            assert_eq!(folded(path), None, "{path}");
        }
    }

    #[test]
    fn what_cannot_be_a_repository_is_not_folded() {
        for path in [
            "/../../etc.git/info/refs",
            "/g/../app.git/info/refs",
            "/g/%2e%2e/app.git/info/refs",
            "//g/app.git/info/refs",
            "/g//app.git/info/refs",
            "/g%2Fapp.git/info/refs",
            "/g/a%252fb.git/info/refs",
            "/g/app%00.git/info/refs",
            "/g/app%ff.git/info/refs",
            "/g/a%5Cb.git/info/refs",
            "/g/-app.git/info/refs",
            "/g/app.lock.git/info/refs",
            "/app.git/info/refs",
            "/17.git/info/refs",
        ] {
            assert_eq!(folded(path), None, "{path}");
        }
        let long = format!("/{}app.git/info/refs", "a/".repeat(2040));
        assert_eq!(folded(&long), None);
    }

    #[test]
    fn escapes_are_decoded_once() {
        assert_eq!(folded("/g/%61pp.git/git-upload-pack").as_deref(), Some("/-/git/g%2Fapp/git-upload-pack"));
    }
}
