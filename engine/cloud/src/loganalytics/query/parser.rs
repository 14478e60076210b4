//! The part of the Kusto Query Language that queries may use here: one table, `where`, `project`, `order by` and `take`.

use chrono::{DateTime, Duration, NaiveDate, Utc};

use super::Fault;
use super::lexer::{Token, tokens};

/// A query.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Query {
    /// Name of the table.
    pub table: String,
    /// What is done with its rows, in order.
    pub steps: Vec<Step>,
}

/// An operator of the pipe.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    /// Keeps rows.
    Where(Condition),
    /// Chooses columns: new name, old name.
    Project(Vec<(String, String)>),
    /// Sorts by columns; `true` for ascending order.
    Sort(Vec<(String, bool)>),
    /// Keeps so many rows.
    Take(usize),
}

/// A condition.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Condition {
    /// Both.
    And(Box<Condition>, Box<Condition>),
    /// Either.
    Or(Box<Condition>, Box<Condition>),
    /// Not.
    Not(Box<Condition>),
    /// A column against values; `between` has two, `in` any number, the others one.
    Test(String, Test, Vec<Literal>),
}

/// A comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Test {
    /// `==` and `in`.
    In,
    /// `=~` and `in~`: without case.
    InAnyCase,
    /// `<`.
    Less,
    /// `<=`.
    AtMost,
    /// `>`.
    Greater,
    /// `>=`.
    AtLeast,
    /// `between (a .. b)`.
    Between,
    /// `contains`, without case.
    Contains,
    /// `has`: a whole word, without case.
    Has,
    /// `startswith`, without case.
    StartsWith,
    /// `endswith`, without case.
    EndsWith,
}

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Literal {
    /// Text.
    Text(String),
    /// Number.
    Number(f64),
    /// Instant.
    Time(DateTime<Utc>),
}

/// Parses a query; `now` is what `now()` and `ago(…)` go by.
pub(super) fn parse(query: &str, now: DateTime<Utc>) -> Result<Query, Fault> {
    let tokens = tokens(query)?;
    if tokens.len() > WORDS {
        return Err(Fault::syntax("a query of that length"));
    }
    let mut parser = Parser { tokens: &tokens, now, depth: 0 };
    let table = parser.name()?;
    let mut steps = Vec::new();
    while !parser.tokens.is_empty() {
        parser.sign("|")?;
        steps.push(parser.step()?);
    }
    Ok(Query { table, steps })
}

struct Parser<'a> {
    tokens: &'a [Token],
    now: DateTime<Utc>,
    depth: usize,
}

/// Queries have no more words.
const WORDS: usize = 5_000;
/// Conditions nest no deeper.
const DEPTH: usize = 50;

