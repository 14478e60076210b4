//! Gradient-boosted trees, trained by the crate `forust-ml`, which implements XGBoost's algorithm.

use forust_ml::objective::ObjectiveType;
use forust_ml::{GradientBooster, Matrix};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::metrics::rounded;
use crate::model::{Model, Node};
use crate::table::Table;

/// How to train; the defaults are XGBoost's.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Trees, one after the other, 1 to 1000.
    #[schemars(range(min = 1, max = 1000))]
    pub trees: u32,
    /// Questions from a tree's root to a leaf, at most; 1 to 12.
    #[schemars(range(min = 1, max = 12))]
    pub depth: u32,
    /// How much of each tree counts (eta), 0.001 to 1.
    #[schemars(range(min = 0.001, max = 1.0))]
    pub learning_rate: f64,
    /// How strongly leaves are held back (lambda), 0 to 1000.
    #[schemars(range(min = 0.0, max = 1000.0))]
    pub lambda: f64,
    /// What a leaf has to weigh at least, in the sum of the loss's second derivatives; 0 to 1000.
    #[schemars(range(min = 0.0, max = 1000.0))]
    pub min_child_weight: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { trees: 100, depth: 6, learning_rate: 0.3, lambda: 1.0, min_child_weight: 1.0 }
    }
}

impl Settings {
    /// Says which setting is out of its range: its name and the range.
    ///
    /// # Errors
    /// When one is.
    pub fn judge(&self) -> Result<(), (&'static str, String)> {
        let settings = [
            ("trees", f64::from(self.trees), 1.0, 1000.0),
            ("depth", f64::from(self.depth), 1.0, 12.0),
            ("learning_rate", self.learning_rate, 0.001, 1.0),
            ("lambda", self.lambda, 0.0, 1000.0),
            ("min_child_weight", self.min_child_weight, 0.0, 1000.0),
        ];
        let wrong = settings.into_iter().find(|(_, value, least, most)| !(least..=most).contains(&value));
        wrong.map_or(Ok(()), |(name, _, least, most)| Err((name, format!("it lies between {least} and {most}"))))
    }
}

/// What came of the training.
#[derive(Debug, Clone, PartialEq)]
pub struct Trained {
    /// The model.
    pub model: Model,
    /// What each feature was worth, the best first.
    pub importance: Vec<Importance>,
    /// How the loss fell.
    pub curve: Vec<Point>,
}

/// What a feature was worth.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Importance {
    /// The feature.
    pub feature: String,
    /// Its average gain in a split, as a share of all features' (XGBoost's importance type `gain`).
    pub gain: f64,
}

/// The loss after so many trees.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Point {
    /// Trees.
    pub trees: u32,
    /// Log loss on the rows that were learnt from.
    pub train: f64,
    /// Log loss on the rows that were held back.
    pub test: f64,
}

/// Trains on one table and watches another.
///
/// # Errors
/// When the trees can't be made, in the crate's words.
pub fn train(train: &Table, test: &Table, label: &str, settings: &Settings) -> Result<Trained, String> {
    let (data, labels) = (columns(train), numbers(&train.labels));
    let (watched, watched_labels) = (columns(test), numbers(&test.labels));
    let (weights, watched_weights) = (vec![1.0; labels.len()], vec![1.0; watched_labels.len()]);
    let width = train.features.len();
    let matrix = || Matrix::new(&data, labels.len(), width);
    // A sandbox has no threads, so nothing may ask for them.
    let mut booster = GradientBooster::default()
        .set_objective_type(ObjectiveType::LogLoss)
        .set_iterations(settings.trees as usize)
        .set_max_depth(settings.depth as usize)
        .set_learning_rate(settings.learning_rate as f32)
        .set_l2(settings.lambda as f32)
        .set_min_leaf_weight(settings.min_child_weight as f32)
        .set_initialize_base_score(true)
        .set_parallel(false);
    let watch = vec![
        (matrix(), labels.as_slice(), weights.as_slice()),
        (Matrix::new(&watched, watched_labels.len(), width), watched_labels.as_slice(), watched_weights.as_slice()),
    ];
    booster.fit(&matrix(), &labels, &weights, Some(watch)).map_err(|e| e.to_string())?;
    Ok(Trained {
        model: Model::new(label, &train.features, booster.base_score, trees(&booster))?,
        importance: importance(&booster, &train.features),
        curve: curve(&booster),
    })
}

