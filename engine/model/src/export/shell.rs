//! Scripts for shells.

use std::fmt::Write as _;
use std::time::Duration;

use super::line::{Line, Piece, Token};
use super::{Origin, Script, Scripted, Shown, Variable};
use crate::playbook::Refusal;

/// A shell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shell {
    /// GNU Bash.
    Bash,
    /// PowerShell 7.4 or later.
    PowerShell,
}

const BASH: &str = r##"set -euo pipefail

# Tries a command again while it fails: a new role takes a while to arrive.
again() {
  local until=$((SECONDS + $1))
  shift
  until "$@"; do
    ((SECONDS < until)) || return 1
    sleep 3
  done
}

# Succeeds when a command is refused, and says so with this text.
refused() {
  local text=$1 said
  shift
  if said=$("$@" 2>&1); then
    echo "this should have been refused with ${text:-an error}: $*" >&2
    return 1
  fi
  if [[ $said != *"$text"* ]]; then
    echo "$said" >&2
    return 1
  fi
  echo "refused, as it should be: ${text:-with an error}"
}
"##;

const POWERSHELL: &str = r##"#requires -Version 7.4
$ErrorActionPreference = "Stop"
$PSNativeCommandUseErrorActionPreference = $true

# Tries a command again while it fails: a new role takes a while to arrive.
function Again([int]$Seconds, [scriptblock]$Command) {
  $until = (Get-Date).AddSeconds($Seconds)
  while ($true) {
    try { & $Command; return } catch { if ((Get-Date) -ge $until) { throw } }
    Start-Sleep -Seconds 3
  }
}

# Succeeds when a command is refused, and says so with this text.
function Refused([string]$Text, [scriptblock]$Command) {
  $PSNativeCommandUseErrorActionPreference = $false
  $said = (& $Command 2>&1 | Out-String)
  if ($LASTEXITCODE -eq 0) { throw "this should have been refused: $Command" }
  if (-not $said.Contains($Text)) { throw $said }
  Write-Output "refused, as it should be: $Text"
}
"##;

/// What a script leaves to its reader.
const CLEAN_UP: &str = "It does not clean up: when you are done, delete the resource groups that it makes (az group delete), \
                        and purge what soft delete keeps.";

/// The playbook as a script.
#[must_use]
pub fn script(script: &Script, shell: Shell) -> String {
    let mut out = String::new();
    if shell == Shell::Bash {
        out.push_str("#!/usr/bin/env bash\n");
    }
    comment(&mut out, &format!("{}\n{}\n", script.title, script.summary));
    comment(&mut out, &format!("Made from the playbook {} by `sealbook export`. Sign in first: az login", script.id));
    comment(&mut out, CLEAN_UP);
    for leaves in &script.leaves {
        let _ = writeln!(out, "# Stays after that: {}", prose(&shell.plain(leaves)));
    }
    let prelude = if shell == Shell::Bash { BASH } else { POWERSHELL };
    let _ = writeln!(out, "\n{prelude}");
    script.variables.iter().for_each(|variable| shell.variable(&mut out, variable));
    let of = script.steps.len();
    for (number, step) in script.steps.iter().enumerate() {
        let _ = writeln!(out, "\n# Step {} of {of}, {}: {}", number + 1, step.path, prose(&step.title));
        comment(&mut out, &step.text.what);
        shell.step(&mut out, step);
    }
    out
}

fn comment(out: &mut String, text: &str) {
    for line in text.trim().lines() {
        let _ = writeln!(out, "{}", prose(&format!("# {line}")).trim_end());
    }
}

/// A text for the rest of a line: whatever some shell takes for the end of it, a carriage return by itself among them,
/// becomes a space.
fn prose(text: &str) -> String {
    text.replace(|c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}'), " ")
}

/// What a refusal says on standard error.
fn sign(refusal: &Refusal) -> &str {
    refusal.code.as_deref().unwrap_or_default()
}

impl Shell {
    fn step(self, out: &mut String, step: &Scripted) {
        if let Some(vm) = &step.guest {
            self.inside(out, step, vm);
        } else {
            self.here(out, step);
        }
        match &step.lesson {
            Some(Shown::ReadRefused(line, refusal, within)) => {
                let _ = writeln!(out, "{}", self.command(line, Some(*within), Some(refusal)));
            }
            Some(Shown::Read(line, within)) => {
                let _ = writeln!(out, "{}", self.command(line, Some(*within), None));
            }
            Some(Shown::Refused(_)) | None => {}
        }
        step.outputs.iter().for_each(|output| self.variable(out, output));
    }

    /// What is typed inside a confidential VM: told, for this shell is not in there.
    fn inside(self, out: &mut String, step: &Scripted, vm: &[Piece]) {
        let _ = writeln!(out, "# This runs inside the confidential VM {}, not in this shell.", prose(&self.plain(vm)));
        if step.commands.is_empty() {
            out.push_str("# There is nothing to type: in a run, Sealbook does it in there.\n");
            return;
        }
        out.push_str("# In there, a person would type:\n");
        for line in &step.commands {
            let _ = writeln!(out, "{}", prose(&format!("#   {}", self.line(line))));
        }
        if let Some(Shown::Refused(refusal)) = &step.lesson {
            let _ = writeln!(out, "{}", prose(&format!("# The last of it is to be refused: {}", sign(refusal))));
        }
    }

