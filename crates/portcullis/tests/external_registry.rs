//! A registry elsewhere that trusts the forge's token endpoint, as docs/external-registry.md tells it: the stock one of
//! the CNCF Distribution project, in version 2.8, from Debian's package `docker-registry`.
//!
//! Where the programs are not installed these tests say so and do nothing, except in CI, where they fail.

#![expect(clippy::unwrap_used, reason = "a test may end where something unexpected happens")]

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use portcullis_app::bearers::{Bearers, NewBearer, ScopeAction, ScopeEntry};
use portcullis_app::clock::{Clock as _, SystemClock};
use portcullis_app::keys::Keys;
use portcullis_app::random::SystemRandom;
use portcullis_app::settings::SigningAlgorithm;
use portcullis_testkit::{Answer, Caller, Program, basic};
use serde_json::json;
use tempfile::TempDir;

/// How long the registry may take to start.
const PATIENCE: Duration = Duration::from_secs(30);

const SECOND: i64 = 1_000_000;

const SERVICE: &str = "container_registry";

/// Says whether the programs are installed, and that a test does nothing when they are not.
fn installed(programs: &[&str]) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_there =
        |program: &&&str| std::env::split_paths(&path).any(|folder| folder.join(program).is_file());
    let missing: Vec<_> = programs.iter().filter(|program| !is_there(program)).collect();
    assert!(
        missing.is_empty() || std::env::var_os("CI").is_none(),
        "not installed: {missing:?}; scripts/setup installs what the tests need"
    );
    if !missing.is_empty() {
        eprintln!("skipped: not installed: {missing:?}; scripts/setup installs what the tests need");
    }
    missing.is_empty()
}

/// A running `docker-registry`, killed when the value goes.
struct Registry {
    child: Child,
    address: String,
    _folder: TempDir,
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Registry {
    /// Starts it with the configuration of docs/external-registry.md.
    fn start(realm: &str, certificates: &str) -> Registry {
        let folder = tempfile::tempdir().unwrap();
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let bundle = folder.path().join("portcullis.pem");
        fs::write(&bundle, certificates).unwrap();
        let configuration = json!({
            "version": 0.1,
            "log": {"level": "error"},
            "storage": {"filesystem": {"rootdirectory": folder.path().join("images")}},
            "http": {"addr": address, "secret": "only one process"},
            "auth": {"token": {
                "realm": realm,
                "service": SERVICE,
                "issuer": "portcullis",
                "rootcertbundle": bundle,
            }},
        });
        let file = folder.path().join("config.yml");
        // JSON is YAML.
        fs::write(&file, configuration.to_string()).unwrap();
        let child = Command::new("docker-registry")
            .arg("serve")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(folder.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        let mut registry = Registry { child, address, _folder: folder };
        let begun = Instant::now();
        while TcpStream::connect(&registry.address).is_err() {
            let log = || fs::read_to_string(file.with_file_name("log")).unwrap_or_default();
            assert!(registry.child.try_wait().unwrap().is_none(), "it ended: {}", log());
            assert!(begun.elapsed() < PATIENCE, "it does not listen: {}", log());
            thread::sleep(Duration::from_millis(20));
        }
        registry
    }

    fn send(&self, method: &str, path: &str, bearer: Option<&str>) -> Answer {
        let authorization = bearer.map(|bearer| format!("Bearer {bearer}"));
        let headers: Vec<_> = authorization.iter().map(|value| ("authorization", value.as_str())).collect();
        Caller::new(&format!("http://{}", self.address), None).try_send(method, path, &headers, b"").unwrap()
    }

    fn status(&self, method: &str, path: &str, bearer: &str) -> u16 {
        self.send(method, path, Some(bearer)).status
    }
}

/// What signs bearers, without a server around it.
struct Issuer {
    bearers: Bearers,
    _data: TempDir,
}

impl Issuer {
    fn new(algorithm: SigningAlgorithm) -> Issuer {
        let data = tempfile::tempdir().unwrap();
        let keys = Keys::open(data.path(), algorithm, SystemClock.now()).unwrap();
        Issuer { bearers: Bearers::new(keys, Arc::new(SystemRandom)), _data: data }
    }

    fn issue(&self, actions: &[ScopeAction], issued_at: i64) -> String {
        let bearer = NewBearer {
            issuer: "portcullis",
            audience: SERVICE,
            subject: "project_7_bot",
            token: None,
            access: &[ScopeEntry::repository("group/app", actions)],
            lifetime_seconds: 300,
        };
        self.bearers.issue(&bearer, issued_at).unwrap().token
    }
}

#[test]
fn a_stock_registry_trusts_our_signatures() {
    if !installed(&["docker-registry"]) {
        return;
    }
    for algorithm in [SigningAlgorithm::Es256, SigningAlgorithm::Rs256] {
        let now = SystemClock.now();
        let issuer = Issuer::new(algorithm);
        let older = issuer.issue(&[ScopeAction::Pull], now);
        issuer.bearers.keys().rotate(now + 1).unwrap();
        let realm = "https://git.example.com/jwt/auth";
        let registry = Registry::start(realm, &issuer.bearers.keys().certificates(now));

        let challenge = registry.send("GET", "/v2/", None);
        assert_eq!(challenge.status, 401);
        let header = challenge.headers["www-authenticate"].to_str().unwrap();
        assert_eq!(header, format!("Bearer realm=\"{realm}\",service=\"{SERVICE}\""));

        let pull = issuer.issue(&[ScopeAction::Pull], now);
        let push = issuer.issue(&[ScopeAction::Pull, ScopeAction::Push], now);
        let (tags, uploads) = ("/v2/group/app/tags/list", "/v2/group/app/blobs/uploads/");
        for bearer in [&older, &pull, &push] {
            assert_eq!(registry.status("GET", "/v2/", bearer), 200, "{algorithm:?}");
            assert_eq!(registry.status("GET", tags, bearer), 404, "there is nothing yet");
        }
        assert_eq!(registry.status("POST", uploads, &pull), 401);
        assert_eq!(registry.status("POST", uploads, &push), 202);
        assert_eq!(registry.status("GET", "/v2/group/other/tags/list", &push), 401);

        let stranger = Issuer::new(algorithm).issue(&[ScopeAction::Pull], now);
        let expired = issuer.issue(&[ScopeAction::Pull], now - 361 * SECOND);
        let other = if pull.ends_with("AAAAAAAAAA") { "BBBBBBBBBB" } else { "AAAAAAAAAA" };
        let altered = format!("{}{other}", &pull[..pull.len() - 10]);
        issuer.bearers.keys().rotate(now + 2).unwrap();
        let newer = issuer.issue(&[ScopeAction::Pull], now);
        for (name, bearer) in
            [("stranger", stranger), ("expired", expired), ("altered", altered), ("not told of", newer)]
        {
            assert_eq!(registry.status("GET", "/v2/", &bearer), 401, "{algorithm:?}: {name}");
        }
    }
}

/// Writes a smallest image as skopeo's transport `dir` has it.
fn write_image(folder: &Path) {
    let digest = |bytes: &[u8]| {
        let file = folder.join("part");
        fs::write(&file, bytes).unwrap();
        let output = Command::new("sha256sum").arg(&file).output().unwrap();
        let digest = String::from_utf8(output.stdout).unwrap()[..64].to_owned();
        fs::rename(&file, folder.join(&digest)).unwrap();
        (format!("sha256:{digest}"), bytes.len())
    };
    let (layer, layer_size) = digest(&[0; 1024]);
    let config = json!({
        "architecture": "amd64",
        "os": "linux",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": [layer]},
    });
    let (config, config_size) = digest(config.to_string().as_bytes());
    let kind = |kind: &str| format!("application/vnd.oci.image.{kind}");
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": kind("manifest.v1+json"),
        "config": {"mediaType": kind("config.v1+json"), "digest": config, "size": config_size},
        "layers": [{"mediaType": kind("layer.v1.tar"), "digest": layer, "size": layer_size}],
    });
    fs::write(folder.join("manifest.json"), manifest.to_string()).unwrap();
    fs::write(folder.join("version"), "Directory Transport Version: 1.1\n").unwrap();
}

