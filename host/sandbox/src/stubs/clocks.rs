//! Clocks that do not depend on time.

use wasmtime::StoreContextMut;
use wasmtime::component::{ComponentType, Lift, Linker, Lower, Resource};

use super::io::Pollable;
use super::versioned;
use crate::linker::State;

/// Nanoseconds by which the monotonic clock moves when it is read, so that a loop that waits for it to move ends.
const TICK: u64 = 1_000;

#[derive(ComponentType, Lift, Lower)]
#[component(record)]
struct Datetime {
    seconds: u64,
    nanoseconds: u32,
}

impl Datetime {
    /// WASI has no moments before 1970.
    fn of_micros(micros: i64) -> Self {
        let micros = u64::try_from(micros).unwrap_or(0);
        let nanoseconds = u32::try_from(micros % 1_000_000 * 1_000).unwrap_or(0);
        Self { seconds: micros / 1_000_000, nanoseconds }
    }
}

type Store<'a> = StoreContextMut<'a, State>;

pub(super) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut wall = linker.instance(&versioned("wasi:clocks/wall-clock"))?;
    wall.func_wrap("now", |mut store: Store<'_>, ()| {
        let state = store.data_mut();
        state.count()?;
        Ok((Datetime::of_micros(state.stubs.now),))
    })?;
    wall.func_wrap("resolution", |_: Store<'_>, ()| Ok((Datetime { seconds: 0, nanoseconds: 1_000 },)))?;

    let mut monotonic = linker.instance(&versioned("wasi:clocks/monotonic-clock"))?;
    monotonic.func_wrap("now", |mut store: Store<'_>, ()| {
        let state = store.data_mut();
        state.count()?;
        state.stubs.elapsed = state.stubs.elapsed.saturating_add(TICK);
        Ok((state.stubs.elapsed,))
    })?;
    monotonic.func_wrap("resolution", |_: Store<'_>, ()| Ok((TICK,)))?;
    monotonic.func_wrap("subscribe-instant", |mut store: Store<'_>, (when,): (u64,)| {
        wait(store.data_mut(), |elapsed| elapsed.max(when))
    })?;
    monotonic.func_wrap("subscribe-duration", |mut store: Store<'_>, (duration,): (u64,)| {
        wait(store.data_mut(), |elapsed| elapsed.saturating_add(duration))
    })
}

/// Something that is ready at once: the clock is there already.
fn wait(state: &mut State, until: impl FnOnce(u64) -> u64) -> wasmtime::Result<(Resource<Pollable>,)> {
    state.stubs.elapsed = until(state.stubs.elapsed);
    Ok((Pollable::new(state)?,))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_told_to_the_microsecond_and_none_before_1970() {
        let told = |micros| {
            let Datetime { seconds, nanoseconds } = Datetime::of_micros(micros);
            (seconds, nanoseconds)
        };
        assert_eq!(told(1_500_001), (1, 500_001_000));
        assert_eq!(told(0), (0, 0));
        assert_eq!(told(-1), (0, 0));
        assert_eq!(told(i64::MIN), (0, 0));
    }
}
