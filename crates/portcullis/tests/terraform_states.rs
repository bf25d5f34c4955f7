//! The states of infrastructure, as Terraform's `http` backend asks for them.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use base64::Engine as _;
use portcullis_testkit::{Answer, Bot, Project, basic, forge};
use serde_json::{Value, json};

/// Asks as Terraform does: with Basic and any user name.
fn ask(project: &Project<'_>, bot: &Bot, method: &str, rest: &str, body: &str) -> Answer {
    let path = format!("/api/v4{}", project.path(&format!("/terraform/state/{rest}")));
    let credential = basic("terraform", &bot.secret);
    let headers = [("authorization", credential.as_str()), ("content-type", "application/json")];
    portcullis_testkit::Caller::new(&bot.caller.url, None).send(method, &path, &headers, body.as_bytes())
}

fn lock(id: &str) -> String {
    json!({
        "ID": id, "Operation": "OperationTypeApply", "Info": "", "Who": "ana@build", "Version": "1.9.0",
        "Created": "2026-03-02T12:00:00Z", "Path": "",
    })
    .to_string()
}

fn version(serial: i64) -> String {
    json!({ "version": 4, "serial": serial, "outputs": { "password": { "value": "hunter2" } } }).to_string()
}

#[test]
fn a_state_is_locked_written_read_and_unlocked() {
    let forge = forge!();
    let project = forge.project("private");
    let bot = project.token(&["api"], 40);
    let ask = |method: &str, rest: &str, body: &str| ask(&project, &bot, method, rest, body);
    ask("GET", "prod", "").expect_json(404, json!({ "message": "404 Terraform State Not Found" }));
    assert_eq!(ask("POST", "prod/lock", &lock("one")).expect(200).text, "");
    // Somebody else is told who has it.
    let held: Value = serde_json::from_str(&lock("one")).unwrap();
    ask("POST", "prod/lock", &lock("two")).expect_json(409, held.clone());
    ask("POST", "prod?ID=two", &version(1)).expect_json(409, held.clone());
    ask("POST", "prod", &version(1)).expect_json(409, held.clone());
    ask("DELETE", "prod", "").expect_json(409, held.clone());
    ask("DELETE", "prod/lock", &lock("two")).expect_json(409, held);
    ask("GET", "prod", "").expect(404);

    assert_eq!(ask("POST", "prod?ID=one", &version(1)).expect(200).text, "");
    let read = ask("GET", "prod", "").expect(200);
    assert_eq!(
        (read.text.as_str(), read.header("content-type")),
        (version(1).as_str(), Some("application/json"))
    );
    ask("DELETE", "prod/lock", &lock("one")).expect(200);
    ask("DELETE", "prod/lock", &lock("one")).expect(200);

    // Nobody has it: no lock is needed, and the newest version counts.
    for serial in 2..=40 {
        ask("POST", "prod", &version(serial)).expect(200);
    }
    assert_eq!(ask("GET", "prod", "").expect(200).text, version(40));
    // By hand, whoever has it loses it.
    ask("POST", "prod/lock", &lock("three")).expect(200);
    ask("DELETE", "prod/lock", "").expect(200);
    ask("POST", "prod/lock", &lock("four")).expect(200);
    ask("DELETE", "prod/lock?ID=four", "").expect(200);
    ask("DELETE", "prod", "").expect(200);
    ask("GET", "prod", "").expect(404);
    ask("DELETE", "prod", "").expect(404);
}

#[test]
fn only_developers_read_states_and_only_maintainers_write_them() {
    let forge = forge!();
    let project = forge.project("public");
    let maintainer = project.token(&["api"], 40);
    ask(&project, &maintainer, "POST", "prod", &version(1)).expect(200);
    let developer = project.token(&["api"], 30);
    ask(&project, &developer, "GET", "prod", "").expect(200);
    ask(&project, &developer, "POST", "prod", &version(2)).expect(403);
    ask(&project, &developer, "POST", "prod/lock", &lock("one")).expect(403);
    ask(&project, &project.token(&["api"], 20), "GET", "prod", "").expect(403);
    ask(&project, &project.token(&["read_api"], 40), "GET", "prod", "").expect(200);
    ask(&project, &project.token(&["read_api"], 40), "DELETE", "prod", "").expect(403);
    ask(&project, &project.token(&["read_repository"], 40), "GET", "prod", "").expect(403);
    forge.anyone().get(&project.path("/terraform/state/prod")).expect(401);
    assert_eq!(ask(&project, &maintainer, "GET", "prod", "").text, version(1));
}

#[test]
fn what_is_no_state_is_refused_and_what_is_one_is_encrypted() {
    let forge = forge!(|settings| settings.max_terraform_state_bytes = 1000);
    let project = forge.project("private");
    let bot = project.token(&["api"], 40);
    let ask = |method: &str, rest: &str, body: &str| ask(&project, &bot, method, rest, body);
    for wrong in ["", "[]", "x", "\"text\""] {
        ask("POST", "prod", wrong).expect(400);
    }
    let large = json!({ "text": "x".repeat(1000) }).to_string();
    let refused = ask("POST", "prod", &large).expect(413).json();
    assert_eq!(refused, json!({ "error": "The request body is larger than 1000 bytes." }));
    for wrong in ["", "{}", "{\"ID\":\"\"}"] {
        ask("POST", "prod/lock", wrong).expect(400);
    }
    ask("POST", "a%20b", &version(1)).expect(400);
    ask("POST", &"x".repeat(256), &version(1)).expect(400);
    ask("GET", "prod", "").expect(404);

    // The checksum that Terraform sends is that of the body.
    let path = format!("/api/v4{}", project.path("/terraform/state/prod"));
    let send = |sum: &str| bot.send("POST", &path, &[("content-md5", sum)], version(1).as_bytes());
    let right = base64::engine::general_purpose::STANDARD.encode(md5(&version(1)));
    send("AAAAAAAAAAAAAAAAAAAAAA==").expect(400);
    ask("GET", "prod", "").expect(404);
    send(&right).expect(200);

    let audit = forge.root().get(&project.path("/audit_events")).expect(200).text;
    assert!(audit.contains("terraform_state_written") && !audit.contains("hunter2"), "{audit}");
    let data = forge.folder().join("data");
    for file in
        std::fs::read_dir(data).unwrap().map(|file| file.unwrap().path()).filter(|path| path.is_file())
    {
        let content = std::fs::read(&file).unwrap();
        assert!(!content.windows(7).any(|part| part == b"hunter2"), "{}", file.display());
    }
}

/// The checksum of RFC 1321, by a program that every machine with Git has.
fn md5(text: &str) -> Vec<u8> {
    use std::io::Write as _;
    let mut child = std::process::Command::new("md5sum")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let said = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    (0..16).map(|at| u8::from_str_radix(&said[2 * at..2 * at + 2], 16).unwrap()).collect()
}
