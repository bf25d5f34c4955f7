//! How times, roles and scopes are said on a page.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use portcullis_rules::access::{Role, ScopeSet, Visibility};
use portcullis_rules::token::{MICROSECONDS, date_at};

use super::fields::{Choice, Tick, Ticks};

/// An expiry date is near when it comes within this long, in microseconds.
const SOON: i64 = 7 * 24 * 60 * 60 * MICROSECONDS;

/// A time, in UTC; where scripts run, the day is shown in the zone of whoever reads.
#[derive(Clone, Debug)]
pub struct Moment {
    /// For machines.
    pub iso: String,
    /// The day.
    pub day: String,
    /// All of it.
    pub full: String,
}

impl Moment {
    /// Returns the time at `micros` (Unix microseconds).
    pub fn at(micros: i64) -> Moment {
        let time =
            Timestamp::from_microsecond(micros).unwrap_or(Timestamp::UNIX_EPOCH).to_zoned(TimeZone::UTC);
        Moment {
            iso: time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            day: time.strftime("%-d %b %Y").to_string(),
            full: time.strftime("%-d %b %Y, %H:%M UTC").to_string(),
        }
    }
}

/// Returns a size as people say it, such as `1.5 KiB`.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if count < 1024 {
        return format!("{count} {}", if count == 1 { "byte" } else { "bytes" });
    }
    let (mut size, mut unit) = (count as f64 / 1024.0, 0);
    while size >= 1024.0 && unit + 1 < UNITS.len() {
        (size, unit) = (size / 1024.0, unit + 1);
    }
    format!("{size:.1} {}", UNITS[unit])
}

/// When a token or a membership ends: midnight UTC that begins a date.
#[derive(Clone, Debug)]
pub struct Expiry {
    /// The date, as `2026-01-31`.
    pub date: String,
    /// Whether it comes within a week.
    pub soon: bool,
    /// How long it is until then, such as `in 3 days`.
    pub distance: String,
}

impl Expiry {
    /// Returns what is said at `now` of an end at `micros`.
    pub fn at(micros: i64, now: i64) -> Expiry {
        let left = micros - now;
        let days = left.div_euclid(24 * 60 * 60 * MICROSECONDS);
        let distance = match days {
            ..=-1 => "over".to_owned(),
            0 => "within a day".to_owned(),
            1 => "in 1 day".to_owned(),
            days => format!("in {days} days"),
        };
        Expiry { date: date_at(micros).to_string(), soon: left > 0 && left <= SOON, distance }
    }
}

/// Whose an access token is, which says how far it reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// A person's.
    Person,
    /// A project's.
    Project,
    /// A group's.
    Group,
}

impl Whose {
    /// Returns the word for it in front of `access token`.
    pub fn name(self) -> &'static str {
        match self {
            Whose::Person => "personal",
            Whose::Project => "project",
            Whose::Group => "group",
        }
    }

    /// Returns the same at the beginning of a sentence.
    pub fn capital(self) -> &'static str {
        match self {
            Whose::Person => "Personal",
            Whose::Project => "Project",
            Whose::Group => "Group",
        }
    }

    /// Returns what is asked before such a token is revoked.
    pub fn revoking(self) -> &'static str {
        match self {
            Whose::Person | Whose::Project => {
                "Whatever uses this token stops working with its next request. This cannot be undone."
            }
            Whose::Group => {
                "Whatever uses this token stops working with its next request, in this group and in everything below it. \
                 This cannot be undone."
            }
        }
    }
}

/// The scopes a token can hold, each with what it grants.
const SCOPES: [(&str, &str); 9] = [
    (
        "api",
        "Complete read and write access to the API of the project, with its packages, its container registry and its repository.",
    ),
    (
        "read_api",
        "Read access to the API of the project, with its packages. It can also clone and pull images.",
    ),
    ("read_user", "Read access to your profile, and to the users you can see."),
    ("read_repository", "Read access to the repository: clone and fetch."),
    ("write_repository", "Read and write access to the repository: clone, fetch and push."),
    ("read_registry", "Read access to the images of the container registry: pull."),
    (
        "write_registry",
        "Write access to the images of the container registry: push. Clients pull while they push, so add read_registry.",
    ),
    ("sudo", "Act as any user in the system, through the API."),
    ("self_rotate", "Replace this token by a new one, with the token itself."),
];

