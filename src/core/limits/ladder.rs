//! Bounds of the degradation ladder's configuration.

use super::Range;

/// The deepest level of the ladder, and `floor_level` when the configuration is silent.
pub const LADDER_LEVEL_MAX: u64 = 5;
/// `loss_down_permille`: loss that takes a receiver one level down.
pub const LADDER_LOSS_DOWN_PERMILLE: Range = Range { min: 1, default: 50, max: 500 };
/// `loss_up_permille`: loss below which a receiver may climb. Must be less than `loss_down_permille`.
pub const LADDER_LOSS_UP_PERMILLE: Range = Range { min: 0, default: 10, max: 499 };
/// `delay_down_ms`: queueing delay that takes a receiver one level down.
pub const LADDER_DELAY_DOWN_MS: Range = Range { min: 10, default: 150, max: 2_000 };
/// `hold_up_ms`: how long a receiver must be well before it climbs one level.
pub const LADDER_HOLD_UP_MS: Range = Range { min: 1_000, default: 5_000, max: 60_000 };

// The ladder's defaults must leave room between falling and climbing, or it would oscillate.
const _: () = assert!(LADDER_LOSS_UP_PERMILLE.default < LADDER_LOSS_DOWN_PERMILLE.default);
