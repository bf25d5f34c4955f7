//! Git as a tool of the benchmark: with nothing of the machine's configuration, and the test repository it is given.
//!
//! The repository cannot be downloaded, so it is made: the same commits on every machine, sized like a middling library
//! (about twenty thousand objects in one pack of some fifteen megabytes, four hundred refs), with text that compresses
//! and deltas as text does and some pictures that do not.

use std::fmt::Write as _;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

const COMMITS: usize = 2_400;
const FILES: usize = 600;
const PICTURES: usize = 90;
const BRANCHES: usize = 300;
const TAGS: usize = 120;

/// How many commits wait to be pushed one by one.
pub const PUSHES: usize = 400;

/// Begins a call of git that sees nothing of the machine's configuration.
pub fn command(folder: &Path) -> Command {
    let mut command = Command::new("git");
    isolate(&mut command);
    command.current_dir(folder);
    command
}

/// Takes the machine's Git configuration away from a program that runs git.
pub fn isolate(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("GIT_")) {
            command.env_remove(name);
        }
    }
    command
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_AUTHOR_NAME", "Bench")
        .env("GIT_AUTHOR_EMAIL", "bench@example.com")
        .env("GIT_COMMITTER_NAME", "Bench")
        .env("GIT_COMMITTER_EMAIL", "bench@example.com")
        .env("LC_ALL", "C");
}

