//! Synthetic patients: nobody's data, in the shape of a well-known one.
//!
//! **The model.** Each patient has three hidden traits, drawn from a normal distribution: how old, how the metabolism
//! works, how heavy. A measure's standard score is `z = Σ loading · trait + rest`, with as much of its own chance in
//! `rest` as gives `z` the variance 1; its value is `mean + spread · (z + bend · (z² − 1))`, held within its bounds and
//! rounded as it is measured. `bend` skews it: few are pregnant fifteen times. The diagnosis is drawn with the
//! probability `1 / (1 + e^−s)`, where `s` is [`BASE`] plus the weighted standard scores plus what nobody measured.
//! Afterwards some measures are lost, which such tables code as 0.
//!
//! **The same everywhere.** The bits come from xoshiro256++, whose stream its crate keeps stable. All that is done with
//! them are additions, multiplications, divisions and square roots, which IEEE 754 rounds the same on every machine;
//! the normal distribution is a sum of twelve uniform ones, and [`exp`] is made of multiplications.

use std::fmt::Write as _;

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng as _, SeedableRng as _};

/// A column of measures.
pub struct Measure {
    /// Its name in the header.
    pub name: &'static str,
    mean: f64,
    spread: f64,
    bend: f64,
    low: f64,
    high: f64,
    decimals: usize,
    /// How much of each hidden trait is in it: age, metabolism, weight.
    loadings: [f64; 3],
    /// Its weight in the diagnosis.
    risk: f64,
    /// The share that is lost.
    lost: f64,
    /// The most that a table of somebody else may say: what lies above is a slip, not a patient.
    pub most: f64,
}

/// The columns, in order. Means, spreads and bounds are those of adult women of a population with much diabetes.
#[rustfmt::skip]
pub const MEASURES: [Measure; 8] = [
    Measure { name: "Pregnancies", mean: 3.8, spread: 3.2, bend: 0.25, low: 0.0, high: 17.0, decimals: 0, loadings: [0.55, 0.0, 0.0], risk: 0.25, lost: 0.0, most: 30.0 },
    Measure { name: "Glucose", mean: 121.0, spread: 30.0, bend: 0.12, low: 44.0, high: 199.0, decimals: 0, loadings: [0.25, 0.70, 0.10], risk: 1.60, lost: 0.007, most: 2000.0 },
    Measure { name: "BloodPressure", mean: 72.0, spread: 12.3, bend: 0.02, low: 24.0, high: 122.0, decimals: 0, loadings: [0.32, 0.0, 0.30], risk: 0.0, lost: 0.045, most: 300.0 },
    Measure { name: "SkinThickness", mean: 29.0, spread: 10.3, bend: 0.07, low: 7.0, high: 99.0, decimals: 0, loadings: [0.0, 0.0, 0.75], risk: 0.0, lost: 0.30, most: 200.0 },
    Measure { name: "Insulin", mean: 155.0, spread: 105.0, bend: 0.33, low: 14.0, high: 846.0, decimals: 0, loadings: [0.0, 0.75, 0.20], risk: 0.0, lost: 0.27, most: 5000.0 },
    Measure { name: "BMI", mean: 32.4, spread: 6.8, bend: 0.10, low: 18.2, high: 67.1, decimals: 1, loadings: [0.0, 0.0, 0.85], risk: 0.85, lost: 0.014, most: 200.0 },
    Measure { name: "DiabetesPedigreeFunction", mean: 0.47, spread: 0.30, bend: 0.35, low: 0.078, high: 2.42, decimals: 3, loadings: [0.0, 0.10, 0.0], risk: 0.40, lost: 0.0, most: 10.0 },
    Measure { name: "Age", mean: 33.0, spread: 10.0, bend: 0.45, low: 21.0, high: 81.0, decimals: 0, loadings: [0.95, 0.0, 0.0], risk: 0.45, lost: 0.0, most: 150.0 },
];

/// The column of the diagnosis: 1 or 0.
pub const OUTCOME: &str = "Outcome";
/// The log odds of a patient whose measures are all average: about 35 % are ill.
const BASE: f64 = -1.05;
/// The spread of what nobody measured, in log odds.
const UNMEASURED: f64 = 0.4;
/// Where a fold of the skin was not measured, insulin was not either.
const SKIN: usize = 3;
const INSULIN: usize = 4;

/// Writes a table of `rows` patients as CSV: a header, then a line each.
pub fn table(seed: u64, rows: u32) -> String {
    let mut chance = Chance(Xoshiro256PlusPlus::seed_from_u64(seed));
    let names: Vec<&str> = MEASURES.iter().map(|m| m.name).chain([OUTCOME]).collect();
    let mut csv = names.join(",") + "\n";
    for _ in 0..rows {
        patient(&mut chance, &mut csv);
    }
    csv
}

