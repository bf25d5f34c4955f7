//! A small client of the registry that does what Docker does: it sends a request, and when it is answered with a
//! challenge it fetches a bearer from where that points and tries again.
//!
//! Everything can also be done by hand: a request exactly as it is, with exactly this bearer. The digests are computed
//! here and not by what is under test.

use std::collections::HashMap;
use std::sync::Arc;

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
            Algorithm::Sha256 => sha256(bytes).to_vec(),
            Algorithm::Sha512 => sha512(bytes).to_vec(),
        };
        format!("{}:{}", self.name(), hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
    }
}

/// Returns the code that proves knowledge of `key` (RFC 2104), with SHA-256.
pub fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut block = [0; 64];
    if key.len() > block.len() {
        block[..32].copy_from_slice(&sha256(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let inner = sha256(&[&block.map(|byte| byte ^ 0x36), message].concat());
    sha256(&[&block.map(|byte| byte ^ 0x5c)[..], &inner[..]].concat())
}

/// Both hash functions (FIPS 180-4) are the same steps on words of another width, with other rotations. The constants of
/// the narrow one are the upper halves of those of the wide one.
macro_rules! sha2 {
    ($name:ident, $word:ty, $rounds:literal, $length:ty, [$($big0:literal),*], [$($big1:literal),*],
     [$small0a:literal, $small0b:literal, $small0shift:literal],
     [$small1a:literal, $small1b:literal, $small1shift:literal]) => {
        pub fn $name(message: &[u8]) -> [u8; size_of::<$word>() * 8] {
            const WORD: usize = size_of::<$word>();
            const BLOCK: usize = WORD * 16;
            let narrow = |wide: u64| (wide >> (64 - <$word>::BITS)) as $word;
            let constants: [$word; $rounds] = std::array::from_fn(|at| narrow(ROUNDS[at]));
            let mut state: [$word; 8] = START.map(narrow);
            let whole = message.len() / BLOCK * BLOCK;
            let mut last = message[whole..].to_vec();
            last.push(0x80);
            while last.len() % BLOCK != BLOCK - size_of::<$length>() {
                last.push(0);
            }
            last.extend_from_slice(&(message.len() as $length * 8).to_be_bytes());
            for block in message[..whole].chunks_exact(BLOCK).chain(last.chunks_exact(BLOCK)) {
                let mut words: [$word; $rounds] = [0; $rounds];
                for (word, bytes) in words.iter_mut().zip(block.chunks_exact(WORD)) {
                    *word = <$word>::from_be_bytes(bytes.try_into().expect("a word"));
                }
                for at in 16..$rounds {
                    let (x, y) = (words[at - 15], words[at - 2]);
                    let x = x.rotate_right($small0a) ^ x.rotate_right($small0b) ^ (x >> $small0shift);
                    let y = y.rotate_right($small1a) ^ y.rotate_right($small1b) ^ (y >> $small1shift);
                    words[at] = words[at - 16].wrapping_add(x).wrapping_add(words[at - 7]).wrapping_add(y);
                }
                let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = state;
                for at in 0..$rounds {
                    let one = 0 $(^ e.rotate_right($big1))*;
                    let chosen = (e & f) ^ (!e & g);
                    let one = h.wrapping_add(one).wrapping_add(chosen).wrapping_add(constants[at]);
                    let one = one.wrapping_add(words[at]);
                    let two = 0 $(^ a.rotate_right($big0))*;
                    let two = two.wrapping_add((a & b) ^ (a & c) ^ (b & c));
                    (h, g, f, e, d, c, b, a) = (g, f, e, d.wrapping_add(one), c, b, a, one.wrapping_add(two));
                }
                for (sum, part) in state.iter_mut().zip([a, b, c, d, e, f, g, h]) {
                    *sum = sum.wrapping_add(part);
                }
            }
            let mut hash = [0; WORD * 8];
            for (bytes, word) in hash.chunks_exact_mut(WORD).zip(state) {
                bytes.copy_from_slice(&word.to_be_bytes());
            }
            hash
        }
    };
}

sha2!(sha256, u32, 64, u64, [2, 13, 22], [6, 11, 25], [7, 18, 3], [17, 19, 10]);
sha2!(sha512, u64, 80, u128, [28, 34, 39], [14, 18, 41], [1, 8, 7], [19, 61, 6]);

const START: [u64; 8] = [
    0x6a09_e667_f3bc_c908,
    0xbb67_ae85_84ca_a73b,
    0x3c6e_f372_fe94_f82b,
    0xa54f_f53a_5f1d_36f1,
    0x510e_527f_ade6_82d1,
    0x9b05_688c_2b3e_6c1f,
    0x1f83_d9ab_fb41_bd6b,
    0x5be0_cd19_137e_2179,
];

const ROUNDS: [u64; 80] = [
    0x428a_2f98_d728_ae22,
    0x7137_4491_23ef_65cd,
    0xb5c0_fbcf_ec4d_3b2f,
    0xe9b5_dba5_8189_dbbc,
    0x3956_c25b_f348_b538,
    0x59f1_11f1_b605_d019,
    0x923f_82a4_af19_4f9b,
    0xab1c_5ed5_da6d_8118,
    0xd807_aa98_a303_0242,
    0x1283_5b01_4570_6fbe,
    0x2431_85be_4ee4_b28c,
    0x550c_7dc3_d5ff_b4e2,
    0x72be_5d74_f27b_896f,
    0x80de_b1fe_3b16_96b1,
    0x9bdc_06a7_25c7_1235,
    0xc19b_f174_cf69_2694,
    0xe49b_69c1_9ef1_4ad2,
    0xefbe_4786_384f_25e3,
    0x0fc1_9dc6_8b8c_d5b5,
    0x240c_a1cc_77ac_9c65,
    0x2de9_2c6f_592b_0275,
    0x4a74_84aa_6ea6_e483,
    0x5cb0_a9dc_bd41_fbd4,
    0x76f9_88da_8311_53b5,
    0x983e_5152_ee66_dfab,
    0xa831_c66d_2db4_3210,
    0xb003_27c8_98fb_213f,
    0xbf59_7fc7_beef_0ee4,
    0xc6e0_0bf3_3da8_8fc2,
    0xd5a7_9147_930a_a725,
    0x06ca_6351_e003_826f,
    0x1429_2967_0a0e_6e70,
    0x27b7_0a85_46d2_2ffc,
    0x2e1b_2138_5c26_c926,
    0x4d2c_6dfc_5ac4_2aed,
    0x5338_0d13_9d95_b3df,
    0x650a_7354_8baf_63de,
    0x766a_0abb_3c77_b2a8,
    0x81c2_c92e_47ed_aee6,
    0x9272_2c85_1482_353b,
    0xa2bf_e8a1_4cf1_0364,
    0xa81a_664b_bc42_3001,
    0xc24b_8b70_d0f8_9791,
    0xc76c_51a3_0654_be30,
    0xd192_e819_d6ef_5218,
    0xd699_0624_5565_a910,
    0xf40e_3585_5771_202a,
    0x106a_a070_32bb_d1b8,
    0x19a4_c116_b8d2_d0c8,
    0x1e37_6c08_5141_ab53,
    0x2748_774c_df8e_eb99,
    0x34b0_bcb5_e19b_48a8,
    0x391c_0cb3_c5c9_5a63,
    0x4ed8_aa4a_e341_8acb,
    0x5b9c_ca4f_7763_e373,
    0x682e_6ff3_d6b2_b8a3,
    0x748f_82ee_5def_b2fc,
    0x78a5_636f_4317_2f60,
    0x84c8_7814_a1f0_ab72,
    0x8cc7_0208_1a64_39ec,
    0x90be_fffa_2363_1e28,
    0xa450_6ceb_de82_bde9,
    0xbef9_a3f7_b2c6_7915,
    0xc671_78f2_e372_532b,
    0xca27_3ece_ea26_619c,
    0xd186_b8c7_21c0_c207,
    0xeada_7dd6_cde0_eb1e,
    0xf57d_4f7f_ee6e_d178,
    0x06f0_67aa_7217_6fba,
    0x0a63_7dc5_a2c8_98a6,
    0x113f_9804_bef9_0dae,
    0x1b71_0b35_131c_471b,
    0x28db_77f5_2304_7d84,
    0x32ca_ab7b_40c7_2493,
    0x3c9e_be0a_15c9_bebc,
    0x431d_67c4_9c10_0d4c,
    0x4cc5_d4be_cb3e_42b6,
    0x597f_299c_fc65_7e2a,
    0x5fcb_6fab_3ad6_faec,
    0x6c44_198c_4a47_5817,
];

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn the_hash_functions_are_those_of_the_standard() {
        assert_eq!(
            Algorithm::Sha256.digest(b""),
            "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        assert_eq!(
            Algorithm::Sha256.digest(b"abc"),
            "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(
            Algorithm::Sha512.digest(b"abc"),
            "sha512:ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
             2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"
        );
        // Around the ends of blocks, the padding takes another one.
        for (length, narrow, wide) in LENGTHS {
            let message = vec![b'a'; length];
            assert_eq!(&hex(&sha256(&message))[..16], narrow, "{length}");
            assert_eq!(&hex(&sha512(&message))[..16], wide, "{length}");
        }
    }

    const LENGTHS: [(usize, &str, &str); 6] = [
        (55, "9f4390f8d30c2dd9", "b0220c772cbf6c18"),
        (56, "b35439a4ac6f0948", "962b64aae357d2a4"),
        (64, "ffe054fe7ae0cb6d", "01d35c10c6c38c2d"),
        (111, "6374f73208854473", "fa9121c7b32b9e01"),
        (112, "f54353008a255326", "c01d080efd492776"),
        (1000, "41edece42d63e8d9", "67ba5535a46e3f86"),
    ];

    #[test]
    fn the_code_is_that_of_the_standard() {
        // RFC 4231, test case 2.
        let code = hmac_sha256(b"Jefe", b"what do ya want for nothing?");
        assert_eq!(hex(&code), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    }

    #[test]
    fn a_challenge_is_read_as_clients_read_it() {
        let read = BearerChallenge::parse(
            "Bearer realm=\"http://h/jwt/auth\",service=\"container_registry\",scope=\"repository:a:pull,push\"",
        )
        .unwrap();
        assert_eq!(read.realm, "http://h/jwt/auth");
        assert_eq!(read.scope.as_deref(), Some("repository:a:pull,push"));
        assert_eq!(read.order, ["realm", "service", "scope"]);
        for unreadable in ["Basic realm=\"x\"", "Bearer realm=x,service=y", "Bearer realm=\"x\"", "Bearer "] {
            assert_eq!(BearerChallenge::parse(unreadable), None, "{unreadable}");
        }
    }

    #[test]
    fn the_repository_of_a_path_is_found_from_its_end() {
        assert_eq!(repository_in("/v2/g/p/blobs/uploads/?digest=a"), "/v2/g/p");
        assert_eq!(repository_in("/v2/a/blobs/manifests/v1"), "/v2/a/blobs");
        assert_eq!(repository_in("/v2/"), "/v2/");
    }
}
