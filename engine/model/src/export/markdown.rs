//! A playbook as a document to read.

use std::fmt::Write as _;

use super::line::{Line, Piece};
use super::shell::Shell;
use super::{Script, Scripted, Shown, Variable};

/// The playbook as Markdown, with its commands for Bash.
#[must_use]
pub fn markdown(script: &Script) -> String {
    let mut out = format!("# {}\n\n{}\n", script.title, script.summary);
    if !script.leaves.is_empty() {
        out.push_str("\nWhat stays after clean-up:\n\n");
        for leaves in &script.leaves {
            let text: String = leaves.iter().map(shown).collect();
            let _ = writeln!(out, "- {text}");
        }
    }
    out.push_str(
        "\n## Before you begin\n\nSign in with `az login`, then set what the commands below use:\n\n```bash\n",
    );
    script.variables.iter().for_each(|variable| Shell::Bash.variable(&mut out, variable));
    out.push_str("```\n");
    for (number, step) in script.steps.iter().enumerate() {
        let _ = writeln!(out, "\n## {}. {}", number + 1, step.title);
        self::step(&mut out, step);
    }
    out
}

fn step(out: &mut String, step: &Scripted) {
    for text in [&step.text.what, &step.text.why] {
        if !text.trim().is_empty() {
            let _ = writeln!(out, "\n{}", text.trim());
        }
    }
    if let Some(vm) = &step.guest {
        let vm: String = vm.iter().map(shown).collect();
        let _ = writeln!(out, "\nThis runs **inside the confidential VM** {vm}, not in your shell.");
        if step.commands.is_empty() {
            out.push_str("\nThere is nothing to type: in a run, Sealbook does it in there.\n");
        } else {
            out.push_str("\nIn there, a person would type:\n");
            block(out, &step.commands, &[]);
        }
        block(out, &[], &step.outputs);
    } else {
        block(out, &step.commands, &step.outputs);
    }
    if let Some(patience) = step.patience {
        let _ = writeln!(
            out,
            "\nTry again for up to {} minutes while you are refused: rights take a while to arrive.",
            patience.as_secs() / 60
        );
    }
    match &step.lesson {
        Some(Shown::Refused(refusal)) => {
            let _ = writeln!(out, "\n**This is to be refused**{}.", code(refusal.code.as_deref()));
        }
        Some(Shown::ReadRefused(line, refusal, _)) => {
            let _ = writeln!(
                out,
                "\n**Reading is now to be refused**{}:\n\n```bash\n{}\n```",
                code(refusal.code.as_deref()),
                Shell::Bash.line(line)
            );
        }
        Some(Shown::Read(line, _)) => {
            let _ = writeln!(out, "\nReading works again:\n\n```bash\n{}\n```", Shell::Bash.line(line));
        }
        None => {}
    }
    if !step.text.proved.trim().is_empty() {
        let _ = writeln!(out, "\n*Proved:* {}", step.text.proved.trim());
    }
    if let Some(quiz) = &step.quiz {
        let _ = writeln!(out, "\n> **{}**\n>", quiz.ask);
        for option in &quiz.options {
            let _ = writeln!(out, "> - {option}");
        }
        let answer = quiz.options.get(quiz.answer).map(String::as_str).unwrap_or_default();
        let _ = writeln!(out, "\n<details><summary>Answer</summary>\n\n{answer}. {}\n\n</details>", quiz.why);
    }
}

/// Commands, and what later ones need of them.
fn block(out: &mut String, commands: &[Line], outputs: &[Variable]) {
    if commands.is_empty() && outputs.is_empty() {
        return;
    }
    out.push_str("\n```bash\n");
    for line in commands {
        let _ = writeln!(out, "{}", Shell::Bash.line(line));
    }
    outputs.iter().for_each(|output| Shell::Bash.variable(out, output));
    out.push_str("```\n");
}

fn code(code: Option<&str>) -> String {
    code.map_or_else(String::new, |code| format!(", with `{code}`"))
}

fn shown(piece: &Piece) -> String {
    match piece {
        Piece::Text(text) => text.clone(),
        Piece::Variable(name) => format!("`${name}`"),
    }
}
