//! Intervals of time: hours, days, months and years of UTC, and moments as text.
//!
//! An interval has a number, counted from 1970, and is half-open: its start belongs to it, the start of
//! the next one does not. Moments are microseconds since 1970. No time zone is known here, so a day has
//! 24 hours whatever clocks do. Pure: the time now comes from outside.

/// What stands in rendered SQL where an interval starts; [`with_interval`] replaces its time. Until then
/// it means the beginning of time.
pub const INTERVAL_START: &str = "/*interval_start*/timestamp '1700-01-01 00:00:00'";
/// What stands in rendered SQL where an interval ends.
pub const INTERVAL_END: &str = "/*interval_end*/timestamp '2200-01-01 00:00:00'";

const SECOND_US: i64 = 1_000_000;
const HOUR_US: i64 = 3_600 * SECOND_US;
const DAY_US: i64 = 24 * HOUR_US;
/// The years that intervals may lie in: those of [`INTERVAL_START`] and [`INTERVAL_END`].
const YEARS: std::ops::Range<i64> = 1700..2200;

/// How long an interval is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IntervalUnit {
    /// An hour.
    Hour,
    /// A day of UTC.
    Day,
    /// A month.
    Month,
    /// A year.
    Year,
}

impl IntervalUnit {
    /// Every unit with its name.
    pub const ALL: [(&'static str, Self); 4] =
        [("hour", Self::Hour), ("day", Self::Day), ("month", Self::Month), ("year", Self::Year)];

    /// Returns its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Month => "month",
            Self::Year => "year",
        }
    }

    /// Returns the number of the interval that holds a moment.
    pub fn number(self, at_us: i64) -> i64 {
        let (year, month, _) = date(at_us.div_euclid(DAY_US));
        match self {
            Self::Hour => at_us.div_euclid(HOUR_US),
            Self::Day => at_us.div_euclid(DAY_US),
            Self::Month => (year - 1970) * 12 + month - 1,
            Self::Year => year - 1970,
        }
    }

    /// Returns the moment at which an interval starts, which is where the one before ends.
    pub fn start_us(self, number: i64) -> i64 {
        match self {
            Self::Hour => number * HOUR_US,
            Self::Day => number * DAY_US,
            Self::Month => days(1970 + number.div_euclid(12), number.rem_euclid(12) + 1, 1) * DAY_US,
            Self::Year => days(1970 + number, 1, 1) * DAY_US,
        }
    }

    /// Returns an interval for people: `2013-05-01 13:00`, `2013-05-01`, `2013-05` or `2013`.
    pub fn spell(self, number: i64) -> String {
        let text = spell_time(self.start_us(number));
        match self {
            Self::Hour => format!("{} {}", &text[..10], &text[11..16]),
            Self::Day => text[..10].to_owned(),
            Self::Month => text[..7].to_owned(),
            Self::Year => text[..4].to_owned(),
        }
    }
}

/// Reads a moment of UTC: `2013`, `2013-05`, `2013-05-01`, `2013-05-01 13:00`, with seconds, `T` and `Z` as
/// people like. `None` for anything else, and for years that intervals cannot lie in.
pub fn parse_time(text: &str) -> Option<i64> {
    let text = text.trim();
    let (day, time) = match text.split_once(['T', ' ']) {
        Some((day, time)) => (day, time.strip_suffix('Z').unwrap_or(time)),
        None => (text, "00:00"),
    };
    let mut parts = day.split('-').map(|part| digits(part, if part.len() == 4 { 4 } else { 2 }));
    let year = parts.next()??;
    let month = parts.next().unwrap_or(Some(1))?;
    let day_of_month = parts.next().unwrap_or(Some(1))?;
    let is_day = parts.next().is_none() && day.split('-').next().is_some_and(|year| year.len() == 4);
    let mut clock = time.split(':').map(|part| digits(part, 2));
    let (hour, minute) = (clock.next()??, clock.next()??);
    let second = clock.next().unwrap_or(Some(0))?;
    let number = days(year, month, day_of_month);
    let is_real = is_day
        && YEARS.contains(&year)
        && date(number) == (year, month, day_of_month)
        && clock.next().is_none()
        && hour < 24
        && minute < 60
        && second < 60;
    is_real.then_some(number * DAY_US + hour * HOUR_US + (minute * 60 + second) * SECOND_US)
}

