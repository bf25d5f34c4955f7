//! How soon a forge answers after its start, and how much memory it holds when nothing happens and after work.

use std::time::{Duration, Instant};

use crate::bars;
use crate::peers::Bare;
use crate::product::Product;
use crate::report::{Check, Row, Side};
use crate::run::Stage;

pub const TITLE: &str = "Start and memory";

/// How long after its start a forge counts as idle.
const SETTLED: Duration = Duration::from_secs(5);

pub fn measure(stage: &Stage) -> anyhow::Result<Vec<Row>> {
    Ok(vec![start(stage)?, memory(stage)?])
}

fn start(stage: &Stage) -> anyhow::Result<Row> {
    let mut ours = Side::new("portcullis");
    let mut bare = Side::new("bare axum handler");
    for _ in 0..stage.repetitions() {
        let (product, milliseconds) = Product::start_timed(&stage.portcullis, &stage.small, &stage.log())?;
        ours.add(milliseconds, 1.0);
        product.stop()?;
        let since = Instant::now();
        let peer = Bare::start(&stage.work.join("project.json"), &stage.work)?;
        bare.add(since.elapsed().as_secs_f64() * 1e3, 1.0);
        drop(peer);
    }
    let mut checks = vec![
        Check::new("median start", ours.median, "ms", Some(bars::START_MILLISECONDS)),
        Check::ratio(&ours, &bare, None),
    ];
    let mut sides = vec![ours, bare];
    if let Some((large, _)) = stage.large.get() {
        let mut side = Side::new("portcullis, a million tokens");
        for _ in 0..stage.repetitions().div_ceil(2) {
            let (product, milliseconds) = Product::start_timed(&stage.portcullis, large, &stage.log())?;
            side.add(milliseconds, 1.0);
            product.stop()?;
        }
        checks.push(Check::new(
            "median start with a million tokens",
            side.median,
            "ms",
            Some(bars::START_MILLISECONDS),
        ));
        sides.push(side);
    }
    let notes = vec![
        "From the start of the process until `GET /-/readiness`, which asks the database, is answered with 200. The store \
         exists and was closed properly; the page cache is warm."
            .to_owned(),
    ];
    Ok(Row { title: "Start to first answer, existing store", unit: "ms", sides, checks, notes, void: None })
}

fn memory(stage: &Stage) -> anyhow::Result<Row> {
    let mib = |kib: u64| kib as f64 / 1024.0;
    let side = |name, memory: crate::processes::Memory| {
        let mut side = Side::new(name);
        side.add(mib(memory.resident), 1.0);
        side.details.push(format!("{:.1} MiB of it anonymous", mib(memory.anonymous)));
        side
    };
    let fresh = Product::start(&stage.portcullis, &stage.small, &stage.log())?;
    std::thread::sleep(SETTLED);
    let idle = side("idle: five seconds after the start", fresh.memory()?);
    fresh.stop()?;
    let after = stage.product.memory()?;
    let mut worked = side("after all of the load above", after);
    worked.details.push(format!("peak since the last reset {:.1} MiB", mib(after.peak)));
    let checks = vec![
        Check::new("idle", idle.median, "MiB", Some(bars::IDLE_MIB)),
        Check::new("after load", worked.median, "MiB", None),
    ];
    let notes = vec![
        "The server's own process. Resident counts the pages of the database and of the program that it maps, once for each \
         mapping."
            .to_owned(),
    ];
    Ok(Row { title: "Resident memory", unit: "MiB", sides: vec![idle, worked], checks, notes, void: None })
}
