//! A bounded queue between threads that wakes its reader only when the reader sleeps.
//!
//! Waking a thread costs the waker about ten microseconds, so nobody does it per message: the reader
//! raises a flag before it sleeps and looks at the queue once more, and a writer that finds the flag
//! raised takes it down and wakes.
//!
//! ```text
//!   reader: asleep = true ─▶ fence ─▶ empty? ─▶ sleep          one of the two sees the other:
//!   writer: push          ─▶ fence ─▶ asleep? ─▶ wake          no message is slept over
//! ```
//! Full means back-pressure: `post` gives the message back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};

use crossbeam_queue::ArrayQueue;
use crossbeam_utils::CachePadded;

/// Wakes the one thread that reads a mailbox.
pub trait Wake: Send + Sync {
    /// Ends the reader's wait, or its next one when it does not wait at the moment.
    fn wake(&self);
}

/// Makes a mailbox of `slots` messages whose reader is woken by `wake`.
#[must_use]
pub fn mailbox<T>(slots: usize, wake: Arc<dyn Wake>) -> (Sender<T>, Receiver<T>) {
    let shared = Arc::new(Shared {
        queue: ArrayQueue::new(slots),
        asleep: CachePadded::new(AtomicBool::new(false)),
        gone: AtomicBool::new(false),
        wake,
    });
    (Sender(Arc::clone(&shared)), Receiver(shared))
}

struct Shared<T> {
    queue: ArrayQueue<T>,
    asleep: CachePadded<AtomicBool>,
    /// The reader is gone: nothing posted will ever be read.
    gone: AtomicBool,
    wake: Arc<dyn Wake>,
}

/// The writing end; any number of threads may hold one.
pub struct Sender<T>(Arc<Shared<T>>);

/// The reading end.
pub struct Receiver<T>(Arc<Shared<T>>);

impl<T> Sender<T> {
    /// Posts a message and wakes the reader if it sleeps. When the reader is gone for good, the message goes
    /// the same way.
    ///
    /// # Errors
    /// Gives the message back when the mailbox is full.
    pub fn post(&self, message: T) -> Result<(), T> {
        if self.0.gone.load(Ordering::Relaxed) {
            return Ok(());
        }
        self.0.queue.push(message)?;
        fence(Ordering::SeqCst);
        if self.0.asleep.load(Ordering::Relaxed) && self.0.asleep.swap(false, Ordering::AcqRel) {
            self.0.wake.wake();
        }
        Ok(())
    }

    /// Whether a message posted at this moment would come back.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.0.queue.is_full() && !self.0.gone.load(Ordering::Relaxed)
    }

    /// Messages that wait to be read.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.queue.len()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.queue.is_empty()
    }

    /// Messages there is room for in all.
    #[must_use]
    pub fn slots(&self) -> usize {
        self.0.queue.capacity()
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Receiver<T> {
    /// The oldest message, if there is one.
    #[inline]
    pub fn take(&mut self) -> Option<T> {
        self.0.queue.pop()
    }

    /// Whether nothing waits.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.queue.is_empty()
    }

    /// Says that the reader is about to sleep. False when a message has come in the meantime, and then
    /// the reader must not sleep.
    #[must_use]
    pub fn doze(&mut self) -> bool {
        self.0.asleep.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        if self.0.queue.is_empty() {
            return true;
        }
        self.rouse();
        false
    }

    /// Says that the reader is awake, so writers need not wake it.
    pub fn rouse(&mut self) {
        self.0.asleep.store(false, Ordering::Relaxed);
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.0.gone.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::thread;

    use super::*;

    #[derive(Default)]
    struct Bell(AtomicUsize);

    impl Wake for Bell {
        fn wake(&self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn a_full_mailbox_gives_the_message_back() {
        let (sender, mut receiver) = mailbox(2, Arc::new(Bell::default()));
        assert_eq!((sender.post(1), sender.post(2)), (Ok(()), Ok(())));
        assert!(sender.is_full());
        assert_eq!(sender.post(3), Err(3));
        assert_eq!(receiver.take(), Some(1));
        assert_eq!(sender.post(3), Ok(()));
    }

    #[test]
    fn a_mailbox_nobody_reads_is_never_full() {
        let (sender, receiver) = mailbox(1, Arc::new(Bell::default()));
        sender.post(1).unwrap();
        assert!(sender.is_full());
        drop(receiver);
        assert!(!sender.is_full());
        assert_eq!(sender.post(2), Ok(()));
    }

    #[test]
    fn only_a_sleeping_reader_is_woken_and_only_once() {
        let bell = Arc::new(Bell::default());
        let (sender, mut receiver) = mailbox(8, Arc::clone(&bell) as Arc<dyn Wake>);
        sender.post(1).unwrap();
        assert_eq!(bell.0.load(Ordering::SeqCst), 0, "awake: no bell");
        assert!(!receiver.doze(), "a message waits: no sleep");
        receiver.take();
        assert!(receiver.doze());
        sender.post(2).unwrap();
        sender.post(3).unwrap();
        assert_eq!(bell.0.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn no_message_is_slept_over() {
        struct Unpark(thread::Thread);
        impl Wake for Unpark {
            fn wake(&self) {
                self.0.unpark();
            }
        }
        const MESSAGES: usize = 20_000;
        let (sender, mut receiver) = mailbox(64, Arc::new(Unpark(thread::current())));
        let writers: Vec<_> = (0..2)
            .map(|_| {
                let sender = sender.clone();
                thread::spawn(move || {
                    for number in 0..MESSAGES {
                        while sender.post(number).is_err() {
                            thread::yield_now();
                        }
                    }
                })
            })
            .collect();
        let mut taken = 0;
        while taken < 2 * MESSAGES {
            while receiver.take().is_some() {
                taken += 1;
            }
            if taken < 2 * MESSAGES && receiver.doze() {
                thread::park();
                receiver.rouse();
            }
        }
        for writer in writers {
            writer.join().unwrap();
        }
    }
}
