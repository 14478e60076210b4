//! Error bodies: JSON of Resource Manager, Key Vault and Graph (`error.code`, `error.innererror`, `error.details`),
//! of Entra (`error`, `error_description`), and Storage's XML.

use serde::Deserialize;
use serde_json::Value;

/// Longest message that is kept, in characters.
const LONGEST: usize = 2000;

/// What an error body says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    /// The innermost code.
    pub code: Option<String>,
    /// The outermost code, when it is another one.
    pub outer: Option<String>,
    /// The message that goes with the innermost code.
    pub message: Option<String>,
}

pub(super) fn read(body: &[u8]) -> Told {
    if let Ok(document) = serde_json::from_slice::<Value>(body) {
        return read_json(&document);
    }
    let text = String::from_utf8_lossy(body);
    let text = text.trim_start_matches('\u{feff}').trim();
    // Any element parses, so only one that has a code is Storage's: gateways answer in HTML.
    if let Ok(Xml { code: Some(code), message }) = quick_xml::de::from_str(text) {
        return Told { code: Some(code), outer: None, message: message.map(|m| tidy(&m)) };
    }
    Told { message: (!text.is_empty()).then(|| tidy(text)), ..Told::default() }
}

/// Reads `{"error": {…}}`, the inner object alone, or Entra's flat form.
pub(super) fn read_json(document: &Value) -> Told {
    match document.get("error") {
        Some(Value::String(oauth)) => read_entra(oauth, document),
        Some(error @ Value::Object(_)) => read_envelope(error),
        _ => read_envelope(document),
    }
}

fn read_envelope(error: &Value) -> Told {
    let outer = text(error, "code");
    let mut code = outer.clone();
    let mut message = text(error, "message");
    // Deployments and policies wrap the one real error in `details`; several would be a list of findings.
    let mut level = error;
    while let Some([only]) = level.get("details").and_then(Value::as_array).map(Vec::as_slice) {
        let Some(deeper) = text(only, "code") else { break };
        code = Some(deeper);
        message = text(only, "message").or(message);
        level = only;
    }
    while let Some(inner) = level.get("innererror").or_else(|| level.get("innerError")) {
        code = text(inner, "code").or(code);
        level = inner;
    }
    let outer = outer.filter(|outer| Some(outer) != code.as_ref());
    Told { code, outer, message: message.map(|m| tidy(&m)) }
}

/// Reads Entra's errors: the code that people search for is the `AADSTS` number in the description.
fn read_entra(oauth: &str, document: &Value) -> Told {
    let message = text(document, "error_description");
    let code = message.as_deref().and_then(aadsts);
    let outer = code.is_some().then(|| oauth.to_owned());
    Told { code: code.or_else(|| Some(oauth.to_owned())), outer, message: message.map(|m| tidy(&m)) }
}

fn aadsts(description: &str) -> Option<String> {
    let start = description.find("AADSTS")?;
    let digits: String = description[start + 6..].chars().take_while(char::is_ascii_digit).collect();
    (!digits.is_empty()).then(|| format!("AADSTS{digits}"))
}

fn text(object: &Value, name: &str) -> Option<String> {
    object.get(name).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
}

/// Storage's error document.
#[derive(Deserialize)]
#[serde(rename = "Error")]
struct Xml {
    #[serde(rename = "Code")]
    code: Option<String>,
    #[serde(rename = "Message")]
    message: Option<String>,
}

/// Makes a message safe to show: control characters out, line ends the same everywhere, length bounded.
pub(super) fn tidy(text: &str) -> String {
    let text = text.replace("\r\n", "\n");
    let mut tidy: String = text.chars().filter(|c| *c == '\n' || !c.is_control()).take(LONGEST).collect();
    if text.chars().count() > LONGEST {
        tidy.push('…');
    }
    tidy.trim().to_owned()
}
