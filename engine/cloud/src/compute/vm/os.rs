//! `osProfile`: who may sign in to a machine, and how.
//!
//! Sources: <https://learn.microsoft.com/rest/api/compute/virtual-machines/create-or-update#osprofile>,
//! <https://learn.microsoft.com/azure/virtual-machines/linux/faq>.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::body::{invalid, missing, only};
use crate::refusal::Refusal;

/// User names that Azure does not allow.
const RESERVED: &[&str] = &[
    "administrator",
    "admin",
    "user",
    "user1",
    "test",
    "user2",
    "test1",
    "user3",
    "admin1",
    "1",
    "123",
    "a",
    "actuser",
    "adm",
    "admin2",
    "aspnet",
    "backup",
    "console",
    "david",
    "guest",
    "john",
    "owner",
    "root",
    "server",
    "sql",
    "support",
    "support_388945a0",
    "sys",
    "test2",
    "test3",
    "user4",
    "user5",
];

/// Longest custom data and user data in Base64.
const DATA_LIMIT: usize = 87_380;

/// A checked `osProfile`.
#[derive(Debug)]
pub(super) struct Checked {
    /// As it is answered.
    pub shown: Value,
    /// What is never answered: `adminPassword`, `customData`.
    pub withheld: Value,
}

/// Checks an `osProfile` for a machine with the system `os` (`Linux` or `Windows`).
pub(super) fn check(given: &Value, os: &str) -> Result<Checked, Refusal> {
    if given.is_null() {
        return Err(missing("osProfile"));
    }
    const KNOWN: &[&str] = &[
        "computerName",
        "adminUsername",
        "adminPassword",
        "customData",
        "linuxConfiguration",
        "windowsConfiguration",
        "secrets",
        "allowExtensionOperations",
        "requireGuestProvisionSignal",
    ];
    only(given, "osProfile", KNOWN)?;
    if !given["secrets"].as_array().is_none_or(Vec::is_empty) {
        return Err(invalid("osProfile.secrets", "Certificates can't be installed.").gap("osProfile.secrets"));
    }
    let windows = os == "Windows";
    let computer = computer_name(&given["computerName"], windows)?;
    let user = user_name(&given["adminUsername"], windows)?;
    let password = &given["adminPassword"];
    if !password.is_null() {
        check_password(password.as_str().unwrap_or_default(), windows)?;
    }
    if let Some(data) = given["customData"].as_str() {
        check_data("customData", data)?;
    }
    let mut shown = json!({ "computerName": computer, "adminUsername": user });
    if windows {
        if password.is_null() {
            return Err(missing("adminPassword"));
        }
        if !given["linuxConfiguration"].is_null() {
            return Err(invalid("linuxConfiguration", "A Windows machine has no 'linuxConfiguration'."));
        }
        shown["windowsConfiguration"] = windows_configuration(&given["windowsConfiguration"])?;
    } else {
        if !given["windowsConfiguration"].is_null() {
            return Err(invalid("windowsConfiguration", "A Linux machine has no 'windowsConfiguration'."));
        }
        shown["linuxConfiguration"] = linux(&given["linuxConfiguration"], user, password.is_null())?;
    }
    shown["secrets"] = json!([]);
    shown["allowExtensionOperations"] = given["allowExtensionOperations"].as_bool().unwrap_or(true).into();
    shown["requireGuestProvisionSignal"] = true.into();
    Ok(Checked { shown, withheld: json!({ "adminPassword": password, "customData": given["customData"] }) })
}

fn computer_name(given: &Value, windows: bool) -> Result<&str, Refusal> {
    let name = given.as_str().ok_or_else(|| missing("osProfile.computerName"))?;
    let longest = if windows { 15 } else { 64 };
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || (c == '.' && !windows));
    let digits = name.bytes().all(|b| b.is_ascii_digit());
    if plain && !name.is_empty() && name.len() <= longest && !digits && !name.ends_with(['-', '.']) {
        return Ok(name);
    }
    let system = if windows { "Windows" } else { "Linux" };
    Err(invalid(
        "computerName",
        &format!(
            "{system} computer name cannot be more than {longest} characters long, be entirely numeric, or contain the \
             following characters: ` ~ ! @ # $ % ^ & * ( ) = + _ [ ] {{ }} \\ | ; : ' \" , < > / ?."
        ),
    ))
}

