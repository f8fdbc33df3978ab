//! Durations as people write them: whole numbers with units, `10m`, `1h30m`, `90d`.

use std::time::Duration;

/// Reads a duration. Units are s, m, h, d; several may be joined, largest first.
///
/// # Errors
/// Says in words what is wrong and what a duration looks like.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    const WANTED: &str = "write a duration such as \"90s\", \"10m\", \"1h30m\" or \"30d\"";
    let mut total: u64 = 0;
    let mut number: Option<u64> = None;
    let mut smallest = u64::MAX;
    for c in text.trim().chars() {
        if let Some(digit) = c.to_digit(10) {
            let so_far = number.unwrap_or(0);
            number = so_far.checked_mul(10).and_then(|n| n.checked_add(u64::from(digit)));
            if number.is_none() {
                return Err(format!("{text:?} is too long; {WANTED}"));
            }
            continue;
        }
        let unit = match c {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86400,
            _ => return Err(format!("{text:?} is not a duration; {WANTED}")),
        };
        let Some(count) = number.take() else {
            return Err(format!("{text:?} has a unit without a number; {WANTED}"));
        };
        if unit >= smallest {
            return Err(format!("{text:?} has its units out of order; {WANTED}"));
        }
        smallest = unit;
        let Some(sum) = count.checked_mul(unit).and_then(|n| total.checked_add(n)) else {
            return Err(format!("{text:?} is too long; {WANTED}"));
        };
        total = sum;
    }
    if number.is_some() {
        return Err(format!("{text:?} has a number without a unit; {WANTED}"));
    }
    if smallest == u64::MAX {
        return Err(format!("it is empty; {WANTED}"));
    }
    // A century is past every meaning here, and small enough to be added to any time of day without overflow.
    if total > 36_500 * 86_400 {
        return Err(format!("{text:?} is too long; {WANTED}"));
    }
    Ok(Duration::from_secs(total))
}

/// Writes a duration the way [`parse`] reads it.
pub(crate) fn format(duration: Duration) -> String {
    let mut rest = duration.as_secs();
    if rest == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    for (unit, letter) in [(86400, 'd'), (3600, 'h'), (60, 'm'), (1, 's')] {
        let count = rest / unit;
        rest %= unit;
        if count > 0 {
            text.push_str(&count.to_string());
            text.push(letter);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_written() {
        for (text, seconds, written) in [
            ("0s", 0, "0s"),
            ("90s", 90, "1m30s"),
            ("10m", 600, "10m"),
            ("1h30m", 5400, "1h30m"),
            ("24h", 86400, "1d"),
            ("2d12h", 216_000, "2d12h"),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_secs(seconds)), "{text}");
            assert_eq!(format(Duration::from_secs(seconds)), written);
        }
    }

    #[test]
    fn malformed_durations_are_refused() {
        for text in [
            "",
            " ",
            "10",
            "m",
            "10 m",
            "1.5h",
            "-1s",
            "5w",
            "1m1h",
            "1m1m",
            "h1",
            "99999999999999999999s",
            "99999999999999d",
            "40000d",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
