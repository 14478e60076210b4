//! What a machine's process is told, on one line of stdin: the only way for secrets, which arguments and environment
//! would show to the whole account.

use std::io::{self, BufRead};

use sealbook_crypto::SecretString;
use serde_json::{Value, json};
use zeroize::Zeroizing;

/// The order to be a machine.
pub struct Order {
    /// Loopback port of the machine's door.
    pub port: u16,
    /// Process that holds the door.
    pub pid: u32,
    /// Secret of the door.
    pub secret: SecretString,
    /// Resource id of the machine.
    pub machine: String,
    /// Which boot.
    pub boot: u64,
    /// URL of the blob container with the agent's work.
    pub mailbox: String,
    /// SHA-256 of the agent's program as the caller expects it, in hex.
    pub digest: String,
    /// Id of the process.
    pub instance: String,
    /// The roots that the machine trusts, PEM: those of the embedded Azure's test world.
    pub roots: String,
}

impl Order {
    /// The line.
    pub fn line(&self) -> Zeroizing<String> {
        let order = json!({
            "port": self.port,
            "pid": self.pid,
            "secret": self.secret.expose(),
            "machine": self.machine,
            "boot": self.boot,
            "mailbox": self.mailbox,
            "digest": self.digest,
            "instance": self.instance,
            "roots": self.roots,
        });
        Zeroizing::new(format!("{order}\n"))
    }

    /// Reads the line, and nothing after it.
    pub fn read(from: &mut impl BufRead) -> io::Result<Self> {
        let mut line = Zeroizing::new(String::new());
        from.read_line(&mut line)?;
        let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidData, format!("stdin has no order: {what}"));
        let order: Value = serde_json::from_str(&line).map_err(|_| invalid("it is not a line of JSON"))?;
        let text = |name: &str| order[name].as_str().map(str::to_owned).ok_or_else(|| invalid(name));
        let number = |name: &str| order[name].as_u64().ok_or_else(|| invalid(name));
        Ok(Self {
            port: number("port")?.try_into().map_err(|_| invalid("port"))?,
            pid: number("pid")?.try_into().map_err(|_| invalid("pid"))?,
            secret: text("secret")?.into(),
            machine: text("machine")?,
            boot: number("boot")?,
            mailbox: text("mailbox")?,
            digest: text("digest")?,
            instance: text("instance")?,
            roots: text("roots")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    #[test]
    fn an_order_is_read_as_it_was_written() {
        let order = Order {
            port: 4711,
            pid: 7,
            secret: "s".to_owned().into(),
            machine: "/m".to_owned(),
            boot: 3,
            mailbox: "https://a.blob.core.windows.net/c".to_owned(),
            digest: "00".to_owned(),
            instance: "i".to_owned(),
            roots: "# root".to_owned(),
        };
        let mut stdin = Cursor::new(format!("{}rest", order.line().as_str()));
        let read = Order::read(&mut stdin).unwrap();
        assert_eq!((read.line(), stdin.fill_buf().unwrap()), (order.line(), &b"rest"[..]));
        for (line, said) in [
            ("", "line of JSON"),
            ("{}", "port"),
            (r#"{"port":65536}"#, "port"),
            (r#"{"port":1,"pid":1,"secret":2}"#, "secret"),
        ] {
            let refused = Order::read(&mut Cursor::new(line)).err().unwrap().to_string();
            assert!(refused.contains(said), "{line}: {refused}");
        }
    }
}
