//! The table of problem codes: one row per kind of problem, each with a page under `docs/errors`.

use crate::problem::Class;

/// One row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CodeInfo {
    /// `SB` and four digits; the first two name the area.
    pub code: &'static str,
    /// The kind of problem, in a few words.
    pub title: &'static str,
    /// What it means for the exit code.
    pub class: Class,
}

macro_rules! codes {
    ($($(#[$group:meta])* $name:ident = $code:literal, $class:ident, $title:literal;)*) => {
        $(#[doc = $title] pub const $name: &str = $code;)*

        /// Every code there is, in order.
        pub static CODES: &[CodeInfo] = &[$(CodeInfo { code: $code, title: $title, class: Class::$class }),*];
    };
}

codes! {
    SYNTAX = "SB0101", Playbook, "Not valid TOML";
    FORMAT_VERSION = "SB0102", Playbook, "Another version of the format";
    UNKNOWN_KEY = "SB0103", Playbook, "Unknown key";
    MISSING_KEY = "SB0104", Playbook, "Missing key";
    WRONG_TYPE = "SB0105", Playbook, "Value of the wrong type";
    BAD_VALUE = "SB0106", Playbook, "Value that is not allowed";
    BAD_NAME = "SB0107", Playbook, "Name that is not snake_case";
    DUPLICATE = "SB0108", Playbook, "Name given twice";
    TOO_LARGE = "SB0109", Playbook, "Larger or deeper than allowed";
    FORBIDDEN_CHARACTER = "SB0110", Playbook, "Character that is not allowed";
    STEP_KIND = "SB0111", Playbook, "Step that is not exactly one of plugin, part or choice";
    KEY_NOT_HERE = "SB0112", Playbook, "Key that does not belong to this kind of step";
    UNKNOWN_PLUGIN = "SB0113", Playbook, "Unknown plugin";
    UNKNOWN_PART = "SB0114", Playbook, "Unknown part";
    MISSING_FILE = "SB0115", Playbook, "Missing file";
    BAD_TEXT = "SB0116", Playbook, "Text without the sections it needs";
    BAD_EXPRESSION = "SB0117", Playbook, "Expression that can't be read";
    UNDEFINED_NAME = "SB0118", Playbook, "Undefined name";
    UNDEFINED_FIELD = "SB0119", Playbook, "Undefined field";
    CYCLE = "SB0120", Playbook, "Steps that wait for each other";
    EXPRESSION_TOO_COSTLY = "SB0121", Playbook, "Expression that would take too much work";
    UNKNOWN_INPUT = "SB0122", Playbook, "Input that nobody declared";
    MISSING_INPUT = "SB0123", Playbook, "Input without a value";
    BAD_INPUT = "SB0124", Playbook, "Input with a value that does not fit";
    BAD_CHOICE = "SB0125", Playbook, "Choice without a valid answer";
    EVALUATION = "SB0126", Step, "Expression that failed when it was evaluated";
    BAD_BUNDLE = "SB0127", Playbook, "Stored playbook that can't be read";
    EXPORT_MISMATCH = "SB0128", Playbook, "Options of a choice that export different names";
    ASK_NOT_COVERED = "SB0129", Playbook, "Ask of a plugin that no grant covers";
    UNFIT_WITH = "SB0130", Playbook, "Input that the plugin or part does not take";
    SECRET_IN_TEXT = "SB0131", Playbook, "Secret that would become part of a text";
    CANNOT_EXPORT = "SB0132", Playbook, "Command that can't be exported";

    NOT_GRANTED = "SB0201", Denied, "Capability not granted by the playbook";
    NOT_ASKED = "SB0202", Denied, "Capability the plugin did not ask for";
    FORBIDDEN_BY_POLICY = "SB0203", Denied, "Forbidden by the machine's policy";
    BAD_GRANT = "SB0204", Playbook, "Grant that can't be read";
    BAD_POLICY = "SB0205", Usage, "Policy file that can't be read";
    PLUGIN_NOT_ADMITTED = "SB0206", Denied, "Plugin that the machine's policy does not admit";
    COST_LIMIT = "SB0207", Denied, "More expensive than the machine's policy allows";

    COMPONENT_INVALID = "SB0301", Playbook, "Component that is not a Sealbook plugin";
    IMPORT_NOT_OFFERED = "SB0302", Playbook, "Component that imports what the host does not offer";
    COMPONENT_TRAPPED = "SB0303", Step, "Component that trapped";
    FUEL_SPENT = "SB0304", Step, "Component that used up its processor time";
    MEMORY_SPENT = "SB0305", Step, "Component that wanted more memory than allowed";
    HOST_CALLS_SPENT = "SB0306", Step, "Component that made too many host calls";
    OUTPUT_TOO_LARGE = "SB0307", Step, "Component that returned too much";
    OUTPUT_INVALID = "SB0308", Step, "Component whose answer does not fit its own description";
    DEADLINE = "SB0309", Step, "Call that took longer than its deadline";
    BAD_HANDLE = "SB0310", Step, "Reference that is not valid in this step";
    EFFECT_OUT_OF_PHASE = "SB0312", Step, "Effect where a plugin may only look";
    HOST_FAILED = "SB0313", Bug, "Component host that failed";

    SIGN_IN = "SB0401", SignIn, "Sign-in needed";
    AZURE_REFUSED = "SB0402", Step, "Azure refused the request";
    AZURE_UNREACHABLE = "SB0403", Step, "Azure could not be reached";
    WRONG_SUBSCRIPTION = "SB0404", Usage, "Not the subscription or tenant that was confirmed";
    EMULATOR_IN_ENVIRONMENT = "SB0405", Usage, "The embedded Azure's environment with the real cloud";

    JOURNAL_DAMAGED = "SB0501", Usage, "Journal that is damaged";
    JOURNAL_NEWER = "SB0502", Usage, "Journal written by a newer version";
    JOURNAL_FOREIGN = "SB0503", Usage, "Journal of another home";
    JOURNAL_WRITE = "SB0504", Step, "Journal that can't be written";
    RUN_LOCKED = "SB0505", Usage, "Run that another process holds";
    UNKNOWN_RUN = "SB0506", Usage, "Unknown run";
    RUN_ENDED = "SB0507", Usage, "Run that has ended";
    STEP_FAILED = "SB0508", Step, "Step that failed";
    EXPECTATION = "SB0509", Step, "Result that is not what the step expects";
    LESSON_NOT_SEEN = "SB0510", Step, "Lesson whose expected result did not come";
    EVIDENCE_REFUSED = "SB0511", Evidence, "Evidence that did not verify";
    CONFLICT = "SB0512", Step, "Something else stands where the step wanted to act";
    EFFECT_CHANGED = "SB0514", Bug, "Effect repeated with another request";
    INTERRUPTED = "SB0515", Interrupted, "Interrupted";
    NOT_CONFIRMED = "SB0516", Usage, "Not confirmed";
    UNDO_INCOMPLETE = "SB0517", Step, "Undo that is not complete";
    GUEST_NOT_AVAILABLE = "SB0518", Step, "Confidential VM that does not answer";
    INPUT_REFUSED = "SB0519", Step, "Input that the step can't use";
    PRECONDITION = "SB0520", Step, "Something that must be done first";
    TRANSIENT = "SB0521", Step, "Failure that lasted longer than the retries";
    TRANSCRIPT_REFUSED = "SB0522", Evidence, "Transcript that does not verify";
    GUEST_RESTARTED = "SB0523", Step, "Confidential VM that was restarted";
    NOT_CONFIDENTIAL = "SB0524", Usage, "Machine that can't be attested";

    CLOUD_STATE = "SB0601", Bug, "State of the embedded Azure that can't be read";
    CLOUD_NEWER = "SB0602", Usage, "State of the embedded Azure written by a newer version";
    CLOUD_NOT_RUNNING = "SB0603", Usage, "Embedded Azure that is not being served";
    CLOUD_IN_USE = "SB0604", Usage, "Embedded Azure that is in use";

    USAGE = "SB0701", Usage, "Arguments that do not fit";
    NEEDS_TERMINAL = "SB0702", Usage, "Question without a terminal to ask it on";
    UNKNOWN_PLAYBOOK = "SB0703", Usage, "Unknown playbook";
    HOME_UNUSABLE = "SB0704", Usage, "Home folder that can't be used";
    HOME_KEY = "SB0705", Usage, "Key of the home folder that can't be used";
    UNKNOWN_CODE = "SB0706", Usage, "Unknown problem code";
    INTERNAL = "SB0707", Bug, "Bug in Sealbook";
    FILE_UNUSABLE = "SB0708", Usage, "File that can't be read or written";

    NOT_SEALED = "SB0801", Usage, "Not a sealed file that this version reads";
    SEALED_KEY = "SB0802", Evidence, "Key that does not open the file";
    SEALED_CHANGED = "SB0803", Evidence, "Sealed file that was changed or cut off";
    KEY_FILE = "SB0804", Usage, "Key file that can't be used";
    FILE_TOO_LARGE = "SB0805", Usage, "File that is too large";

    POLICY_INVALID = "SB0901", Usage, "Release policy that breaks the grammar";
    TOKEN_UNREADABLE = "SB0902", Usage, "Attestation token that can't be read";
    POLICY_NOT_MET = "SB0903", Evidence, "Release policy that the token does not fulfil";
    NO_POLICY = "SB0904", Usage, "Token that no release policy can be written from";
}

/// Finds a code's row, however it is capitalised.
#[must_use]
pub fn code(text: &str) -> Option<&'static CodeInfo> {
    CODES.iter().find(|info| info.code.eq_ignore_ascii_case(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_well_formed_unique_and_in_order() {
        for pair in CODES.windows(2) {
            assert!(pair[0].code < pair[1].code, "{} before {}", pair[0].code, pair[1].code);
        }
        for info in CODES {
            assert!(info.code.len() == 6 && info.code.starts_with("SB0"), "{}", info.code);
            assert!(!info.title.ends_with('.'), "{}", info.title);
        }
        assert_eq!(code("sb0101").map(|i| i.code), Some(SYNTAX));
        assert_eq!(code("SB9999"), None);
    }
}
