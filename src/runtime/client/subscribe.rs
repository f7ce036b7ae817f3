//! Hearing: a bounded queue of frames for each subscription, of which the oldest goes.

use std::collections::VecDeque;
use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};

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
                if let Some(frame) = waiting.frames.pop_front() {
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
    lost: u64,
    closed: bool,
}

impl Queue {
    pub(super) fn new(capacity: usize) -> Self {
        let waiting = Mutex::new(Waiting::default());
        Self { waiting, news: Notify::new(), capacity: capacity.max(1) }
    }

    pub(super) fn push(&self, frame: MediaFrame) {
        let mut waiting = self.lock();
        if waiting.frames.len() >= self.capacity {
            waiting.frames.pop_front();
            waiting.lost += 1;
        }
        waiting.frames.push_back(frame);
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
