//! Where log lines go: to standard error, as text for a person at a terminal and as JSON for everything else.

use std::io::{self, IsTerminal};

use anyhow::Context;
use portcullis_app::settings::{LogFormat, Settings};
use tracing_subscriber::EnvFilter;

/// Begins logging for the rest of the process's life.
pub(crate) fn start(settings: &Settings) -> anyhow::Result<()> {
    let filter = EnvFilter::builder().parse(&settings.log_level).context("`log_level` is not a filter")?;
    let terminal = io::stderr().is_terminal();
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    let begun = match settings.log_format {
        LogFormat::Text => lines.with_ansi(terminal).try_init(),
        LogFormat::Auto if terminal => lines.with_ansi(true).try_init(),
        LogFormat::Auto | LogFormat::Json => {
            // Fields stand at the top of each object, where they are searched for.
            lines.json().flatten_event(true).with_span_list(false).try_init()
        }
    };
    begun.map_err(|error| anyhow::anyhow!("logging cannot begin: {error}"))
}