/// The table column after column.
fn columns(table: &Table) -> Vec<f64> {
    let column = |c: usize| table.rows.iter().map(move |row| row.get(c).copied().unwrap_or(f64::NAN));
    (0..table.features.len()).flat_map(column).collect()
}

fn numbers(labels: &[bool]) -> Vec<f64> {
    labels.iter().map(|l| f64::from(u8::from(*l))).collect()
}

/// The trees as the model keeps them. A node's number is its place in the list.
fn trees(booster: &GradientBooster) -> Vec<Vec<Node>> {
    // The crate's type of a node has no public name.
    let node = |tree: &forust_ml::tree::Tree, n: usize| {
        let node = tree.nodes.get(n)?;
        Some(match node.is_leaf {
            true => Node::Leaf { leaf: node.weight_value },
            false => Node::Split {
                feature: node.split_feature,
                below: node.split_value,
                yes: node.left_child,
                no: node.right_child,
                missing: node.missing_node,
            },
        })
    };
    booster.trees.iter().map(|tree| (0..tree.nodes.len()).filter_map(|n| node(tree, n)).collect()).collect()
}

fn importance(booster: &GradientBooster, features: &[String]) -> Vec<Importance> {
    let mut gains = vec![(0.0_f64, 0.0_f64); features.len()];
    for node in booster.trees.iter().flat_map(|t| &t.nodes).filter(|n| !n.is_leaf) {
        if let Some((gain, splits)) = gains.get_mut(node.split_feature) {
            *gain += f64::from(node.split_gain);
            *splits += 1.0;
        }
    }
    let average = |(gain, splits): (f64, f64)| if splits > 0.0 { gain / splits } else { 0.0 };
    let averages: Vec<f64> = gains.into_iter().map(average).collect();
    let all: f64 = averages.iter().sum();
    let share = |gain: f64| if all > 0.0 { rounded(gain / all) } else { 0.0 };
    let mut out: Vec<Importance> =
        features.iter().zip(averages).map(|(f, gain)| Importance { feature: f.clone(), gain: share(gain) }).collect();
    out.sort_by(|a, b| b.gain.total_cmp(&a.gain));
    out
}

