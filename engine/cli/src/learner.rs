//! The person in front of a run: does steps by hand, answers quizzes, reads hints.

use std::sync::Arc;

use async_trait::async_trait;
use sealbook_engine::run::{ByHand, HandsOn, Hint, Learner, PauseAsk, QuizAsk};
use sealbook_model::id::StepPath;
use tokio_util::sync::CancellationToken;

use crate::prompt;
use crate::render::Reporter;
use crate::render::text::{Tone, command, line};
use crate::ui::Ui;

/// Asks on the terminal, or answers by itself where it must not ask.
pub struct Terminal {
    ui: Ui,
    yes: bool,
    embedded: bool,
    reporter: Arc<Reporter>,
    cancel: CancellationToken,
}

impl Terminal {
    /// `yes`: take every default; `embedded`: the work is on the embedded Azure.
    pub fn new(ui: Ui, yes: bool, embedded: bool, reporter: Arc<Reporter>, cancel: CancellationToken) -> Self {
        Self { ui, yes, embedded, reporter, cancel }
    }

    fn asks(&self) -> bool {
        self.ui.can_ask && !self.yes
    }

    /// Asks on a thread of its own: reading a line blocks, and Ctrl-C must still be heard.
    async fn question<T: Send + 'static>(
        &self,
        ask: impl FnOnce() -> std::io::Result<T> + Send + 'static,
    ) -> Option<T> {
        self.reporter.rest();
        let answer = tokio::task::spawn_blocking(ask);
        tokio::select! {
            () = self.cancel.cancelled() => None,
            answer = answer => answer.ok().and_then(Result::ok),
        }
    }
}

#[async_trait]
impl Learner for Terminal {
    async fn by_hand(&self, task: &ByHand) -> HandsOn {
        let mut lines = Vec::new();
        if task.tried == 0 {
            lines.push(line(Tone::Head, "", format!("Your turn: {}", task.title)));
            lines.push(command("try", task.by_hand.clone()));
            if self.embedded {
                // Typed anywhere else, the command would meet Azure itself.
                let text = "in another terminal, after: sealbook cloud exec -- sh";
                lines.push(line(Tone::Dim, "where", text));
                let text =
                    "the first time, sign `az` in there: az login -u \"$SEALBOOK_USER\" -p \"$SEALBOOK_PASSWORD\"";
                lines.push(line(Tone::Dim, "", text));
            }
        }
        lines.extend(task.missing.iter().map(|m| line(Tone::Warn, "not yet", m.clone())));
        self.reporter.lines(&lines);
        if !self.asks() {
            return HandsOn::DoItForMe;
        }
        loop {
            match self.question(|| prompt::ask("done, hint, do (it for me), or stop? [done]")).await.as_deref() {
                Some("" | "d" | "done") => return HandsOn::Done,
                Some("h" | "hint") => return HandsOn::Hint,
                Some("do") => return HandsOn::DoItForMe,
                None | Some("s" | "stop" | "q" | "quit") => return HandsOn::Stop,
                Some(_) => self.reporter.lines(&[line(Tone::Dim, "", "one of these words: done, hint, do, stop")]),
            }
        }
    }

    async fn quiz(&self, quiz: &QuizAsk) -> Option<usize> {
        if !self.asks() {
            return None;
        }
        let (question, options) = (quiz.ask.clone(), quiz.options.clone());
        self.question(move || prompt::choose(&question, &options, None)).await
    }

    async fn quiz_answered(&self, quiz: &QuizAsk, choice: Option<usize>) {
        let (tone, label) = if choice.is_none() {
            (Tone::Dim, "quiz")
        } else if choice == Some(quiz.answer) {
            (Tone::Good, "right")
        } else {
            (Tone::Warn, "not so")
        };
        let answer = quiz.options.get(quiz.answer).map_or("", String::as_str);
        self.reporter.lines(&[line(tone, label, format!("{} {answer}: {}", quiz.ask, quiz.why))]);
    }

    async fn pause(&self, pause: &PauseAsk) -> bool {
        self.reporter.lines(&[line(Tone::Plain, "pause", pause.text.clone())]);
        if !self.asks() {
            return true;
        }
        self.question(|| prompt::yes("Go on?", true)).await.unwrap_or(false)
    }

    async fn hint(&self, _step: &StepPath, hint: Option<&Hint>) {
        let Some(hint) = hint else {
            return self.reporter.lines(&[line(Tone::Dim, "hint", "There is no further hint for this step.")]);
        };
        self.reporter.lines(&[line(Tone::Plain, "hint", format!("{} ({} of {})", hint.text, hint.tier, hint.of))]);
    }
}
