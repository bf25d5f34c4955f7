//! Files as they are sent: whole or a range of them, to be saved and never to be run.

use axum::body::Body;
use axum::http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE,
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, IF_RANGE, RANGE,
};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::IntoResponse;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use portcullis_app::access::Authorized;
use portcullis_app::contents::{self, StoredFile};
use portcullis_app::registry::protocol::Download;
use portcullis_rules::access::{Act, on};

use crate::AppState;
use crate::api::ApiResult;
use crate::error::ApiError;
use crate::registry::{header, put};

/// What a file that was opened in a browser may do: nothing.
const POLICY: &str = "default-src 'none'; sandbox; frame-ancestors 'none'";

/// What stands in an address and in an extended parameter of a header as it is (RFC 3986, section 2.3; RFC 8187).
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// How a browser treats a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    /// It shows it in place, as this kind of content.
    Inline(&'static str),
    /// It saves it.
    AsAttachment,
}

/// Answers a file, or what the request asks for of it.
///
/// # Errors
/// When the content is not there as it was stored.
pub(crate) async fn file<A: Act<On = on::Project>>(
    state: &AppState,
    access: &Authorized<A>,
    parts: &Parts,
    file: &StoredFile,
    shown: Shown,
) -> ApiResult {
    let (size, sha256) = (file.size(), file.sha256());
    let tag = format!("\"{sha256}\"");
    let mut headers = HeaderMap::new();
    put(&mut headers, ETAG, &tag);
    // It may be kept, and is asked about each time: who was shown it once may have lost the right.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    put(&mut headers, CONTENT_DISPOSITION, &disposition(file.name(), shown));
    if is_held(&parts.headers, &sha256) {
        return Ok((StatusCode::NOT_MODIFIED, headers).into_response());
    }
    // A range of what the client has the beginning of is a range of this very content, or nothing.
    let range = header(&parts.headers, &RANGE)
        .filter(|_| header(&parts.headers, &IF_RANGE).is_none_or(|held| held.trim() == tag));
    let download = Download::of(range, size);
    if let Some(range) = download.content_range(size) {
        put(&mut headers, CONTENT_RANGE, &range);
    }
    let (status, range) = match download {
        Download::Whole => (StatusCode::OK, 0..size),
        Download::Part(range) => (StatusCode::PARTIAL_CONTENT, range),
        Download::Unsatisfiable => {
            let refused = ApiError::message(StatusCode::RANGE_NOT_SATISFIABLE, "Range Not Satisfiable");
            let mut response = refused.into_response();
            response.headers_mut().extend(headers.remove(CONTENT_RANGE).map(|range| (CONTENT_RANGE, range)));
            return Ok(response);
        }
    };
    let kind = match shown {
        Shown::Inline(kind) => kind,
        Shown::AsAttachment => "application/octet-stream",
    };
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(range.end - range.start));
    let body = if parts.method == Method::HEAD {
        Body::empty()
    } else {
        Body::from_stream(contents::read(&state.forge, access, file, range).await?)
    };
    Ok((status, headers, body).into_response())
}

/// Returns whether the client has this content already.
fn is_held(headers: &HeaderMap, sha256: &str) -> bool {
    let Some(held) = header(headers, &IF_NONE_MATCH) else { return false };
    held.split(',').map(str::trim).any(|tag| {
        let tag = tag.strip_prefix("W/").unwrap_or(tag);
        tag == "*" || tag.trim_matches('"') == sha256
    })
}

/// Returns the value of `Content-Disposition` (RFC 6266): a name in ASCII, and the whole one where that is another.
fn disposition(name: &str, shown: Shown) -> String {
    let word = if matches!(shown, Shown::Inline(_)) { "inline" } else { "attachment" };
    let name = name.rsplit('/').next().unwrap_or_default();
    let plain = |character: char| {
        let fits = character.is_ascii_graphic() && !matches!(character, '"' | '\\' | '%');
        if fits { character } else { '_' }
    };
    let ascii: String = name.chars().map(plain).collect();
    if ascii == name {
        return format!("{word}; filename=\"{ascii}\"");
    }
    format!("{word}; filename=\"{ascii}\"; filename*=UTF-8''{}", encoded(name))
}

/// Returns a text as it stands in one segment of an address.
pub(crate) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_in_a_header_is_nothing_but_a_name() {
        for (name, value) in [
            ("a.tgz", "attachment; filename=\"a.tgz\""),
            ("linux/amd64/a", "attachment; filename=\"a\""),
            ("ü.txt", "attachment; filename=\"_.txt\"; filename*=UTF-8''%C3%BC.txt"),
            ("a\"\r\nb", "attachment; filename=\"a___b\"; filename*=UTF-8''a%22%0D%0Ab"),
        ] {
            assert_eq!(disposition(name, Shown::AsAttachment), value);
        }
        assert_eq!(disposition("a.png", Shown::Inline("image/png")), "inline; filename=\"a.png\"");
    }
}
