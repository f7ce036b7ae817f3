//! What a shard answers control is what is: who is in a session, and where.

use elara_core::{ClientAddr, NodeId};

use super::{Books, Step};
use crate::checkers::Broken;

/// # Errors
/// The first session that was described as it is not.
pub(crate) fn check(step: &Step<'_>, _: &mut Books) -> Result<(), Broken> {
    for view in &step.views {
        let mut said: Vec<(NodeId, ClientAddr)> =
            view.participants.iter().map(|line| (line.node, line.addr)).collect();
        said.sort_unstable();
        let room = step.mirror.rooms.get(&view.session);
        // A member who left in this cycle may have done so before the question or after it.
        let unsettled = |node: &NodeId| room.and_then(|room| room.get(node)).is_none_or(|s| s.left);
        said.retain(|(node, _)| !unsettled(node));
        let is: Vec<(NodeId, ClientAddr)> = room
            .into_iter()
            .flatten()
            .filter(|(_, seat)| !seat.left)
            .filter_map(|(node, seat)| Some((*node, *seat.addr()?)))
            .collect();
        if said != is {
            return Err(format!("it describes {said:?}, and it is {is:?}"));
        }
    }
    Ok(())
}
