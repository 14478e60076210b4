//! Questions to the person at the terminal. Numbered choices and typed answers, no menus to steer.

use std::io::{self, BufRead, Write};

use sealbook_model::problem::{Problem, codes};

use crate::render::text::safe;
use crate::ui::Ui;

/// Asks for a line. The caller has made sure that somebody can answer.
pub fn ask(question: &str) -> io::Result<String> {
    {
        // Released before the answer is awaited, so that others can still speak (Ctrl-C).
        let mut err = io::stderr().lock();
        write!(err, "{} ", safe(question))?;
        err.flush()?;
    }
    let mut line = String::new();
    if io::stdin().lock().read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(line.trim().to_owned())
}

/// Asks for a secret, without echo.
pub fn ask_secret(question: &str) -> io::Result<String> {
    let term = console::Term::stderr();
    term.write_str(&format!("{} ", safe(question)))?;
    term.read_secure_line()
}

/// Asks yes or no; an empty answer is `default`.
pub fn yes(question: &str, default: bool) -> io::Result<bool> {
    let choice = if default { "[Y/n]" } else { "[y/N]" };
    loop {
        match ask(&format!("{question} {choice}"))?.to_ascii_lowercase().as_str() {
            "" => return Ok(default),
            "y" | "yes" => return Ok(true),
            "n" | "no" => return Ok(false),
            _ => {}
        }
    }
}

/// Asks for one of several options by number or name.
pub fn choose(question: &str, options: &[String], default: Option<usize>) -> io::Result<usize> {
    let mut text = format!("{question}\n");
    for (n, option) in options.iter().enumerate() {
        text.push_str(&format!("  {}. {option}\n", n + 1));
    }
    text.push_str(&default.map_or_else(|| "Number?".to_owned(), |d| format!("Number? [{}]", d + 1)));
    loop {
        let answer = ask(&text)?;
        if answer.is_empty()
            && let Some(default) = default
        {
            return Ok(default);
        }
        match answer.parse::<usize>() {
            Ok(n) if (1..=options.len()).contains(&n) => return Ok(n - 1),
            _ => text = format!("A number from 1 to {}, please.", options.len()),
        }
    }
}

/// The problem of a question that nobody can answer: names the flag that answers it.
pub fn needs_terminal(ui: &Ui, what: &str, flag: &str) -> Result<(), Problem> {
    if ui.can_ask {
        return Ok(());
    }
    Err(Problem::new(codes::NEEDS_TERMINAL, format!("{what}, and there is no terminal to ask on"))
        .fix(format!("give the answer with {flag}")))
}

/// A broken-off question.
pub fn broken_off(error: &io::Error) -> Problem {
    let problem = Problem::new(codes::NEEDS_TERMINAL, "the question was not answered");
    if error.kind() == io::ErrorKind::UnexpectedEof {
        return problem
            .because("the input ended")
            .fix("start the command again and answer it; --yes and --set answer questions beforehand");
    }
    problem.because(error.to_string())
}
