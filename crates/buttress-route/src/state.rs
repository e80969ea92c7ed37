//! What an endpoint's own lock guards: its circuit, the rules that trip it, its evidence.

mod by_hand;
mod call;
mod checks;
mod lateness;
mod needed;
mod pause;
mod probing;
mod quiet;
mod recent;
mod relapse;
mod rising;
mod rules;
mod run;
mod second_look;
mod settling;
mod shunning;
mod signals;
mod suspect;
mod windows;

use std::sync::Arc;
use std::time::Duration;

use buttress_core::circuit::{self, Circuit, Settings};
use buttress_core::clock::Instant;
use buttress_core::health::HealthSignal;
use buttress_core::verdict::{Action, Verdict};

use crate::budget::Fault;
use crate::config::Config;
use crate::evidence::{Evidence, INDISTINCT, Pool, Score};
use crate::load::NO_RELIEF;
use crate::peers::{Peers, Shows};
use crate::policy::Policy;
use crate::snapshot::{CheckSnapshot, EndpointState};
use crate::tally::{Rule, Tally};
use crate::verdicts::Verdicts;
pub(crate) use call::Call;
use checks::Checked;
pub(crate) use checks::{CheckEnded, Checker};
use needed::Needed;
use pause::Pause;
use recent::Recent;
use relapse::Relapse;
use rising::Rising;
use run::Run;
use second_look::SecondLook;
pub(crate) use second_look::lasts;
pub(crate) use shunning::Look;
use shunning::Shunning;
pub(crate) use suspect::STILL_ANSWERS;
use windows::Windows;

/// How often the signals of an endpoint that is held out are asked again.
pub(crate) const ASK_AGAIN: Duration = Duration::from_millis(20);
/// How many times its cost an endpoint costs that should be held out and cannot be.
const WARNED_COST: f32 = 10.0;

/// In memory as it is written: first, side by side, what the end of a good answer looks at ([`State::settle_quietly`]).
/// In a large pool hardly anything of an endpoint is in a cache, and each line that is fetched drives out one that a pick
/// would have found there.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct State {
    pub(crate) config: Arc<Config>,
    /// A signal or the checks say that the endpoint is unhealthy.
    warned: bool,
    /// And it is out for that.
    held: bool,
    /// By whose word it was held last.
    held_for: Rule,
    draining: bool,
    /// It is of weight 0.
    weightless: bool,
    /// A rule would have thrown it out, was held back, and has not been contradicted since.
    spared: bool,
    recent: Recent,
    run: Run,
    relapse: Relapse,
    /// When the signals of an endpoint that is held out are asked again.
    ask_at: Instant,
    pub(crate) signals: Vec<HealthSignal>,
    /// It is back, and not all of its traffic is.
    rising: Option<Rising>,
    pub(crate) evidence: Evidence,
    pub(crate) circuit: Circuit,
    // From here on seldom, but for the last of the tally and the first of the windows.
    checked: Checked,
    pub(crate) since: Instant,
    pub(crate) verdicts: Verdicts,
    look: SecondLook,
    /// The share that it is ready to bear, as levels were told last.
    pub(crate) told_share: f64,
    /// The share of its requests that it is given for what it says of its load.
    pub(crate) relief: f64,
    open_until: Instant,
    /// Between two probes.
    pause: Pause,
    /// When a probe's lease runs out and makes room for another.
    leased_until: Instant,
    pub(crate) tally: Tally,
    windows: Windows,
    /// What a rule has thrown it out for last.
    fault: Fault,
    /// That it was slow.
    for_slowness: bool,
    /// It was held back last because the budget had no room for it.
    lacks_room: bool,
    /// The share of its requests that it is given as a suspect.
    as_suspect: f64,
    needed: Needed,
    shunning: Shunning,
}

/// What was decided, and why; told to the world once the lock is released.
#[derive(Debug)]
pub(crate) struct Decision(pub(crate) Verdict);

impl State {
    pub(crate) fn new(config: Arc<Config>, now: Instant) -> Self {
        Self {
            circuit: Circuit::new(of_an_endpoint(&config), now),
            evidence: Evidence::new(config.decay, now),
            tally: Tally::default(),
            signals: Vec::new(),
            checked: Checked::default(),
            since: now,
            verdicts: Verdicts::default(),
            run: Run::default(),
            recent: Recent::default(),
            relapse: Relapse::default(),
            look: SecondLook::new(now),
            rising: None,
            told_share: 1.0,
            relief: NO_RELIEF,
            windows: Windows::new(&config),
            open_until: now,
            pause: Pause::over(),
            leased_until: now,
            fault: Fault::Late,
            for_slowness: false,
            lacks_room: false,
            as_suspect: suspect::WHOLE,
            needed: Needed::not(),
            shunning: Shunning::none(),
            ask_at: now,
            warned: false,
            held: false,
            held_for: Rule::HealthSignal,
            draining: false,
            weightless: false,
            spared: false,
            config,
        }
    }

    /// What the pool is doing with the endpoint.
    pub(crate) fn endpoint_state(&self) -> EndpointState {
        match self.circuit.state() {
            _ if self.draining || self.weightless => EndpointState::Draining,
            circuit::State::ForcedOpen => EndpointState::ForcedOut,
            circuit::State::Open => EndpointState::Ejected,
            circuit::State::HalfOpen => EndpointState::Probing,
            _ if self.held => EndpointState::Held,
            _ => EndpointState::Active,
        }
    }

    /// Whether the endpoint is of weight 0.
    pub(crate) const fn is_weightless(&self) -> bool {
        self.weightless
    }

    /// Whether the endpoint takes traffic only because the budget bears no further ejection.
    pub(crate) fn is_suspect(&self) -> bool {
        let spared = self.spared || (self.warned && !self.held);
        spared && self.endpoint_state() == EndpointState::Active
    }