    /// What is typed in this shell.
    fn here(self, out: &mut String, step: &Scripted) {
        let reads = matches!(step.lesson, Some(Shown::ReadRefused(..) | Shown::Read(..)));
        if step.commands.is_empty() && step.outputs.is_empty() && !reads {
            out.push_str("# There is nothing to type.\n");
        }
        let refused = match &step.lesson {
            Some(Shown::Refused(refusal)) => Some(refusal),
            _ => None,
        };
        for (position, line) in step.commands.iter().enumerate() {
            let last = position + 1 == step.commands.len();
            let refusal = refused.filter(|_| last);
            let _ = writeln!(out, "{}", self.command(line, step.patience, refusal));
        }
    }

    /// A command with what is expected of it.
    fn command(self, line: &Line, patience: Option<Duration>, refusal: Option<&Refusal>) -> String {
        let seconds = patience.map(|p| p.as_secs());
        let text = self.line(line);
        match (self, seconds, refusal) {
            (_, None, None) => text,
            (Self::Bash, Some(s), None) => format!("again {s} {text}"),
            (Self::Bash, None, Some(r)) => format!("refused {} {text}", self.text(sign(r))),
            (Self::Bash, Some(s), Some(r)) => format!("again {s} refused {} {text}", self.text(sign(r))),
            (Self::PowerShell, Some(s), None) => format!("Again {s} {{ {text} }}"),
            (Self::PowerShell, None, Some(r)) => format!("Refused {} {{ {text} }}", self.text(sign(r))),
            (Self::PowerShell, Some(s), Some(r)) => {
                format!("Again {s} {{ Refused {} {{ {text} }} }}", self.text(sign(r)))
            }
        }
    }

    pub(super) fn variable(self, out: &mut String, variable: &Variable) {
        let name = match self {
            Self::Bash => format!("{}=", variable.name),
            Self::PowerShell => format!("${} = ", variable.name),
        };
        let note = prose(&variable.note);
        let _ = match (&variable.value, self) {
            (Origin::Text(text), _) => writeln!(out, "{name}{}  # {note}", self.quoted(&[Piece::Text(text.clone())])),
            (Origin::Printed(line), Self::Bash) => writeln!(out, "{name}$({})", self.line(line)),
            (Origin::Printed(line), Self::PowerShell) => writeln!(out, "{name}{}", self.line(line)),
            (Origin::LastOf(line), Self::Bash) => {
                let name = &variable.name;
                writeln!(out, "{name}=$({})\n{name}=${{{name}##*/}}", self.line(line))
            }
            (Origin::LastOf(line), Self::PowerShell) => writeln!(out, "{name}({}).Split(\"/\")[-1]", self.line(line)),
            (Origin::Secret, Self::Bash) => {
                writeln!(out, "read -rsp {} {}; echo", self.text(&format!("{note}: ")), variable.name)
            }
            (Origin::Secret, Self::PowerShell) => {
                writeln!(out, "{name}Read-Host -MaskInput {}", self.text(&note))
            }
            (Origin::Unknown, _) => writeln!(out, "{name}\"\"  # fill in: {note}"),
        };
    }

    pub(super) fn line(self, line: &Line) -> String {
        let words = line.0.iter().map(|token| match token {
            Token::Operator(operator) => (*operator).to_owned(),
            Token::Word(pieces) => self.word(pieces),
        });
        words.collect::<Vec<_>>().join(" ")
    }

    fn text(self, text: &str) -> String {
        self.word(&[Piece::Text(text.to_owned())])
    }

    /// A word with the quotes that it needs.
    fn word(self, pieces: &[Piece]) -> String {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=+%".contains(c);
        if let [Piece::Text(text)] = pieces
            && !text.is_empty()
            && text.chars().all(plain)
        {
            return text.clone();
        }
        self.quoted(pieces)
    }

    fn quoted(self, pieces: &[Piece]) -> String {
        let mut out = String::from("\"");
        for piece in pieces {
            match piece {
                Piece::Variable(name) => out.push_str(&format!("${{{name}}}")),
                Piece::Text(text) => {
                    for c in text.chars() {
                        match (self, c) {
                            (Self::Bash, '"' | '\\' | '$' | '`') => out.extend(['\\', c]),
                            // Typographic quotes end a text there, too.
                            (Self::PowerShell, '"' | '\u{201c}'..='\u{201e}' | '$' | '`') => out.extend(['`', c]),
                            _ => out.push(c),
                        }
                    }
                }
            }
        }
        out.push('"');
        out
    }

    /// A text for people, variables by name.
    fn plain(self, pieces: &[Piece]) -> String {
        pieces
            .iter()
            .map(|piece| match piece {
                Piece::Text(text) => text.clone(),
                Piece::Variable(name) => format!("${name}"),
            })
            .collect()
    }
}
