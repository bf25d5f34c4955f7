//! Lists and repository reads over the API, asked one after another on one connection: beside the same bytes from a bare
//! handler, and where a person would ask git, beside that command. And the cost of a page, however far it is.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Instant;

use anyhow::{Context, ensure};
use portcullis_app::forge::SQLITE_FILE;
use portcullis_app::records::db::{Db, Target};
use portcullis_app::records::issues::{self, NewIssue};
use portcullis_app::records::projects;
use portcullis_rules::id::ProjectId;
use serde_json::json;

use super::reads::{self, Subject};
use crate::bars;
use crate::client::{self, Credential};
use crate::git;
use crate::http::Connection;
use crate::product::Product;
use crate::report::{Check, Row, Side};
use crate::run::{Stage, copy};
use crate::series::Series;

pub const TITLE: &str = "Lists and repository reads over the API";

const ISSUES: i64 = 100_000;
const COMMITS: usize = 50_000;
const ENTRIES: usize = 1_000;

/// How many issues go into one transaction.
const BATCH: i64 = 20_000;

/// How many pages by keyset lie before the one that is far away.
const FAR_PAGES: usize = 999;

/// When the first issue was made: any moment in the past.
const MADE_AT: i64 = 1_700_000_000_000_000;

/// A forge with much in it.
struct Place {
    product: Product,
    secret: String,
    planned: ProjectId,
    code: ProjectId,
    repository: PathBuf,
}

pub fn measure(stage: &Stage) -> anyhow::Result<Vec<Row>> {
    let place = Place::make(stage)?;
    let subjects = place.subjects();
    let mut rows = Vec::new();
    for subject in &subjects {
        rows.push(reads::measure(stage, &place.product, subject, |_| Ok(()))?);
    }
    rows.push(place.far_page(stage)?);
    place.product.stop()?;
    Ok(rows)
}

impl Place {
    fn make(stage: &Stage) -> anyhow::Result<Place> {
        let data = stage.work.join("planned");
        copy(&stage.small, &data)?;
        let (planned, code) = (stage.projects[0], stage.projects[1]);
        tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(fill(&data, planned))?;
        let product = Product::start(&stage.portcullis, &data, &stage.log())?;
        let repository = stage.work.join("long.git");
        history(&repository)?;
        let mut push = client::command(&repository, &Credential::header(&stage.root));
        git::output(push.args(["push", "--quiet", &product.url("root/load-01"), "main", "topic"]))?;
        product.wait_until_quiet()?;
        let mut api = product.api(&stage.root)?;
        let new = json!({ "source_branch": "topic", "target_branch": "main", "title": "A change" });
        api.post(&format!("/projects/{code}/merge_requests"), &new)?.expect(201)?;
        product.wait_until_quiet()?;
        Ok(Place { product, secret: stage.root.clone(), planned, code, repository })
    }

    fn subjects(&self) -> Vec<Subject<'_>> {
        let code = |rest: &str| format!("/api/v4/projects/{}{rest}", self.code);
        let subject = |title, path, git: Option<Vec<&'static str>>| Subject {
            title,
            path,
            headers: vec![("PRIVATE-TOKEN", &self.secret)],
            git: git.map(|arguments| (self.repository.as_path(), arguments)),
            bar: bars::READ_MILLISECONDS,
            is_same: true,
        };
        let issues = format!("/api/v4/projects/{}/issues?per_page=20", self.planned);
        vec![
            subject("20 of 100,000 issues", issues, None),
            subject("a merge request", code("/merge_requests/1"), None),
            subject(
                "100 entries of a directory of 1,000",
                code("/repository/tree?path=many&per_page=100"),
                Some(vec!["ls-tree", "main:many"]),
            ),
            subject(
                "a raw file",
                code("/repository/files/many%2Ffile-0500.txt/raw?ref=main"),
                Some(vec!["show", "main:many/file-0500.txt"]),
            ),
            subject(
                "20 of 50,000 commits",
                code("/repository/commits?per_page=20"),
                Some(vec!["log", "-20", "main"]),
            ),
            subject(
                "20 of 50,000 commits, page 40",
                code("/repository/commits?per_page=20&page=40"),
                Some(vec!["log", "-20", "--skip=780", "main"]),
            ),
        ]
    }

    /// Compares the first page of a list by keyset with one that is far away.
    fn far_page(&self, stage: &Stage) -> anyhow::Result<Row> {
        let headers = [("PRIVATE-TOKEN", self.secret.as_str())];
        let mut connection = Connection::open(self.product.address())?;
        let first = format!("/api/v4/projects/{}/issues?pagination=keyset&per_page=20", self.planned);
        let mut far = first.clone();
        for _ in 0..FAR_PAGES {
            let answer = connection.send("GET", &far, &headers, b"")?.expect(200)?;
            let link = answer.header("link").context("no link to the next page")?;
            let url = link.split(['<', '>']).nth(1).context("a link without an address")?;
            let at = url.find("/api/").context("a link to somewhere else")?;
            far = url[at..].to_owned();
        }
        let mut sides = vec![Side::new("page 1"), Side::new("page 1,000")];
        let times = if stage.arguments.quick { 50 } else { 200 };
        for _ in 0..stage.rounds() {
            for (side, path) in sides.iter_mut().zip([&first, &far]) {
                side.round(&self.product.roots(), || {
                    let mut taken = Series::default();
                    for _ in 0..times {
                        let since = Instant::now();
                        let answer = connection.send("GET", path, &headers, b"")?.expect(200)?;
                        taken.push(since.elapsed().as_secs_f64() * 1e3);
                        ensure!(answer.body.len() > 1000, "the page is empty");
                    }
                    Ok((taken.median(), f64::from(times)))
                })?;
            }
        }
        let checks = vec![Check::ratio(&sides[1], &sides[0], Some(bars::FAR_PAGE))];
        let notes = vec!["Issues by keyset, 20 a page.".to_owned()];
        Ok(Row {
            title: "a page that is far away",
            unit: "ms, median of a round",
            sides,
            checks,
            notes,
            void: None,
        })
    }
}

