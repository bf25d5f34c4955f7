//! `portcullis serve`: from settings to a running forge, and its orderly end.

use std::{fmt::Write as _, io, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use anyhow::Context;
use portcullis_app::{forge::INITIAL_PASSWORD_FILE, jobs, settings::Settings};
use portcullis_web::{
    server::{self, ServeOptions},
    tls::TlsReload,
};
use tokio::{
    net::{TcpListener, TcpSocket},
    signal::unix::{Signal, SignalKind, signal},
};

use crate::{arguments::ServeArguments, config::Configuration, data_folder, forge, logging, output};

/// How many connections may wait to be accepted.
const BACKLOG: u32 = 1024;

/// How long a thread for blocking work stays when there is none; an idle forge should be small.
const IDLE_THREAD_LIFE: Duration = Duration::from_secs(2);

/// How many threads may wait for the disk at once. Each costs about a megabyte; the work of the others waits in a line.
const MAX_WAITING_THREADS: usize = 8;

/// How long blocking work may still take after everything else has ended.
const LAST_WORK: Duration = Duration::from_secs(5);

/// Runs the forge until it is told to stop.
pub(crate) fn run(arguments: &ServeArguments) -> anyhow::Result<()> {
    let settings = Configuration::load(arguments)?.settings;
    logging::start(&settings)?;
    keep_pages_small();
    let _held = data_folder::hold(&settings.data)?;
    let tls = match (&settings.tls_certificate, &settings.tls_key) {
        (Some(certificate), Some(key)) => Some(TlsReload::from_files(certificate.clone(), key.clone())?),
        _ => None,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("portcullis")
        .thread_keep_alive(IDLE_THREAD_LIFE)
        .max_blocking_threads(MAX_WAITING_THREADS)
        .build()
        .context("threads cannot be started")?;
    let outcome = runtime.block_on(serve(settings, tls));
    runtime.shutdown_timeout(LAST_WORK);
    outcome
}

/// Asks the system not to give this process huge pages, as some systems do unasked: a heap of a few MiB and the stacks of
/// its threads would be several times as large. See prctl(2), `PR_SET_THP_DISABLE`.
fn keep_pages_small() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(true) {
        tracing::debug!(%error, "the system may use huge pages");
    }
}

async fn serve(settings: Settings, tls: Option<TlsReload>) -> anyhow::Result<()> {
    // Before anything is made: a port in use is the most common mistake, and should cost nothing.
    let listener = listen(settings.listen)?;
    let address = listener.local_addr().context("the listening address is unknown")?;
    let mut orders = Orders::new()?;
    let mut hangups = signal(SignalKind::hangup()).context("signals cannot be received")?;

    let forge = forge::open(&settings).await?;
    // The data folder is ours alone; a PostgreSQL database may serve others as well.
    let workers = jobs::start(&forge, settings.database_url.is_none());
    let router = portcullis_web::router(Arc::clone(&forge));

    let base = format!("{}://{address}", if tls.is_some() { "https" } else { "http" });
    let password_file = forge.is_first_start().then(|| settings.data.join(INITIAL_PASSWORD_FILE));
    output::print_if_possible(&greeting(&base, &settings, password_file.as_deref()));
    tracing::info!(%address, encrypted = tls.is_some(), version = env!("CARGO_PKG_VERSION"), "listening");
    if tls.is_none() && !address.ip().is_loopback() {
        tracing::warn!(
            %address,
            "other machines can reach this address and nothing is encrypted: passwords and tokens can be read on \
             the way; set `tls_certificate` and `tls_key`, or listen at 127.0.0.1 behind a proxy that encrypts"
        );
    }

    let options = ServeOptions {
        max_connections: settings.max_connections,
        shutdown_grace: Duration::from_secs(settings.shutdown_seconds.into()),
        ..ServeOptions::default()
    };
    let reloader = tls.clone();
    let reloading = async move {
        while hangups.recv().await.is_some() {
            reload(reloader.as_ref());
        }
        std::future::pending::<()>().await;
    };
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let stopping = async move {
        let order = orders.next().await;
        tracing::info!(signal = order, "stopping: running requests are finished first");
        // The receiver is gone only when the server has ended by itself.
        let _ = stop.send(());
        let order = orders.next().await;
        tracing::warn!(signal = order, "stopping at once");
    };
    tokio::select! {
        ended = server::serve(listener, tls, router, options, stopped) => {
            ended.context("the listening socket failed")?;
        }
        () = reloading => {}
        () = stopping => {}
    }
    drop(workers);
    // The last uses of tokens wait in memory for a quiet moment; this is the last one.
    if let Err(error) = forge.write_last_uses().await {
        tracing::error!(%error, "the last uses of tokens were not written");
    }
    tracing::info!("stopped");
    Ok(())
}

fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let open = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        // Without this a restart would have to wait for the last connections of the one before.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    open().map_err(|error: io::Error| {
        let reason = match error.kind() {
            io::ErrorKind::AddrInUse => "the port is in use by another program".to_owned(),
            io::ErrorKind::AddrNotAvailable => "this machine does not have that address".to_owned(),
            io::ErrorKind::PermissionDenied => "the system does not allow it to this account".to_owned(),
            _ => error.to_string(),
        };
        anyhow::anyhow!("cannot listen at {address}: {reason}")
    })
}

/// Reads the certificate again, or says why not.
fn reload(tls: Option<&TlsReload>) {
    match tls.map(TlsReload::reload) {
        Some(Ok(())) => tracing::info!("the certificate was read again"),
        Some(Err(error)) => {
            tracing::error!(%error, "the certificate was not read again; the one before stays in force");
        }
        None => tracing::info!("there is no certificate to read again"),
    }
}

/// What a person at the terminal reads when the forge has started.
fn greeting(base: &str, settings: &Settings, password_file: Option<&Path>) -> String {
    let mut text = format!("Portcullis listens at {base}\n");
    if let Some(url) = &settings.external_url {
        // Writing into a string cannot fail.
        let _ = writeln!(text, "People and clients use {url}");
    }
    if let Some(password_file) = password_file {
        let _ = write!(
            text,
            "\nThis is its first start. The administrator is `root`; the password is in\n  {}\n\
             Next, make a token for the API:\n  \
             portcullis token create --data {} --user root --name setup --scopes api\n",
            password_file.display(),
            quoted(&settings.data),
        );
    }
    text
}

/// Returns a path as one word of a shell command.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+,:@%".contains(&byte);
    if text.bytes().all(is_plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

/// The orders to stop: SIGTERM from a service manager, SIGINT from a keyboard.
struct Orders {
    terminate: Signal,
    interrupt: Signal,
}

impl Orders {
    fn new() -> anyhow::Result<Self> {
        let receive = |kind| signal(kind).context("signals cannot be received");
        Ok(Self {
            terminate: receive(SignalKind::terminate())?,
            interrupt: receive(SignalKind::interrupt())?,
        })
    }

    /// Waits for the next order and returns its name.
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
