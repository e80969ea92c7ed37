//! The router and failover over hyper's connections in a simulated network that is parted, hangs, crashes and heals.
//! The time is simulated, and a seed names a run.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::indexing_slicing
)]

mod origin;
mod remote;
mod users;
mod world;

use buttress::core::rng::Rng;

use Event::{Bounce, Crash, Hold, Partition, Quick, Release, Repair, Slow};
use users::{Answer, End};
use world::{Event, HOSTS, Run, Seen};

impl Seen {
    /// How many requests sent in these milliseconds ended like this.
    fn ended(&self, end: &End, from: u64, to: u64) -> usize {
        self.between(from, to).filter(|it| it.end == *end).count()
    }

    fn between(&self, from: u64, to: u64) -> impl Iterator<Item = &Answer> {
        let sent = move |it: &&Answer| (from..to).contains(&it.asked);
        self.answers.iter().filter(sent)
    }

    /// The share of what was answered that this host has answered.
    fn share(&self, host: usize, from: u64, to: u64) -> f64 {
        let is_answer = |it: &&Answer| matches!(it.end, End::By(_));
        let all = self.between(from, to).filter(is_answer).count();
        let own = self.ended(&End::By(HOSTS[host].to_owned()), from, to);
        own as f64 / all.max(1) as f64
    }

    fn in_flight(&self) -> u32 {
        self.pool.endpoints.iter().map(|it| it.in_flight).sum()
    }

    /// Each host takes at least this share of what is sent in these milliseconds, and all is answered.
    fn assert_all_serve(&self, share: f64, from: u64, to: u64) {
        assert_eq!(self.ended(&End::Failed, from, to), 0);
        let shares = [0, 1, 2].map(|host| self.share(host, from, to));
        assert!(shares.iter().all(|it| *it >= share), "{shares:?}");
    }
}

/// The same event for each host.
fn all(at: u64, event: fn(usize) -> Event) -> Vec<(u64, Event)> {
    (0..HOSTS.len()).map(|host| (at, event(host))).collect()
}

/// One host is lost for ten seconds: nobody but its first few callers notices, and these are answered by another.
fn assert_no_user_pays_for(lost: Event, back: Event, run: Run) {
    let seen = run.play(&[(5_000, lost), (15_000, back)]);
    assert_eq!(seen.ended(&End::Failed, 0, 40_000), 0);
    let longest = seen.answers.iter().map(|it| it.took).max().unwrap();
    assert!(longest < 600, "{longest} ms: a timeout and another attempt");
    assert!(seen.resent <= 12, "{}", seen.resent);
    let share = seen.share(0, 6_000, 15_000);
    assert!(share < 0.01, "{share}");
    seen.assert_all_serve(0.2, 35_000, 40_000);
    assert_eq!(seen.in_flight(), 0);
}

#[test]
fn no_user_pays_for_a_host_that_is_cut_off_and_it_has_its_share_again() {
    assert_no_user_pays_for(Partition(0), Repair(0), Run::new(1, 40));
    assert_no_user_pays_for(Partition(0), Repair(0), Run::new(2, 40).copied());
}

#[test]
fn no_user_pays_for_a_host_that_hangs_and_it_has_its_share_again() {
    assert_no_user_pays_for(Hold(0), Release(0), Run::new(1, 40));
    assert_no_user_pays_for(Hold(0), Release(0), Run::new(2, 40).checked());
}

#[test]
fn no_user_pays_for_a_host_that_crashes_and_it_has_its_share_again() {
    assert_no_user_pays_for(Crash(0), Bounce(0), Run::new(1, 40));
    assert_no_user_pays_for(Crash(0), Bounce(0), Run::new(2, 40).copied());
}

#[test]
fn users_who_leave_a_host_that_hangs_wedge_nothing() {
    let run = Run::new(1, 40).copied().with_users_who_leave();
    let seen = run.play(&[(5_000, Hold(0)), (15_000, Release(0))]);
    assert_eq!(seen.ended(&End::Failed, 0, 40_000), 0);
    let left = seen.ended(&End::Left, 0, 40_000);
    assert!((1..10).contains(&left), "{left}");
    seen.assert_all_serve(0.2, 35_000, 40_000);
    assert_eq!(seen.in_flight(), 0);
}

