//! Where a guest step runs.

use serde::{Deserialize, Serialize};

use crate::grant::{Capability, Reach};

/// A confidential VM, and the container through which it is reached.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct GuestAt {
    /// The VM's resource id.
    pub vm: String,
    /// URI of a container that this machine and the VM's identity can write, without a slash at its end.
    pub mailbox: String,
}

impl GuestAt {
    /// The VM's own name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.vm.rsplit('/').next().unwrap_or(&self.vm)
    }

    /// Says what is wrong with it.
    ///
    /// # Errors
    /// The id is not a virtual machine's, or the URI is not a container's.
    pub(crate) fn check(&self) -> Result<(), String> {
        Reach::parse(Capability::Azure, &self.vm, false).map_err(|why| format!("`{}`: {why}", self.vm))?;
        let segments: Vec<&str> = self.vm.split('/').skip(1).collect();
        let machine = match segments[..] {
            ["subscriptions", _, groups, _, "providers", namespace, kind, _] => {
                groups.eq_ignore_ascii_case("resourceGroups")
                    && namespace.eq_ignore_ascii_case("Microsoft.Compute")
                    && kind.eq_ignore_ascii_case("virtualMachines")
            }
            _ => false,
        };
        if !machine {
            return Err(format!("`{}` is not the resource id of a virtual machine", self.vm));
        }
        match Reach::parse(Capability::Blob, &self.mailbox, false) {
            Err(why) => Err(format!("`{}`: {why}", self.mailbox)),
            Ok(Reach::Uri { path, .. }) if path.len() == 1 && !self.mailbox.ends_with('/') => Ok(()),
            Ok(_) => Err(format!("`{}` is not the URI of a container", self.mailbox)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_is_a_machine_and_a_container() {
        let vm = "/subscriptions/1/resourceGroups/rg/providers/Microsoft.Compute/virtualMachines/vm";
        let mailbox = "https://a.blob.core.windows.net/guest";
        let rows = [
            (vm, mailbox, true),
            (vm, "https://a.blob.core.windows.net/guest/x", false),
            (vm, "https://a.blob.core.windows.net/guest/", false),
            (vm, "https://a.example.net/guest", false),
            ("/subscriptions/1/resourceGroups/rg", mailbox, false),
            ("/subscriptions/1/resourceGroups/rg/providers/Microsoft.Compute/disks/vm", mailbox, false),
            ("vm", mailbox, false),
        ];
        for (vm, mailbox, good) in rows {
            let at = GuestAt { vm: vm.into(), mailbox: mailbox.into() };
            assert_eq!(at.check().is_ok(), good, "{at:?}");
        }
    }
}
