//! Tables hold what they should and no more than they may.

use elara_core::limits::{CYCLE_TRAINS_MAX, DESK_MAX, HALF_OPEN_MAX};

use super::{Books, Step};
use crate::checkers::Broken;

/// # Errors
/// The table that holds something else than it should, or too much.
pub(crate) fn check(step: &Step<'_>, _: &mut Books) -> Result<(), Broken> {
    let (counters, mirror) = (&step.counters, step.mirror);
    let inside = |room: &std::collections::BTreeMap<_, super::super::mirror::Seat>| {
        room.values().filter(|seat| !seat.left).count()
    };
    let rooms = mirror.rooms.values().map(inside).filter(|members| *members > 0);
    let (sessions, members) =
        rooms.fold((0, 0), |(rooms, all), room| (rooms + 1, all + room as u64));
    if (counters.sessions, counters.participants) != (sessions, members) {
        return Err(format!(
            "the tables hold {} sessions and {} participants, and should hold {sessions} and {members}",
            counters.sessions, counters.participants
        ));
    }
    if counters.joined - counters.left != members {
        return Err(format!(
            "{} joined and {} left, but {members} are there",
            counters.joined, counters.left
        ));
    }
    if mirror.rooms.values().map(inside).any(|room| room > step.max_peers) {
        return Err(format!("a session has more than {} participants", step.max_peers));
    }
    if counters.half_open > HALF_OPEN_MAX as u64 || counters.hellos_waiting > DESK_MAX as u64 {
        return Err(format!(
            "{} are half-open and {} wait at the desk",
            counters.half_open, counters.hellos_waiting
        ));
    }
    if counters.notices_lost > 0 {
        return Err("notices were lost although somebody reads them".to_owned());
    }
    if step.trains > CYCLE_TRAINS_MAX as u64 {
        return Err(format!("{} trains in one cycle are more than its budget", step.trains));
    }
    if step.at < step.before {
        return Err(format!("a cycle at {:?} follows one at {:?}", step.at, step.before));
    }
    Ok(())
}
