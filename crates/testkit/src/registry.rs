//! A small client of the registry that does what Docker does: it sends a request, and when it is answered with a
//! challenge it fetches a bearer from where that points and tries again.
//!
//! Everything can also be done by hand: a request exactly as it is, with exactly this bearer. The digests are computed
//! here and not by what is under test.

use std::collections::HashMap;
use std::sync::Arc;

use aws_lc_rs::{digest, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parking_lot::Mutex;
use serde_json::{Value, json};
use ureq::http::{HeaderMap, Method, Request};
use ureq::{AsSendBody, SendBody};

use crate::{Project, TestForge, basic};

pub const OCI_IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub const DOCKER_IMAGE: &str = "application/vnd.docker.distribution.manifest.v2+json";
pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
pub const OCI_EMPTY: &str = "application/vnd.oci.empty.v1+json";

/// The name that the registry has at the token endpoint.
pub const SERVICE: &str = "container_registry";

/// What came back, with the body as it came.
#[derive(Clone)]
pub struct RegistryAnswer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl std::fmt::Debug for RegistryAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = &self.body[..self.body.len().min(500)];
        write!(f, "{} {:?} {}", self.status, self.headers, String::from_utf8_lossy(shown))
    }
}

impl RegistryAnswer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Returns the body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON in {self:?}"))
    }

    /// Expects a status, and returns the answer.
    #[track_caller]
    pub fn expect(self, status: u16) -> RegistryAnswer {
        assert_eq!(self.status, status, "{self:?}");
        self
    }

    /// Expects a refusal in the words of the protocol: a status, and a body whose first error has this code.
    #[track_caller]
    pub fn expect_error(self, status: u16, code: &str) -> RegistryAnswer {
        let answer = self.expect(status);
        let body = answer.json();
        let errors = body["errors"].as_array().unwrap_or_else(|| panic!("no errors in {answer:?}"));
        assert!(!errors.is_empty(), "{answer:?}");
        for error in errors {
            let code = error["code"].as_str().unwrap_or_else(|| panic!("no code in {answer:?}"));
            assert!(code.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_'), "{answer:?}");
        }
        assert_eq!(errors[0]["code"], code, "{answer:?}");
        assert!(
            answer.header("content-type").is_some_and(|kind| kind.starts_with("application/json")),
            "{answer:?}"
        );
        answer
    }

    /// Expects a challenge, and returns it.
    #[track_caller]
    pub fn challenge(&self) -> BearerChallenge {
        assert_eq!(self.status, 401, "{self:?}");
        let header =
            self.header("www-authenticate").unwrap_or_else(|| panic!("a 401 without a challenge: {self:?}"));
        BearerChallenge::parse(header).unwrap_or_else(|| panic!("no Bearer challenge: {header}"))
    }

    /// Returns where to go on, as a path. The answer must have it.
    #[track_caller]
    pub fn location(&self) -> String {
        self.header("location").unwrap_or_else(|| panic!("no Location in {self:?}")).to_owned()
    }
}

/// What a client is told that must get a bearer first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BearerChallenge {
    pub realm: String,
    pub service: String,
    pub scope: Option<String>,
    pub error: Option<String>,
    /// The names of the parameters, in their order.
    pub order: Vec<String>,
}

impl BearerChallenge {
    /// Reads the value of `WWW-Authenticate`. Like some clients, it wants every value in double quotes.
    pub fn parse(header: &str) -> Option<BearerChallenge> {
        let mut rest = header.strip_prefix("Bearer ")?;
        let mut found = HashMap::new();
        let mut order = Vec::new();
        loop {
            let (name, behind) = rest.split_once("=\"")?;
            let (value, behind) = behind.split_once('"')?;
            order.push(name.to_owned());
            found.insert(name.to_owned(), value.to_owned());
            match behind.strip_prefix(',') {
                Some(more) => rest = more.trim_start(),
                None if behind.is_empty() => break,
                None => return None,
            }
        }
        Some(BearerChallenge {
            realm: found.remove("realm")?,
            service: found.remove("service")?,
            scope: found.remove("scope"),
            error: found.remove("error"),
            order,
        })
    }
}

