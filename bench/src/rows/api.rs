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

use crate::bars;
use crate::client::{self, Credential, timed};
use crate::git;
use crate::http::Connection;
use crate::peers::Bare;
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

/// What is asked for.
struct Subject {
    title: &'static str,
    path: String,
    /// What a person would ask git in the repository.
    git: Option<Vec<&'static str>>,
}

pub fn measure(stage: &Stage) -> anyhow::Result<Vec<Row>> {
    let place = Place::make(stage)?;
    let subjects = place.subjects();
    let mut rows = Vec::new();
    for subject in &subjects {
        rows.push(place.compare(stage, subject)?);
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

    fn subjects(&self) -> Vec<Subject> {
        let code = |rest: &str| format!("/api/v4/projects/{}{rest}", self.code);
        vec![
            Subject {
                title: "20 of 100,000 issues",
                path: format!("/api/v4/projects/{}/issues?per_page=20", self.planned),
                git: None,
            },
            Subject { title: "a merge request", path: code("/merge_requests/1"), git: None },
            Subject {
                title: "100 entries of a directory of 1,000",
                path: code("/repository/tree?path=many&per_page=100"),
                git: Some(vec!["ls-tree", "main:many"]),
            },
            Subject {
                title: "a raw file",
                path: code("/repository/files/many%2Ffile-0500.txt/raw?ref=main"),
                git: Some(vec!["show", "main:many/file-0500.txt"]),
            },
            Subject {
                title: "20 of 50,000 commits",
                path: code("/repository/commits?per_page=20"),
                git: Some(vec!["log", "-20", "main"]),
            },
            Subject {
                title: "20 of 50,000 commits, page 40",
                path: code("/repository/commits?per_page=20&page=40"),
                git: Some(vec!["log", "-20", "--skip=780", "main"]),
            },
        ]
    }

    fn compare(&self, stage: &Stage, subject: &Subject) -> anyhow::Result<Row> {
        let headers = [("PRIVATE-TOKEN", self.secret.as_str())];
        let mut connection = Connection::open(self.product.address())?;
        let model = connection.send("GET", &subject.path, &headers, b"")?.expect(200)?;
        ensure!(!model.body.is_empty(), "the answer is empty");
        let file = stage.work.join("same-bytes.json");
        std::fs::write(&file, &model.body)?;
        let bare = Bare::start(&file, &stage.work)?;
        let mut plain = Connection::open(bare.file().to)?;
        let mut sides = vec![Side::new("portcullis"), Side::new("bare axum handler")];
        if subject.git.is_some() {
            sides.push(Side::new("git"));
        }
        let times = if stage.arguments.quick { 50 } else { 200 };
        for _ in 0..stage.rounds() {
            sides[0].round(&self.product.roots(), || {
                let mut taken = Series::default();
                for _ in 0..times {
                    let since = Instant::now();
                    let answer = connection.send("GET", &subject.path, &headers, b"")?;
                    taken.push(since.elapsed().as_secs_f64() * 1e3);
                    ensure!(answer.body == model.body, "the answer changed");
                }
                Ok((taken.median(), f64::from(times)))
            })?;
            sides[1].round(&bare.roots(), || {
                let mut taken = Series::default();
                for _ in 0..times {
                    let since = Instant::now();
                    plain.send("GET", "/file", &[], b"")?.expect(200)?;
                    taken.push(since.elapsed().as_secs_f64() * 1e3);
                }
                Ok((taken.median(), f64::from(times)))
            })?;
            if let Some(arguments) = &subject.git {
                let times = times / 10;
                sides[2].round(&[], || {
                    let mut taken = Series::default();
                    for _ in 0..times {
                        taken.push(timed(git::command(&self.repository).args(arguments))? * 1e3);
                    }
                    Ok((taken.median(), f64::from(times)))
                })?;
            }
        }
        let mut checks = vec![
            Check::new("median", sides[0].median, "ms", Some(bars::READ_MILLISECONDS)),
            Check::ratio(&sides[0], &sides[1], None),
        ];
        if let Some(git) = sides.get(2) {
            checks.push(Check::ratio(git, &sides[0], Some(bars::READ_BESIDE_GIT)));
        }
        let notes = vec![format!("{} bytes; one connection, one request after another.", model.body.len())];
        Ok(Row { title: subject.title, unit: "ms, median of a round", sides, checks, notes, void: None })
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
