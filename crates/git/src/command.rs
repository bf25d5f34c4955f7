//! How git is called: its environment, its configuration, its folder for hooks.
//!
//! Children see nothing of our own environment. Configuration travels in `GIT_CONFIG_COUNT`, never in the
//! repository, so a change here applies to every repository at once and nothing in a repository can weaken it.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tokio::process::Command;

use crate::hook;
use crate::{Error, GitProtocol, Settings};

/// The oldest git whose options and fixes we rely on: cruft packs, `safe.bareRepository`, `--exclude-hidden`.
const OLDEST_GIT: (u32, u32) = (2, 39);

/// Refs that belong to the server: never written by a push.
const HIDDEN_FROM_PUSH: [&str; 6] = [
    "refs/environments/",
    "refs/keep-around/",
    "refs/merge-requests/",
    "refs/pipelines/",
    "refs/remotes/",
    "refs/tmp/",
];

/// Refs that belong to the server and are not even shown to a fetch.
const HIDDEN_FROM_FETCH: [&str; 3] = ["refs/keep-around/", "refs/remotes/", "refs/tmp/"];

/// The longest first line of a script that every Linux understands, in bytes, without its end.
const MAX_INTERPRETER_LINE_BYTES: usize = 126;

/// Everything about calling git that is the same for all repositories.
pub(crate) struct Git {
    program: PathBuf,
    version: String,
    hook: PathBuf,
    environment: Vec<(OsString, OsString)>,
    configuration: Vec<(String, OsString)>,
}

impl Git {
    /// Finds git, asks for its version, and prepares the folder `own` that its children are pointed at.
    pub(crate) async fn prepare(settings: &Settings, own: &Path) -> Result<Git, Error> {
        let program = find_program(&settings.git, &settings.search_path)?;
        let home = own.join("home");
        let hooks = own.join("hooks");
        make_private_dir(&home)?;
        make_private_dir(&hooks)?;
        let hook = hooks.join(hook::NAME);
        write_hook(&hook, &settings.hook_program)?;
        let environment = vec![
            ("PATH".into(), settings.search_path.clone().into()),
            ("LC_ALL".into(), "C".into()),
            ("HOME".into(), home.into()),
            ("GIT_CONFIG_NOSYSTEM".into(), "1".into()),
            ("GIT_CONFIG_GLOBAL".into(), "/dev/null".into()),
            ("GIT_TERMINAL_PROMPT".into(), "0".into()),
        ];
        let configuration = configuration(settings, &hooks);
        let mut git = Git { program, version: String::new(), hook, environment, configuration };
        git.version = git.ask_version().await?;
        Ok(git)
    }

    async fn ask_version(&self) -> Result<String, Error> {
        let mut command = Command::new(&self.program);
        command.env_clear().envs(self.environment.iter().map(|(k, v)| (k, v))).arg("version");
        let output = command
            .output()
            .await
            .map_err(|error| Error::Unusable(format!("{} cannot be run: {error}", self.program.display())))?;
        let said = String::from_utf8_lossy(&output.stdout);
        let version = said.trim().strip_prefix("git version ").unwrap_or_default();
        let version = version.split_whitespace().next().unwrap_or_default();
        let mut numbers = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
        let found = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        if found < OLDEST_GIT {
            let (major, minor) = OLDEST_GIT;
            let found = if version.is_empty() { "something else" } else { version };
            let program = self.program.display();
            return Err(Error::Unusable(format!(
                "git {major}.{minor} or newer is needed, {program} is {found}"
            )));
        }
        Ok(version.to_owned())
    }

    /// Returns git's version, such as `2.39.5`.
    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    /// Makes sure that the hook is where git looks for it, because git goes on without a hook it does not find.
    pub(crate) fn check_hook(&self) -> Result<(), Error> {
        if is_executable(&self.hook) {
            return Ok(());
        }
        Err(Error::internal(format!("the hook {} is gone; restart to make it again", self.hook.display())))
    }

    /// Begins a command that is told its repository by a path argument, as the two services are.
    pub(crate) fn service(&self, subcommand: &str, repository: &Path) -> Call {
        let mut call = self.bare_call(repository);
        call.command.arg(subcommand);
        call
    }

    /// Begins a command that works inside a repository.
    pub(crate) fn inside(&self, subcommand: &str, repository: &Path) -> Call {
        let mut call = self.bare_call(repository);
        let mut place = OsString::from("--git-dir=");
        place.push(repository);
        call.command.arg(place).arg(subcommand).current_dir(repository);
        call
    }

