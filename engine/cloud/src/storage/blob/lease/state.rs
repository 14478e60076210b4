//! The life of a lease as a pure function of action and time.

use chrono::{DateTime, Duration, Utc};

/// A lease that was acquired and not released.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::storage::blob) struct Lease {
    /// Id that its holder shows.
    pub id: String,
    /// Length in seconds; None: without end.
    pub seconds: Option<i64>,
    /// When it ends by itself.
    pub expires: Option<DateTime<Utc>>,
    /// When it ends because somebody broke it.
    pub broken: Option<DateTime<Utc>>,
}

/// What a lease is at an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::storage::blob) enum State {
    /// There is none.
    Available,
    /// It holds.
    Leased,
    /// It holds until its break is due.
    Breaking,
    /// It was broken.
    Broken,
    /// It ended by itself.
    Expired,
}

impl State {
    /// Azure's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Available => "available",
            Self::Leased => "leased",
            Self::Breaking => "breaking",
            Self::Broken => "broken",
            Self::Expired => "expired",
        }
    }
}

/// What a request wants of a lease. Ids are those that the request shows.
#[derive(Clone, Debug)]
pub(super) enum Action {
    /// A new lease, or the same one anew.
    Acquire { id: String, seconds: Option<i64> },
    /// The same lease from now on.
    Renew { id: String },
    /// Another id.
    Change { id: String, to: String },
    /// The end.
    Release { id: String },
    /// The end by somebody who need not hold it, after so many seconds at most.
    Break { period: Option<i64> },
}

impl Lease {
    fn new(id: String, seconds: Option<i64>, now: DateTime<Utc>) -> Self {
        Self { id, seconds, expires: seconds.map(|seconds| now + Duration::seconds(seconds)), broken: None }
    }

    /// What it is now.
    pub fn state(&self, now: DateTime<Utc>) -> State {
        match (self.broken, self.expires) {
            (Some(broken), _) if now < broken => State::Breaking,
            (Some(_), _) => State::Broken,
            (None, Some(expires)) if now >= expires => State::Expired,
            (None, _) => State::Leased,
        }
    }

    /// Whether only its holder may write.
    pub fn holds(&self, now: DateTime<Utc>) -> bool {
        matches!(self.state(now), State::Leased | State::Breaking)
    }

    /// Whole seconds until a break is due, rounded up.
    pub(super) fn left(&self, now: DateTime<Utc>) -> i64 {
        let left = self.broken.map_or(0, |broken| (broken - now).num_milliseconds());
        (left.max(0) + 999) / 1000
    }
}

