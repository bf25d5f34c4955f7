//! How long work takes, in GitLab's words: `1mo 2w 3d 4h 5m`. A month has four weeks, a week five days, a day eight hours.

/// The longest time that is recorded, in seconds.
pub const MAX_SECONDS: i64 = i32::MAX as i64;

/// Longer texts are no times.
const MAX_BYTES: usize = 255;

/// The units from the largest to the smallest: the short name, other names, and seconds.
const UNITS: [(&str, &[&str], i64); 6] = [
    ("mo", &["month", "months", "mos"], 576_000),
    ("w", &["week", "weeks"], 144_000),
    ("d", &["day", "days"], 28_800),
    ("h", &["hour", "hours", "hr", "hrs"], 3600),
    ("m", &["minute", "minutes", "min", "mins"], 60),
    ("s", &["second", "seconds", "sec", "secs"], 1),
];

/// What a number without a unit is.
const DEFAULT_UNIT: &str = "h";

fn seconds_of(unit: &str) -> Option<i64> {
    let (_, _, seconds) = UNITS.iter().find(|(short, others, _)| *short == unit || others.contains(&unit))?;
    Some(*seconds)
}

/// Splits off what `belongs` begins a text with.
fn split(text: &str, belongs: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|character| !belongs(character)).unwrap_or(text.len()))
}

/// Returns how many seconds `1.5` of a unit are, rounded down.
fn counted(number: &str, seconds: i64) -> Option<i64> {
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && part.is_empty() || part.len() > 6 || part.contains('.') {
        return None;
    }
    let whole: i64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let mut all = whole.checked_mul(seconds)?;
    if !part.is_empty() {
        let tenths = 10_i64.pow(u32::try_from(part.len()).ok()?);
        all = all.checked_add(part.parse::<i64>().ok()?.checked_mul(seconds)? / tenths)?;
    }
    Some(all)
}

/// Returns the seconds of a time as people write it: `3h 30m`, `1w2d`, `1.5h`, `-2h`; a number alone is hours.
/// `None` for what is no time, or longer than [`MAX_SECONDS`].
pub fn parse(text: &str) -> Option<i64> {
    let text = text.trim();
    if text.len() > MAX_BYTES {
        return None;
    }
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest.trim_start()),
        None => (1, text),
    };
    let lowered = rest.to_ascii_lowercase();
    rest = &lowered;
    if rest.is_empty() {
        return None;
    }
    let mut all: i64 = 0;
    while !rest.is_empty() {
        let (number, behind) = split(rest, |character| character.is_ascii_digit() || character == '.');
        let (unit, behind) = split(behind.trim_start(), |character| character.is_ascii_alphabetic());
        let unit = if unit.is_empty() { DEFAULT_UNIT } else { unit };
        all = all.checked_add(counted(number, seconds_of(unit)?)?)?;
        rest = behind.trim_start_matches(|character: char| character.is_whitespace() || character == ',');
    }
    (all <= MAX_SECONDS).then_some(sign * all)
}

/// Returns a time for people, as `3h 30m`; nothing for no time.
pub fn written(seconds: i64) -> Option<String> {
    let mut left = seconds.unsigned_abs();
    let mut parts = Vec::new();
    for (short, _, unit) in UNITS {
        let unit = unit.unsigned_abs();
        if left >= unit {
            parts.push(format!("{}{short}", left / unit));
            left %= unit;
        }
    }
    let sign = if seconds < 0 { "-" } else { "" };
    (!parts.is_empty()).then(|| format!("{sign}{}", parts.join(" ")))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        for (text, seconds) in [
            ("1mo2w3d4h5m", 576_000 + 2 * 144_000 + 3 * 28_800 + 4 * 3600 + 300),
            ("1mo 2w 3d 4h 5m", 576_000 + 2 * 144_000 + 3 * 28_800 + 4 * 3600 + 300),
            ("3h 30m", 12_600),
            ("3h30m", 12_600),
            ("3H, 30 Minutes", 12_600),
            ("2 hours", 7200),
            ("1d", 28_800),
            ("1.5h", 5400),
            (".5h", 1800),
            ("2", 7200),
            ("0", 0),
            ("0h", 0),
            ("-1h", -3600),
            ("- 1h 30m", -5400),
            ("1h 1h", 7200),
            ("30s", 30),
        ] {
            assert_eq!(parse(text), Some(seconds), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_has_no_seconds() {
        for text in [
            "",
            " ",
            "-",
            "h",
            "soon",
            "1x",
            "1h-30m",
            "--1h",
            "1y",
            "1..5h",
            ".h",
            "1.5.5h",
            "1h;",
            "99999mo",
            "9223372036854775807mo",
            "99999999999999999999h",
            "1.1234567h",
            "é",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(parse(&"1s".repeat(200)), None);
        assert_eq!((parse("2147483647s"), parse("2147483648s")), (Some(MAX_SECONDS), None));
    }

    #[test]
    fn times_are_written_with_their_largest_units() {
        for (seconds, text) in [
            (12_600, Some("3h 30m")),
            (28_800, Some("1d")),
            (144_000, Some("1w")),
            (576_000, Some("1mo")),
            (576_000 * 13, Some("13mo")),
            (61, Some("1m 1s")),
            (-5400, Some("-1h 30m")),
            (0, None),
        ] {
            assert_eq!(written(seconds).as_deref(), text, "{seconds}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(seconds in -MAX_SECONDS..=MAX_SECONDS) {
            if let Some(text) = written(seconds) {
                prop_assert_eq!(parse(&text), Some(seconds));
                prop_assert_eq!(parse(&text.replace(' ', "")), Some(seconds));
            }
        }

        #[test]
        fn nothing_makes_it_panic_or_go_beyond_the_limit(text in "\\PC{0,40}", close in "[-0-9.a-z ,]{0,40}") {
            for text in [text, close] {
                prop_assert!(parse(&text).is_none_or(|seconds| seconds.abs() <= MAX_SECONDS));
            }
        }
    }
}
