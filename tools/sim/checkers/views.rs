//! What a shard answers control is what is: sessions, their participants, where they are, how long they
//! have been silent.

use elara_core::SessionId;
use elara_core::time::Instant;
use elara_shards::Report;
use elara_shards::command::{ParticipantView, SessionView};

use super::Broken;
use crate::model::Model;

/// Looks at an answer; `asked` is the session a [`Report::Session`] should be about.
///
/// # Errors
/// The first thing that is not so.
pub fn check(report: &Report, asked: SessionId, model: &Model, now: Instant) -> Result<(), Broken> {
    match report {
        Report::Session { view, .. } => check_session(view.as_ref(), asked, model, now),
        Report::Sessions { page, next, .. } => {
            let mut listed: Vec<(SessionId, usize)> =
                page.iter().map(|line| (line.session, line.participants as usize)).collect();
            listed.sort_unstable();
            let is: Vec<(SessionId, usize)> =
                model.sessions.iter().map(|(id, session)| (*id, session.members.len())).collect();
            if next.is_none() && listed != is {
                return Err(format!("it lists {listed:?}, and there are {is:?}"));
            }
            Ok(())
        }
        Report::Counters { counters, .. } => {
            let sessions = model.sessions.len() as u64;
            if counters.sessions != sessions {
                let said = counters.sessions;
                return Err(format!("it counts {said} sessions, and there are {sessions}"));
            }
            Ok(())
        }
        Report::Notice(_) | Report::Stopped { .. } | Report::Kicked { .. } => Ok(()),
        Report::Lost { notices } => Err(format!("it lost {notices} notices, and there was room")),
    }
}

fn check_session(
    view: Option<&SessionView>,
    asked: SessionId,
    model: &Model,
    now: Instant,
) -> Result<(), Broken> {
    let is = model.sessions.get(&asked).map(|session| SessionView {
        session: asked,
        age: now.since(session.opened),
        frames: session.frames,
        participants: session
            .members
            .iter()
            .map(|(node, member)| ParticipantView {
                node: *node,
                addr: member.addr,
                silent: now.since(member.heard),
                sent: 0,
                lost: 0,
            })
            .collect(),
    });
    let said = view.cloned().map(|mut view| {
        view.participants.sort_unstable_by_key(|participant| participant.node);
        view
    });
    match said == is {
        true => Ok(()),
        false => Err(format!("it describes {said:?}, and it is {is:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::scenes;
    use super::*;
    use elara_shards::command::SessionLine;

    #[test]
    fn a_listing_must_be_complete() {
        let model = scenes::model();
        let line = SessionLine { session: scenes::SESSION, participants: 2 };
        let report = |page| Report::Sessions { ticket: 0, page, next: None };
        let check = |report| check(&report, scenes::SESSION, &model, Instant::ZERO);
        assert_eq!(check(report(vec![line])), Ok(()));
        assert!(check(report(vec![])).is_err());
        assert!(check(report(vec![SessionLine { participants: 3, ..line }])).is_err());
    }

    #[test]
    fn a_session_that_is_there_must_be_described() {
        let model = scenes::model();
        let report = Report::Session { ticket: 0, view: None };
        assert!(check(&report, scenes::SESSION, &model, Instant::ZERO).is_err());
        assert_eq!(check(&report, SessionId(99), &model, Instant::ZERO), Ok(()));
    }
}