fn user_name(given: &Value, windows: bool) -> Result<&str, Refusal> {
    let name = given.as_str().ok_or_else(|| missing("osProfile.adminUsername"))?;
    let longest = if windows { 20 } else { 64 };
    let bad = |c: char| c.is_control() || c.is_whitespace() || "\\/\"[]:|<>+=;,?*@&".contains(c);
    if name.is_empty() || name.len() > longest || name.contains(bad) || name.ends_with('.') {
        return Err(invalid(
            "adminUsername",
            &format!(
                "The Admin Username must have 1 to {longest} characters, none of \\/\"[]:|<>+=;,?*@& and no '.' at the end."
            ),
        ));
    }
    if RESERVED.iter().any(|reserved| reserved.eq_ignore_ascii_case(name)) {
        return Err(invalid("adminUsername", "The Admin Username specified is not allowed."));
    }
    Ok(name)
}

fn check_password(password: &str, windows: bool) -> Result<(), Refusal> {
    let (shortest, longest) = if windows { (8, 123) } else { (6, 72) };
    let has = |test: fn(char) -> bool| usize::from(password.chars().any(test));
    let kinds = has(|c| c.is_uppercase())
        + has(|c| c.is_lowercase())
        + has(|c| c.is_ascii_digit())
        + has(|c| !c.is_alphanumeric() && !c.is_control());
    let length = password.chars().count();
    if (shortest..=longest).contains(&length) && kinds >= 3 && !password.contains(char::is_control) {
        return Ok(());
    }
    Err(invalid(
        "adminPassword",
        &format!(
            "The supplied password must be between {shortest}-{longest} characters long and must satisfy at least 3 of \
             password complexity requirements from the following:\n1) Contains an uppercase character\n2) Contains a \
             lowercase character\n3) Contains a numeric digit\n4) Contains a special character\n5) Control characters \
             are not allowed"
        ),
    ))
}

/// Refuses data that is not Base64 or too long.
pub(super) fn check_data(name: &str, data: &str) -> Result<(), Refusal> {
    if data.len() <= DATA_LIMIT && STANDARD.decode(data).is_ok() {
        return Ok(());
    }
    Err(invalid(
        name,
        &format!("{name} must be in Base64 encoding and with a maximum length of {DATA_LIMIT} characters."),
    ))
}

fn windows_configuration(given: &Value) -> Result<Value, Refusal> {
    only(given, "windowsConfiguration", &["provisionVMAgent", "enableAutomaticUpdates", "timeZone", "patchSettings"])?;
    only(&given["patchSettings"], "windowsConfiguration.patchSettings", &["patchMode", "assessmentMode"])?;
    let flag = |name: &str| given[name].as_bool().unwrap_or(true);
    let mut shown = json!({
        "provisionVMAgent": flag("provisionVMAgent"),
        "enableAutomaticUpdates": flag("enableAutomaticUpdates"),
        "patchSettings": { "patchMode": "AutomaticByOS", "assessmentMode": "ImageDefault" },
    });
    super::body::merge(&mut shown, &json!({ "timeZone": given["timeZone"], "patchSettings": given["patchSettings"] }));
    if let Some(shown) = shown.as_object_mut() {
        shown.retain(|_, value| !value.is_null());
    }
    Ok(shown)
}

fn linux(given: &Value, user: &str, no_password: bool) -> Result<Value, Refusal> {
    only(given, "linuxConfiguration", &["disablePasswordAuthentication", "ssh", "provisionVMAgent", "patchSettings"])?;
    let disabled = given["disablePasswordAuthentication"].as_bool().unwrap_or_default();
    let keys = given["ssh"]["publicKeys"].as_array().map(Vec::as_slice).unwrap_or_default();
    if (disabled || no_password) && keys.is_empty() {
        return Err(invalid(
            "linuxConfiguration",
            "Authentication using either SSH or by user name and password must be enabled in Linux profile.",
        ));
    }
    if !disabled && no_password {
        return Err(missing("adminPassword"));
    }
    let home = format!("/home/{user}/.ssh/authorized_keys");
    for key in keys {
        if key["path"].as_str().is_some_and(|path| path != home) {
            return Err(invalid(
                "linuxConfiguration.ssh.publicKeys.path",
                &format!("Destination path for SSH public keys is currently limited to its default value {home}."),
            ));
        }
        if !is_ssh_key(key["keyData"].as_str().unwrap_or_default()) {
            return Err(invalid(
                "linuxConfiguration.ssh.publicKeys.keyData",
                "The value of parameter linuxConfiguration.ssh.publicKeys.keyData is invalid.",
            ));
        }
    }
    let agent = given["provisionVMAgent"].as_bool().unwrap_or(true);
    let mut shown = json!({
        "disablePasswordAuthentication": disabled,
        "provisionVMAgent": agent,
        "patchSettings": { "patchMode": "ImageDefault", "assessmentMode": "ImageDefault" },
    });
    if !keys.is_empty() {
        let keys: Vec<Value> = keys.iter().map(|k| json!({ "path": home, "keyData": k["keyData"] })).collect();
        shown["ssh"] = json!({ "publicKeys": keys });
    }
    Ok(shown)
}

