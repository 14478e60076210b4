//! What a query finds.

use std::cmp::Ordering;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::Fault;
use super::parser::{Condition, Literal, Query, Step, Test, instant};
use crate::loganalytics::schema::{ColumnKind, Record, Table};

/// A column of the answer.
#[derive(Clone, Debug)]
struct Column {
    name: String,
    kind: ColumnKind,
}

/// Rows on their way through the steps.
struct Rows {
    columns: Vec<Column>,
    rows: Vec<Vec<Value>>,
}

impl Rows {
    fn position(&self, operator: &str, name: &str) -> Result<usize, Fault> {
        self.columns.iter().position(|column| column.name == name).ok_or_else(|| Fault::unknown(operator, name))
    }
}

/// Runs a query over the records of its table and answers `{ tables: […] }`.
pub(super) fn run(
    query: &Query,
    table: &Table,
    records: &[Record<'_>],
    within: (Option<DateTime<Utc>>, Option<DateTime<Utc>>),
) -> Result<Value, Fault> {
    let columns = table.columns.iter().map(|c| Column { name: c.name.to_owned(), kind: c.kind }).collect();
    let row = |record: &Record<'_>| table.columns.iter().map(|column| (column.value)(record)).collect();
    let here = |record: &&Record<'_>| {
        within.0.is_none_or(|from| record.time >= from) && within.1.is_none_or(|to| record.time < to)
    };
    let mut found = Rows { columns, rows: records.iter().filter(here).map(row).collect() };
    for step in &query.steps {
        apply(&mut found, step)?;
    }
    let columns: Vec<Value> =
        found.columns.iter().map(|column| json!({ "name": column.name, "type": column.kind.as_str() })).collect();
    let rows: Vec<Value> = found.rows.into_iter().map(|row| written(&found.columns, row)).collect();
    Ok(json!({ "tables": [{ "name": "PrimaryResult", "columns": columns, "rows": rows }] }))
}

/// A row on the wire, where dynamic values are text.
fn written(columns: &[Column], row: Vec<Value>) -> Value {
    let cells = columns.iter().zip(row).map(|(column, cell)| match column.kind {
        ColumnKind::Dynamic if !cell.is_null() => cell.to_string().into(),
        _ => cell,
    });
    cells.collect()
}

fn apply(found: &mut Rows, step: &Step) -> Result<(), Fault> {
    match step {
        Step::Where(condition) => {
            let test = compiled(found, condition)?;
            found.rows.retain(|row| test(row));
        }
        Step::Project(chosen) => {
            let positions: Vec<usize> =
                chosen.iter().map(|(_, source)| found.position("project", source)).collect::<Result<_, _>>()?;
            let named = |((name, _), position): (&(String, String), &usize)| Column {
                name: name.clone(),
                kind: found.columns[*position].kind,
            };
            let columns = chosen.iter().zip(&positions).map(named).collect();
            for row in &mut found.rows {
                *row = positions.iter().map(|position| row[*position].clone()).collect();
            }
            found.columns = columns;
        }
        Step::Sort(keys) => {
            let keys: Vec<(usize, bool)> = keys
                .iter()
                .map(|(name, ascending)| Ok((found.position("order", name)?, *ascending)))
                .collect::<Result<_, Fault>>()?;
            found.rows.sort_by(|a, b| {
                let one = |&(position, ascending): &(usize, bool)| {
                    let order = order(&a[position], &b[position]);
                    if ascending { order } else { order.reverse() }
                };
                keys.iter().map(one).find(|order| *order != Ordering::Equal).unwrap_or(Ordering::Equal)
            });
        }
        Step::Take(count) => found.rows.truncate(*count),
    }
    Ok(())
}

/// Order of two cells of one column: instants are written so that their texts sort like themselves.
fn order(a: &Value, b: &Value) -> Ordering {
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => a.total_cmp(&b),
        _ => a.as_str().unwrap_or_default().cmp(b.as_str().unwrap_or_default()),
    }
}

type Predicate = Box<dyn Fn(&[Value]) -> bool>;

fn compiled(found: &Rows, condition: &Condition) -> Result<Predicate, Fault> {
    Ok(match condition {
        Condition::And(a, b) => {
            let (a, b) = (compiled(found, a)?, compiled(found, b)?);
            Box::new(move |row| a(row) && b(row))
        }
        Condition::Or(a, b) => {
            let (a, b) = (compiled(found, a)?, compiled(found, b)?);
            Box::new(move |row| a(row) || b(row))
        }
        Condition::Not(inner) => {
            let inner = compiled(found, inner)?;
            Box::new(move |row| !inner(row))
        }
        Condition::Test(name, test, values) => {
            let position = found.position("where", name)?;
            let values: Vec<Literal> = values
                .iter()
                .map(|value| typed(name, found.columns[position].kind, *test, value))
                .collect::<Result<_, _>>()?;
            let test = *test;
            Box::new(move |row| holds(&row[position], test, &values))
        }
    })
}

/// A value as the column's type compares it.
fn typed(name: &str, kind: ColumnKind, test: Test, value: &Literal) -> Result<Literal, Fault> {
    let words = matches!(test, Test::Contains | Test::Has | Test::StartsWith | Test::EndsWith);
    match (kind, value) {
        (ColumnKind::Text | ColumnKind::Guid, Literal::Text(_)) => Ok(value.clone()),
        (ColumnKind::Int | ColumnKind::Real, Literal::Number(_)) if !words => Ok(value.clone()),
        (ColumnKind::Time, Literal::Time(_)) if !words => Ok(value.clone()),
        _ => Err(Fault::types(name, kind)),
    }
}

fn holds(cell: &Value, test: Test, values: &[Literal]) -> bool {
    let compare = |value: &Literal| compare(cell, value);
    let first = values.first();
    let against = |wanted: fn(Ordering) -> bool| first.and_then(compare).is_some_and(wanted);
    let text = || (cell.as_str().unwrap_or_default().to_lowercase(), lower(first));
    match test {
        Test::In => values.iter().any(|value| compare(value) == Some(Ordering::Equal)),
        Test::InAnyCase => {
            let cell = cell.as_str().unwrap_or_default().to_lowercase();
            values.iter().any(|value| lower(Some(value)) == cell)
        }
        Test::Less => against(Ordering::is_lt),
        Test::AtMost => against(Ordering::is_le),
        Test::Greater => against(Ordering::is_gt),
        Test::AtLeast => against(Ordering::is_ge),
        Test::Between => against(Ordering::is_ge) && values.get(1).and_then(compare).is_some_and(Ordering::is_le),
        Test::Contains => {
            let (cell, part) = text();
            cell.contains(&part)
        }
        Test::Has => {
            let (cell, term) = text();
            let separate = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric());
            cell.match_indices(&term).any(|(start, _)| {
                separate(cell[..start].chars().next_back()) && separate(cell[start + term.len()..].chars().next())
            })
        }
        Test::StartsWith => {
            let (cell, part) = text();
            cell.starts_with(&part)
        }
        Test::EndsWith => {
            let (cell, part) = text();
            cell.ends_with(&part)
        }
    }
}

fn lower(value: Option<&Literal>) -> String {
    match value {
        Some(Literal::Text(text)) => text.to_lowercase(),
        _ => String::new(),
    }
}

fn compare(cell: &Value, value: &Literal) -> Option<Ordering> {
    match value {
        Literal::Text(text) => Some(cell.as_str()?.cmp(text)),
        Literal::Number(number) => cell.as_f64()?.partial_cmp(number),
        Literal::Time(time) => Some(instant(cell.as_str()?)?.cmp(time)),
    }
}
