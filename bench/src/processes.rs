//! Processes that are started, watched and ended by their ids, and what `/proc` tells about them.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};

/// How long a process may take to end when asked.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running process. Dropping it ends it.
#[derive(Debug)]
pub struct Running {
    name: &'static str,
    child: Child,
}

impl Running {
    /// Starts a process whose output goes to `log`.
    pub fn start(name: &'static str, command: &mut Command, log: &Path) -> anyhow::Result<Running> {
        let file = fs::File::options().create(true).append(true).open(log)?;
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let child = command.spawn().with_context(|| format!("{name} cannot be started"))?;
        Ok(Running { name, child })
    }

    /// Returns its id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Says whether it has ended, and how.
    pub fn ended(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Asks it to end, waits for that, and ends what it leaves behind: fcgiwrap does not end the processes it made.
    pub fn stop(mut self) -> anyhow::Result<()> {
        self.end()
    }

    fn end(&mut self) -> anyhow::Result<()> {
        if self.child.try_wait()?.is_some() {
            return Ok(());
        }
        let below = tree(&[self.child.id()]);
        let ended = self.end_itself();
        for left in all().iter().filter(|left| below.iter().any(|stat| stat.id == left.id)) {
            // It may be gone by now, which is as well.
            let _ = kill_process(pid(left.id)?, Signal::TERM);
        }
        ended
    }

    fn end_itself(&mut self) -> anyhow::Result<()> {
        kill_process(pid(self.child.id())?, Signal::TERM)?;
        let since = Instant::now();
        while since.elapsed() < PATIENCE {
            if self.child.try_wait()?.is_some() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        self.child.kill()?;
        self.child.wait()?;
        bail!("{} did not end when asked and was killed", self.name)
    }
}

fn pid(id: u32) -> anyhow::Result<Pid> {
    i32::try_from(id).ok().and_then(Pid::from_raw).context("an id that is no id")
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            eprintln!("{error:#}");
        }
    }
}

/// One line of `/proc/*/stat`, as far as it matters here.
#[derive(Clone, Copy, Debug)]
struct Stat {
    id: u32,
    parent: u32,
    /// Ticks used by itself and by the children it has waited for.
    ticks: u64,
}

/// How long a tick of `/proc` is, in seconds: the same on every Linux that is in use.
const TICK: f64 = 0.01;

fn parse_stat(text: &str) -> Option<Stat> {
    let (before, after) = (text.split(' ').next()?, text.rsplit_once(')')?.1);
    let fields: Vec<&str> = after.split_whitespace().collect();
    // Counted from the third field, the state: 1 is the parent, 11 to 14 are utime, stime, cutime and cstime.
    let ticks = fields.get(11..15)?.iter().filter_map(|field| field.parse::<u64>().ok()).sum();
    Some(Stat { id: before.parse().ok()?, parent: fields.get(1)?.parse().ok()?, ticks })
}

fn all() -> Vec<Stat> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let texts = entries.flatten().filter_map(|entry| {
        entry.file_name().to_str()?.parse::<u32>().ok()?;
        fs::read_to_string(entry.path().join("stat")).ok()
    });
    texts.filter_map(|text| parse_stat(&text)).collect()
}

/// Returns the processes below `roots`, these included.
fn tree(roots: &[u32]) -> Vec<Stat> {
    let all = all();
    let mut children: HashMap<u32, Vec<Stat>> = HashMap::new();
    for stat in &all {
        children.entry(stat.parent).or_default().push(*stat);
    }
    let mut found: Vec<Stat> = all.iter().filter(|stat| roots.contains(&stat.id)).copied().collect();
    let mut at = 0;
    while at < found.len() {
        if let Some(more) = children.remove(&found[at].id) {
            found.extend(more);
        }
        at += 1;
    }
    found
}

/// Returns the processor time that the trees below `roots` have used, in seconds, ended children included.
pub fn cpu_seconds(roots: &[u32]) -> f64 {
    tree(roots).iter().map(|stat| stat.ticks as f64 * TICK).sum()
}

/// Returns the processor time that the whole machine has spent on anything, less what this program and the clients it has
/// waited for have used, in seconds.
///
/// Some servers never wait for their children (fcgiwrap is one), and then nobody is told what those used. On a quiet
/// machine this is the only sum that leaves nothing out.
pub fn machine_less_clients_seconds() -> f64 {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let line = text.lines().next().unwrap_or_default();
    let fields: Vec<u64> = line.split_whitespace().skip(1).filter_map(|field| field.parse().ok()).collect();
    // user, nice, system, (idle, iowait), irq, softirq; the time of guests is in user already.
    let busy: u64 = [0, 1, 2, 5, 6].iter().filter_map(|at| fields.get(*at)).sum();
    let own = fs::read_to_string("/proc/self/stat").ok().and_then(|text| parse_stat(&text));
    (busy as f64 - own.map_or(0.0, |own| own.ticks as f64)) * TICK
}

/// The memory of one process, in KiB.
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory {
    /// Resident now.
    pub resident: u64,
    /// Of that, not backed by a file.
    pub anonymous: u64,
    /// The most that was ever resident since the mark was last reset.
    pub peak: u64,
}

/// Returns the memory of a process, or `None` when there is no such process.
pub fn memory(id: u32) -> Option<Memory> {
    let text = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.trim().strip_suffix("kB")?.trim().parse().ok()
    };
    Some(Memory { resident: field("VmRSS")?, anonymous: field("RssAnon")?, peak: field("VmHWM")? })
}

/// Makes a process's highest mark its present size.
pub fn reset_peak(id: u32) -> anyhow::Result<()> {
    fs::write(format!("/proc/{id}/clear_refs"), "5").context("the highest mark of memory cannot be reset")
}

/// Returns the memory of everything below a process together, itself excluded, in KiB: resident, and of that anonymous.
pub fn memory_of_children(root: u32) -> (u64, u64) {
    let below = tree(&[root]).into_iter().filter(|stat| stat.id != root);
    below.filter_map(|stat| memory(stat.id)).fold((0, 0), |(resident, anonymous), memory| {
        (resident + memory.resident, anonymous + memory.anonymous)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_spaces_and_brackets_does_not_confuse() {
        let text = "42 (a ) b) S 7 42 42 0 -1 4194304 100 0 0 0 11 22 33 44 20 0 1 0 5 6 7";
        let stat = parse_stat(text).unwrap();
        assert_eq!((stat.id, stat.parent, stat.ticks), (42, 7, 110));
    }

    #[test]
    fn this_process_has_memory() {
        assert!(memory(std::process::id()).unwrap().resident > 0);
    }
}