    /// When a pick should look after the endpoint, if it is out.
    ///
    /// Looking after it always makes this later, unless it gave a lease: whoever is due for nothing
    /// would keep every other endpoint from its probes.
    pub(crate) fn due(&self, now: Instant) -> Option<Instant> {
        let probe_at = match self.endpoint_state() {
            EndpointState::Active => return None,
            EndpointState::Held => return Some(self.ask_at),
            EndpointState::ForcedOut | EndpointState::Draining => return Some(Instant::NEVER),
            EndpointState::Probing if self.circuit.would_admit(now) => now.max(self.pause.until()),
            EndpointState::Probing => self.leased_until,
            // Where somebody checks, that is the probe, and no request has to be.
            EndpointState::Ejected => self.open_until.saturating_add(self.patience()),
        };
        // No probe is sent against a signal: until that is withdrawn it can only be asked again.
        Some(if self.held {
            probe_at.max(self.ask_at)
        } else {
            probe_at
        })
    }

    /// What it is out for, where that is a rule's word alone.
    pub(crate) fn out_for(&self) -> Option<Fault> {
        let by_rule = matches!(
            self.endpoint_state(),
            EndpointState::Ejected | EndpointState::Probing
        );
        (by_rule && !self.warned).then_some(self.fault)
    }

    /// After how long the endpoint is probed, if it is ejected.
    pub(crate) fn retry_after(&self, now: Instant) -> Option<Duration> {
        let ejected = self.endpoint_state() == EndpointState::Ejected;
        ejected.then(|| self.open_until.saturating_since(now))
    }

    pub(crate) fn score(&self, now: Instant, peers: &Peers) -> Score {
        let mut score = self.evidence.score(now, &self.pool(peers));
        if matches!(self.config.policy, Policy::PeakEwma) {
            score.latency = self.peak(now, peers);
        }
        if self.warned && !self.held {
            score.latency *= WARNED_COST;
        }
        score
    }

    /// What its evidence is held against.
    fn pool(&self, peers: &Peers) -> Pool {
        let mut pool = peers.pool();
        if self.recent.fails_late() || self.recent.fails_all() {
            pool.eased = 1.0;
        }
        pool
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "24 bits are more than is known"
    )]
    fn peak(&self, now: Instant, peers: &Peers) -> f32 {
        (self.evidence.peak_at(now, peers.latency()) + INDISTINCT) as f32
    }

    /// The mean latency, if the score stands on nothing else.
    pub(crate) fn steady_latency(&self) -> Option<f64> {
        self.evidence.steady_latency().filter(|_| !self.warned)
    }

    /// What this endpoint adds to what the pool shows.
    pub(crate) fn shows(&self, now: Instant) -> Shows {
        // What who is out leaves to the others shows at these.
        let is_in = f64::from(u8::from(self.endpoint_state() == EndpointState::Active));
        let is_in = is_in * self.recent.keeps_waiting();
        let (slowdown, is_known) = self.evidence.slowdown_at(now);
        Shows {
            latency: self.evidence.latency_at(now).unwrap_or_default(),
            slowdown: (slowdown, is_known * is_in),
            in_vain: (self.recent.in_vain(), is_in),
            is_ill: self.out_for().is_some(),
            failing: self.evidence.failing_at(now),
            failing_now: self.recent.share(),
            late: self.evidence.late_at(now),
            slow: (self.windows.lateness()).map_or((0.0, 0.0), |it| it.share(now)),
            load: 0.0,
            utilization: None,
        }
    }

    /// How many calls there were, of which so many have not ended.
    pub(crate) fn picks(&self, in_flight: u32) -> u64 {
        (self.tally.outcomes.total()).saturating_add(u64::from(in_flight))
    }

    /// Whether somebody else may have a word on it.
    fn is_spoken_of(&self) -> bool {
        self.warned || !self.signals.is_empty()
    }

    /// What the checks say, and how many ended how; `None` if there are none.
    pub(crate) fn check_snapshot(&self) -> Option<CheckSnapshot> {
        self.checked.snapshot()
    }

    /// Whether copies have to show that what failed is over. Who failed now and then has mostly somebody else's good answer
    /// on its way.
    pub(crate) fn is_in_doubt(&self, peers: &Peers, now: Instant) -> bool {
        self.evidence.has_failed()
            && peers.are_looked_at()
            && self.evidence.is_in_doubt(&peers.pool(), now)
    }

    pub(crate) fn reconfigure(&mut self, config: &Arc<Config>) {
        self.windows.reconfigure(&self.config, config);
        self.circuit.reconfigure(of_an_endpoint(config));
        self.evidence.set_decay(config.decay);
        self.config = Arc::clone(config);
    }

    /// It is in another state from now on.
    pub(crate) const fn entered(&mut self, now: Instant) {
        self.since = now;
        self.shunning.ends();
    }

    fn start_afresh(&mut self, now: Instant) {
        self.forget_rules();
        (self.spared, self.for_slowness) = (false, false);
        self.pause = Pause::over();
        self.evidence.pardon(now);
        self.look = SecondLook::new(now);
    }

    fn forget_rules(&mut self) {
        self.run = Run::default();
        self.windows.clear();
    }
}

/// The pool gives an endpoint that is back its traffic by itself, and weighs it: its circuit needs no ramp of its own,
/// and no limit that would close or open it behind the pool's back.
fn of_an_endpoint(config: &Config) -> Settings {
    let mut settings = config.circuit.clone().ramp(None);
    settings.half_open_limit = None;
    settings
}

fn acting(mut verdict: Verdict, action: Action) -> Verdict {
    verdict.action = action;
    verdict
}
