//! Pages, as a browser that is signed in asks for them: Access Tokens of a project with a thousand tokens, and the first
//! page of a project with ten thousand files.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, ensure};
use portcullis_app::forge::{INITIAL_PASSWORD_FILE, SQLITE_FILE};
use portcullis_app::records::db::{Db, Target};
use portcullis_app::records::projects;
use portcullis_rules::id::ProjectId;

use super::reads::{self, Subject};
use crate::bars;
use crate::client::{self, Credential};
use crate::git::{self, Random};
use crate::http::Connection;
use crate::population;
use crate::product::Product;
use crate::report::{Check, Row};
use crate::run::{Stage, copy};

pub const TITLE: &str = "Pages";

/// What a browser takes.
const COMPRESSED: (&str, &str) = ("Accept-Encoding", "gzip");

const TOKENS: u32 = 1_000;
const FILES: usize = 10_000;
const FOLDERS: usize = 100;

pub fn measure(stage: &Stage) -> anyhow::Result<Vec<Row>> {
    let data = stage.work.join("pages");
    copy(&stage.small, &data)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(fill(&data, stage.projects[0]))?;
    let product = Product::start(&stage.portcullis, &data, &stage.log())?;
    for (number, spread) in [(1, true), (2, false)] {
        let repository = stage.work.join(format!("files-{number}.git"));
        files(&repository, spread)?;
        let mut push = client::command(&repository, &Credential::header(&stage.root));
        git::output(push.args(["push", "--quiet", &product.url(&format!("root/load-0{number}")), "main"]))?;
    }
    product.wait_until_quiet()?;
    let cookie = sign_in(&product, &data)?;
    let mut rows = Vec::new();
    for (title, path, expected) in [
        (
            "Access Tokens of a project with 1,000 tokens",
            "/root/load-00/-/settings/access_tokens",
            "Page 1 of 5",
        ),
        ("a project with 10,000 files in 100 folders", "/root/load-01", "folder-099"),
        ("a project with 10,000 files in one folder", "/root/load-02", "file-00000.txt"),
    ] {
        let subject = Subject {
            title,
            path: path.to_owned(),
            headers: vec![("Cookie", &cookie), COMPRESSED],
            git: None,
            bar: bars::PAGE_MILLISECONDS,
            is_same: false,
        };
        let mut row = reads::measure(stage, &product, &subject, |answer| {
            ensure!(answer.header("content-encoding") == Some("gzip"), "{path} is not compressed");
            Ok(())
        })?;
        let bytes = first_view(&product, &cookie, path, expected)?;
        row.checks.push(Check::new("first view", bytes, "bytes", Some(bars::FIRST_VIEW_BYTES)));
        rows.push(row);
    }
    product.stop()?;
    Ok(rows)
}

/// Returns how many bytes a browser gets that sees a page for the first time, with all that it is drawn with.
fn first_view(product: &Product, cookie: &str, path: &str, expected: &str) -> anyhow::Result<f64> {
    let mut connection = Connection::open(product.address())?;
    let page = connection.send("GET", path, &[("Cookie", cookie)], b"")?.expect(200)?;
    let text = String::from_utf8_lossy(&page.body);
    ensure!(text.contains(expected), "{path} does not show {expected}");
    let assets = text.split('"').filter(|part| part.starts_with("/-/assets/")).collect::<BTreeSet<_>>();
    ensure!(assets.len() == 3, "{path} is drawn with {assets:?}");
    let mut bytes = 0;
    for path in assets.into_iter().chain([path]) {
        let answer = connection.send("GET", path, &[("Cookie", cookie), COMPRESSED], b"")?.expect(200)?;
        bytes += answer.bytes_on_the_wire;
    }
    Ok(bytes as f64)
}

/// Gives a project its tokens, through the store's own functions.
async fn fill(data: &Path, project: ProjectId) -> anyhow::Result<()> {
    let db = Db::open(&Target::Sqlite(data.join(SQLITE_FILE))).await?;
    let mut tx = db.begin().await?;
    let creator = projects::find(&mut tx, project).await?.context("the project is gone")?.creator;
    let mut random = Random(99 << 40);
    for number in 0..TOKENS {
        let digest = population::secret_of(&mut random).digest();
        // The first names are those of the tokens that are there.
        population::add(&mut tx, project, 1_000 + number, digest, creator).await?;
    }
    tx.commit().await?;
    Ok(())
}

/// Signs the administrator in and returns the cookie.
fn sign_in(product: &Product, data: &Path) -> anyhow::Result<String> {
    let password = std::fs::read_to_string(data.join(INITIAL_PASSWORD_FILE))?;
    let body = format!("login=root&password={}", password.trim());
    let origin = format!("http://{}", product.address());
    let headers = [("Origin", origin.as_str()), ("Content-Type", "application/x-www-form-urlencoded")];
    let mut connection = Connection::open(product.address())?;
    let answer = connection.send("POST", "/users/sign_in", &headers, body.as_bytes())?.expect(303)?;
    let cookie = answer.header("set-cookie").context("no cookie")?;
    Ok(cookie.split(';').next().unwrap_or_default().to_owned())
}

/// Makes a repository of ten thousand files.
fn files(path: &Path, spread: bool) -> anyhow::Result<()> {
    std::fs::create_dir_all(path)?;
    git::run(path, &["init", "--quiet", "--bare", "--initial-branch=main"])?;
    let mut import = git::command(path);
    import.args(["fast-import", "--quiet", "--done"]).stdin(Stdio::piped());
    let mut child = import.spawn().context("git cannot be started")?;
    let mut to = std::io::BufWriter::new(child.stdin.take().context("git was started without an input")?);
    let who = "Bench <bench@example.com> 1700000000 +0000";
    write!(to, "commit refs/heads/main\nauthor {who}\ncommitter {who}\ndata 9\nAll of it\n")?;
    let readme = "# Files\n\nThere are ten thousand.\n";
    write!(to, "M 100644 inline README.md\ndata {}\n{readme}\n", readme.len())?;
    for number in 0..FILES {
        let folder = if spread { format!("folder-{:03}/", number % FOLDERS) } else { String::new() };
        let text = format!("This is file {number}.\n");
        write!(to, "M 100644 inline {folder}file-{number:05}.txt\ndata {}\n{text}\n", text.len())?;
    }
    writeln!(to, "done")?;
    to.flush()?;
    drop(to);
    ensure!(child.wait()?.success(), "the files could not be imported");
    git::run(path, &["repack", "-a", "-d", "-q"])?;
    Ok(())
}
