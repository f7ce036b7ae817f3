//! The threads of a node: started, pinned, watched, ended together.
//!
//! A node with a dead shard would answer some sessions and not others, and nobody would know which. So
//! there is no such node: when one shard panics, fails or just ends, the others are stopped and the
//! node ends with an error that names the first.

use std::any::Any;
use std::collections::VecDeque;
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use elara_shards::Counters;
use elara_shards::command::{Command, Notice, Report};
use elara_shards::sys::cpu;
use tokio::net::UnixDatagram;
use tokio::sync::mpsc;
use tokio::time::{self, Instant};
use tracing::{debug, info, warn};

use crate::error::NodeError;
use crate::notices::Heard;
use crate::switchboard::{Inbox, RETRY, Switchboard};

/// How long the other shards may take to end after one has failed.
const GRACE: Duration = Duration::from_secs(5);

/// What a thread is to do, and where.
pub(crate) struct Post {
    pub(crate) cpu: usize,
    pub(crate) body: Body,
}

/// The work of one thread, until it is told to stop.
pub(crate) type Body = Box<dyn FnOnce(Ready) -> io::Result<()> + Send>;

/// How a thread says that it serves.
pub(crate) struct Ready {
    shard: usize,
    news: mpsc::UnboundedSender<News>,
}

impl Ready {
    pub(crate) fn say(self) {
        let _ = self.news.send(News::Ready);
        debug!(shard = self.shard, "shard serves");
    }
}

/// What a thread tells its supervisor, twice at most.
enum News {
    Ready,
    Ended { shard: usize, ending: Ending },
}

enum Ending {
    Returned,
    Failed(io::Error),
    Panicked(String),
}

/// Watches the threads of one node. Dropping it stops them.
pub(crate) struct Supervisor {
    board: Arc<Switchboard>,
    inbox: Inbox,
    ear: UnixDatagram,
    news: mpsc::UnboundedReceiver<News>,
    /// Threads that have not said they serve.
    unready: usize,
    alive: Vec<bool>,
    /// Commands that found a mailbox full, by shard.
    unsent: Vec<VecDeque<Command>>,
    /// When every thread must have ended; `None` before anyone wants them to.
    deadline: Option<Instant>,
    failure: Option<NodeError>,
    /// Each shard's counters as it ended.
    last: Vec<Counters>,
}

impl Supervisor {
    /// Starts the threads.
    pub(crate) fn start(
        board: Arc<Switchboard>,
        inbox: Inbox,
        posts: Vec<Post>,
    ) -> Result<Self, NodeError> {
        let ear = inbox.ear().map_err(|source| NodeError::System {
            what: "descriptor for the control side",
            source,
        })?;
        let (sender, news) = mpsc::unbounded_channel(); // Bounded by use: two words a thread.
        let shards = posts.len();
        let mut supervisor = Self {
            board,
            inbox,
            ear,
            news,
            unready: shards,
            alive: vec![false; shards],
            unsent: (0..shards).map(|_| VecDeque::new()).collect(),
            deadline: None,
            failure: None,
            last: vec![Counters::default(); shards],
        };
        for (shard, post) in posts.into_iter().enumerate() {
            let news = sender.clone();
            thread::Builder::new()
                .name(format!("shard {shard}"))
                .spawn(move || work(shard, post, news))
                .map_err(|source| NodeError::System { what: "thread for a shard", source })?;
            supervisor.alive[shard] = true;
        }
        Ok(supervisor)
    }

    /// Serves until every thread has ended, and answers each shard's last counters.
    pub(crate) async fn run(mut self) -> Result<Vec<Counters>, NodeError> {
        let mut wanted = self.board.stop();
        loop {
            self.sort_mail();
            if !self.alive.contains(&true) {
                break;
            }
            if let Some(by) = *wanted.borrow_and_update() {
                self.stop(by);
            }
            self.send_unsent();
            // However fast the shards talk, signals and timers have their turn.
            tokio::task::yield_now().await;
            let full = self.unsent.iter().any(|commands| !commands.is_empty());
            let deadline = self.deadline;
            tokio::select! {
                () = self.inbox.wait(&self.ear) => {}
                Some(news) = self.news.recv() => self.hear(news),
                Ok(()) = wanted.changed() => {}
                () = time::sleep(RETRY), if full => {}
                () = async { time::sleep_until(deadline.expect("checked")).await },
                    if deadline.is_some() => { self.give_up(); break }
            }
        }
        self.sort_mail();
        match self.failure.take() {
            Some(failure) => Err(failure),
            None => Ok(std::mem::take(&mut self.last)),
        }
    }

