//! The real `git lfs` as people and machines use it: pushed, cloned, gone on with, locked, and what it prints when the forge
//! says no.

#![expect(clippy::unwrap_used, reason = "a test, with functions that serve the tests")]

use std::process::Command;

use portcullis_testkit::{Bot, Git, GitAnswer, Project, forge};
use serde_json::json;

/// Runs Git with `git lfs` beside it, telling what it does.
fn traced(git: &Git, folder: &str, arguments: &[&str]) -> GitAnswer {
    run(git.command(folder, arguments).env("GIT_TRACE", "1"))
}

fn run(command: &mut Command) -> GitAnswer {
    let output = command.output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    GitAnswer { ok: output.status.success(), text: String::from_utf8_lossy(&text).into_owned() }
}

/// Returns a work tree `work` of the project in which `*.bin` are large files.
fn work_tree(project: &Project, bot: &Bot) -> Git {
    let git = Git::default();
    clone(&git, project, &bot.secret, "work");
    git.run_in("work", &["lfs", "track", "*.bin"]).works();
    git
}

#[track_caller]
fn clone(git: &Git, project: &Project, secret: &str, folder: &str) {
    project.clone_with(git, secret, folder);
    // Nothing of the machine's configuration is seen here, so the repository has its own.
    let installed = git.run_in(folder, &["lfs", "install", "--local"]);
    assert!(installed.ok, "`scripts/setup test` installs git-lfs: {}", installed.text);
    git.run_in(folder, &["config", "lfs.locksverify", "true"]).works();
}

fn read(git: &Git, file: &str) -> Vec<u8> {
    std::fs::read(git.path(file)).unwrap()
}

fn write(git: &Git, file: &str, content: &[u8]) {
    std::fs::write(git.path(file), content).unwrap();
}

/// Some bytes that do not compress.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 88_172_645_463_325_252_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    std::iter::repeat_with(next).take(length).collect()
}

#[test]
fn large_files_are_pushed_and_come_with_a_fresh_clone() {
    let forge = forge!();
    let project = forge.project("private");
    let git = work_tree(&project, &project.token(&["write_repository"], 40));
    let large = noise(3_000_000);
    write(&git, "work/large.bin", &large);
    for number in 0..30 {
        write(&git, &format!("work/{number}.bin"), format!("file {number}").as_bytes());
    }
    write(&git, "work/empty.bin", b"");
    git.commit("work", "notes.md", "beside them");
    git.run_in("work", &["push", "origin", "main"]).works();

    let reader = project.token(&["read_repository"], 20);
    clone(&git, &project, &reader.secret, "copy");
    assert!(
        read(&git, "copy/large.bin").starts_with(b"version https://git-lfs"),
        "a pointer until it is fetched"
    );
    git.run_in("copy", &["lfs", "pull"]).works();
    assert!(read(&git, "copy/large.bin") == large);
    assert_eq!(read(&git, "copy/29.bin"), b"file 29");
    git.run_in("copy", &["lfs", "fsck"]).works();
    // What is there is not sent again.
    let said = traced(&git, "work", &["lfs", "push", "--all", "origin"]).works();
    assert!(!said.contains("gitlab-lfs/objects"), "{said}");
    // A new version of one file is one more.
    write(&git, "work/large.bin", &noise(2_000_000));
    git.commit("work", "notes.md", "another version");
    git.run_in("work", &["push", "origin", "main"]).works();
    git.run_in("copy", &["pull", "-q"]).works();
    assert_eq!(read(&git, "copy/large.bin").len(), 2_000_000);
    let project = forge.root().get(&project.path("?statistics=true")).json();
    assert!(project["statistics"]["lfs_objects_size"].as_i64().unwrap() > 5_000_000);
}

#[test]
fn anybody_fetches_the_large_files_of_a_public_project() {
    let forge = forge!();
    let project = forge.project("public");
    let git = work_tree(&project, &project.token(&["write_repository"], 40));
    write(&git, "work/a.bin", b"open to all");
    git.commit("work", "notes.md", "a");
    git.run_in("work", &["push", "origin", "main"]).works();
    git.run(&["clone", "-q", &project.plain_git_url(), "copy"]).works();
    git.run_in("copy", &["lfs", "install", "--local"]).works();
    git.run_in("copy", &["lfs", "pull"]).works();
    assert_eq!(read(&git, "copy/a.bin"), b"open to all");
}

#[test]
fn a_download_that_was_cut_off_goes_on_where_it_was() {
    let forge = forge!();
    let project = forge.project("private");
    let bot = project.token(&["write_repository"], 40);
    let git = work_tree(&project, &bot);
    let large = noise(1_000_000);
    write(&git, "work/large.bin", &large);
    git.commit("work", "notes.md", "a");
    git.run_in("work", &["push", "origin", "main"]).works();
    clone(&git, &project, &bot.secret, "copy");
    // What a client leaves that is killed while it downloads.
    let pointer = String::from_utf8(read(&git, "copy/large.bin")).unwrap();
    let oid = pointer.split("sha256:").nth(1).unwrap().split('\n').next().unwrap();
    std::fs::create_dir_all(git.path("copy/.git/lfs/incomplete")).unwrap();
    write(&git, &format!("copy/.git/lfs/incomplete/{oid}.part"), &large[..400_000]);
    let said = traced(&git, "copy", &["lfs", "pull"]).works();
    assert!(said.contains("server accepted resume"), "{said}");
    assert!(read(&git, "copy/large.bin") == large);
}

