//! Threads for guests: each has one guest at a time, and is kept for the next.
//!
//! Making a thread with a stack of some megabytes, and what the engine keeps per thread, costs several times what a short
//! call does. Nothing of a guest is on a thread that is kept: its store is gone when its call has ended.

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

/// Threads that are kept while they have nothing to do.
const KEPT: usize = 64;

/// What a call answered, or its panic.
pub(crate) type Answer<T> = Result<T, Box<dyn Any + Send>>;

/// A call, and what is then to be told, and to whom.
type Work = Box<dyn FnOnce() -> Tell + Send>;
type Tell = Box<dyn FnOnce() + Send>;

/// The only way to reach a thread; it is with the thread while that works. When it is dropped, the thread ends.
struct Way(Sender<(Work, Way)>);

/// Threads with a stack of one size.
pub(crate) struct Threads {
    stack_bytes: usize,
    idle: Arc<Mutex<Vec<Way>>>,
}

impl Threads {
    /// None yet.
    pub(crate) fn new(stack_bytes: usize) -> Self {
        Self { stack_bytes, idle: Arc::default() }
    }

    /// Run `call` on a thread that has nothing else to do, and hand its answer over there. A thread whose call does not
    /// come back is not used again.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        call: impl FnOnce() -> T + Send + 'static,
        tell: impl FnOnce(Answer<T>) + Send + 'static,
    ) -> io::Result<()> {
        let work: Work = Box::new(move || {
            let answer = catch_unwind(AssertUnwindSafe(call));
            Box::new(move || tell(answer))
        });
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let Way(thread) = match idle {
            Some(way) => way,
            None => self.spawn()?,
        };
        let way = Way(thread.clone());
        thread.send((work, way)).map_err(|_| io::Error::other("a thread for guests has ended"))
    }

    fn spawn(&self) -> io::Result<Way> {
        let (sender, receiver) = channel::<(Work, Way)>();
        let idle = Arc::downgrade(&self.idle);
        std::thread::Builder::new().name("guest".to_owned()).stack_size(self.stack_bytes).spawn(
            move || {
                while let Ok((work, way)) = receiver.recv() {
                    let tell = work();
                    // Before the answer, so that whoever gets it and calls again finds this thread. When the sandbox is gone, the
                    // way goes with this turn.
                    if let Some(idle) = idle.upgrade() {
                        let mut idle = idle.lock().unwrap_or_else(PoisonError::into_inner);
                        if idle.len() < KEPT {
                            idle.push(way);
                        }
                    }
                    tell();
                }
            },
        )?;
        Ok(Way(sender))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::sync_channel;
    use std::thread::{ThreadId, current};

    /// What a call on one of the threads answers.
    fn ask<T: Send + 'static>(threads: &Threads, call: impl FnOnce() -> T + Send + 'static) -> Answer<T> {
        let (sender, receiver) = sync_channel(1);
        threads.run(call, move |answer| sender.send(answer).unwrap()).unwrap();
        receiver.recv().unwrap()
    }

    fn who(threads: &Threads) -> ThreadId {
        ask(threads, || current().id()).unwrap()
    }

    #[test]
    fn a_thread_is_used_again_also_after_a_panic() {
        let threads = Threads::new(1 << 20);
        let first = who(&threads);
        let panic = ask(&threads, || panic!("on purpose")).map(|(): ()| ()).unwrap_err();
        assert_eq!(panic.downcast_ref(), Some(&"on purpose"));
        assert_eq!(who(&threads), first);
    }

    #[test]
    fn a_thread_that_is_busy_is_not_waited_for() {
        let threads = Threads::new(1 << 20);
        let (go_on, may_go_on) = channel::<()>();
        let (sender, receiver) = channel();
        let busy = move || {
            may_go_on.recv().unwrap();
            current().id()
        };
        threads.run(busy, move |answer| sender.send(answer).unwrap()).unwrap();
        let other = who(&threads);
        assert_eq!(who(&threads), other);
        go_on.send(()).unwrap();
        assert_ne!(receiver.recv().unwrap().unwrap(), other);
    }

    /// Dropped with the thread that has it.
    struct Here(Sender<()>);

    impl Drop for Here {
        fn drop(&mut self) {
            self.0.send(()).unwrap();
        }
    }

    std::thread_local! {
        static HERE: std::cell::RefCell<Option<Here>> = const { std::cell::RefCell::new(None) };
    }

    #[test]
    fn threads_end_with_what_they_are_for() {
        let threads = Threads::new(1 << 20);
        let (sender, receiver) = channel();
        ask(&threads, || HERE.set(Some(Here(sender)))).unwrap();
        drop(threads);
        receiver.recv_timeout(std::time::Duration::from_mins(1)).expect("the thread goes on");
    }
}
