//! No frame is handed to a participant more often than the network duplicated it.

use super::Broken;

/// How often each frame may be handed to each participant, and was.
#[derive(Debug, Default)]
pub struct Once {
    /// By sender and number: copies of it that the network brought to a relay.
    allowed: Vec<Vec<u8>>,
    /// By receiver, sender and number.
    handed: Vec<Vec<Vec<u8>>>,
}

impl Once {
    /// The network brings a copy of a frame to the relay.
    pub fn allow(&mut self, sender: u32, number: u32) {
        let count = slot(row(&mut self.allowed, sender), number);
        *count = count.saturating_add(1);
    }

    /// A frame is handed to a participant, and not because the way from the relay duplicated it.
    ///
    /// # Errors
    /// When that is once too often.
    pub fn hand(&mut self, receiver: u32, sender: u32, number: u32) -> Result<(), Broken> {
        let allowed = *slot(row(&mut self.allowed, sender), number);
        let handed = slot(row(row(&mut self.handed, receiver), sender), number);
        *handed = handed.saturating_add(1);
        if *handed > allowed {
            return Err(format!(
                "participant {receiver} got frame {number} of {sender} {handed} times, \
                 and the relay got it {allowed} times"
            ));
        }
        Ok(())
    }
}

fn row<T: Default + Clone>(table: &mut Vec<T>, index: u32) -> &mut T {
    let index = index as usize;
    if table.len() <= index {
        table.resize(index + 1, T::default());
    }
    &mut table[index]
}

fn slot(row: &mut Vec<u8>, index: u32) -> &mut u8 {
    let index = index as usize;
    if row.len() <= index {
        row.resize((index + 1).max(64).next_power_of_two(), 0);
    }
    &mut row[index]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_often_as_it_was_brought_and_not_once_more() {
        let mut once = Once::default();
        once.allow(1, 500);
        once.allow(1, 500);
        assert_eq!((once.hand(2, 1, 500), once.hand(3, 1, 500)), (Ok(()), Ok(())));
        assert_eq!(once.hand(2, 1, 500), Ok(()));
        assert!(once.hand(2, 1, 500).is_err());
        assert!(once.hand(2, 1, 501).is_err(), "it was never brought");
    }
}
