//! Scores rows with a trained model, where it runs.
pub mod model;

use std::collections::BTreeMap;

use model::Model;
use sealbook_sdk::prelude::*;

/// Bytes that a model may have.
const BYTES: usize = 64 << 20;
/// Rows that are scored in one step.
const ROWS: usize = 1_000;

/// Which rows, with which model.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct In {
    /// The model, as an artifact of an earlier step (`artifact:…`).
    model: String,
    /// The rows: for each feature of the model its value. They are kept in the run's record, so take invented ones.
    #[schemars(length(min = 1, max = 1000))]
    rows: Vec<BTreeMap<String, f64>>,
}

/// What the model says.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Out {
    /// The column that is predicted.
    label: String,
    /// For each row the probability of a 1.
    probabilities: Vec<f64>,
    /// For each row what the model says: 1 from a probability of one half on.
    classes: Vec<u32>,
    /// SHA-256 of the model that said so, in hex.
    model_sha256: String,
}

/// Scores rows.
pub struct ScoreRows;

impl Step for ScoreRows {
    const ASKS: &'static [&'static str] = &["artifacts:use"];
    type In = In;
    type Out = Out;

    fn check(cx: &Cx, i: &In) -> Result<Check<Out>> {
        // What it says follows from its inputs, so that to look is to have done it.
        i.scores(cx).map(Check::Satisfied)
    }

    fn apply(cx: &Cx, i: &In) -> Result<Out> {
        i.scores(cx)
    }

    fn verify(cx: &Cx, i: &In, outputs: &Out) -> Result<Vec<Evidence>> {
        let again = i.scores(cx)?;
        Ok(vec![
            Evidence::same("SHA-256 of the model", &again.model_sha256, &outputs.model_sha256),
            Evidence::new(
                "asked again, it says the same",
                again.probabilities == outputs.probabilities && again.classes == outputs.classes,
                format!("{} rows", again.probabilities.len()),
            ),
        ])
    }
}

impl In {
    fn scores(&self, cx: &Cx) -> Result<Out> {
        if !(1..=ROWS).contains(&self.rows.len()) {
            let message = format!("1 to {ROWS} rows are scored, not {}", self.rows.len());
            return Err(Problem::invalid_input("rows", message));
        }
        let kept = cx.artifacts().open(&self.model)?;
        let model = Model::parse(&kept.content(BYTES)?).map_err(|why| Problem::invalid_input("model", why))?;
        let rows: Vec<Vec<f64>> =
            self.rows.iter().zip(1..).map(|(row, n)| ordered(&model, row, n)).collect::<Result<_>>()?;
        let exact: Vec<f64> = rows.iter().map(|row| model.probability(row)).collect();
        Ok(Out {
            // Four decimals say all that a model of this kind knows.
            probabilities: exact.iter().map(|p| (p * 10_000.0).round() / 10_000.0).collect(),
            classes: exact.iter().map(|p| u32::from(*p >= 0.5)).collect(),
            label: model.label,
            model_sha256: kept.sha256(),
        })
    }
}

/// The values of a row in the model's order. The number of the row is counted from 1.
fn ordered(model: &Model, row: &BTreeMap<String, f64>, number: u32) -> Result<Vec<f64>> {
    if let Some(unknown) = row.keys().find(|name| !model.features.contains(name)) {
        let all = model.features.join(", ");
        let message = format!("row {number}: the model knows no {unknown}; it looks at {all}");
        return Err(Problem::invalid_input("rows", message));
    }
    let value = |name: &String| {
        let value = row.get(name).copied();
        value.ok_or_else(|| Problem::invalid_input("rows", format!("row {number}: {name} is missing")))
    };
    model.features.iter().map(value).collect()
}

