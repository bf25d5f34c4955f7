//! Numbers from repeated measurements.

use serde::Serialize;

/// One value for each round.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(transparent)]
pub struct Series(pub Vec<f64>);

impl Series {
    /// Adds a round.
    pub fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    /// Returns the median; not a number when nothing was measured.
    pub fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    /// Returns the value below which this share of all values lies, interpolated.
    pub fn quantile(&self, share: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
        let at = share * last as f64;
        let (below, above) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
        below + (above - below) * at.fract()
    }

    /// Returns the smallest value.
    pub fn smallest(&self) -> f64 {
        self.0.iter().copied().fold(f64::NAN, f64::min)
    }

    /// Returns the largest value.
    pub fn largest(&self) -> f64 {
        self.0.iter().copied().fold(f64::NAN, f64::max)
    }
}

impl FromIterator<f64> for Series {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Series {
        Series(values.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_interpolated() {
        let series: Series = [4.0, 1.0, 3.0, 2.0].into_iter().collect();
        assert_eq!(series.median(), 2.5);
        assert_eq!(series.quantile(1.0), 4.0);
        assert_eq!((series.smallest(), series.largest()), (1.0, 4.0));
        assert!(Series::default().median().is_nan());
    }
}
