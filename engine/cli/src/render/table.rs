//! Aligned columns for lists.

use super::text::safe;

/// Lays out rows under a header. Every cell but the last is padded to its column's width.
pub fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    // A cell is one line, and nothing in it steers the terminal.
    let cell = |text: &String| safe(text).replace('\n', "\\u{a}").replace('\t', " ");
    let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(cell).collect()).collect();
    let mut widths: Vec<usize> = header.iter().map(|h| h.chars().count()).collect();
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let lay = |cells: Vec<&str>| {
        let last = cells.len().saturating_sub(1);
        let padded = cells.iter().zip(&widths).enumerate().map(|(n, (cell, width))| match n {
            n if n == last => (*cell).to_owned(),
            _ => format!("{cell:<width$}  "),
        });
        padded.collect::<String>().trim_end().to_owned() + "\n"
    };
    let mut out = lay(header.to_vec());
    for row in &rows {
        out.push_str(&lay(row.iter().map(String::as_str).collect()));
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn aligns_columns() {
        let rows = vec![vec!["k3f7qa".into(), "succeeded".into()], vec!["b".into(), "failed".into()]];
        insta::assert_snapshot!(super::table(&["RUN", "STATUS"], &rows), @r"
        RUN     STATUS
        k3f7qa  succeeded
        b       failed
        ");
    }

    #[test]
    fn cells_are_lines_and_steer_nothing() {
        let rows = vec![vec!["a\u{1b}[31mb\nc\td".into(), "e".into()]];
        assert_eq!(super::table(&["A", "B"], &rows), "A                     B\na\\u{1b}[31mb\\u{a}c d  e\n");
    }
}
