//! Refusals and errors, in the dialect of each door. Nothing else in the crate chooses a status code for them.

use axum::Json;
use axum::http::header::{CONTENT_TYPE, RANGE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use portcullis_app::Error;
use portcullis_app::access::{Refused, Unauthenticated};
use portcullis_app::registry::ImageError;
use portcullis_app::registry::protocol::{
    Challenge, ErrorCode, ErrorEntry, RouteRefusal, error_body, upload_range,
};
use portcullis_rules::access::{Action, Denial, Feature, On};
use serde_json::{Value, json};

use crate::door::Door;
use crate::pages::PageError;
use crate::rate_limit::TooManyRequests;

/// What went wrong inside the forge. It travels with the response to the front, which logs it once with the request's
/// id; the client gets only that id.
#[derive(Clone, Debug)]
pub struct InternalFailure(pub String);

/// An answer of the REST API that is no success.
#[derive(Debug)]
pub struct ApiError {
    status: StatusCode,
    body: Value,
    retry_after: Option<u64>,
    challenge: Option<&'static str>,
    internal: Option<String>,
}

impl ApiError {
    fn new(status: StatusCode, body: Value) -> ApiError {
        ApiError { status, body, retry_after: None, challenge: None, internal: None }
    }

    /// Returns the status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Returns the answer to parameters that cannot be used.
    pub fn bad_parameters(problems: &str) -> ApiError {
        ApiError::new(StatusCode::BAD_REQUEST, json!({ "error": problems }))
    }

    /// Returns the answer to a body of a kind that is not understood.
    pub fn unsupported_media_type(kind: &str) -> ApiError {
        let kind: String = kind.chars().filter(|character| !character.is_control()).take(100).collect();
        let text =
            format!("The provided content-type '{kind}' is not supported; send application/json or a form.");
        ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, json!({ "error": text }))
    }

    /// Returns the answer to a body that is too large.
    pub fn too_large(limit: usize) -> ApiError {
        let text = format!("The request body is larger than {limit} bytes.");
        ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, json!({ "error": text }))
    }

    /// Returns a plain message with its status in front, as GitLab writes its stock answers.
    pub fn message(status: StatusCode, text: &str) -> ApiError {
        ApiError::new(status, json!({ "message": format!("{} {text}", status.as_u16()) }))
    }

    /// Returns the answer to a list that cannot be gone through by what stands last on each page in the order asked for.
    pub fn no_keyset() -> ApiError {
        let text = "Keyset pagination is not yet available for this type of request";
        ApiError::new(StatusCode::METHOD_NOT_ALLOWED, json!({ "error": text }))
    }

    /// Returns the answer to a path that is none.
    pub fn no_such_route() -> ApiError {
        ApiError::new(StatusCode::NOT_FOUND, json!({ "error": "404 Not Found" }))
    }

    /// Returns a message in a list, as GitLab writes why two branches cannot be merged.
    pub fn listed(status: StatusCode, text: &str) -> ApiError {
        ApiError::new(status, json!({ "message": [text] }))
    }

    /// Returns the answer to something that is not there.
    pub fn not_found(what: &str) -> ApiError {
        ApiError::message(StatusCode::NOT_FOUND, &format!("{what} Not Found"))
    }

    fn unauthorized() -> ApiError {
        ApiError::message(StatusCode::UNAUTHORIZED, "Unauthorized")
    }

    fn forbidden() -> ApiError {
        ApiError::message(StatusCode::FORBIDDEN, "Forbidden")
    }

    fn insufficient_scope(scopes: &str) -> ApiError {
        ApiError::new(
            StatusCode::FORBIDDEN,
            json!({
                "error": "insufficient_scope",
                "error_description": "The request requires higher privileges than provided by the access token.",
                "scope": scopes,
            }),
        )
    }

    fn invalid_token(description: &str, challenge: &'static str) -> ApiError {
        let body = json!({ "error": "invalid_token", "error_description": description });
        ApiError { challenge: Some(challenge), ..ApiError::new(StatusCode::UNAUTHORIZED, body) }
    }

    fn internal(problem: String) -> ApiError {
        let body = json!({ "message": "500 Internal Server Error" });
        ApiError { internal: Some(problem), ..ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, body) }
    }

    /// Returns the answer to picking a commit that a branch cannot take; `code` says why for programs.
    pub fn cannot_pick(text: &str, code: &str) -> ApiError {
        ApiError::new(StatusCode::BAD_REQUEST, json!({ "message": text, "error_code": code }))
    }

    /// Returns the answer when too much is going on; the same may succeed after some seconds.
    pub fn overloaded(seconds: u64) -> ApiError {
        let body = json!({ "message": "503 Service Unavailable" });
        ApiError { retry_after: Some(seconds), ..ApiError::new(StatusCode::SERVICE_UNAVAILABLE, body) }
    }

    fn throttled(seconds: u64) -> ApiError {
        let error = ApiError::new(StatusCode::TOO_MANY_REQUESTS, Value::String("Retry later\n".to_owned()));
        ApiError { retry_after: Some(seconds), ..error }
    }

    /// Returns the answer to a refusal of the rules.
    pub fn refused(refused: &Refused) -> ApiError {
        let bot = refused.viewer.identity().is_some_and(|identity| identity.bot);
        match (refused.action, refused.denial) {
            (_, Denial::SignInFirst) => ApiError::unauthorized(),
            (_, Denial::MissingScope(scopes)) => ApiError::insufficient_scope(&scopes.to_text()),
            (action, Denial::NotVisible) => match action.on() {
                On::Project => ApiError::not_found("Project"),
                On::Group => ApiError::not_found("Group"),
                On::Namespace => ApiError::not_found("Namespace"),
                On::Instance => ApiError::message(StatusCode::NOT_FOUND, "Not Found"),
            },
            // The token endpoints answer as GitLab's do, where a missing permission is not a 403.
            (
                Action::ListAccessTokens
                | Action::RotateAccessToken
                | Action::ListGroupAccessTokens
                | Action::RotateGroupAccessToken,
                _,
            ) => ApiError::unauthorized(),
            // So does merging, where clients look for exactly this.
            (Action::MergeMergeRequest, Denial::RoleTooLow(_)) => ApiError::unauthorized(),
            (Action::RotateOwnAccessToken | Action::RotateOwnGroupAccessToken, _) if bot => {
                ApiError::unauthorized()
            }
            (Action::RotateOwnAccessToken | Action::RotateOwnGroupAccessToken, _) => {
                ApiError::not_available()
            }
            (_, Denial::Archived) => {
                ApiError::message(StatusCode::FORBIDDEN, "Forbidden - The project is archived")
            }
            (_, Denial::FeatureOff(Feature::Issues)) => {
                ApiError::message(StatusCode::FORBIDDEN, "Forbidden - Issues are disabled in this project")
            }
            (_, Denial::FeatureOff(Feature::ContainerRegistry)) => ApiError::message(
                StatusCode::FORBIDDEN,
                "Forbidden - The container registry is disabled in this project",
            ),
            (_, Denial::FeatureOff(Feature::MergeRequests)) => ApiError::message(
                StatusCode::FORBIDDEN,
                "Forbidden - Merge requests are disabled in this project",
            ),
            (_, Denial::FeatureOff(Feature::Packages)) => {
                ApiError::message(StatusCode::FORBIDDEN, "Forbidden - Packages are disabled in this project")
            }
            (_, Denial::InsidersOnly) => {
                ApiError::message(StatusCode::FORBIDDEN, "Forbidden - External users may not do this")
            }
            _ => ApiError::forbidden(),
        }
    }

    fn bad_request(reason: &str) -> ApiError {
        ApiError::message(StatusCode::BAD_REQUEST, &format!("Bad request - {reason}"))
    }

    fn not_available() -> ApiError {
        ApiError::message(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed")
    }

    /// Returns the answer to a credential that was not accepted.
    pub fn unauthenticated(why: Unauthenticated) -> ApiError {
        match why {
            Unauthenticated::Unknown => ApiError::unauthorized(),
            Unauthenticated::Expired => ApiError::invalid_token(
                "Token is expired. You can either do re-authorization or token refresh.",
                "Bearer realm=\"Portcullis\", error=\"invalid_token\", error_description=\"Token is expired. You can either do re-authorization or token refresh.\"",
            ),
            Unauthenticated::Revoked => ApiError::invalid_token(
                "Token was revoked. You have to re-authorize from the user.",
                "Bearer realm=\"Portcullis\", error=\"invalid_token\", error_description=\"Token was revoked. You have to re-authorize from the user.\"",
            ),
            Unauthenticated::Blocked => {
                ApiError::message(StatusCode::FORBIDDEN, "Forbidden - Your account has been blocked.")
            }
            Unauthenticated::Throttled(seconds) => ApiError::throttled(seconds),
            Unauthenticated::Internal(error) => error.into(),
        }
    }
}