    fn hear(&mut self, news: News) {
        let (shard, ending) = match news {
            News::Ready => {
                self.unready -= 1;
                if self.unready == 0 && self.deadline.is_none() {
                    info!(shards = self.alive.len(), "node serves");
                    self.board.running();
                }
                return;
            }
            News::Ended { shard, ending } => (shard, ending),
        };
        self.alive[shard] = false;
        self.unsent[shard].clear();
        let failure = match ending {
            Ending::Returned if self.deadline.is_some() => {
                debug!(shard, "shard stopped");
                return;
            }
            Ending::Returned => NodeError::ShardEnded { shard },
            Ending::Failed(source) => NodeError::ShardFailed { shard, source },
            Ending::Panicked(message) => NodeError::ShardPanicked { shard, message },
        };
        warn!(shard, error = %failure, "shard lost; the node ends");
        self.failure.get_or_insert(failure);
        self.stop(Instant::now() + GRACE);
    }

    /// Tells every thread to end, once; a second call can only bring the deadline nearer.
    fn stop(&mut self, by: Instant) {
        if let Some(deadline) = &mut self.deadline {
            *deadline = by.min(*deadline);
            return;
        }
        self.deadline = Some(by);
        info!("node stops");
        for (commands, _) in self.unsent.iter_mut().zip(&self.alive).filter(|(_, alive)| **alive) {
            commands.push_back(Command::Stop);
        }
    }

    fn send_unsent(&mut self) {
        for (shard, commands) in self.unsent.iter_mut().enumerate() {
            while let Some(command) = commands.pop_front() {
                if let Err(back) = self.board.post(shard, command) {
                    commands.push_front(back);
                    break;
                }
            }
        }
    }

    fn sort_mail(&mut self) {
        for (shard, report) in self.inbox.drain() {
            match report {
                Report::Stopped { counters } => self.last[shard] = *counters,
                Report::Lost { notices } => self.board.tell(Heard::Gap { lost: notices }),
                Report::Session { ticket, .. }
                | Report::Sessions { ticket, .. }
                | Report::Counters { ticket, .. }
                | Report::Kicked { ticket, .. } => self.board.answer(ticket, report),
                Report::Notice(notice) => {
                    log(&notice);
                    self.board.tell(Heard::Notice(notice));
                }
            }
        }
    }

    /// At the deadline: names the first thread that has not ended, and leaves it behind.
    fn give_up(&mut self) {
        if let Some(shard) = self.alive.iter().position(|alive| *alive) {
            warn!(shard, "shard did not end in time");
            self.failure.get_or_insert(NodeError::ShardStuck { shard });
        }
    }
}

impl Drop for Supervisor {
    /// Whatever ended the supervisor, no thread is left that was not told to end.
    fn drop(&mut self) {
        const TRIES: usize = 10_000;
        // A shard that was told already is not hurt by hearing it twice.
        for shard in (0..self.alive.len()).filter(|shard| self.alive[*shard]) {
            // A shard empties its mailbox every cycle, so a full one has room soon.
            for _ in 0..TRIES {
                match self.board.post(shard, Command::Stop) {
                    Ok(()) => break,
                    Err(_full) => thread::yield_now(),
                }
            }
        }
        self.board.close();
        info!("node ended");
    }
}

/// The life of a thread.
fn work(shard: usize, post: Post, news: mpsc::UnboundedSender<News>) {
    if let Err(error) = cpu::pin(post.cpu) {
        warn!(shard, cpu = post.cpu, %error, "shard is not pinned to its cpu");
    }
    let ready = Ready { shard, news: news.clone() };
    // What a panic leaves half done is the shard's alone, and goes with it.
    let ending = match panic::catch_unwind(AssertUnwindSafe(|| (post.body)(ready))) {
        Ok(Ok(())) => Ending::Returned,
        Ok(Err(error)) => Ending::Failed(error),
        Err(payload) => Ending::Panicked(message(&*payload)),
    };
    let _ = news.send(News::Ended { shard, ending });
}

fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
        .to_owned()
}

/// A session's life, at debug. Addresses stay out of the log.
fn log(notice: &Notice) {
    match notice {
        Notice::SessionOpened { session } => debug!(%session, "session opened"),
        Notice::SessionEnded { session } => debug!(%session, "session ended"),
        Notice::Joined { session, node, .. } => debug!(%session, %node, "participant joined"),
        Notice::Moved { session, node, .. } => debug!(%session, %node, "participant moved"),
        Notice::Left { session, node, why } => {
            debug!(%session, %node, ?why, "participant left");
        }
    }
}

#[cfg(test)]
mod tests;
