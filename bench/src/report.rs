//! What was measured, as data and as a page.

use std::fmt::Write as _;

use serde::Serialize;

use crate::bars::Bar;
use crate::calibrate::{Anchors, MAX_DRIFT};
use crate::machine::Machine;
use crate::processes::{cpu_seconds, machine_less_clients_seconds};
use crate::series::Series;

/// The whole report.
#[derive(Debug, Serialize)]
pub struct Report {
    pub date: String,
    pub quick: bool,
    pub machine: Machine,
    pub first: Anchors,
    pub last: Option<Anchors>,
    /// Whether first and last differ by more than they may, so that nothing in between should be quoted.
    pub noisy: bool,
    /// What is the same and what is not, about the whole run.
    pub conditions: Vec<String>,
    pub rows: Vec<Row>,
}

/// One thing that was measured.
#[derive(Debug, Serialize)]
pub struct Row {
    pub title: &'static str,
    /// What the numbers of the sides are.
    pub unit: &'static str,
    pub sides: Vec<Side>,
    pub checks: Vec<Check>,
    pub notes: Vec<String>,
    /// Why the row says nothing, if so.
    pub void: Option<String>,
}

/// One contestant of a row.
#[derive(Clone, Debug, Serialize)]
pub struct Side {
    pub name: &'static str,
    pub median: f64,
    pub smallest: f64,
    pub largest: f64,
    pub rounds: Series,
    /// Processor seconds of its processes, over all rounds.
    pub cpu_seconds: Option<f64>,
    /// What was done in that time.
    pub operations: f64,
    /// Processor microseconds for each.
    pub cpu_us_each: Option<f64>,
    /// Processor seconds of the whole machine less the clients', over all rounds.
    pub machine_seconds: Option<f64>,
    /// Processor microseconds of that for each operation.
    pub machine_us_each: Option<f64>,
    /// Further numbers about it.
    pub details: Vec<String>,
}

/// A number beside its bar.
#[derive(Clone, Debug, Serialize)]
pub struct Check {
    pub what: String,
    pub value: f64,
    pub unit: &'static str,
    pub bar: Option<Bar>,
    pub met: Option<bool>,
}

impl Check {
    /// Makes one.
    pub fn new(what: impl Into<String>, value: f64, unit: &'static str, bar: Option<Bar>) -> Check {
        Check { what: what.into(), value, unit, bar, met: bar.map(|bar| bar.is_met(value)) }
    }

    /// Compares the medians of two sides.
    pub fn ratio(of: &Side, to: &Side, bar: Option<Bar>) -> Check {
        Check::new(format!("{} / {}", of.name, to.name), of.median / to.median, "×", bar)
    }
}

impl Side {
    /// Begins a side.
    pub fn new(name: &'static str) -> Side {
        Side {
            name,
            median: f64::NAN,
            smallest: f64::NAN,
            largest: f64::NAN,
            rounds: Series::default(),
            cpu_seconds: None,
            operations: 0.0,
            cpu_us_each: None,
            machine_seconds: None,
            machine_us_each: None,
            details: Vec::new(),
        }
    }

    /// Runs a round: `measure` returns its value and how many operations it held. The processor time of everything below
    /// `roots` meanwhile is counted.
    pub fn round(
        &mut self,
        roots: &[u32],
        measure: impl FnOnce() -> anyhow::Result<(f64, f64)>,
    ) -> anyhow::Result<()> {
        let (before, machine_before) = (cpu_seconds(roots), machine_less_clients_seconds());
        let (value, operations) = measure()?;
        let (after, machine_after) = (cpu_seconds(roots), machine_less_clients_seconds());
        *self.cpu_seconds.get_or_insert(0.0) += after - before;
        *self.machine_seconds.get_or_insert(0.0) += machine_after - machine_before;
        self.add(value, operations);
        Ok(())
    }

    /// Adds a round without processes of its own.
    pub fn add(&mut self, value: f64, operations: f64) {
        self.rounds.push(value);
        self.operations += operations;
        (self.median, self.smallest, self.largest) =
            (self.rounds.median(), self.rounds.smallest(), self.rounds.largest());
        let each = |seconds: f64| seconds * 1e6 / self.operations;
        (self.cpu_us_each, self.machine_us_each) =
            (self.cpu_seconds.map(each), self.machine_seconds.map(each));
    }
}

impl Row {
    /// Returns a row that says nothing, and why.
    pub fn void(title: &'static str, why: &anyhow::Error) -> Row {
        let void = Some(format!("{why:#}"));
        Row { title, unit: "", sides: Vec::new(), checks: Vec::new(), notes: Vec::new(), void }
    }
}

