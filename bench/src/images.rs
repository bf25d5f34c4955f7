//! A client of container registries: it pushes and pulls as clients do, and knows what it sent.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};

use anyhow::{Context, ensure};
use portcullis_app::registry::protocol::{Algorithm, Digest, Hasher};
use serde_json::json;

use crate::client::basic;
use crate::git::Random;
use crate::http::Connection;

const BLOCK_BYTES: usize = 1024 * 1024;

/// Content that is the same whenever it is asked for, and like no other: a block of noise whose head counts.
pub struct Content {
    block: Vec<u8>,
    seed: u64,
    length: u64,
    /// What it is called by.
    pub digest: Digest,
}

impl Content {
    /// Returns the content of a seed.
    pub fn new(seed: u64, length: u64) -> Content {
        let mut block = vec![0; BLOCK_BYTES.min(usize::try_from(length).unwrap_or(BLOCK_BYTES))];
        Random(seed).fill(&mut block);
        let none = Digest::of(Algorithm::Sha256, b"");
        let mut content = Content { block, seed, length, digest: none };
        let mut hasher = Hasher::new(Algorithm::Sha256);
        let hashed: std::io::Result<()> = content.clone_block().each(content.seed, content.length, |piece| {
            hasher.update(piece);
            Ok(())
        });
        debug_assert!(hashed.is_ok());
        content.digest = hasher.digest();
        content
    }

    /// How many bytes it has.
    pub fn length(&self) -> u64 {
        self.length
    }

    fn clone_block(&self) -> Block {
        Block(self.block.clone())
    }

    /// Sends it.
    pub fn write(&self, stream: &mut TcpStream) -> std::io::Result<()> {
        self.clone_block().each(self.seed, self.length, |piece| stream.write_all(piece))
    }
}

struct Block(Vec<u8>);

impl Block {
    fn each(
        mut self,
        seed: u64,
        length: u64,
        mut take: impl FnMut(&[u8]) -> std::io::Result<()>,
    ) -> std::io::Result<()> {
        let (mut left, mut number) = (length, 0_u64);
        while left > 0 {
            if self.0.len() >= 16 {
                self.0[..8].copy_from_slice(&seed.to_le_bytes());
                self.0[8..16].copy_from_slice(&number.to_le_bytes());
            }
            let taken = usize::try_from(left).unwrap_or(usize::MAX).min(self.0.len());
            take(&self.0[..taken])?;
            left -= taken as u64;
            number += 1;
        }
        Ok(())
    }
}

/// An image in a registry, and the bearer to reach it with, if it needs one.
#[derive(Clone, Debug)]
pub struct Image {
    /// Where the registry listens.
    pub to: SocketAddr,
    /// The name of the image.
    pub name: String,
    /// The value of the `Authorization` header.
    pub authorization: Option<String>,
}

impl Image {
    /// Returns an image of a registry that asks nobody who they are.
    pub fn open(to: SocketAddr, name: &str) -> Image {
        Image { to, name: name.to_owned(), authorization: None }
    }

    /// Returns an image of a registry that wants a bearer, got with a token.
    pub fn with_token(to: SocketAddr, name: &str, secret: &str) -> anyhow::Result<Image> {
        let path = format!("/jwt/auth?service=container_registry&scope=repository:{name}:pull,push,delete");
        let basic = basic(secret);
        let answer =
            Connection::open(to)?.send("GET", &path, &[("Authorization", &basic)], b"")?.expect(200)?;
        let bearer = answer.json()?["token"].as_str().context("no bearer")?.to_owned();
        Ok(Image { to, name: name.to_owned(), authorization: Some(format!("Bearer {bearer}")) })
    }

    /// The headers of every request.
    pub fn headers(&self) -> Vec<(&'static str, String)> {
        self.authorization.iter().map(|value| ("Authorization", value.clone())).collect()
    }

    /// Pushes a blob as clients do: a session, and one request with all of it.
    pub fn push(&self, connection: &mut Connection, content: &Content) -> anyhow::Result<()> {
        let headers = self.headers();
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let opened = connection
            .send("POST", &format!("/v2/{}/blobs/uploads/", self.name), &headers, b"")?
            .expect(202)?;
        let location = opened.header("location").context("an upload without an address")?;
        // Some registries answer a whole address.
        let path = location.find("/v2/").map_or(location, |at| &location[at..]);
        let mark = if path.contains('?') { '&' } else { '?' };
        let path = format!("{path}{mark}digest={}", content.digest);
        let mut headers = headers;
        headers.push(("Content-Type", "application/octet-stream"));
        connection
            .send_streamed("PUT", &path, &headers, content.length(), |stream| content.write(stream))?
            .expect(201)?;
        Ok(())
    }

    /// Pulls a blob and throws it away, but for its length.
    pub fn pull(&self, connection: &mut Connection, digest: &Digest, length: u64) -> anyhow::Result<()> {
        let mut seen = 0;
        self.pull_with(connection, digest, |piece| seen += piece.len() as u64)?;
        ensure!(seen == length, "{seen} bytes of {length} came");
        Ok(())
    }

    /// Pulls a blob and checks every byte of it.
    pub fn verify(&self, digest: &Digest) -> anyhow::Result<()> {
        let mut hasher = Hasher::new(digest.algorithm());
        self.pull_with(&mut Connection::open(self.to)?, digest, |piece| hasher.update(piece))?;
        ensure!(hasher.digest() == *digest, "another content came than {digest}");
        Ok(())
    }

    fn pull_with(
        &self,
        connection: &mut Connection,
        digest: &Digest,
        piece: impl FnMut(&[u8]),
    ) -> anyhow::Result<()> {
        let headers = self.headers();
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        connection
            .get_streamed(&format!("/v2/{}/blobs/{digest}", self.name), &headers, piece)?
            .expect(200)?;
        Ok(())
    }

    /// Pushes a manifest of blobs that are there, under a tag, and returns its digest.
    pub fn tag(&self, tag: &str, blobs: &[&Content]) -> anyhow::Result<Digest> {
        const TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
        let descriptor = |media_type: &str, content: &Content| json!({ "mediaType": media_type, "digest": content.digest.to_string(), "size": content.length() });
        let (config, layers) = blobs.split_first().context("an image has a config")?;
        let layers: Vec<_> = layers
            .iter()
            .map(|layer| descriptor("application/vnd.oci.image.layer.v1.tar+gzip", layer))
            .collect();
        let body = json!({
            "schemaVersion": 2,
            "mediaType": TYPE,
            "config": descriptor("application/vnd.oci.image.config.v1+json", config),
            "layers": layers,
        })
        .to_string();
        let headers = self.headers();
        let mut headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        headers.push(("Content-Type", TYPE));
        Connection::open(self.to)?
            .send("PUT", &format!("/v2/{}/manifests/{tag}", self.name), &headers, body.as_bytes())?
            .expect(201)?;
        Ok(Digest::of(Algorithm::Sha256, body.as_bytes()))
    }
}
