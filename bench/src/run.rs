//! One run: look at the machine, set everything up, calibrate, measure every row, calibrate again, write the report.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::Context;
use portcullis_app::clock::{Clock, SystemClock};
use portcullis_rules::id::ProjectId;
use serde_json::json;

use crate::RunArguments;
use crate::calibrate::{Anchors, MAX_DRIFT};
use crate::client::{self, Credential};
use crate::git::{self, TestRepository};
use crate::machine::{self, Machine};
use crate::peers::{Bare, Nginx, UnpackLimit, configure};
use crate::population::Population;
use crate::product::Product;
use crate::report::{Report, Row};
use crate::rows;

/// How many tokens the small table has.
pub const TOKENS: usize = 1_000;

/// How many projects they are spread over, and how many clients create tokens at once.
pub const PROJECTS: usize = 64;

/// The project that holds the test repository.
pub const CODE: &str = "root/code";

/// Everything that rows measure with.
pub struct Stage {
    pub arguments: RunArguments,
    pub portcullis: PathBuf,
    /// A folder on the measured disk, removed at the end.
    pub work: PathBuf,
    pub product: Product,
    pub bare: Bare,
    pub nginx: Nginx,
    /// A copy of the product's data folder with [`TOKENS`] tokens, which nobody serves.
    pub small: PathBuf,
    pub large: OnceLock<(PathBuf, Population)>,
    /// The administrator's token.
    pub root: String,
    /// A project access token of [`CODE`] that may read the API, fetch and push.
    pub secret: String,
    pub code: ProjectId,
    /// The projects over which tokens are spread.
    pub projects: Vec<ProjectId>,
    /// Tokens of the small table and the project that each opens.
    pub tokens: Vec<(String, ProjectId)>,
    pub repository: TestRepository,
}

impl Stage {
    /// How many rounds each row has.
    pub fn rounds(&self) -> usize {
        if self.arguments.quick { 3 } else { 5 }
    }

    /// How long a round lasts, in seconds.
    pub fn seconds(&self) -> u32 {
        if self.arguments.quick { 1 } else { 3 }
    }

    /// How often something is timed that is timed one by one.
    pub fn repetitions(&self) -> usize {
        if self.arguments.quick { 5 } else { 20 }
    }

    /// A data folder with the large table, which nobody serves; made when it is first asked for.
    pub fn large(&self, runtime: &tokio::runtime::Runtime) -> anyhow::Result<&(PathBuf, Population)> {
        if let Some(made) = self.large.get() {
            return Ok(made);
        }
        let count = self.arguments.tokens;
        say(&format!("filling a table with {count} tokens"));
        let data = self.work.join("large");
        copy(&self.small, &data)?;
        let population = runtime.block_on(Population::fill(&data, self.code, count))?;
        Ok(self.large.get_or_init(|| (data, population)))
    }

    /// The log of the product's processes.
    pub fn log(&self) -> PathBuf {
        self.work.join("portcullis.log")
    }
}

/// Tells the person who waits what is being done.
pub fn say(what: &str) {
    eprintln!("bench: {what}");
}

/// Copies a folder as it is.
pub fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    let status = Command::new("cp").arg("-a").arg(from).arg(to).status()?;
    anyhow::ensure!(status.success(), "{} could not be copied", from.display());
    Ok(())
}

/// The work folder, removed when dropped unless it is to be kept.
struct WorkFolder(PathBuf, bool);

impl Drop for WorkFolder {
    fn drop(&mut self) {
        if self.1 {
            return say(&format!("{} is kept", self.0.display()));
        }
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("bench: {} could not be removed: {error}", self.0.display());
        }
    }
}

/// Runs everything. Returns whether every row says something.
pub fn run(arguments: &RunArguments) -> anyhow::Result<bool> {
    let portcullis = fs::canonicalize(&arguments.portcullis)
        .with_context(|| format!("{} is not there", arguments.portcullis.display()))?;
    fs::create_dir_all(&arguments.out)?;
    let work = arguments.work.join(format!("work-{}", std::process::id()));
    fs::create_dir_all(&work)?;
    let work = WorkFolder(fs::canonicalize(work)?, arguments.keep);
    let mut machine = Machine::look(&portcullis, &work.0);
    let date = jiff::Timestamp::from_microsecond(SystemClock.now())?.strftime("%Y-%m-%dT%H%MZ").to_string();
    say(&machine.line());

    let stage = set_up(arguments, portcullis, &work.0)?;
    say("calibrating");
    let first = Anchors::measure(&work.0, &stage.bare, stage.seconds())?;
    let mut measured: Vec<Row> = Vec::new();
    for name in rows::Name::ALL {
        if !arguments.only.is_empty() && !arguments.only.contains(&name) {
            continue;
        }
        say(&format!("measuring {}", name.title()));
        match name.measure(&stage) {
            Ok(rows) => measured.extend(rows),
            Err(error) => {
                say(&format!("void: {error:#}"));
                measured.push(Row::void(name.title(), &error));
            }
        }
    }
    say("calibrating again");
    let last = Anchors::measure(&work.0, &stage.bare, stage.seconds())?;
    machine.load_after = machine::load();
    let report = Report {
        date,
        quick: arguments.quick,
        conditions: conditions(&stage),
        machine,
        noisy: first.drift(&last).iter().any(|(_, moved)| moved.abs() > MAX_DRIFT),
        first,
        last: Some(last),
        rows: measured,
    };
    drop(stage);
    write(arguments, &report)?;
    for (row, check) in report.judged() {
        let (Some(bar), Some(met)) = (check.bar, check.met) else { continue };
        let verdict = if met { "met" } else { "MISSED" };
        say(&format!(
            "{verdict}: {}: {} = {:.2} {}, bar {bar}",
            row.title, check.what, check.value, check.unit
        ));
    }
    Ok(report.rows.iter().all(|row| row.void.is_none()))
}

