//! What a machine's process is told, on one line of stdin: the only way for secrets, which arguments and environment
//! would show to the whole account.

use std::io::{self, BufRead};

use sealbook_cloud::Cloud;
use sealbook_cloud::front::MachineDoor;
use sealbook_crypto::SecretString;
use serde_json::{Value, json};
use zeroize::Zeroizing;

/// How a process is one of the embedded Azure's machines: the way to its door, and what it is to believe.
pub struct Access {
    /// Loopback port of the machine's door.
    pub port: u16,
    /// Process that holds the door.
    pub pid: u32,
    /// Secret of the door.
    pub secret: SecretString,
    /// The roots that the machine trusts, PEM: those of the embedded Azure's test world.
    pub roots: String,
}

impl Access {
    /// The access through a door of this process.
    ///
    /// # Errors
    /// The cloud can't be read.
    pub async fn through(door: &MachineDoor, cloud: &Cloud) -> Result<Self, io::Error> {
        let cloud = cloud.clone();
        // The roots are made when somebody first asks for them, which takes seconds.
        let roots = tokio::task::spawn_blocking(move || cloud.test_roots()).await?.map_err(io::Error::other)?;
        Ok(Self { port: door.port(), pid: std::process::id(), secret: door.secret().expose().to_owned().into(), roots })
    }

    /// As JSON. It holds the secret.
    pub fn to_json(&self) -> Value {
        json!({
            "port": self.port,
            "pid": self.pid,
            "secret": self.secret.expose(),
            "roots": self.roots,
        })
    }

    /// Reads it; the error is the member that is missing or wrong.
    pub fn from_json(access: &Value) -> Result<Self, &'static str> {
        let number = |name: &'static str| access[name].as_u64().ok_or(name);
        let text = |name: &'static str| access[name].as_str().map(str::to_owned).ok_or(name);
        Ok(Self {
            port: number("port")?.try_into().map_err(|_| "port")?,
            pid: number("pid")?.try_into().map_err(|_| "pid")?,
            secret: text("secret")?.into(),
            roots: text("roots")?,
        })
    }
}

/// The order to be a machine.
pub struct Order {
    /// How.
    pub access: Access,
    /// URL of the blob container with the agent's work.
    pub mailbox: String,
    /// Public key of whoever gives it work, in hex.
    pub signer: String,
    /// Id of the process.
    pub instance: String,
}

impl Order {
    /// The line.
    pub fn line(&self) -> Zeroizing<String> {
        let order = json!({
            "access": self.access.to_json(),
            "mailbox": self.mailbox,
            "signer": self.signer,
            "instance": self.instance,
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
        Ok(Self {
            access: Access::from_json(&order["access"]).map_err(invalid)?,
            mailbox: text("mailbox")?,
            signer: text("signer")?,
            instance: text("instance")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    #[test]
    fn an_order_is_read_as_it_was_written() {
        let access = Access { port: 4711, pid: 7, secret: "s".to_owned().into(), roots: "# root".to_owned() };
        let order = Order {
            access,
            mailbox: "https://a.blob.core.windows.net/c".to_owned(),
            signer: "0f".to_owned(),
            instance: "i".to_owned(),
        };
        let mut stdin = Cursor::new(format!("{}rest", order.line().as_str()));
        let read = Order::read(&mut stdin).unwrap();
        assert_eq!((read.line(), stdin.fill_buf().unwrap()), (order.line(), &b"rest"[..]));
        for (line, said) in [
            ("", "line of JSON"),
            ("{}", "port"),
            (r#"{"access":{"port":65536}}"#, "port"),
            (r#"{"access":{"port":1,"pid":1,"secret":2}}"#, "secret"),
            (r#"{"access":{"port":1,"pid":1,"secret":"","roots":""}}"#, "mailbox"),
        ] {
            let refused = Order::read(&mut Cursor::new(line)).err().unwrap().to_string();
            assert!(refused.contains(said), "{line}: {refused}");
        }
    }
}
