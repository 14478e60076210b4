//! A playbook's Markdown as HTML: its structure, never its markup.

use pulldown_cmark::{Event, HeadingLevel, Options, Parser, Tag, TagEnd};

use super::dom::Html;
use crate::render::text::safe;

/// Renders a text. HTML in it is shown as it was typed; links lead only to web pages and mail; pictures become their
/// descriptions, since the page must not load anything; headings come below those of the page.
pub fn markdown(text: &str) -> Html {
    let text = safe(text);
    let mut links = Vec::new();
    let events = Parser::new_ext(&text, Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH);
    let events = events.filter_map(|event| match event {
        Event::Html(html) | Event::InlineHtml(html) => Some(Event::Text(html)),
        Event::Start(Tag::Image { .. }) | Event::End(TagEnd::Image) => None,
        Event::Start(Tag::Link { link_type, dest_url, title, id }) => {
            let leads = leads_out(&dest_url);
            links.push(leads);
            leads.then_some(Event::Start(Tag::Link { link_type, dest_url, title, id }))
        }
        Event::End(TagEnd::Link) => links.pop().unwrap_or(false).then_some(Event::End(TagEnd::Link)),
        Event::Start(Tag::Heading { level, .. }) => {
            let (level, id) = (below(level), None);
            Some(Event::Start(Tag::Heading { level, id, classes: Vec::new(), attrs: Vec::new() }))
        }
        Event::End(TagEnd::Heading(level)) => Some(Event::End(TagEnd::Heading(below(level)))),
        event => Some(event),
    });
    let mut out = String::new();
    pulldown_cmark::html::push_html(&mut out, events);
    Html::trusted(out)
}

fn leads_out(url: &str) -> bool {
    ["https://", "http://", "mailto:"]
        .iter()
        .any(|scheme| url.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)))
}

fn below(level: HeadingLevel) -> HeadingLevel {
    match level {
        HeadingLevel::H1 | HeadingLevel::H2 => HeadingLevel::H5,
        _ => HeadingLevel::H6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structure_is_kept_and_markup_is_shown() {
        let texts = [
            "A *key* and `code`.\n\n- one\n- two",
            "# Big",
            "<script>alert(1)</script>\n\nand <b onclick=x>inline</b>",
            "[web](https://example.org/?a=1&b=\"2\") [script](javascript:alert(1)) [data](data:text/html,x) [page](../x)",
            "![a picture](https://example.org/x.png \"t\")",
            "```html\n<img src=x onerror=alert(1)>\n```",
            "<https://example.org> <javascript:alert(1)> \u{202e}x",
        ];
        let rendered: Vec<String> = texts.iter().map(|text| markdown(text).markup().to_owned()).collect();
        insta::assert_snapshot!(rendered.join("---\n"), @r#"
        <p>A <em>key</em> and <code>code</code>.</p>
        <ul>
        <li>one</li>
        <li>two</li>
        </ul>
        ---
        <h5>Big</h5>
        ---
        &lt;script&gt;alert(1)&lt;/script&gt;
        <p>and &lt;b onclick=x&gt;inline&lt;/b&gt;</p>
        ---
        <p><a href="https://example.org/?a=1&amp;b=%222%22">web</a> script data page</p>
        ---
        <p>a picture</p>
        ---
        <pre><code class="language-html">&lt;img src=x onerror=alert(1)&gt;
        </code></pre>
        ---
        <p><a href="https://example.org">https://example.org</a> javascript:alert(1) \u{202e}x</p>
        "#);
    }
}