/// Reads one text of the SSH wire format (RFC 4251 §5).
fn field<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, after) = rest.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let (value, after) = after.split_at_checked(length)?;
    *rest = after;
    Some(value)
}

/// Whether a text is an OpenSSH public key that Azure takes: RSA of at least 2048 bits, or Ed25519.
fn is_ssh_key(text: &str) -> bool {
    let mut words = text.split_whitespace();
    let (Some(kind), Some(data)) = (words.next(), words.next()) else { return false };
    let Ok(data) = STANDARD.decode(data) else { return false };
    let mut rest = data.as_slice();
    if field(&mut rest) != Some(kind.as_bytes()) {
        return false;
    }
    match kind {
        "ssh-ed25519" => field(&mut rest).is_some_and(|key| key.len() == 32) && rest.is_empty(),
        "ssh-rsa" => {
            let exponent = field(&mut rest).is_some_and(|e| !e.is_empty());
            // The number is written with a leading zero byte when its top bit is set.
            exponent && field(&mut rest).is_some_and(|n| n.len() >= 256) && rest.is_empty()
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ed25519() -> String {
        let mut data = Vec::new();
        for part in [b"ssh-ed25519".as_slice(), &[7; 32]] {
            data.extend(u32::try_from(part.len()).unwrap().to_be_bytes());
            data.extend(part);
        }
        format!("ssh-ed25519 {} someone@here", STANDARD.encode(data))
    }

    fn code(given: &Value, os: &str) -> String {
        match check(given, os) {
            Ok(_) => String::new(),
            Err(refusal) => {
                let error = refusal.arm_error();
                error["details"][0]["target"].as_str().unwrap_or_default().to_owned()
            }
        }
    }

    #[test]
    fn names_passwords_and_keys() {
        let linux = json!({ "computerName": "vm", "adminUsername": "azureuser", "linuxConfiguration": {
            "disablePasswordAuthentication": true,
            "ssh": { "publicKeys": [{ "keyData": ed25519(), "path": "/home/azureuser/.ssh/authorized_keys" }] },
        } });
        let with = |pointer: &str, value: Value| {
            let mut given = linux.clone();
            *given.pointer_mut(pointer).unwrap() = value;
            given
        };
        let password =
            |password: Value| json!({ "computerName": "vm", "adminUsername": "azureuser", "adminPassword": password });
        let key = "/linuxConfiguration/ssh/publicKeys/0";
        let table = [
            (linux.clone(), "Linux", ""),
            (Value::Null, "Linux", "osProfile"),
            (with("/computerName", json!("123")), "Linux", "computerName"),
            (with("/computerName", json!("a_b")), "Linux", "computerName"),
            (with("/adminUsername", json!("root")), "Linux", "adminUsername"),
            (with("/adminUsername", json!("a b")), "Linux", "adminUsername"),
            (with("/adminUsername", Value::Null), "Linux", "osProfile.adminUsername"),
            (
                with(&format!("{key}/keyData"), json!("ssh-rsa AAAA")),
                "Linux",
                "linuxConfiguration.ssh.publicKeys.keyData",
            ),
            (with(&format!("{key}/path"), json!("/root")), "Linux", "linuxConfiguration.ssh.publicKeys.path"),
            (with("/linuxConfiguration/ssh", Value::Null), "Linux", "linuxConfiguration"),
            (password(json!("Correct-Horse-1")), "Linux", ""),
            (password(json!("Correct-Horse-1")), "Windows", ""),
            (password(json!("correct horse")), "Linux", "adminPassword"),
            (password(json!("Aa1")), "Linux", "adminPassword"),
            (password(json!("Aa1-56")), "Windows", "adminPassword"),
            (password(Value::Null), "Linux", "linuxConfiguration"),
            (password(Value::Null), "Windows", "adminPassword"),
            (
                json!({ "computerName": "vm", "adminUsername": "me", "adminPassword": "Correct-Horse-1", "customData": "%" }),
                "Linux",
                "customData",
            ),
            (linux.clone(), "Windows", "adminPassword"),
        ];
        for (given, os, expected) in table {
            assert_eq!(code(&given, os), expected, "{os} {given}");
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        let given = json!({ "computerName": "vm", "adminUsername": "me", "adminPassword": "Correct-Horse-1", "customData": "aGk=" });
        let checked = check(&given, "Linux").unwrap();
        assert!(!checked.shown.to_string().contains("Horse") && !checked.shown.to_string().contains("aGk="));
        assert_eq!(checked.withheld["customData"], "aGk=");
    }
}
