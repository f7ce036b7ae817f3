//! What happens in a node, told to whoever listens.

use elara_shards::command::Notice;
use tokio::sync::broadcast::{self, error::RecvError};

/// Notices of a node, from the moment [`NodeHandle::notices`](crate::NodeHandle::notices) was called.
///
/// At most `event_buffer_size` wait here (rounded up to a power of two). A receiver that lags loses
/// the **oldest** ones and hears how many as [`Heard::Gap`], in their place; then it should look at
/// the sessions again. Neither the shards nor other receivers ever wait for it.
#[derive(Debug)]
pub struct Notices(broadcast::Receiver<Notice>);

/// What [`Notices::recv`] brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Something happened.
    Notice(Notice),
    /// This many notices were lost here, because they were not fetched in time.
    Gap {
        /// How many.
        lost: u64,
    },
}

impl Notices {
    pub(crate) const fn new(receiver: broadcast::Receiver<Notice>) -> Self {
        Self(receiver)
    }

    /// Notices of a node that says nothing more.
    pub(crate) fn ended() -> Self {
        Self(broadcast::channel(1).1)
    }

    /// The next notice, or how many were lost before it. `None` after the last one, when the node has
    /// stopped. Safe to cancel: what is not received stays.
    pub async fn recv(&mut self) -> Option<Heard> {
        match self.0.recv().await {
            Ok(notice) => Some(Heard::Notice(notice)),
            Err(RecvError::Lagged(lost)) => Some(Heard::Gap { lost }),
            Err(RecvError::Closed) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use elara_core::SessionId;

    use super::*;

    #[tokio::test]
    async fn a_receiver_that_lags_loses_the_oldest_and_hears_how_many() {
        let (sender, receiver) = broadcast::channel(4);
        let mut notices = Notices::new(receiver);
        let notice = |id| Notice::SessionOpened { session: SessionId(id) };
        for id in 0..10 {
            sender.send(notice(id)).unwrap();
        }
        drop(sender);
        assert_eq!(notices.recv().await, Some(Heard::Gap { lost: 6 }));
        for id in 6..10 {
            assert_eq!(notices.recv().await, Some(Heard::Notice(notice(id))));
        }
        assert_eq!(notices.recv().await, None);
    }

    #[tokio::test]
    async fn a_stopped_node_says_nothing() {
        assert_eq!(Notices::ended().recv().await, None);
    }
}
