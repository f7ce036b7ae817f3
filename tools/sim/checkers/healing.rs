//! Once the network is well again, every two live participants of a session hear each other within
//! two seconds.

use elara_core::SessionId;

use super::Broken;

/// Who has heard whom: by receiver and sender, one more than the newest frame handed over.
#[derive(Debug, Default)]
pub struct Healing {
    newest: Vec<Vec<u32>>,
}

/// A participant that has been speaking since the network is well, and was taken in.
#[derive(Clone, Copy, Debug)]
pub struct Live {
    /// Who.
    pub participant: u32,
    /// Where.
    pub session: SessionId,
    /// The number its first frame after the healing had.
    pub first: u32,
}

impl Healing {
    /// A frame is handed to a participant.
    pub fn hand(&mut self, receiver: u32, sender: u32, number: u32) {
        let (receiver, sender) = (receiver as usize, sender as usize);
        if self.newest.len() <= receiver {
            self.newest.resize_with(receiver + 1, Vec::new);
        }
        let row = &mut self.newest[receiver];
        if row.len() <= sender {
            row.resize(sender + 1, 0);
        }
        row[sender] = row[sender].max(number + 1);
    }

    /// Two seconds have passed. Answers how many pairs hear each other.
    ///
    /// # Errors
    /// A pair that does not.
    pub fn check(&self, live: &[Live]) -> Result<u64, Broken> {
        let mut pairs = 0;
        for sender in live {
            for receiver in live {
                let same = sender.participant == receiver.participant;
                if same || sender.session != receiver.session {
                    continue;
                }
                if self.newest(receiver.participant, sender.participant) <= sender.first {
                    return Err(format!(
                        "two seconds after the network healed, participant {} still hears nothing \
                         from {} in session {}",
                        receiver.participant, sender.participant, sender.session
                    ));
                }
                pairs += 1;
            }
        }
        Ok(pairs)
    }

    fn newest(&self, receiver: u32, sender: u32) -> u32 {
        let row = self.newest.get(receiver as usize);
        row.and_then(|row| row.get(sender as usize)).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_must_work_and_old_frames_do_not_count() {
        let live = |participant| Live { participant, session: SessionId(1), first: 10 };
        let elsewhere = Live { participant: 3, session: SessionId(2), first: 0 };
        let live = [live(1), live(2), elsewhere];
        let mut healing = Healing::default();
        healing.hand(1, 2, 10);
        healing.hand(2, 1, 9);
        assert!(healing.check(&live).is_err());
        healing.hand(2, 1, 10);
        assert_eq!(healing.check(&live), Ok(2));
    }
}