/// Writes a number with as many digits as mean something.
fn number(value: f64) -> String {
    match value.abs() {
        size if size.is_nan() => "–".to_owned(),
        size if size >= 1000.0 => {
            let digits = format!("{value:.0}");
            let start = digits.len() % 3;
            let mut text = digits[..start].to_owned();
            for at in (start..digits.len()).step_by(3) {
                if !text.is_empty() && text != "-" {
                    text.push(' ');
                }
                text.push_str(&digits[at..at + 3]);
            }
            text
        }
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

impl Report {
    /// Returns the checks that have a bar, with the row they belong to.
    pub fn judged(&self) -> impl Iterator<Item = (&Row, &Check)> {
        self.rows
            .iter()
            .flat_map(|row| row.checks.iter().map(move |check| (row, check)))
            .filter(|(_, check)| check.bar.is_some())
    }

    /// Writes the report as a page.
    pub fn page(&self) -> String {
        let mut page = String::new();
        // Writing into a string cannot fail.
        let _ = self.write(&mut page);
        page
    }

    fn write(&self, page: &mut String) -> std::fmt::Result {
        writeln!(page, "# Benchmarks of Portcullis, {}\n", self.date)?;
        writeln!(page, "{}\n", self.machine.line())?;
        if self.quick {
            writeln!(
                page,
                "**A quick run: it shows that everything works. Its numbers are not for quoting.**\n"
            )?;
        }
        if self.noisy {
            writeln!(
                page,
                "**Noisy: the machine changed by more than {:.0} % between first and last. Nothing here is for quoting.**\n",
                MAX_DRIFT * 100.0
            )?;
        }
        self.write_anchors(page)?;
        writeln!(page, "## Bars\n")?;
        writeln!(page, "| Row | What | Value | Bar | |\n|---|---|--:|--:|---|")?;
        for (row, check) in self.judged() {
            let (Some(bar), Some(met)) = (check.bar, check.met) else { continue };
            let verdict = if met { "met" } else { "**missed**" };
            let value = number(check.value);
            writeln!(
                page,
                "| {} | {} | {value} {} | {bar} {} | {verdict} |",
                row.title, check.what, check.unit, check.unit
            )?;
        }
        for row in self.rows.iter().filter(|row| row.void.is_some()) {
            writeln!(page, "| {} | | | | **void** |", row.title)?;
        }
        writeln!(page, "\n## Conditions\n")?;
        for condition in &self.conditions {
            writeln!(page, "- {condition}")?;
        }
        for row in &self.rows {
            row.write(page)?;
        }
        Ok(())
    }

    fn write_anchors(&self, page: &mut String) -> std::fmt::Result {
        writeln!(
            page,
            "## The machine at that moment\n\n| Anchor | First | Last | Moved |\n|---|--:|--:|--:|"
        )?;
        let last = self.last.unwrap_or(self.first);
        let moved = self.first.drift(&last);
        let values = [
            ("ns", self.first.hash_ns, last.hash_ns),
            ("µs", self.first.fdatasync_us, last.fdatasync_us),
            ("µs", self.first.process_us, last.process_us),
            ("requests/s", self.first.hello_per_second, last.hello_per_second),
        ];
        for ((name, moved), (unit, first, last)) in moved.iter().zip(values) {
            let moved = moved * 100.0;
            writeln!(page, "| {name}, {unit} | {} | {} | {moved:+.0} % |", number(first), number(last))?;
        }
        writeln!(page)
    }
}

impl Row {
    fn write(&self, page: &mut String) -> std::fmt::Result {
        writeln!(page, "\n## {}\n", self.title)?;
        if let Some(why) = &self.void {
            return writeln!(page, "**Void: {why}**");
        }
        if !self.sides.is_empty() {
            writeln!(
                page,
                "| {} | Median | Smallest | Largest | CPU s | CPU µs each | Machine µs each | |",
                self.unit
            )?;
            writeln!(page, "|---|--:|--:|--:|--:|--:|--:|---|")?;
        }
        for side in &self.sides {
            let optional = |value: Option<f64>| value.map_or_else(String::new, number);
            writeln!(
                page,
                "| {} | {} | {} | {} | {} | {} | {} | {} |",
                side.name,
                number(side.median),
                number(side.smallest),
                number(side.largest),
                optional(side.cpu_seconds),
                optional(side.cpu_us_each),
                optional(side.machine_us_each),
                side.details.join(", ")
            )?;
        }
        writeln!(page)?;
        for check in &self.checks {
            let bar = match (check.bar, check.met) {
                (Some(bar), Some(true)) => format!(" (bar {bar}: met)"),
                (Some(bar), _) => format!(" (bar {bar}: **missed**)"),
                _ => String::new(),
            };
            writeln!(page, "- {}: **{} {}**{bar}", check.what, number(check.value), check.unit)?;
        }
        for note in &self.notes {
            writeln!(page, "- {note}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_as_many_digits_as_they_need() {
        let written = [0.5, 12.34, 345.6, 1234.5, 91_700.0, 1_234_567.0].map(number);
        assert_eq!(written, ["0.50", "12.3", "346", "1 234", "91 700", "1 234 567"]);
    }

    #[test]
    fn a_ratio_is_of_medians_and_knows_its_bar() {
        let (mut product, mut peer) = (Side::new("product"), Side::new("peer"));
        for value in [1.0, 2.0, 9.0] {
            product.add(value * 3.0, 1.0);
            peer.add(value * 2.0, 1.0);
        }
        let check = Check::ratio(&product, &peer, Some(Bar::AtLeast(1.3)));
        assert_eq!((check.value, check.met), (1.5, Some(true)));
    }
}
