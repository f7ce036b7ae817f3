//! The kernel's edge: the only folder where `unsafe` is allowed.
//!
//! Everything that leaves this folder is safe to call. Each file is one idea: [`message`] turns
//! addresses and control data into what the kernel reads, [`mmsg`] is recvmmsg and sendmmsg, [`ring`]
//! is io_uring, [`options`] is setsockopt, [`reports`] is a socket's error queue, [`wait`] is epoll, eventfd
//! and signalfd, [`cpu`] is affinity, clocks and limits; for tests, [`counting`] is an allocator and
//! [`confine`] a world without io_uring.

#![allow(unsafe_code)] // JUSTIFICATION: system calls; each use says why it holds.

pub mod confine;
pub mod counting;
pub mod cpu;
pub mod message;
pub mod mmsg;
pub mod options;
pub mod reports;
pub mod ring;
pub mod wait;
