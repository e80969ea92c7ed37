//! What core wraps stays `Send`, `Sync` and `Unpin` if it was, and what is shared can be shared.
#![cfg(feature = "http")]

use std::future::Ready;

use buttress_core::body::Watched;
use buttress_core::bounded::Bounded;
use buttress_core::circuit::Circuit;
use buttress_core::classify::HttpStatus;
use buttress_core::clock::{Clock, ManualClock, Sleep};
use buttress_core::events::{Events, Subscription};
use buttress_core::health::HealthSignal;
use buttress_core::judge::{Judge, JudgedBody};
use buttress_core::judge_result::JudgeResult;
use buttress_core::outcome::Outcome;
use buttress_core::protocol::OkOrErr;
use buttress_core::rng::Rng;
use buttress_core::settle::{Guard, Settle};
use buttress_core::window::{CallWindow, TimeWindow};
use buttress_testing::ScriptedBody;
use buttress_testing::auto_traits::{assert_clone, assert_send, assert_sync, assert_unpin};

struct Nothing;

impl Settle for Nothing {
    fn settle(self, _: Outcome) {}
}

/// An error that is neither `Send` nor `Sync`: bodies name it, and hold none.
struct Local(#[expect(dead_code, reason = "it only has to be in the type")] std::rc::Rc<()>);

type Body = JudgedBody<ScriptedBody, HttpStatus, Nothing, Local>;
type Answer = Ready<Result<http::Response<ScriptedBody>, std::convert::Infallible>>;

#[test]
fn what_is_wrapped_keeps_its_auto_traits() {
    assert_send::<Judge<Answer, HttpStatus, Nothing>>();
    assert_sync::<Judge<Answer, HttpStatus, Nothing>>();
    assert_unpin::<Judge<Answer, HttpStatus, Nothing>>();
    assert_send::<JudgeResult<Ready<Result<(), ()>>, OkOrErr, Nothing>>();
    assert_send::<Body>();
    assert_sync::<Body>();
    assert_unpin::<Body>();
    assert_send::<Guard<Nothing>>();
    assert_send::<Watched<ScriptedBody, ()>>();
    assert_send::<Sleep>();
}

#[test]
fn what_is_shared_can_be_shared() {
    assert_sync::<Bounded<String, CallWindow>>();
    assert_sync::<Events<String>>();
    assert_send::<Subscription<String>>();
    assert_sync::<Circuit>();
    assert_sync::<TimeWindow>();
    assert_sync::<Clock>();
    assert_sync::<ManualClock>();
    assert_sync::<HealthSignal>();
    assert_sync::<Rng>();
    assert_clone::<Clock>();
    assert_clone::<HealthSignal>();
}
