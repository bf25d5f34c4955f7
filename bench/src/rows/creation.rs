//! Creating project access tokens, each durable before it is answered, beside what the disk needs for one durable write.

use std::time::Instant;

use anyhow::{anyhow, ensure};
use portcullis_rules::id::ProjectId;
use serde_json::json;

use crate::calibrate::fdatasync_us;
use crate::product::Product;
use crate::report::{Check, Row, Side};
use crate::run::{PROJECTS, Stage};
use crate::series::Series;

pub const TITLE: &str = "Create project access tokens, durably, SQLite";

pub fn measure(stage: &Stage) -> anyhow::Result<Vec<Row>> {
    let product = &stage.product;
    let roots = product.roots();
    let (serial_each, parallel_each) = if stage.arguments.quick { (100, 5) } else { (300, 15) };
    let mut alone = Side::new("one client");
    let mut together = Side::new("64 clients");
    let mut disk = Side::new("the disk: 4 KiB and fdatasync");
    let mut latencies = (Vec::new(), Vec::new());
    let before = count(stage, product)?;
    let mut made = 0;
    for _ in 0..stage.rounds() {
        let sync = fdatasync_us(&stage.work, 200)?;
        disk.add(1e6 / sync, 200.0);
        alone.round(&roots, || {
            let since = Instant::now();
            let taken = create(product, &stage.root, &stage.projects, serial_each)?;
            latencies.0.push(taken.median());
            made += serial_each;
            Ok((serial_each as f64 / since.elapsed().as_secs_f64(), serial_each as f64))
        })?;
        together.round(&roots, || {
            let since = Instant::now();
            let taken = std::thread::scope(|scope| {
                let clients: Vec<_> = stage
                    .projects
                    .iter()
                    .map(|project| {
                        scope.spawn(|| {
                            create(product, &stage.root, std::slice::from_ref(project), parallel_each)
                        })
                    })
                    .collect();
                let ended = clients
                    .into_iter()
                    .map(|client| client.join().map_err(|_| anyhow!("a client panicked"))?);
                ended.collect::<anyhow::Result<Vec<Series>>>()
            })?;
            let seconds = since.elapsed().as_secs_f64();
            latencies.1.push(taken.into_iter().flat_map(|series| series.0).collect::<Series>().median());
            let number = PROJECTS * parallel_each;
            made += number;
            Ok((number as f64 / seconds, number as f64))
        })?;
    }
    let after = count(stage, product)?;
    ensure!(after - before == made as u64, "{made} tokens were answered, but {} are listed", after - before);
    alone.details.push(format!("{:.2} ms each, median", Series(latencies.0).median()));
    together.details.push(format!("{:.1} ms each, median", Series(latencies.1).median()));
    let checks = vec![Check::ratio(&alone, &disk, None), Check::ratio(&together, &disk, None)];
    let notes = vec![
        format!(
            "Each creation writes a bot, its membership, the token, an event and an audit entry in one transaction, which is \
             answered after the write-ahead log is synchronised. Tokens are spread over {PROJECTS} projects. All {made} that \
             were answered are listed afterwards."
        ),
        "No bar in this version.".to_owned(),
    ];
    let mut rows = vec![Row {
        title: TITLE,
        unit: "a second",
        sides: vec![alone, together, disk],
        checks,
        notes,
        void: None,
    }];
    rows.push(among_a_million(stage, rows[0].sides[0].median)?);
    Ok(rows)
}

/// The same with one client where the table is large.
fn among_a_million(stage: &Stage, rate_before: f64) -> anyhow::Result<Row> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (data, _) = stage.large(&runtime)?;
    let product = Product::start(&stage.portcullis, data, &stage.log())?;
    product.wait_until_quiet()?;
    let mut side = Side::new("one client, a million tokens in the table");
    let times = if stage.arguments.quick { 5 } else { 20 };
    for _ in 0..stage.rounds() {
        side.round(&product.roots(), || {
            let since = Instant::now();
            create(&product, &stage.root, &stage.projects, times)?;
            Ok((times as f64 / since.elapsed().as_secs_f64(), times as f64))
        })?;
    }
    product.stop()?;
    let checks = vec![Check::new(
        "its rate / that of one client in the small table",
        side.median / rate_before,
        "×",
        None,
    )];
    let notes = vec!["No bar in this version.".to_owned()];
    Ok(Row {
        title: "Create project access tokens among a million",
        unit: "a second",
        sides: vec![side],
        checks,
        notes,
        void: None,
    })
}

/// Creates tokens one after another on one connection and returns how long each took, in milliseconds.
fn create(product: &Product, root: &str, projects: &[ProjectId], times: usize) -> anyhow::Result<Series> {
    let mut api = product.api(root)?;
    let body = json!({ "name": "deploy", "scopes": ["read_repository"], "access_level": 20 });
    let mut taken = Series::default();
    for project in projects.iter().cycle().take(times) {
        let since = Instant::now();
        api.token(project.0, &body)?;
        taken.push(since.elapsed().as_secs_f64() * 1e3);
    }
    Ok(taken)
}

fn count(stage: &Stage, product: &Product) -> anyhow::Result<u64> {
    let mut api = product.api(&stage.root)?;
    stage.projects.iter().map(|project| api.count_tokens(project.0)).sum()
}