impl From<Error> for ApiError {
    fn from(error: Error) -> ApiError {
        match error {
            Error::Refused(Denial::SignInFirst) | Error::Unauthorized => ApiError::unauthorized(),
            Error::Refused(Denial::MissingScope(scopes)) => ApiError::insufficient_scope(&scopes.to_text()),
            Error::Refused(Denial::NotVisible) => ApiError::message(StatusCode::NOT_FOUND, "Not Found"),
            Error::Refused(Denial::Archived) => {
                ApiError::message(StatusCode::FORBIDDEN, "Forbidden - The project is archived")
            }
            Error::Refused(_) => ApiError::forbidden(),
            Error::NotFound(what) => ApiError::not_found(what),
            Error::Invalid(fields) => {
                let mut message = serde_json::Map::new();
                for (field, problem) in fields {
                    match message.entry(field).or_insert_with(|| json!([])) {
                        Value::Array(problems) => problems.push(json!(problem)),
                        other => *other = json!([problem]),
                    }
                }
                ApiError::new(StatusCode::BAD_REQUEST, json!({ "message": message }))
            }
            Error::BadRequest(reason) => ApiError::bad_request(&reason),
            Error::Conflict(reason) => ApiError::new(StatusCode::CONFLICT, json!({ "message": reason })),
            Error::Unprocessable(reason) => {
                ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, json!({ "message": reason }))
            }
            Error::Inapplicable(reason) => {
                ApiError::new(StatusCode::BAD_REQUEST, json!({ "message": reason }))
            }
            Error::TooSoon(reason) => ApiError::new(StatusCode::BAD_REQUEST, json!({ "message": reason })),
            Error::Forbidden(reason) => {
                ApiError::message(StatusCode::FORBIDDEN, &format!("Forbidden - {reason}"))
            }
            Error::NotAvailable => ApiError::not_available(),
            Error::RequestTooLarge => ApiError::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                json!({ "error": "The request body is too large." }),
            ),
            Error::Overloaded(seconds) => ApiError::overloaded(seconds),
            Error::Internal(source) => ApiError::internal(chain(&*source)),
        }
    }
}