/// What a client has to show.
#[derive(Clone)]
enum Credential {
    Nothing,
    /// The password at the token endpoint.
    Token(String),
    /// A bearer, sent with each request; challenges are not followed.
    Bearer(String),
}

/// How a body is sent.
#[derive(Clone, Copy)]
pub enum Body<'a> {
    /// With its length.
    Bytes(&'a [u8]),
    /// In chunks, so that its length is not known before its end.
    Stream(&'a [u8]),
}

/// A client of the registry. Its clones share the bearers that it got.
#[derive(Clone)]
pub struct RegistryClient {
    pub url: String,
    credential: Credential,
    agent: ureq::Agent,
    bearers: Arc<Mutex<HashMap<(String, &'static str), String>>>,
}

impl TestForge {
    /// Returns a client with this secret as its password.
    pub fn registry(&self, secret: &str) -> RegistryClient {
        RegistryClient::new(&self.url, Some(secret))
    }

    /// Returns a client without a credential.
    pub fn anonymous_registry(&self) -> RegistryClient {
        RegistryClient::new(&self.url, None)
    }

    /// Returns a repository in a private project of its own, as a token sees it that may do everything.
    #[track_caller]
    pub fn image(&self) -> ImageRepository {
        self.image_in(&self.project("private"))
    }

    /// Returns a new repository of a project, as a token sees it that may do everything.
    #[track_caller]
    pub fn image_in(&self, project: &Project<'_>) -> ImageRepository {
        let bot = project.token(&["api"], 40);
        self.registry(&bot.secret).repository(&format!("{}/{}", project.full_path, self.word("img")))
    }

    /// Returns every file of the blob store that holds this content, however its folders are laid out.
    #[track_caller]
    pub fn blob_files(&self, digest: &str) -> Vec<std::path::PathBuf> {
        blob_files(&self.folder().join("data"), digest)
    }
}

/// Returns every file below a data folder that is named by the digest.
pub fn blob_files(data: &std::path::Path, digest: &str) -> Vec<std::path::PathBuf> {
    let (_, hex) = digest.split_once(':').expect("a digest");
    let (mut folders, mut found) = (vec![data.to_owned()], Vec::new());
    while let Some(folder) = folders.pop() {
        // A folder may go while it is looked at.
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push(entry.path());
            } else if entry.file_name() == hex {
                found.push(entry.path());
            }
        }
    }
    found
}

impl RegistryClient {
    pub fn new(url: &str, secret: Option<&str>) -> RegistryClient {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_global(Some(std::time::Duration::from_secs(60)))
            .build();
        let credential = secret.map_or(Credential::Nothing, |secret| Credential::Token(secret.to_owned()));
        RegistryClient { url: url.to_owned(), credential, agent: config.into(), bearers: Arc::default() }
    }

    /// Returns a client that sends this bearer with every request and follows no challenge.
    pub fn with_bearer(&self, bearer: &str) -> RegistryClient {
        RegistryClient {
            credential: Credential::Bearer(bearer.to_owned()),
            bearers: Arc::default(),
            ..self.clone()
        }
    }

    /// Forgets the bearers that it got.
    pub fn forget_bearers(&self) {
        self.bearers.lock().clear();
    }

    /// Returns a repository as this client sees it.
    pub fn repository(&self, name: &str) -> ImageRepository {
        ImageRepository { client: self.clone(), name: name.to_owned() }
    }

