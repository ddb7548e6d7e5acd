//! From a value to its place.

/// Values above one another by so many times are drawn by their logarithms.
const LOG_FROM: f64 = 10.0;
/// The same for figures, which are read better from zero.
const LOG_FIGURES_FROM: f64 = 100.0;
/// About as many lines of the grid.
const STEPS: f64 = 5.0;

/// An axis: what lies where, and which values have a line.
#[derive(Debug)]
pub(super) struct Axis {
    log: bool,
    /// The ends, as they are drawn: logarithms if `log`.
    ends: (f64, f64),
    /// In pixels.
    places: (f64, f64),
    /// The smallest that has a logarithm of its own.
    least: f64,
    /// Values that have a line.
    pub(super) ticks: Vec<f64>,
}

impl Axis {
    /// For figures up to `most`, from 0.
    pub(super) fn from_zero(most: f64, places: (f64, f64)) -> Self {
        let step = round_step(most / STEPS);
        let steps = (most / step).ceil().max(1.0);
        let ticks = (0..=steps as u32).map(|tick| f64::from(tick) * step).collect();
        Self { log: false, ends: (0.0, steps * step), places, least: 0.0, ticks }
    }

    /// For figures from `least` to `most`: from 0, or by decades if they are far apart.
    pub(super) fn of_figures(least: f64, most: f64, places: (f64, f64)) -> Self {
        if least <= 0.0 || most / least < LOG_FIGURES_FROM {
            return Self::from_zero(most, places);
        }
        let ends = (least.log10().floor(), most.log10().ceil());
        let ticks = (ends.0 as i32..=ends.1 as i32).map(|power| 10f64.powi(power)).collect();
        Self { log: true, ends, places, least, ticks }
    }

    /// For these sizes, in order, each with a line; by their logarithms if they are far apart, and none at all is then
    /// a decade before the first.
    pub(super) fn of_sizes(sizes: &[f64], places: (f64, f64)) -> Self {
        let least = sizes.iter().copied().find(|&size| size > 0.0).unwrap_or(1.0);
        let most = sizes.last().copied().unwrap_or(1.0);
        let log = most / least >= LOG_FROM;
        let ticks = sizes.to_vec();
        let mut axis = Self { log, ends: (0.0, 1.0), places, least, ticks };
        let first = sizes.first().map_or(0.0, |&size| axis.drawn(size));
        axis.ends = (first, axis.drawn(most));
        axis
    }

    /// Where `value` lies.
    pub(super) fn place(&self, value: f64) -> f64 {
        let (from, to) = self.ends;
        let part = if to > from { (self.drawn(value) - from) / (to - from) } else { 0.5 };
        self.places.0 + part * (self.places.1 - self.places.0)
    }

    fn drawn(&self, value: f64) -> f64 {
        match self.log {
            true if value <= 0.0 => self.least.log10() - 1.0,
            true => value.log10(),
            false => value,
        }
    }
}

/// The next of 1, 2, 2.5, 5 and their decades.
fn round_step(step: f64) -> f64 {
    if step <= 0.0 || !step.is_finite() {
        return 1.0;
    }
    let decade = 10f64.powf(step.log10().floor());
    let digit = [1.0, 2.0, 2.5, 5.0].into_iter().find(|digit| step <= digit * decade * 1.000_001);
    digit.unwrap_or(10.0) * decade
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_begin_at_zero_unless_they_are_far_apart() {
        let axis = Axis::of_figures(80.0, 937.0, (0.0, 100.0));
        assert_eq!(axis.ticks, [0.0, 200.0, 400.0, 600.0, 800.0, 1000.0]);
        assert_eq!((axis.place(0.0), axis.place(500.0)), (0.0, 50.0));
        let axis = Axis::of_figures(3.0, 900.0, (0.0, 90.0));
        assert_eq!(axis.ticks, [1.0, 10.0, 100.0, 1000.0]);
        assert!((axis.place(100.0) - 60.0).abs() < 1e-9);
        assert_eq!(Axis::from_zero(0.0, (0.0, 1.0)).ticks, [0.0, 1.0]);
    }

    #[test]
    fn sizes_by_decades_keep_none_at_all_beside_them() {
        let axis = Axis::of_sizes(&[0.0, 1e6, 1e7], (0.0, 100.0));
        let places: Vec<_> = axis.ticks.iter().map(|&size| axis.place(size).round()).collect();
        assert_eq!(places, [0.0, 50.0, 100.0]);
        assert_eq!(Axis::of_sizes(&[1.0, 2.0], (0.0, 10.0)).place(1.5), 5.0);
        assert_eq!(Axis::of_sizes(&[7.0], (0.0, 10.0)).place(7.0), 5.0);
    }
}
