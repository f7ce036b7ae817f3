//! Refused sends that wait to be asked for: bounded, in the order they were refused.

use std::collections::VecDeque;

use elara_core::limits::REFUSALS_MAX;

use crate::counters::Refusal;

/// At most `limits::REFUSALS_MAX` of them; further ones are forgotten, for the egress counters have them.
#[derive(Debug)]
pub(super) struct Refusals(VecDeque<Refusal>);

impl Refusals {
    pub(super) fn new() -> Self {
        Self(VecDeque::with_capacity(REFUSALS_MAX))
    }

    /// Remembers it, unless it is nobody's.
    pub(super) fn push(&mut self, refusal: Refusal) {
        if refusal.tag != 0 && self.0.len() < REFUSALS_MAX {
            self.0.push_back(refusal);
        }
    }

    #[inline]
    pub(super) fn pop(&mut self) -> Option<Refusal> {
        self.0.pop_front()
    }
}
