//! Waiting for sockets, for other threads and for Ctrl-C: epoll, eventfd and signalfd.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;
use std::sync::Arc;

use elara_core::time::Span;

use crate::mailbox::Wake;

/// A bell between threads: an eventfd. Clones ring the same bell.
#[derive(Clone, Debug)]
pub struct Bell(Arc<OwnedFd>);

impl Bell {
    /// A silent bell.
    ///
    /// # Errors
    /// What eventfd answers, for instance when no descriptor is left.
    pub fn new() -> io::Result<Self> {
        // SAFETY: eventfd takes no pointers.
        let fd = unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) };
        Ok(Self(Arc::new(owned(fd)?)))
    }

    /// Takes the ringing back, so the bell is silent until it rings again.
    pub fn silence(&self) {
        let mut count = [0u8; 8];
        // SAFETY: `count` is eight writable bytes.
        unsafe { libc::read(self.0.as_raw_fd(), count.as_mut_ptr().cast(), count.len()) };
    }
}

impl Wake for Bell {
    fn wake(&self) {
        let one = 1u64.to_ne_bytes();
        // SAFETY: `one` is eight readable bytes. The only failure is a counter at its maximum, and then
        // the bell rings already.
        unsafe { libc::write(self.0.as_raw_fd(), one.as_ptr().cast(), one.len()) };
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// An epoll instance: level-triggered waiting for readable descriptors.
#[derive(Debug)]
pub struct Poll {
    epoll: OwnedFd,
    events: Vec<libc::epoll_event>,
}

impl Poll {
    /// Room for `events` answers a wait.
    ///
    /// # Errors
    /// What epoll_create1 answers.
    pub fn new(events: usize) -> io::Result<Self> {
        // SAFETY: epoll_create1 takes no pointers.
        let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        Ok(Self {
            epoll: owned(fd)?,
            events: vec![libc::epoll_event { events: 0, u64: 0 }; events.max(1)],
        })
    }

    /// Watches `fd` for readability; `token` comes back from [`Poll::wait`].
    ///
    /// # Errors
    /// What epoll_ctl answers.
    pub fn watch(&self, fd: BorrowedFd<'_>, token: u64) -> io::Result<()> {
        let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: token };
        // SAFETY: `event` is a live epoll_event; the kernel copies it.
        let answer = unsafe {
            libc::epoll_ctl(
                self.epoll.as_raw_fd(),
                libc::EPOLL_CTL_ADD,
                fd.as_raw_fd(),
                &raw mut event,
            )
        };
        if answer == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// Waits until something is readable, at most `timeout` (`None`: for ever), and answers the tokens.
    /// A signal ends the wait early with no tokens.
    ///
    /// # Errors
    /// What epoll_pwait2 answers.
    pub fn wait(&mut self, timeout: Option<Span>) -> io::Result<impl Iterator<Item = u64> + '_> {
        let timeout = timeout.map(|span| libc::timespec {
            tv_sec: (span.as_nanos() / 1_000_000_000) as i64,
            tv_nsec: (span.as_nanos() % 1_000_000_000) as i64,
        });
        // SAFETY: `events` is as long as we say, `timeout` lives across the call, no signal mask is given.
        let ready = unsafe {
            libc::epoll_pwait2(
                self.epoll.as_raw_fd(),
                self.events.as_mut_ptr(),
                self.events.len() as i32,
                timeout.as_ref().map_or(ptr::null(), ptr::from_ref),
                ptr::null(),
            )
        };
        let ready = match usize::try_from(ready) {
            Ok(ready) => ready,
            Err(_) => match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::Interrupted => 0,
                error => return Err(error),
            },
        };
        Ok(self.events[..ready].iter().map(|event| event.u64))
    }
}

/// Ctrl-C (SIGINT) as something to wait for, not something that ends the process.
#[derive(Debug)]
pub struct Interrupt(OwnedFd);

impl Interrupt {
    /// Takes SIGINT away from the calling thread and every thread it starts from here on.
    ///
    /// # Errors
    /// What pthread_sigmask or signalfd answers.
    pub fn new() -> io::Result<Self> {
        // SAFETY: sigset_t is a bit field; all zero is a valid value, and sigemptyset makes it empty.
        let mut set: libc::sigset_t = unsafe { std::mem::zeroed() };
        // SAFETY: `set` is a live sigset_t and SIGINT a signal.
        unsafe {
            libc::sigemptyset(&raw mut set);
            libc::sigaddset(&raw mut set, libc::SIGINT);
        }
        // SAFETY: `set` is initialised; the old mask is not asked for.
        let error =
            unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, ptr::null_mut()) };
        if error != 0 {
            return Err(io::Error::from_raw_os_error(error));
        }
        // SAFETY: `set` is initialised, and -1 asks for a new descriptor.
        let fd = unsafe { libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC) };
        Ok(Self(owned(fd)?))
    }

    /// Waits until Ctrl-C is pressed.
    ///
    /// # Errors
    /// What read answers.
    pub fn wait(&self) -> io::Result<()> {
        let mut info = [0u8; size_of::<libc::signalfd_siginfo>()];
        // SAFETY: `info` is as many writable bytes as we say.
        let read = unsafe { libc::read(self.0.as_raw_fd(), info.as_mut_ptr().cast(), info.len()) };
        if read > 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

fn owned(fd: i32) -> io::Result<OwnedFd> {
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just given us this descriptor, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bell_ends_a_wait_until_it_is_silenced() {
        let bell = Bell::new().unwrap();
        let mut poll = Poll::new(4).unwrap();
        poll.watch(bell.as_fd(), 7).unwrap();
        let now = Some(Span::ZERO);
        assert_eq!(poll.wait(now).unwrap().count(), 0);
        bell.clone().wake();
        bell.wake();
        assert_eq!(poll.wait(None).unwrap().collect::<Vec<_>>(), [7]);
        bell.silence();
        assert_eq!(poll.wait(now).unwrap().count(), 0);
    }

    #[test]
    fn an_interrupt_is_waited_for_and_ends_nothing() {
        // In a thread of its own: the mask is the thread's, and so is a signal that it raises.
        let heard = std::thread::spawn(|| {
            let interrupt = Interrupt::new().unwrap();
            // SAFETY: raise takes no pointers, and SIGINT is blocked here.
            assert_eq!(unsafe { libc::raise(libc::SIGINT) }, 0);
            interrupt.wait()
        });
        heard.join().unwrap().unwrap();
    }
}
