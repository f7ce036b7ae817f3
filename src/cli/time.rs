//! Times as people write and read them: `1h`, `2026-01-31T12:00:00Z`.
//!
//! Seconds since 1970 inside, as tokens have them; UTC outside, without a time zone's surprises.

use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds in a day.
const DAY: u32 = 86_400;

/// The second it is, since 1970.
pub(crate) fn now() -> u32 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u32::try_from(since.as_secs()).unwrap_or(u32::MAX)
}

/// A span such as `90s`, `15m`, `1h`, `7d`, in seconds.
pub(crate) fn span(text: &str) -> Result<u32, String> {
    let wrong = || "not a span of time, such as 90s, 15m, 1h or 7d".to_owned();
    let unit = match text.bytes().last() {
        Some(b's') => 1,
        Some(b'm') => 60,
        Some(b'h') => 3_600,
        Some(b'd') => DAY,
        _ => return Err(wrong()),
    };
    let number: u32 = digits(&text[..text.len() - 1]).ok_or_else(wrong)?;
    let seconds = number.checked_mul(unit).filter(|&seconds| seconds > 0);
    seconds.ok_or_else(|| "it must be at least 1s and at most 49710d".to_owned())
}

/// A time such as `2026-01-31T12:00:00Z`, or in seconds since 1970.
pub(crate) fn moment(text: &str) -> Result<u32, String> {
    let wrong = "not a time, such as 2026-01-31T12:00:00Z or a number of seconds since 1970";
    digits(text).or_else(|| calendar(text)).ok_or_else(|| wrong.to_owned())
}

fn calendar(text: &str) -> Option<u32> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let [hour, minute, second] = numbers(time, ':', [2, 2, 2])?;
    if !(1970..=2106).contains(&year) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let days = day_of(year, month, day)?;
    days.checked_mul(DAY)?.checked_add(hour * 3_600 + minute * 60 + second)
}

fn numbers(text: &str, between: char, widths: [usize; 3]) -> Option<[u32; 3]> {
    let mut parts = text.split(between);
    let mut numbers = [0; 3];
    for (number, width) in numbers.iter_mut().zip(widths) {
        *number = digits(parts.next().filter(|part| part.len() == width)?)?;
    }
    parts.next().is_none().then_some(numbers)
}

fn digits(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

/// The day, counted from 1970, of a date that exists.
fn day_of(year: u32, month: u32, day: u32) -> Option<u32> {
    // Years that begin in March have their leap day at the end: day m of such a year follows from
    // the month alone, and leap days before it from the year alone.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day;
    let days = days.checked_sub(719_469)?; // 1970-01-01
    (date_of(days) == (year, month, day)).then_some(days)
}

/// Year, month and day of a day counted from 1970.
fn date_of(mut day: u32) -> (u32, u32, u32) {
    let leap = |year: u32| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let mut year = 1970;
    while day >= 365 + u32::from(leap(year)) {
        day -= 365 + u32::from(leap(year));
        year += 1;
    }
    let february = 28 + u32::from(leap(year));
    let mut month = 1;
    for days in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if day < days {
            break;
        }
        day -= days;
        month += 1;
    }
    (year, month, day + 1)
}

/// `second` as `2026-01-31T12:00:00Z`.
pub(crate) fn show(second: u32) -> String {
    let (year, month, day) = date_of(second / DAY);
    let (hour, minute, second) = (second % DAY / 3_600, second % 3_600 / 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// A span in its largest whole unit: `59 minutes`.
pub(crate) fn about(seconds: u32) -> String {
    let (count, unit) = match seconds {
        0..120 => (seconds, "second"),
        120..7_200 => (seconds / 60, "minute"),
        7_200..172_800 => (seconds / 3_600, "hour"),
        _ => (seconds / DAY, "day"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_come_back_as_they_were_written() {
        for (second, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_772_323_199, "2026-02-28T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (u32::MAX, "2106-02-07T06:28:15Z"),
        ] {
            assert_eq!(show(second), text);
            assert_eq!(moment(text), Ok(second));
            assert_eq!(moment(&second.to_string()), Ok(second));
        }
    }

    #[test]
    fn what_is_no_moment_is_refused() {
        for text in [
            "",
            "now",
            "-1",
            "4294967296",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-01-31T24:00:00Z",
            "2026-01-31T12:00:00",
            "2026-01-31 12:00:00Z",
            "2026-1-31T12:00:00Z",
            "2106-02-07T06:28:16Z",
        ] {
            assert!(moment(text).is_err(), "{text}");
        }
    }

    #[test]
    fn spans_have_a_unit_and_an_end() {
        let good = ["90s", "15m", "1h", "7d"].map(|text| span(text).unwrap());
        assert_eq!(good, [90, 900, 3_600, 604_800]);
        for text in ["", "h", "0h", "1", "1w", "-1h", "1.5h", "49711d", "1é"] {
            assert!(span(text).is_err(), "{text}");
        }
    }

    #[test]
    fn about_is_for_people() {
        let shown = [1, 119, 120, 7_199, 7_200, 200_000].map(about);
        let expected = ["1 second", "119 seconds", "2 minutes", "119 minutes", "2 hours", "2 days"];
        assert_eq!(shown, expected);
    }
}