/// Of the history of the loss, some twenty points: enough to see its shape.
fn curve(booster: &GradientBooster) -> Vec<Point> {
    let Some(history) = &booster.evaluation_history else { return Vec::new() };
    let step = history.rows.div_ceil(20).max(1);
    let point = |row: &[f64], n: usize| match row {
        // A model that is certain of everything has no loss that could be told.
        [train, test] if train.is_finite() && test.is_finite() => {
            Some(Point { trees: n as u32 + 1, train: rounded(*train), test: rounded(*test) })
        }
        _ => None,
    };
    let last = history.rows.saturating_sub(1);
    let rows = history.data.chunks(2).enumerate().filter(|(n, _)| *n == 0 || *n == last || (n + 1) % step == 0);
    rows.filter_map(|(n, row)| point(row, n)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two features of which the first decides, but for every ninth row; the third value is noise.
    fn table(rows: usize) -> Table {
        let cell = |n: usize, m: usize| ((n * 7919 + m * 104_729) % 1000) as f64 / 10.0;
        let rows: Vec<Vec<f64>> = (0..rows).map(|n| vec![cell(n, 1), cell(n * n, 2), cell(n, 3)]).collect();
        let labels = rows.iter().enumerate().map(|(n, r)| (r[0] >= 40.0) != (n % 9 == 0)).collect();
        Table { features: ["decides", "noise", "more"].map(Into::into).into(), rows, labels }
    }

    #[test]
    fn it_learns_what_decides_and_predicts_what_it_has_not_seen() {
        let all = table(500);
        let (seen, held): (Vec<usize>, Vec<usize>) = (0..500).partition(|n| n % 5 != 0);
        let (seen, held) = (all.pick(&seen), all.pick(&held));
        let trained = train(&seen, &held, "y", &Settings::default()).unwrap();
        assert_eq!(trained.model.trees(), 100);
        assert_eq!(trained.importance[0].feature, "decides");
        assert!((trained.importance.iter().map(|i| i.gain).sum::<f64>() - 1.0).abs() < 0.001);
        let trees: Vec<u32> = trained.curve.iter().map(|p| p.trees).collect();
        assert_eq!((trees[0], trees[1], trees[trees.len() - 1]), (1, 5, 100));
        assert!(trained.curve.windows(2).all(|p| p[1].train <= p[0].train), "{:?}", trained.curve);
        let right = held.rows.iter().zip(&held.labels).filter(|(r, l)| (trained.model.probability(r) >= 0.5) == **l);
        assert!(right.count() > 70, "of 100, of which 89 can be predicted");
        assert_eq!(train(&seen, &held, "y", &Settings::default()).unwrap(), trained);
    }

    #[test]
    fn the_kept_model_says_what_the_booster_says() {
        let mut all = table(300);
        // A tenth was not measured.
        all.rows.iter_mut().skip(3).step_by(10).for_each(|r| r[0] = f64::NAN);
        let (data, labels) = (columns(&all), numbers(&all.labels));
        let matrix = Matrix::new(&data, 300, 3);
        let mut booster = GradientBooster::default().set_iterations(30).set_max_depth(6).set_parallel(false);
        booster.fit_unweighted(&matrix, &labels, None).unwrap();
        let settings = Settings { trees: 30, ..Settings::default() };
        let model = train(&all, &all, "y", &settings).unwrap().model;
        let kept = Model::parse(&serde_json::to_vec(&model).unwrap()).unwrap();
        assert_eq!(kept, model);
        for (row, log_odds) in all.rows.iter().zip(booster.predict(&matrix, false)) {
            assert!((kept.probability(row) - 1.0 / (1.0 + (-log_odds).exp())).abs() < 1e-12);
        }
    }

    #[test]
    fn odd_tables_are_learnt_from_without_a_panic() {
        let odd = |rows: Vec<Vec<f64>>, labels: Vec<bool>| {
            let features = (0..rows[0].len()).map(|n| n.to_string()).collect();
            let table = Table { features, rows, labels };
            train(&table, &table, "y", &Settings { trees: 5, ..Settings::default() }).unwrap()
        };
        let same = odd(vec![vec![1.0, f64::NAN]; 8], vec![true, false, true, false, true, false, true, false]);
        assert!((same.model.probability(&[1.0, 2.0]) - 0.5).abs() < 1e-9);
        assert!(same.importance.iter().all(|i| i.gain == 0.0));
        odd(vec![vec![f64::MAX], vec![f64::MIN], vec![0.0], vec![-0.0]], vec![true, false, true, false]);
        let certain = Table {
            features: vec!["a".into()],
            rows: (0..200).map(|n| vec![f64::from(n)]).collect(),
            labels: (0..200).map(|n| n >= 100).collect(),
        };
        let settings =
            Settings { trees: 1000, learning_rate: 1.0, lambda: 0.0, min_child_weight: 0.0, ..Settings::default() };
        let sure = train(&certain, &certain, "y", &settings).unwrap();
        assert!(sure.model.probability(&[0.0]) < 0.01 && sure.model.probability(&[150.0]) > 0.99);
    }

    #[test]
    fn settings_have_ranges() {
        assert_eq!(Settings::default().judge(), Ok(()));
        let cases = [
            (Settings { trees: 0, ..Settings::default() }, "trees"),
            (Settings { depth: 13, ..Settings::default() }, "depth"),
            (Settings { learning_rate: 0.0, ..Settings::default() }, "learning_rate"),
            (Settings { lambda: -1.0, ..Settings::default() }, "lambda"),
            (Settings { min_child_weight: f64::NAN, ..Settings::default() }, "min_child_weight"),
        ];
        for (settings, name) in cases {
            assert_eq!(settings.judge().unwrap_err().0, name);
        }
    }
}
