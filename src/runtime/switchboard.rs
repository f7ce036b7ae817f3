//! Who asked what: questions go to a shard's mailbox with a ticket, answers come back by it.
//!
//! Every handle shares one [`Switchboard`]. It keeps a ticket for each question that waits, in a map
//! behind a plain lock that only control threads ever touch; shards see their mailboxes alone. When the
//! node ends, the map goes, and every question that waits ends with [`HandleError::Stopped`].

use std::collections::HashMap;
use std::io;
use std::os::unix::net::UnixDatagram as StdDatagram;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use elara_core::limits::MAILBOX_SLOTS;
use elara_shards::command::{Command, Report};
use elara_shards::mailbox::{self, Wake, mailbox};
use elara_shards::sys::wait::Bell;
use tokio::net::UnixDatagram;
use tokio::sync::{broadcast, oneshot, watch};
use tokio::time::{self, Instant};

use crate::error::HandleError;
use crate::notices::Heard;
use crate::turn::TurnDesk;

/// How long a question may wait for room in a mailbox and for its answer, together.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long to wait before trying a full mailbox again.
pub(crate) const RETRY: Duration = Duration::from_millis(1);

/// Where a node is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// It has its sockets; no shard runs.
    Bound,
    /// Every shard runs.
    Running,
    /// It has stopped, or was dropped.
    Ended,
}

/// A shard's end of its line to control.
pub(crate) struct Line {
    pub(crate) bell: Bell,
    pub(crate) commands: mailbox::Receiver<Command>,
    pub(crate) reports: mailbox::Sender<Report>,
}

/// What the handles of one node share.
pub(crate) struct Switchboard {
    shards: Vec<mailbox::Sender<Command>>,
    next_ticket: AtomicU64,
    /// Whether wire v1 is open. It opens once and never closes.
    v1_open: AtomicBool,
    /// Empty while TURN is closed, which it is from the start or never.
    turn: OnceLock<TurnDesk>,
    /// `None` once the node has ended.
    desk: Mutex<Option<Desk>>,
    phase: watch::Sender<Phase>,
    /// When the node must have ended; `None` while nobody wants it to.
    stop: watch::Sender<Option<Instant>>,
}

struct Desk {
    waiting: HashMap<u64, oneshot::Sender<Report>>,
    notices: broadcast::Sender<Heard>,
}

/// Lays the lines between `shards` shards and control.
///
/// # Errors
/// When no descriptor is left for the bells.
pub(crate) fn lay(
    shards: usize,
    notices: usize,
) -> io::Result<(Arc<Switchboard>, Inbox, Vec<Line>)> {
    let (button, chime) = StdDatagram::pair()?;
    button.set_nonblocking(true)?;
    let doorbell: Arc<dyn Wake> = Arc::new(Doorbell(button));
    let mut board_ends = Vec::with_capacity(shards);
    let mut inbox_ends = Vec::with_capacity(shards);
    let mut lines = Vec::with_capacity(shards);
    for _ in 0..shards {
        let bell = Bell::new()?;
        let (ask, commands) = mailbox(MAILBOX_SLOTS, Arc::new(bell.clone()));
        let (reports, hear) = mailbox(MAILBOX_SLOTS, Arc::clone(&doorbell));
        board_ends.push(ask);
        inbox_ends.push(hear);
        lines.push(Line { bell, commands, reports });
    }
    let desk = Desk { waiting: HashMap::new(), notices: broadcast::channel(notices).0 };
    let board = Switchboard {
        shards: board_ends,
        next_ticket: AtomicU64::new(1),
        v1_open: AtomicBool::new(false),
        turn: OnceLock::new(),
        desk: Mutex::new(Some(desk)),
        phase: watch::channel(Phase::Bound).0,
        stop: watch::channel(None).0,
    };
    Ok((Arc::new(board), Inbox { reports: inbox_ends, chime }, lines))
}

impl Switchboard {
    pub(crate) fn shards(&self) -> usize {
        self.shards.len()
    }

    pub(crate) fn phase(&self) -> watch::Receiver<Phase> {
        self.phase.subscribe()
    }

    pub(crate) fn stop(&self) -> watch::Receiver<Option<Instant>> {
        self.stop.subscribe()
    }

    /// Wants the node to end by `deadline`; the earliest deadline of several counts.
    pub(crate) fn want_stop(&self, deadline: Instant) {
        self.stop.send_modify(|by| *by = Some(by.map_or(deadline, |by| by.min(deadline))));
    }

