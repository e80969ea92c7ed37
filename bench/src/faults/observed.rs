//! What was observed in a case, and what is computed from it.

use std::time::Duration;

use super::ask::Answer;

/// A second passes before what the gateway does is judged.
const REACTION: Duration = Duration::from_secs(1);

/// A pause of the ill origin this long means that it was thrown out.
const PAUSE: Duration = Duration::from_millis(500);

/// What is back must hold its share over this stretch.
const STRETCH: Duration = Duration::from_secs(1);

/// Of its fair share, what an origin that is back must have.
const BACK: f64 = 0.9;

/// One request of a user.
#[derive(Clone, Copy, Debug)]
pub(super) struct Exchange {
    /// When it was due, from the beginning
    pub(super) due: Duration,
    /// From then to the end of the answer
    pub(super) took: Duration,
    pub(super) answer: Answer,
}

/// All that was observed in one case.
#[derive(Debug)]
pub(super) struct Observed {
    /// In the order in which they were due
    pub(super) exchanges: Vec<Exchange>,
    /// When an ill origin was asked, from its falling ill, until it recovered
    pub(super) asked: Vec<Duration>,
    /// Origins, and how many of them, the last ones, fell ill
    pub(super) origins: usize,
    pub(super) ill: usize,
    pub(super) fell_ill: Duration,
    pub(super) recovered: Duration,
    /// Requests a second
    pub(super) rate: u32,
}

impl Observed {
    /// Good answers per request, from the fault to its end.
    pub(super) fn success(&self) -> f64 {
        let all = self.between(self.fell_ill, self.recovered);
        let (mut good, mut total) = (0.0, 0.0_f64);
        for exchange in all {
            total += 1.0;
            good += f64::from(u8::from(exchange.answer.is_good()));
        }
        good / total
    }

    /// Requests without a good answer: from the fault until a second later, until the fault's end, and after it.
    pub(super) fn failed(&self) -> [usize; 3] {
        let reacted = self.fell_ill + REACTION;
        let failed = |from, until| {
            self.between(from, until)
                .filter(|exchange| !exchange.answer.is_good())
                .count()
        };
        [
            failed(self.fell_ill, reacted),
            failed(reacted, self.recovered),
            failed(self.recovered, Duration::MAX),
        ]
    }

    /// Most requests of any one second without a good answer, from a second after the fault on.
    pub(super) fn worst_second(&self) -> usize {
        let failed: Vec<Duration> = self
            .between(self.fell_ill + REACTION, Duration::MAX)
            .filter(|exchange| !exchange.answer.is_good())
            .map(|exchange| exchange.due)
            .collect();
        let within = |from: &Duration| {
            failed
                .iter()
                .filter(|&due| due >= from && *due < *from + STRETCH)
                .count()
        };
        failed.iter().map(within).max().unwrap_or(0)
    }

    /// How often the ill origin was asked before it was first left alone.
    pub(super) fn asked_before_pause(&self) -> usize {
        let pairs = self.asked.iter().zip(self.asked.iter().skip(1));
        pairs
            .take_while(|(one, next)| next.saturating_sub(**one) < PAUSE)
            .count()
            + usize::from(!self.asked.is_empty())
    }

    /// The share of requests that the ill origin was given, from a second after the fault to its end.
    pub(super) fn share(&self) -> f64 {
        let asked = self.asked.iter().filter(|&&at| at >= REACTION).count();
        let reacted = self.fell_ill + REACTION;
        let stretch = self.recovered.saturating_sub(reacted);
        asked as f64 / (stretch.as_secs_f64() * f64::from(self.rate))
    }

    /// Percentile 99, in milliseconds: before the fault, and from a second after it to its end.
    pub(super) fn p99(&self) -> [f64; 2] {
        [
            p99(self.between(Duration::ZERO, self.fell_ill)),
            p99(self.between(self.fell_ill + REACTION, self.recovered)),
        ]
    }

    /// From the end of the fault to the end of the first second in which the origin has its share again.
    pub(super) fn back_after(&self) -> Option<Duration> {
        let (stretches, fair) = self.stretches_after()?;
        let back = stretches
            .iter()
            .position(|&answered| answered >= BACK * fair)?;
        let from = self.after().nth(back)?;
        Some((from.due + STRETCH).saturating_sub(self.recovered))
    }

