//! How many statements something costs: on a server each is a way there and back.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Once;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

thread_local! {
    /// Statements of this thread, while somebody counts them.
    static COUNT: RefCell<Option<Rc<Cell<usize>>>> = const { RefCell::new(None) };
}

/// Counts what sqlx says of statements on this thread, for as long as it lives: so a test with it runs on one.
pub struct Statements {
    count: Rc<Cell<usize>>,
}

impl Statements {
    /// From now on.
    pub fn count() -> Self {
        // One for all threads: what one of them alone listens to may be switched off by another, which asks its own listener,
        // and has none.
        static LISTEN: Once = Once::new();
        LISTEN.call_once(|| tracing::subscriber::set_global_default(Counter).unwrap());
        let count = Rc::new(Cell::new(0));
        COUNT.set(Some(Rc::clone(&count)));
        Self { count }
    }

    /// Those since the last time.
    pub fn take(&self) -> usize {
        self.count.take()
    }
}

impl Drop for Statements {
    fn drop(&mut self) {
        COUNT.set(None);
    }
}

/// Whether a statement is what a pool says to each new connection. That is no part of what is counted: a pool opens another
/// one whenever the last has not come back to it yet, which a slow machine sees more often.
#[derive(Default)]
struct Statement {
    opens_a_connection: bool,
}

impl Visit for Statement {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.opens_a_connection |= field.name() == "db.statement" && value.contains("_wanted (name, value)");
    }

    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}

struct Counter;

impl Subscriber for Counter {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "sqlx::query"
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        // A thread that ends has none any more.
        let Ok(Some(count)) = COUNT.try_with(|count| count.borrow().clone()) else { return };
        let mut statement = Statement::default();
        event.record(&mut statement);
        if self.enabled(event.metadata()) && !statement.opens_a_connection {
            count.set(count.get() + 1);
        }
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}
