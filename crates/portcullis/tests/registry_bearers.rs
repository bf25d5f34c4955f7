//! Bearers that nobody gave: forged, changed, signed by others or with what is no key, too old and too young. None of them
//! opens anything, and none is told from another.

use std::path::Path;
use std::process::Command;

use portcullis_testkit::registry::{
    Body, ImageRepository, RegistryClient, base64url, claims, hmac_sha256, jose_header,
};
use portcullis_testkit::{TestForge, forge, program, token_secret};
use serde_json::{Value, json};

fn everything(repository: &ImageRepository) -> String {
    format!("repository:{}:pull,push,delete", repository.name)
}

/// Tries to read, to write and to delete with a bearer, and expects that it counts for nothing.
#[track_caller]
fn expect_invalid(repository: &ImageRepository, bearer: &str, what: &str) {
    let seen = repository.seen_by(&repository.client.with_bearer(bearer));
    let answers = [
        ("read", seen.get("/tags/list")),
        ("ping", seen.client.ask("GET", "/v2/", &[], Body::Bytes(b""))),
        ("write", seen.post_upload("", &[], b"")),
        ("delete", seen.delete_manifest("v1")),
    ];
    for (act, answer) in answers {
        assert_eq!(answer.status, 401, "{what}: {act}: {answer:?}");
        assert_eq!(answer.challenge().error.as_deref(), Some("invalid_token"), "{what}: {act}");
    }
}

/// Returns a bearer with this header and these claims; `sign` is given what is to be signed.
fn forged(header: &Value, claims: &Value, sign: impl FnOnce(&str) -> Vec<u8>) -> String {
    let signed =
        format!("{}.{}", base64url(header.to_string().as_bytes()), base64url(claims.to_string().as_bytes()));
    let signature = sign(&signed);
    format!("{signed}.{}", base64url(&signature))
}

fn unbase64url(text: &str) -> Vec<u8> {
    let digit = |byte: u8| match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'-' => 62,
        _ => 63,
    };
    let (mut bits, mut count, mut bytes) = (0_u32, 0, Vec::new());
    for byte in text.bytes() {
        bits = bits << 6 | u32::from(digit(byte));
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    bytes
}

/// A repository with an image, and a good bearer for it.
fn target(forge: &TestForge) -> (ImageRepository, String) {
    let repository = forge.image();
    repository.push_image("v1", "image");
    let bearer = repository.client.bearer(&[&everything(&repository)]);
    let seen = repository.seen_by(&repository.client.with_bearer(&bearer));
    assert_eq!(seen.tags(), ["v1"]);
    (repository, bearer)
}

#[test]
fn a_bearer_that_names_no_algorithm_is_no_bearer() {
    let forge = forge!();
    let (repository, bearer) = target(&forge);
    let (header, claims) = (jose_header(&bearer), claims(&bearer));
    let own = unbase64url(bearer.rsplit('.').next().unwrap());
    for algorithm in
        [json!("none"), json!("None"), json!("NONE"), json!("nOnE"), json!(""), json!(null), json!(["none"])]
    {
        let mut header = header.clone();
        header["alg"] = algorithm.clone();
        for signature in [vec![], own.clone(), vec![0; 64]] {
            let bearer = forged(&header, &claims, |_| signature);
            expect_invalid(&repository, &bearer, &format!("alg {algorithm}"));
        }
    }
    let mut silent = header.clone();
    silent.as_object_mut().unwrap().remove("alg");
    expect_invalid(&repository, &forged(&silent, &claims, |_| own.clone()), "no alg");
    // Without the part behind the last dot, and without the dot.
    let (signed, _) = bearer.rsplit_once('.').unwrap();
    expect_invalid(&repository, &format!("{signed}."), "no signature");
    expect_invalid(&repository, signed, "two parts");
}

/// The story: the attacker takes the public key from where everybody may read it, and signs with it as if it were a
/// secret. A verifier that reads the algorithm from the header would check the code with that very key.
#[test]
fn the_public_key_is_not_a_secret_to_sign_with() {
    let forge = forge!();
    let (repository, bearer) = target(&forge);
    let (mut header, claims) = (jose_header(&bearer), claims(&bearer));
    let jwks = forge.anonymous_registry().send("GET", "/jwt/jwks", &[], Body::Bytes(b"")).expect(200);
    let keys = jwks.json()["keys"].clone();
    let key = keys.as_array().unwrap().iter().find(|key| key["kid"] == header["kid"]).unwrap().clone();
    let [x, y] = ["x", "y"].map(|member| unbase64url(key[member].as_str().unwrap()));
    let point = [&[4][..], &x, &y].concat();
    let prefix = b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00";
    let der = [&prefix[..], &point].concat();
    let base64 = base64url(&der).replace('-', "+").replace('_', "/");
    let padded = format!("{base64}{}", "=".repeat((4 - base64.len() % 4) % 4));
    let lines: Vec<_> =
        padded.as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line).into_owned()).collect();
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"));
    let secrets: Vec<Vec<u8>> = vec![
        pem.clone().into_bytes(),
        pem.trim_end().as_bytes().to_vec(),
        der,
        point.clone(),
        point[1..].to_vec(),
        x,
        key.to_string().into_bytes(),
        jwks.body.clone(),
        header["kid"].as_str().unwrap().as_bytes().to_vec(),
        vec![],
    ];
    for algorithm in ["HS256", "hs256", "ES256"] {
        header["alg"] = json!(algorithm);
        for secret in &secrets {
            let bearer = forged(&header, &claims, |signed| hmac_sha256(secret, signed.as_bytes()).to_vec());
            expect_invalid(&repository, &bearer, algorithm);
        }
    }
}

