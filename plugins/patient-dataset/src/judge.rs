//! Whether a table is one of patients: columns, numbers, how many of what.

use csv::{ReaderBuilder, StringRecord};

use crate::patients::{MEASURES, OUTCOME};

/// Rows that a table may have: fewer teach nothing, more take too long.
pub const ROWS: std::ops::RangeInclusive<u32> = 50..=20_000;
/// Bytes that a table may have.
pub const BYTES: usize = 8 << 20;
/// Faults that are told; the others are counted.
const TOLD: usize = 10;

/// What is in a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    /// Patients.
    pub rows: u32,
    /// Those with the diagnosis.
    pub positives: u32,
}

/// Judges a table and counts.
///
/// # Errors
/// Everything that is wrong, by line and column. The values stay out of it: what is said here is kept in the clear.
pub fn judge(csv: &[u8]) -> Result<Count, String> {
    let mut reader = ReaderBuilder::new().flexible(true).has_headers(false).from_reader(csv);
    let mut faults = Faults::default();
    let mut count = Count { rows: 0, positives: 0 };
    let mut record = StringRecord::new();
    let mut first = true;
    loop {
        match reader.read_record(&mut record) {
            Ok(false) => break,
            Ok(true) if first => header(&record, &mut faults),
            Ok(true) => row(&record, &mut count, &mut faults),
            Err(e) => {
                let line = e.position().map_or(0, csv::Position::line);
                faults.say(format!("line {line} is not UTF-8"));
                return Err(faults.told());
            }
        }
        first = false;
        // With another header the rows mean something else.
        if count.rows == 0 && faults.count > 0 {
            return Err(faults.told());
        }
        if count.rows > *ROWS.end() {
            break;
        }
    }
    if first {
        faults.say("it is empty".into());
    } else if !ROWS.contains(&count.rows) {
        let (least, most) = (ROWS.start(), ROWS.end());
        faults.say(format!("it has to have {least} to {most} rows, and has {}", shown(count.rows)));
    } else if count.positives == 0 || count.positives == count.rows {
        faults.say(format!("every row has the same {OUTCOME}, so there is nothing to learn"));
    }
    if faults.count > 0 { Err(faults.told()) } else { Ok(count) }
}

fn shown(rows: u32) -> String {
    if rows > *ROWS.end() { "more".into() } else { rows.to_string() }
}

fn names() -> impl Iterator<Item = &'static str> {
    MEASURES.iter().map(|m| m.name).chain([OUTCOME])
}

fn header(record: &StringRecord, faults: &mut Faults) {
    let wanted: Vec<&str> = names().collect();
    if record.iter().map(str::trim).ne(wanted.iter().copied()) {
        let at = wanted.iter().zip(record.iter()).position(|(w, r)| *w != r.trim());
        let at = at.unwrap_or_else(|| record.len().min(wanted.len())) + 1;
        faults.say(format!("line 1, column {at}: the columns have to be {}", wanted.join(",")));
    }
}

fn row(record: &StringRecord, count: &mut Count, faults: &mut Faults) {
    count.rows += 1;
    let line = record.position().map_or(0, csv::Position::line);
    if record.len() != MEASURES.len() + 1 {
        faults.say(format!("line {line} has {} columns instead of {}", record.len(), MEASURES.len() + 1));
        return;
    }
    for (cell, m) in record.iter().zip(&MEASURES) {
        let fault = match cell.trim().parse::<f64>() {
            Ok(v) if (0.0..=m.most).contains(&v) => continue,
            Ok(_) => format!("is not within 0 and {}", m.most),
            Err(_) if cell.trim().is_empty() => "is empty; write 0 for what was not measured".into(),
            Err(_) => "is no number".into(),
        };
        faults.say(format!("line {line}, column {} {fault}", m.name));
    }
    match record.get(MEASURES.len()).map(str::trim) {
        Some("1") => count.positives += 1,
        Some("0") => {}
        _ => faults.say(format!("line {line}, column {OUTCOME} is neither 0 nor 1")),
    }
}

