//! Authenticate and decide: from a secret to the proof that its holder may read a project, inside this process, through
//! the functions that every door calls.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{anyhow, bail};
use portcullis_app::Forge;
use portcullis_app::access::{Origin, Purpose, Reading, authenticate, authorize_within};
use portcullis_app::clock::SystemClock;
use portcullis_app::random::SystemRandom;
use portcullis_app::settings::Settings;
use portcullis_rules::access::act;
use portcullis_rules::id::ProjectId;
use portcullis_rules::names::IdOrPath;

use crate::bars;
use crate::git::Random;
use crate::report::{Check, Row, Side};
use crate::run::Stage;
use crate::series::Series;

pub const TITLE: &str = "Authenticate and decide, in process, SQLite";

pub fn measure(stage: &Stage) -> anyhow::Result<Vec<Row>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let times = if stage.arguments.quick { 20_000 } else { 100_000 };
    let (large, population) = stage.large(&runtime)?;
    let count = stage.arguments.tokens;
    let mut random = Random(1);
    // Where the thousand lie in a table of a million is decided by chance, as it would be by the order of creation.
    let some: Vec<_> =
        (0..stage.tokens.len()).map(|_| population.token(random.below(count as usize) as u32)).collect();
    let any: Vec<_> = (0..times).map(|_| population.token(random.below(count as usize) as u32)).collect();

    runtime.block_on(async {
        let small = open(stage, &stage.small).await?;
        let large = open(stage, large).await?;
        refuses(&small).await?;
        let contestants = [
            ("a thousand tokens in the table", &small, &stage.tokens),
            ("the same thousand among a million", &large, &stage.tokens),
            ("a thousand chosen by chance among a million", &large, &some),
            ("any of a million", &large, &any),
        ];
        let mut sides = contestants.map(|(name, _, _)| Side::new(name));
        let mut tails = [const { Vec::<f64>::new() }; 4];
        for round in 0..=stage.rounds() {
            for (number, (_, forge, tokens)) in contestants.iter().enumerate() {
                let taken = round_of(forge, tokens, times).await?;
                // The first round only warms up.
                if round > 0 {
                    sides[number].add(taken.median(), times as f64);
                    tails[number].push(taken.quantile(0.99));
                }
            }
        }
        for (side, tail) in sides.iter_mut().zip(tails) {
            side.details.push(format!("p99 {:.1} µs", Series(tail).median()));
        }
        let [thousand, same, chosen, any] = sides;
        let checks = vec![
            Check::new("median with a thousand tokens", thousand.median, "µs", Some(bars::ACCESS_MICROSECONDS)),
            Check::ratio(&same, &thousand, Some(bars::ACCESS_AMONG_A_MILLION)),
            Check::ratio(&chosen, &thousand, Some(bars::ACCESS_AMONG_A_MILLION)),
            Check::new("median, any of a million", any.median, "µs", Some(bars::ACCESS_MICROSECONDS)),
            Check::ratio(&any, &thousand, None),
        ];
        let notes = vec![
            format!("{times} calls a round, each timed, one thread. The large table has {count} tokens more, each with its bot and membership."),
            "A thousand tokens in use are the working set of a busy instance; drawing each call anew from the whole million \
             makes every call miss what the one before brought into the processor's and SQLite's caches."
                .to_owned(),
        ];
        Ok(vec![Row { title: TITLE, unit: "µs, median of a round", sides: vec![thousand, same, chosen, any], checks, notes, void: None }])
    })
}

async fn open(stage: &Stage, data: &Path) -> anyhow::Result<Arc<Forge>> {
    let settings = Settings { data: data.to_owned(), ..Settings::default() };
    let opened =
        Forge::open(settings, Arc::new(SystemClock), Arc::new(SystemRandom), stage.portcullis.clone());
    opened.await.map_err(|error| anyhow!("{error}"))
}

fn origin() -> Origin {
    Origin { address: Some(IpAddr::V4(Ipv4Addr::LOCALHOST)), request_id: "bench".into() }
}

async fn check(forge: &Forge, secret: &str, project: ProjectId, origin: Origin) -> Result<(), String> {
    let mut reading = Reading::default();
    let viewer = authenticate(forge, &mut reading, secret, Purpose::Other, origin)
        .await
        .map_err(|why| format!("{why:?}"))?;
    let reference = Some(IdOrPath::Id(project.0));
    match authorize_within::<act::ReadProject>(forge, &mut reading, viewer, reference).await {
        Ok(Ok(access)) if access.project() == project => Ok(()),
        Ok(Ok(_)) => Err("the proof is about another project".to_owned()),
        Ok(Err(refused)) => Err(format!("{:?}", refused.denial)),
        Err(error) => Err(error.to_string()),
    }
}

/// Makes sure that a wrong secret is refused, so that it is really the check that is timed.
async fn refuses(forge: &Forge) -> anyhow::Result<()> {
    let unknown = crate::population::secret(u32::MAX);
    if check(forge, unknown.reveal(), ProjectId(1), origin()).await.is_ok() {
        bail!("a secret that nobody has was accepted");
    }
    Ok(())
}

async fn round_of(forge: &Forge, tokens: &[(String, ProjectId)], times: usize) -> anyhow::Result<Series> {
    let origin = origin();
    let mut taken = Series(Vec::with_capacity(times));
    for (secret, project) in tokens.iter().cycle().take(times) {
        let origin = origin.clone();
        let since = Instant::now();
        let outcome = check(forge, secret, *project, origin).await;
        taken.push(since.elapsed().as_secs_f64() * 1e6);
        outcome.map_err(|why| anyhow!("a good token was refused: {why}"))?;
    }
    Ok(taken)
}
