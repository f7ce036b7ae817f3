//! Hearing: a bounded queue of frames for each subscription, of which the oldest goes.

use std::collections::VecDeque;
use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};

use elara_core::limits::SUBSCRIPTION_BYTES_MAX;
use elara_core::participant::Media;
use tokio::sync::Notify;

use super::shared::Shared;
use crate::session::StreamKind;

/// A whole frame of someone's stream, shared by all subscriptions that hear it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaFrame(Arc<Media>);

impl MediaFrame {
    pub(super) fn new(media: Media) -> Self {
        Self(Arc::new(media))
    }

    /// What kind of stream it is of; `None` where its profile does not say.
    #[must_use]
    pub fn kind(&self) -> Option<StreamKind> {
        super::options::kind_of(self.profile)
    }
}

impl Deref for MediaFrame {
    type Target = Media;

    fn deref(&self) -> &Media {
        &self.0
    }
}

/// What one subscriber hears. Dropping it ends the subscription.
pub struct Subscription {
    shared: Arc<Shared>,
    number: u64,
    queue: Arc<Queue>,
}

impl Subscription {
    pub(super) const fn new(shared: Arc<Shared>, number: u64, queue: Arc<Queue>) -> Self {
        Self { shared, number, queue }
    }

    /// The next frame; `None` when the client has left or was removed, and all frames are fetched.
    /// Safe to cancel: what is not received stays.
    pub async fn recv(&mut self) -> Option<MediaFrame> {
        loop {
            // Made before looking, so that what comes between is not slept through.
            let news = self.queue.news.notified();
            {
                let mut waiting = self.queue.lock();
                if let Some(frame) = waiting.take() {
                    return Some(frame);
                }
                if waiting.closed {
                    return None;
                }
            }
            news.await;
        }
    }

    /// Frames dropped so far because they were not fetched in time.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.queue.lock().lost
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.shared.unsubscribe(self.number);
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Subscription({})", self.number)
    }
}

/// Frames that wait for their subscriber.
#[derive(Debug)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    news: Notify,
    capacity: usize,
}

#[derive(Debug, Default)]
struct Waiting {
    frames: VecDeque<MediaFrame>,
    bytes: usize,
    lost: u64,
    closed: bool,
}

impl Waiting {
    fn take(&mut self) -> Option<MediaFrame> {
        let frame = self.frames.pop_front()?;
        self.bytes -= frame.content.len();
        Some(frame)
    }
}

impl Queue {
    pub(super) fn new(capacity: usize) -> Self {
        let waiting = Mutex::new(Waiting::default());
        Self { waiting, news: Notify::new(), capacity: capacity.max(1) }
    }

    pub(super) fn push(&self, frame: MediaFrame) {
        let mut waiting = self.lock();
        waiting.bytes += frame.content.len();
        waiting.frames.push_back(frame);
        while waiting.frames.len() > self.capacity || waiting.bytes > SUBSCRIPTION_BYTES_MAX {
            waiting.take();
            waiting.lost += 1;
        }
        drop(waiting);
        self.news.notify_one();
    }

    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.news.notify_one();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use elara_core::NodeId;
    use elara_core::wire::Class;

    fn frame(frame: u32, len: usize) -> MediaFrame {
        MediaFrame::new(Media {
            node: NodeId(1),
            stream: 1,
            layer: 0,
            frame,
            key: true,
            class: Class::Perceptual,
            profile: 0,
            time_hint: 0,
            content: vec![0; len],
        })
    }

    #[test]
    fn the_oldest_goes_by_number_and_by_bytes() {
        let queue = Queue::new(3);
        (0..4).for_each(|number| queue.push(frame(number, 1)));
        assert_eq!(queue.lock().take().map(|it| it.frame), Some(1));
        queue.push(frame(4, SUBSCRIPTION_BYTES_MAX - 1));
        assert_eq!(queue.lock().frames.len(), 2);
        queue.push(frame(5, 1));
        let waiting = queue.lock();
        let left: Vec<u32> = waiting.frames.iter().map(|it| it.frame).collect();
        assert_eq!((left, waiting.lost, waiting.bytes), (vec![4, 5], 3, SUBSCRIPTION_BYTES_MAX));
    }
}
