//! How many statements something costs: on a server each is a way there and back.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::DefaultGuard;
use tracing::{Event, Metadata, Subscriber};

/// Counts what sqlx says of statements on this thread, for as long as it lives: so a test with it runs on one.
pub struct Statements {
    count: Arc<AtomicUsize>,
    _guard: DefaultGuard,
}

impl Statements {
    /// From now on.
    pub fn count() -> Self {
        let count = Arc::new(AtomicUsize::new(0));
        let guard = tracing::subscriber::set_default(Counter(Arc::clone(&count)));
        Self { count, _guard: guard }
    }

    /// Those since the last time.
    pub fn take(&self) -> usize {
        self.count.swap(0, Ordering::Relaxed)
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

struct Counter(Arc<AtomicUsize>);

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
        let mut statement = Statement::default();
        event.record(&mut statement);
        if self.enabled(event.metadata()) && !statement.opens_a_connection {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}