/// What the scopes grant that a group's token holds, as far as it is more than a project's.
const SCOPES_OF_GROUP: [(&str, &str); 6] = [
    (
        "api",
        "Complete read and write access to the API of the group and of everything below it, with packages, container registries and repositories.",
    ),
    (
        "read_api",
        "Read access to the API of the group and of everything below it, with packages. It can also clone and pull images.",
    ),
    ("read_repository", "Read access to the repositories of all projects below the group: clone and fetch."),
    (
        "write_repository",
        "Read and write access to the repositories of all projects below the group: clone, fetch and push.",
    ),
    ("read_registry", "Read access to the images of all projects below the group: pull."),
    (
        "write_registry",
        "Write access to the images of all projects below the group: push. Clients pull while they push, so add read_registry.",
    ),
];

/// Returns the scopes of `offered` to be ticked, those of `chosen` ticked already.
pub fn scopes(offered: ScopeSet, chosen: &[String], whose: Whose) -> Vec<Tick> {
    let own: &[_] = if whose == Whose::Group { &SCOPES_OF_GROUP } else { &[] };
    offered
        .names()
        .map(|name| {
            let says =
                own.iter().chain(&SCOPES).find(|(scope, _)| *scope == name).map_or("", |(_, says)| says);
            let says = if whose == Whose::Person {
                says.replace("of the project", "of everything you can reach")
            } else {
                says.to_owned()
            };
            Tick {
                value: name.to_owned(),
                label: name.to_owned(),
                says,
                ticked: chosen.iter().any(|chosen| chosen == name),
            }
        })
        .collect()
}

/// Returns the roles up to `highest` to choose from.
pub fn roles(highest: Option<Role>, chosen: Role) -> Vec<Choice> {
    Role::ALL
        .into_iter()
        .filter(|role| Some(*role) <= highest)
        .map(|role| Choice {
            value: role.level().to_string(),
            label: role.name().to_owned(),
            chosen: role == chosen,
        })
        .collect()
}

/// Returns who sees what has this visibility.
pub fn visibility(visibility: Visibility) -> (&'static str, &'static str) {
    match visibility {
        Visibility::Private => ("Private", "Members see it, and nobody else."),
        Visibility::Internal => ("Internal", "Everybody who is signed in and not external sees it."),
        Visibility::Public => ("Public", "Everybody sees it, also without signing in."),
    }
}

/// Returns the field to choose who sees something, up to `widest`.
pub fn visibilities(widest: Visibility, chosen: Visibility, error: Option<String>) -> Ticks {
    let ticks = Visibility::ALL.into_iter().filter(|offered| *offered <= widest).map(|offered| {
        let (label, says) = visibility(offered);
        let value = offered.name().to_owned();
        Tick { ticked: offered == chosen, value, label: label.to_owned(), says: says.to_owned() }
    });
    Ticks {
        name: "visibility",
        id: "visibility",
        legend: "Who sees it",
        hint: "",
        error,
        kind: "radio",
        ticks: ticks.collect(),
    }
}

/// Returns what a use case said as a sentence.
pub fn sentence(text: String) -> String {
    if text.ends_with('.') { text } else { text + "." }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 24 * 60 * 60 * MICROSECONDS;

    #[test]
    fn times_are_said_in_utc() {
        let moment = Moment::at(1_772_452_800_000_000);
        assert_eq!(moment.iso, "2026-03-02T12:00:00Z");
        assert_eq!((moment.day.as_str(), moment.full.as_str()), ("2 Mar 2026", "2 Mar 2026, 12:00 UTC"));
    }

    #[test]
    fn an_end_within_a_week_is_near() {
        let now = 1_772_452_800_000_000;
        let midnight = now + DAY / 2;
        for (end, soon, distance) in [
            (midnight, true, "within a day"),
            (midnight + DAY, true, "in 1 day"),
            (midnight + 6 * DAY, true, "in 6 days"),
            (midnight + 7 * DAY, false, "in 7 days"),
            (midnight - DAY, false, "over"),
        ] {
            let expiry = Expiry::at(end, now);
            assert_eq!((expiry.soon, expiry.distance.as_str()), (soon, distance));
        }
    }

    #[test]
    fn every_scope_is_explained() {
        for tick in scopes(ScopeSet::FOR_PERSONAL_TOKENS, &[], Whose::Person) {
            assert!(!tick.says.is_empty(), "{}", tick.label);
        }
        for tick in scopes(ScopeSet::FOR_PROJECT_TOKENS, &[], Whose::Group) {
            assert!(!tick.says.is_empty() && !tick.says.contains("the project,"), "{}", tick.label);
        }
    }
}
