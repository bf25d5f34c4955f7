//! The client half of the hook: what the program does when git runs it as `pre-receive`.
//!
//! It passes on what git gave it, over a socket that `git receive-pack` inherited from the engine, waits for the
//! answer, and shows the lines that come back. It decides nothing. Whatever goes wrong here refuses the push: an
//! engine that cannot be asked has not said yes.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::wire::{self, Answer, Question};

/// The hook we install.
pub(crate) const NAME: &str = "pre-receive";

/// The variable that tells the hook which of its file descriptors is the socket.
pub(crate) const SOCKET_VARIABLE: &str = "PORTCULLIS_HOOK_FD";

/// How long a hook waits for the engine. The engine gives up first, and then says so itself; this is for an engine that
/// says nothing.
const ANSWER_LIMIT: Duration = Duration::from_secs(55);

/// Says whether the program was started as the hook: by the arguments `hook` and the hook's name or the path of its file.
/// A program asks this before it does anything else.
pub fn is_meant(arguments: impl IntoIterator<Item = OsString>) -> bool {
    let mut arguments = arguments.into_iter().skip(1);
    let is_hook = arguments.next().is_some_and(|first| first == "hook");
    is_hook
        && arguments.next().is_some_and(|file| Path::new(&file).file_name().is_some_and(|name| name == NAME))
}

/// Runs the hook and returns the exit status for the process. Every failure refuses the push.
///
/// Call it at the very start of a process, before any other file is opened.
pub fn run() -> ExitCode {
    match ask() {
        Ok(answer) => {
            say(&answer.text);
            if answer.accept { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(reason) => {
            say(&format!("The push could not be checked and was refused: {reason}."));
            ExitCode::FAILURE
        }
    }
}

fn say(text: &str) {
    if !text.is_empty() {
        // Nobody may be listening any more, which changes nothing.
        let _ = writeln!(io::stderr(), "{}", text.trim_end());
    }
}

fn ask() -> Result<Answer, String> {
    let mut socket = inherited_socket()?;
    let question = Question {
        updates: read_updates()?,
        quarantine: bytes_of("GIT_QUARANTINE_PATH"),
        alternates: bytes_of("GIT_ALTERNATE_OBJECT_DIRECTORIES"),
        options: push_options()?,
    };
    let unreachable = |error: io::Error| match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
            String::from("the server took too long to answer")
        }
        _ => String::from("the server could not be asked"),
    };
    let mut waiting = Waiting { socket: &mut socket, until: Instant::now() + ANSWER_LIMIT };
    waiting.write_all(&question.encode()).map_err(unreachable)?;
    Answer::read(&mut waiting).map_err(|error| {
        // The engine may still be deciding; it must learn that nobody waits for its yes any more.
        let _ = waiting.socket.shutdown(Shutdown::Both);
        unreachable(error)
    })
}

/// A socket on which all reads and writes together end at a moment.
struct Waiting<'a> {
    socket: &'a mut UnixStream,
    until: Instant,
}

impl Waiting<'_> {
    fn left(&self) -> io::Result<Option<Duration>> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(Some(left)) }
    }
}

impl Read for Waiting<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.set_read_timeout(self.left()?)?;
        self.socket.read(buffer)
    }
}

impl Write for Waiting<'_> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.socket.set_write_timeout(self.left()?)?;
        self.socket.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn inherited_socket() -> Result<UnixStream, &'static str> {
    let missing = "there is no connection to the server";
    let number = env::var(SOCKET_VARIABLE).map_err(|_| missing)?;
    let number: RawFd = number.parse().map_err(|_| missing)?;
    let is_socket = fs::read_link(format!("/proc/self/fd/{number}"))
        .is_ok_and(|target| target.as_os_str().as_encoded_bytes().starts_with(b"socket:"));
    if number <= 2 || !is_socket {
        return Err(missing);
    }
    #[expect(
        unsafe_code,
        reason = "the standard library has no safe way to take over an inherited descriptor"
    )]
    // SAFETY: the descriptor is open, as was just checked, and nobody else in this process owns it: this runs before
    // the process opens anything, and the variable is set by the engine for exactly this purpose.
    let descriptor = unsafe { OwnedFd::from_raw_fd(number) };
    Ok(UnixStream::from(descriptor))
}

fn read_updates() -> Result<Vec<u8>, &'static str> {
    let mut updates = Vec::new();
    let limit = wire::MAX_UPDATES_BYTES as u64 + 1;
    io::stdin()
        .lock()
        .take(limit)
        .read_to_end(&mut updates)
        .map_err(|_| "the list of updates could not be read")?;
    if updates.len() > wire::MAX_UPDATES_BYTES {
        return Err("it changes too many refs at once");
    }
    Ok(updates)
}

fn bytes_of(variable: &str) -> Vec<u8> {
    env::var_os(variable).map(OsString::into_vec).unwrap_or_default()
}

fn push_options() -> Result<Vec<Vec<u8>>, String> {
    let malformed = "its push options cannot be read";
    let count = match env::var("GIT_PUSH_OPTION_COUNT") {
        Ok(count) => count.parse::<usize>().map_err(|_| malformed)?,
        Err(env::VarError::NotPresent) => 0,
        Err(env::VarError::NotUnicode(_)) => return Err(malformed.into()),
    };
    if count > wire::MAX_OPTIONS {
        return Err(format!("it has more than {} push options", wire::MAX_OPTIONS));
    }
    let option = |n: usize| {
        let value = env::var_os(format!("GIT_PUSH_OPTION_{n}")).map(OsString::into_vec).ok_or(malformed)?;
        if value.len() > wire::MAX_OPTION_BYTES {
            return Err(format!("a push option is longer than {} bytes", wire::MAX_OPTION_BYTES));
        }
        Ok(value)
    };
    (0..count).map(option).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_meant_by(arguments: &[&str]) -> bool {
        is_meant(arguments.iter().map(OsString::from))
    }

    #[test]
    fn the_hook_is_known_by_its_arguments() {
        assert!(is_meant_by(&["portcullis", "hook", "pre-receive"]));
        assert!(is_meant_by(&["portcullis", "hook", "/srv/hooks/pre-receive"]));
        for others in [
            vec!["portcullis", "hook", "/srv/pre-receive/.."],
            vec!["portcullis", "hook", "update"],
            vec!["portcullis", "hook"],
            vec!["portcullis", "serve", "pre-receive"],
            vec!["portcullis"],
            vec![],
        ] {
            assert!(!is_meant_by(&others), "{others:?}");
        }
    }

    #[test]
    fn without_an_engine_nothing_is_accepted() {
        // The test process has no socket to inherit, so this is the hook that somebody runs by hand.
        assert_eq!(run(), ExitCode::FAILURE);
    }
}
