//! Images pushed and pulled, beside Debian's `docker-registry` over a folder on the same disk.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::ensure;
use serde_json::json;

use crate::bars::{self, Bar};
use crate::http::Connection;
use crate::images::{Content, Image};
use crate::peers::{DockerRegistry, get};
use crate::processes::{memory, reset_peak};
use crate::report::{Check, Row, Side};
use crate::run::{Stage, say};
use crate::wrk::Request;

pub const TITLE: &str = "Images";

const GIB: u64 = 1024 * 1024 * 1024;
const SMALL_BYTES: u64 = 100 * 1024;
const SMALL_COUNT: usize = 1_000;
const CONNECTIONS: u32 = 64;

/// How many clients pull or push at once where there are several.
const CLIENTS: usize = 8;

const ACCEPTED: &str = "application/vnd.oci.image.manifest.v1+json";

/// The product and its peer.
struct Contest<'a> {
    stage: &'a Stage,
    peer: DockerRegistry,
    secret: String,
}

/// One of the two.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Who {
    Ours,
    Theirs,
}

const BOTH: [Who; 2] = [Who::Ours, Who::Theirs];

impl Who {
    fn name(self) -> &'static str {
        match self {
            Who::Ours => "portcullis",
            Who::Theirs => "docker-registry",
        }
    }
}

impl Contest<'_> {
    fn image(&self, who: Who) -> anyhow::Result<Image> {
        match who {
            // A bearer lives for minutes: each round has its own.
            Who::Ours => Image::with_token(self.stage.product.address(), "root/images", &self.secret),
            Who::Theirs => Ok(Image::open(self.peer.address(), "root/images")),
        }
    }

    fn roots(&self, who: Who) -> Vec<u32> {
        match who {
            Who::Ours => self.stage.product.roots(),
            Who::Theirs => self.peer.roots(),
        }
    }

    fn id(&self, who: Who) -> u32 {
        match who {
            Who::Ours => self.stage.product.id(),
            Who::Theirs => self.peer.id(),
        }
    }

    /// The highest mark of memory since it was last reset, in MiB.
    fn peak(&self, who: Who) -> f64 {
        memory(self.id(who)).map_or(f64::NAN, |memory| memory.peak as f64 / 1024.0)
    }

    fn gib(&self) -> u64 {
        if self.stage.arguments.quick { GIB / 16 } else { GIB }
    }

    fn small_count(&self) -> usize {
        if self.stage.arguments.quick { SMALL_COUNT / 10 } else { SMALL_COUNT }
    }

    /// How many rounds there are of what takes seconds each.
    fn rounds(&self) -> usize {
        if self.stage.arguments.quick { 1 } else { 5 }
    }
}

pub fn measure(stage: &Stage) -> anyhow::Result<Vec<Row>> {
    let peer = DockerRegistry::start(&stage.work)?;
    let mut api = stage.product.api(&stage.root)?;
    let project = api.project("images")?;
    let scopes = json!(["api"]);
    let secret = api.token(project, &json!({ "name": "images", "access_level": 40, "scopes": scopes }))?;
    stage.product.wait_until_quiet()?;
    let contest = Contest { stage, peer, secret };
    for who in BOTH {
        reset_peak(contest.id(who))?;
    }
    let mut rows = manifests(&contest)?;
    let after_manifests = BOTH.map(|who| contest.peak(who));
    let mut growth = Vec::new();
    for (title, clients, count, length) in [
        ("push of 1 GiB as one blob", 1, 1, contest.gib()),
        ("push of 1,000 blobs of 100 KiB, one after another", 1, contest.small_count(), SMALL_BYTES),
        ("push of 1,000 blobs of 100 KiB, 8 at a time", CLIENTS, contest.small_count(), SMALL_BYTES),
    ] {
        rows.push(pushes(&contest, title, clients, count, length)?);
        growth.push(format!(
            "{title}: {:.1} MiB and {:.1} MiB",
            contest.peak(Who::Ours),
            contest.peak(Who::Theirs)
        ));
    }
    for (title, clients) in [("pull of 1 GiB by 1 client", 1), ("pull of 1 GiB by 8 clients", CLIENTS)] {
        rows.push(pulls(&contest, title, clients)?);
        growth.push(format!(
            "{title}: {:.1} MiB and {:.1} MiB",
            contest.peak(Who::Ours),
            contest.peak(Who::Theirs)
        ));
    }
    rows.push(peaks(&contest, after_manifests, growth));
    Ok(rows)
}

