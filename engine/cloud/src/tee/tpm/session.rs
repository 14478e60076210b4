//! Authorisation: passwords and policy sessions (part 1, §19).

use tpm2_protocol::basic::TpmUint32;
use tpm2_protocol::data::{TpmRcBase, TpmRh, TpmaObject, TpmaSession, TpmsAuthCommand, TpmsAuthResponse};

use super::{Outcome, Tpm, at_session, buffer, handle, plain};

/// Most sessions at a time.
const MOST: usize = 8;
/// First handle of policy sessions.
const FIRST: u32 = 0x0300_0000;
/// Handles of objects that are kept.
const PERSISTENT: u32 = 0x8100_0000;

/// What a handle must be authorised for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Using it.
    User,
    /// Certifying it and the like.
    Admin,
}

/// A policy session.
#[derive(Clone, Debug)]
pub(super) struct Session {
    /// Whether it only computes a policy.
    pub trial: bool,
    /// Digest of the policy that was satisfied so far.
    pub digest: [u8; 32],
    /// Update counter of the registers when a policy looked at them.
    pub pcrs: Option<u32>,
}

impl Session {
    /// A session whose policy is empty.
    pub fn new(trial: bool) -> Self {
        Self { trial, digest: [0; 32], pcrs: None }
    }
}

/// What stands behind a handle, as far as authorisation goes.
struct Entity {
    auth: Vec<u8>,
    policy: Vec<u8>,
    /// Whether the password is enough.
    password: bool,
}

impl Tpm<'_> {
    /// Starts a session and returns its handle.
    pub(super) fn open_session(&mut self, session: Session) -> Outcome<u32> {
        let taken = &self.volatile.sessions;
        let free = (0..MOST).filter_map(|n| Some(FIRST + u32::try_from(n).ok()?)).find(|n| !taken.contains_key(n));
        let number = free.ok_or(plain(TpmRcBase::SessionMemory))?;
        self.volatile.sessions.insert(number, session);
        Ok(number)
    }

    /// The session of the handle with this number, counted from one.
    pub(super) fn session(&mut self, given: TpmUint32, number: u8) -> Outcome<&mut Session> {
        self.volatile.sessions.get_mut(&given.value()).ok_or(handle(TpmRcBase::Handle, number))
    }

    /// Refuses a session that does not authorise what is behind the handle for the role; `index` counts from zero.
    pub(super) fn authorize(&self, given: u32, index: usize, role: Role, with: &TpmsAuthCommand) -> Outcome<()> {
        let number = u8::try_from(index).unwrap_or_default().saturating_add(1);
        let entity = self.entity(given, role, number)?;
        let wants = TpmaSession::DECRYPT | TpmaSession::ENCRYPT | TpmaSession::AUDIT;
        if with.session_attributes.bits() & wants.bits() != 0 {
            return Err(at_session(TpmRcBase::Attributes, index));
        }
        if with.session_handle.value() == TpmRh::Pw.value() {
            if !entity.password {
                return Err(plain(TpmRcBase::AuthUnavailable));
            }
            let end = with.hmac.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            let password = with.hmac.get(..end).unwrap_or_default();
            let right = sealbook_crypto::constant_time_eq(password, &entity.auth);
            return if right { Ok(()) } else { Err(at_session(TpmRcBase::BadAuth, index)) };
        }
        let session = self.volatile.sessions.get(&with.session_handle.value());
        let session = session.ok_or(at_session(TpmRcBase::Value, index))?;
        if session.trial {
            return Err(at_session(TpmRcBase::Attributes, index));
        }
        if !with.hmac.is_empty() {
            return Err(at_session(TpmRcBase::AuthFail, index));
        }
        if entity.policy.is_empty() || entity.policy != session.digest {
            return Err(at_session(TpmRcBase::PolicyFail, index));
        }
        if session.pcrs.is_some_and(|seen| seen != self.machine.pcr_updates) {
            return Err(plain(TpmRcBase::PcrChanged));
        }
        Ok(())
    }

    /// Ends or resets the session of a command that succeeded, and answers for it.
    pub(super) fn acknowledge(&mut self, with: &TpmsAuthCommand) -> TpmsAuthResponse {
        let used = with.session_handle.value();
        if used == TpmRh::Pw.value() {
            return TpmsAuthResponse { session_attributes: TpmaSession::CONTINUE_SESSION, ..Default::default() };
        }
        if with.session_attributes.contains(TpmaSession::CONTINUE_SESSION) {
            // A policy authorises one command; for the next one it must be satisfied again.
            if let Some(session) = self.volatile.sessions.get_mut(&used) {
                *session = Session::new(session.trial);
            }
        } else {
            self.volatile.sessions.remove(&used);
        }
        TpmsAuthResponse {
            nonce: buffer(&sealbook_crypto::random::<32>()).unwrap_or_default(),
            session_attributes: with.session_attributes,
            ..Default::default()
        }
    }

    fn entity(&self, given: u32, role: Role, number: u8) -> Outcome<Entity> {
        let open = Entity { auth: Vec::new(), policy: Vec::new(), password: true };
        match given {
            0..=0x17 => Ok(open),
            _ if super::keys::is_hierarchy(given) => Ok(open),
            0x0100_0000..=0x01ff_ffff => {
                let index = self.index(given, number)?;
                Ok(Entity { auth: index.auth.clone(), ..open })
            }
            0x8000_0000..=0x81ff_ffff => {
                let object = self.object(given).ok_or(if given < PERSISTENT {
                    plain(if number == 1 { TpmRcBase::ReferenceH0 } else { TpmRcBase::ReferenceH1 })
                } else {
                    handle(TpmRcBase::Handle, number)
                })?;
                let attributes = object.public.object_attributes;
                let password = match role {
                    Role::User => attributes.contains(TpmaObject::USER_WITH_AUTH),
                    Role::Admin => !attributes.contains(TpmaObject::ADMIN_WITH_POLICY),
                };
                Ok(Entity { auth: object.auth.clone(), policy: object.public.auth_policy.to_vec(), password })
            }
            _ => Err(handle(TpmRcBase::Value, number)),
        }
    }
}
