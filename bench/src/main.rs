//! Benchmarks of Portcullis beside its peers, in one run, and one report.
//!
//! It measures; it judges nothing but the bars it was given ([`bars`]). Absolute numbers are facts about one machine on
//! one day, so every row has something beside it that was measured in the same minutes: a bare handler, nginx, Git's own
//! server, or the disk. Product and peer take turns, each answer is verified before it is timed, and a wrong answer
//! voids the row.
//!
//! Start reading at [`run::run`], then [`rows`].

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

mod bare;
mod bars;
mod calibrate;
mod client;
mod git;
mod http;
mod images;
mod machine;
mod peers;
mod population;
mod processes;
mod product;
mod report;
mod rows;
mod run;
mod series;
mod wire;
mod wrk;

// The product's own allocator, because the product's code is measured inside this process too.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Debug, Parser)]
#[command(name = "portcullis-bench", about = "Benchmarks of Portcullis beside its peers")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measure everything and write the report.
    Run(RunArguments),
    /// Serve the bytes of a file from a bare axum handler: one of the peers.
    Bare {
        #[arg(long)]
        listen: SocketAddr,
        #[arg(long)]
        file: PathBuf,
    },
}

/// What `run` takes.
#[derive(Clone, Debug, Args)]
struct RunArguments {
    /// Three rounds of one second instead of five of three: to see that it works, not to quote.
    #[arg(long)]
    quick: bool,
    /// Measure only these rows, by their names, separated by commas.
    #[arg(long, value_delimiter = ',')]
    only: Vec<rows::Name>,
    /// The release binary of Portcullis.
    #[arg(long, default_value = "target/release/portcullis")]
    portcullis: PathBuf,
    /// Where the report goes.
    #[arg(long, default_value = "bench/out")]
    out: PathBuf,
    /// Where data is kept meanwhile; on the disk to be measured. A folder in it is made and removed again.
    #[arg(long, default_value = "bench/out")]
    work: PathBuf,
    /// Also keep the report under this folder, by its date.
    #[arg(long)]
    save: Option<PathBuf>,
    /// Leave the work folder behind, to look into something.
    #[arg(long)]
    keep: bool,
    /// Tokens in the large table.
    #[arg(long, default_value_t = 1_000_000)]
    tokens: u32,
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Run(arguments) => run::run(&arguments),
        Command::Bare { listen, file } => bare::serve(listen, &file).map(|()| true),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(2),
        Err(error) => {
            eprintln!("portcullis-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}
