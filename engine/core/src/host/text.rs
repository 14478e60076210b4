//! Makes text from outside safe to show: no terminal sequences, no reordering, no endless lines.

/// Returns `text` on one line, with control, bidirectional and invisible characters made visible, cut to `max` bytes
/// with a note.
pub(crate) fn one_line(text: &str, max: usize) -> String {
    let mut out = String::with_capacity(text.len().min(max) + 16);
    for (at, c) in text.char_indices() {
        if out.len() >= max {
            out.push_str(&format!("… ({} bytes more)", text.len() - at));
            break;
        }
        match c {
            // Azure breaks lines inside its messages.
            '\t' | '\n' | '\r' => {
                if !out.ends_with(' ') {
                    out.push(' ');
                }
            }
            c if is_unsafe(c) => out.extend(c.escape_unicode()),
            c => out.push(c),
        }
    }
    out
}

/// Characters that a terminal obeys or that make text look like other text: C0 and C1 controls, line and paragraph
/// separators, bidirectional controls (Unicode UAX #9), zero-width and tag characters.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
                | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_shown_instead() {
        for (given, shown) in [
            ("plain text, grün, 鍵", "plain text, grün, 鍵"),
            ("a\tb", "a b"),
            ("\u{1b}[2Jgone", r"\u{1b}[2Jgone"),
            ("\u{9b}31mred", r"\u{9b}31mred"),
            ("line\r\nline\n", "line line "),
            ("\u{202e}txt.exe", r"\u{202e}txt.exe"),
            ("zero\u{200b}width", r"zero\u{200b}width"),
            ("bell\u{7}", r"bell\u{7}"),
        ] {
            assert_eq!(one_line(given, 1000), shown);
        }
    }

    #[test]
    fn long_lines_are_cut_on_a_character() {
        assert_eq!(one_line(&"x".repeat(12), 10), "xxxxxxxxxx… (2 bytes more)");
        assert_eq!(one_line("ääääää", 4), "ää… (8 bytes more)");
        assert_eq!(one_line("short", 5), "short");
    }
}