    /// Sends a request exactly as it is: the path from the root, these headers, this body.
    #[track_caller]
    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Body<'_>) -> RegistryAnswer {
        self.try_send(method, path, headers, body).unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    /// Sends a request as it is to a server that may be gone, or go while it answers.
    pub fn try_send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Body<'_>,
    ) -> Result<RegistryAnswer, ureq::Error> {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let url = if path.starts_with("http://") { path.to_owned() } else { format!("{}{path}", self.url) };
        let mut request = Request::builder().method(method).uri(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        match body {
            Body::Bytes(bytes) => self.run(request.body(bytes).expect("a request")),
            Body::Stream(bytes) => {
                let reader = SendBody::from_owned_reader(std::io::Cursor::new(bytes.to_vec()));
                self.run(request.body(reader).expect("a request"))
            }
        }
    }

    fn run(&self, request: Request<impl AsSendBody>) -> Result<RegistryAnswer, ureq::Error> {
        // Bodies with DELETE are what some clients send.
        let request = self.agent.configure_request(request).allow_non_standard_methods(true).build();
        let mut answer = self.agent.run(request)?;
        let body = answer.body_mut().with_config().limit(128 << 20).read_to_vec()?;
        Ok(RegistryAnswer { status: answer.status().as_u16(), headers: answer.headers().clone(), body })
    }

    /// Sends a request the way Docker does.
    #[track_caller]
    pub fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Body<'_>) -> RegistryAnswer {
        self.try_ask(method, path, headers, body).unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    /// Sends a request the way Docker does, to a server that may be gone, or go while it answers.
    pub fn try_ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Body<'_>,
    ) -> Result<RegistryAnswer, ureq::Error> {
        let key = (repository_in(path).to_owned(), kind(method));
        let known = match &self.credential {
            Credential::Bearer(bearer) => Some(bearer.clone()),
            _ => self.bearers.lock().get(&key).cloned(),
        };
        let mut answer = self.try_with_bearer(known.as_deref(), method, path, headers, body)?;
        let mut asked_for = None;
        // A second round is for a bearer that turns out to be too narrow. Nobody asks twice for the same.
        for _ in 0..2 {
            let Some(challenge) = answer.header("www-authenticate").and_then(BearerChallenge::parse) else {
                break;
            };
            let is_fixed = matches!(self.credential, Credential::Bearer(_));
            if answer.status != 401 || is_fixed || asked_for.as_ref() == Some(&challenge.scope) {
                break;
            }
            let scopes: Vec<_> = challenge.scope.iter().map(String::as_str).collect();
            let given = self.try_token_at(&challenge.realm, &challenge.service, &scopes)?;
            if given.status != 200 {
                // Docker shows what the token endpoint says. The tests want to see what led there.
                break;
            }
            let bearer = bearer_in(&given);
            self.bearers.lock().insert(key.clone(), bearer.clone());
            answer = self.try_with_bearer(Some(&bearer), method, path, headers, body)?;
            asked_for = Some(challenge.scope);
        }
        Ok(answer)
    }

    fn try_with_bearer(
        &self,
        bearer: Option<&str>,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Body<'_>,
    ) -> Result<RegistryAnswer, ureq::Error> {
        let value = bearer.map(|bearer| format!("Bearer {bearer}"));
        let own = value.iter().map(|value| ("authorization", value.as_str()));
        let headers: Vec<_> = headers.iter().copied().chain(own).collect();
        self.try_send(method, path, &headers, body)
    }

    fn try_token_at(
        &self,
        realm: &str,
        service: &str,
        scopes: &[&str],
    ) -> Result<RegistryAnswer, ureq::Error> {
        let mut query = format!("{realm}?service={}", encode(service));
        for scope in scopes {
            query.push_str(&format!("&scope={}", encode(scope)));
        }
        let authorization = match &self.credential {
            Credential::Token(secret) => Some(basic("docker", secret)),
            _ => None,
        };
        let headers: Vec<_> = authorization.iter().map(|value| ("authorization", value.as_str())).collect();
        self.try_send("GET", &query, &headers, Body::Bytes(b""))
    }

    /// Asks the token endpoint, and returns whatever it says.
    #[track_caller]
    pub fn token_answer(&self, scopes: &[&str]) -> RegistryAnswer {
        let asked = self.try_token_at(&format!("{}/jwt/auth", self.url), SERVICE, scopes);
        asked.unwrap_or_else(|error| panic!("/jwt/auth: {error}"))
    }

    /// Returns a bearer for these scopes, such as `repository:g/p:pull`.
    #[track_caller]
    pub fn bearer(&self, scopes: &[&str]) -> String {
        bearer_in(&self.token_answer(scopes).expect(200))
    }

    /// Returns what a bearer for this scope may do with its repository. Nothing is the same as no entry.
    #[track_caller]
    pub fn granted(&self, scope: &str) -> Vec<String> {
        actions_in(&claims(&self.bearer(&[scope])))
    }
}