    /// Says that every shard runs.
    pub(crate) fn running(&self) {
        self.phase.send_replace(Phase::Running);
    }

    /// Ends everything that waits. Nothing is answered after this.
    pub(crate) fn close(&self) {
        *self.desk() = None;
        self.phase.send_replace(Phase::Ended);
    }

    pub(crate) fn notices(&self) -> Option<broadcast::Receiver<Heard>> {
        self.desk().as_ref().map(|desk| desk.notices.subscribe())
    }

    /// Puts a command in a shard's mailbox, or gives it back when the mailbox is full.
    pub(crate) fn post(&self, shard: usize, command: Command) -> Result<(), Command> {
        self.shards[shard].post(command)
    }

    /// Whether wire v1 is open.
    pub(crate) fn v1_is_open(&self) -> bool {
        self.v1_open.load(Ordering::Relaxed)
    }

    /// Says that wire v1 is open.
    pub(crate) fn v1_opens(&self) {
        self.v1_open.store(true, Ordering::Relaxed);
    }

    /// What is kept of TURN, if it is open.
    pub(crate) fn turn(&self) -> Option<&TurnDesk> {
        self.turn.get()
    }

    /// Says that TURN is open.
    pub(crate) fn turn_opens(&self, desk: TurnDesk) {
        let _ = self.turn.set(desk);
    }

    /// Tells a shard, and returns once it has taken what it was told.
    pub(crate) async fn instruct(&self, shard: usize, command: Command) -> Result<(), HandleError> {
        if time::timeout(PATIENCE, self.post_when_there_is_room(shard, command)).await.is_err() {
            return Err(HandleError::Busy { shard });
        }
        // A mailbox keeps its order: whoever answers this has taken what was before it.
        self.ask(shard, |ticket| Command::Counters { ticket }).await.map(drop)
    }

    /// Asks a shard and waits for its answer.
    pub(crate) async fn ask(
        &self,
        shard: usize,
        question: impl FnOnce(u64) -> Command,
    ) -> Result<Report, HandleError> {
        let ticket = Ticket::draw(self);
        let (answer, answered) = oneshot::channel();
        match &mut *self.desk() {
            Some(desk) => desk.waiting.insert(ticket.number, answer),
            None => return Err(HandleError::Stopped),
        };
        let conversation = async {
            self.post_when_there_is_room(shard, question(ticket.number)).await;
            answered.await
        };
        match time::timeout(PATIENCE, conversation).await {
            Ok(Ok(report)) => Ok(report),
            Ok(Err(_closed)) => Err(HandleError::Stopped),
            Err(_elapsed) if self.desk().is_none() => Err(HandleError::Stopped),
            Err(_elapsed) => Err(HandleError::Busy { shard }),
        }
    }

    async fn post_when_there_is_room(&self, shard: usize, mut command: Command) {
        while let Err(back) = self.post(shard, command) {
            command = back;
            time::sleep(RETRY).await;
        }
    }

    /// Hands an answer to whoever asked. Nobody may be left to hear it.
    pub(crate) fn answer(&self, ticket: u64, report: Report) {
        let asker = self.desk().as_mut().and_then(|desk| desk.waiting.remove(&ticket));
        if let Some(asker) = asker {
            let _ = asker.send(report);
        }
    }

    /// Tells everyone who listens.
    pub(crate) fn tell(&self, notice: Heard) {
        if let Some(desk) = &*self.desk() {
            let _ = desk.notices.send(notice);
        }
    }

    fn desk(&self) -> MutexGuard<'_, Option<Desk>> {
        self.desk.lock().expect("nobody panics at the desk")
    }
}

/// A place in the waiting map, given up when the asker goes away.
struct Ticket<'a> {
    board: &'a Switchboard,
    number: u64,
}

impl<'a> Ticket<'a> {
    fn draw(board: &'a Switchboard) -> Self {
        Self { board, number: board.next_ticket.fetch_add(1, Ordering::Relaxed) }
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        if let Some(desk) = &mut *self.board.desk() {
            desk.waiting.remove(&self.number);
        }
    }
}

/// How a shard wakes control: one byte through a socket pair, which tokio can wait for. A tokio `Notify`
/// would take a lock on the shard's thread.
struct Doorbell(StdDatagram);

