//! What is measured on: the line that stands on every report.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde::Serialize;

/// The machine and the versions of everything that took part.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    pub processor: String,
    pub cores: usize,
    pub memory_gib: f64,
    pub system: String,
    pub kernel: String,
    pub file_system: String,
    pub versions: Vec<(String, String)>,
    pub commit: String,
    pub load_before: String,
    pub load_after: String,
}

impl Machine {
    /// Looks at the machine.
    pub fn look(portcullis: &Path, work: &Path) -> Machine {
        let information = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = information.lines().find(|line| line.starts_with("model name"));
        let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let total =
            memory.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB"));
        let system = fs::read_to_string("/etc/os-release").unwrap_or_default();
        let pretty = system.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
        let portcullis = portcullis.to_string_lossy();
        let versions = [
            ("portcullis", first_line(&portcullis, &["version"])),
            ("git", first_line("git", &["--version"])),
            ("nginx", first_line("nginx", &["-v"])),
            ("fcgiwrap", last_word_line("fcgiwrap", &["-h"], "version")),
            ("wrk", first_line("wrk", &["-v"])),
            ("rustc", first_line("rustc", &["--version"])),
        ];
        let changed = !first_line("git", &["status", "--porcelain", "--untracked-files=no"]).is_empty();
        let commit = first_line("git", &["rev-parse", "--short=12", "HEAD"]);
        Machine {
            processor: model
                .and_then(|line| line.split_once(": "))
                .map_or("unknown", |(_, name)| name)
                .to_owned(),
            cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            memory_gib: total.and_then(|kib| kib.parse::<f64>().ok()).unwrap_or(f64::NAN) / 1024.0 / 1024.0,
            system: pretty.unwrap_or("unknown").trim_matches('"').to_owned(),
            kernel: read_line("/proc/sys/kernel/osrelease"),
            file_system: first_line("stat", &["-f", "-c", "%T", &work.to_string_lossy()]),
            versions: versions.map(|(name, version)| (name.to_owned(), version)).to_vec(),
            commit: if changed { format!("{commit} with uncommitted changes") } else { commit },
            load_before: load(),
            load_after: String::new(),
        }
    }

    /// Says it in one paragraph.
    pub fn line(&self) -> String {
        let versions: Vec<_> = self.versions.iter().map(|(_, version)| version.as_str()).collect();
        format!(
            "{}, {} cores, {:.0} GiB, {}, Linux {}, {}; {}; commit {}; load {} before, {} after.",
            self.processor,
            self.cores,
            self.memory_gib,
            self.system,
            self.kernel,
            self.file_system,
            versions.join(", "),
            self.commit,
            self.load_before,
            self.load_after
        )
    }
}

/// Returns the load averages of now.
pub fn load() -> String {
    read_line("/proc/loadavg").split(' ').take(3).collect::<Vec<_>>().join(" ")
}

fn read_line(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

fn everything(program: &str, arguments: &[&str]) -> String {
    // Some of these print their version to standard error, and some exit with a failure after it.
    let output = Command::new(program).args(arguments).output();
    output.map_or_else(
        |_| String::new(),
        |output| String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned(),
    )
}

fn first_line(program: &str, arguments: &[&str]) -> String {
    let text = everything(program, arguments);
    let line = text.lines().next().unwrap_or_default();
    line.split(" Copyright").next().unwrap_or_default().trim().to_owned()
}

fn last_word_line(program: &str, arguments: &[&str], word: &str) -> String {
    let text = everything(program, arguments);
    text.lines().find(|line| line.contains(word)).unwrap_or_default().trim().to_owned()
}