#[test]
fn a_push_that_was_killed_is_pushed_again() {
    let forge = forge!();
    let project = forge.project("private");
    let bot = project.token(&["write_repository"], 40);
    let git = work_tree(&project, &bot);
    for number in 0..8_usize {
        write(&git, &format!("work/{number}.bin"), &noise(2_000_000 + number));
    }
    git.commit("work", "notes.md", "a");
    let mut push = git.command("work", &["lfs", "push", "origin", "main"]).spawn().unwrap();
    // However far it has come.
    std::thread::sleep(std::time::Duration::from_millis(300));
    let _ = push.kill();
    push.wait().unwrap();
    git.run_in("work", &["push", "origin", "main"]).works();
    clone(&git, &project, &bot.secret, "copy");
    git.run_in("copy", &["lfs", "pull"]).works();
    assert_eq!(read(&git, "copy/7.bin").len(), 2_000_007);
}

#[test]
fn a_file_that_somebody_locked_is_left_alone() {
    let forge = forge!();
    let project = forge.project("private");
    let [one, two] = ["renderer", "painter"].map(|name| {
        let body = json!({ "name": name, "scopes": ["write_repository"], "access_level": 40 });
        project.token_with(body)
    });
    let git = work_tree(&project, &one);
    write(&git, "work/hero.bin", b"one");
    git.commit("work", "notes.md", "a");
    git.run_in("work", &["push", "origin", "main"]).works();
    git.run_in("work", &["lfs", "lock", "hero.bin"]).works();
    clone(&git, &project, &two.secret, "other");
    git.run_in("other", &["lfs", "pull"]).works();
    let locks = git.run_in("other", &["lfs", "locks"]).works();
    assert!(locks.contains("hero.bin") && locks.contains("renderer"), "{locks}");
    git.run_in("other", &["lfs", "lock", "hero.bin"]).fails_with("already locked by renderer");
    write(&git, "other/hero.bin", b"two");
    git.commit("other", "notes.md", "b");
    git.run_in("other", &["push", "origin", "main"]).fails_with("hero.bin - renderer");
    git.run_in("other", &["lfs", "unlock", "--force", "hero.bin"]).works();
    git.run_in("other", &["push", "origin", "main"]).works();
    assert_eq!(git.run_in("work", &["lfs", "locks"]).works().trim(), "");
}

#[test]
fn what_a_token_may_not_do_is_said_to_the_person() {
    let forge = forge!();
    let project = forge.project("private");
    let git = work_tree(&project, &project.token(&["write_repository"], 40));
    write(&git, "work/a.bin", b"content");
    git.commit("work", "notes.md", "a");
    let reader = project.token(&["read_repository"], 40);
    git.run_in("work", &["remote", "set-url", "origin", &project.git_url("x", &reader.secret)]).works();
    let said = git.run_in("work", &["lfs", "push", "origin", "main"]);
    said.fails_with("it needs one of the scopes api, write_repository");
    // A person who may only read the project is told that the role is too low.
    let reporter = project.token(&["write_repository"], 20);
    git.run_in("work", &["remote", "set-url", "origin", &project.git_url("x", &reporter.secret)]).works();
    git.run_in("work", &["lfs", "push", "origin", "main"]).fails_with("Check your access level");
    // A dead token is asked for again, and nobody is there to answer.
    std::fs::remove_dir_all(git.path("work/.git/lfs/objects")).unwrap();
    forge.root().delete(&project.path(&format!("/access_tokens/{}", reader.token_id))).expect(204);
    git.run_in("work", &["remote", "set-url", "origin", &project.git_url("x", &reader.secret)]).works();
    assert!(!git.run_in("work", &["lfs", "fetch", "origin", "main"]).ok);
}

#[test]
fn a_push_without_its_large_files_is_refused_and_works_with_them() {
    let forge = forge!();
    let project = forge.project("private");
    let git = work_tree(&project, &project.token(&["write_repository"], 40));
    write(&git, "work/a.bin", b"content");
    git.commit("work", "notes.md", "a");
    run(git.command("work", &["push", "origin", "main"]).env("GIT_LFS_SKIP_PUSH", "1"))
        .fails_with("LFS objects are missing. Ensure LFS is properly set up");
    git.run_in("work", &["lfs", "push", "--all", "origin"]).works();
    git.run_in("work", &["push", "origin", "main"]).works();
}

#[test]
fn a_token_works_in_every_place_where_git_keeps_credentials() {
    let forge = forge!();
    let project = forge.project("private");
    let git = work_tree(&project, &project.token(&["write_repository"], 40));
    write(&git, "work/a.bin", b"content");
    git.commit("work", "notes.md", "a");
    git.run_in("work", &["push", "origin", "main"]).works();
    let secret = project.token(&["read_api"], 20).secret;
    let host = forge.url.strip_prefix("http://").unwrap().split(':').next().unwrap();
    let helper = format!("credential.helper=!f() {{ echo username=x; echo password={secret}; }}; f");
    let header = format!("http.extraHeader=Authorization: Bearer {secret}");
    for (folder, place) in [("helper", helper.as_str()), ("header", &header), ("netrc", "user.name=x")] {
        if folder == "netrc" {
            let text = format!("machine {host} login x password {secret}\n");
            std::fs::write(git.path(".netrc"), text).unwrap();
        }
        git.run(&["-c", place, "clone", "-q", &project.plain_git_url(), folder]).works();
        git.run_in(folder, &["lfs", "install", "--local"]).works();
        git.run_in(folder, &["-c", place, "lfs", "pull"]).works();
        assert_eq!(read(&git, &format!("{folder}/a.bin")), b"content", "{folder}");
    }
}