/// Returns the bearer in an answer of the token endpoint.
#[track_caller]
pub fn bearer_in(answer: &RegistryAnswer) -> String {
    answer.json()["token"].as_str().unwrap_or_else(|| panic!("no token in {answer:?}")).to_owned()
}

/// Returns the actions in all entries of the `access` claim.
pub fn actions_in(claims: &Value) -> Vec<String> {
    let entries = claims["access"].as_array().map(Vec::as_slice).unwrap_or_default();
    let actions = entries.iter().flat_map(|entry| entry["actions"].as_array().into_iter().flatten());
    actions.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Returns what a bearer says, without asking whether that is true.
#[track_caller]
pub fn claims(bearer: &str) -> Value {
    part_of(bearer, 1)
}

/// Returns the header of a bearer.
#[track_caller]
pub fn jose_header(bearer: &str) -> Value {
    part_of(bearer, 0)
}

#[track_caller]
fn part_of(bearer: &str, index: usize) -> Value {
    let parts: Vec<_> = bearer.split('.').collect();
    assert_eq!(parts.len(), 3, "no signed token: {bearer}");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts[index]).expect("base64")).expect("JSON")
}

/// Returns bytes as they stand in a bearer.
pub fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The repository in a path below `/v2/`, as far as a client must know it to choose a bearer.
fn repository_in(path: &str) -> &str {
    let path = path.split('?').next().unwrap_or_default();
    let ends = ["/blobs/", "/manifests/", "/tags/list", "/referrers/"].map(|word| path.rfind(word));
    ends.into_iter().flatten().max().map_or(path, |end| &path[..end])
}

fn kind(method: &str) -> &'static str {
    match method {
        "GET" | "HEAD" => "pull",
        "DELETE" => "delete",
        _ => "push",
    }
}

/// Returns a text as the value of a parameter.
pub fn encode(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~:/,*".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// A documented way of uploading a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// POST, then PUT with the body.
    PostPut,
    /// POST with the digest and the body.
    PostOnly,
    /// POST, PATCH without a range and in chunks of the transfer, PUT without a body.
    Stream,
    /// POST, PATCH with ranges, PUT without a body.
    Pieces,
    /// POST, PATCH with ranges, PUT with the last piece.
    PiecesAndPut,
}

impl Way {
    pub const ALL: [Way; 5] = [Way::PostPut, Way::PostOnly, Way::Stream, Way::Pieces, Way::PiecesAndPut];
}

/// A repository, as a client sees it.
#[derive(Clone)]
pub struct ImageRepository {
    pub client: RegistryClient,
    pub name: String,
}

/// A small image that was pushed.
#[derive(Clone, Debug)]
pub struct Image {
    pub digest: String,
    pub manifest: Vec<u8>,
    pub config: Vec<u8>,
    pub layer: Vec<u8>,
}

const OCTETS: (&str, &str) = ("content-type", "application/octet-stream");

impl ImageRepository {
    /// Returns the path of something in the repository, such as `/tags/list`.
    pub fn path(&self, rest: &str) -> String {
        format!("/v2/{}{rest}", self.name)
    }