fn write(arguments: &RunArguments, report: &Report) -> anyhow::Result<()> {
    let json = serde_json::to_string_pretty(report)?;
    let page = report.page();
    fs::write(arguments.out.join("report.json"), format!("{json}\n"))?;
    fs::write(arguments.out.join("report.md"), &page)?;
    if let Some(folder) = &arguments.save {
        fs::create_dir_all(folder)?;
        fs::write(folder.join(format!("{}.json", report.date)), format!("{json}\n"))?;
        fs::write(folder.join(format!("{}.md", report.date)), &page)?;
    }
    say(&format!("the report is in {}", arguments.out.join("report.md").display()));
    Ok(())
}

fn set_up(arguments: &RunArguments, portcullis: PathBuf, work: &Path) -> anyhow::Result<Stage> {
    say("making the test repository");
    let repository = git::make(&work.join("source.git"))?;
    say(&repository.about);

    say("making a store with a thousand tokens");
    let log = work.join("portcullis.log");
    let data = work.join("store");
    let product = Product::start(&portcullis, &data, &log)?;
    let root = product.root_token(&portcullis)?;
    let mut api = product.api(&root)?;
    let code = api.project("code")?;
    let secret = api.token(
        code,
        &json!({ "name": "bench", "access_level": 40, "scopes": ["read_api", "read_repository", "write_repository"] }),
    )?;
    let mut projects = Vec::new();
    for number in 0..PROJECTS {
        projects.push(ProjectId(api.project(&format!("load-{number:02}"))?));
    }
    let mut tokens = Vec::new();
    for number in 0..TOKENS {
        let project = projects[number % PROJECTS];
        tokens.push((api.token(project.0, &json!({ "name": "deploy", "scopes": ["read_api"] }))?, project));
    }

    say("pushing the test repository");
    let everything = ["refs/heads/*:refs/heads/*", "refs/tags/*:refs/tags/*"];
    let mut push = client::command(&repository.path, &Credential::header(&root));
    git::output(push.args(["push", "--quiet", &product.url(CODE)]).args(everything))?;
    product.wait_until_quiet()?;

    // The peer serves a copy of the very files, bitmaps and all.
    let peers = work.join("peer");
    fs::create_dir_all(&peers)?;
    let stored = product
        .repositories()?
        .into_iter()
        .find(|path| git::refs(path).is_ok_and(|refs| refs == repository.refs))
        .context("the pushed repository is not on disk, or not as it was pushed")?;
    for (name, unpack_limit) in [("tuned.git", UnpackLimit::One), ("shipped.git", UnpackLimit::Shipped)] {
        copy(&stored, &peers.join(name))?;
        configure(&peers.join(name), unpack_limit)?;
    }

    // The shape of the store as it is now is kept for rows that need exactly that.
    product.stop()?;
    let small = work.join("small");
    copy(&data, &small)?;
    let product = Product::start(&portcullis, &data, &log)?;
    product.wait_until_quiet()?;

    let mut request = crate::peers::get(product.address(), &format!("/api/v4/projects/{code}"));
    request.headers.push(("PRIVATE-TOKEN", secret.clone()));
    let file = work.join("project.json");
    fs::write(&file, request.once()?.body)?;
    let bare = Bare::start(&file, work)?;
    let nginx = Nginx::start(&file, &peers, work)?;
    Ok(Stage {
        arguments: arguments.clone(),
        portcullis,
        work: work.to_owned(),
        product,
        bare,
        nginx,
        small,
        large: OnceLock::new(),
        root,
        secret,
        code: ProjectId(code),
        projects,
        tokens,
        repository,
    })
}

fn conditions(stage: &Stage) -> Vec<String> {
    [
        format!("Test repository: {}; both servers hold a copy of the same files, as the product's own upkeep left them.", stage.repository.about),
        "Product and peer take turns round by round; values are medians over rounds, ratios are of medians.".to_owned(),
        "Client and servers share the machine over loopback; no TLS. The product runs as `portcullis serve` with default \
         settings: at most two Git processes for each repository at once on two cores, logging at `info`."
            .to_owned(),
        "The product checks a token on every request and keeps nothing about access between requests; the peers check nothing. Of \
         fetches that are repeated it keeps the answer.".to_owned(),
        "The peer's repositories have transfer.fsckObjects=true, core.fsync=objects,derived-metadata,reference, \
         core.fsyncMethod=fsync and receive.autogc=false, as the product gives its own. The peer called tuned also has \
         transfer.unpackLimit=1, as the product; the one called shipped keeps Git's 100. nginx buffers, logs nothing, and \
         hands requests to as many fcgiwrap workers as twice the cores (no fewer than four)."
            .to_owned(),
        "Every answer was verified before it was timed: status, length and content, and for Git a clone from each server, \
         checked by fsck and compared ref by ref."
            .to_owned(),
        "CPU is user and system time of the servers' process trees, ended children included; the client's is not in it.".to_owned(),
    ]
    .to_vec()
}