/// Runs a call to its end and returns what it printed.
pub fn output(command: &mut Command) -> anyhow::Result<String> {
    let output = command.stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let arguments: Vec<_> = command.get_args().map(|argument| argument.to_string_lossy()).collect();
    bail!("git {} failed: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim())
}

/// Runs git in a folder and returns what it printed, without the line's end.
pub fn run(folder: &Path, arguments: &[&str]) -> anyhow::Result<String> {
    Ok(output(command(folder).args(arguments))?.trim_end().to_owned())
}

/// The test repository.
#[derive(Debug)]
pub struct TestRepository {
    /// Where it is: bare, everything in one pack.
    pub path: PathBuf,
    /// The tip of `main`.
    pub tip: String,
    /// Its ancestor five commits back.
    pub five_back: String,
    /// What every branch and tag points at, one line `id name` each.
    pub refs: String,
    /// The ids that branches and tags point at, each once.
    pub tips: Vec<String>,
    /// Commits on top of the tip, one on another, to be pushed one at a time.
    pub pushes: Vec<String>,
    /// Its size in words, for the report.
    pub about: String,
}

/// Makes the test repository.
pub fn make(path: &Path) -> anyhow::Result<TestRepository> {
    std::fs::create_dir_all(path)?;
    run(path, &["init", "--quiet", "--bare", "--initial-branch=main"])?;
    let marks = path.join("bench-marks");
    let mut import = command(path);
    import.args(["fast-import", "--quiet", "--done"]).arg(format!("--export-marks={}", marks.display()));
    let mut child = import.stdin(Stdio::piped()).spawn().context("git cannot be started")?;
    let stdin = child.stdin.take().context("git was started without an input")?;
    let mut writer = Writer { to: BufWriter::new(stdin), random: Random(20), mark: 0, text: String::new() };
    let first_push = writer.history()?;
    writer.to.flush()?;
    drop(writer);
    if !child.wait()?.success() {
        bail!("the test repository could not be imported");
    }
    run(path, &["-c", "pack.threads=1", "repack", "-a", "-d", "-f", "-q", "--depth=50", "--window=10"])?;

    let marks = std::fs::read_to_string(marks)?;
    let mut pushes: Vec<(usize, String)> = marks
        .lines()
        .filter_map(|line| line.strip_prefix(':')?.split_once(' '))
        .filter_map(|(mark, id)| Some((mark.parse().ok()?, id.to_owned())))
        .filter(|(mark, _)| *mark >= first_push)
        .collect();
    pushes.sort();
    let refs = refs(path)?;
    let mut tips: Vec<String> =
        refs.lines().filter_map(|line| Some(line.split_once(' ')?.0.to_owned())).collect();
    tips.sort();
    tips.dedup();
    let counted = run(path, &["count-objects", "-v"])?;
    let number = |name: &str| {
        let line = counted.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        line.and_then(|text| text.parse::<f64>().ok()).unwrap_or(f64::NAN)
    };
    Ok(TestRepository {
        path: path.to_owned(),
        tip: run(path, &["rev-parse", "refs/heads/main"])?,
        five_back: run(path, &["rev-parse", "refs/heads/main~5"])?,
        about: format!(
            "generated: {} objects, one pack of {:.1} MB, {} refs",
            number("in-pack"),
            number("size-pack") * 1024.0 / 1e6,
            refs.lines().count()
        ),
        refs,
        tips,
        pushes: pushes.into_iter().map(|(_, id)| id).collect(),
    })
}

/// Returns what every branch and tag of a repository points at, by name.
pub fn refs(path: &Path) -> anyhow::Result<String> {
    let format = "--format=%(objectname) %(refname)";
    run(path, &["for-each-ref", "--sort=refname", format, "refs/heads", "refs/tags"])
}

/// Writes the input of `git fast-import`.
struct Writer<W: Write> {
    to: BufWriter<W>,
    random: Random,
    mark: usize,
    text: String,
}

impl<W: Write> Writer<W> {
    /// Writes everything and returns the mark of the first commit that is kept for a push.
    fn history(&mut self) -> anyhow::Result<usize> {
        let mut files: Vec<Vec<String>> = (0..FILES).map(|_| self.random.file()).collect();
        self.commit("refs/heads/main", None)?;
        for (number, lines) in files.iter().enumerate() {
            self.file(&file_name(number), lines.concat().as_bytes())?;
        }
        for picture in 0..PICTURES {
            let bytes = self.random.noise(90_000 + 1_000 * picture);
            self.file(&format!("assets/picture-{picture:02}.png"), &bytes)?;
        }
        let mut history = vec![self.mark];
        for _ in 1..COMMITS {
            self.commit("refs/heads/main", None)?;
            for _ in 0..2 {
                let number = self.random.below(FILES);
                self.random.edit(&mut files[number]);
                self.file(&file_name(number), files[number].concat().as_bytes())?;
            }
            history.push(self.mark);
        }
        for branch in 0..BRANCHES {
            let from = history[self.random.below(history.len())];
            self.commit(&format!("refs/heads/topic/{branch:03}"), Some(from))?;
            let lines = self.random.file();
            self.file(&format!("notes/topic-{branch:03}.md"), lines.concat().as_bytes())?;
        }
        for tag in 0..TAGS {
            let from = history[(tag + 1) * (history.len() - 1) / TAGS];
            if tag % 2 == 0 {
                write!(self.to, "reset refs/tags/v0.{tag}\nfrom :{from}\n\n")?;
            } else {
                let message = format!("Release 0.{tag}\n");
                let length = message.len();
                write!(
                    self.to,
                    "tag v0.{tag}\nfrom :{from}\ntagger Bench <bench@example.com> 1700000000 +0000\ndata {length}\n{message}\n"
                )?;
            }
        }
        let mut parent = history[history.len() - 1];
        let first_push = self.mark + 1;
        for _ in 0..PUSHES {
            self.commit("refs/bench/pushes", Some(parent))?;
            parent = self.mark;
            let number = self.random.below(FILES);
            self.random.edit(&mut files[number]);
            self.file(&file_name(number), files[number].concat().as_bytes())?;
        }
        writeln!(self.to, "done")?;
        Ok(first_push)
    }

    fn commit(&mut self, branch: &str, from: Option<usize>) -> anyhow::Result<()> {
        self.mark += 1;
        let mark = self.mark;
        let at = 1_600_000_000 + mark * 3_600;
        self.text.clear();
        let words = (0..6).map(|_| self.random.word()).collect::<Vec<_>>().join(" ");
        write!(self.text, "Change {mark}: {words}\n\nIt was needed.\n")?;
        let who = format!("Bench <bench@example.com> {at} +0000");
        write!(self.to, "commit {branch}\nmark :{mark}\nauthor {who}\ncommitter {who}\n")?;
        write!(self.to, "data {}\n{}", self.text.len(), self.text)?;
        if let Some(from) = from {
            writeln!(self.to, "from :{from}")?;
        }
        Ok(())
    }

    fn file(&mut self, name: &str, bytes: &[u8]) -> anyhow::Result<()> {
        write!(self.to, "M 100644 inline {name}\ndata {}\n", bytes.len())?;
        self.to.write_all(bytes)?;
        writeln!(self.to)?;
        Ok(())
    }
}

fn file_name(number: usize) -> String {
    format!("crates/part-{:02}/src/module-{:02}.rs", number / 30, number % 30)
}

/// A generator that gives the same on every machine (splitmix64).
pub struct Random(pub u64);

impl Random {
    /// Returns the next number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Returns a number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    /// Fills with bytes that do not compress.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let number = self.next().to_le_bytes();
            chunk.copy_from_slice(&number[..chunk.len()]);
        }
    }

    fn noise(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.fill(&mut bytes);
        bytes
    }

    fn word(&mut self) -> String {
        const PARTS: [&str; 24] = [
            "ab", "con", "de", "er", "fi", "gra", "hel", "in", "ject", "ken", "lo", "mit", "no", "or", "pre",
            "que", "re", "sub", "ta", "un", "ver", "wi", "xa", "ze",
        ];
        // Few words are used often and many seldom, as in any text.
        let rank = self.below(60) * self.below(60);
        format!("{}{}{}", PARTS[rank % 24], PARTS[rank / 24 % 24], PARTS[rank / 576 % 24])
    }

    fn line(&mut self) -> String {
        let indent = "    ".repeat(self.below(4));
        let words: Vec<_> = (0..3 + self.below(6)).map(|_| self.word()).collect();
        format!("{indent}{};\n", words.join("_"))
    }

    fn file(&mut self) -> Vec<String> {
        (0..60 + self.below(160)).map(|_| self.line()).collect()
    }

    fn edit(&mut self, lines: &mut Vec<String>) {
        for _ in 0..3 {
            let at = self.below(lines.len());
            lines[at] = self.line();
        }
        let at = self.below(lines.len());
        let line = self.line();
        lines.insert(at, line);
    }
}
