//! Template language expressions: `[concat(parameters('name'), '-nic')]`.
//!
//! Source: <https://learn.microsoft.com/azure/azure-resource-manager/templates/template-expressions>.

/// Longest expression.
const LONGEST: usize = 24_576;
/// Deepest nesting: calls in calls, and members of members.
const DEEPEST: usize = 64;

/// An expression, and how deep it is as a tree.
type Measured = (Expression, usize);

/// An expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Expression {
    /// `'text'`.
    Text(String),
    /// `42`.
    Number(i64),
    /// `name(…)`.
    Call(String, Vec<Self>),
    /// `….name`.
    Member(Box<Self>, String),
    /// `…[…]`.
    Index(Box<Self>, Box<Self>),
}

/// What a text of a template is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Text {
    /// Itself.
    Literal(String),
    /// An expression.
    Expression(Expression),
}

/// Reads a text of a template. `[[` at its start stands for `[`.
///
/// # Errors
/// A sentence that says what is wrong with the expression.
pub(super) fn read(text: &str) -> Result<Text, String> {
    if let Some(rest) = text.strip_prefix("[[") {
        return Ok(Text::Literal(format!("[{rest}")));
    }
    let Some(inner) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) else {
        return Ok(Text::Literal(text.to_owned()));
    };
    if text.len() > LONGEST {
        return Err(format!("the expression has more than {LONGEST} characters"));
    }
    let mut reader = Reader { rest: inner, depth: 0 };
    let (expression, _) = reader.expression()?;
    reader.space();
    if reader.rest.is_empty() {
        return Ok(Text::Expression(expression));
    }
    Err(format!("'{}' is left over after the expression", reader.rest))
}

struct Reader<'a> {
    rest: &'a str,
    depth: usize,
}

impl Reader<'_> {
    fn space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn eat(&mut self, symbol: char) -> bool {
        self.space();
        match self.rest.strip_prefix(symbol) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn need(&mut self, symbol: char) -> Result<(), String> {
        if self.eat(symbol) { Ok(()) } else { Err(format!("'{symbol}' is missing before '{}'", self.rest)) }
    }

    fn name(&mut self) -> Result<String, String> {
        self.space();
        let end = self.rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at(end);
        if name.is_empty() {
            return Err(format!("a name is missing before '{rest}'"));
        }
        self.rest = rest;
        Ok(name.to_owned())
    }

    fn text(&mut self) -> Result<String, String> {
        let mut text = String::new();
        loop {
            let Some(end) = self.rest.find('\'') else { return Err("a text has no end".to_owned()) };
            text.push_str(&self.rest[..end]);
            self.rest = &self.rest[end + 1..];
            match self.rest.strip_prefix('\'') {
                Some(rest) => {
                    text.push('\'');
                    self.rest = rest;
                }
                None => return Ok(text),
            }
        }
    }

    fn expression(&mut self) -> Result<Measured, String> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(too_deep());
        }
        let (mut value, mut height) = self.value()?;
        loop {
            if self.eat('.') {
                value = Expression::Member(Box::new(value), self.name()?);
            } else if self.eat('[') {
                let (at, inner) = self.expression()?;
                value = Expression::Index(Box::new(value), Box::new(at));
                height = height.max(inner);
                self.need(']')?;
            } else {
                self.depth -= 1;
                return Ok((value, height));
            }
            height += 1;
            if height > DEEPEST {
                return Err(too_deep());
            }
        }
    }

    fn value(&mut self) -> Result<Measured, String> {
        if self.eat('\'') {
            return Ok((Expression::Text(self.text()?), 1));
        }
        if self.rest.starts_with(|c: char| c.is_ascii_digit() || c == '-') {
            let sign = usize::from(self.rest.starts_with('-'));
            let end = self.rest[sign..].find(|c: char| !c.is_ascii_digit()).map_or(self.rest.len(), |at| at + sign);
            let (digits, rest) = self.rest.split_at(end);
            let number = digits.parse().map_err(|_| format!("'{digits}' is no integer"))?;
            self.rest = rest;
            return Ok((Expression::Number(number), 1));
        }
        let name = self.name()?;
        self.need('(')?;
        let (mut arguments, mut height) = (Vec::new(), 0);
        if !self.eat(')') {
            loop {
                let (argument, inner) = self.expression()?;
                arguments.push(argument);
                height = height.max(inner);
                if self.eat(')') {
                    break;
                }
                self.need(',')?;
            }
        }
        Ok((Expression::Call(name, arguments), height + 1))
    }
}

fn too_deep() -> String {
    format!("the expression is nested deeper than {DEEPEST}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(text: &str) -> String {
        fn show(e: &Expression) -> String {
            match e {
                Expression::Text(text) => format!("{text:?}"),
                Expression::Number(number) => number.to_string(),
                Expression::Call(name, arguments) => {
                    format!("{name}({})", arguments.iter().map(show).collect::<Vec<_>>().join(","))
                }
                Expression::Member(of, name) => format!("{}.{name}", show(of)),
                Expression::Index(of, at) => format!("{}[{}]", show(of), show(at)),
            }
        }
        match read(text) {
            Ok(Text::Literal(text)) => format!("={text}"),
            Ok(Text::Expression(expression)) => show(&expression),
            Err(_) => "-".to_owned(),
        }
    }

    #[test]
    fn texts() {
        let deep = format!("[{}'x'{}]", "concat(".repeat(70), ")".repeat(70));
        let chain = format!("[a(){}]", ".b".repeat(70));
        let both = format!("[{}a(){}]", "concat(".repeat(30), format!("{})", ".b".repeat(30)).repeat(30));
        let long = format!("['{}']", "x".repeat(LONGEST));
        let table = [
            ("plain", "=plain"),
            ("[[plain]", "=[plain]"),
            ("[half", "=[half"),
            ("['it''s']", "\"it's\""),
            ("[ parameters( 'a' ) ]", "parameters(\"a\")"),
            ("[f(1, -2, g())]", "f(1,-2,g())"),
            ("[reference('x').a.b[0]['c']]", "reference(\"x\").a.b[0][\"c\"]"),
            ("[]", "-"),
            ("[f(]", "-"),
            ("[f(1 2)]", "-"),
            ("[f() g()]", "-"),
            ("['open]", "-"),
            ("[name]", "-"),
            ("[-]", "-"),
            ("[99999999999999999999]", "-"),
            (&deep, "-"),
            (&chain, "-"),
            (&both, "-"),
            (&long, "-"),
        ];
        for (text, expected) in table {
            assert_eq!(shown(text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(text in "\\[[\\[\\]().,'a-z0-9 é-]{0,60}\\]") {
            let _ = read(&text);
        }
    }
}
