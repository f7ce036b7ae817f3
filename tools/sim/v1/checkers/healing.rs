//! Once the network is well again, everyone with a good token is in, all agree on who is here, and
//! everyone hears everyone they asked for.

use std::collections::{BTreeMap, BTreeSet};

use elara_core::{NodeId, SessionId};

use crate::checkers::Broken;
use crate::v1::ledger::{Ledger, WishId};

/// Who has heard whom since the last reckoning.
#[derive(Debug, Default)]
pub(crate) struct Healing {
    heard: BTreeSet<(u32, u32)>,
}

/// A participant that should be well.
#[derive(Clone, Debug)]
pub(crate) struct Well {
    pub(crate) participant: u32,
    pub(crate) session: SessionId,
    pub(crate) node: NodeId,
    /// It has been speaking all the time.
    pub(crate) speaks: bool,
    /// What it says: its class, and the stream it belongs to.
    pub(crate) class: u8,
    pub(crate) stream: Option<u16>,
    /// Its token lets it hear others.
    pub(crate) hears: bool,
    /// What it asked for.
    pub(crate) wish: WishId,
    /// Whom it believes to be in the session: those who may send, and how many others.
    pub(crate) roster: (BTreeSet<NodeId>, u32),
}

impl Healing {
    /// The reckoning begins anew.
    pub(crate) fn begin(&mut self) {
        self.heard.clear();
    }

    /// A content is handed to a participant.
    pub(crate) fn hand(&mut self, receiver: u32, sender: u32) {
        self.heard.insert((receiver, sender));
    }

    /// Answers how many pairs hear each other.
    ///
    /// # Errors
    /// A pair that does not.
    pub(crate) fn check(&self, well: &[Well], ledger: &Ledger) -> Result<u64, Broken> {
        let mut pairs = 0;
        for sender in well.iter().filter(|well| well.speaks) {
            let same = |other: &&Well| {
                other.hears
                    && ledger.covers(other.wish, sender.node, sender.stream, sender.class)
                    && other.session == sender.session
                    && other.participant != sender.participant
            };
            for receiver in well.iter().filter(same) {
                if !self.heard.contains(&(receiver.participant, sender.participant)) {
                    return Err(format!(
                        "participant {} hears nothing from {} in session {}",
                        receiver.participant, sender.participant, sender.session
                    ));
                }
                pairs += 1;
            }
        }
        Ok(pairs)
    }
}

/// Whether all who are well know who is in their sessions.
///
/// # Errors
/// The first who does not.
pub(crate) fn check_rosters(
    well: &[Well],
    is: &BTreeMap<SessionId, (BTreeSet<NodeId>, u32)>,
) -> Result<(), Broken> {
    for Well { participant, session, roster, .. } in well {
        let Some(is) = is.get(session) else {
            return Err(format!("session {session} is not there"));
        };
        if roster != is {
            return Err(format!(
                "participant {participant} believes that {roster:?} are in session {session}, and \
                 it is {is:?}"
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use elara_core::wire::v1::control::Wish;

    use super::*;
    use crate::v1::canary::Canaries;

    fn well(participant: u32, speaks: bool) -> Well {
        Well {
            participant,
            session: SessionId(1),
            node: NodeId(participant.into()),
            speaks,
            class: 3,
            stream: None,
            hears: true,
            wish: 0,
            roster: (BTreeSet::from([NodeId(1), NodeId(2)]), 0),
        }
    }

    #[test]
    fn whoever_hears_nothing_is_found_and_the_silent_need_not_be_heard() {
        let mut ledger = Ledger::new(Canaries::new());
        ledger.wish(&[Wish::EVERYTHING], 0);
        let check = |healing: &Healing, well: &[Well]| healing.check(well, &ledger);
        let mut healing = Healing::default();
        let (one, two) = (well(1, true), well(2, false));
        assert!(check(&healing, &[one.clone(), two.clone()]).is_err());
        healing.hand(2, 1);
        assert_eq!(check(&healing, &[one.clone(), two.clone()]), Ok(1));
        healing.begin();
        assert!(check(&healing, &[one, two]).is_err());
    }

    #[test]
    fn a_roster_of_yesterday_is_found() {
        let both = (BTreeSet::from([NodeId(1), NodeId(2)]), 0);
        let mut is = BTreeMap::from([(SessionId(1), both)]);
        assert_eq!(check_rosters(&[well(1, true)], &is), Ok(()));
        is.insert(SessionId(1), (BTreeSet::from([NodeId(1)]), 0));
        assert!(check_rosters(&[well(1, true)], &is).is_err());
    }
}
