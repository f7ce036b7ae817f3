//! A world without io_uring, for one process: what containers do to us, done on purpose.
//!
//! A seccomp filter answers EPERM to the three io_uring system calls, as the default profiles of
//! container runtimes do. Tests start programs under it.

use std::io;
use std::mem::offset_of;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Makes `command` run, and all it starts, without io_uring.
pub fn without_uring(command: &mut Command) -> &mut Command {
    // SAFETY: between fork and exec the closure makes two system calls and touches nothing but its own
    // stack: no lock, no allocation.
    unsafe { command.pre_exec(refuse_uring) }
}

/// Refuses io_uring to the calling process from here on, for good.
fn refuse_uring() -> io::Result<()> {
    const LOAD: u16 = 0x20; // ld [k]
    const JUMP_AT_LEAST: u16 = 0x35; // jge #k
    const RETURN: u16 = 0x06; // ret #k
    let op = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    let number = offset_of!(libc::seccomp_data, nr) as u32;
    let first = libc::SYS_io_uring_setup as u32;
    let mut filter = [
        op(LOAD, 0, 0, number),
        op(JUMP_AT_LEAST, 0, 2, first),
        // setup, enter and register stand next to each other.
        op(JUMP_AT_LEAST, 1, 0, first + 3),
        op(RETURN, 0, 0, libc::SECCOMP_RET_ERRNO | libc::EPERM as u32),
        op(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: takes no pointers.
    let promised = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    // SAFETY: `program` names a filter of the length it says, both alive across the call; the kernel
    // copies them.
    let set =
        unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) };
    if promised == 0 && set == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

const _: () = assert!(libc::SYS_io_uring_enter == libc::SYS_io_uring_setup + 1);
const _: () = assert!(libc::SYS_io_uring_register == libc::SYS_io_uring_setup + 2);
