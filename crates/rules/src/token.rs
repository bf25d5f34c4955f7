//! A token's states and lifetimes, and what may be asked for when one is made.

use jiff::civil::Date;
use jiff::{SignedDuration, Span};

/// Microseconds in a second, the unit of every time in the product.
pub const MICROSECONDS: i64 = 1_000_000;

/// The life of a token, as recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime {
    /// When it dies: midnight UTC that *begins* the chosen date, in Unix microseconds. `None` means never.
    pub expires_at: Option<i64>,
    /// When it was revoked, in Unix microseconds.
    pub revoked_at: Option<i64>,
}

/// Whether a token may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It may.
    Active,
    /// Its date has come. A token that is both expired and revoked is reported as expired, as GitLab does.
    Expired,
    /// It was revoked.
    Revoked,
}

impl Lifetime {
    /// Returns the state at `now` (Unix microseconds).
    pub fn state(&self, now: i64) -> State {
        match (self.expires_at, self.revoked_at) {
            (Some(expires_at), _) if expires_at <= now => State::Expired,
            (_, Some(_)) => State::Revoked,
            _ => State::Active,
        }
    }
}

/// What the operator asks of lifetimes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LifetimePolicy {
    /// Whether every new token needs an expiry date.
    pub required: bool,
    /// The longest life of a new token, in days. Setting it makes a date required too.
    pub max_days: Option<u32>,
}

/// Why a date cannot be a token's expiry date.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExpiryRefusal {
    /// No date was given and one is required.
    #[error("Expires at can't be blank")]
    Required,
    /// The date has begun already, so the token would be dead at birth.
    #[error("Expires at must be after {0}, today in UTC")]
    NotInTheFuture(Date),
    /// The date is later than the operator allows.
    #[error("Expires at must be before {0}")]
    TooLate(Date),
}

impl LifetimePolicy {
    fn requires_date(self) -> bool {
        self.required || self.max_days.is_some()
    }

    /// Returns the moment a token with the expiry date `date` dies, if it may be made at `now`.
    ///
    /// # Errors
    /// The reason why this date, or the lack of one, is not allowed.
    pub fn check(self, date: Option<Date>, now: i64) -> Result<Option<i64>, ExpiryRefusal> {
        let today = date_at(now);
        let Some(date) = date else {
            return if self.requires_date() { Err(ExpiryRefusal::Required) } else { Ok(None) };
        };
        if date <= today {
            return Err(ExpiryRefusal::NotInTheFuture(today));
        }
        if let Some(days) = self.max_days {
            let last = plus_days(today, days);
            if date > last {
                return Err(ExpiryRefusal::TooLate(plus_days(last, 1)));
            }
        }
        Ok(Some(midnight(date)))
    }

    /// Returns the expiry date of a rotated token for which none was asked: a week ahead where dates are
    /// required (or less, where the operator allows less), none otherwise.
    pub fn default_for_rotation(self, now: i64) -> Option<Date> {
        self.requires_date().then(|| plus_days(date_at(now), self.max_days.unwrap_or(7).min(7)))
    }
}

fn plus_days(date: Date, days: u32) -> Date {
    date.checked_add(Span::new().days(i64::from(days).min(4_000_000))).unwrap_or(Date::MAX)
}

const EPOCH: Date = jiff::civil::date(1970, 1, 1);
const SECONDS_IN_A_DAY: i64 = 86_400;

/// Returns the UTC date at `micros` (Unix microseconds); of times that no date has, the last one.
pub fn date_at(micros: i64) -> Date {
    // Counted in days, because the library's own instants end some hours before its last date does.
    let days = micros.div_euclid(SECONDS_IN_A_DAY * MICROSECONDS);
    EPOCH.checked_add(SignedDuration::from_secs(days * SECONDS_IN_A_DAY)).unwrap_or(Date::MAX)
}

/// Returns midnight UTC that begins `date`, in Unix microseconds.
pub fn midnight(date: Date) -> i64 {
    date.duration_since(EPOCH).as_secs() * MICROSECONDS
}

/// Returns the date written as `2026-01-31`, or as an RFC 3339 time whose date part is taken.
pub fn parse_date(text: &str) -> Option<Date> {
    let date = text.get(..10)?;
    let rest = &text[10..];
    let shape = date.bytes().enumerate().all(|(index, byte)| match index {
        4 | 7 => byte == b'-',
        _ => byte.is_ascii_digit(),
    });
    if !shape || !(rest.is_empty() || rest.starts_with('T') || rest.starts_with(' ')) {
        return None;
    }
    date.parse().ok()
}

/// Where the product is offered, which decides whether plans matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Edition {
    /// Run by its owner: every plan has every feature.
    SelfManaged,
    /// Offered as a service: creating project access tokens needs a paid plan.
    Saas,
}

/// The plan of a top-level namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    /// No subscription.
    Free,
    /// A paid plan.
    Premium,
    /// The highest paid plan.
    Ultimate,
    /// Premium, not yet paid for.
    PremiumTrial,
    /// Ultimate, not yet paid for.
    UltimateTrial,
}

impl Plan {
    /// Every plan.
    pub const ALL: [Plan; 5] =
        [Plan::Free, Plan::Premium, Plan::Ultimate, Plan::PremiumTrial, Plan::UltimateTrial];

