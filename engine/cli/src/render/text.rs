//! Text for terminals: wrapping, and the few colours, none of which carries meaning of its own.

/// What a line is, for its label and its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// A heading.
    Head,
    /// Running text.
    Plain,
    /// Less important.
    Dim,
    /// It worked.
    Good,
    /// It needs attention.
    Warn,
    /// It failed.
    Bad,
}

/// One logical line: an optional label in the margin, and a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Colour and weight.
    pub tone: Tone,
    /// A word in the margin (`ok`, `will`, `az`).
    pub label: &'static str,
    /// The text; wrapped unless it is a command.
    pub text: String,
    /// Never wrapped, so that it can be copied.
    pub verbatim: bool,
}

/// A line with a label.
pub fn line(tone: Tone, label: &'static str, text: impl Into<String>) -> Line {
    Line { tone, label, text: text.into(), verbatim: false }
}

/// A command to copy.
pub fn command(label: &'static str, text: impl Into<String>) -> Line {
    Line { tone: Tone::Plain, label, text: text.into(), verbatim: true }
}

/// Width of the margin that labels stand in.
const MARGIN: usize = 10;

impl Line {
    /// Lays the line out for `width` columns. What a terminal would obey in its text becomes visible: answers of Azure
    /// and names out of playbooks are in it.
    pub fn layout(&self, width: usize, color: bool) -> String {
        let text = safe(&self.text);
        if self.tone == Tone::Head {
            return paint(&text, self.tone, color);
        }
        let room = width.saturating_sub(MARGIN).max(20);
        let mut rows = Vec::new();
        if self.verbatim {
            rows.extend(text.lines().map(str::to_owned));
        } else {
            rows.extend(paragraphs(&text).iter().flat_map(|p| wrap(p, room)));
        }
        if rows.is_empty() {
            rows.push(String::new());
        }
        let mut out = String::new();
        for (n, row) in rows.iter().enumerate() {
            let label = if n == 0 { self.label } else { "" };
            let padded = format!("  {label:<width$}", width = MARGIN - 2);
            if n > 0 {
                out.push('\n');
            }
            let text = if self.tone == Tone::Plain { row.clone() } else { paint(row, self.tone, color) };
            out.push_str(format!("{}{text}", paint(&padded, self.tone, color && !label.is_empty())).trim_end());
        }
        out
    }
}

/// Joins the lines of each paragraph, as Markdown does: an empty line or a list item begins a new one.
fn paragraphs(text: &str) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    let mut open = false;
    for line in text.lines() {
        if line.trim().is_empty() {
            out.push(String::new());
            open = false;
        } else if open && !line.trim_start().starts_with("- ") {
            if let Some(last) = out.last_mut() {
                last.push(' ');
                last.push_str(line.trim());
            }
        } else {
            out.push(line.to_owned());
            open = true;
        }
    }
    out
}

/// Breaks a paragraph at spaces. A word longer than a row stays whole.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let indent: String = text.chars().take_while(|c| *c == ' ').collect();
    let hanging = if text.trim_start().starts_with("- ") { format!("{indent}  ") } else { indent.clone() };
    let mut rows = vec![indent];
    let mut empty = true;
    for word in text.split_whitespace() {
        let row = rows.last_mut().map_or(0, |r| r.chars().count());
        if !empty && row + 1 + word.chars().count() > width {
            rows.push(hanging.clone());
            empty = true;
        }
        if let Some(row) = rows.last_mut() {
            if !empty {
                row.push(' ');
            }
            row.push_str(word);
        }
        empty = false;
    }
    rows
}

fn paint(text: &str, tone: Tone, color: bool) -> String {
    let code = match tone {
        _ if !color => return text.to_owned(),
        Tone::Plain => return text.to_owned(),
        Tone::Head => "1",
        Tone::Dim => "2",
        Tone::Good => "32",
        Tone::Warn => "33",
        Tone::Bad => "31",
    };
    format!("\u{1b}[{code}m{text}\u{1b}[0m")
}

/// Makes a text from outside safe for a terminal: control and direction-changing characters become visible.
pub fn safe(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\n' | '\t' => c.to_string(),
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' => {
                format!("\\u{{{:x}}}", c as u32)
            }
            c if c.is_control() => format!("\\u{{{:x}}}", c as u32),
            c => c.to_string(),
        })
        .collect()
}

/// A duration for people.
pub fn span(duration: std::time::Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0 => format!("{} ms", duration.as_millis()),
        1..60 => format!("{:.0} s", duration.as_secs_f64()),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// Dollars for people.
pub fn usd(amount: f64) -> String {
    match amount {
        0.0 => "0 USD".into(),
        a if a < 0.01 => format!("{a:.4} USD"),
        a => format!("{a:.2} USD"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lays_out_labels_and_wraps() {
        let l =
            line(Tone::Good, "ok", "one two three\nfour five six\n- seven eight nine ten eleven twelve\n\nthirteen");
        insta::assert_snapshot!(l.layout(34, false), @r"
          ok      one two three four five
                  six
                  - seven eight nine ten
                    eleven twelve

                  thirteen
        ");
    }

    #[test]
    fn commands_are_never_broken() {
        let text = "az keyvault key create --id https://some-vault.vault.azure.net/keys/k --kty RSA-HSM";
        assert!(command("az", text).layout(40, false).contains(text));
    }

    #[test]
    fn no_line_steers_the_terminal() {
        for shown in [
            line(Tone::Head, "", "a\u{1b}]0;b\u{7}c"),
            line(Tone::Warn, "wait", "a\u{9b}31mb\rc"),
            command("try", "az x\u{1b}[2K\u{202e}y"),
        ] {
            let text = shown.layout(40, false);
            assert!(!text.contains(|c: char| c.is_control() || c == '\u{202e}'), "{text:?}");
        }
    }

    #[test]
    fn control_sequences_become_visible() {
        for (given, shown) in
            [("a\u{1b}[2Jb", "a\\u{1b}[2Jb"), ("x\u{202e}y", "x\\u{202e}y"), ("a\nb", "a\nb"), ("a\rb", "a\\u{d}b")]
        {
            assert_eq!(safe(given), shown);
        }
    }
}
