//! A key that is small while nothing happens.
//!
//! ```text
//!   cold:  secret 45                       each use expands it on the stack, for that use
//!   hot:   secret 45 | --> expanded, 576   on the heap, ready
//! ```
//! *Data heats, control does not.* The first data frame that passes expands the key for good, until
//! someone who sees that the other end is silent calls `cool`. So a relay's sending keys stay cold,
//! because all it seals itself are a few control frames a second, and a participant who only listens
//! costs it no expanded key at all. Forged frames never heat: they cost an expansion each while the key
//! is cold (some 0.2 us with AES), and no memory ever.

use alloc::boxed::Box;

use super::{HopKey, HopSecret};
use crate::crypto::suite::Suite;

#[derive(Debug)]
pub(super) struct RestingKey {
    secret: HopSecret,
    hot: Option<Box<HopKey>>,
}

impl RestingKey {
    pub(super) const fn new(secret: HopSecret) -> Self {
        Self { secret, hot: None }
    }

    pub(super) const fn suite(&self) -> Suite {
        self.secret.suite()
    }

    pub(super) const fn is_cold(&self) -> bool {
        self.hot.is_none()
    }

    pub(super) fn cool(&mut self) {
        self.hot = None;
    }

    /// Lends the key for one control frame, hot or not.
    #[inline]
    pub(super) fn for_control<R>(&self, call: impl FnOnce(&HopKey) -> R) -> R {
        match &self.hot {
            Some(key) => call(key),
            None => call(&self.secret.expand()),
        }
    }

    /// Lends the key for one data frame. When that passes, the key is hot.
    #[inline]
    pub(super) fn for_data<E>(
        &mut self,
        call: impl FnOnce(&HopKey) -> Result<(), E>,
    ) -> Result<(), E> {
        match &self.hot {
            Some(key) => call(key),
            None => self.heat(call),
        }
    }

    #[cold]
    fn heat<E>(&mut self, call: impl FnOnce(&HopKey) -> Result<(), E>) -> Result<(), E> {
        let key = self.secret.expand();
        call(&key)?;
        self.hot = Some(Box::new(key));
        Ok(())
    }
}
