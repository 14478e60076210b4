//! A table of numbers with a yes or no to learn.

use csv::{ReaderBuilder, StringRecord};

/// Bytes that a table may have.
pub const BYTES: usize = 16 << 20;
/// Rows that are learnt from; more take longer than a step may.
const ROWS: usize = 20_000;
/// Features that a table may have.
const FEATURES: usize = 64;
/// Characters of a column's name.
const NAME: usize = 64;

/// Rows of numbers, each with a label.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// The names of the columns that are learnt from.
    pub features: Vec<String>,
    /// A list per row with a value for each feature; NaN: not measured.
    pub rows: Vec<Vec<f64>>,
    /// Whether the row's label is 1.
    pub labels: Vec<bool>,
}

impl Table {
    /// Reads a CSV with a header, numbers and a column `label` of 0 and 1. An empty cell was not measured.
    ///
    /// # Errors
    /// What is wrong first, by line and column, without the value: what is said here is kept in the clear.
    pub fn parse(csv: &[u8], label: &str) -> Result<Self, String> {
        let mut reader = ReaderBuilder::new().flexible(true).from_reader(csv);
        let header = reader.headers().map_err(|_| "line 1 is not UTF-8".to_owned())?.clone();
        let (features, at) = columns(&header, label)?;
        let mut table = Self { features, rows: Vec::new(), labels: Vec::new() };
        let mut record = StringRecord::new();
        while reader.read_record(&mut record).map_err(|e| {
            let line = e.position().map_or(0, csv::Position::line);
            format!("line {line} is not UTF-8")
        })? {
            let line = record.position().map_or(0, csv::Position::line);
            if record.len() != header.len() {
                return Err(format!("line {line} has {} columns, the header has {}", record.len(), header.len()));
            }
            if table.rows.len() == ROWS {
                return Err(format!("it has more than {ROWS} rows"));
            }
            table.add(&record, at).map_err(|(column, fault)| {
                format!("line {line}, column {} {fault}", header.get(column).unwrap_or_default().trim())
            })?;
        }
        Ok(table)
    }

    /// Adds a record whose label is in the column `at`, or says which column is at fault.
    fn add(&mut self, record: &StringRecord, at: usize) -> Result<(), (usize, &'static str)> {
        let mut row = Vec::with_capacity(self.features.len());
        for (column, cell) in record.iter().map(str::trim).enumerate() {
            if column == at {
                self.labels.push(match cell.parse::<f64>() {
                    Ok(1.0) => true,
                    Ok(0.0) => false,
                    _ => return Err((column, "is neither 0 nor 1")),
                });
            } else if cell.is_empty() {
                row.push(f64::NAN);
            } else {
                match cell.parse::<f64>() {
                    Ok(v) if v.is_finite() => row.push(v),
                    _ => return Err((column, "is no finite number")),
                }
            }
        }
        self.rows.push(row);
        Ok(())
    }

    /// The rows with these numbers.
    #[must_use]
    pub fn pick(&self, rows: &[usize]) -> Self {
        let (rows, labels) =
            rows.iter().filter_map(|r| Some((self.rows.get(*r)?.clone(), *self.labels.get(*r)?))).unzip();
        Self { features: self.features.clone(), rows, labels }
    }

    /// How many rows have the label 1.
    #[must_use]
    pub fn positives(&self) -> usize {
        self.labels.iter().filter(|l| **l).count()
    }

    /// Whether there is a row of each label.
    #[must_use]
    pub fn has_both(&self) -> bool {
        (1..self.labels.len()).contains(&self.positives())
    }
}

/// The features of a header, and where its label is.
fn columns(header: &StringRecord, label: &str) -> Result<(Vec<String>, usize), String> {
    let names: Vec<&str> = header.iter().map(str::trim).collect();
    for (n, name) in names.iter().enumerate() {
        if name.is_empty() || name.chars().count() > NAME || name.chars().any(char::is_control) {
            return Err(format!("line 1, column {}: a column has a name of 1 to {NAME} characters", n + 1));
        }
        if names.iter().take(n).any(|earlier| earlier == name) {
            return Err(format!("line 1, column {}: two columns are called {name}", n + 1));
        }
    }
    let Some(at) = names.iter().position(|n| *n == label) else {
        return Err(format!("line 1: there is no column {label}"));
    };
    let features: Vec<String> = names.iter().filter(|n| **n != label).map(|n| (*n).to_owned()).collect();
    if !(1..=FEATURES).contains(&features.len()) {
        return Err(format!("line 1: 1 to {FEATURES} columns are learnt from, not {}", features.len()));
    }
    Ok((features, at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_table_is_read_and_its_label_may_stand_anywhere() {
        let table = Table::parse(b"\xef\xbb\xbfa, y ,b\r\n1,1,-2.5e1\r\n,0.0,3\r\n", "y").unwrap();
        assert_eq!(table.features, ["a", "b"]);
        assert_eq!(table.rows[0], [1.0, -25.0]);
        assert!(table.rows[1][0].is_nan());
        assert_eq!((table.labels.clone(), table.has_both()), (vec![true, false], true));
        assert_eq!(table.pick(&[1, 1]).labels, [false, false]);
    }

    #[test]
    fn what_is_wrong_is_told_by_line_and_column_without_the_value() {
        let many: String = (0..70).map(|n| format!("c{n},")).collect();
        let cases = [
            ("", "line 1: there is no column y"),
            ("a,b\n1,0\n", "line 1: there is no column y"),
            ("y\n1\n", "line 1: 1 to 64 columns are learnt from, not 0"),
            (&format!("{many}y\n"), "not 70"),
            ("a,a,y\n", "line 1, column 2: two columns are called a"),
            ("a,,y\n", "line 1, column 2: a column has a name"),
            ("a,y\n1,0\nSmith,0\n", "line 3, column a is no finite number"),
            ("a,y\ninf,0\n", "line 2, column a is no finite number"),
            ("a,y\n1,2\n", "line 2, column y is neither 0 nor 1"),
            ("a,y\n1,0\n1\n", "line 3 has 1 columns, the header has 2"),
        ];
        for (csv, expected) in cases {
            let told = Table::parse(csv.as_bytes(), "y").unwrap_err();
            assert!(told.contains(expected) && !told.contains("Smith"), "{told}");
        }
        assert_eq!(Table::parse(b"a,y\n1,\xff\n", "y").unwrap_err(), "line 2 is not UTF-8");
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(rows in proptest::collection::vec((-1e9_f64..1e9, any::<bool>()), 0..40)) {
            let csv: String = rows.iter().map(|(v, l)| format!("{v},{}\n", u8::from(*l))).collect();
            let table = Table::parse(format!("a,y\n{csv}").as_bytes(), "y").unwrap();
            let read: Vec<(f64, bool)> = table.rows.iter().map(|r| r[0]).zip(table.labels).collect();
            prop_assert_eq!(read, rows);
        }

        #[test]
        fn nothing_makes_it_panic(bytes: Vec<u8>, cells in "[0-9eE.,\"\r\n-]{0,200}") {
            let _ = Table::parse(&bytes, "y");
            let _ = Table::parse(format!("a,y\n{cells}").as_bytes(), "y");
        }
    }
}
