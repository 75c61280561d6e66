//! Answers that are written for as long as somebody reads them: so many at once, and so many of one caller, so that whoever
//! reads slowly keeps nobody else from reading.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::StatusCode;

use crate::Problem;
use crate::auth::Caller;
use crate::settings::size;

/// Places of one kind. Clones share them.
#[derive(Clone)]
pub(crate) struct Streams(Arc<Shared>);

struct Shared {
    /// What they are, for messages.
    what: &'static str,
    all: usize,
    of_one: usize,
    retry_after: Duration,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    all: usize,
    /// By the uid of a user; whoever has none here has no place.
    of: HashMap<String, usize>,
}

/// A place, given back when it is dropped.
pub(crate) struct Stream {
    shared: Arc<Shared>,
    user: Option<String>,
}

impl Shared {
    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Streams {
    /// So many places, and so many of them for one caller; whoever is refused may come back after a while.
    pub(crate) fn new(
        what: &'static str,
        all: NonZeroU32,
        of_one: NonZeroU32,
        retry_after: Duration,
    ) -> Self {
        let taken = Mutex::default();
        Self(Arc::new(Shared { what, all: size(all), of_one: size(of_one), retry_after, taken }))
    }

    /// A place for a caller. All tokens of a user are one caller; whoever uses this machine without one has the machine.
    pub(crate) fn take(&self, caller: &Caller) -> Result<Stream, Problem> {
        self.take_for(caller.principal().user.as_ref().map(|user| user.uid.as_str()))
    }

    fn take_for(&self, user: Option<&str>) -> Result<Stream, Problem> {
        let Shared { what, all, of_one, retry_after, .. } = &*self.0;
        let busy = |text: String| {
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "server.busy", text).retry_after(*retry_after)
        };
        let mut taken = self.0.taken();
        let own = user.and_then(|user| taken.of.get(user)).copied().unwrap_or_default();
        if own >= *of_one {
            return Err(busy(format!("{own} {what} are open for this caller already"))
                .with_next("read them to their end, or end them, and try again"));
        }
        if taken.all >= *all {
            return Err(busy(format!("too many {what} are open")));
        }
        taken.all += 1;
        if let Some(user) = user {
            *taken.of.entry(user.to_owned()).or_default() += 1;
        }
        Ok(Stream { shared: Arc::clone(&self.0), user: user.map(str::to_owned) })
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let mut taken = self.shared.taken();
        taken.all -= 1;
        let Some(user) = &self.user else { return };
        if let Some(own) = taken.of.get_mut(user) {
            *own -= 1;
            if *own == 0 {
                taken.of.remove(user);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(value: u32) -> NonZeroU32 {
        NonZeroU32::new(value).unwrap()
    }

    #[test]
    fn one_caller_has_some_of_all_places_and_gives_them_back() {
        let streams = Streams::new("answers", number(5), number(2), Duration::from_secs(1));
        let refusal = |user| streams.take_for(user).err().map(|problem| problem.detail);
        let ada: Vec<_> = (0..2).map(|_| streams.take_for(Some("ada")).ok().unwrap()).collect();
        assert_eq!(refusal(Some("ada")).unwrap(), "2 answers are open for this caller already");
        // Others have what is left, and whoever is nobody as much as there is.
        let bob = streams.take_for(Some("bob")).ok().unwrap();
        let local: Vec<_> = (0..2).map(|_| streams.take_for(None).ok().unwrap()).collect();
        assert_eq!(refusal(Some("bob")).unwrap(), "too many answers are open");
        drop(local);
        assert_eq!((refusal(Some("bob")), refusal(None)), (None, None));
        drop(ada);
        assert_eq!(refusal(Some("ada")), None);
        drop(bob);
        let taken = streams.0.taken();
        assert!(taken.all == 0 && taken.of.is_empty());
    }
}
