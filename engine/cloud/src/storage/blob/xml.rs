//! Writing the XML that Blob Storage answers, and reading the one body it takes.

use quick_xml::escape::escape;
use quick_xml::events::Event;

use crate::refusal::Refusal;

/// Builds a document element by element.
#[derive(Default)]
pub(super) struct Xml(String);

impl Xml {
    /// Opens an element with attributes.
    pub fn open(&mut self, name: &str, attributes: &[(&str, &str)]) {
        self.0.push('<');
        self.0.push_str(name);
        for (attribute, value) in attributes {
            self.0.push_str(&format!(" {attribute}=\"{}\"", escape(*value)));
        }
        self.0.push('>');
    }

    /// Closes an element.
    pub fn close(&mut self, name: &str) {
        self.0.push_str(&format!("</{name}>"));
    }

    /// Writes an element with text.
    pub fn text(&mut self, name: &str, text: &str) {
        self.open(name, &[]);
        self.0.push_str(&escape(text));
        self.close(name);
    }

    /// Writes an element with text if there is any.
    pub fn optional(&mut self, name: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.text(name, text);
        }
    }

    /// Writes a `Name` element; a name that XML 1.0 can't carry is percent-encoded and says so.
    pub fn name(&mut self, name: &str) {
        if name.chars().all(is_xml_char) {
            return self.text("Name", name);
        }
        let encoded = percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC).to_string();
        self.open("Name", &[("Encoded", "true")]);
        self.0.push_str(&encoded);
        self.close("Name");
    }

    /// Writes metadata; its names are identifiers, so they can be element names.
    pub fn metadata<'a>(&mut self, metadata: impl IntoIterator<Item = (&'a str, &'a str)>) {
        self.open("Metadata", &[]);
        for (name, value) in metadata {
            self.text(name, value);
        }
        self.close("Metadata");
    }

    /// The document.
    pub fn finish(self) -> String {
        self.0
    }
}

/// The characters of XML 1.0 (section 2.2).
fn is_xml_char(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | '\u{20}'..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..)
}

/// Where the service looks for a block of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum From {
    /// Among the blob's own blocks.
    Committed,
    /// Among the staged ones.
    Uncommitted,
    /// Among the staged ones first.
    Latest,
}

/// Reads the body of Put Block List: block ids in order, with where to look for each.
pub(super) fn block_list(body: &[u8]) -> Result<Vec<(From, String)>, Refusal> {
    parse_block_list(body)
        .ok_or_else(|| Refusal::new(400, "InvalidXmlDocument", "XML specified is not syntactically valid."))
}

/// Reads a flat document: the text of each member of the root element.
pub(super) fn members(body: &[u8], root: &str) -> Result<Vec<(String, String)>, Refusal> {
    parse_members(body, root)
        .ok_or_else(|| Refusal::new(400, "InvalidXmlDocument", "XML specified is not syntactically valid."))
}

fn parse_members(body: &[u8], root: &str) -> Option<Vec<(String, String)>> {
    let text = std::str::from_utf8(body).ok()?;
    let mut reader = quick_xml::Reader::from_str(text.trim_start_matches('\u{feff}'));
    let mut members: Vec<(String, String)> = Vec::new();
    let mut depth = 0;
    let mut seen = false;
    loop {
        match reader.read_event().ok()? {
            Event::Start(start) => {
                depth += 1;
                let name = start.local_name().as_ref().to_owned();
                match depth {
                    1 if name == root && !seen => seen = true,
                    2 => members.push((name, String::new())),
                    _ => return None,
                }
            }
            Event::Empty(_) if depth == 1 => {}
            Event::Empty(_) => return None,
            Event::Text(text) if depth == 2 => members.last_mut()?.1.push_str(text.trim()),
            Event::End(_) => depth -= 1,
            Event::GeneralRef(_) | Event::DocType(_) => return None,
            Event::Eof => return (seen && depth == 0).then_some(members),
            _ => {}
        }
    }
}

fn parse_block_list(body: &[u8]) -> Option<Vec<(From, String)>> {
    let text = std::str::from_utf8(body).ok()?;
    let mut reader = quick_xml::Reader::from_str(text.trim_start_matches('\u{feff}'));
    let mut blocks = Vec::new();
    let (mut depth, mut roots) = (0, 0);
    let mut current: Option<(From, String)> = None;
    loop {
        match reader.read_event().ok()? {
            Event::Start(start) => {
                depth += 1;
                match (depth, start.local_name().as_ref()) {
                    (1, "BlockList") if roots == 0 => roots = 1,
                    (2, "Committed") => current = Some((From::Committed, String::new())),
                    (2, "Uncommitted") => current = Some((From::Uncommitted, String::new())),
                    (2, "Latest") => current = Some((From::Latest, String::new())),
                    _ => return None,
                }
            }
            Event::Empty(empty) => {
                if depth != 0 || roots > 0 || empty.local_name().as_ref() != "BlockList" {
                    return None;
                }
                roots = 1;
            }
            Event::Text(text) => match &mut current {
                Some((_, id)) => id.push_str(text.trim()),
                None if text.trim().is_empty() => {}
                None => return None,
            },
            Event::End(_) => {
                depth -= 1;
                blocks.extend(current.take());
            }
            // References appear in no base64 text.
            Event::GeneralRef(_) | Event::DocType(_) => return None,
            // No list at all would be taken for an empty one, and empty the blob.
            Event::Eof => return (depth == 0 && roots == 1).then_some(blocks),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn block_lists() {
        for (body, expected) in [
            (
                "<?xml version='1.0' encoding='utf-8'?>\n<BlockList><Latest>QQ==</Latest><Committed>Qg==</Committed>\
                 <Uncommitted>Qw==</Uncommitted></BlockList>",
                Some("Latest:QQ==;Committed:Qg==;Uncommitted:Qw==;"),
            ),
            ("<BlockList>\n  <Latest> QQ== </Latest>\n</BlockList>", Some("Latest:QQ==;")),
            ("<BlockList></BlockList>", Some("")),
            ("<BlockList/>", Some("")),
            ("<BlockList><Other>QQ==</Other></BlockList>", None),
            ("<BlockList><Latest>QQ==</BlockList>", None),
            ("<Blocks/>", None),
            ("<!DOCTYPE x [<!ENTITY a 'b'>]><BlockList><Latest>&a;</Latest></BlockList>", None),
            ("not xml", None),
            ("", None),
            ("<BlockList/>x", None),
            ("<BlockList/><BlockList/>", None),
            ("<BlockList>QQ==</BlockList>", None),
        ] {
            let shown = block_list(body.as_bytes())
                .ok()
                .map(|blocks| blocks.iter().map(|(from, id)| format!("{from:?}:{id};")).collect::<String>());
            assert_eq!(shown.as_deref(), expected, "{body}");
        }
    }

    #[test]
    fn names_that_xml_cannot_carry() {
        let mut xml = Xml::default();
        xml.name("a<b");
        xml.name("a\u{1}b");
        assert_eq!(xml.finish(), "<Name>a&lt;b</Name><Name Encoded=\"true\">a%01b</Name>");
    }
}
