//! Time of the scenario: microseconds since 1970 in UTC, and the shape of a government's week.

use super::rng::Rng;

/// A moment, in microseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Time(pub(super) i64);

const SECOND_US: i64 = 1_000_000;
const DAY_S: i64 = 86_400;

/// A day, counted from 1970-01-01.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Day(pub(super) i64);

impl Day {
    pub(super) fn new(year: i64, month: i64, day: i64) -> Self {
        // Days from civil, after Howard Hinnant: years start in March.
        let year = if month <= 2 { year - 1 } else { year };
        let era = year.div_euclid(400);
        let of_era = year - era * 400;
        let of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
        Self(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468)
    }

    /// Year, month and day.
    pub(super) fn civil(self) -> (i64, i64, i64) {
        let shifted = self.0 + 719_468;
        let era = shifted.div_euclid(146_097);
        let of_era = shifted - era * 146_097;
        let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year + year / 4 - year / 100);
        let month = (5 * of_year + 2) / 153;
        let day = of_year - (153 * month + 2) / 5 + 1;
        let month = if month < 10 { month + 3 } else { month - 9 };
        (year + era * 400 + i64::from(month <= 2), month, day)
    }

    /// 0 is Monday.
    pub(super) fn weekday(self) -> i64 {
        (self.0 + 3).rem_euclid(7)
    }

    /// `YYYY-MM`.
    pub(super) fn month(self) -> String {
        let (year, month, _) = self.civil();
        format!("{year:04}-{month:02}")
    }

    /// How busy the day is, 1 for an ordinary workday.
    pub(super) fn weight(self) -> f64 {
        let (_, month, day) = self.civil();
        let weekly = [1.0, 1.05, 1.05, 1.0, 0.9, 0.22, 0.15][self.weekday() as usize];
        let holiday = matches!((month, day), (1, 1 | 2) | (12, 24 | 25 | 26 | 31) | (5, 1) | (11, 28 | 29));
        let season = if month == 8 { 0.7 } else { 1.0 };
        if holiday { 0.12 } else { weekly * season }
    }
}

impl Time {
    pub(super) fn at((year, month, day): (i64, i64, i64), (hour, minute, second): (i64, i64, i64)) -> Self {
        Self((Day::new(year, month, day).0 * DAY_S + hour * 3_600 + minute * 60 + second) * SECOND_US)
    }

    pub(super) fn plus_ms(self, ms: i64) -> Self {
        Self(self.0 + ms * 1_000)
    }

    /// Without what is below a second.
    pub(super) fn whole_second(self) -> Self {
        Self(self.0.div_euclid(SECOND_US) * SECOND_US)
    }

    /// Without what is below a millisecond.
    pub(super) fn whole_millisecond(self) -> Self {
        Self(self.0.div_euclid(1_000) * 1_000)
    }

    pub(super) fn day(self) -> Day {
        Day(self.0.div_euclid(DAY_S * SECOND_US))
    }

    fn clock(self) -> (i64, i64, i64, i64) {
        let of_day = self.0.rem_euclid(DAY_S * SECOND_US);
        let second = of_day / SECOND_US;
        (second / 3_600, second / 60 % 60, second % 60, of_day % SECOND_US)
    }

    /// `2022-07-15T05:12:00.123456Z`.
    pub(super) fn rfc3339(self) -> String {
        let (date, (hour, minute, second, us)) = (self.date(), self.clock());
        format!("{date}T{hour:02}:{minute:02}:{second:02}.{us:06}Z")
    }

    /// `2022-07-15T05:12:00.123Z`, as the Elastic shippers write it.
    pub(super) fn rfc3339_ms(self) -> String {
        format!("{}Z", self.sysmon().replace(' ', "T"))
    }

    /// `2022-07-15 05:12:00.123`, as Sysmon writes `UtcTime`.
    pub(super) fn sysmon(self) -> String {
        let (date, (hour, minute, second, us)) = (self.date(), self.clock());
        format!("{date} {hour:02}:{minute:02}:{second:02}.{:03}", us / 1_000)
    }

    /// `2022-07-15`.
    pub(super) fn date(self) -> String {
        let (year, month, day) = self.day().civil();
        format!("{year:04}-{month:02}-{day:02}")
    }

    /// `05:12:00`.
    pub(super) fn time_of_day(self) -> String {
        let (hour, minute, second, _) = self.clock();
        format!("{hour:02}:{minute:02}:{second:02}")
    }

    /// 100 ns since 1601, as Windows counts.
    pub(super) fn filetime(self) -> u64 {
        u64::try_from(self.0 + 11_644_473_600 * SECOND_US).unwrap_or(0) * 10
    }

    /// Seconds since 1970 with six decimals, as Zeek writes them.
    pub(super) fn zeek(self) -> String {
        format!("{}.{:06}", self.0.div_euclid(SECOND_US), self.0.rem_euclid(SECOND_US))
    }
}

/// Share of people's work by hour of local time, in thousandths.
const PEOPLE: [u32; 24] =
    [2, 1, 1, 1, 1, 3, 10, 45, 110, 125, 120, 105, 75, 80, 105, 95, 65, 25, 10, 7, 5, 4, 3, 2];

/// `count` moments of a day, in order. `human` is the share that follows working hours.
pub(super) fn moments(rng: &mut Rng, day: Day, count: u64, human: f64) -> Vec<Time> {
    let offset_hours = if (4..=10).contains(&day.civil().1) { 2 } else { 1 };
    let mut times: Vec<Time> = (0..count)
        .map(|_| {
            let hour = if rng.chance(human) {
                (rng.weighted(&PEOPLE) as i64 - offset_hours).rem_euclid(24)
            } else {
                rng.below(24) as i64
            };
            let within_us = rng.below(3_600_000_000) as i64;
            Time((day.0 * DAY_S + hour * 3_600) * SECOND_US + within_us)
        })
        .collect();
    times.sort_unstable();
    times
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_clocks_agree_with_the_calendar() {
        for (day, civil, weekday) in [
            (Day::new(1970, 1, 1), (1970, 1, 1), 3),
            (Day::new(2021, 5, 1), (2021, 5, 1), 5),
            (Day::new(2022, 7, 15), (2022, 7, 15), 4),
            (Day::new(2024, 2, 29), (2024, 2, 29), 3),
        ] {
            assert_eq!((day.civil(), day.weekday()), (civil, weekday));
        }
        let time = Time::at((2022, 7, 15), (5, 12, 7)).plus_ms(45);
        assert_eq!(time.rfc3339(), "2022-07-15T05:12:07.045000Z");
        assert_eq!(time.sysmon(), "2022-07-15 05:12:07.045");
        assert_eq!(time.zeek(), "1657861927.045000");
        assert_eq!(Time(0).filetime(), 116_444_736_000_000_000);
    }
}
