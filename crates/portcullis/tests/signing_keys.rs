//! The forge's signing keys as an operator meets them: `portcullis keys`, the files, and a server that runs beside.
//!
//! Certificates are looked at with the `openssl` program.

#![expect(clippy::unwrap_used, reason = "a test may end where something unexpected happens")]

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

fn portcullis(data: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("PORTCULLIS_") {
            command.env_remove(name);
        }
    }
    command.args(arguments).arg("--data").arg(data);
    command.envs(variables.iter().copied()).stdin(Stdio::null()).output().unwrap()
}

fn said(data: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> String {
    let output = portcullis(data, arguments, variables);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A line of `portcullis keys list`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Listed {
    id: String,
    algorithm: String,
    purpose: String,
    file: String,
}

fn list(data: &Path, variables: &[(&str, &str)]) -> Vec<Listed> {
    let text = said(data, &["keys", "list"], variables);
    let lines = text.lines().map(|line| {
        let [id, algorithm, _, purpose, file] = line.split_whitespace().collect::<Vec<_>>()[..] else {
            panic!("unexpected shape: {line}")
        };
        let [id, algorithm, purpose, file] = [id, algorithm, purpose, file].map(str::to_owned);
        Listed { id, algorithm, purpose, file }
    });
    lines.collect()
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// Runs `openssl` over some text.
fn openssl(arguments: &[&str], input: &str) -> String {
    let mut child = Command::new("openssl")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn keys_are_listed_and_rotated() {
    let data = folder();
    let [first] = &*list(data.path(), &[]) else { panic!("expected one key") };
    assert_eq!((first.algorithm.as_str(), first.purpose.as_str()), ("ES256", "signing"));

    let made = said(data.path(), &["keys", "rotate"], &[]);
    let [second, older] = &*list(data.path(), &[]) else { panic!("expected two keys") };
    assert_eq!(made, format!("{} signs from now on\n", second.id));
    assert_eq!(second.purpose, "signing");
    assert_eq!((&older.id, older.purpose.as_str()), (&first.id, "verifying"));

    // The other algorithm has keys of its own.
    let rs256 = [("PORTCULLIS_SIGNING_ALGORITHM", "RS256")];
    said(data.path(), &["keys", "rotate"], &rs256);
    let listed = list(data.path(), &rs256);
    assert_eq!(listed.iter().filter(|key| key.purpose == "signing").count(), 1);
    assert_eq!((listed[0].algorithm.as_str(), listed[0].purpose.as_str()), ("RS256", "signing"));
    assert_eq!(listed.len(), 4, "the command makes one on opening and one more");
}

#[test]
fn files_of_keys_are_private() {
    let data = folder();
    said(data.path(), &["keys", "rotate"], &[]);
    let keys = data.path().join("signing_keys");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&keys), 0o700);
    let files: BTreeSet<_> =
        fs::read_dir(&keys).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(files, list(data.path(), &[]).into_iter().map(|key| key.file).collect());
    for file in files {
        assert_eq!(mode(&keys.join(file)), 0o600);
    }
}

#[test]
fn a_certificate_stays_the_same_and_is_one_of_its_key() {
    for (algorithm, kind) in [("ES256", "id-ecPublicKey"), ("RS256", "rsaEncryption")] {
        let data = folder();
        let variables = [("PORTCULLIS_SIGNING_ALGORITHM", algorithm)];
        let certificate = said(data.path(), &["keys", "certificate"], &variables);
        assert_eq!(said(data.path(), &["keys", "certificate"], &variables), certificate);
        assert_eq!(certificate.matches("-----BEGIN").count(), 1);
        assert!(certificate.starts_with("-----BEGIN CERTIFICATE-----\n"));

        let shown = openssl(&["x509", "-noout", "-text"], &certificate);
        assert!(shown.contains("CN = Portcullis signing key") && shown.contains(kind), "{shown}");
        let file = data.path().join("signing_keys").join(&list(data.path(), &variables)[0].file);
        let of_key = openssl(&["pkey", "-pubout"], &fs::read_to_string(&file).unwrap());
        assert_eq!(openssl(&["x509", "-noout", "-pubkey"], &certificate), of_key);
        // Signed by itself.
        let bundle = data.path().join("bundle.pem");
        fs::write(&bundle, &certificate).unwrap();
        openssl(&["verify", "-CAfile", bundle.to_str().unwrap()], &certificate);

        said(data.path(), &["keys", "rotate"], &variables);
        let both = said(data.path(), &["keys", "certificate"], &variables);
        assert_eq!(both.matches("-----BEGIN CERTIFICATE-----").count(), 2);
        assert!(both.ends_with(&certificate));
    }
}

#[test]
fn the_key_of_an_earlier_version_goes_on() {
    let data = folder();
    let pem = openssl(&["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"], "");
    let earlier = data.path().join("signing_key.der");
    openssl(&["pkcs8", "-topk8", "-nocrypt", "-outform", "DER", "-out", earlier.to_str().unwrap()], &pem);
    let certificate = said(data.path(), &["keys", "certificate"], &[]);
    assert_eq!(openssl(&["x509", "-noout", "-pubkey"], &certificate), openssl(&["pkey", "-pubout"], &pem));
    assert!(!earlier.exists());
}

#[test]
fn a_refusal_says_what_is_wrong() {
    let data = folder();
    let missing = data.path().join("missing");
    let output = portcullis(&missing, &["keys", "list"], &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("there is no data folder at"));

    let [key] = &*list(data.path(), &[]) else { panic!("expected one key") };
    fs::write(data.path().join("signing_keys").join(&key.file), "hunter2").unwrap();
    let output = portcullis(data.path(), &["keys", "rotate"], &[]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains(&key.file) && said.contains("this is no signing key"), "{said}");
    assert!(!said.contains("hunter2"));
}
