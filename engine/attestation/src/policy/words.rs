//! A policy in words.

use std::fmt;

use super::{Clause, Condition, Operator, ReleasePolicy};
use crate::line;

/// The policy in words, one condition per line.
impl fmt::Display for ReleasePolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, authority) in self.authorities.iter().enumerate() {
            let lead = if i == 0 { "The key is released to a token of" } else { "Or to a token of" };
            write!(f, "{lead} {}", line::shorten(&authority.issuer))?;
            match &authority.condition {
                Condition::AllOf(conditions) => list(f, " of which all hold:", conditions, 0)?,
                Condition::AnyOf(conditions) => list(f, " of which at least one holds:", conditions, 0)?,
                Condition::Clause(clause) => writeln!(f, " of which holds: {clause}")?,
            }
        }
        Ok(())
    }
}

fn list(f: &mut fmt::Formatter<'_>, head: &str, conditions: &[Condition], depth: usize) -> fmt::Result {
    writeln!(f, "{head}")?;
    let indent = depth + 2;
    for condition in conditions {
        write!(f, "{:indent$}- ", "")?;
        match condition {
            Condition::AllOf(inner) => list(f, "all of:", inner, indent)?,
            Condition::AnyOf(inner) => list(f, "at least one of:", inner, indent)?,
            Condition::Clause(clause) => writeln!(f, "{clause}")?,
        }
    }
    Ok(())
}

impl fmt::Display for Clause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = line::shorten(&self.claim);
        let value = line::show(&self.value);
        match self.operator {
            Operator::Equals => write!(f, "{name} is {value}"),
            Operator::NotEquals => write!(f, "{name} is there and is not {value}"),
            Operator::Less => write!(f, "{name} is less than {value}"),
            Operator::LessOrEquals => write!(f, "{name} is at most {value}"),
            Operator::Greater => write!(f, "{name} is greater than {value}"),
            Operator::GreaterOrEquals => write!(f, "{name} is at least {value}"),
            Operator::Exists if value == "true" => write!(f, "{name} is there, with any value"),
            Operator::Exists => write!(f, "{name} is not there"),
        }
    }
}