/// Returns an error with all its causes, for the log.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = match self.body {
            // Only the answer to too many requests is plain text, which clients look for.
            Value::String(text) => (self.status, text).into_response(),
            body => (self.status, Json(body)).into_response(),
        };
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(challenge) = self.challenge {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        if let Some(problem) = self.internal {
            response.extensions_mut().insert(InternalFailure(problem));
        }
        response
    }
}

/// An answer to a Git client that is no success: always plain text, which Git shows to the person.
#[derive(Debug)]
pub struct GitError {
    status: StatusCode,
    text: String,
    realm: Option<String>,
    retry_after: Option<u64>,
    internal: Option<String>,
}

/// The one answer to every credential that is missing, wrong, expired, revoked or foreign, so that it tells nothing.
pub const GIT_ACCESS_DENIED: &str = "HTTP Basic: Access denied. If a password was given, it was wrong or may not be used here.\n\
If a token was given, it was incorrect, expired or lacks the scope for this.\n";

/// The one answer for a project that does not exist and for one that the caller may not see.
pub const GIT_NOT_FOUND: &str =
    "The project you were looking for could not be found or you don't have permission to view it.\n";

impl GitError {
    /// Returns an answer with this text.
    pub fn new(status: StatusCode, text: impl Into<String>) -> GitError {
        GitError { status, text: text.into(), realm: None, retry_after: None, internal: None }
    }