    /// Returns the word used by the API and the database.
    pub fn name(self) -> &'static str {
        match self {
            Plan::Free => "free",
            Plan::Premium => "premium",
            Plan::Ultimate => "ultimate",
            Plan::PremiumTrial => "premium_trial",
            Plan::UltimateTrial => "ultimate_trial",
        }
    }

    /// Returns the plan that `word` names.
    pub fn from_name(word: &str) -> Option<Plan> {
        Plan::ALL.into_iter().find(|plan| plan.name() == word)
    }
}

/// What decides, apart from the caller, whether access tokens may be made in a project or a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CreationGate {
    /// The operator's switch for the whole instance.
    pub instance_allows: bool,
    /// The edition.
    pub edition: Edition,
    /// The plan of the root namespace.
    pub plan: Plan,
    /// The root group's switch; always true of a personal namespace.
    pub root_group_allows: bool,
}

impl CreationGate {
    /// Returns whether such a token may be made. Only making is gated: existing tokens can be listed,
    /// used and revoked whatever this says.
    pub fn allows(self) -> bool {
        let plan_allows = match self.edition {
            Edition::SelfManaged => true,
            Edition::Saas => matches!(self.plan, Plan::Premium | Plan::Ultimate),
        };
        self.instance_allows && self.root_group_allows && plan_allows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400 * MICROSECONDS;

    fn date(text: &str) -> Date {
        parse_date(text).unwrap()
    }

    fn noon(text: &str) -> i64 {
        midnight(date(text)) + DAY / 2
    }

    #[test]
    fn a_token_is_dead_from_the_first_instant_of_its_date() {
        let lifetime = Lifetime { expires_at: Some(midnight(date("2026-03-01"))), revoked_at: None };
        assert_eq!(lifetime.state(midnight(date("2026-03-01")) - 1), State::Active);
        assert_eq!(lifetime.state(midnight(date("2026-03-01"))), State::Expired);
    }

    #[test]
    fn expired_is_reported_before_revoked() {
        let lifetime = Lifetime { expires_at: Some(5), revoked_at: Some(3) };
        assert_eq!(lifetime.state(4), State::Revoked);
        assert_eq!(lifetime.state(5), State::Expired);
    }

    #[test]
    fn a_past_date_and_today_are_refused() {
        let policy = LifetimePolicy::default();
        let now = noon("2026-03-01");
        assert!(policy.check(Some(date("2026-02-28")), now).is_err());
        assert!(policy.check(Some(date("2026-03-01")), now).is_err());
        assert_eq!(policy.check(Some(date("2026-03-02")), now), Ok(Some(midnight(date("2026-03-02")))));
        assert_eq!(policy.check(None, now), Ok(None));
    }

    #[test]
    fn the_operator_may_require_a_date_and_bound_it() {
        let now = noon("2026-03-01");
        let required = LifetimePolicy { required: true, max_days: None };
        assert_eq!(required.check(None, now), Err(ExpiryRefusal::Required));
        assert_eq!(required.default_for_rotation(now), Some(date("2026-03-08")));
        let bounded = LifetimePolicy { required: false, max_days: Some(3) };
        assert!(bounded.check(Some(date("2026-03-04")), now).is_ok());
        assert_eq!(
            bounded.check(Some(date("2026-03-05")), now),
            Err(ExpiryRefusal::TooLate(date("2026-03-05")))
        );
        assert_eq!(bounded.check(None, now), Err(ExpiryRefusal::Required));
        assert_eq!(bounded.default_for_rotation(now), Some(date("2026-03-04")));
        assert_eq!(LifetimePolicy::default().default_for_rotation(now), None);
    }

    #[test]
    fn every_date_survives_being_stored() {
        for text in ["1969-12-31", "1970-01-01", "2028-02-29", "9999-12-30", "9999-12-31"] {
            assert_eq!(date_at(midnight(date(text))), date(text));
            assert_eq!(date_at(midnight(date(text)) + DAY - 1), date(text));
        }
        assert_eq!(midnight(date("2026-03-02")), 1_772_409_600 * MICROSECONDS);
        assert_eq!(date_at(i64::MAX), Date::MAX);
    }

    #[test]
    fn dates_are_read_strictly() {
        assert_eq!(parse_date("2026-01-31"), Some(date("2026-01-31")));
        assert_eq!(parse_date("2026-01-31T10:00:00Z"), Some(date("2026-01-31")));
        for wrong in
            ["", "2026-02-30", "31.01.2026", "2026-1-31", "tomorrow", "2026-01-311", "２０２６-01-31"]
        {
            assert_eq!(parse_date(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn only_paid_plans_create_on_saas_and_only_the_switches_count_elsewhere() {
        for plan in Plan::ALL {
            let gate =
                |edition| CreationGate { instance_allows: true, edition, plan, root_group_allows: true };
            assert!(gate(Edition::SelfManaged).allows());
            assert_eq!(gate(Edition::Saas).allows(), matches!(plan, Plan::Premium | Plan::Ultimate));
            assert!(!CreationGate { root_group_allows: false, ..gate(Edition::SelfManaged) }.allows());
            assert!(!CreationGate { instance_allows: false, ..gate(Edition::SelfManaged) }.allows());
        }
    }
}