    /// Returns the same repository as another client sees it.
    pub fn seen_by(&self, client: &RegistryClient) -> ImageRepository {
        ImageRepository { client: client.clone(), name: self.name.clone() }
    }

    #[track_caller]
    pub fn get(&self, rest: &str) -> RegistryAnswer {
        self.client.ask("GET", &self.path(rest), &[], Body::Bytes(b""))
    }

    #[track_caller]
    pub fn get_with(&self, rest: &str, headers: &[(&str, &str)]) -> RegistryAnswer {
        self.client.ask("GET", &self.path(rest), headers, Body::Bytes(b""))
    }

    #[track_caller]
    pub fn head(&self, rest: &str) -> RegistryAnswer {
        self.client.ask("HEAD", &self.path(rest), &[], Body::Bytes(b""))
    }

    #[track_caller]
    pub fn delete(&self, rest: &str) -> RegistryAnswer {
        self.client.ask("DELETE", &self.path(rest), &[], Body::Bytes(b""))
    }

    #[track_caller]
    pub fn get_blob(&self, digest: &str) -> RegistryAnswer {
        self.get(&format!("/blobs/{digest}"))
    }

    #[track_caller]
    pub fn head_blob(&self, digest: &str) -> RegistryAnswer {
        self.head(&format!("/blobs/{digest}"))
    }

    #[track_caller]
    pub fn delete_blob(&self, digest: &str) -> RegistryAnswer {
        self.delete(&format!("/blobs/{digest}"))
    }

    #[track_caller]
    pub fn get_manifest(&self, reference: &str) -> RegistryAnswer {
        self.get(&format!("/manifests/{reference}"))
    }

    #[track_caller]
    pub fn head_manifest(&self, reference: &str) -> RegistryAnswer {
        self.head(&format!("/manifests/{reference}"))
    }

    #[track_caller]
    pub fn delete_manifest(&self, reference: &str) -> RegistryAnswer {
        self.delete(&format!("/manifests/{reference}"))
    }

    /// Puts a manifest under a tag or digest, which may have parameters behind it.
    #[track_caller]
    pub fn put_manifest(&self, reference: &str, media_type: &str, manifest: &[u8]) -> RegistryAnswer {
        let path = self.path(&format!("/manifests/{reference}"));
        self.client.ask("PUT", &path, &[("content-type", media_type)], Body::Bytes(manifest))
    }

    /// Returns the tags, in the order in which they are listed.
    #[track_caller]
    pub fn tags(&self) -> Vec<String> {
        let list = self.get("/tags/list").expect(200).json();
        assert_eq!(list["name"], self.name);
        strings(&list["tags"])
    }

    /// Returns the manifests that refer to this one.
    #[track_caller]
    pub fn referrers(&self, digest: &str, query: &str) -> RegistryAnswer {
        self.get(&format!("/referrers/{digest}{query}"))
    }

    /// Asks for a new upload; the query has its question mark.
    #[track_caller]
    pub fn post_upload(&self, query: &str, headers: &[(&str, &str)], body: &[u8]) -> RegistryAnswer {
        self.client.ask("POST", &self.path(&format!("/blobs/uploads/{query}")), headers, Body::Bytes(body))
    }

    #[track_caller]
    pub fn open_upload(&self) -> Upload {
        let opened = self.post_upload("", &[], b"").expect(202);
        Upload { repository: self.clone(), location: opened.location() }
    }

    /// Asks for a blob of another repository, or of any if none is named.
    #[track_caller]
    pub fn mount(&self, digest: &str, from: Option<&str>) -> RegistryAnswer {
        let from = from.map(|from| format!("&from={}", encode(from))).unwrap_or_default();
        self.post_upload(&format!("?mount={}{from}", encode(digest)), &[], b"")
    }

