//! `git ls-remote` and `git push` of one commit, as a person waits for them.

use anyhow::ensure;

use crate::bars;
use crate::client::{self, Credential, timed};
use crate::git;
use crate::report::{Check, Row, Side};
use crate::run::{CODE, Stage};

pub const TITLE: &str = "Git as a person runs it, beside git http-backend";

/// A server and how to talk to it.
struct Contestant {
    name: &'static str,
    url: String,
    credential: Credential,
    roots: Vec<u32>,
    branch: &'static str,
    is_product: bool,
}

pub fn measure(stage: &Stage) -> anyhow::Result<Vec<Row>> {
    let contestant = |name, url, credential, roots, branch, is_product| Contestant {
        name,
        url,
        credential,
        roots,
        branch,
        is_product,
    };
    let product = |name, credential, branch| {
        contestant(name, stage.product.url(CODE), credential, stage.product.roots(), branch, true)
    };
    let peer = |name, repository| {
        contestant(name, stage.nginx.url(repository), Credential::None, stage.nginx.roots(), "bench", false)
    };
    let asked = Credential::when_asked(stage.work.join("home"), &stage.secret)?;
    let contestants = [
        product("portcullis", Credential::header(&stage.secret), "bench"),
        peer("git http-backend, tuned", "tuned.git"),
        peer("git http-backend, shipped", "shipped.git"),
        product("portcullis, asks for the token first", asked, "bench-asked"),
    ];
    Ok(vec![ls_remote(stage, &contestants)?, push(stage, &contestants)?])
}

fn ls_remote(stage: &Stage, contestants: &[Contestant]) -> anyhow::Result<Row> {
    // The two peers differ in pushes only.
    let contestants = [&contestants[0], &contestants[1], &contestants[3]];
    let mut sides = contestants.map(|contestant| Side::new(contestant.name));
    for contestant in contestants {
        let mut command = client::command(&stage.work, &contestant.credential);
        let text = git::output(command.args(["ls-remote", "--quiet", &contestant.url]))?;
        for line in stage.repository.refs.lines() {
            ensure!(text.contains(&line.replacen(' ', "\t", 1)), "{} does not show {line}", contestant.name);
        }
    }
    for _ in 0..stage.repetitions() {
        for (side, contestant) in sides.iter_mut().zip(contestants) {
            side.round(&contestant.roots, || {
                let mut command = client::command(&stage.work, &contestant.credential);
                Ok((timed(command.args(["ls-remote", "--quiet", &contestant.url]))? * 1e3, 1.0))
            })?;
        }
    }
    let checks = vec![
        Check::ratio(&sides[0], &sides[1], Some(bars::CLIENT_TIME)),
        Check::ratio(&sides[2], &sides[1], None),
    ];
    let notes = vec![asking_note()];
    Ok(Row {
        title: "git ls-remote, wall clock",
        unit: "ms, start to end of the client",
        sides: sides.to_vec(),
        checks,
        notes,
        void: None,
    })
}

fn asking_note() -> String {
    "A client that sends its token unasked makes the same requests to both servers. One that waits to be asked makes one \
     request more to the product, which the peer, open to everybody, does not need."
        .to_owned()
}

fn push(stage: &Stage, contestants: &[Contestant]) -> anyhow::Result<Row> {
    let mut sides: Vec<Side> = contestants.iter().map(|contestant| Side::new(contestant.name)).collect();
    let commits = &stage.repository.pushes;
    ensure!(commits.len() > stage.repetitions(), "there are too few commits to push");
    for (number, commit) in commits.iter().take(stage.repetitions() + 1).enumerate() {
        for (side, contestant) in sides.iter_mut().zip(contestants) {
            let mut command = client::command(&stage.repository.path, &contestant.credential);
            command.args([
                "push",
                "--quiet",
                &contestant.url,
                &format!("{commit}:refs/heads/{}", contestant.branch),
            ]);
            // The first push makes the branch, and warms up.
            if number == 0 {
                timed(&mut command)?;
            } else {
                side.round(&contestant.roots, || {
                    let milliseconds = timed(&mut command)? * 1e3;
                    if contestant.is_product {
                        // What the product does after its answer counts as its work, and must not disturb the next.
                        stage.product.wait_until_quiet()?;
                    }
                    Ok((milliseconds, 1.0))
                })?;
            }
            verify(stage, contestant, commit)?;
        }
    }
    let checks = vec![
        Check::ratio(&sides[0], &sides[1], Some(bars::CLIENT_TIME)),
        Check::ratio(&sides[0], &sides[2], Some(bars::CLIENT_TIME)),
        Check::ratio(&sides[3], &sides[1], None),
    ];
    let notes = vec![
        asking_note(),
        "The product decides about every ref, records the push, its event and its audit entry, and writes all of it \
         durably; after its answer it counts the commits, packs refs and extends the commit graph, which is in its CPU \
         time but not in the wall clock. The peer does none of that."
            .to_owned(),
    ];
    Ok(Row {
        title: "git push of one commit, wall clock",
        unit: "ms, start to end of the client",
        sides,
        checks,
        notes,
        void: None,
    })
}

fn verify(stage: &Stage, contestant: &Contestant, commit: &str) -> anyhow::Result<()> {
    let mut command = client::command(&stage.work, &contestant.credential);
    let branch = format!("refs/heads/{}", contestant.branch);
    let text = git::output(command.args(["ls-remote", "--quiet", &contestant.url, &branch]))?;
    ensure!(text == format!("{commit}\t{branch}\n"), "{} did not take the push", contestant.name);
    Ok(())
}
