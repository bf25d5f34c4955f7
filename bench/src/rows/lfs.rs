//! Large files stored and fetched as `git lfs` does, beside plain blobs of the same server: the registry's upload and pull.

use std::time::Instant;

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use crate::bars;
use crate::client::basic;
use crate::http::Connection;
use crate::images::{Content, Image};
use crate::processes::{memory, reset_peak};
use crate::report::{Check, Row, Side};
use crate::run::{Stage, say};

pub const TITLE: &str = "Large files";

const MIB: u64 = 1024 * 1024;

/// How many objects `git lfs` asks about at once.
const BATCH: usize = 100;

const JSON: &str = "application/vnd.git-lfs+json";

/// The large files of a project.
struct Store<'a> {
    stage: &'a Stage,
    repository: String,
    authorization: String,
}

impl Store<'_> {
    fn headers(&self, kind: &'static str) -> [(&str, &str); 3] {
        [("Authorization", &self.authorization), ("Accept", JSON), ("Content-Type", kind)]
    }

    fn post(&self, connection: &mut Connection, path: &str, body: &Value) -> anyhow::Result<Value> {
        let path = format!("{}/info/lfs{path}", self.repository);
        connection.send("POST", &path, &self.headers(JSON), body.to_string().as_bytes())?.expect(200)?.json()
    }

    fn batch(
        &self,
        connection: &mut Connection,
        operation: &str,
        contents: &[Content],
    ) -> anyhow::Result<Vec<Value>> {
        let objects: Vec<_> = contents.iter().map(object).collect();
        let body = json!({ "operation": operation, "transfers": ["basic"], "objects": objects });
        let answer = self.post(connection, "/objects/batch", &body)?;
        answer["objects"].as_array().cloned().context("a batch without objects")
    }

    /// Stores files as the client does: a question about a hundred, each file, and a word that it has arrived.
    fn upload(&self, contents: &[Content]) -> anyhow::Result<()> {
        let connection = &mut Connection::open(self.stage.product.address())?;
        for some in contents.chunks(BATCH) {
            let found = self.batch(connection, "upload", some)?;
            for (content, found) in some.iter().zip(found) {
                let path = path(&found["actions"]["upload"]["href"])?;
                let headers = self.headers("application/octet-stream");
                connection
                    .send_streamed("PUT", &path, &headers, content.length(), |stream| content.write(stream))?
                    .expect(200)?;
                self.post(connection, "/verify", &object(content))?;
            }
        }
        Ok(())
    }

    fn download(&self, contents: &[Content]) -> anyhow::Result<()> {
        let connection = &mut Connection::open(self.stage.product.address())?;
        for some in contents.chunks(BATCH) {
            let found = self.batch(connection, "download", some)?;
            for (content, found) in some.iter().zip(found) {
                let path = path(&found["actions"]["download"]["href"])?;
                let mut seen = 0;
                let headers = [("Authorization", self.authorization.as_str())];
                connection.get_streamed(&path, &headers, |piece| seen += piece.len() as u64)?.expect(200)?;
                ensure!(seen == content.length(), "{seen} bytes of {} came", content.length());
            }
        }
        Ok(())
    }
}

fn object(content: &Content) -> Value {
    let digest = content.digest.to_string();
    json!({ "oid": digest.trim_start_matches("sha256:"), "size": content.length() })
}

/// Returns the path of an address.
fn path(href: &Value) -> anyhow::Result<String> {
    let href = href.as_str().context("an action without an address")?;
    let rest = href.split_once("://").map_or(href, |(_, rest)| rest);
    Ok(rest[rest.find('/').context("an address without a path")?..].to_owned())
}

