//! One address, asked one request after another on one connection, beside the same bytes from a bare handler and, where a
//! person would ask git, beside that command.

use std::path::Path;
use std::time::Instant;

use anyhow::ensure;

use crate::bars::{self, Bar};
use crate::client::timed;
use crate::git;
use crate::http::{Answer, Connection};
use crate::peers::Bare;
use crate::product::Product;
use crate::report::{Check, Row, Side};
use crate::run::Stage;
use crate::series::Series;

/// What is asked for.
pub struct Subject<'a> {
    pub title: &'static str,
    pub path: String,
    /// Who asks, and what they take.
    pub headers: Vec<(&'a str, &'a str)>,
    /// What a person would ask git, and in which repository.
    pub git: Option<(&'a Path, Vec<&'static str>)>,
    /// The most that the median may be.
    pub bar: Bar,
    /// Whether every answer is the same, byte for byte; otherwise each is about as long as the first.
    pub is_same: bool,
}

/// Measures it. `look` makes sure of the first answer that it is the right one.
pub fn measure(
    stage: &Stage,
    product: &Product,
    subject: &Subject<'_>,
    look: impl FnOnce(&Answer) -> anyhow::Result<()>,
) -> anyhow::Result<Row> {
    let headers = &subject.headers;
    let mut connection = Connection::open(product.address())?;
    let model = connection.send("GET", &subject.path, headers, b"")?.expect(200)?;
    ensure!(!model.body.is_empty(), "the answer is empty");
    look(&model)?;
    let file = stage.work.join("same-bytes");
    std::fs::write(&file, &model.body)?;
    let bare = Bare::start(&file, &stage.work)?;
    let mut plain = Connection::open(bare.file().to)?;
    let mut sides = vec![Side::new("portcullis"), Side::new("bare axum handler")];
    if subject.git.is_some() {
        sides.push(Side::new("git"));
    }
    let times = if stage.arguments.quick { 50 } else { 200 };
    for _ in 0..stage.rounds() {
        sides[0].round(&product.roots(), || {
            let mut taken = Series::default();
            for _ in 0..times {
                let since = Instant::now();
                let answer = connection.send("GET", &subject.path, headers, b"")?;
                taken.push(since.elapsed().as_secs_f64() * 1e3);
                let right = if subject.is_same {
                    answer.body == model.body
                } else {
                    // A number that is new each time may be compressed to a few bytes more or less.
                    answer.status == 200
                        && answer.body.len().abs_diff(model.body.len()) <= model.body.len() / 100
                };
                ensure!(right, "the answer changed");
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
        if let Some((repository, arguments)) = &subject.git {
            let times = times / 10;
            sides[2].round(&[], || {
                let mut taken = Series::default();
                for _ in 0..times {
                    taken.push(timed(git::command(repository).args(arguments))? * 1e3);
                }
                Ok((taken.median(), f64::from(times)))
            })?;
        }
    }
    let mut checks = vec![
        Check::new("median", sides[0].median, "ms", Some(subject.bar)),
        Check::ratio(&sides[0], &sides[1], None),
    ];
    if let Some(git) = sides.get(2) {
        checks.push(Check::ratio(git, &sides[0], Some(bars::READ_BESIDE_GIT)));
    }
    let notes = vec![format!("{} bytes; one connection, one request after another.", model.body.len())];
    Ok(Row { title: subject.title, unit: "ms, median of a round", sides, checks, notes, void: None })
}
