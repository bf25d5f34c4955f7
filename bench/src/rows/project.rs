//! `GET /api/v4/projects/:id` with a project access token, beside the same bytes from a bare handler and from nginx.

use anyhow::ensure;

use crate::bars;
use crate::peers::get;
use crate::report::{Check, Row, Side};
use crate::run::Stage;
use crate::series::Series;
use crate::wrk::Request;

pub const TITLE: &str = "GET /api/v4/projects/:id with a project access token";

const CONNECTIONS: u32 = 64;

pub fn measure(stage: &Stage) -> anyhow::Result<Vec<Row>> {
    let path = format!("/api/v4/projects/{}", stage.code);
    let product = Request {
        headers: vec![("PRIVATE-TOKEN", stage.secret.clone())],
        ..get(stage.product.address(), &path)
    };
    let without = get(stage.product.address(), &path);
    ensure!(without.once().is_err(), "a private project was shown without a token");

    let contestants = [
        ("portcullis", product, stage.product.roots()),
        ("bare axum handler", stage.bare.file(), stage.bare.roots()),
        ("nginx, file", stage.nginx.file(), stage.nginx.roots()),
    ];
    let models = [contestants[0].1.once()?, contestants[1].1.once()?, contestants[2].1.once()?];
    ensure!(
        models.iter().all(|model| model.body == models[0].body),
        "the three do not answer the same bytes"
    );
    ensure!(models[0].json()?["id"] == stage.code.0, "the answer is about another project");

    let mut sides = contestants.each_ref().map(|(name, _, _)| Side::new(name));
    let mut latencies = [const { (Vec::<f64>::new(), Vec::<f64>::new()) }; 3];
    for _ in 0..stage.rounds() {
        for (number, (_, request, roots)) in contestants.iter().enumerate() {
            sides[number].round(roots, || {
                let load = request.repeat(CONNECTIONS, stage.seconds(), &models[number], &stage.work)?;
                latencies[number].0.push(load.p50 as f64 / 1e3);
                latencies[number].1.push(load.p99 as f64 / 1e3);
                Ok((load.rate(), load.requests as f64))
            })?;
        }
    }
    for (side, (p50, p99)) in sides.iter_mut().zip(latencies) {
        side.details.push(format!("p50 {:.2} ms, p99 {:.2} ms", Series(p50).median(), Series(p99).median()));
    }
    let checks = vec![
        Check::ratio(&sides[0], &sides[1], Some(bars::PROJECT_BESIDE_BARE)),
        Check::ratio(&sides[0], &sides[2], None),
    ];
    let notes = vec![format!("{CONNECTIONS} connections, {} bytes of JSON.", models[0].body.len())];
    Ok(vec![Row { title: TITLE, unit: "requests/s", sides: sides.to_vec(), checks, notes, void: None }])
}