fn patient(chance: &mut Chance, csv: &mut String) {
    let traits = [chance.normal(), chance.normal(), chance.normal()];
    let scores = MEASURES.each_ref().map(|m| {
        let shared: f64 = m.loadings.iter().map(|l| l * l).sum();
        let common: f64 = m.loadings.iter().zip(traits).map(|(l, t)| l * t).sum();
        common + (1.0 - shared).sqrt() * chance.normal()
    });
    let risk: f64 = MEASURES.iter().zip(scores).map(|(m, z)| m.risk * z).sum();
    let log_odds = BASE + risk + UNMEASURED * chance.normal();
    let ill = chance.uniform() < 1.0 / (1.0 + exp(-log_odds));
    let mut lost = MEASURES.each_ref().map(|m| chance.uniform() < m.lost);
    lost[INSULIN] |= lost[SKIN];
    for ((m, z), lost) in MEASURES.iter().zip(scores).zip(lost) {
        let value = (m.mean + m.spread * (z + m.bend * (z * z - 1.0))).clamp(m.low, m.high);
        // Writing into a string can't fail.
        let _ = if lost { write!(csv, "0,") } else { write!(csv, "{value:.*},", m.decimals) };
    }
    csv.push_str(if ill { "1\n" } else { "0\n" });
}

struct Chance(Xoshiro256PlusPlus);

impl Chance {
    /// Draws from [0, 1), with 53 bits.
    fn uniform(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Draws from a distribution with mean 0 and variance 1 that is normal but for its farthest tails: a sum of twelve
    /// uniform draws (Irwin and Hall).
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.uniform()).sum::<f64>() - 6.0
    }
}

/// `e^x` as `(1 + x/2²⁰)^(2²⁰)`: off by at most `x²/2²¹` of itself, and the same on every machine, which the
/// mathematical libraries' is not.
fn exp(x: f64) -> f64 {
    (0..20).fold(1.0 + x / 1_048_576.0, |power, _| power * power)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::{Digest as _, Sha256};

    /// All values of a column that were not lost.
    fn column(csv: &str, name: &str) -> Vec<f64> {
        let at = csv.lines().next().unwrap().split(',').position(|n| n == name).unwrap();
        csv.lines().skip(1).map(|l| l.split(',').nth(at).unwrap().parse().unwrap()).collect()
    }

    fn mean(values: &[f64]) -> f64 {
        values.iter().sum::<f64>() / values.len() as f64
    }

    fn correlation(a: &[f64], b: &[f64]) -> f64 {
        let both: Vec<(f64, f64)> =
            a.iter().copied().zip(b.iter().copied()).filter(|(a, b)| *a > 0.0 && *b > 0.0).collect();
        let (x, y): (Vec<f64>, Vec<f64>) = both.into_iter().unzip();
        let (mx, my) = (mean(&x), mean(&y));
        let part = |f: fn(f64, f64) -> f64| x.iter().zip(&y).map(|(x, y)| f(x - mx, y - my)).sum::<f64>();
        part(|x, y| x * y) / (part(|x, _| x * x) * part(|_, y| y * y)).sqrt()
    }

    #[test]
    fn the_same_seed_gives_the_same_bytes_on_every_machine() {
        let digest = |seed| hex(&Sha256::digest(table(seed, 768)));
        assert_eq!(digest(42), "c2d0dd9a355403caeeae048b3ac1bfcebd49c1da8fffc421699b7147dfd11c94");
        assert_ne!(digest(43), digest(42));
        assert_eq!(table(42, 768).lines().nth(1), Some("7,114,0,29,89,37.3,0.771,64,1"));
        // A longer table begins with the shorter one.
        assert!(table(42, 900).starts_with(&table(42, 768)));
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|b| format!("{b:02x}")).collect()
    }

    #[test]
    fn what_it_looks_like_is_what_is_documented() {
        let csv = table(7, 20_000);
        for m in &MEASURES {
            let all = column(&csv, m.name);
            let seen: Vec<f64> = all.iter().copied().filter(|v| *v > 0.0 || m.low == 0.0).collect();
            assert!(seen.iter().all(|v| (m.low..=m.high).contains(v)), "{}", m.name);
            assert!((mean(&seen) - m.mean).abs() < 0.05 * m.mean, "{}: {}", m.name, mean(&seen));
            if m.low > 0.0 && m.name != "Insulin" {
                let lost = 1.0 - seen.len() as f64 / all.len() as f64;
                assert!((lost - m.lost).abs() < 0.01, "{}: {lost}", m.name);
            }
        }
        let insulin = column(&csv, "Insulin");
        let lost = insulin.iter().filter(|v| **v == 0.0).count() as f64 / insulin.len() as f64;
        assert!((0.45..0.53).contains(&lost), "{lost}");
        let pairs = [
            ("Glucose", "Insulin", 0.45..0.65),
            ("SkinThickness", "BMI", 0.55..0.75),
            ("Pregnancies", "Age", 0.35..0.6),
            ("BloodPressure", "DiabetesPedigreeFunction", -0.05..0.1),
        ];
        for (a, b, expected) in pairs {
            let seen = correlation(&column(&csv, a), &column(&csv, b));
            assert!(expected.contains(&seen), "{a} and {b}: {seen}");
        }
        let ill = mean(&column(&csv, OUTCOME));
        assert!((0.33..0.37).contains(&ill), "{ill}");
    }

    #[test]
    fn the_exponential_is_one() {
        for x in [-8.0_f64, -1.0, 0.0, 0.5, 3.0, 8.0] {
            assert!((exp(x) / x.exp() - 1.0).abs() < 1e-4, "{x}");
        }
    }
}