sealbook_sdk::export!(ScoreRows);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Node;
    use proptest::prelude::*;
    use sealbook_sdk::testing::{Fake, Tested};

    const SPLIT: Node = Node::Split { feature: 1, below: 40.0, yes: 1, no: 2, missing: 2 };

    /// Log odds −1, −2 more for the young, +1.5 more for the old.
    fn model() -> Model {
        let tree = vec![SPLIT, Node::Leaf { leaf: -2.0 }, Node::Leaf { leaf: 1.5 }];
        Model::new("Outcome", &["BMI".into(), "Age".into()], -1.0, vec![tree]).unwrap()
    }

    fn world() -> Fake {
        Fake::new().artifact("model.json", &serde_json::to_vec(&model()).unwrap())
    }

    fn step(fake: &Fake, rows: Value) -> Tested<ScoreRows> {
        fake.step(json!({ "model": "artifact:model.json", "rows": rows }))
    }

    #[test]
    fn it_says_what_one_gets_by_hand() {
        // 1 / (1 + e^3) and 1 / (1 + e^-0.5).
        let rows = json!([{ "BMI": 30, "Age": 39.9 }, { "Age": 40, "BMI": 30 }]);
        let done = step(&world(), rows).run().unwrap();
        assert!(done.preview.is_none() && done.evidence.iter().all(|e| e.passed), "{done:?}");
        let out = done.outputs.unwrap();
        assert_eq!((&out["probabilities"], &out["classes"]), (&json!([0.0474, 0.6225]), &json!([0, 1])));
        assert_eq!(out["label"], "Outcome");
        assert!((model().probability(&[1.0, f64::NAN]) - 0.6225).abs() < 1e-4);
    }

    #[test]
    fn rows_that_do_not_fit_are_refused_by_number_and_name() {
        let cases = [
            (json!([]), "not 0"),
            (json!([{ "BMI": 1, "Age": 2 }, { "BMI": 1 }]), "row 2: Age is missing"),
            (json!([{ "BMI": 1, "Age": 2, "Name": 3 }]), "row 1: the model knows no Name; it looks at BMI, Age"),
            (json!([{ "BMI": "heavy", "Age": 2 }]), "invalid type"),
        ];
        for (rows, expected) in cases {
            let told = format!("{:?}", step(&world(), rows).check().unwrap_err());
            assert!(told.contains(expected), "{told}");
        }
    }

    #[test]
    fn a_model_that_is_none_or_would_lead_astray_is_refused() {
        let good = serde_json::to_value(model()).unwrap();
        let with = |path: &str, value: Value| {
            let mut bad = good.clone();
            *bad.pointer_mut(path).unwrap() = value;
            bad.to_string()
        };
        let cases = [
            ("{".into(), "it is no model"),
            (with("/version", json!(2)), "of version 2; a `sealbook-boosted-trees` of version 1 is read"),
            (with("/format", json!("other")), "it is a `other`"),
            (with("/base", json!("x")), "can't be read"),
            (with("/features", json!([])), "no features"),
            (with("/trees/0", json!([])), "tree 0 of the model is no tree"),
            // Backwards, out of the tree, of no feature.
            (with("/trees/0/0/no", json!(0)), "tree 0 of the model is no tree"),
            (with("/trees/0/0/missing", json!(3)), "tree 0 of the model is no tree"),
            (with("/trees/0/0/feature", json!(2)), "tree 0 of the model is no tree over its 2 features"),
            (with("/trees/0/1", json!({ "leaf": 1e300 })), "tree 0"),
            (with("/trees/0/1", json!({ "leaf": 1, "left": 2 })), "can't be read"),
        ];
        for (json, expected) in cases {
            let told = Model::parse(json.as_bytes()).unwrap_err();
            assert!(told.contains(expected), "{told} for {json}");
        }
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(leaves in proptest::collection::vec(-1e3_f32..1e3, 2), below in -1e6_f64..1e6, base in -5.0_f64..5.0) {
            let split = Node::Split { feature: 0, below, yes: 1, no: 2, missing: 1 };
            let tree = vec![split, Node::Leaf { leaf: leaves[0] }, Node::Leaf { leaf: leaves[1] }];
            let model = Model::new("y", &["x".into()], base, vec![tree]).unwrap();
            prop_assert_eq!(Model::parse(&serde_json::to_vec(&model).unwrap()).unwrap(), model);
        }

        #[test]
        fn a_model_that_was_read_can_be_asked_anything(
            feature in 0_usize..3, yes in 0_usize..4, no in 0_usize..4, missing in 0_usize..4, row: Vec<f64>
        ) {
            let tree = json!([
                { "feature": feature, "below": 1.5, "yes": yes, "no": no, "missing": missing },
                { "leaf": 1.0 },
                { "leaf": -1.0 }
            ]);
            let json = json!({ "format": "sealbook-boosted-trees", "version": 1, "label": "y",
                "features": ["a", "b"], "base": 0.0, "trees": [tree] });
            if let Ok(model) = Model::parse(json.to_string().as_bytes()) {
                prop_assert!((0.0..=1.0).contains(&model.probability(&row)));
            }
        }
    }
}
