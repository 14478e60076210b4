//! A look at a component before it is compiled.
//!
//! Compiling takes memory and time that no limit of a call bounds, and more than in proportion to how deeply components
//! are nested and how many types they declare. So what is far beyond any real plugin is refused unread.

use wasmparser::{Parser, Payload};

/// Bytes of a component.
const BYTES: usize = 16 << 20;
/// How deeply components and modules may be nested. Those of the usual toolchains have two levels.
const DEPTH: u32 = 6;
/// Components and modules in all. Those of the usual toolchains have about five.
const PARTS: u32 = 64;
/// Entries of all sections that declare types, imports, exports, instances and aliases.
const DECLARATIONS: u32 = 50_000;
/// Functions with a body.
const FUNCTIONS: u32 = 100_000;
/// Bytes of one function's body: the compiler's time grows faster than it.
const BODY: usize = 1 << 20;

/// Refuses what can't be compiled in reasonable time and memory, with the reason.
pub(crate) fn screen(bytes: &[u8]) -> Result<(), String> {
    let within = |what: &str, found: usize, most: usize| match found <= most {
        true => Ok(()),
        false => Err(format!("it has {found} {what}, {most} are allowed")),
    };
    within("bytes", bytes.len(), BYTES)?;
    let (mut depth, mut parts, mut declarations, mut functions) = (0_u32, 0_u32, 0_u32, 0_u32);
    for payload in Parser::new(0).parse_all(bytes) {
        let payload = payload.map_err(|error| error.to_string())?;
        match &payload {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => {
                depth += 1;
                parts += 1;
            }
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::CodeSectionEntry(body) => {
                functions += 1;
                within("bytes in one function", body.range().len(), BODY)?;
            }
            Payload::TypeSection(s) => declarations = declarations.saturating_add(s.count()),
            Payload::ImportSection(s) => declarations = declarations.saturating_add(s.count()),
            Payload::ExportSection(s) => declarations = declarations.saturating_add(s.count()),
            Payload::InstanceSection(s) => declarations = declarations.saturating_add(s.count()),
            Payload::CoreTypeSection(s) => declarations = declarations.saturating_add(s.count()),
            Payload::ComponentTypeSection(s) => declarations = declarations.saturating_add(s.count()),
            Payload::ComponentInstanceSection(s) => declarations = declarations.saturating_add(s.count()),
            Payload::ComponentAliasSection(s) => declarations = declarations.saturating_add(s.count()),
            Payload::ComponentCanonicalSection(s) => declarations = declarations.saturating_add(s.count()),
            Payload::ComponentImportSection(s) => declarations = declarations.saturating_add(s.count()),
            Payload::ComponentExportSection(s) => declarations = declarations.saturating_add(s.count()),
            _ => {}
        }
        within("levels of nesting", depth as usize, DEPTH as usize)?;
        within("parts", parts as usize, PARTS as usize)?;
        within("declarations", declarations as usize, DECLARATIONS as usize)?;
        within("functions", functions as usize, FUNCTIONS as usize)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nested(levels: usize) -> String {
        format!("{}{}", "(component ".repeat(levels), ")".repeat(levels))
    }

    #[test]
    fn what_no_toolchain_makes_is_refused_unread() {
        let many = |what: &str, n: usize| format!("(component {})", what.repeat(n));
        for (text, said) in [
            (nested(3), None),
            (nested(40), Some("levels of nesting")),
            (many("(core module)", 20), None),
            (many("(core module)", 65), Some("parts")),
            (many("(type (list u8))", 50_001), Some("declarations")),
        ] {
            let refused = screen(&wat::parse_str(&text).unwrap()).err();
            assert_eq!(refused.is_some(), said.is_some(), "{refused:?}");
            assert!(said.is_none_or(|said| refused.is_some_and(|r| r.contains(said))));
        }
        assert!(screen(&vec![0; BYTES + 1]).unwrap_err().contains("bytes"));
        assert!(screen(b"\0asm\x0d\0\x01\0\x04\xff\xff\xff\xff\x0f").is_err(), "a section longer than the file");
    }
}