    /// The most that the origin answered in any second after the fault, as a multiple of its share.
    pub(super) fn peak(&self) -> f64 {
        self.stretches_after()
            .map_or(f64::NAN, |(stretches, fair)| {
                stretches.into_iter().fold(0.0, f64::max) / fair
            })
    }

    /// What the origin answered in the second that begins with each request after the fault, and its share.
    fn stretches_after(&self) -> Option<(Vec<f64>, f64)> {
        let width = usize::try_from(self.rate).ok()?;
        let from_ill: Vec<bool> = self
            .after()
            .map(|exchange| self.is_of_an_ill_one(exchange.answer) && exchange.answer.is_good())
            .collect();
        let stretches = from_ill
            .windows(width)
            .map(|second| second.iter().filter(|&&ill| ill).count() as f64)
            .collect();
        Some((stretches, (width * self.ill) as f64 / self.origins as f64))
    }

    fn is_of_an_ill_one(&self, answer: Answer) -> bool {
        let well = self.origins - self.ill;
        answer.origin.is_some_and(|origin| origin >= well)
    }

    fn after(&self) -> impl Iterator<Item = &Exchange> {
        self.between(self.recovered, Duration::MAX)
    }

    fn between(&self, from: Duration, until: Duration) -> impl Iterator<Item = &Exchange> {
        self.exchanges
            .iter()
            .filter(move |exchange| exchange.due >= from && exchange.due < until)
    }
}

/// Not a number where there is nothing.
fn p99<'a>(exchanges: impl Iterator<Item = &'a Exchange>) -> f64 {
    let mut took: Vec<Duration> = exchanges.map(|exchange| exchange.took).collect();
    took.sort_unstable();
    took.get(took.len() * 99 / 100)
        .map_or(f64::NAN, |took| took.as_secs_f64() * 1e3)
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;

    const RATE: u32 = 10;
    const ORIGINS: usize = 3;
    const ILL: usize = 2;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// Ten requests a second for thirty; each goes to the origin, and is answered as, `answer` says of its second.
    fn observed(answer: impl Fn(u64, usize) -> Answer) -> Observed {
        let exchanges = (0..300_u32).map(|number| Exchange {
            due: seconds(1) * number / RATE,
            took: Duration::from_millis(u64::from(number)),
            answer: answer(u64::from(number / RATE), number as usize % ORIGINS),
        });
        Observed {
            exchanges: exchanges.collect(),
            asked: Vec::new(),
            origins: ORIGINS,
            ill: 1,
            fell_ill: seconds(10),
            recovered: seconds(20),
            rate: RATE,
        }
    }

    fn good(origin: usize) -> Answer {
        Answer {
            status: Some(StatusCode::OK),
            origin: Some(origin),
        }
    }

    const BAD: Answer = Answer {
        status: Some(StatusCode::BAD_GATEWAY),
        origin: None,
    };

    #[test]
    fn failures_are_told_apart_by_when_they_were() {
        let seen = observed(|second, origin| match second {
            10 | 15 | 25 if origin == ILL => BAD,
            _ => good(origin),
        });
        assert_eq!(seen.failed(), [3, 3, 3]);
        assert_eq!(seen.worst_second(), 3);
        assert!((seen.success() - 0.94).abs() < 1e-9, "{}", seen.success());
    }

    #[test]
    fn an_origin_is_back_at_the_end_of_the_first_second_in_which_it_has_its_share() {
        let seen = observed(|second, origin| {
            let away = origin == ILL && (10..23).contains(&second);
            good(if away { 0 } else { origin })
        });
        let back = seen.back_after().unwrap();
        assert!(back > seconds(3) && back <= seconds(4), "{back:?}");
        assert!(seen.peak() <= 1.2);
        assert_eq!(observed(|_, _| good(0)).back_after(), None);
    }

    #[test]
    fn the_ill_origins_share_begins_a_second_after_the_fault() {
        let mut seen = observed(|_, origin| good(origin));
        seen.asked = [100, 200, 300, 900, 5_000]
            .map(Duration::from_millis)
            .into();
        assert_eq!(seen.asked_before_pause(), 3);
        assert!((seen.share() - 1.0 / 90.0).abs() < 1e-9);
    }
}
