//! Drives the engine with the real `git`, through a small HTTP server of our own.
//!
//! The hook that git runs is this very test program, started again; see [`forge::hook_program`].

#![expect(clippy::unwrap_used, reason = "a step that fails is a test that fails")]

mod answers;
mod changes;
mod damage;
mod fetch;
mod forge;
mod limits;
mod push;
mod reading;
mod server;
mod upkeep;
