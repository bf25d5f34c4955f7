//! The binary: command line, configuration, start-up and shutdown.
//!
//! This is the only crate that reads the environment, the process's arguments and the machine's clock and random
//! source; everything below is handed what it needs. Start reading at [`arguments`] for what can be said to the
//! program and at [`serve`] for how it runs.

use std::process::ExitCode;

use clap::Parser;

mod arguments;
mod config;
mod data_folder;
mod documents;
mod forge;
mod keys;
mod logging;
mod migrate;
mod output;
mod registry;
mod serve;
mod token;
mod user;

use arguments::{Arguments, Command, ConfigCommand, KeysCommand, RegistryCommand, TokenCommand, UserCommand};
use config::Configuration;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Git runs this program in every push, so the hook does not wait for the command line to be understood.
    if portcullis_git::hook::is_meant(std::env::args_os()) {
        return portcullis_git::hook::run();
    }
    match run(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("portcullis: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Serve(arguments) => serve::run(&arguments),
        Command::User(UserCommand::Create(arguments)) => user::create(&arguments),
        Command::User(UserCommand::PasswordLink(arguments)) => user::password_link(&arguments),
        Command::User(UserCommand::RemoveSecondFactor(arguments)) => user::remove_second_factor(&arguments),
        Command::User(UserCommand::Seats(place)) => user::seats(&place),
        Command::Token(TokenCommand::Create(arguments)) => token::create(&arguments),
        Command::Keys(KeysCommand::List(place)) => keys::list(&place),
        Command::Keys(KeysCommand::Rotate(place)) => keys::rotate(&place),
        Command::Keys(KeysCommand::Certificate(place)) => keys::print_certificates(&place),
        Command::Registry(RegistryCommand::Gc(arguments)) => registry::collect(&arguments),
        Command::Registry(RegistryCommand::Verify(arguments)) => registry::verify(&arguments),
        Command::Config(ConfigCommand::Show(arguments)) => {
            output::print(&Configuration::load(&arguments)?.show()?)
        }
        Command::Migrate(place) => migrate::run(&place),
        Command::Version => output::print(concat!("portcullis ", env!("CARGO_PKG_VERSION"), "\n")),
        Command::Completions { shell } => {
            documents::print_completions(shell);
            Ok(())
        }
        Command::Man { folder } => documents::write_man_pages(&folder),
    }
}