    /// Returns the challenge that makes Git ask for a credential.
    pub fn challenge(realm: &str) -> GitError {
        GitError {
            realm: Some(realm.to_owned()),
            ..GitError::new(StatusCode::UNAUTHORIZED, GIT_ACCESS_DENIED)
        }
    }

    /// Returns the answer to a refusal of the rules.
    pub fn refused(refused: &Refused, realm: &str) -> GitError {
        let pushing = refused.action == Action::PushCode;
        let forbidden = |text: &str| GitError::new(StatusCode::FORBIDDEN, format!("{text}\n"));
        match refused.denial {
            Denial::SignInFirst => GitError::challenge(realm),
            // Somebody without a credential is asked for one, whether there is anything or not.
            Denial::NotVisible if refused.viewer.identity().is_none() => GitError::challenge(realm),
            Denial::NotVisible => GitError::new(StatusCode::NOT_FOUND, GIT_NOT_FOUND),
            Denial::MissingScope(_) if pushing => forbidden("You are not allowed to upload code."),
            Denial::MissingScope(_) => forbidden("You are not allowed to download code."),
            Denial::Archived => forbidden("You can't push code to an archived project."),
            _ if pushing => forbidden("You are not allowed to push code to this project."),
            _ => forbidden("You are not allowed to download code from this project."),
        }
    }

    /// Returns the answer to a credential that was not accepted.
    pub fn unauthenticated(why: Unauthenticated, realm: &str) -> GitError {
        match why {
            Unauthenticated::Throttled(seconds) => GitError {
                retry_after: Some(seconds),
                ..GitError::new(StatusCode::TOO_MANY_REQUESTS, "Too many failed log-ins. Retry later.\n")
            },
            Unauthenticated::Internal(error) => error.into(),
            _ => GitError::challenge(realm),
        }
    }
}

impl From<Error> for GitError {
    fn from(error: Error) -> GitError {
        match error {
            Error::NotFound("Repository") => {
                GitError::new(StatusCode::NOT_FOUND, "A repository for this project does not exist yet.\n")
            }
            Error::NotFound(_) | Error::Refused(_) => GitError::new(StatusCode::NOT_FOUND, GIT_NOT_FOUND),
            Error::BadRequest(text) => GitError::new(StatusCode::BAD_REQUEST, format!("{text}\n")),
            Error::RequestTooLarge => {
                GitError::new(StatusCode::PAYLOAD_TOO_LARGE, "The request body is too large.\n")
            }
            Error::Overloaded(seconds) => GitError {
                retry_after: Some(seconds),
                ..GitError::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "The server is busy. Please try again later.\n",
                )
            },
            Error::Internal(source) => GitError {
                internal: Some(chain(&*source)),
                ..GitError::new(StatusCode::INTERNAL_SERVER_ERROR, "Something went wrong on the server.\n")
            },
            other => GitError::new(StatusCode::BAD_REQUEST, format!("{other}\n")),
        }
    }
}