impl Parser<'_> {
    fn fault<T>(&self) -> Result<T, Fault> {
        Err(Fault::syntax(&match self.tokens.first() {
            None => "end of query".to_owned(),
            Some(Token::Name(text) | Token::Text(text)) => text.clone(),
            Some(Token::Number(number) | Token::Span(number)) => number.to_string(),
            Some(Token::Sign(sign)) => (*sign).to_owned(),
        }))
    }

    fn take(&mut self) -> Option<&Token> {
        let (first, rest) = self.tokens.split_first()?;
        self.tokens = rest;
        Some(first)
    }

    fn is_sign(&self, wanted: &str) -> bool {
        matches!(self.tokens.first(), Some(Token::Sign(sign)) if *sign == wanted)
    }

    fn is_name(&self, wanted: &str) -> bool {
        matches!(self.tokens.first(), Some(Token::Name(name)) if name == wanted)
    }

    /// Takes a sign when it comes next.
    fn skip(&mut self, sign: &str) -> bool {
        let there = self.is_sign(sign);
        if there {
            self.take();
        }
        there
    }

    /// Takes a word when it comes next.
    fn word(&mut self, word: &str) -> bool {
        let there = self.is_name(word);
        if there {
            self.take();
        }
        there
    }

    fn sign(&mut self, sign: &str) -> Result<(), Fault> {
        if self.skip(sign) { Ok(()) } else { self.fault() }
    }

    fn name(&mut self) -> Result<String, Fault> {
        match self.tokens.first() {
            Some(Token::Name(name)) if !name.starts_with('!') && !name.ends_with('~') => {
                let name = name.clone();
                self.take();
                Ok(name)
            }
            _ => self.fault(),
        }
    }

    fn step(&mut self) -> Result<Step, Fault> {
        let operator = self.name()?;
        match operator.as_str() {
            "where" | "filter" => Ok(Step::Where(self.condition()?)),
            "project" => Ok(Step::Project(self.list(|parser| {
                let name = parser.name()?;
                let source = if parser.skip("=") { parser.name()? } else { name.clone() };
                Ok((name, source))
            })?)),
            "order" | "sort" => {
                if !self.word("by") {
                    return self.fault();
                }
                Ok(Step::Sort(self.list(|parser| {
                    let name = parser.name()?;
                    let ascending = parser.word("asc");
                    if !ascending {
                        parser.word("desc");
                    }
                    Ok((name, ascending))
                })?))
            }
            "take" | "limit" => match self.tokens.first() {
                Some(Token::Number(number)) if number.fract() == 0.0 && *number <= f64::from(u32::MAX) => {
                    #[expect(
                        clippy::cast_possible_truncation,
                        clippy::cast_sign_loss,
                        reason = "it is a whole number within u32"
                    )]
                    let count = *number as usize;
                    self.take();
                    Ok(Step::Take(count))
                }
                _ => self.fault(),
            },
            other => Err(Fault::syntax(other)),
        }
    }

    fn list<T>(&mut self, one: impl Fn(&mut Self) -> Result<T, Fault>) -> Result<Vec<T>, Fault> {
        let mut all = vec![one(self)?];
        while self.skip(",") {
            all.push(one(self)?);
        }
        Ok(all)
    }

    /// `or` binds less than `and`.
    fn condition(&mut self) -> Result<Condition, Fault> {
        self.depth += 1;
        if self.depth > DEPTH {
            return self.fault();
        }
        let mut left = self.all()?;
        while self.word("or") {
            left = Condition::Or(Box::new(left), Box::new(self.all()?));
        }
        self.depth -= 1;
        Ok(left)
    }

    fn all(&mut self) -> Result<Condition, Fault> {
        let mut left = self.one()?;
        while self.word("and") {
            left = Condition::And(Box::new(left), Box::new(self.one()?));
        }
        Ok(left)
    }

    fn one(&mut self) -> Result<Condition, Fault> {
        if self.is_name("not") && matches!(self.tokens.get(1), Some(Token::Sign("("))) {
            self.take();
            return Ok(Condition::Not(Box::new(self.grouped()?)));
        }
        if self.is_sign("(") {
            return self.grouped();
        }
        let column = self.name()?;
        let (test, negated) = self.test()?;
        let values = match test {
            Test::Between => {
                self.sign("(")?;
                let from = self.literal()?;
                self.sign("..")?;
                let to = self.literal()?;
                self.sign(")")?;
                vec![from, to]
            }
            Test::In | Test::InAnyCase if self.skip("(") => {
                let values = self.list(Self::literal)?;
                self.sign(")")?;
                values
            }
            _ => vec![self.literal()?],
        };
        let condition = Condition::Test(column, test, values);
        Ok(if negated { Condition::Not(Box::new(condition)) } else { condition })
    }

    fn grouped(&mut self) -> Result<Condition, Fault> {
        self.sign("(")?;
        let inner = self.condition()?;
        self.sign(")")?;
        Ok(inner)
    }

    fn test(&mut self) -> Result<(Test, bool), Fault> {
        let found = match self.tokens.first() {
            Some(Token::Sign("==")) => (Test::In, false),
            Some(Token::Sign("!=")) => (Test::In, true),
            Some(Token::Sign("=~")) => (Test::InAnyCase, false),
            Some(Token::Sign("!~")) => (Test::InAnyCase, true),
            Some(Token::Sign("<")) => (Test::Less, false),
            Some(Token::Sign("<=")) => (Test::AtMost, false),
            Some(Token::Sign(">")) => (Test::Greater, false),
            Some(Token::Sign(">=")) => (Test::AtLeast, false),
            Some(Token::Name(name)) => {
                let (plain, negated) = name.strip_prefix('!').map_or((name.as_str(), false), |plain| (plain, true));
                let test = match plain {
                    "in" => Test::In,
                    "in~" => Test::InAnyCase,
                    "between" => Test::Between,
                    "contains" => Test::Contains,
                    "has" => Test::Has,
                    "startswith" => Test::StartsWith,
                    "endswith" => Test::EndsWith,
                    _ => return self.fault(),
                };
                (test, negated)
            }
            _ => return self.fault(),
        };
        self.take();
        Ok(found)
    }

    fn literal(&mut self) -> Result<Literal, Fault> {
        let found = match self.tokens.first() {
            Some(Token::Text(text)) => Literal::Text(text.clone()),
            Some(Token::Number(number)) => Literal::Number(*number),
            Some(Token::Name(function)) if matches!(self.tokens.get(1), Some(Token::Sign("("))) => {
                let function = function.clone();
                self.take();
                self.take();
                let time = self.time(&function)?;
                self.sign(")")?;
                return Ok(Literal::Time(time));
            }
            _ => return self.fault(),
        };
        self.take();
        Ok(found)
    }

    /// The argument of `now()`, `ago(span)` or `datetime("…")`, up to its closing parenthesis. A `datetime` is written
    /// without quotes, too; its words are put together again.
    fn time(&mut self, function: &str) -> Result<DateTime<Utc>, Fault> {
        match (function, self.tokens.first()) {
            ("now", Some(Token::Sign(")"))) => Ok(self.now),
            ("ago", Some(Token::Span(span))) => {
                #[expect(clippy::cast_possible_truncation, reason = "a cast of a float saturates")]
                let span = Duration::try_milliseconds(*span as i64);
                let Some(time) = span.and_then(|span| self.now.checked_sub_signed(span)) else { return self.fault() };
                self.take();
                Ok(time)
            }
            ("datetime" | "todatetime", Some(Token::Text(text))) => {
                let Some(time) = instant(text) else { return self.fault() };
                self.take();
                Ok(time)
            }
            _ => self.fault(),
        }
    }
}

/// An instant as queries and time spans write it: RFC 3339, without a zone in UTC, or a day.
pub(super) fn instant(text: &str) -> Option<DateTime<Utc>> {
    let text = text.trim();
    let day = || Some(NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0)?.and_utc());
    let read = |text: &str| DateTime::parse_from_rfc3339(text).ok().map(|time| time.with_timezone(&Utc));
    read(text).or_else(|| read(&format!("{text}Z"))).or_else(day)
}
