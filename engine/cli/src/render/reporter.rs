//! Shows events as they come: whole lines, a live line below them on a terminal, or NDJSON.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use sealbook_engine::event::Event;

use super::narrate;
use super::text::{Line, safe, span};
use crate::out;
use crate::ui::{Mode, Ui};

/// How long a repeated wait stays unsaid in whole lines.
const SIGN_OF_LIFE: Duration = Duration::from_secs(20);

/// Shows a run.
pub struct Reporter {
    ui: Ui,
    live: Mutex<Live>,
}

struct Live {
    bar: ProgressBar,
    /// What was last waited for, and when that was said.
    waiting: Option<(String, Instant)>,
}

impl Reporter {
    /// A reporter for the decided way of showing things.
    pub fn new(ui: Ui) -> Self {
        // indicatif draws at most ten times a second and nothing before the first tick.
        let target =
            if ui.mode == Mode::Rich { ProgressDrawTarget::stderr_with_hz(10) } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(None, target);
        // A finished bar is not drawn: there is none but while a step runs.
        bar.finish_and_clear();
        if let Ok(style) = ProgressStyle::with_template("  {spinner} {msg} {elapsed:.dim}") {
            bar.set_style(style);
        }
        Self { ui, live: Mutex::new(Live { bar, waiting: None }) }
    }

    /// Shows one event.
    pub fn event(&self, event: &Event) {
        if self.ui.mode != Mode::Json && self.said_already(event) {
            return self.follow(event);
        }
        match self.ui.mode {
            Mode::Json => out::json_line(event),
            Mode::Plain => self.lines(&narrate::lines(event)),
            Mode::Rich => {
                self.lines(&narrate::lines(event));
                self.follow(event);
            }
        }
    }

    /// Shows lines above the live one.
    pub fn lines(&self, lines: &[Line]) {
        if self.ui.mode == Mode::Json || lines.is_empty() {
            return;
        }
        let width = terminal_width();
        self.quietly(|| {
            for line in lines {
                out::note(&line.layout(width, self.ui.color));
            }
        });
    }

    /// Does something with the terminal while the live line is away.
    fn quietly<T>(&self, work: impl FnOnce() -> T) -> T {
        let bar = self.live().bar.clone();
        bar.suspend(work)
    }

    /// Takes the live line away until the next step begins: somebody is about to be asked.
    pub fn rest(&self) {
        self.live().bar.finish_and_clear();
    }

    /// Takes the live line away for good.
    pub fn finish(&self) {
        self.live().bar.finish_and_clear();
    }

    /// Whether an event only repeats a wait that was told a moment ago. Long waits are told again as a sign of life.
    fn said_already(&self, event: &Event) -> bool {
        let Event::Waiting { step, why, .. } = event else { return false };
        // Azure's request ids differ from try to try; what is waited for does not.
        let what = format!("{step}: {}", why.split(", request ").next().unwrap_or(why));
        let mut live = self.live();
        let fresh = live.waiting.as_ref().is_some_and(|(said, at)| *said == what && at.elapsed() < SIGN_OF_LIFE);
        if !fresh {
            live.waiting = Some((what, Instant::now()));
        }
        fresh
    }

    fn live(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn follow(&self, event: &Event) {
        let live = self.live();
        match event {
            Event::StepStarted { step, .. } => {
                live.bar.reset();
                live.bar.set_message(step.to_string());
                live.bar.enable_steady_tick(Duration::from_millis(250));
            }
            Event::StepAgain { step, .. } => live.bar.set_message(format!("{step}: again")),
            Event::EffectStarted { step, kind, target, .. } => {
                live.bar.set_message(safe(&format!("{step}: {kind} {target}")))
            }
            Event::Waiting { step, why, delay, .. } => {
                live.bar.set_message(safe(&format!("{step}: {why}, next try in {}", span(*delay))))
            }
            Event::Progress { step, done, total, message } => {
                let of = total.map_or_else(|| format!("{done}"), |t| format!("{done}/{t}"));
                live.bar.set_message(safe(&format!("{step}: {message} {of}")));
            }
            Event::StepSucceeded { .. }
            | Event::StepFailed { .. }
            | Event::StepSkipped { .. }
            | Event::StepUndone { .. } => live.bar.finish_and_clear(),
            _ => {}
        }
    }
}

/// Columns to fill: the terminal's, within what reads well.
fn terminal_width() -> usize {
    indicatif::TermLike::width(&console::Term::stderr()).clamp(40, 100).into()
}