impl IntoResponse for GitError {
    fn into_response(self) -> Response {
        let kind = HeaderValue::from_static("text/plain; charset=utf-8");
        let mut response = (self.status, [(CONTENT_TYPE, kind)], self.text).into_response();
        let headers = response.headers_mut();
        let challenge = self.realm.map(|realm| format!("Basic realm=\"{}\"", header_text(&realm)));
        if let Some(value) = challenge.and_then(|text| HeaderValue::from_str(&text).ok()) {
            headers.insert(WWW_AUTHENTICATE, value);
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(problem) = self.internal {
            response.extensions_mut().insert(InternalFailure(problem));
        }
        response
    }
}

/// An answer about large files that is no success: one message in JSON, which `git lfs` shows to the person.
#[derive(Debug)]
pub struct LfsError {
    status: StatusCode,
    message: String,
    realm: Option<String>,
    retry_after: Option<u64>,
    internal: Option<String>,
}

/// The one answer for a project that does not exist, for one that the caller may not read, and for one without large files.
pub const LFS_NOT_FOUND: &str = "Not found.";

/// What somebody is told who may read large files and not write them.
pub const LFS_FORBIDDEN: &str = "Access forbidden. Check your access level.";

/// The realm of the header that is of Git LFS alone.
const LFS_REALM: HeaderValue = HeaderValue::from_static("Basic realm=\"Git LFS\"");

const LFS_AUTHENTICATE: HeaderName = HeaderName::from_static("lfs-authenticate");

/// What this protocol's messages are written in.
pub const LFS_JSON: HeaderValue = HeaderValue::from_static("application/vnd.git-lfs+json");

impl LfsError {
    /// Returns an answer with this message.
    pub fn new(status: StatusCode, message: impl Into<String>) -> LfsError {
        LfsError { status, message: message.into(), realm: None, retry_after: None, internal: None }
    }

    /// Returns the answer where large files are switched off for the whole instance.
    pub fn switched_off() -> LfsError {
        let text = "Git LFS is not enabled on this server, contact your administrator.";
        LfsError::new(StatusCode::NOT_IMPLEMENTED, text)
    }

    /// Returns the answer for what is not there.
    pub fn not_found() -> LfsError {
        LfsError::new(StatusCode::NOT_FOUND, LFS_NOT_FOUND)
    }

    /// Returns the challenge that makes `git lfs` ask for a credential.
    pub fn challenge(realm: &str) -> LfsError {
        let text = GIT_ACCESS_DENIED.replace('\n', " ");
        LfsError { realm: Some(realm.to_owned()), ..LfsError::new(StatusCode::UNAUTHORIZED, text.trim()) }
    }

    /// Returns the answer to a refusal of the rules.
    pub fn refused(refused: &Refused, realm: &str) -> LfsError {
        let anonymous = refused.viewer.identity().is_none();
        match refused.denial {
            // Somebody without a credential is asked for one, whether there is anything or not.
            Denial::NotVisible if anonymous => LfsError::challenge(realm),
            denial => LfsError::denied(denial, refused.action, realm),
        }
    }

    fn denied(denial: Denial, action: Action, realm: &str) -> LfsError {
        let forbidden = |text: String| LfsError::new(StatusCode::FORBIDDEN, text);
        match denial {
            Denial::SignInFirst => LfsError::challenge(realm),
            Denial::MissingScope(scopes) => forbidden(format!(
                "The token may not do this: it needs one of the scopes {}.",
                scopes.names().collect::<Vec<_>>().join(", ")
            )),
            Denial::Archived => forbidden("You can't push code to an archived project.".to_owned()),
            Denial::RoleTooLow(_) if action != Action::DownloadCode => forbidden(LFS_FORBIDDEN.to_owned()),
            _ => LfsError::not_found(),
        }
    }

