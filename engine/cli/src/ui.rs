//! How to show things: resolved once, by one pure function of what was asked for and where the streams lead.

use std::io::IsTerminal;

use crate::args::{ColorChoice, Global, Output, UiChoice};

/// The decided way of showing things.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ui {
    /// The mode.
    pub mode: Mode,
    /// Whether colours are used. Nothing depends on them.
    pub color: bool,
    /// Whether questions can be asked.
    pub can_ask: bool,
}

/// The three ways of showing a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// A live line per running step; needs a terminal.
    Rich,
    /// Whole lines, for pipes, CI and screen readers.
    Plain,
    /// NDJSON on stdout.
    Json,
}

/// What the surroundings say.
#[derive(Debug, Clone, Copy, Default)]
pub struct Surroundings {
    /// stderr is a terminal.
    pub stderr_terminal: bool,
    /// stdin is a terminal.
    pub stdin_terminal: bool,
    /// The `CI` variable is set.
    pub ci: bool,
    /// `NO_COLOR` is set.
    pub no_color: bool,
    /// `CLICOLOR_FORCE` is set and not 0.
    pub force_color: bool,
    /// `NO_PROGRESS` is set, or `TERM` is `dumb`.
    pub no_progress: bool,
}

impl Surroundings {
    /// Reads them from the process.
    pub fn read() -> Self {
        let set = |name: &str| std::env::var_os(name).is_some_and(|v| !v.is_empty());
        Self {
            stderr_terminal: std::io::stderr().is_terminal(),
            stdin_terminal: std::io::stdin().is_terminal(),
            ci: set("CI"),
            no_color: set("NO_COLOR"),
            force_color: set("CLICOLOR_FORCE") && std::env::var_os("CLICOLOR_FORCE").is_some_and(|v| v != "0"),
            no_progress: set("NO_PROGRESS") || std::env::var_os("TERM").is_some_and(|v| v == "dumb"),
        }
    }
}

/// Decides. A live display needs a terminal and no CI; an explicit `--ui rich` overrules CI, never the missing terminal.
pub fn decide(global: &Global, at: Surroundings) -> Ui {
    let mode = match (global.output, global.ui) {
        (Output::Json, _) => Mode::Json,
        (_, UiChoice::Plain) => Mode::Plain,
        (_, UiChoice::Rich) if at.stderr_terminal => Mode::Rich,
        (_, UiChoice::Auto) if at.stderr_terminal && !at.ci && !at.no_progress => Mode::Rich,
        _ => Mode::Plain,
    };
    let color = match global.color {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto => at.force_color || (at.stderr_terminal && !at.no_color && !at.ci),
    };
    Ui { mode, color, can_ask: at.stdin_terminal && at.stderr_terminal && mode != Mode::Json }
}

/// Whether stdout is a terminal, for colours in data.
pub fn stdout_is_terminal() -> bool {
    std::io::stdout().is_terminal()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_and_colours() {
        let tty = Surroundings { stderr_terminal: true, stdin_terminal: true, ..Surroundings::default() };
        let pipe = Surroundings::default();
        let table = [
            (UiChoice::Auto, Output::Human, tty, Mode::Rich, true),
            (UiChoice::Auto, Output::Human, pipe, Mode::Plain, false),
            (UiChoice::Auto, Output::Human, Surroundings { ci: true, ..tty }, Mode::Plain, false),
            (UiChoice::Rich, Output::Human, Surroundings { ci: true, ..tty }, Mode::Rich, false),
            (UiChoice::Rich, Output::Human, pipe, Mode::Plain, false),
            (UiChoice::Plain, Output::Human, tty, Mode::Plain, true),
            (UiChoice::Rich, Output::Json, tty, Mode::Json, true),
            (UiChoice::Auto, Output::Human, Surroundings { no_progress: true, ..tty }, Mode::Plain, true),
            (UiChoice::Auto, Output::Human, Surroundings { no_color: true, ..tty }, Mode::Rich, false),
            (UiChoice::Auto, Output::Human, Surroundings { force_color: true, ..pipe }, Mode::Plain, true),
        ];
        for (ui, output, at, mode, color) in table {
            let global = Global { home: None, output, ui, color: ColorChoice::Auto };
            let decided = decide(&global, at);
            assert_eq!((decided.mode, decided.color), (mode, color), "{ui:?} {output:?} {at:?}");
        }
    }
}