pub fn measure(stage: &Stage) -> anyhow::Result<Vec<Row>> {
    let mut api = stage.product.api(&stage.root)?;
    let project = api.project("large-files")?;
    let scopes = json!(["api"]);
    let secret = api.token(project, &json!({ "name": "lfs", "access_level": 40, "scopes": scopes }))?;
    stage.product.wait_until_quiet()?;
    let store =
        Store { stage, repository: "/root/large-files.git".to_owned(), authorization: basic(&secret) };
    let peak = || memory(stage.product.id()).map_or(f64::NAN, |memory| memory.peak as f64 / 1024.0);
    let quick = stage.arguments.quick;
    let shapes = [
        ("1 GiB", 1, if quick { 64 * MIB } else { 1024 * MIB }, 4_u64),
        ("1,000 × 1 MiB", if quick { 100 } else { 1_000 }, MIB, 5),
    ];
    // One of each, so that what is asked for once is there.
    store.upload(&[Content::new(9 << 40, MIB)])?;
    reset_peak(stage.product.id())?;
    let before = peak();
    let (mut rows, mut growth) = (Vec::new(), Vec::new());
    for ((up, down), (what, count, length, seed)) in TITLES.iter().zip(shapes) {
        say(up);
        let (mut large, mut plain) = ([Side::new("large files"), Side::new("large files")], sides_of_blobs());
        for round in 0..if quick { 1 } else { 3 } {
            let contents = |side: u64| -> Vec<Content> {
                let first = seed << 48 | (round as u64) << 44 | side << 40;
                (0..count).map(|number| Content::new(first | number as u64, length)).collect()
            };
            let roots = stage.product.roots();
            let (ours, theirs) = (contents(1), contents(2));
            let timed = |act: &dyn Fn() -> anyhow::Result<()>| -> anyhow::Result<(f64, f64)> {
                let since = Instant::now();
                act()?;
                let seconds = since.elapsed().as_secs_f64();
                stage.product.wait_until_quiet()?;
                Ok((seconds, count as f64))
            };
            let image = || Image::with_token(stage.product.address(), "root/large-files", &secret);
            large[0].round(&roots, || timed(&|| store.upload(&ours)))?;
            plain[0].round(&roots, || {
                let image = image()?;
                timed(&|| {
                    let connection = &mut Connection::open(image.to)?;
                    theirs.iter().try_for_each(|content| image.push(connection, content))
                })
            })?;
            large[1].round(&roots, || timed(&|| store.download(&ours)))?;
            plain[1].round(&roots, || {
                let image = image()?;
                timed(&|| {
                    let connection = &mut Connection::open(image.to)?;
                    theirs
                        .iter()
                        .try_for_each(|content| image.pull(connection, &content.digest, content.length()))
                })
            })?;
        }
        growth.push(format!("{what}: {:.1} MiB", peak() - before));
        for (title, (large, plain)) in [*up, *down].into_iter().zip(large.into_iter().zip(plain)) {
            let checks = vec![Check::ratio(&large, &plain, Some(bars::LFS_BESIDE_BLOBS))];
            let notes = vec![
                "One client, one connection, content that was never sent before. Large files are asked about a hundred at a \
                 time and each is verified when it is stored; a blob is a session and one PUT."
                    .to_owned(),
            ];
            rows.push(Row { title, unit: "s", sides: vec![large, plain], checks, notes, void: None });
        }
    }
    let mut side = Side::new("portcullis");
    side.add(peak(), 1.0);
    let grown = Check::new("growth over all of this", peak() - before, "MiB", Some(bars::LFS_GROWTH));
    rows.push(Row {
        title: "Memory at its highest with large files",
        unit: "MiB",
        sides: vec![side],
        checks: vec![grown],
        notes: growth,
        void: None,
    });
    Ok(rows)
}

const TITLES: [(&str, &str); 2] = [
    ("upload of a large file of 1 GiB", "download of a large file of 1 GiB"),
    ("upload of 1,000 large files of 1 MiB", "download of 1,000 large files of 1 MiB"),
];

fn sides_of_blobs() -> [Side; 2] {
    [Side::new("plain blobs"), Side::new("plain blobs")]
}
