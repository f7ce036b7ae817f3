//! What a token grants.

use core::fmt;

use crate::wire::Class;

/// What a participant may do: bits of a token, and of its line in the roster.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Permissions(pub u32);

impl Permissions {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// Send frames of every class.
    pub const SEND_ALL: Self = Self(0x1F);
    /// Receive what others send.
    pub const RECEIVE: Self = Self(1 << 8);
    /// Commit changes of the group (mode 1).
    pub const COMMIT: Self = Self(1 << 9);
    /// Send others away.
    pub const KICK: Self = Self(1 << 10);
    /// Be a relay, and carry others' frames.
    pub const RELAY_LINK: Self = Self(1 << 16);

    /// Send frames of class `class`; nothing for numbers that name no data class.
    #[must_use]
    pub const fn send(class: u8) -> Self {
        if (class as usize) < Class::COUNT { Self(1 << class) } else { Self::NONE }
    }

    /// Whether frames of class `class` may be sent; never for numbers that name no data class.
    #[must_use]
    pub const fn may_send(self, class: u8) -> bool {
        self.0 & Self::send(class).0 != 0
    }

    /// Whether everything in `wanted` is granted.
    #[must_use]
    pub const fn allows(self, wanted: Self) -> bool {
        self.0 & wanted.0 == wanted.0
    }

    /// What either grants.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl fmt::Debug for Permissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Permissions({:#x})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permissions_name_classes_and_nothing_beyond() {
        let some = Permissions::send(1).and(Permissions::KICK);
        assert!(some.may_send(1) && !some.may_send(0) && some.allows(Permissions::KICK));
        assert!(!some.allows(Permissions::KICK.and(Permissions::RECEIVE)));
        for class in [5, 8, 31, 32, 0xF0, 0xF1, 0xFF] {
            assert!(!Permissions(u32::MAX).may_send(class), "{class}");
        }
    }
}
