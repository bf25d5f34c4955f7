//! The requests that a fetch is made of, recorded once and replayed, beside `git http-backend`.

use std::path::Path;
use std::slice::from_ref;

use anyhow::{Context, ensure};

use crate::bars::{self, Bar};
use crate::client::{self, Credential};
use crate::git;
use crate::report::{Check, Row, Side};
use crate::run::{CODE, Stage};
use crate::series::Series;
use crate::wire;
use crate::wrk::Request;

pub const TITLE: &str = "Git's requests, replayed, beside git http-backend";

const CONNECTIONS: u32 = 8;

/// What an answer must hold.
#[derive(Clone, Copy)]
enum Holds {
    Capabilities,
    Refs(usize),
    Objects,
}

pub fn measure(stage: &Stage) -> anyhow::Result<Vec<Row>> {
    clone_and_compare(stage)?;
    let repository = &stage.repository;
    let lines = repository.refs.lines().count();
    let cases = [
        ("info/refs, protocol v2", Vec::new(), Holds::Capabilities, bars::LS_REMOTE_RATE),
        ("ls-refs, all branches and tags", wire::ls_refs(), Holds::Refs(lines + 1), bars::LS_REMOTE_RATE),
        (
            "fetch of the last five commits",
            wire::fetch(from_ref(&repository.tip), from_ref(&repository.five_back)),
            Holds::Objects,
            bars::FETCH_BESIDE_BACKEND,
        ),
        (
            "full clone, every branch and tag",
            wire::fetch(&repository.tips, &[]),
            Holds::Objects,
            bars::FETCH_BESIDE_BACKEND,
        ),
    ];
    cases.into_iter().map(|(title, body, holds, bar)| case(stage, title, body, holds, bar)).collect()
}

fn case(stage: &Stage, title: &'static str, body: Vec<u8>, holds: Holds, bar: Bar) -> anyhow::Result<Row> {
    let request = |mut request: Request, repository: &str| {
        request.headers.push(("Git-Protocol", "version=2".to_owned()));
        if body.is_empty() {
            request.path = format!("{repository}/info/refs?service=git-upload-pack");
        } else {
            request.path = format!("{repository}/git-upload-pack");
            request.method = "POST";
            request.body = body.clone();
            request.headers.push(("Content-Type", "application/x-git-upload-pack-request".to_owned()));
        }
        request
    };
    let product = request(stage.product.git(&stage.secret), &format!("/{CODE}.git"));
    let peer = request(crate::peers::get(stage.nginx.address(), "/"), "/git/tuned.git");
    let each_its_own = Request { numbered: true, ..product.clone() };
    let models = [product.once()?, peer.once()?];
    let mut contestants = vec![
        ("portcullis", product, stage.product.roots(), &models[0]),
        ("git http-backend", peer, stage.nginx.roots(), &models[1]),
    ];
    let mut notes = vec![format!("{CONNECTIONS} connections.")];
    match holds {
        Holds::Capabilities => {
            for model in &models {
                ensure!(
                    model.body.windows(9).any(|text| text == b"version 2"),
                    "{title}: not protocol version 2"
                );
            }
        }
        Holds::Refs(expected) => {
            ensure!(models[0].body == models[1].body, "{title}: the two do not answer the same bytes");
            ensure!(wire::count_refs(&models[0].body)? == expected, "{title}: not every ref was answered");
            notes.push(format!("{expected} refs, {} bytes.", models[0].body.len()));
        }
        Holds::Objects => {
            let counts = [wire::count_objects(&models[0].body)?, wire::count_objects(&models[1].body)?];
            ensure!(
                counts[0] == counts[1] && counts[0] > 0,
                "{title}: {} objects, the peer {}",
                counts[0],
                counts[1]
            );
            notes.push(format!(
                "{} objects; {} bytes, the peer {}.",
                counts[0],
                models[0].body.len(),
                models[1].body.len()
            ));
            notes.push(
                "The product computes this answer twice, keeps the second one, and hands it out from then on; the peer \
                 computes it each time. The requests of the third line carry a number each, so none is like another, and \
                 Git computes each answer."
                    .to_owned(),
            );
            contestants.push((
                "portcullis, each request its own",
                each_its_own,
                stage.product.roots(),
                &models[0],
            ));
        }
    }
    // A full clone takes part of a second, so its rounds are longer.
    let large = models[0].body.len() > 1_000_000;
    let seconds = if large { stage.seconds() * 2 } else { stage.seconds() };
    let mut sides: Vec<Side> = contestants.iter().map(|(name, ..)| Side::new(name)).collect();
    let mut latencies = vec![Vec::<f64>::new(); contestants.len()];
    for _ in 0..stage.rounds() {
        for (number, (_, request, roots, model)) in contestants.iter().enumerate() {
            sides[number].round(roots, || {
                let load = request.repeat(CONNECTIONS, seconds, model, &stage.work)?;
                latencies[number].push(load.p50 as f64 / 1e3);
                Ok((load.rate(), load.requests as f64))
            })?;
        }
    }
    for (side, p50) in sides.iter_mut().zip(latencies) {
        side.details.push(format!("p50 {:.1} ms", Series(p50).median()));
    }
    let mut checks = vec![Check::ratio(&sides[0], &sides[1], Some(bar))];
    checks.extend(sides.get(2).map(|each_its_own| Check::ratio(each_its_own, &sides[1], None)));
    Ok(Row { title, unit: "requests/s", sides, checks, notes, void: None })
}

/// Clones from both servers, checks every object, and compares every ref with what was pushed.
fn clone_and_compare(stage: &Stage) -> anyhow::Result<()> {
    let token = Credential::header(&stage.secret);
    clone(stage, &stage.product.url(CODE), &token, "cloned-product.git").context("from portcullis")?;
    clone(stage, &stage.nginx.url("tuned.git"), &Credential::None, "cloned-peer.git").context("from the peer")
}

fn clone(stage: &Stage, url: &str, credential: &Credential, name: &str) -> anyhow::Result<()> {
    let target = stage.work.join(name);
    let mut command = client::command(Path::new(&stage.work), credential);
    git::output(command.args(["clone", "--quiet", "--bare", url]).arg(&target))?;
    git::run(&target, &["fsck", "--full", "--strict"])?;
    ensure!(git::refs(&target)? == stage.repository.refs, "a clone does not have the refs that were pushed");
    std::fs::remove_dir_all(target)?;
    Ok(())
}
