//! One git process and everything it starts: a process group that is watched, killed as a whole, and reaped.

use std::io;
use std::os::fd::OwnedFd;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};

use crate::Error;
use crate::command::Call;

/// How much of what git says on its error output is kept, in bytes.
const MAX_ERROR_TEXT_BYTES: usize = 8 * 1024;

/// A running process group. Dropping it kills the whole group.
pub(crate) struct Group {
    child: Child,
    leader: Pid,
    exit: AsyncFd<OwnedFd>,
    reaped: bool,
}

impl Group {
    /// Starts a command as the leader of a new group.
    pub(crate) fn start(mut command: Command) -> io::Result<Group> {
        let mut child = command.process_group(0).spawn()?;
        let leader = child
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw)
            .ok_or_else(|| io::Error::other("a child process without an id"))?;
        match watch_exit(leader) {
            Ok(exit) => Ok(Group { child, leader, exit, reaped: false }),
            Err(error) => {
                kill(leader);
                // The runtime reaps a dropped child in the background.
                let _ = child.start_kill();
                Err(error)
            }
        }
    }

    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Waits until the leader has exited, without reaping it: until it is reaped, nobody else can get its number, so
    /// the group can still be killed safely.
    pub(crate) async fn exited(&self) {
        // An error means that the runtime is shutting down, and then the group is dropped and killed.
        let _ = self.exit.readable().await;
    }

    /// Kills every process of the group.
    pub(crate) fn kill(&self) {
        if !self.reaped {
            kill(self.leader);
        }
    }

    /// Ends the group: kills what the leader may have left behind, and reaps it.
    pub(crate) async fn reap(mut self) -> io::Result<ExitStatus> {
        self.exited().await;
        self.kill();
        self.reaped = true;
        self.child.wait().await
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Opens a descriptor that becomes readable when the process exits.
fn watch_exit(leader: Pid) -> io::Result<AsyncFd<OwnedFd>> {
    let descriptor = pidfd_open(leader, PidfdFlags::NONBLOCK)?;
    #[expect(unsafe_code, reason = "tokio asks for the promise below and has no safe way to give it")]
    // SAFETY: an `OwnedFd` is open, and names the same descriptor, until it is dropped; it is never lent mutably.
    let registered = unsafe { AsyncFd::register(descriptor) };
    registered.map_err(|error| error.into_parts().1)
}

fn kill(leader: Pid) {
    // The only failure is that the group has already gone.
    let _ = kill_process_group(leader, Signal::KILL);
}

/// What a short command said and how it ended.
pub(crate) struct Finished {
    pub(crate) status: ExitStatus,
    pub(crate) output: Vec<u8>,
    pub(crate) errors: String,
}

/// Runs a short command to its end. Dropping the future kills it. Output beyond `max_output_bytes` is an error.
pub(crate) async fn run(
    call: Call,
    input: Option<Vec<u8>>,
    max_output_bytes: usize,
    limit: Duration,
) -> Result<Finished, Error> {
    let mut command = call.into_command();
    command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut group = Group::start(command).map_err(Error::io("starting git"))?;
    let (stdin, stdout, stderr) =
        (group.child().stdin.take(), group.child().stdout.take(), group.child().stderr.take());
    let work = async {
        let feed = async {
            if let (Some(mut stdin), Some(input)) = (stdin, input) {
                // A child that does not want all of its input says so by its exit status.
                let _ = stdin.write_all(&input).await;
            }
        };
        let ((), output, errors) =
            tokio::join!(feed, read_bounded(stdout, max_output_bytes), read_error_text(stderr));
        (output, errors)
    };
    let Ok((output, errors)) = tokio::time::timeout(limit, work).await else {
        return Err(Error::internal("git took too long"));
    };
    let status = tokio::time::timeout(limit, group.reap())
        .await
        .map_err(|_| Error::internal("git took too long to end"))?
        .map_err(Error::io("waiting for git"))?;
    let output = output.map_err(Error::io("reading from git"))?;
    Ok(Finished { status, output, errors })
}

impl Finished {
    /// Returns the output of a command that succeeded, or an error that says what was being done.
    pub(crate) fn expect_success(self, doing: &str) -> Result<Vec<u8>, Error> {
        if self.status.success() {
            return Ok(self.output);
        }
        if self.errors.contains("No space left on device") {
            return Err(Error::DiskFull);
        }
        Err(Error::internal(format!("{doing}: git ended with {}: {}", self.status, self.errors.trim())))
    }
}

async fn read_bounded(source: Option<impl AsyncRead + Unpin>, at_most: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(source) = source {
        let mut source = source.take(at_most as u64 + 1);
        source.read_to_end(&mut bytes).await?;
        if bytes.len() > at_most {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "git said more than expected"));
        }
    }
    Ok(bytes)
}

/// Reads error output to its end and keeps the beginning of it.
pub(crate) async fn read_error_text(source: Option<impl AsyncRead + Unpin>) -> String {
    let mut kept = Vec::new();
    if let Some(mut source) = source {
        let mut buffer = [0; 4096];
        while let Ok(n @ 1..) = source.read(&mut buffer).await {
            let room = MAX_ERROR_TEXT_BYTES.saturating_sub(kept.len()).min(n);
            kept.extend_from_slice(&buffer[..room]);
        }
    }
    String::from_utf8_lossy(&kept).into_owned()
}
