//! Processors, clocks and limits of this process, and what another process has used.

use std::io;
use std::mem::{self, MaybeUninit};

use elara_core::time::{Instant, UnixMillis};

/// CLOCK_MONOTONIC, the clock every shard of a node shares.
#[must_use]
pub fn monotonic() -> Instant {
    Instant::from_nanos(clock(libc::CLOCK_MONOTONIC).unwrap_or(0))
}

/// CLOCK_REALTIME: the wall clock, which may be set at any time, forwards or back. 1970 when it cannot be
/// read, or stands before that.
#[must_use]
pub fn calendar() -> UnixMillis {
    UnixMillis(clock(libc::CLOCK_REALTIME).unwrap_or(0) / 1_000_000)
}

/// User and system time a process has used so far, all its threads together, in nanoseconds.
///
/// # Errors
/// When there is no such process.
pub fn process_cpu_nanos(pid: u32) -> io::Result<u64> {
    // Linux encodes "the cpu clock of process pid, all threads, scheduler precision" as a clock id.
    let id = (!(pid as i32)) << 3 | 2;
    clock(id)
}

/// User and system time the calling thread has used so far, in nanoseconds.
#[must_use]
pub fn thread_cpu_nanos() -> u64 {
    clock(libc::CLOCK_THREAD_CPUTIME_ID).unwrap_or(0)
}

fn clock(id: libc::clockid_t) -> io::Result<u64> {
    let mut time = MaybeUninit::<libc::timespec>::uninit();
    // SAFETY: `time` has room for the timespec the kernel writes.
    if unsafe { libc::clock_gettime(id, time.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: clock_gettime answered 0, so it has written the whole timespec.
    let time = unsafe { time.assume_init() };
    Ok(time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
}

/// The cpus this process may run on, in order.
#[must_use]
pub fn allowed() -> Vec<usize> {
    // SAFETY: cpu_set_t is a bit field; all zero is the empty set.
    let mut set: libc::cpu_set_t = unsafe { mem::zeroed() };
    // SAFETY: `set` is as long as we say, and 0 names the calling thread.
    if unsafe { libc::sched_getaffinity(0, size_of_val(&set), &raw mut set) } != 0 {
        return vec![0];
    }
    let most = libc::CPU_SETSIZE as usize;
    // SAFETY: `cpu` is below CPU_SETSIZE, the bits the set has.
    (0..most).filter(|cpu| unsafe { libc::CPU_ISSET(*cpu, &set) }).collect()
}

/// Pins the calling thread to one cpu.
///
/// # Errors
/// When there is no such cpu, or this process may not use it.
pub fn pin(cpu: usize) -> io::Result<()> {
    if cpu >= libc::CPU_SETSIZE as usize {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: cpu_set_t is a bit field; all zero is the empty set.
    let mut set: libc::cpu_set_t = unsafe { mem::zeroed() };
    // SAFETY: `cpu` is below CPU_SETSIZE.
    unsafe { libc::CPU_SET(cpu, &mut set) };
    // SAFETY: `set` is as long as we say, and 0 names the calling thread.
    let answer = unsafe { libc::sched_setaffinity(0, size_of_val(&set), &raw const set) };
    if answer == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Raises the limit of open descriptors as far as it goes, and answers where it stands.
#[must_use]
pub fn raise_descriptor_limit() -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` has room for what the kernel writes.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        return 0;
    }
    let wanted = libc::rlimit { rlim_cur: limit.rlim_max, rlim_max: limit.rlim_max };
    // SAFETY: `wanted` is a live rlimit.
    if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const wanted) } == 0 {
        wanted.rlim_cur
    } else {
        limit.rlim_cur
    }
}

/// Lets the calling thread's timed waits end at most about `nanos` late (the system's default is 50
/// us): what a thread that sends by the clock asks for. Never fails: without it waits are only coarser.
pub fn set_timer_slack(nanos: u32) {
    // SAFETY: PR_SET_TIMERSLACK takes a number and no pointers.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, libc::c_ulong::from(nanos.max(1))) };
}

/// Lets every other thread of the calling thread's cpu go first (nice 19): for work that may wait. Never
/// fails: without it the thread only stays where it was.
pub fn step_back() {
    // SAFETY: setpriority takes numbers and no pointers; 0 names the calling thread.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, 19) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_calendar_stands_in_this_century() {
        let now = calendar().seconds();
        assert!((1_700_000_000..4_100_000_000).contains(&now), "{now}");
    }

    #[test]
    fn our_own_cpu_time_can_be_read_by_pid() {
        let before = process_cpu_nanos(std::process::id()).unwrap();
        let mut n = 0u64;
        while process_cpu_nanos(std::process::id()).unwrap() == before {
            n = std::hint::black_box(n + 1);
        }
        assert!(thread_cpu_nanos() > 0);
    }

    #[test]
    fn there_is_a_cpu_and_we_can_be_pinned_to_it() {
        let cpus = allowed();
        std::thread::spawn(move || {
            pin(cpus[0]).unwrap();
            assert_eq!(allowed(), [cpus[0]]);
        })
        .join()
        .unwrap();
        assert!(pin(100_000).is_err());
    }
}
