//! Standard output: what a command was asked for, and nothing else.

use std::io::{self, Write};

use anyhow::Context;

/// Prints the text; it is the command's whole result, so a failure is the command's failure.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    let mut output = io::stdout().lock();
    output.write_all(text.as_bytes()).and_then(|()| output.flush()).context("the output cannot be written")
}

/// Prints the text if anyone listens; for courtesies of a program that goes on either way.
pub(crate) fn print_if_possible(text: &str) {
    let mut output = io::stdout().lock();
    let _ = output.write_all(text.as_bytes()).and_then(|()| output.flush());
}