/// Returns a moment as text, to the second: `2013-05-01T13:00:00Z`.
pub fn spell_time(at_us: i64) -> String {
    let (year, month, day) = date(at_us.div_euclid(DAY_US));
    let seconds = at_us.rem_euclid(DAY_US) / SECOND_US;
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Returns rendered SQL for one span of time. Every place in it stays where it was.
pub fn with_interval(sql: &str, from_us: i64, to_us: i64) -> String {
    let filled = |sql: &str, mark: &str, at_us: i64| {
        let time = spell_time(at_us);
        let start = mark.len() - "1700-01-01 00:00:00'".len();
        let text = format!("{}{} {}'", &mark[..start], &time[..10], &time[11..19]);
        debug_assert_eq!(text.len(), mark.len());
        sql.replace(mark, &text)
    };
    filled(&filled(sql, INTERVAL_START, from_us), INTERVAL_END, to_us)
}

/// Returns whether rendered SQL depends on an interval.
pub(crate) fn has_interval(sql: &str) -> bool {
    sql.contains(INTERVAL_START) || sql.contains(INTERVAL_END)
}

fn digits(text: &str, count: usize) -> Option<i64> {
    let is_number = text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { text.parse().ok() } else { None }
}

/// Returns the days from 1970 to a date of the Gregorian calendar. Years of the calculation begin in
/// March, so that the day of a leap year comes last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// Returns year, month and day of a number of days from 1970.
fn date(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let march_month = (5 * of_year + 2) / 153;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = year + era * 400 + i64::from(month <= 2);
    (year, month, of_year - (153 * march_month + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn moments_as_text() {
        for (text, expected) in [
            ("2013", "2013-01-01T00:00:00Z"),
            ("2013-05", "2013-05-01T00:00:00Z"),
            ("2012-02-29", "2012-02-29T00:00:00Z"),
            ("2013-05-01 13:07", "2013-05-01T13:07:00Z"),
            ("2013-05-01T13:07:09Z", "2013-05-01T13:07:09Z"),
            ("1969-12-31T23:59:59Z", "1969-12-31T23:59:59Z"),
        ] {
            assert_eq!(parse_time(text).map(spell_time).as_deref(), Some(expected), "{text}");
        }
        for text in ["", "13", "2013-13", "2013-02-29", "2013-5-1", "2013-05-01 25:00", "2013-05-01T", "1699", "2200"] {
            assert_eq!(parse_time(text), None, "{text}");
        }
    }

    #[test]
    fn intervals_of_every_length() {
        let at = parse_time("2013-12-31 23:30").unwrap();
        for (unit, this, next) in [
            (IntervalUnit::Hour, "2013-12-31 23:00", "2014-01-01 00:00"),
            (IntervalUnit::Day, "2013-12-31", "2014-01-01"),
            (IntervalUnit::Month, "2013-12", "2014-01"),
            (IntervalUnit::Year, "2013", "2014"),
        ] {
            let number = unit.number(at);
            assert_eq!((unit.spell(number), unit.spell(number + 1)), (this.to_owned(), next.to_owned()));
        }
    }

    #[test]
    fn sql_of_an_interval_keeps_its_places() {
        let sql = format!("select 1 where t >= {INTERVAL_START} and t < {INTERVAL_END} and x");
        let filled = with_interval(&sql, parse_time("2013-05-01").unwrap(), parse_time("2013-05-02 01:00").unwrap());
        assert_eq!(
            filled,
            "select 1 where t >= /*interval_start*/timestamp '2013-05-01 00:00:00' and \
             t < /*interval_end*/timestamp '2013-05-02 01:00:00' and x"
        );
        assert_eq!(filled.len(), sql.len());
    }

    proptest! {
        #[test]
        fn intervals_cover_time_without_gaps(at_us in -8_500_000_000_000_000_i64..7_200_000_000_000_000) {
            for (_, unit) in IntervalUnit::ALL {
                let number = unit.number(at_us);
                prop_assert!(unit.start_us(number) <= at_us && at_us < unit.start_us(number + 1));
                prop_assert_eq!(unit.number(unit.start_us(number)), number);
            }
            let second = at_us - at_us.rem_euclid(SECOND_US);
            prop_assert_eq!(parse_time(&spell_time(second)), Some(second));
        }
    }
}