    /// Uploads some bytes under a digest in one of the documented ways, and returns the last answer. The pieces are a
    /// third of the whole each.
    #[track_caller]
    pub fn upload(&self, way: Way, bytes: &[u8], digest: &str) -> RegistryAnswer {
        if way == Way::PostOnly {
            return self.post_upload(&format!("?digest={}", encode(digest)), &[OCTETS], bytes);
        }
        let mut upload = self.open_upload();
        let piece = bytes.len().div_ceil(3).max(1);
        let pieces: Vec<_> = bytes.chunks(piece).collect();
        match way {
            Way::PostPut | Way::PostOnly => upload.put(digest, bytes),
            Way::Stream => {
                upload.stream(bytes).expect(202);
                upload.put(digest, b"")
            }
            Way::Pieces => {
                let mut at = 0;
                for piece in pieces {
                    upload.piece(at, piece).expect(202);
                    at += piece.len() as u64;
                }
                upload.put(digest, b"")
            }
            Way::PiecesAndPut => {
                let (last, before) = pieces.split_last().expect("something to upload");
                let mut at = 0;
                for piece in before {
                    upload.piece(at, piece).expect(202);
                    at += piece.len() as u64;
                }
                upload.last_piece(digest, at, last)
            }
        }
    }

    /// Expects that an answer to an upload says where the finished blob is.
    #[track_caller]
    pub fn expect_stored(&self, answer: &RegistryAnswer, digest: &str) {
        assert_eq!(answer.status, 201, "{answer:?}");
        assert_eq!(answer.location(), self.path(&format!("/blobs/{digest}")));
        assert_eq!(answer.header("docker-content-digest"), Some(digest));
    }

    /// Expects that a blob is there and is these bytes, asked for by HEAD and by GET.
    #[track_caller]
    pub fn expect_blob(&self, digest: &str, bytes: &[u8]) {
        let length = bytes.len().to_string();
        for answer in [self.head_blob(digest), self.get_blob(digest)] {
            let answer = answer.expect(200);
            assert_eq!(answer.header("content-length"), Some(&*length), "{answer:?}");
            assert_eq!(answer.header("content-type"), Some("application/octet-stream"));
            assert_eq!(answer.header("docker-content-digest"), Some(digest));
            assert_eq!(answer.header("etag"), Some(&*format!("\"{digest}\"")));
            assert_eq!(answer.header("accept-ranges"), Some("bytes"));
            assert_eq!(answer.header("docker-distribution-api-version"), Some("registry/2.0"));
            assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        }
        assert_eq!(self.head_blob(digest).body, b"");
        assert!(self.get_blob(digest).body == bytes, "other bytes under {digest}");
    }

    #[track_caller]
    pub fn expect_no_blob(&self, digest: &str) {
        self.get_blob(digest).expect(404);
        assert_eq!(self.head_blob(digest).expect(404).body, b"");
    }

    /// Expects that an answer to a manifest says what it is called now.
    #[track_caller]
    pub fn expect_accepted(&self, answer: &RegistryAnswer, digest: &str) {
        assert_eq!(answer.status, 201, "{answer:?}");
        assert_eq!(answer.header("docker-content-digest"), Some(digest));
        assert_eq!(answer.location(), self.path(&format!("/manifests/{digest}")));
        assert_eq!(answer.header("docker-distribution-api-version"), Some("registry/2.0"));
    }

    /// Expects that a manifest is there and is exactly these bytes, asked for by HEAD and by GET.
    #[track_caller]
    pub fn expect_manifest(&self, reference: &str, digest: &str, media_type: &str, bytes: &[u8]) {
        for answer in [self.head_manifest(reference), self.get_manifest(reference)] {
            let answer = answer.expect(200);
            assert_eq!(answer.header("content-type"), Some(media_type));
            assert_eq!(answer.header("content-length"), Some(&*bytes.len().to_string()));
            assert_eq!(answer.header("docker-content-digest"), Some(digest));
            assert_eq!(answer.header("etag"), Some(&*format!("\"{digest}\"")));
            assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        }
        assert_eq!(self.head_manifest(reference).body, b"");
        assert!(self.get_manifest(reference).body == bytes, "other bytes under {reference}");
    }