/// Runs rounds of both, taking turns.
fn take_turns(
    contest: &Contest<'_>,
    rounds: usize,
    mut measure: impl FnMut(Who, usize) -> anyhow::Result<(f64, f64)>,
) -> anyhow::Result<[Side; 2]> {
    let mut sides = BOTH.map(|who| Side::new(who.name()));
    for round in 0..rounds {
        for (side, who) in sides.iter_mut().zip(BOTH) {
            side.round(&contest.roots(who), || measure(who, round))?;
        }
    }
    Ok(sides)
}

fn row(title: &'static str, unit: &'static str, sides: [Side; 2], bar: Bar, notes: Vec<String>) -> Row {
    let checks = vec![Check::ratio(&sides[0], &sides[1], Some(bar))];
    Row { title, unit, sides: sides.to_vec(), checks, notes, void: None }
}

fn manifests(contest: &Contest<'_>) -> anyhow::Result<Vec<Row>> {
    let (config, layer) = (Content::new(1, 2_000), Content::new(2, SMALL_BYTES));
    let mut digests = Vec::new();
    for who in BOTH {
        let image = contest.image(who)?;
        let mut connection = Connection::open(image.to)?;
        image.push(&mut connection, &config)?;
        image.push(&mut connection, &layer)?;
        digests.push(image.tag("latest", &[&config, &layer])?);
        image.verify(&layer.digest)?;
    }
    ensure!(digests[0] == digests[1], "the two were given different manifests");
    contest.stage.product.wait_until_quiet()?;
    let digest = digests[0].to_string();
    let mut rows = Vec::new();
    for (title, method, reference) in [
        ("GET of a manifest by digest", "GET", digest.as_str()),
        ("GET of a manifest by tag", "GET", "latest"),
        ("HEAD of a manifest by tag", "HEAD", "latest"),
    ] {
        let sides = take_turns(contest, contest.stage.rounds(), |who, _| {
            let image = contest.image(who)?;
            let mut headers = image.headers();
            headers.push(("Accept", ACCEPTED.to_owned()));
            let path = format!("/v2/{}/manifests/{reference}", image.name);
            let request = Request { method, headers, ..get(image.to, &path) };
            let model = request.once()?;
            ensure!(
                model.header("docker-content-digest") == Some(digest.as_str()),
                "another manifest came than the one that was pushed"
            );
            if method == "HEAD" {
                return one_by_one(&request, contest.stage.seconds());
            }
            let load = request.repeat(CONNECTIONS, contest.stage.seconds(), &model, &contest.stage.work)?;
            Ok((load.rate(), load.requests as f64))
        })?;
        let connections = if method == "HEAD" { CLIENTS as u32 } else { CONNECTIONS };
        let notes = vec![format!(
            "{connections} connections. The product checks a bearer and the token behind it on every request; the peer asks \
             nobody who they are."
        )];
        rows.push(row(title, "requests/s", sides, bars::MANIFEST_BESIDE_REGISTRY, notes));
    }
    Ok(rows)
}