fn skopeo(arguments: &[&str]) -> Result<(), String> {
    let output = Command::new("skopeo").args(arguments).output().unwrap();
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

#[test]
fn an_image_is_pushed_to_a_stock_registry_with_a_project_token() {
    if !installed(&["docker-registry", "skopeo"]) {
        return;
    }
    let forge = Program::start(env!("CARGO_BIN_EXE_portcullis"));
    let certificates = forge.command(&["keys", "certificate"]);
    let registry = Registry::start(&format!("{}/jwt/auth", forge.url), &certificates);

    let root = forge.root();
    let project = root.post("/projects", json!({"name": "app", "visibility": "private"})).expect(201).json();
    let path = project["path_with_namespace"].as_str().unwrap();
    let token = |scopes: &[&str]| {
        let body = json!({"name": "images", "scopes": scopes, "access_level": 30});
        let answer =
            root.post(&format!("/projects/{}/access_tokens", project["id"]), body).expect(201).json();
        format!("images:{}", answer["token"].as_str().unwrap())
    };
    let (reader, writer) = (token(&["read_registry"]), token(&["read_registry", "write_registry"]));

    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("image");
    fs::create_dir(&image).unwrap();
    write_image(&image);
    let here = format!("dir:{}", image.display());
    let there = format!("docker://{}/{path}:latest", registry.address);
    let push = |credentials: &str| {
        // Without the one option it would compress the layer first.
        skopeo(&[
            "copy",
            "--preserve-digests",
            "--dest-tls-verify=false",
            "--dest-creds",
            credentials,
            &here,
            &there,
        ])
    };
    let refused = push(&reader).unwrap_err();
    assert!(refused.contains("unauthorized") || refused.contains("denied"), "{refused}");
    push(&writer).unwrap();

    let back = folder.path().join("back");
    let back = format!("dir:{}", back.display());
    skopeo(&["copy", "--src-tls-verify=false", "--src-creds", &reader, &there, &back]).unwrap();
    assert_eq!(
        fs::read(image.join("manifest.json")).unwrap(),
        fs::read(folder.path().join("back/manifest.json")).unwrap()
    );
    // Whoever has no token of the project sees nothing of it.
    skopeo(&["copy", "--src-tls-verify=false", "--src-no-creds", &there, &format!("{back}2")]).unwrap_err();

    // The endpoint tells the same keys that the command does.
    let keys = Caller::new(&forge.url, None).try_send("GET", "/jwt/jwks", &[], b"").unwrap();
    let listed = forge.command(&["keys", "list"]);
    assert_eq!(keys.json()["keys"][0]["kid"], listed.split_whitespace().next().unwrap());
    let wrong = basic("images", "wrong");
    let query = format!("/jwt/auth?service={SERVICE}&scope=repository:{path}:pull");
    let answer =
        Caller::new(&forge.url, None).try_send("GET", &query, &[("authorization", &wrong)], b"").unwrap();
    assert_eq!(answer.status, 401);
}
