//! Requests that were never made, for the ledger of a demo: two weeks of somebody's work, the same for every demo but for the
//! time.

use std::time::Duration;

use crate::ledger::{LedgerEntry, TokenCounts};
use crate::models::Models;
use crate::phases::{Phase, PhaseTimes};

/// Returns the requests of the two weeks before `now` (Unix seconds), the oldest first.
pub(super) fn requests(now: u64, models: &Models) -> Vec<LedgerEntry> {
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let mut times = Vec::new();
    for ago in 0..DAYS {
        for _ in 0..dice.between(12, 40) {
            times.push(now - ago * DAY - dice.between(HOUR, 10 * HOUR));
        }
    }
    times.sort_unstable();
    times.into_iter().map(|at| request(at, models, &mut dice)).collect()
}

fn request(at: u64, models: &Models, dice: &mut Dice) -> LedgerEntry {
    let usual = ("/responses", "gpt-6.1-sol", "high");
    let kinds = [
        usual,
        ("/responses", "gpt-6.1-sol", "medium"),
        ("/chat/completions", "gpt-6-luna", "low"),
        ("/chat/completions", "gpt-4o", "medium"),
        ("/messages", "claude-sonnet-4-5", "medium"),
        ("/messages", "claude-haiku-4-5", "low"),
    ];
    let (route, asked, effort) = kinds.get(dice.below(kinds.len())).copied().unwrap_or(usual);
    let sent = models.resolve(Some(asked), Some(effort)).model;
    let request = LedgerEntry {
        started_at: at * 1000,
        route: route.into(),
        model_asked: Some(asked.to_owned()),
        effort: Some(effort.to_owned()),
        is_stream: true,
        is_whole: true,
        ..LedgerEntry::default()
    };
    if dice.below(40) == 0 {
        let error_code = Some("invalid_request_error".to_owned());
        return LedgerEntry { status: Some(400), error_code, duration_ms: dice.between(1, 4), ..request };
    }
    let input = dice.between(2_000, 90_000);
    let (cached, output) = (input * dice.between(0, 92) / 100, dice.between(60, 3_000));
    let (phases, first_token) = phases(dice);
    LedgerEntry {
        model_answered: Some(sent.clone()),
        model_sent: Some(sent),
        status: Some(200),
        tokens: Some(TokenCounts { input, cached, output, reasoning: output * dice.between(0, 60) / 100 }),
        first_token_ms: Some(first_token),
        duration_ms: first_token + output * dice.between(8, 14),
        phases,
        ..request
    }
}

/// The phases of a request, and their sum in milliseconds.
fn phases(dice: &mut Dice) -> (PhaseTimes, u64) {
    let mut times = PhaseTimes::default();
    let spent = [
        (Phase::Request, dice.between(0, 3)),
        (Phase::Connect, dice.between(0, 90)),
        (Phase::Head, dice.between(180, 900)),
        (Phase::Event, dice.between(200, 2_600)),
    ];
    for (phase, millis) in spent {
        times.add(phase, Duration::from_millis(millis));
    }
    (times, spent.iter().map(|(_, millis)| millis).sum())
}

/// Numbers that look like chance, and are the same in every demo (xorshift).
struct Dice(u64);

impl Dice {
    /// Returns a number from `least` to `most`.
    fn between(&mut self, least: u64, most: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        least + self.0 % (most - least + 1)
    }

    fn below(&mut self, count: usize) -> usize {
        usize::try_from(self.between(0, count as u64 - 1)).unwrap_or_default()
    }
}

const DAYS: u64 = 14;
const DAY: u64 = 24 * HOUR;
const HOUR: u64 = 3600;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_weeks_of_requests_of_the_past_that_add_up() {
        let now = 1_795_666_259;
        let requests = requests(now, &Models::default());
        assert!(requests.len() > 200 && requests.is_sorted_by_key(|request| request.started_at), "{}", requests.len());
        for request in &requests {
            assert!(request.started_at + request.duration_ms < now * 1000, "{request:?}");
            let phases: Duration = request.phases.iter().map(|(_, time)| time).sum();
            assert_eq!(phases, Duration::from_millis(request.first_token_ms.unwrap_or_default()));
            assert_eq!(request.status == Some(200), request.tokens.is_some() && request.error_code.is_none());
        }
        let day = 86_400_000;
        let days: std::collections::BTreeSet<_> = requests.iter().map(|request| request.started_at / day).collect();
        assert!(days.len() >= 14, "{days:?}");
    }
}
