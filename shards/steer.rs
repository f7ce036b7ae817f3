//! Which shard owns a datagram, computed twice: by the kernel before it queues it, and by us.
//!
//! The kernel runs a classic BPF program attached to the SO_REUSEPORT group. Frames are steered by
//! session, so everyone of a session lands on one cpu; STUN and TURN ChannelData are steered by
//! client address, and so are runts. The program and [`shard_of`] are the same arithmetic; a frame
//! that reaches the wrong shard nevertheless (a GRO train is steered once, by its first datagram)
//! is `Stray`.
//!
//! ```text
//!         ld len;  jge #12,,FLOW            too short to name a session
//!         ldb [0]; jge #0x40,FLOW           ChannelData
//!         ld [4];  jeq #0x2112A442,FLOW     STUN's magic cookie
//!         tax; ld [8]; xor x
//!         mul #0x9E3779B1; tax; rsh #15; xor x
//!         mul #0x9E3779B1; rsh #16; mod #N; ret a
//!   FLOW: ret #0xffffffff                   no such index: the kernel falls back to its own flow hash
//! ```
//! Two rounds of mixing, because ids stand little-endian and BPF reads big-endian: counted ids differ in
//! the top byte of the word only, and one multiplication moves nothing downward (`docs/adr/0007`).

use elara_core::SessionId;

/// Knuth's multiplicative constant, 2^32 / phi.
const MIX: u32 = 0x9E37_79B1;

/// One instruction of classic BPF, as `struct sock_filter` has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// Operation.
    pub code: u16,
    /// Instructions to skip when the comparison holds.
    pub jump_true: u8,
    /// Instructions to skip when it does not.
    pub jump_false: u8,
    /// Operand.
    pub k: u32,
}

/// The shard, of `shards`, that owns a session.
#[inline]
#[must_use]
pub const fn shard_of(session: SessionId, shards: usize) -> usize {
    // BPF loads words big-endian; the id stands little-endian at bytes 4..12.
    let low = (session.0 as u32).swap_bytes();
    let high = ((session.0 >> 32) as u32).swap_bytes();
    let once = (low ^ high).wrapping_mul(MIX);
    let twice = (once ^ once >> 15).wrapping_mul(MIX);
    (twice >> 16) as usize % shards
}

/// The steering program for `shards` shards.
///
/// # Panics
/// When `shards` is zero.
#[must_use]
pub fn program(shards: usize) -> [Instruction; 18] {
    assert!(shards > 0, "a node has at least one shard");
    const LD_LEN: u16 = 0x80;
    const LD_BYTE: u16 = 0x30;
    const LD_WORD: u16 = 0x20;
    const JGE: u16 = 0x35;
    const JEQ: u16 = 0x15;
    const TAX: u16 = 0x07;
    const XOR_X: u16 = 0xac;
    const MUL: u16 = 0x24;
    const RSH: u16 = 0x74;
    const MOD: u16 = 0x94;
    const RET_A: u16 = 0x16;
    const RET_K: u16 = 0x06;
    let op = |code, k| Instruction { code, jump_true: 0, jump_false: 0, k };
    let jump = |code, k, jump_true, jump_false| Instruction { code, jump_true, jump_false, k };
    [
        op(LD_LEN, 0),
        jump(JGE, 12, 0, 15),
        op(LD_BYTE, 0),
        jump(JGE, 0x40, 13, 0),
        op(LD_WORD, 4),
        jump(JEQ, 0x2112_A442, 11, 0),
        op(TAX, 0),
        op(LD_WORD, 8),
        op(XOR_X, 0),
        op(MUL, MIX),
        op(TAX, 0),
        op(RSH, 15),
        op(XOR_X, 0),
        op(MUL, MIX),
        op(RSH, 16),
        op(MOD, shards as u32),
        op(RET_A, 0),
        op(RET_K, u32::MAX),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the program says about a datagram: a classic BPF machine of just these instructions.
    fn run(program: &[Instruction], datagram: &[u8]) -> u32 {
        let word = |at: usize| u32::from_be_bytes(datagram[at..at + 4].try_into().unwrap());
        let (mut a, mut x, mut pc) = (0u32, 0u32, 0usize);
        loop {
            let Instruction { code, jump_true, jump_false, k } = program[pc];
            pc += 1;
            let mut branch =
                |taken: bool| pc += usize::from(if taken { jump_true } else { jump_false });
            match code {
                0x80 => a = datagram.len() as u32,
                0x30 => a = u32::from(datagram[k as usize]),
                0x20 => a = word(k as usize),
                0x35 => branch(a >= k),
                0x15 => branch(a == k),
                0x07 => x = a,
                0xac => a ^= x,
                0x24 => a = a.wrapping_mul(k),
                0x74 => a >>= k,
                0x94 => a %= k,
                0x16 => return a,
                0x06 => return k,
                other => panic!("no such instruction {other:#x}"),
            }
        }
    }

    #[test]
    fn the_program_and_the_function_agree() {
        use elara_core::random::{Random, Seeded};
        let mut random = Seeded::new(1);
        for shards in [1, 2, 3, 4, 7, 64] {
            let program = program(shards);
            for _ in 0..1_000 {
                let session = SessionId(random.next_u64());
                let mut frame = [0; 46];
                frame[4..12].copy_from_slice(&session.to_bytes());
                assert_eq!(run(&program, &frame) as usize, shard_of(session, shards));
            }
        }
    }

    #[test]
    fn what_names_no_session_goes_by_flow() {
        let program = program(4);
        let mut stun = [0; 20];
        stun[4..8].copy_from_slice(&[0x21, 0x12, 0xA4, 0x42]);
        assert_eq!(run(&program, &stun), u32::MAX);
        assert_eq!(run(&program, &[0x40; 16]), u32::MAX, "ChannelData");
        assert_eq!(run(&program, &[0; 11]), u32::MAX, "a runt");
        assert_ne!(run(&program, &[0; 12]), u32::MAX);
    }

    #[test]
    fn sessions_spread_evenly_however_their_ids_are_given_out() {
        for shards in [2, 3, 4, 8] {
            for shift in [0, 8, 24, 32, 48] {
                let mut load = vec![0; shards];
                for session in 1..=256u64 {
                    load[shard_of(SessionId(session << shift), shards)] += 1;
                }
                let fair = 256 / shards;
                assert!(
                    load.iter().all(|n| (fair / 2..=2 * fair).contains(n)),
                    "{shards} shards, ids counted from bit {shift}: {load:?}"
                );
            }
        }
    }
}
