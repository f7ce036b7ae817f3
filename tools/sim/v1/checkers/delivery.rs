//! What a participant is handed was said by whom it seems to be, in its session, and is handed to it once,
//! whatever the network and strangers did to it.

use std::collections::{BTreeSet, HashMap};

use elara_core::{NodeId, SessionId};

use crate::checkers::Broken;

/// What was said: by participant and number.
#[derive(Debug, Default)]
pub(crate) struct Delivery {
    said: HashMap<(u32, u32), Saying>,
    handed: BTreeSet<(u32, u32, u32)>,
}

/// A content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Saying {
    pub(crate) session: SessionId,
    pub(crate) node: NodeId,
    pub(crate) class: u8,
    /// Of the whole content.
    pub(crate) digest: u64,
}

impl Delivery {
    /// Participant `sender` says its `number`th content.
    pub(crate) fn say(&mut self, sender: u32, number: u32, saying: Saying) {
        self.said.insert((sender, number), saying);
    }

    /// Participant `receiver` is handed something that claims to be `sender`'s `number`th; `once` when
    /// it must not be handed that again.
    ///
    /// # Errors
    /// When nobody said it so, or it is not the first time.
    pub(crate) fn hand(
        &mut self,
        receiver: u32,
        (sender, number): (u32, u32),
        what: Saying,
        once: bool,
    ) -> Result<(), Broken> {
        if self.said.get(&(sender, number)) != Some(&what) {
            return Err(format!("participant {receiver} is handed what {} never said", what.node));
        }
        if !self.handed.insert((receiver, sender, number)) && once {
            return Err(format!("participant {receiver} is handed {number} of {sender} twice"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twice_and_never_said_are_told_apart() {
        let mut delivery = Delivery::default();
        let saying = Saying { session: SessionId(1), node: NodeId(2), class: 3, digest: 4 };
        delivery.say(7, 0, saying);
        assert_eq!(delivery.hand(8, (7, 0), saying, true), Ok(()));
        assert_eq!(delivery.hand(9, (7, 0), saying, true), Ok(()));
        assert!(delivery.hand(8, (7, 0), saying, true).unwrap_err().contains("twice"));
        assert!(delivery.hand(9, (7, 1), saying, true).unwrap_err().contains("never said"));
        let other = Saying { class: 0, ..saying };
        assert!(delivery.hand(5, (7, 0), other, true).unwrap_err().contains("never said"));
    }
}