    fn bare_call(&self, repository: &Path) -> Call {
        let mut command = Command::new(&self.program);
        command.env_clear().envs(self.environment.iter().map(|(k, v)| (k, v)));
        let mut call = Call { command, settings: 0 };
        for (key, value) in &self.configuration {
            call.set(key, value.clone());
        }
        // Only this repository may be opened, whoever owns its files.
        call.set("safe.directory", repository.as_os_str().to_owned());
        call
    }
}

/// One call of git that is being put together.
pub(crate) struct Call {
    command: Command,
    settings: usize,
}

impl Call {
    /// Adds one setting of git's configuration.
    pub(crate) fn set(&mut self, key: &str, value: impl Into<OsString>) {
        let n = self.settings;
        self.command.env(format!("GIT_CONFIG_KEY_{n}"), key);
        self.command.env(format!("GIT_CONFIG_VALUE_{n}"), value.into());
        self.settings += 1;
    }

    /// Tells git which protocol version the client asked for.
    pub(crate) fn protocol(&mut self, protocol: Option<&GitProtocol>) {
        if let Some(protocol) = protocol {
            self.command.env("GIT_PROTOCOL", protocol.as_str());
        }
    }

    /// Adds arguments.
    pub(crate) fn args<A: AsRef<std::ffi::OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Call {
        self.command.args(arguments);
        self
    }

    /// Adds one variable to the environment.
    pub(crate) fn env(&mut self, key: &str, value: impl AsRef<std::ffi::OsStr>) {
        self.command.env(key, value);
    }

    /// Ends the preparation.
    pub(crate) fn into_command(mut self) -> Command {
        self.command.env("GIT_CONFIG_COUNT", self.settings.to_string());
        self.command
    }
}

/// The configuration that is in force for every child.
fn configuration(settings: &Settings, hooks: &Path) -> Vec<(String, OsString)> {
    let threads = settings.pack_threads.max(1).to_string();
    let mut pairs: Vec<(&str, &str)> = vec![
        // What comes in is checked object by object, except for three habits of old history that harm nobody.
        ("transfer.fsckObjects", "true"),
        ("receive.fsck.badTimezone", "ignore"),
        ("receive.fsck.missingSpaceBeforeDate", "ignore"),
        ("receive.fsck.zeroPaddedFilemode", "ignore"),
        ("fsck.badTimezone", "ignore"),
        ("fsck.missingSpaceBeforeDate", "ignore"),
        ("fsck.zeroPaddedFilemode", "ignore"),
        // Every push stays one pack: a single fsync instead of thousands, and far fewer files.
        ("transfer.unpackLimit", "1"),
        ("fastimport.unpackLimit", "1"),
        ("receive.advertisePushOptions", "true"),
        ("receive.keepAlive", "5"),
        ("uploadpack.keepAlive", "5"),
        // Upkeep is ours alone.
        ("receive.autogc", "false"),
        ("gc.auto", "0"),
        ("maintenance.auto", "false"),
        ("receive.updateServerInfo", "false"),
        ("repack.updateServerInfo", "false"),
        // Partial clone needs to fetch any object by id later; filters that make the server walk are held back.
        ("uploadpack.allowFilter", "true"),
        ("uploadpack.allowAnySHA1InWant", "true"),
        ("uploadpackfilter.allow", "true"),
        ("uploadpackfilter.sparse:oid.allow", "false"),
        ("uploadpackfilter.tree.maxDepth", "3"),
        ("transfer.advertiseSID", "false"),
        ("transfer.advertiseObjectInfo", "false"),
        // The check of a push would ask the repository itself for its refs, as the alternate of the quarantine.
        ("core.alternateRefsCommand", "true"),
        // Survive a power cut: objects, what is derived from them, and refs are on disk before a push is answered.
        ("core.fsync", "objects,derived-metadata,reference"),
        ("core.fsyncMethod", "fsync"),
        ("core.packedRefsTimeout", "10000"),
        ("core.filesRefLockTimeout", "1000"),
        // A replace ref could show other content than what was reviewed.
        ("core.useReplaceRefs", "false"),
        ("core.bigFileThreshold", "50m"),
        ("core.protectHFS", "true"),
        ("core.protectNTFS", "true"),
        ("core.symlinks", "false"),
        ("core.logAllRefUpdates", "false"),
        // Bounds for memory and processors.
        ("pack.windowMemory", "100m"),
        ("pack.threads", &threads),
        ("pack.writeReverseIndex", "true"),
        ("pack.allowPackReuse", "true"),
        ("pack.useBitmapBoundaryTraversal", "true"),
        ("repack.writeBitmaps", "true"),
        ("pack.writeBitmapLookupTable", "true"),
        ("repack.useDeltaIslands", "true"),
        ("pack.island", "r(e)fs/heads"),
        ("pack.island", "r(e)fs/tags"),
        ("pack.islandCore", "e"),
        ("fetch.writeCommitGraph", "false"),
        ("fetch.recurseSubmodules", "no"),
        // No child of the engine has any business outside its repository.
        ("protocol.allow", "never"),
        ("safe.bareRepository", "explicit"),
        ("init.templateDir", ""),
    ];
    pairs.extend(HIDDEN_FROM_PUSH.map(|prefix| ("receive.hideRefs", prefix)));
    pairs.extend(HIDDEN_FROM_FETCH.map(|prefix| ("uploadpack.hideRefs", prefix)));
    let mut configuration: Vec<(String, OsString)> =
        pairs.into_iter().map(|(key, value)| (key.to_owned(), value.into())).collect();
    configuration.push(("core.hooksPath".into(), hooks.as_os_str().to_owned()));
    if let Some(bytes) = settings.max_push_bytes {
        configuration.push(("receive.maxInputSize".into(), bytes.to_string().into()));
    }
    configuration
}

