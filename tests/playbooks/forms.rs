//! Each playbook's run as it looks at a terminal, in a pipe and to a program.

use std::collections::BTreeMap;
use std::time::Duration;

use rexpect::session::{Options, spawn_with_options};

use crate::support::{Lab, at_once, consent};

/// Columns of a terminal that does not say how many it has.
const WIDTH: usize = 80;

/// What a terminal shows once it has obeyed everything that was written to it.
#[derive(Default)]
struct Screen {
    lines: BTreeMap<usize, Vec<char>>,
    row: usize,
    column: usize,
    cursor_hidden: bool,
    coloured: bool,
}

impl Screen {
    /// Obeys a text. Panics at anything but what a line-oriented display needs.
    fn of(text: &str) -> Self {
        let mut screen = Self::default();
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            match c {
                '\u{1b}' => screen.obey(&mut chars),
                '\r' => screen.column = 0,
                '\n' => screen.row += 1,
                c if c.is_control() => panic!("a stray control character {c:?} in {text:?}"),
                c => {
                    if screen.column == WIDTH {
                        (screen.row, screen.column) = (screen.row + 1, 0);
                    }
                    let line = screen.lines.entry(screen.row).or_default();
                    line.resize(line.len().max(screen.column + 1), ' ');
                    line[screen.column] = c;
                    screen.column += 1;
                }
            }
        }
        screen
    }

    /// Obeys one control sequence (ECMA-48, 8.3).
    fn obey(&mut self, chars: &mut std::str::Chars<'_>) {
        assert_eq!(chars.next(), Some('['), "a stray escape");
        let mut arguments = String::new();
        let end = loop {
            match chars.next() {
                Some(c @ ('0'..='9' | ';' | '?')) => arguments.push(c),
                Some(c) => break c,
                None => panic!("a control sequence without its end"),
            }
        };
        let number = || arguments.parse::<usize>().unwrap_or(1);
        match (end, arguments.as_str()) {
            ('A', _) => self.row -= number(),
            ('B', _) => self.row += number(),
            ('K', "2") => _ = self.lines.remove(&self.row),
            ('K', "" | "0") => {
                if let Some(line) = self.lines.get_mut(&self.row) {
                    line.truncate(self.column);
                }
            }
            ('J', "" | "0") => _ = self.lines.split_off(&self.row),
            ('m', arguments) => self.coloured = !matches!(arguments, "" | "0"),
            ('l', "?25") => self.cursor_hidden = true,
            ('h', "?25") => self.cursor_hidden = false,
            _ => panic!("an unknown control sequence {arguments}{end}"),
        }
    }

    fn text(&self) -> String {
        let line = |line: &Vec<char>| line.iter().collect::<String>().trim_end().to_owned();
        self.lines.values().map(line).collect::<Vec<_>>().join("\n")
    }
}

/// The steps as they were announced, and how each ended: what does not differ from run to run.
fn story(text: &str) -> Vec<String> {
    let told = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["Step", index, "of", of, path, ..] => Some(format!("{index}/{of} {path}")),
            ["ok", ..] if line.starts_with("  ok ") => Some("ok".to_owned()),
            _ => None,
        }
    };
    text.lines().filter_map(told).collect()
}

#[test]
fn every_playbook_reads_the_same_at_a_terminal_and_in_a_pipe() {
    let warm = Lab::warm();
    let listed = warm.run(&["--output", "json", "list"]).expect(0).json();
    let ids: Vec<&str> = listed.as_array().unwrap().iter().map(|p| p["id"].as_str().unwrap()).collect();
    at_once(&ids, |&id| {
        let run = [&["run", id, "--yes"], consent(id)].concat();
        let in_home = || {
            let lab = warm.copy();
            lab.cloud().set_role_delay(Duration::ZERO).unwrap();
            lab
        };
        let (piped, seen) = (in_home(), in_home());
        std::thread::scope(|scope| {
            let plain = scope.spawn(|| piped.run(&run).expect(0));
            let rich = at_terminal(&seen, &[&["--ui", "rich"], run.as_slice()].concat());
            let plain = plain.join().unwrap();

            assert!(plain.stdout.is_empty(), "{id}: a run's story goes to stderr: {}", plain.stdout);
            let stray = plain.stderr.chars().find(|c| c.is_control() && *c != '\n');
            assert_eq!(stray, None, "{id}: {:?}", plain.stderr);
            assert!(plain.stderr.contains("succeeded."), "{id}: {}", plain.stderr);

            let screen = Screen::of(&rich);
            assert!(rich.contains("\u{1b}["), "{id}: nothing lived: {rich}");
            assert!(!screen.cursor_hidden && !screen.coloured, "{id}: the terminal is left in another state: {rich:?}");
            let text = screen.text();
            let spinner = text.chars().find(|c| ('\u{2800}'..='\u{28ff}').contains(c));
            assert_eq!(spinner, None, "{id}: a live line is left:\n{text}");
            assert!(text.contains("succeeded."), "{id}:\n{text}");
            assert_eq!(story(&text), story(&plain.stderr), "{id}");
            assert!(story(&text).len() > 10, "{id}: {text}");
        });
    });
}

/// What a command writes to a terminal.
fn at_terminal(lab: &Lab, args: &[&str]) -> String {
    let mut command = lab.command(args);
    command.stdin(std::process::Stdio::inherit()).env("TERM", "xterm-256color");
    let mut terminal = spawn_with_options(command, Options::new().timeout_ms(Some(300_000))).unwrap();
    // What comes is a character for each byte.
    let bytes: Vec<u8> = terminal.exp_eof().unwrap().chars().map(|c| u8::try_from(c).unwrap()).collect();
    let text = String::from_utf8(bytes).unwrap();
    let status = format!("{:?}", terminal.process().wait().unwrap());
    assert!(status.starts_with("Exited") && status.ends_with("0)"), "{status}:\n{text}");
    text
}
