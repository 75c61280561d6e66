//! The latest values of a series.

/// At most so many of them, oldest first, one beside the other.
pub(crate) struct Latest {
    length: usize,
    /// Older ones before them, which are forgotten when there are as many again.
    values: Vec<f64>,
}

impl Latest {
    pub(crate) fn new(length: usize) -> Self {
        Self { length, values: Vec::new() }
    }

    pub(crate) fn push(&mut self, value: f64) {
        // Moving the values once in as many pushes is less work than to have each window lie in two parts.
        if self.values.len() >= self.length.saturating_mul(2) {
            self.values.drain(..=self.values.len() - self.length);
        }
        self.values.push(value);
    }

    /// Put older ones before all that are there.
    pub(crate) fn extend_front(&mut self, mut older: Vec<f64>) {
        older.extend_from_slice(self.values());
        self.values = older;
    }

    pub(crate) fn values(&self) -> &[f64] {
        &self.values[self.values.len().saturating_sub(self.length)..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_are_there_in_their_order() {
        for length in 1..9 {
            let mut latest = Latest::new(length);
            let mut all = Vec::new();
            for value in (0..50).map(f64::from) {
                latest.push(value);
                all.push(value);
                assert_eq!(latest.values(), &all[all.len().saturating_sub(length)..]);
                assert!(latest.values.len() <= 2 * length, "no more is kept");
            }
        }
    }

    #[test]
    fn older_ones_stand_before() {
        let mut latest = Latest::new(3);
        latest.push(5.0);
        latest.extend_front(vec![3.0, 4.0]);
        assert_eq!(latest.values(), [3.0, 4.0, 5.0]);
        latest.extend_front(vec![1.0, 2.0]);
        assert_eq!(latest.values(), [3.0, 4.0, 5.0]);
    }
}
