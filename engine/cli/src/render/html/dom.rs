//! HTML that can't be written unescaped: a text becomes [`Html`] by being escaped, and only elements are added to it.

use crate::render::text::safe;

/// A piece of a page.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Html(String);

impl Html {
    /// Markup that another writer has escaped.
    pub(super) fn trusted(markup: String) -> Self {
        Self(markup)
    }

    /// Adds something at the end.
    pub fn add(&mut self, more: impl Into<Self>) {
        self.0.push_str(&more.into().0);
    }

    /// The markup.
    pub fn markup(&self) -> &str {
        &self.0
    }
}

/// The five characters that mean something in HTML, and what a reader could not see.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    for c in safe(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

impl From<&str> for Html {
    fn from(text: &str) -> Self {
        Self(escape(text))
    }
}

impl From<&String> for Html {
    fn from(text: &String) -> Self {
        Self(escape(text))
    }
}

impl From<String> for Html {
    fn from(text: String) -> Self {
        Self(escape(&text))
    }
}

impl<const N: usize> From<[Html; N]> for Html {
    fn from(parts: [Html; N]) -> Self {
        parts.into_iter().collect()
    }
}

impl FromIterator<Html> for Html {
    fn from_iter<I: IntoIterator<Item = Html>>(parts: I) -> Self {
        Self(parts.into_iter().map(|part| part.0).collect())
    }
}

/// An element with attributes.
pub fn el(tag: &'static str, attributes: &[(&'static str, &str)], inner: impl Into<Html>) -> Html {
    let mut out = open(tag, attributes);
    out.push_str(&inner.into().0);
    out.push_str("</");
    out.push_str(tag);
    out.push('>');
    if !INLINE.contains(&tag) {
        out.push('\n');
    }
    Html(out)
}

/// An element without an end (`img`, `meta`).
pub fn void(tag: &'static str, attributes: &[(&'static str, &str)]) -> Html {
    Html(open(tag, attributes) + "\n")
}

/// An element without attributes.
pub fn plain(tag: &'static str, inner: impl Into<Html>) -> Html {
    el(tag, &[], inner)
}

/// Elements after which no line ends, because a blank would show.
const INLINE: [&str; 7] = ["a", "code", "span", "strong", "small", "time", "em"];

fn open(tag: &'static str, attributes: &[(&'static str, &str)]) -> String {
    let mut out = format!("<{tag}");
    for (name, value) in attributes {
        out.push_str(&format!(" {name}=\"{}\"", escape(value)));
    }
    out.push('>');
    out
}

/// A table that names what it shows. The first cell of a row is its heading. Columns in `amounts` hold numbers.
pub fn table(caption: &str, header: &[&str], amounts: &[usize], rows: impl IntoIterator<Item = Vec<Html>>) -> Html {
    let class = |n: usize| if amounts.contains(&n) { "amount" } else { "" };
    let cell = |tag: &'static str, n: usize, scope: Option<&str>, inner: Html| {
        let mut attributes = Vec::new();
        attributes.extend(scope.map(|scope| ("scope", scope)));
        attributes.extend(Some(("class", class(n))).filter(|(_, class)| !class.is_empty()));
        el(tag, &attributes, inner)
    };
    let head: Html = header.iter().enumerate().map(|(n, text)| cell("th", n, Some("col"), (*text).into())).collect();
    let rows = rows.into_iter().map(|row| {
        let cells = row.into_iter().enumerate().map(|(n, inner)| match n {
            0 => cell("th", n, Some("row"), inner),
            _ => cell("td", n, None, inner),
        });
        plain("tr", cells.collect::<Html>())
    });
    let body = plain("tbody", rows.collect::<Html>());
    let inner = [plain("caption", caption), plain("thead", plain("tr", head)), body];
    // A wide table scrolls by itself, also by keyboard.
    el(
        "div",
        &[("class", "scroll"), ("role", "region"), ("aria-label", caption), ("tabindex", "0")],
        plain("table", inner),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_comes_in_is_escaped() {
        let hostile = "<script>alert('x')</script>\"&\u{202e}\u{0}\u{1b}[2J";
        insta::assert_snapshot!(el("p", &[("title", hostile)], hostile).markup(), @r#"<p title="&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&quot;&amp;\u{202e}\u{0}\u{1b}[2J">&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&quot;&amp;\u{202e}\u{0}\u{1b}[2J</p>"#);
        let table = table(hostile, &[hostile], &[0], [vec![hostile.into()]]);
        assert!(!table.markup().contains("<script") && !table.markup().contains('\u{202e}'), "{}", table.markup());
    }
}