#[test]
fn a_bearer_that_was_changed_is_no_bearer() {
    let forge = forge!();
    let (repository, bearer) = target(&forge);
    let other = forge.image();
    other.push_image("v1", "other");
    let parts: Vec<_> = bearer.split('.').collect();
    let (header, claims) = (jose_header(&bearer), claims(&bearer));
    let own = unbase64url(parts[2]);
    let now = claims["iat"].as_i64().unwrap();
    let access = |name: &str| json!([{ "type": "repository", "name": name, "actions": ["pull", "push", "delete", "*"] }]);
    for (member, value) in [
        ("access", access(&other.name)),
        ("access", access("*")),
        ("access", access("")),
        ("access", json!([{ "type": "registry", "name": "catalog", "actions": ["*"] }])),
        ("access", claims["access"].clone()),
        ("aud", json!("another")),
        ("aud", json!([])),
        ("iss", json!("somebody")),
        ("sub", json!("root")),
        ("tid", json!(1)),
        ("exp", json!(now + 1_000_000)),
        ("exp", json!(null)),
        ("nbf", json!(now + 1_000_000)),
        ("iat", json!("yesterday")),
        ("jti", json!("x")),
    ] {
        let mut changed = claims.clone();
        changed[member] = value.clone();
        if changed == claims {
            // The same claims written in another way are other bytes.
            changed["zzz"] = json!(1);
        }
        let bearer = forged(&header, &changed, |_| own.clone());
        expect_invalid(&repository, &bearer, &format!("{member} {value}"));
        expect_invalid(&other, &bearer, &format!("{member} {value} elsewhere"));
    }
    for (member, value) in [
        ("kid", json!("unknown")),
        ("kid", json!("../../../../dev/null")),
        ("kid", json!("' OR 1=1 --")),
        ("kid", json!(0)),
        ("kid", json!(null)),
        ("alg", json!("ES384")),
        ("alg", json!("RS256")),
        ("alg", json!("EdDSA")),
        ("typ", json!("at+jwt")),
        ("crit", json!(["exp"])),
        ("jku", json!("http://evil.example/jwks")),
    ] {
        let mut changed = header.clone();
        changed[member] = value.clone();
        let bearer = forged(&changed, &claims, |_| own.clone());
        expect_invalid(&repository, &bearer, &format!("{member} {value}"));
    }
    let [head, body] = [parts[0], parts[1]];
    let mut flipped = own.clone();
    flipped[63] ^= 1;
    let negated = [&own[..32], &[0; 32][..]].concat();
    for (what, signature) in [
        ("zeroes", vec![0; 64]),
        ("one bit", flipped),
        ("half of it", own[..32].to_vec()),
        ("s is zero", negated),
        ("more", [&own[..], &[0]].concat()),
        ("r and s as DER", [&[0x30, 0x44, 2, 32][..], &own[..32], &[2, 32], &own[32..]].concat()),
    ] {
        expect_invalid(&repository, &format!("{head}.{body}.{}", base64url(&signature)), what);
    }
    for (what, bearer) in [
        ("padding", format!("{bearer}=")),
        ("a part more", format!("{bearer}.{head}")),
        ("no header", format!(".{body}.{}", parts[2])),
        ("no claims", format!("{head}..{}", parts[2])),
        ("three dots", "...".to_owned()),
        ("two dots", "..".to_owned()),
        ("a word", "bearer".to_owned()),
        ("something long", "a".repeat(6000)),
    ] {
        expect_invalid(&repository, &bearer, what);
    }
    // The good one still is one.
    assert_eq!(repository.seen_by(&repository.client.with_bearer(&bearer)).tags(), ["v1"]);
}

