//! What this machine can do at this moment, measured first and last: when the two differ, so may everything between.

use std::fs::File;
use std::hint::black_box;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use serde::Serialize;

use crate::peers::Bare;
use crate::population;
use crate::series::Series;

/// By how much first and last may differ.
pub const MAX_DRIFT: f64 = 0.15;

/// The anchors.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Anchors {
    /// SHA-256 of a token of 40 bytes, in nanoseconds, by the product's own function.
    pub hash_ns: f64,
    /// 4 KiB appended to a file and made durable with `fdatasync`, in microseconds, median.
    pub fdatasync_us: f64,
    /// Starting `/bin/true` and waiting for its end, in microseconds, median.
    pub process_us: f64,
    /// A canned word from the bare axum handler, 64 connections, in requests a second.
    pub hello_per_second: f64,
}

impl Anchors {
    /// Measures them. `folder` is on the disk that holds the data.
    pub fn measure(folder: &Path, bare: &Bare, seconds: u32) -> anyhow::Result<Anchors> {
        let hello = bare.hello();
        let model = hello.once()?;
        let rates: Result<Series, _> =
            (0..3).map(|_| hello.repeat(64, seconds, &model, folder).map(|load| load.rate())).collect();
        Ok(Anchors {
            hash_ns: hash_ns(),
            fdatasync_us: fdatasync_us(folder, 400)?,
            process_us: process_us()?,
            hello_per_second: rates?.median(),
        })
    }

    /// Returns by how much each anchor moved, as a share.
    pub fn drift(&self, last: &Anchors) -> Vec<(&'static str, f64)> {
        let moved = |first: f64, last: f64| last / first - 1.0;
        vec![
            ("SHA-256", moved(self.hash_ns, last.hash_ns)),
            ("fdatasync", moved(self.fdatasync_us, last.fdatasync_us)),
            ("process start", moved(self.process_us, last.process_us)),
            ("canned hello", moved(self.hello_per_second, last.hello_per_second)),
        ]
    }
}

fn hash_ns() -> f64 {
    const TIMES: u32 = 200_000;
    let secret = population::secret(7);
    let rounds: Series = (0..7)
        .map(|_| {
            let since = Instant::now();
            for _ in 0..TIMES {
                black_box(black_box(&secret).digest());
            }
            since.elapsed().as_secs_f64() * 1e9 / f64::from(TIMES)
        })
        .collect();
    rounds.median()
}

/// Returns how long a durable write of 4 KiB takes, in microseconds, median of `times`.
pub fn fdatasync_us(folder: &Path, times: usize) -> anyhow::Result<f64> {
    let path = folder.join("fdatasync");
    let mut file = File::create(&path)?;
    let page = [0x5a_u8; 4096];
    let mut rounds = Series::default();
    for _ in 0..times {
        let since = Instant::now();
        file.write_all(&page)?;
        file.sync_data()?;
        rounds.push(since.elapsed().as_secs_f64() * 1e6);
    }
    std::fs::remove_file(path)?;
    Ok(rounds.median())
}

fn process_us() -> anyhow::Result<f64> {
    let mut rounds = Series::default();
    for _ in 0..200 {
        let since = Instant::now();
        Command::new("/bin/true").status()?;
        rounds.push(since.elapsed().as_secs_f64() * 1e6);
    }
    Ok(rounds.median())
}