#[derive(Default)]
struct Faults {
    said: Vec<String>,
    count: usize,
}

impl Faults {
    fn say(&mut self, what: String) {
        self.count += 1;
        if self.said.len() < TOLD {
            self.said.push(what);
        }
    }

    fn told(self) -> String {
        let more = self.count - self.said.len();
        let rest = if more > 0 { format!("; and {more} more") } else { String::new() };
        self.said.join("; ") + &rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::patients::table;
    use proptest::prelude::*;

    const HEADER: &str =
        "Pregnancies,Glucose,BloodPressure,SkinThickness,Insulin,BMI,DiabetesPedigreeFunction,Age,Outcome";
    const ROW: &str = "1,85,66,29,0,26.6,0.351,31,0";

    /// A table of 60 good rows with these in line 5 and after.
    fn with(rows: &[&str]) -> String {
        let good = format!("{ROW}\n{}1\n", &ROW[..ROW.len() - 1]);
        format!("{HEADER}\n{ROW}\n{good}{}\n{}", rows.join("\n"), good.repeat(30))
    }

    #[test]
    fn what_is_wrong_is_told_by_line_and_column_without_the_value() {
        let cases = [
            ("", "it is empty"),
            (HEADER, "it has to have 50 to 20000 rows, and has 0"),
            ("Age,Outcome\n1,0\n", "line 1, column 1: the columns have to be"),
            (&HEADER[..19], "line 1, column 3: the columns have to be"),
            (&format!("{HEADER},Name\n"), "line 1, column 10: the columns have to be"),
            (&format!("{HEADER}\n{}", format!("{ROW}\n").repeat(60)), "every row has the same Outcome"),
            (&format!("{HEADER}\n{}", format!("{ROW}\n").repeat(20_100)), "50 to 20000 rows, and has more"),
            (&with(&["1,Smith,66,29,0,26.6,0.351,31,0"]), "line 5, column Glucose is no number"),
            (&with(&["1,,66,29,0,26.6,0.351,31,0"]), "line 5, column Glucose is empty; write 0"),
            (
                &with(&["1,NaN,66,29,0,inf,0.351,31,0"]),
                "line 5, column Glucose is not within 0 and 2000; line 5, column BMI",
            ),
            (
                &with(&["-1,85,66,29,0,26.6,0.351,31,yes"]),
                "line 5, column Pregnancies is not within 0 and 30; line 5, column Outcome is neither",
            ),
            (&with(&[ROW, "1,2,3"]), "line 6 has 3 columns instead of 9"),
            (&with(&["x,x,x,x,x,x,x,x,x", "x,x,x,x,x,x,x,x,x"]), "; and 8 more"),
        ];
        for (csv, expected) in cases {
            let told = judge(csv.as_bytes()).unwrap_err();
            assert!(told.contains(expected), "{told}");
            assert!(!told.contains("Smith"), "{told}");
        }
        assert_eq!(judge(b"Pregnancies\xff,\n").unwrap_err(), "line 1 is not UTF-8");
    }

    #[test]
    fn spaces_line_ends_and_a_byte_order_mark_do_not_matter() {
        let unix = with(&[ROW]);
        let expected = Count { rows: 64, positives: 31 };
        let windows = format!("\u{feff}{}", unix.replace('\n', "\r\n").replace(',', ", "));
        assert_eq!((judge(unix.as_bytes()), judge(windows.as_bytes())), (Ok(expected), Ok(expected)));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn what_is_made_is_accepted(seed: u64, rows in 50_u32..200) {
            let csv = table(seed, rows);
            let positives = csv.lines().filter(|l| l.ends_with(",1")).count() as u32;
            prop_assert_eq!(judge(csv.as_bytes()), Ok(Count { rows, positives }));
        }

        #[test]
        fn nothing_makes_it_panic(bytes: Vec<u8>, cells in "[0-9eE.,\"\r\n-]{0,300}") {
            let _ = judge(&bytes);
            let _ = judge(format!("{HEADER}\n{cells}").as_bytes());
        }
    }
}
