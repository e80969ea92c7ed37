//! A request that may be sent again: what is held of it, and what its attempts came to.

use std::sync::Arc;

use buttress_core::attempt::Attempt;
use buttress_core::clock::Instant;
use buttress_core::deadline::Deadline;
use buttress_core::replay::Replayable;
use http::{Request, Response};
use tower_service::Service;

use super::config::Config;
use super::head::Held;
use super::reason::{Answer, Failed, GivenUp, is_plainly_well, says_no_other};
use super::shared::Shared;
use crate::attempted::{Attempted, Told};

/// What is held of a request, on the heap: one that is not held does not carry the room for it about.
pub(super) struct Kept<S, B>
where
    S: Service<Request<B>>,
    B: Replayable,
{
    shared: Arc<Shared>,
    pub(super) service: S,
    head: Held,
    body: B::Kept,
    came: Instant,
    attempted: Attempted,
    resends: u32,
    /// What the attempt under way has cost of the budget.
    paid: Option<u64>,
    told: Told,
    /// The answer of the attempt before, for when there is no better. Boxed, for most have none.
    last: Option<Box<Result<S::Response, S::Error>>>,
}

impl<S, B> Kept<S, B>
where
    S: Service<Request<B>>,
    B: Replayable,
{
    /// Holds `request`, if it can be sent again at all.
    pub(super) fn of(
        shared: &Arc<Shared>,
        request: &mut Request<B>,
        service: S,
    ) -> Option<Box<Self>> {
        let body = request.body_mut().keep(shared.max_body())?;
        Some(Box::new(Self {
            came: shared.clock.now(),
            shared: Arc::clone(shared),
            service,
            head: Held::of(request),
            body,
            attempted: Attempted::default(),
            resends: 0,
            paid: None,
            told: Told::default(),
            last: None,
        }))
    }

    /// Whether the endpoint of the attempt under way is not known yet.
    pub(super) const fn is_unknown(&self) -> bool {
        self.told.endpoint == 0
    }

    /// What the router has told on this thread while it was called or polled.
    pub(super) fn note(&mut self, told: Told) {
        if self.is_unknown() {
            self.told.endpoint = told.endpoint;
        }
        self.told.unsent |= told.unsent;
    }

    /// Sends the request again, to a service that is ready.
    pub(super) fn call(&mut self, mut request: Request<B>) -> S::Future {
        self.resends += 1;
        request.extensions_mut().insert(self.attempted);
        request
            .extensions_mut()
            .insert(Attempt::resent(self.resends));
        self.service.call(request)
    }
}

/// What follows from an answer.
pub(super) enum Then<B> {
    /// It is the answer.
    Answer,
    /// The one before was as good, and is the answer.
    Earlier,
    /// The request is sent again.
    Again(Box<Request<B>>),
}

impl<S, B, ResBody> Kept<S, B>
where
    S: Service<Request<B>, Response = Response<ResBody>>,
    S::Error: 'static,
    B: Replayable,
{
    /// Looks at the answer of the attempt under way.
    #[inline]
    pub(super) fn look_at(&mut self, answer: &Result<S::Response, S::Error>) -> Then<B> {
        if is_plainly_well(answer) {
            return self.well();
        }
        self.look_closer(answer)
    }

    #[inline]
    fn well(&self) -> Then<B> {
        if self.resends == 0 {
            self.shared.earn();
        } else {
            self.shared.counts.recovered();
            self.learn(true);
        }
        Then::Answer
    }

    /// What was paid for was answered well, or failed.
    fn learn(&self, well: bool) {
        if self.paid.is_some() {
            self.shared.learn(well);
        }
    }

    fn look_closer(&mut self, answer: &Result<S::Response, S::Error>) -> Then<B> {
        let config = self.shared.config();
        match Answer::of(answer, self.told.unsent, &config) {
            Answer::Well => self.well(),
            Answer::Final => self.refused(says_no_other(answer)),
            Answer::Failed(failed) => {
                self.learn(false);
                match self.again(failed, &config) {
                    Ok(request) => Then::Again(Box::new(request)),
                    Err(why) => {
                        self.shared.counts.given_up(why);
                        Then::Answer
                    }
                }
            }
        }
    }

    #[cold]
    fn refused(&mut self, no_other: bool) -> Then<B> {
        if self.last.is_none() {
            return Then::Answer;
        }
        if no_other {
            self.shared.counts.given_up(GivenUp::NoEndpoint);
            if let Some(paid) = self.paid {
                // Nobody had to answer it.
                self.shared.give_back(paid);
            }
        }
        Then::Earlier
    }

    /// The request for another attempt, or why there is none.
    #[cold]
    fn again(&mut self, failed: Failed, config: &Config) -> Result<Request<B>, GivenUp> {
        let now = self.shared.clock.now();
        if self.resends + 1 >= config.attempts {
            return Err(GivenUp::Attempts);
        }
        let head = self.head.again().ok_or(GivenUp::NotReplayable)?;
        let deadline = head.extensions.get::<Deadline>();
        if now.saturating_since(self.came) > config.within || deadline.is_some_and(|it| it.0 <= now)
        {
            return Err(GivenUp::Late);
        }
        let sent = failed != Failed::Unsent;
        if sent && !config.is_idempotent(&head) {
            return Err(GivenUp::NotIdempotent);
        }
        let body = B::again(&self.body).ok_or(GivenUp::NotReplayable)?;
        self.paid = if sent {
            let paid = self.shared.take(config, now);
            Some(paid.ok_or(GivenUp::Budget)?)
        } else {
            None
        };
        self.shared.counts.resent(failed);
        Ok(Request::from_parts(head, body))
    }

    /// Ends the attempt with this answer; another follows.
    pub(super) fn ended(&mut self, answer: Result<S::Response, S::Error>) {
        self.last = Some(Box::new(answer));
        if self.told.endpoint != 0 {
            self.attempted.add(self.told.endpoint);
        }
        self.told = Told::default();
    }

    /// The answer of the attempt before.
    pub(super) fn earlier(&mut self) -> Option<Result<S::Response, S::Error>> {
        self.last.take().map(|answer| *answer)
    }
}