    /// Returns the answer to a credential that was not accepted.
    pub fn unauthenticated(why: Unauthenticated, realm: &str) -> LfsError {
        match why {
            Unauthenticated::Throttled(seconds) => LfsError {
                retry_after: Some(seconds),
                ..LfsError::new(StatusCode::TOO_MANY_REQUESTS, "Too many failed log-ins. Retry later.")
            },
            Unauthenticated::Internal(error) => LfsError::of(error, realm),
            _ => LfsError::challenge(realm),
        }
    }

    /// Returns the answer to an error of a use case that writes.
    pub fn of(error: Error, realm: &str) -> LfsError {
        match error {
            Error::Unauthorized => LfsError::challenge(realm),
            Error::Refused(denial) => LfsError::denied(denial, Action::PushCode, realm),
            Error::NotFound(_) => LfsError::not_found(),
            Error::BadRequest(text) => LfsError::new(StatusCode::BAD_REQUEST, text),
            Error::Forbidden(text) => LfsError::new(StatusCode::FORBIDDEN, text),
            Error::Conflict(text) => LfsError::new(StatusCode::CONFLICT, text),
            Error::RequestTooLarge => {
                LfsError::new(StatusCode::PAYLOAD_TOO_LARGE, "The object is larger than this server stores.")
            }
            Error::Overloaded(seconds) => LfsError {
                retry_after: Some(seconds),
                ..LfsError::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "The server is busy. Please try again later.",
                )
            },
            Error::Internal(source) => LfsError {
                internal: Some(chain(&*source)),
                ..LfsError::new(StatusCode::INTERNAL_SERVER_ERROR, "Something went wrong on the server.")
            },
            other => LfsError::new(StatusCode::UNPROCESSABLE_ENTITY, other.to_string()),
        }
    }
}

impl IntoResponse for LfsError {
    fn into_response(self) -> Response {
        let body = json!({ "message": self.message }).to_string();
        let mut response = (self.status, [(CONTENT_TYPE, LFS_JSON)], body).into_response();
        let headers = response.headers_mut();
        if let Some(realm) = self.realm {
            headers.insert(LFS_AUTHENTICATE, LFS_REALM);
            let challenge = format!("Basic realm=\"{}\"", header_text(&realm));
            headers.extend(HeaderValue::from_str(&challenge).ok().map(|value| (WWW_AUTHENTICATE, value)));
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(problem) = self.internal {
            response.extensions_mut().insert(InternalFailure(problem));
        }
        response
    }
}

/// An answer of the registry that is no success: a list of errors in JSON, as its protocol has it.
#[derive(Debug)]
pub struct RegistryError {
    status: StatusCode,
    /// `None` where the protocol has no code for it: then the body is plain text.
    entries: Option<Vec<ErrorEntry>>,
    challenge: Option<String>,
    retry_after: Option<u64>,
    upload_range: Option<String>,
    internal: Option<String>,
}

impl RegistryError {
    fn entries(entries: Vec<ErrorEntry>) -> RegistryError {
        let status = entries.first().and_then(|first| StatusCode::from_u16(first.code.status()).ok());
        RegistryError {
            status: status.unwrap_or(StatusCode::BAD_REQUEST),
            entries: Some(entries),
            challenge: None,
            retry_after: None,
            upload_range: None,
            internal: None,
        }
    }

    /// Returns the answer with one code, in the words that are usual for it.
    pub fn code(code: ErrorCode) -> RegistryError {
        RegistryError::entries(vec![code.into()])
    }

    /// Returns the answer with one code, in words of its own.
    pub fn said(code: ErrorCode, message: impl Into<String>) -> RegistryError {
        RegistryError::entries(vec![ErrorEntry::new(code, message.into())])
    }

    /// Returns the same answer with another status.
    pub fn with_status(self, status: StatusCode) -> RegistryError {
        RegistryError { status, ..self }
    }

    /// Returns the answer to a path that stands for nothing.
    pub fn no_such_route(refusal: RouteRefusal) -> RegistryError {
        RegistryError::said(refusal.code(), refusal.to_string())
    }