    /// Uploads a blob, and returns its digest.
    #[track_caller]
    pub fn push_blob(&self, bytes: &[u8]) -> String {
        let digest = Algorithm::Sha256.digest(bytes);
        self.upload(Way::PostPut, bytes, &digest).expect(201);
        digest
    }

    /// Pushes a manifest with what it needs: a config and one layer, made from `seed`.
    #[track_caller]
    pub fn push_image(&self, tag: &str, seed: &str) -> Image {
        let image = Image::of(seed);
        self.push_blob(&image.config);
        self.push_blob(&image.layer);
        let put = self.put_manifest(tag, OCI_IMAGE, &image.manifest).expect(201);
        assert_eq!(put.header("docker-content-digest"), Some(&*image.digest));
        image
    }
}

impl Image {
    /// Returns the image that is made from `seed`, before it is anywhere.
    pub fn of(seed: &str) -> Image {
        let config = json!({ "architecture": "amd64", "os": "linux", "config": { "Labels": { "seed": seed } },
            "rootfs": { "type": "layers", "diff_ids": [] } });
        let config = config.to_string().into_bytes();
        let layer = format!("a layer of {seed}").into_bytes();
        let manifest = image_manifest(&descriptor(OCI_CONFIG, &config), &[descriptor(OCI_LAYER, &layer)]);
        let manifest = manifest.to_string().into_bytes();
        Image { digest: Algorithm::Sha256.digest(&manifest), manifest, config, layer }
    }
}

/// An upload that has begun.
#[derive(Clone)]
pub struct Upload {
    pub repository: ImageRepository,
    /// Where to go on, as the last answer said it.
    pub location: String,
}

impl Upload {
    /// Sends the next request to where the last answer said, and notes where to go on from there.
    #[track_caller]
    pub fn ask(
        &mut self,
        method: &str,
        query: &str,
        headers: &[(&str, &str)],
        body: Body<'_>,
    ) -> RegistryAnswer {
        let answer = self.repository.client.ask(method, &self.address(query), headers, body);
        if let (202, Some(location)) = (answer.status, answer.header("location")) {
            self.location = location.to_owned();
        }
        answer
    }

    /// Returns where to go on, with one more parameter.
    pub fn address(&self, query: &str) -> String {
        match query {
            "" => self.location.clone(),
            query if self.location.contains('?') => format!("{}&{query}", self.location),
            query => format!("{}?{query}", self.location),
        }
    }

    /// Adds a piece that begins at `at`.
    #[track_caller]
    pub fn piece(&mut self, at: u64, bytes: &[u8]) -> RegistryAnswer {
        let range = range_of(at, bytes);
        self.ask("PATCH", "", &[OCTETS, ("content-range", &range)], Body::Bytes(bytes))
    }

    /// Adds what does not say where it begins nor how long it is.
    #[track_caller]
    pub fn stream(&mut self, bytes: &[u8]) -> RegistryAnswer {
        self.ask("PATCH", "", &[OCTETS], Body::Stream(bytes))
    }

    /// Ends the upload with the rest of it.
    #[track_caller]
    pub fn put(&mut self, digest: &str, rest: &[u8]) -> RegistryAnswer {
        let query = format!("digest={}", encode(digest));
        self.ask("PUT", &query, &[OCTETS], Body::Bytes(rest))
    }

    /// Ends the upload with a piece that begins at `at`.
    #[track_caller]
    pub fn last_piece(&mut self, digest: &str, at: u64, bytes: &[u8]) -> RegistryAnswer {
        let (query, range) = (format!("digest={}", encode(digest)), range_of(at, bytes));
        self.ask("PUT", &query, &[OCTETS, ("content-range", &range)], Body::Bytes(bytes))
    }