/// The lease after an action, None when there is none any more; or the code of Azure's refusal, always with 409.
pub(super) fn after(lease: Option<Lease>, action: Action, now: DateTime<Utc>) -> Result<Option<Lease>, &'static str> {
    use State::{Available, Breaking, Broken, Expired, Leased};
    let state = lease.as_ref().map_or(Available, |lease| lease.state(now));
    let held = |id: &str| lease.as_ref().is_some_and(|lease| lease.id == id);
    match action {
        Action::Acquire { id, seconds } => match state {
            Leased if !held(&id) => Err("LeaseAlreadyPresent"),
            Breaking if held(&id) => Err("LeaseIsBreakingAndCannotBeAcquired"),
            Breaking => Err("LeaseAlreadyPresent"),
            _ => Ok(Some(Lease::new(id, seconds, now))),
        },
        Action::Renew { id } => match (state, lease.as_ref()) {
            (_, Some(lease)) if lease.id == id && lease.broken.is_none() => {
                Ok(Some(Lease::new(id, lease.seconds, now)))
            }
            (Breaking | Broken, Some(lease)) if lease.id == id => Err("LeaseIsBrokenAndCannotBeRenewed"),
            _ => Err("LeaseIdMismatchWithLeaseOperation"),
        },
        Action::Change { id, to } => match (state, &lease) {
            (Leased, Some(lease)) if lease.id == id || lease.id == to => Ok(Some(Lease { id: to, ..lease.clone() })),
            (Leased, _) => Err("LeaseIdMismatchWithLeaseOperation"),
            (Breaking, _) if held(&id) || held(&to) => Err("LeaseIsBreakingAndCannotBeChanged"),
            (Breaking, _) => Err("LeaseIdMismatchWithLeaseOperation"),
            (Available | Broken | Expired, _) => Err("LeaseNotPresentWithLeaseOperation"),
        },
        Action::Release { id } => {
            if held(&id) {
                return Ok(None);
            }
            Err("LeaseIdMismatchWithLeaseOperation")
        }
        Action::Break { period } => {
            let Some(mut lease) = lease else { return Err("LeaseNotPresentWithLeaseOperation") };
            let asked = period.map(|seconds| now + Duration::seconds(seconds));
            // Without a period a lease runs out its time; one without end breaks at once.
            let end = match state {
                Leased => lease.expires.into_iter().chain(asked).min().unwrap_or(now),
                Breaking => lease.broken.into_iter().chain(asked).min().unwrap_or(now),
                _ => lease.broken.unwrap_or(now),
            };
            lease.broken = Some(end);
            Ok(Some(lease))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + Duration::seconds(seconds)
    }

    fn acquire(id: &str, seconds: Option<i64>) -> Action {
        Action::Acquire { id: id.to_owned(), seconds }
    }

    /// A lease `a` in each state at second 100.
    fn lease(state: &str) -> Option<Lease> {
        let start = |seconds| Lease::new("a".to_owned(), seconds, at(90));
        let broken = |seconds, broken| Some(Lease { broken: Some(at(broken)), ..start(seconds) });
        match state {
            "available" => None,
            "leased" => Some(start(Some(30))),
            "infinite" => Some(start(None)),
            "breaking" => broken(Some(30), 105),
            "broken" => broken(Some(30), 95),
            "expired" => Some(Lease { expires: Some(at(95)), ..start(Some(5)) }),
            other => panic!("{other}"),
        }
    }

    /// The tables of the documentation: from each state, what becomes of it and how long that has left.
    #[test]
    fn outcomes() {
        let renew = |id: &str| Action::Renew { id: id.to_owned() };
        let change = |id: &str, to: &str| Action::Change { id: id.to_owned(), to: to.to_owned() };
        let release = |id: &str| Action::Release { id: id.to_owned() };
        let states = ["available", "leased", "breaking", "broken", "expired"];
        const PRESENT: &str = "LeaseAlreadyPresent";
        const MISMATCH: &str = "LeaseIdMismatchWithLeaseOperation";
        const NONE: &str = "LeaseNotPresentWithLeaseOperation";
        const BROKEN: &str = "LeaseIsBrokenAndCannotBeRenewed";
        const BREAKING: &str = "LeaseIsBreakingAndCannotBeChanged";
        let rows = [
            (
                acquire("a", Some(15)),
                ["leased a", "leased a", "LeaseIsBreakingAndCannotBeAcquired", "leased a", "leased a"],
            ),
            (acquire("b", None), ["leased b", PRESENT, PRESENT, "leased b", "leased b"]),
            (renew("a"), [MISMATCH, "leased a", BROKEN, BROKEN, "leased a"]),
            (renew("b"), [MISMATCH; 5]),
            (change("a", "c"), [NONE, "leased c", BREAKING, NONE, NONE]),
            (change("b", "a"), [NONE, "leased a", BREAKING, NONE, NONE]),
            (change("b", "c"), [NONE, MISMATCH, MISMATCH, NONE, NONE]),
            (release("a"), [MISMATCH, "available", "available", "available", "available"]),
            (release("b"), [MISMATCH; 5]),
            (Action::Break { period: None }, [NONE, "breaking a 20", "breaking a 5", "broken a", "broken a"]),
            (Action::Break { period: Some(2) }, [NONE, "breaking a 2", "breaking a 2", "broken a", "broken a"]),
            (Action::Break { period: Some(60) }, [NONE, "breaking a 20", "breaking a 5", "broken a", "broken a"]),
            (Action::Break { period: Some(0) }, [NONE, "broken a", "broken a", "broken a", "broken a"]),
        ];
        for (action, expected) in rows {
            for (state, expected) in states.iter().zip(expected) {
                let shown = match after(lease(state), action.clone(), at(100)) {
                    Err(code) => code.to_owned(),
                    Ok(None) => "available".to_owned(),
                    Ok(Some(lease)) => {
                        let left = match lease.left(at(100)) {
                            0 => String::new(),
                            left => format!(" {left}"),
                        };
                        format!("{} {}{left}", lease.state(at(100)).as_str(), lease.id)
                    }
                };
                assert_eq!(shown, expected, "{action:?} of {state}");
            }
        }
        let broken = after(lease("infinite"), Action::Break { period: None }, at(100)).unwrap().unwrap();
        assert_eq!(broken.state(at(100)), State::Broken);
        let breaking = after(lease("infinite"), Action::Break { period: Some(7) }, at(100)).unwrap().unwrap();
        assert_eq!(
            (breaking.left(at(100)), breaking.state(at(106)), breaking.state(at(107))),
            (7, State::Breaking, State::Broken)
        );
    }
}