/// Resolves the program once, so that starting it later needs no search.
fn find_program(name: &Path, search_path: &str) -> Result<PathBuf, Error> {
    let candidates: Vec<PathBuf> = if name.components().count() > 1 {
        vec![name.to_owned()]
    } else {
        search_path
            .split(':')
            .filter(|folder| !folder.is_empty())
            .map(|folder| Path::new(folder).join(name))
            .collect()
    };
    let executable = |path: &PathBuf| {
        fs::metadata(path).is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
    };
    candidates.into_iter().find(executable).ok_or_else(|| {
        Error::Unusable(format!("git is not installed: no {} in {search_path}", name.display()))
    })
}

/// Makes a folder that only we can enter, and those above it, where they are missing.
pub(crate) fn make_private_dir(path: &Path) -> Result<(), Error> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(Error::io(format!("making the folder {}", path.display())))
}

/// Writes the file that git runs as its hook: it starts our program with the hook's name.
///
/// It is a script and not a link to the program on purpose. Where git finds no hook it goes on without one, and a link
/// to a program that has just been replaced or removed is no hook; a script whose program is missing fails, and the
/// push is refused. The file is replaced in one step, because a server that is running may be about to start it.
fn write_hook(place: &Path, program: &Path) -> Result<(), Error> {
    let doing = || Error::io(format!("making the hook {}", place.display()));
    let program = std::path::absolute(program).map_err(doing())?;
    let program =
        program.to_str().ok_or_else(|| Error::Unusable("the path of the program is not UTF-8".into()))?;
    let script = hook_script(program);
    if fs::read_to_string(place).is_ok_and(|text| text == script) && is_executable(place) {
        return Ok(());
    }
    let fresh = place.with_file_name(format!(".{}-{}", hook::NAME, std::process::id()));
    let written = fs::write(&fresh, script)
        .and_then(|()| fs::set_permissions(&fresh, fs::Permissions::from_mode(0o700)))
        .and_then(|()| fs::rename(&fresh, place));
    written.map_err(doing())
}

/// Returns the text of the hook. The system itself starts the program that the first line names, which saves a shell; a
/// path that such a line cannot carry is started by one.
fn hook_script(program: &str) -> String {
    let line = format!("#!{program} hook");
    if line.len() <= MAX_INTERPRETER_LINE_BYTES && !program.contains(char::is_whitespace) {
        return format!("{line}\n");
    }
    format!("#!/bin/sh\nexec '{}' hook {}\n", program.replace('\'', "'\\''"), hook::NAME)
}

fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hook_is_started_by_the_system_where_its_path_allows() {
        assert_eq!(hook_script("/usr/bin/portcullis"), "#!/usr/bin/portcullis hook\n");
        let long = format!("/{}", "x".repeat(200));
        for program in ["/it's here/portcullis", "/a\tb", &long] {
            let script = hook_script(program);
            assert!(script.starts_with("#!/bin/sh\nexec '/"), "{script}");
            assert!(script.ends_with("' hook pre-receive\n"), "{script}");
        }
        assert!(hook_script("/it's/a b").contains("'/it'\\''s/a b'"));
    }
}