    /// Asks how far it is.
    #[track_caller]
    pub fn status(&mut self) -> RegistryAnswer {
        self.ask("GET", "", &[], Body::Bytes(b""))
    }

    /// Expects that it has this many bytes.
    #[track_caller]
    pub fn expect_size(&mut self, size: usize) {
        let answer = self.status().expect(204);
        // One byte and none look alike.
        let range = format!("0-{}", size.saturating_sub(1));
        assert_eq!(answer.header("range"), Some(&*range), "{answer:?}");
        assert_eq!(answer.body, b"");
        answer.location();
    }

    /// Expects that there is no such upload any more.
    #[track_caller]
    pub fn expect_gone(&mut self) {
        self.status().expect_error(404, "BLOB_UPLOAD_UNKNOWN");
        self.piece(0, b"more").expect_error(404, "BLOB_UPLOAD_UNKNOWN");
        let digest = Algorithm::Sha256.digest(b"more");
        self.put(&digest, b"more").expect_error(404, "BLOB_UPLOAD_UNKNOWN");
        self.cancel().expect_error(404, "BLOB_UPLOAD_UNKNOWN");
    }

    #[track_caller]
    pub fn cancel(&mut self) -> RegistryAnswer {
        self.ask("DELETE", "", &[], Body::Bytes(b""))
    }
}

/// Returns bytes that do not repeat, so that a piece in the wrong place is seen. They are the same for the same length.
pub fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64 ^ length as u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Returns the value of `Content-Range` for a piece.
pub fn range_of(at: u64, bytes: &[u8]) -> String {
    format!("{at}-{}", (at + bytes.len() as u64).saturating_sub(1))
}

/// Returns a descriptor of some bytes, by SHA-256.
pub fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    descriptor_by(Algorithm::Sha256, media_type, bytes)
}

pub fn descriptor_by(algorithm: Algorithm, media_type: &str, bytes: &[u8]) -> Value {
    json!({ "mediaType": media_type, "digest": algorithm.digest(bytes), "size": bytes.len() })
}

/// Returns the manifest of an image.
pub fn image_manifest(config: &Value, layers: &[Value]) -> Value {
    json!({ "schemaVersion": 2, "mediaType": OCI_IMAGE, "config": config, "layers": layers })
}

/// Returns an index.
pub fn index_manifest(manifests: &[Value]) -> Value {
    json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests })
}

/// Returns the strings in a list.
#[track_caller]
pub fn strings(list: &Value) -> Vec<String> {
    let list = list.as_array().unwrap_or_else(|| panic!("no list: {list}"));
    list.iter().map(|one| one.as_str().expect("a string").to_owned()).collect()
}

/// A hash function that names content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    Sha256,
    Sha512,
}

impl Algorithm {
    pub const ALL: [Algorithm; 2] = [Algorithm::Sha256, Algorithm::Sha512];

    /// Returns the word in front of the colon.
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::Sha256 => "sha256",
            Algorithm::Sha512 => "sha512",
        }
    }

    /// Returns the digest of some bytes as the registry writes it.
    pub fn digest(self, bytes: &[u8]) -> String {
        let hash = match self {
            Algorithm::Sha256 => digest::digest(&digest::SHA256, bytes),
            Algorithm::Sha512 => digest::digest(&digest::SHA512, bytes),
        };
        format!(
            "{}:{}",
            self.name(),
            hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect::<String>()
        )
    }
}

/// Returns the SHA-256 of some bytes.
pub fn sha256(bytes: &[u8]) -> Vec<u8> {
    digest::digest(&digest::SHA256, bytes).as_ref().to_vec()
}

/// Returns the code that proves knowledge of `key` (RFC 2104), with SHA-256.
pub fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; 32] {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    hmac::sign(&key, message).as_ref().try_into().expect("32 bytes")
}
