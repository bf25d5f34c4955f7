//! The command line, as a tree. Scripts, completions and man pages all rely on it: names only ever get added.
//!
//! Git's hooks are not part of it. They are answered before this tree is looked at, and are nobody else's to run.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use jiff::civil::Date;

/// A small, fast, self-hosted Git forge whose heart is the project access token.
#[derive(Debug, Parser)]
#[command(
    name = "portcullis",
    version,
    disable_help_subcommand = true,
    arg_required_else_help = true,
    max_term_width = 100,
    after_help = "Every setting is a key of the TOML file and, in capitals behind PORTCULLIS_, an environment \
                  variable. `portcullis config show` lists them all. Flags win over the environment, and the \
                  environment wins over the file."
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the forge
    ///
    /// In an empty folder this needs no configuration: it makes its data folder with an SQLite database, its keys
    /// and the administrator `root`, whose password it writes to the file `initial_root_password` there. SIGTERM
    /// ends it after running requests are answered; SIGHUP makes it read its certificate again.
    Serve(ServeArguments),
    /// Make people, and count them
    #[command(subcommand)]
    User(UserCommand),
    /// Make tokens
    #[command(subcommand)]
    Token(TokenCommand),
    /// Look at the keys that the registry's bearers are signed with, and make new ones
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Look after the content of the container registry
    #[command(subcommand)]
    Registry(RegistryCommand),
    /// Look at the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Bring the database to the form this version needs
    ///
    /// `portcullis serve` does the same when it starts; this command is for those who want the two apart.
    Migrate(Place),
    /// Print the version
    Version,
    /// Print a script that completes commands in a shell
    Completions {
        /// The shell to complete for
        shell: Shell,
    },
    /// Write the man pages into a folder
    Man {
        /// The folder to write into
        folder: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum UserCommand {
    /// Make a person
    Create(UserCreate),
    /// Print a link with which a person chooses a password, once and within a day
    ///
    /// An earlier link for the same person is good no longer. Their password stays until they choose another.
    PasswordLink(Person),
    /// Take the second factor of somebody away who has lost it
    ///
    /// Their password alone signs them in then, until they set another one up.
    RemoveSecondFactor(Person),
    /// Count the people who need a seat; bots and the Ghost User need none
    Seats(Place),
}

#[derive(Debug, Args)]
pub(crate) struct UserCreate {
    /// The name to sign in with
    #[arg(long, value_name = "USERNAME")]
    pub(crate) username: String,
    /// The e-mail address
    #[arg(long)]
    pub(crate) email: String,
    /// The name to show; the username when there is none
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Make an administrator
    #[arg(long)]
    pub(crate) admin: bool,
    /// Make an external person, who sees only public projects and those they are a member of
    #[arg(long, conflicts_with = "admin")]
    pub(crate) external: bool,
    /// Read the password from the first line of standard input; without it the person has no password
    #[arg(long)]
    pub(crate) password_stdin: bool,
    #[command(flatten)]
    pub(crate) place: Place,
}

#[derive(Debug, Args)]
pub(crate) struct Person {
    /// The username of the person
    #[arg(long, value_name = "USERNAME")]
    pub(crate) username: String,
    #[command(flatten)]
    pub(crate) place: Place,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a personal access token and print its secret, this once, on standard output
    Create(TokenCreate),
}

#[derive(Debug, Args)]
pub(crate) struct TokenCreate {
    /// The username of the person the token belongs to
    #[arg(long, value_name = "USERNAME")]
    pub(crate) user: String,
    /// What to call the token
    #[arg(long)]
    pub(crate) name: String,
    /// What the token may do, such as `api` or `read_repository,write_repository`
    #[arg(long, value_name = "SCOPES", value_delimiter = ',', required = true)]
    pub(crate) scopes: Vec<String>,
    /// The day on which the token stops working, at midnight UTC, such as 2030-01-31; never when there is none
    #[arg(long, value_name = "DATE")]
    pub(crate) expires_at: Option<Date>,
    #[command(flatten)]
    pub(crate) place: Place,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// Print every key, newest first: its name, algorithm, the time it was made, whether it signs, and its file
    List(Place),
    /// Make a new key, which signs from now on
    ///
    /// What the key before it signed stays good. That key is removed a day later. A running server takes up the new key
    /// within half a minute.
    Rotate(Place),
    /// Print the certificates of all keys in PEM, for a registry elsewhere that is to trust them
    Certificate(Place),
}

#[derive(Debug, Subcommand)]
pub(crate) enum RegistryCommand {
    /// Remove content that no image needs
    ///
    /// The server does the same every hour, and may run meanwhile. What was used lately is kept for
    /// `registry_gc_age_hours`.
    Gc(RegistryCollect),
    /// Read every blob, and print those that are damaged or missing
    ///
    /// The exit code is 1 when there are any. The server may run meanwhile.
    Verify(RegistryVerify),
}

#[derive(Debug, Args)]
pub(crate) struct RegistryCollect {
    /// Only count what would be removed
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) place: Place,
}

#[derive(Debug, Args)]
pub(crate) struct RegistryVerify {
    /// Delete damaged content, and say of it and of what is missing that it is not there, so that the next push brings it
    /// again
    #[arg(long)]
    pub(crate) remove_damaged: bool,
    #[command(flatten)]
    pub(crate) place: Place,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Print the settings in force and where each comes from, with secrets hidden
    Show(ServeArguments),
}

/// Where the forge is; every command that needs it takes these.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Place {
    /// The folder that holds the database, repositories and keys [default: portcullis-data]
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// The TOML file with the settings [default: portcullis.toml in the data folder, if there is one]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

/// What `serve` takes, and `config show` too, so that it can show what `serve` would do.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct ServeArguments {
    #[command(flatten)]
    pub(crate) place: Place,
    /// The address and port to listen at [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR:PORT")]
    pub(crate) listen: Option<SocketAddr>,
    /// The address that people and clients use, such as https://git.example.com
    #[arg(long, value_name = "URL")]
    pub(crate) external_url: Option<String>,
    /// The PEM file of the certificate chain, for HTTPS
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_certificate: Option<PathBuf>,
    /// The PEM file of the certificate's private key
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_key: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_tree_is_sound() {
        Arguments::command().debug_assert();
    }
}
