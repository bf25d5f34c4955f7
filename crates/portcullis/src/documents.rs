//! Documents made from the command tree: shell completions and man pages.

use std::{fs, io, path::Path};

use anyhow::Context;
use clap::CommandFactory;
use clap_complete::Shell;
use clap_mangen::Man;

use crate::arguments::Arguments;

/// Prints the script that completes commands in `shell`.
pub(crate) fn print_completions(shell: Shell) {
    clap_complete::generate(shell, &mut Arguments::command(), "portcullis", &mut io::stdout());
}

/// Writes one man page for each command into `folder`.
pub(crate) fn write_man_pages(folder: &Path) -> anyhow::Result<()> {
    let mut tree = Arguments::command();
    tree.build();
    fs::create_dir_all(folder)
        .and_then(|()| write_man_page(&tree, folder))
        .with_context(|| format!("the man pages cannot be written to {}", folder.display()))
}

fn write_man_page(command: &clap::Command, folder: &Path) -> io::Result<()> {
    for below in command.get_subcommands() {
        write_man_page(below, folder)?;
    }
    // The pages are compared with committed ones, so nothing in them may change with the day or the version.
    let page = Man::new(command.clone().version(None)).source("Portcullis").manual("Portcullis");
    page.generate_to(folder).map(drop)
}
