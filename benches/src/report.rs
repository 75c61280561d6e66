//! Lines of the table, and the page.

use std::fmt::Write;

/// What a figure counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Seconds; less is better.
    Seconds,
    /// Bytes per second; more is better.
    BytesPerSecond,
    /// Rows per second; more is better.
    RowsPerSecond,
}

/// What was promised.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Goal {
    /// Nothing: the figure informs.
    None,
    /// Ours over the floor is at most this.
    RatioAtMost(f64),
    /// Ours over the floor is at least this.
    RatioAtLeast(f64),
    /// Ours is at most so many seconds.
    SecondsAtMost(f64),
}

/// One line of the table.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) what: String,
    pub(crate) floor_is: &'static str,
    pub(crate) unit: Unit,
    pub(crate) ours: f64,
    pub(crate) floor: f64,
    pub(crate) goal: Goal,
    /// Said when the goal is missed: why.
    pub(crate) why: &'static str,
}

impl Line {
    /// A line without a goal.
    pub(crate) fn new(
        what: impl Into<String>,
        floor_is: &'static str,
        unit: Unit,
        (ours, floor): (f64, f64),
    ) -> Self {
        Self { what: what.into(), floor_is, unit, ours, floor, goal: Goal::None, why: "" }
    }

    /// With a goal, and what the page says when it is missed.
    pub(crate) fn goal(self, goal: Goal, why: &'static str) -> Self {
        Self { goal, why, ..self }
    }

    fn ratio(&self) -> f64 {
        self.ours / self.floor
    }

    /// By how much the goal is missed, in percent; nothing when it is met.
    fn missed(&self) -> Option<f64> {
        let (found, bound, is_met) = match self.goal {
            Goal::None => return None,
            Goal::RatioAtMost(bound) => (self.ratio(), bound, self.ratio() <= bound),
            Goal::RatioAtLeast(bound) => (self.ratio(), bound, self.ratio() >= bound),
            Goal::SecondsAtMost(bound) => (self.ours, bound, self.ours <= bound),
        };
        (!is_met).then(|| (found / bound - 1.0).abs() * 100.0)
    }

    /// The line as it is told while measuring.
    pub(crate) fn short(&self) -> String {
        let figure = |value| figure(self.unit, value);
        let Self { what, floor_is, .. } = self;
        let (ours, floor, ratio) = (figure(self.ours), figure(self.floor), self.ratio());
        format!("{what}: {ours}, {floor_is} {floor}, ratio {ratio:.2} {}", self.verdict())
    }

    fn verdict(&self) -> String {
        match (self.goal, self.missed()) {
            (Goal::None, _) => String::new(),
            (_, None) => "met".to_owned(),
            (_, Some(percent)) => format!("**missed by {percent:.0} %**"),
        }
    }
}

fn figure(unit: Unit, value: f64) -> String {
    match unit {
        Unit::BytesPerSecond => format!("{:.0} MiB/s", value / f64::from(1 << 20)),
        Unit::RowsPerSecond => format!("{:.0} rows/s", (value / 1e3).round() * 1e3),
        Unit::Seconds if value < 1e-6 => format!("{:.0} ns", value * 1e9),
        Unit::Seconds if value < 1e-3 => format!("{:.2} µs", value * 1e6),
        Unit::Seconds if value < 1.0 => format!("{:.2} ms", value * 1e3),
        Unit::Seconds => format!("{value:.2} s"),
    }
}

fn goal(goal: Goal) -> String {
    match goal {
        Goal::None => String::new(),
        Goal::RatioAtMost(bound) => format!("≤ {bound} ×"),
        Goal::RatioAtLeast(bound) => format!("≥ {bound} ×"),
        Goal::SecondsAtMost(bound) => format!("≤ {}", figure(Unit::Seconds, bound)),
    }
}

/// How this program, and the command that it starts, were built.
pub(crate) const BUILD: &str = if cfg!(debug_assertions) {
    "a build for development, whose figures are only good for comparing (`cargo xtask bench` makes a release build)"
} else {
    "a release build"
};

/// What each line measures; a reader must be able to contradict it.
const DEFINITIONS: &str = include_str!("definitions.md");

/// The page in the reference. `memory` is a section of it.
pub(crate) fn page(machine: &str, lines: &[Line], memory: &str) -> String {
    let mut page = format!(
        "# Benchmarks\n\n<!-- Written by `cargo xtask bench`: change benches/, not this file. -->\n\nWhat the host \
         costs beside what cannot be avoided. Each line is measured together with its floor, by turns, in one \
         process. Figures of one line compare; figures of two machines do not.\n\nMeasured: {machine}; \
         {BUILD}.\n\n| line | ours | floor | floor is | ratio | goal | verdict |\n| --- | ---: | ---: | --- | ---: \
         | --- | --- |\n"
    );
    for line in lines {
        let (ours, floor) = (figure(line.unit, line.ours), figure(line.unit, line.floor));
        writeln!(
            page,
            "| {} | {ours} | {floor} | {} | {:.2} | {} | {} |",
            line.what,
            line.floor_is,
            line.ratio(),
            goal(line.goal),
            line.verdict()
        )
        .unwrap();
    }
    let missed: Vec<&Line> = lines.iter().filter(|line| line.missed().is_some()).collect();
    if !missed.is_empty() {
        page += "\n## What is missed, and why\n\n";
        for line in missed {
            writeln!(page, "* **{}**, by {:.0} %: {}", line.what, line.missed().unwrap_or(0.0), line.why)
                .unwrap();
        }
    }
    page + memory + "\n" + DEFINITIONS
}