#[test]
fn users_who_are_probes_and_leave_wedge_nothing() {
    let run = Run::new(1, 80).with_users_who_leave();
    let seen = run.play(&[(5_000, Hold(0)), (15_000, Release(0))]);
    assert_eq!(seen.ended(&End::Failed, 0, 80_000), 0);
    let left = seen.ended(&End::Left, 0, 80_000);
    assert!((1..10).contains(&left), "{left}");
    seen.assert_all_serve(0.2, 75_000, 80_000);
    assert_eq!(seen.in_flight(), 0);
}

#[test]
fn a_host_behind_a_slow_link_is_left_alone_and_has_its_share_when_that_is_quick_again() {
    let run = Run::new(1, 40).copied();
    let seen = run.play(&[(5_000, Slow(0, 200)), (15_000, Quick(0))]);
    assert_eq!(seen.ended(&End::Failed, 0, 40_000), 0);
    let share = seen.share(0, 6_000, 15_000);
    assert!(share < 0.02, "{share}");
    seen.assert_all_serve(0.2, 35_000, 40_000);
    assert_eq!((seen.in_flight(), seen.resent), (0, 0));
}

#[test]
fn when_all_are_cut_off_users_are_answered_again_at_once_and_all_hosts_serve_within_half_a_minute()
{
    for script in [
        [all(5_000, Partition), all(15_000, Repair)].concat(),
        [all(5_000, Hold), all(15_000, Release)].concat(),
    ] {
        let seen = Run::new(1, 50).copied().play(&script);
        assert!(seen.ended(&End::Failed, 5_000, 15_000) > 900);
        assert_eq!(seen.ended(&End::Failed, 15_000, 50_000), 0);
        seen.assert_all_serve(0.2, 45_000, 50_000);
        assert_eq!(seen.in_flight(), 0);
    }
}

#[test]
fn where_no_copies_are_sent_all_hosts_serve_when_the_evidence_of_an_outage_has_faded() {
    let script = [all(5_000, Hold), all(10_000, Release)].concat();
    let seen = Run::new(1, 80).play(&script);
    assert_eq!(seen.ended(&End::Failed, 10_000, 80_000), 0);
    seen.assert_all_serve(0.2, 75_000, 80_000);
    assert_eq!(seen.in_flight(), 0);
}

/// Twelve events of any kind, to any host, and all is well after 20 s.
fn any_script(seed: u64) -> Vec<(u64, Event)> {
    let kinds = [Partition, Repair, Hold, Release, Crash, Bounce, Quick];
    let rng = Rng::seeded(seed);
    let mut script: Vec<_> = (0..12_u64)
        .map(|nth| {
            let (kind, host) = (rng.below(kinds.len() + 1), rng.below(HOSTS.len()));
            let event = kinds.get(kind).map_or(Slow(host, 150), |kind| kind(host));
            (2_000 + nth * 1_500, event)
        })
        .collect();
    for heals in [Bounce as fn(usize) -> Event, Release, Repair, Quick] {
        script.extend(all(20_000, heals));
    }
    script
}

#[test]
fn whatever_happens_to_the_network_all_hosts_serve_when_it_is_well() {
    for seed in 1..=3 {
        let run = Run::new(seed, 60).copied().checked().with_users_who_leave();
        let seen = run.play(&any_script(seed));
        assert_eq!(seen.ended(&End::Failed, 21_000, 60_000), 0);
        seen.assert_all_serve(0.2, 50_000, 60_000);
        assert_eq!(seen.in_flight(), 0);
    }
}

#[test]
fn a_seed_names_one_history() {
    let play = |seed| Run::new(seed, 12).copied().checked().play(&any_script(1));
    let (one, same, other) = (play(1), play(1), play(2));
    assert_eq!(one.answers, same.answers);
    assert_ne!(one.answers, other.answers);
}