/// Fills a project with issues, through the store's own functions.
async fn fill(data: &Path, project: ProjectId) -> anyhow::Result<()> {
    let db = Db::open(&Target::Sqlite(data.join(SQLITE_FILE))).await?;
    let mut tx = db.begin().await?;
    let author = projects::find(&mut tx, project).await?.context("the project is gone")?.creator;
    tx.commit().await?;
    for batch in 0..ISSUES / BATCH {
        let mut tx = db.begin().await?;
        for number in batch * BATCH + 1..=(batch + 1) * BATCH {
            let at = MADE_AT + number * 1_000_000;
            let title = format!("Issue {number} about something that does not work");
            let new = NewIssue {
                project,
                iid: number,
                author,
                title: &title,
                description: Some("It was tried twice, and each time something else happened."),
                confidential: false,
                due_date: None,
                created_at: at,
            };
            issues::insert(&mut tx, &new, at).await?;
        }
        tx.commit().await?;
    }
    Ok(())
}

/// Makes a repository with a long history and a large directory, and a branch to be merged.
fn history(path: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(path)?;
    git::run(path, &["init", "--quiet", "--bare", "--initial-branch=main"])?;
    let mut import = git::command(path);
    import.args(["fast-import", "--quiet", "--done"]).stdin(Stdio::piped());
    let mut child = import.spawn().context("git cannot be started")?;
    let mut to = std::io::BufWriter::new(child.stdin.take().context("git was started without an input")?);
    for number in 1..=COMMITS {
        let who = format!("Bench <bench@example.com> {} +0000", 1_600_000_000 + number * 60);
        let message = format!("Change {number}\n\nIt was needed.\n");
        write!(
            to,
            "commit refs/heads/main\nmark :{number}\nauthor {who}\ncommitter {who}\ndata {}\n",
            message.len()
        )?;
        writeln!(to, "{message}")?;
        if number == 1 {
            for entry in 0..ENTRIES {
                let text = format!("This is file {entry}.\n").repeat(50);
                write!(to, "M 100644 inline many/file-{entry:04}.txt\ndata {}\n{text}\n", text.len())?;
            }
        }
        let text = format!("{number}\n");
        write!(to, "M 100644 inline part-{}/count.txt\ndata {}\n{text}\n", number % 50, text.len())?;
    }
    let who = "Bench <bench@example.com> 1700000000 +0000";
    write!(to, "commit refs/heads/topic\nauthor {who}\ncommitter {who}\ndata 6\nTopic\n\nfrom :{COMMITS}\n")?;
    write!(to, "M 100644 inline topic.txt\ndata 2\nx\n\ndone\n")?;
    to.flush()?;
    drop(to);
    ensure!(child.wait()?.success(), "the long history could not be imported");
    git::run(path, &["repack", "-a", "-d", "-q"])?;
    git::run(path, &["commit-graph", "write", "--reachable"])?;
    Ok(())
}
