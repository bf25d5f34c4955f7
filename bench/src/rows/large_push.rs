//! A push of 1 GiB of noise: how long it takes, and above all how much memory it needs.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::ensure;

use crate::bars;
use crate::client::{self, Credential, timed};
use crate::git::{self, Random};
use crate::peers::{UnpackLimit, configure};
use crate::processes::{memory_of_children, reset_peak};
use crate::report::{Check, Row, Side};
use crate::run::Stage;
use crate::series::Series;

pub const TITLE: &str = "git push of 1 GiB of noise";

const FILES: usize = 4;
const FILE_BYTES: usize = 256 * 1024 * 1024;

/// How often the memory of the server's children is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);

pub fn measure(stage: &Stage) -> anyhow::Result<Vec<Row>> {
    let source = make(&stage.work.join("noise"))?;
    let tip = git::run(&source, &["rev-parse", "HEAD"])?;
    let rounds = if stage.arguments.quick { 1 } else { 3 };
    let product = &stage.product;
    let mut ours = Side::new("portcullis");
    let mut theirs = Side::new("git http-backend, tuned");
    let mut growth = Series::default();
    let mut children = (0_u64, 0_u64);
    for round in 0..rounds {
        let path = format!("large-{round}");
        product.api(&stage.root)?.project(&path)?;
        let url = product.url(&format!("root/{path}"));
        let credential = Credential::header(&stage.root);
        product.wait_until_quiet()?;
        reset_peak(product.id())?;
        let before = product.memory()?.resident;
        let (seconds, seen) = while_watching(product.id(), || {
            let mut seconds = 0.0;
            ours.round(&product.roots(), || {
                seconds = push(&source, &url, &credential)?;
                Ok((seconds, 1.0))
            })?;
            Ok(seconds)
        })?;
        growth.push(product.memory()?.peak.saturating_sub(before) as f64 / 1024.0);
        children = (children.0.max(seen.0), children.1.max(seen.1));
        verify(stage, &url, &credential, &tip)?;
        product.wait_until_quiet()?;
        crate::run::say(&format!("1 GiB: {seconds:.1} s, growth {:.1} MiB", growth.largest()));

        let name = format!("large-{round}.git");
        let repository = stage.nginx.repository(&name);
        fs::create_dir_all(&repository)?;
        git::run(&repository, &["init", "--quiet", "--bare", "--initial-branch=main"])?;
        configure(&repository, UnpackLimit::One)?;
        let url = stage.nginx.url(&name);
        theirs.round(&stage.nginx.roots(), || Ok((push(&source, &url, &Credential::None)?, 1.0)))?;
        verify(stage, &url, &Credential::None, &tip)?;
        fs::remove_dir_all(repository)?;
    }
    check_stored(stage, &tip)?;
    fs::remove_dir_all(source)?;

    let mib = |kib: u64| kib as f64 / 1024.0;
    ours.details.push(format!("grew by {:.1} MiB at most", growth.largest()));
    let checks = vec![
        Check::new(
            "growth of the server's memory, the most of all rounds",
            growth.largest(),
            "MiB",
            Some(bars::LARGE_PUSH_GROWTH),
        ),
        Check::new(
            "Git's own processes under it, resident together, the most seen",
            mib(children.0),
            "MiB",
            None,
        ),
        Check::new("of that anonymous", mib(children.1), "MiB", None),
        Check::ratio(&ours, &theirs, None),
    ];
    let notes = vec![
        format!(
            "{FILES} files of {} MiB that do not compress, packed beforehand with core.compression=0. The server's peak is the kernel's own mark (VmHWM), reset before each push; its Git processes are looked at ten times a second, and what they map of the pack counts as resident there.",
            FILE_BYTES >> 20
        ),
        "Both write durably, check every object, and keep one pack.".to_owned(),
    ];
    Ok(vec![Row {
        title: TITLE,
        unit: "s, start to end of the client",
        sides: vec![ours, theirs],
        checks,
        notes,
        void: None,
    }])
}

/// Makes the repository to be pushed, and returns where it is.
fn make(folder: &Path) -> anyhow::Result<PathBuf> {
    fs::create_dir_all(folder)?;
    git::run(folder, &["init", "--quiet", "--initial-branch=main"])?;
    for (key, value) in [("core.compression", "0"), ("pack.window", "0"), ("gc.auto", "0")] {
        git::run(folder, &["config", key, value])?;
    }
    let mut random = Random(1024);
    let mut block = vec![0; 1024 * 1024];
    for number in 0..FILES {
        let path = folder.join(format!("noise-{number}"));
        let mut file = BufWriter::new(File::create(path)?);
        for _ in 0..FILE_BYTES / block.len() {
            random.fill(&mut block);
            file.write_all(&block)?;
        }
        file.flush()?;
        let name = format!("noise-{number}");
        git::run(folder, &["add", &name])?;
        fs::remove_file(folder.join(name))?;
    }
    git::run(folder, &["commit", "--quiet", "--message=Noise"])?;
    git::run(folder, &["repack", "-a", "-d", "-q"])?;
    Ok(folder.to_owned())
}

fn push(source: &Path, url: &str, credential: &Credential) -> anyhow::Result<f64> {
    timed(client::command(source, credential).args(["push", "--quiet", url, "HEAD:refs/heads/main"]))
}

fn verify(stage: &Stage, url: &str, credential: &Credential, tip: &str) -> anyhow::Result<()> {
    let mut command = client::command(&stage.work, credential);
    let text = git::output(command.args(["ls-remote", "--quiet", url, "refs/heads/main"]))?;
    ensure!(text == format!("{tip}\trefs/heads/main\n"), "the push of 1 GiB was not taken");
    Ok(())
}

/// Checks every object of what was pushed where the product keeps it.
fn check_stored(stage: &Stage, tip: &str) -> anyhow::Result<()> {
    let mut checked = 0;
    for repository in stage.product.repositories()? {
        if git::run(&repository, &["rev-parse", "--quiet", "--verify", "refs/heads/main"])
            .is_ok_and(|id| id == tip)
        {
            git::run(&repository, &["fsck", "--full", "--no-dangling"])?;
            checked += 1;
            // All rounds pushed the same; one is enough.
            break;
        }
    }
    ensure!(checked == 1, "the pushed gigabyte is not on disk");
    Ok(())
}

/// Runs `act` while looking at the memory of everything below `root`; returns the most seen, in KiB: resident, anonymous.
fn while_watching<T>(root: u32, act: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<(T, (u64, u64))> {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut most = (0, 0);
            while !over.load(Ordering::Relaxed) {
                let seen = memory_of_children(root);
                most = (most.0.max(seen.0), most.1.max(seen.1));
                std::thread::sleep(LOOK_EVERY);
            }
            most
        });
        let outcome = act();
        over.store(true, Ordering::Relaxed);
        let most = watcher.join().map_err(|_| anyhow::anyhow!("watching failed"))?;
        Ok((outcome?, most))
    })
}