/// Repeats a request for some seconds over a few connections, where wrk cannot: it waits for the body of an answer that
/// has none.
fn one_by_one(request: &Request, seconds: u32) -> anyhow::Result<(f64, f64)> {
    let headers: Vec<_> = request.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let answered = AtomicU64::new(0);
    let each: Vec<_> = (0..CLIENTS).collect();
    let since = Instant::now();
    let end = since + Duration::from_secs(u64::from(seconds));
    all_at_once(&each, |_| {
        let mut connection = Connection::open(request.to)?;
        while Instant::now() < end {
            connection.send(request.method, &request.path, &headers, b"")?.expect(200)?;
            answered.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    })?;
    let answered = answered.into_inner() as f64;
    Ok((answered / since.elapsed().as_secs_f64(), answered))
}

fn pushes(
    contest: &Contest<'_>,
    title: &'static str,
    clients: usize,
    count: usize,
    length: u64,
) -> anyhow::Result<Row> {
    say(title);
    let sides = take_turns(contest, contest.rounds(), |who, round| {
        // Nobody has seen this content before.
        let first = (round as u64 + 1) << 32 | length << 8 | clients as u64;
        let contents: Vec<_> =
            (0..count).map(|number| Content::new(first ^ (number as u64) << 16 << 32, length)).collect();
        let image = contest.image(who)?;
        let shares: Vec<_> = contents.chunks(count.div_ceil(clients)).collect();
        let since = Instant::now();
        all_at_once(&shares, |share| {
            let mut connection = Connection::open(image.to)?;
            share.iter().try_for_each(|content| image.push(&mut connection, content))
        })?;
        let seconds = since.elapsed().as_secs_f64();
        for content in contents.iter().step_by(count.div_ceil(20)) {
            image.verify(&content.digest)?;
        }
        contest.stage.product.wait_until_quiet()?;
        Ok((length as f64 * count as f64 / seconds / 1e6, count as f64))
    })?;
    let notes = vec![
        "Each blob is a session and one PUT, of noise that was never pushed before; the product answers when it is on the \
         disk, with the folder's entry and the record."
            .to_owned(),
    ];
    Ok(row(title, "MB/s", sides, bars::PUSH_BESIDE_REGISTRY, notes))
}

fn pulls(contest: &Contest<'_>, title: &'static str, clients: usize) -> anyhow::Result<Row> {
    say(title);
    let content = Content::new(3, contest.gib());
    for who in BOTH {
        let image = contest.image(who)?;
        image.push(&mut Connection::open(image.to)?, &content)?;
        image.verify(&content.digest)?;
    }
    contest.stage.product.wait_until_quiet()?;
    let sides = take_turns(contest, contest.rounds(), |who, _| {
        let image = contest.image(who)?;
        let each: Vec<_> = (0..clients).collect();
        let since = Instant::now();
        all_at_once(&each, |_| {
            image.pull(&mut Connection::open(image.to)?, &content.digest, content.length())
        })?;
        let bytes = content.length() as f64 * clients as f64;
        Ok((bytes / since.elapsed().as_secs_f64() / 1e6, clients as f64))
    })?;
    let notes =
        vec!["The clients read and throw away; both servers have the file in the page cache.".to_owned()];
    Ok(row(title, "MB/s", sides, bars::PULL_BESIDE_REGISTRY, notes))
}

/// Runs `act` for each, all at once, and returns when all are done.
fn all_at_once<T: Sync>(each: &[T], act: impl Fn(&T) -> anyhow::Result<()> + Sync) -> anyhow::Result<()> {
    let act = &act;
    std::thread::scope(|scope| {
        let running: Vec<_> = each.iter().map(|one| scope.spawn(move || act(one))).collect();
        running
            .into_iter()
            .try_for_each(|one| one.join().map_err(|_| anyhow::anyhow!("a client panicked"))?)
    })
}

fn peaks(contest: &Contest<'_>, after_manifests: [f64; 2], growth: Vec<String>) -> Row {
    let mut sides = BOTH.map(|who| Side::new(who.name()));
    for (side, who) in sides.iter_mut().zip(BOTH) {
        side.add(contest.peak(who), 1.0);
    }
    let grown = contest.peak(Who::Ours) - after_manifests[0];
    let checks = vec![
        Check::ratio(&sides[0], &sides[1], Some(bars::MEMORY_BESIDE_REGISTRY)),
        Check::new("growth of the product's mark over pushes and pulls", grown, "MiB", None),
    ];
    let mut notes = vec![
        "The kernel's own mark (VmHWM), reset before the first request for an image. After each step, product and peer:"
            .to_owned(),
    ];
    notes.extend(growth);
    Row {
        title: "Memory at its highest over all of this",
        unit: "MiB",
        sides: sides.to_vec(),
        checks,
        notes,
        void: None,
    }
}