    /// Returns the answer that says where to get a bearer, and for what.
    pub fn challenge(challenge: &Challenge<'_>) -> RegistryError {
        let entry = ErrorEntry::from(ErrorCode::Unauthorized).with_detail(challenge.detail());
        RegistryError { challenge: Some(challenge.header_value()), ..RegistryError::entries(vec![entry]) }
    }

    /// Returns the answer of the token endpoint to a credential that permits nothing here.
    pub fn forbidden() -> RegistryError {
        RegistryError::code(ErrorCode::Denied)
    }

    /// Returns the answer of the token endpoint to a credential that was not accepted.
    pub fn unauthenticated(why: Unauthenticated, realm: &str) -> RegistryError {
        match why {
            Unauthenticated::Throttled(seconds) => RegistryError {
                retry_after: Some(seconds),
                ..RegistryError::said(ErrorCode::TooManyRequests, "too many failed log-ins; retry later")
            },
            Unauthenticated::Internal(error) => ImageError::Forge(error).into(),
            _ => RegistryError {
                challenge: Some(format!("Basic realm=\"{}\"", header_text(realm))),
                ..RegistryError::said(ErrorCode::Unauthorized, GIT_ACCESS_DENIED.replace('\n', " ").trim())
            },
        }
    }

    fn unavailable(retry_after: u64, why: Option<String>) -> RegistryError {
        RegistryError {
            status: StatusCode::SERVICE_UNAVAILABLE,
            entries: None,
            retry_after: Some(retry_after),
            internal: why,
            ..RegistryError::entries(Vec::new())
        }
    }
}

/// After how many seconds a client that has too many uploads open may look again whether one has ended.
const RETRY_UPLOADS_AFTER: u64 = 60;

impl From<ImageError> for RegistryError {
    fn from(error: ImageError) -> RegistryError {
        match error {
            ImageError::Protocol(entries) => {
                let busy = entries.first().is_some_and(|entry| entry.code == ErrorCode::TooManyRequests);
                RegistryError {
                    retry_after: busy.then_some(RETRY_UPLOADS_AFTER),
                    ..RegistryError::entries(entries)
                }
            }
            ImageError::Piece { refusal, size } => RegistryError {
                upload_range: Some(upload_range(size)),
                ..RegistryError::said(refusal.code(), refusal.to_string())
                    .with_status(StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::BAD_REQUEST))
            },
            ImageError::TooLarge { what, limit } => {
                let text = format!("{what} is larger than {limit} bytes");
                RegistryError::said(ErrorCode::SizeInvalid, text).with_status(StatusCode::PAYLOAD_TOO_LARGE)
            }
            ImageError::TooManyTags(limit) => {
                let text = format!("one request may name {limit} tags at most");
                RegistryError::said(ErrorCode::Unsupported, text).with_status(StatusCode::URI_TOO_LONG)
            }
            ImageError::SwitchedOff => RegistryError::code(ErrorCode::Unavailable),
            ImageError::Unavailable { retry_after, why } => {
                RegistryError::unavailable(retry_after, Some(why))
            }
            ImageError::Forge(Error::Refused(Denial::Archived)) => {
                RegistryError::said(ErrorCode::Denied, "the project is archived")
            }
            ImageError::Forge(Error::Refused(_) | Error::NotFound(_)) => {
                RegistryError::code(ErrorCode::NameUnknown)
            }
            ImageError::Forge(Error::Unauthorized) => RegistryError::code(ErrorCode::Unauthorized),
            ImageError::Forge(Error::Overloaded(seconds)) => RegistryError::unavailable(seconds, None),
            ImageError::Forge(Error::BadRequest(text)) => {
                RegistryError::said(ErrorCode::Unsupported, text).with_status(StatusCode::BAD_REQUEST)
            }
            ImageError::Forge(error) => RegistryError {
                status: StatusCode::INTERNAL_SERVER_ERROR,
                entries: None,
                internal: Some(chain(&error)),
                ..RegistryError::entries(Vec::new())
            },
        }
    }
}