fn openssl(arguments: &[&str], folder: &Path) -> Vec<u8> {
    let output = Command::new("openssl").args(arguments).current_dir(folder).output().expect("openssl runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// Reads the two numbers of an ECDSA signature in DER, 32 bytes each.
fn raw_signature(der: &[u8]) -> Vec<u8> {
    let mut rest = &der[2..];
    let mut raw = Vec::new();
    for _ in 0..2 {
        let length = usize::from(rest[1]);
        let number = &rest[2..2 + length];
        let number = if length > 32 { &number[length - 32..] } else { number };
        raw.extend(std::iter::repeat_n(0, 32 - number.len()).chain(number.iter().copied()));
        rest = &rest[2 + length..];
    }
    raw
}

/// The story: the attacker has a key of their own, signs a bearer with it, and sends the key along in the header.
#[test]
fn a_key_that_a_bearer_brings_along_is_not_trusted() {
    let forge = forge!();
    let (repository, bearer) = target(&forge);
    let (header, claims) = (jose_header(&bearer), claims(&bearer));
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path();
    openssl(&["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "key.pem"], key);
    let public = openssl(&["ec", "-in", "key.pem", "-pubout", "-outform", "DER"], key);
    let point = &public[public.len() - 64..];
    let own =
        json!({ "kty": "EC", "crv": "P-256", "x": base64url(&point[..32]), "y": base64url(&point[32..]) });
    let sign = |signed: &str| {
        std::fs::write(key.join("signed"), signed).unwrap();
        raw_signature(&openssl(&["dgst", "-sha256", "-sign", "key.pem", "signed"], key))
    };
    let with = |members: Value| {
        let mut header = header.clone();
        header.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        header
    };
    for header in [
        header.clone(),
        with(json!({ "jwk": own })),
        with(json!({ "jwk": own, "kid": "mine" })),
        with(json!({ "jwk": own, "kid": null })),
        with(json!({ "x5c": [base64url(&public)] })),
        with(json!({ "jku": "http://127.0.0.1:1/jwks", "kid": "mine" })),
    ] {
        expect_invalid(&repository, &forged(&header, &claims, sign), &header.to_string());
    }
}

/// The story: the attacker runs a forge of their own with the same names in it, where everything is theirs.
#[test]
fn a_bearer_of_another_forge_opens_nothing() {
    let forge = forge!();
    let (repository, bearer) = target(&forge);
    let theirs = program!();
    let root = theirs.root();
    let mut parts = repository.name.split('/');
    let (group, project) = (parts.next().unwrap(), parts.next().unwrap());
    let made = root.post("/groups", json!({ "name": group, "path": group })).expect(201).json();
    let body = json!({ "name": project, "path": project, "namespace_id": made["id"] });
    let made = root.post("/projects", body).expect(201).json();
    let token = json!({ "name": "ci", "scopes": ["api"], "access_level": 40 });
    let path = format!("/projects/{}/access_tokens", made["id"]);
    let token = root.post(&path, token).expect(201).json();
    let client = RegistryClient::new(&theirs.url, Some(&token_secret(&token)));
    let forged = client.bearer(&[&everything(&repository)]);
    assert_eq!(claims(&forged)["access"][0]["actions"], claims(&bearer)["access"][0]["actions"]);
    assert_ne!(jose_header(&forged)["kid"], jose_header(&bearer)["kid"]);
    expect_invalid(&repository, &forged, "of another forge");
    client.repository(&repository.name).push_image("v1", "theirs");
}

#[test]
fn clocks_may_differ_by_a_minute_and_no_more() {
    let forge = forge!();
    let repository = forge.image();
    repository.push_image("v1", "image");
    for (seconds, holds) in
        [(0, true), (299, true), (330, true), (365, false), (1000, false), (-30, true), (-120, false)]
    {
        let bearer = repository.client.bearer(&[&everything(&repository)]);
        forge.clock.advance_seconds(seconds);
        if holds {
            assert_eq!(
                repository.seen_by(&repository.client.with_bearer(&bearer)).tags(),
                ["v1"],
                "{seconds}"
            );
        } else {
            expect_invalid(&repository, &bearer, &format!("after {seconds} s"));
        }
        forge.clock.advance_seconds(-seconds);
    }
}

/// Signed by the right key, and made by a forge that called itself something else.
#[test]
fn a_bearer_of_another_issuer_is_no_bearer() {
    let mut program = program!();
    let root = program.root();
    let made = root.post("/groups", json!({ "name": "acme", "path": "acme" })).expect(201).json();
    let body = json!({ "name": "app", "path": "app", "namespace_id": made["id"] });
    let made = root.post("/projects", body).expect(201).json();
    let token = json!({ "name": "ci", "scopes": ["api"], "access_level": 40 });
    let path = format!("/projects/{}/access_tokens", made["id"]);
    let token = root.post(&path, token).expect(201).json();
    let client = RegistryClient::new(&program.url, Some(&token_secret(&token)));
    let repository = client.repository("acme/app/img");
    repository.push_image("v1", "image");
    let bearer = client.bearer(&[&everything(&repository)]);
    std::fs::write(program.data().join("portcullis.toml"), "registry_issuer = \"somebody\"\n").unwrap();
    program.kill();
    program.restart();
    assert_eq!(claims(&client.bearer(&[]))["iss"], "somebody");
    assert_eq!(jose_header(&client.bearer(&[]))["kid"], jose_header(&bearer)["kid"]);
    expect_invalid(&repository, &bearer, "of another issuer");
}
