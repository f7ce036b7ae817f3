//! Threads that panic, fail, end early, hang or never come up, and what becomes of the node.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::watch;

use super::*;
use crate::handle::NodeHandle;
use crate::switchboard::{Line, Phase, lay};

/// How one shard behaves.
#[derive(Clone, Copy)]
enum Way {
    Obeys,
    Panics,
    Fails,
    EndsEarly,
    Hangs,
}

struct Node {
    supervisor: Supervisor,
    board: Arc<Switchboard>,
    /// Shards that were told to stop and did.
    obeyed: Arc<AtomicUsize>,
    /// Ends the shards that hang, so that no test leaves a thread behind.
    _hold: std::sync::mpsc::Sender<()>,
}

fn start(ways: &[Way]) -> Node {
    let (board, inbox, lines) = lay(ways.len(), 4).unwrap();
    let obeyed = Arc::new(AtomicUsize::new(0));
    let (hold, held) = std::sync::mpsc::channel();
    let mut held = Some(held);
    let cpu = cpu::allowed()[0];
    let posts = lines
        .into_iter()
        .zip(ways)
        .map(|(line, way)| {
            let way = *way;
            let held = held.take_if(|_| matches!(way, Way::Hangs));
            let obeyed = Arc::clone(&obeyed);
            let body: Body = Box::new(move |ready| {
                ready.say();
                match way {
                    Way::Obeys => obey(line, &obeyed),
                    Way::Panics => panic!("seven is {}", 7),
                    Way::Fails => return Err(io::ErrorKind::OutOfMemory.into()),
                    Way::EndsEarly => {}
                    Way::Hangs => assert!(held.unwrap().recv().is_err(), "nothing is sent"),
                }
                Ok(())
            });
            Post { cpu, body }
        })
        .collect();
    let supervisor = Supervisor::start(Arc::clone(&board), inbox, posts).unwrap();
    Node { supervisor, board, obeyed, _hold: hold }
}

fn obey(mut line: Line, obeyed: &AtomicUsize) {
    loop {
        if line.reports.is_full() {
            // As a shard: no command is taken while its answer would be lost.
            thread::yield_now();
            continue;
        }
        match line.commands.take() {
            Some(Command::Stop) => break,
            Some(Command::Counters { ticket }) => {
                let counters = Box::new(Counters { cycles: 42, ..Counters::default() });
                line.reports.post(Report::Counters { ticket, counters }).unwrap();
            }
            _ => thread::yield_now(),
        }
    }
    obeyed.fetch_add(1, Ordering::SeqCst);
}

async fn reaches(mut phase: watch::Receiver<Phase>, wanted: Phase) {
    phase.wait_for(|phase| *phase >= wanted).await.unwrap();
}

#[tokio::test]
async fn a_panic_ends_the_whole_node_and_is_named() {
    let node = start(&[Way::Obeys, Way::Panics, Way::Obeys]);
    match node.supervisor.run().await {
        Err(NodeError::ShardPanicked { shard: 1, message }) => assert_eq!(message, "seven is 7"),
        other => panic!("{other:?}"),
    }
    assert_eq!(node.obeyed.load(Ordering::SeqCst), 2, "the others were stopped");
    reaches(node.board.phase(), Phase::Ended).await;
}

#[tokio::test]
async fn a_failure_ends_the_whole_node_and_is_named() {
    let node = start(&[Way::Fails, Way::Obeys]);
    match node.supervisor.run().await {
        Err(NodeError::ShardFailed { shard: 0, source }) => {
            assert_eq!(source.kind(), io::ErrorKind::OutOfMemory);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(node.obeyed.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_shard_that_just_ends_is_a_failure_too() {
    let node = start(&[Way::Obeys, Way::EndsEarly]);
    let ended = node.supervisor.run().await;
    assert!(matches!(ended, Err(NodeError::ShardEnded { shard: 1 })), "{ended:?}");
    assert_eq!(node.obeyed.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_node_that_is_told_to_stop_ends_well_with_its_last_counters() {
    let node = start(&[Way::Obeys, Way::Obeys]);
    let handle = NodeHandle::new(Arc::clone(&node.board));
    let stop = async {
        handle.running().await.unwrap();
        assert_eq!(handle.counters().await.unwrap().len(), 2);
        handle.shutdown(Duration::from_secs(60)).await
    };
    let (ended, stopped) = tokio::join!(node.supervisor.run(), stop);
    assert_eq!(stopped, Ok(()));
    assert_eq!(ended.unwrap().iter().map(|last| last.cycles).collect::<Vec<_>>(), [42, 42]);
}

#[tokio::test]
async fn a_mailbox_full_of_questions_does_not_keep_a_node_from_stopping() {
    let node = start(&[Way::Obeys]);
    while node.board.post(0, Command::Counters { ticket: 1 }).is_ok() {}
    node.board.want_stop(Instant::now() + Duration::from_secs(60));
    assert!(node.supervisor.run().await.is_ok());
}

#[tokio::test]
async fn a_thread_that_hangs_is_named_at_the_deadline() {
    let node = start(&[Way::Obeys, Way::Hangs]);
    node.board.want_stop(Instant::now() + Duration::from_millis(50));
    let ended = node.supervisor.run().await;
    assert!(matches!(ended, Err(NodeError::ShardStuck { shard: 1 })), "{ended:?}");
}

#[tokio::test]
async fn dropping_the_supervisor_stops_its_threads() {
    let node = start(&[Way::Obeys, Way::Obeys]);
    drop(node.supervisor);
    while node.obeyed.load(Ordering::SeqCst) < 2 {
        tokio::task::yield_now().await;
    }
    reaches(node.board.phase(), Phase::Ended).await;
}
