//! A trained model as it is kept: gradient-boosted trees for a yes or no, as JSON.
//!
//! It is its own format rather than a crate's, so that it can be read without the crate that trained it, by other
//! versions and by other programs: `{ format, version, label, features, base, trees }`. A row's log odds are `base` plus
//! one leaf of each tree. A tree is a list of nodes, its root first; a split sends a row to `yes` if its feature is
//! smaller than `below`, to `no` if not, and to `missing` if it was not measured. This is how XGBoost evaluates trees,
//! too. `train-trees` writes it and `score-rows` reads it, both by this file.

use serde::{Deserialize, Serialize};

const FORMAT: &str = "sealbook-boosted-trees";
const VERSION: u32 = 1;

/// A model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    format: String,
    version: u32,
    /// The column that it predicts.
    pub label: String,
    /// The columns that it looks at, in order.
    pub features: Vec<String>,
    base: f64,
    trees: Vec<Vec<Node>>,
}

/// A node of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum Node {
    /// Sends a row on.
    Split {
        /// Which feature decides, counted from 0.
        feature: usize,
        /// What is smaller goes to `yes`.
        below: f64,
        /// The node for smaller values.
        yes: usize,
        /// The node for others.
        no: usize,
        /// The node for rows without a value (NaN).
        missing: usize,
    },
    /// Ends it.
    Leaf {
        /// What it adds to the log odds.
        leaf: f32,
    },
}

impl Model {
    /// A model out of trees that were trained.
    ///
    /// # Errors
    /// When they are no trees over these features.
    pub fn new(label: &str, features: &[String], base: f64, trees: Vec<Vec<Node>>) -> Result<Self, String> {
        let (label, features) = (label.into(), features.to_vec());
        let model = Self { format: FORMAT.into(), version: VERSION, label, features, base, trees };
        model.sound().map(|()| model)
    }

    /// Reads a model. What comes out can be asked without a fear of panics or endless loops.
    ///
    /// # Errors
    /// When it is none, or one of a newer format.
    pub fn parse(json: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Head {
            format: String,
            version: u32,
        }
        let head: Head = serde_json::from_slice(json).map_err(|e| format!("it is no model: {e}"))?;
        if (head.format.as_str(), head.version) != (FORMAT, VERSION) {
            let (format, version) = (head.format, head.version);
            return Err(format!("it is a `{format}` of version {version}; a `{FORMAT}` of version {VERSION} is read"));
        }
        let model: Self = serde_json::from_slice(json).map_err(|e| format!("the model can't be read: {e}"))?;
        model.sound().map(|()| model)
    }

    /// Every split looks at a feature that is there and sends rows forwards to nodes that are there.
    fn sound(&self) -> Result<(), String> {
        if self.features.is_empty() || !self.base.is_finite() {
            return Err("the model has no features or no finite base".into());
        }
        for (t, tree) in self.trees.iter().enumerate() {
            let sound = |(n, node): (usize, &Node)| match *node {
                Node::Split { feature, below, yes, no, missing } => {
                    let forwards = [yes, no, missing].iter().all(|to| (n + 1..tree.len()).contains(to));
                    feature < self.features.len() && !below.is_nan() && forwards
                }
                Node::Leaf { leaf } => leaf.is_finite(),
            };
            if tree.is_empty() || !tree.iter().enumerate().all(sound) {
                return Err(format!("tree {t} of the model is no tree over its {} features", self.features.len()));
            }
        }
        Ok(())
    }

    /// How many trees it has.
    #[must_use]
    pub fn trees(&self) -> usize {
        self.trees.len()
    }

    /// The probability of a 1 for a row with a value for each feature; NaN: not measured.
    #[must_use]
    pub fn probability(&self, row: &[f64]) -> f64 {
        let log_odds = self.base + self.trees.iter().map(|tree| leaf(tree, row)).sum::<f64>();
        1.0 / (1.0 + (-log_odds).exp())
    }
}

/// The leaf that a row ends at.
fn leaf(tree: &[Node], row: &[f64]) -> f64 {
    let mut at = 0;
    loop {
        match tree.get(at) {
            Some(Node::Leaf { leaf }) => return f64::from(*leaf),
            Some(Node::Split { feature, below, yes, no, missing }) => {
                let value = row.get(*feature).copied().unwrap_or(f64::NAN);
                at = if value.is_nan() {
                    *missing
                } else if value < *below {
                    *yes
                } else {
                    *no
                };
            }
            None => return 0.0,
        }
    }
}
