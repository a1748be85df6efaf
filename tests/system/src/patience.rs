//! Waiting for a condition, never for a time. The only place in the tests that sleeps.

use std::time::{Duration, Instant};

/// Between two looks. Raised: tests take longer; lowered: the looking loads the machine under test.
const PAUSE: Duration = Duration::from_millis(5);

/// Looks until there is something to see, and returns it.
///
/// # Panics
/// After `timeout`, naming `what` was waited for.
pub fn until<T>(timeout: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(start.elapsed() < timeout, "waited {timeout:?} in vain for {what}");
        std::thread::sleep(PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_again_until_it_sees() {
        let mut looks = 0;
        let seen = until(Duration::from_secs(5), "three looks", || {
            looks += 1;
            (looks == 3).then_some("seen")
        });
        assert_eq!((seen, looks), ("seen", 3));
    }

    #[test]
    #[should_panic(expected = "in vain for a miracle")]
    fn gives_up() {
        until(Duration::from_millis(1), "a miracle", || None::<()>);
    }
}