impl Wake for Doorbell {
    fn wake(&self) {
        // Refused only when so many bytes wait that control wakes anyway, or when control is gone.
        let _ = self.0.send(&[1]);
    }
}

/// Control's end of the reports of all shards.
pub(crate) struct Inbox {
    reports: Vec<mailbox::Receiver<Report>>,
    chime: StdDatagram,
}

impl Inbox {
    /// The reports that wait, with their shards; at most one mailbox full of each, so that a busy
    /// shard cannot hold the caller for ever.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = (usize, Report)> + '_ {
        self.reports.iter_mut().enumerate().flat_map(|(shard, reports)| {
            (0..MAILBOX_SLOTS).map_while(move |_| reports.take().map(|report| (shard, report)))
        })
    }

    /// What hears the doorbell in this tokio runtime.
    ///
    /// # Errors
    /// When no descriptor is left.
    pub(crate) fn ear(&self) -> io::Result<UnixDatagram> {
        let chime = self.chime.try_clone()?;
        chime.set_nonblocking(true)?;
        UnixDatagram::from_std(chime)
    }

    /// Waits until there may be a report. Safe to cancel.
    pub(crate) async fn wait(&mut self, ear: &UnixDatagram) {
        let quiet = self.reports.iter_mut().all(mailbox::Receiver::doze);
        if quiet {
            // A byte from an earlier ring ends the wait early, which is harmless.
            let _ = ear.recv(&mut [0]).await;
        }
        self.reports.iter_mut().for_each(mailbox::Receiver::rouse);
    }
}

#[cfg(test)]
mod tests {
    use elara_shards::Counters;

    use super::*;

    fn counters(ticket: u64) -> Report {
        Report::Counters { ticket, counters: Box::new(Counters::default()) }
    }

    #[tokio::test]
    async fn an_answer_finds_its_asker_by_ticket() {
        let (board, _inbox, mut lines) = lay(1, 4).unwrap();
        let ask = || board.ask(0, |ticket| Command::Counters { ticket });
        let shard = async {
            let mut tickets = Vec::new();
            while tickets.len() < 2 {
                match lines[0].commands.take() {
                    Some(Command::Counters { ticket }) => tickets.push(ticket),
                    _ => tokio::task::yield_now().await,
                }
            }
            // Answered backwards: order is not what matches them.
            for ticket in tickets.into_iter().rev() {
                board.answer(ticket, counters(ticket));
            }
        };
        let (first, second, ()) = tokio::join!(ask(), ask(), shard);
        let ticket = |report: Result<Report, _>| match report {
            Ok(Report::Counters { ticket, .. }) => ticket,
            other => panic!("{other:?}"),
        };
        assert_eq!((ticket(first), ticket(second)), (1, 2));
        assert!(board.desk().as_ref().unwrap().waiting.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_shard_that_takes_no_question_is_busy_and_nothing_is_left_behind() {
        let (board, _inbox, _lines) = lay(1, 4).unwrap();
        while board.post(0, Command::Stop).is_ok() {}
        let answer = board.ask(0, |ticket| Command::Counters { ticket }).await;
        assert_eq!(answer.unwrap_err(), HandleError::Busy { shard: 0 });
        assert!(board.desk().as_ref().unwrap().waiting.is_empty());
    }

    #[tokio::test]
    async fn a_closed_board_ends_every_wait() {
        let (board, _inbox, _lines) = lay(1, 4).unwrap();
        let ask = || board.ask(0, |ticket| Command::Counters { ticket });
        let close = async { board.close() };
        let (waited, ()) = tokio::join!(ask(), close);
        assert_eq!(waited.unwrap_err(), HandleError::Stopped);
        assert_eq!(ask().await.unwrap_err(), HandleError::Stopped);
        assert!(board.notices().is_none());
    }

    #[tokio::test]
    async fn a_report_wakes_a_waiting_inbox() {
        let (_board, mut inbox, lines) = lay(2, 4).unwrap();
        let ear = inbox.ear().unwrap();
        let reports = lines[1].reports.clone();
        let shard = std::thread::spawn(move || reports.post(counters(7)).is_ok());
        let heard = loop {
            if let Some((from, Report::Counters { ticket, .. })) = inbox.drain().next() {
                break (from, ticket);
            }
            inbox.wait(&ear).await;
        };
        assert_eq!(heard, (1, 7));
        assert!(shard.join().unwrap());
    }
}
