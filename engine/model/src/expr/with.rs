//! Values with templates in them, as in a step's `with`.

use serde_json::{Map, Value};

use super::scope::Scope;
use super::source::ExprError;
use super::template::Template;

/// A value whose texts are templates.
#[derive(Debug, Clone)]
pub enum With {
    /// A text.
    Text(Template),
    /// A number or a truth value.
    Plain(Value),
    /// A list.
    List(Vec<With>),
    /// A table, in source order.
    Table(Vec<(String, With)>),
}

impl Default for With {
    fn default() -> Self {
        Self::Table(Vec::new())
    }
}

impl With {
    /// Evaluates every template in it.
    ///
    /// # Errors
    /// When one of them fails.
    pub fn render(&self, scope: &Scope) -> Result<Value, ExprError> {
        self.each(&|template| template.render(scope))
    }

    /// Evaluates what can be evaluated; the rest stays as it is written.
    #[must_use]
    pub fn preview(&self, scope: &Scope) -> Value {
        let known = |t: &Template| t.render(scope).unwrap_or_else(|_| Value::String(t.preview(scope)));
        self.each::<std::convert::Infallible>(&|template| Ok(known(template))).unwrap_or_default()
    }

    fn each<E>(&self, render: &dyn Fn(&Template) -> Result<Value, E>) -> Result<Value, E> {
        Ok(match self {
            Self::Text(template) => render(template)?,
            Self::Plain(value) => value.clone(),
            Self::List(items) => Value::Array(items.iter().map(|i| i.each(render)).collect::<Result<_, _>>()?),
            Self::Table(fields) => {
                let fields = fields.iter().map(|(k, v)| Ok((k.clone(), v.each(render)?)));
                Value::Object(fields.collect::<Result<Map<_, _>, E>>()?)
            }
        })
    }

    /// Every template in it.
    pub(crate) fn templates(&self) -> Vec<&Template> {
        match self {
            Self::Text(template) => vec![template],
            Self::Plain(_) => Vec::new(),
            Self::List(items) => items.iter().flat_map(Self::templates).collect(),
            Self::Table(fields) => fields.iter().flat_map(|(_, value)| value.templates()).collect(),
        }
    }

    /// A field of a table.
    pub(crate) fn get(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Table(fields) => fields.iter().find(|(k, _)| k == name).map(|(_, v)| v),
            _ => None,
        }
    }
}