impl IntoResponse for RegistryError {
    fn into_response(self) -> Response {
        let mut response = match self.entries {
            Some(entries) => {
                let kind = HeaderValue::from_static("application/json");
                (self.status, [(CONTENT_TYPE, kind)], error_body(&entries)).into_response()
            }
            None if self.status == StatusCode::SERVICE_UNAVAILABLE => {
                (self.status, "The registry is not available for now. Please try again later.\n")
                    .into_response()
            }
            None => (self.status, "Something went wrong on the server.\n").into_response(),
        };
        let headers = response.headers_mut();
        if let Some(value) = self.challenge.and_then(|text| HeaderValue::from_str(&text).ok()) {
            headers.insert(WWW_AUTHENTICATE, value);
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(value) = self.upload_range.and_then(|text| HeaderValue::from_str(&text).ok()) {
            headers.insert(RANGE, value);
        }
        if let Some(problem) = self.internal {
            response.extensions_mut().insert(InternalFailure(problem));
        }
        response
    }
}

/// Returns a text as it may stand between quotes in a header.
fn header_text(text: &str) -> String {
    text.chars().filter(|character| !matches!(character, '"' | '\\') && !character.is_control()).collect()
}

/// What a guard answers when it does not let a request in.
#[derive(Debug)]
pub enum Refusal {
    /// In the API's dialect.
    Api(ApiError),
    /// In Git's dialect.
    Git(GitError),
    /// In the dialect of Git LFS.
    Lfs(LfsError),
    /// In the registry's dialect.
    Registry(RegistryError),
    /// In the words of a page.
    Page(PageError),
    /// Too many requests, which is said without a dialect.
    TooMany(TooManyRequests),
}

impl Refusal {
    /// Returns a refusal of the rules in the door's dialect.
    pub fn refused(door: Door, refused: &Refused, realm: &str) -> Refusal {
        match door {
            Door::Git => Refusal::Git(GitError::refused(refused, realm)),
            Door::Lfs => Refusal::Lfs(LfsError::refused(refused, realm)),
            Door::Registry => Refusal::Registry(RegistryError::forbidden()),
            Door::Pages => Refusal::Page(PageError::refused(refused)),
            Door::Api | Door::Files | Door::Operations => Refusal::Api(ApiError::refused(refused)),
        }
    }

    /// Returns a credential's refusal in the door's dialect.
    pub fn unauthenticated(door: Door, why: Unauthenticated, realm: &str) -> Refusal {
        match door {
            Door::Git => Refusal::Git(GitError::unauthenticated(why, realm)),
            Door::Lfs => Refusal::Lfs(LfsError::unauthenticated(why, realm)),
            Door::Registry => Refusal::Registry(RegistryError::unauthenticated(why, realm)),
            // A session that is good no longer is none.
            Door::Pages => Refusal::Page(PageError::SignIn),
            Door::Api | Door::Files | Door::Operations => Refusal::Api(ApiError::unauthenticated(why)),
        }
    }

    /// Returns an error in the door's dialect.
    pub fn error(door: Door, error: Error) -> Refusal {
        match door {
            Door::Git => Refusal::Git(error.into()),
            Door::Lfs => Refusal::Lfs(LfsError::of(error, "Git LFS")),
            Door::Registry => Refusal::Registry(ImageError::Forge(error).into()),
            Door::Pages => Refusal::Page(error.into()),
            Door::Api | Door::Files | Door::Operations => Refusal::Api(error.into()),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Refusal::Api(error) => error.into_response(),
            Refusal::Git(error) => error.into_response(),
            Refusal::Lfs(error) => error.into_response(),
            Refusal::Registry(error) => error.into_response(),
            Refusal::Page(error) => error.into_response(),
            Refusal::TooMany(error) => error.into_response(),
        }
    }
}
