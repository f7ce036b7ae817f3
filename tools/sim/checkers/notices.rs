//! A shard says what changed, when it changed, in order: everything the model expects, nothing else.
//! Forgetting the silent is the shard's own decision, so that is checked for being due, and adopted.

use std::collections::VecDeque;

use elara_core::time::Instant;
use elara_shards::command::{Notice, Why};

use super::Broken;
use crate::model::Model;

/// The notices a shard owes.
#[derive(Debug, Default)]
pub struct Notices {
    owed: VecDeque<Notice>,
}

impl Notices {
    /// What was heard in this cycle should cause these, in this order.
    pub fn owe(&mut self, notices: &mut Vec<Notice>) {
        self.owed.extend(notices.drain(..));
    }

    /// The shard says something.
    ///
    /// # Errors
    /// When it should have said something else, or nothing.
    pub fn said(&mut self, notice: Notice, model: &mut Model, now: Instant) -> Result<(), Broken> {
        if let Some(owed) = self.owed.pop_front() {
            return match owed == notice {
                true => Ok(()),
                false => Err(format!("it should say {owed:?}, and says {notice:?}")),
            };
        }
        let Notice::Left { session, node, why: Why::Silent } = notice else {
            return Err(format!("it says {notice:?}, and that did not happen"));
        };
        if !model.may_forget(session, node, now) {
            return Err(format!("it forgot node {node} of session {session}, which is not silent"));
        }
        if model.is_overdue(session, node, now) {
            return Err(format!("it forgot node {node} of session {session} too late"));
        }
        let mut ended = Vec::new();
        model.forget(session, node, now, &mut ended);
        self.owe(&mut ended);
        Ok(())
    }

    /// The cycle is over.
    ///
    /// # Errors
    /// When something is still owed.
    pub fn settle(&self) -> Result<(), Broken> {
        match self.owed.front() {
            Some(owed) => Err(format!("it never said {owed:?}")),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::scenes;
    use super::*;
    use elara_core::time::Span;

    #[test]
    fn what_happened_must_be_said_and_nothing_else() {
        let mut model = scenes::model();
        let (mut notices, now) = (Notices::default(), Instant::ZERO);
        let session = scenes::SESSION;
        notices.owe(&mut vec![Notice::SessionOpened { session }]);
        assert!(notices.settle().is_err());
        assert!(notices.said(Notice::SessionEnded { session }, &mut model, now).is_err());
        assert!(notices.said(Notice::SessionEnded { session }, &mut model, now).is_err());
        assert_eq!(notices.settle(), Ok(()));
    }

    #[test]
    fn the_silent_may_be_forgotten_when_their_time_has_come() {
        let mut model = scenes::model();
        let mut notices = Notices::default();
        let left =
            Notice::Left { session: scenes::SESSION, node: scenes::BOB_ID, why: Why::Silent };
        let at = |secs| Instant::ZERO + Span::from_secs(secs);
        assert!(notices.said(left, &mut model.clone(), at(59)).is_err());
        assert!(notices.said(left, &mut model.clone(), at(62)).is_err());
        assert_eq!(notices.said(left, &mut model, at(60)), Ok(()));
        assert!(notices.said(left, &mut model, at(61)).is_err(), "only once");
    }
}
