//! Trains gradient-boosted trees on a table, where it runs.
mod boost;
mod metrics;
/// One file for both plugins: what one writes the other reads.
#[path = "../../score-rows/src/model.rs"]
pub mod model;
mod picture;
pub mod split;
mod table;

use boost::{Importance, Point, Settings, Trained};
use metrics::{Class, Confusion};
use model::Model;
use sealbook_sdk::prelude::*;
use table::{BYTES, Table};

/// What to learn from which table.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct In {
    /// The table, as an artifact of an earlier step (`artifact:…`): CSV with a header and numbers.
    data: String,
    /// The column to predict, of 0 and 1. All the others are learnt from.
    #[serde(default = "outcome")]
    label: String,
    /// How many rows of a hundred are held back as test rows, to judge what was learnt; 5 to 50.
    #[serde(default = "fifth")]
    #[schemars(range(min = 5, max = 50))]
    test_percent: u32,
    /// Decides which rows are held back. The same seed holds back the same ones.
    #[serde(default = "answer")]
    seed: u64,
    /// How to train; XGBoost's defaults where nothing is said.
    #[serde(default)]
    settings: Settings,
}

fn outcome() -> String {
    "Outcome".into()
}

fn fifth() -> u32 {
    20
}

fn answer() -> u64 {
    42
}

/// The model, and how good it is on the rows that were held back.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Out {
    /// Reference to the model, which the host keeps sealed.
    model: String,
    /// SHA-256 of the model, in hex.
    sha256: String,
    /// Reference to the picture, SVG: confusion, importance, learning curve.
    picture: String,
    /// What the model looks at, in the order of the table.
    features: Vec<String>,
    /// Rows that were learnt from.
    train_rows: u32,
    /// Rows that were held back.
    test_rows: u32,
    /// The share of them that was predicted right.
    accuracy: f64,
    /// The accuracy of always predicting the commoner class.
    baseline: f64,
    /// Right and wrong by class.
    confusion: Confusion,
    /// Precision, recall, F1 and support of 0 and of 1.
    classes: Vec<Class>,
    /// What each feature was worth, the best first.
    importance: Vec<Importance>,
    /// How the loss fell.
    curve: Vec<Point>,
}

/// Trains trees.
pub struct TrainTrees;

impl Step for TrainTrees {
    const ASKS: &'static [&'static str] = &["artifacts:use"];
    // Measured with wasmtime: the usual table and settings take 0.9 thousand million units, 20,000 rows 5.6. A
    // thousand trees of depth 12 on those take 89, which is more than a step should.
    const LIMITS: Limits = Limits { memory_mib: 256, fuel_millions: 60_000, host_calls: 0 };
    type In = In;
    type Out = Out;

    fn check(_: &Cx, i: &In) -> Result<Check<Out>> {
        i.judge()?;
        let Settings { trees, depth, .. } = i.settings;
        Ok(Check::needed(format!("Train {trees} trees of depth {depth} to predict {}", i.label))
            .also(format!("Judge them by {} % of the rows, which they do not see", i.test_percent))
            .also("Keep the model and a picture for this run, sealed"))
    }

    fn apply(cx: &Cx, i: &In) -> Result<Out> {
        let (train, test) = i.tables(cx)?;
        cx.progress(0, None, &format!("learning from {} rows", train.rows.len()));
        let Trained { model, importance, curve } =
            boost::train(&train, &test, &i.label, &i.settings).map_err(Problem::permanent)?;
        let confusion = judged(&model, &test);
        let kept = cx.artifacts().write("model.json", &serde_json::to_vec(&model)?)?;
        let picture = picture::draw(&i.label, &confusion, &importance, &curve);
        let picture = cx.artifacts().write("training.svg", picture.as_bytes())?;
        Ok(Out {
            model: kept.reference(),
            sha256: kept.sha256(),
            picture: picture.reference(),
            features: train.features,
            train_rows: train.rows.len() as u32,
            test_rows: confusion.total(),
            accuracy: confusion.accuracy(),
            baseline: confusion.baseline(),
            confusion,
            classes: confusion.classes().into(),
            importance,
            curve,
        })
    }

    fn verify(cx: &Cx, i: &In, outputs: &Out) -> Result<Vec<Evidence>> {
        let kept = cx.artifacts().open(&outputs.model)?;
        let (_, test) = i.tables(cx)?;
        let again = match Model::parse(&kept.content(BYTES)?) {
            Ok(model) if model.features == test.features => Ok(judged(&model, &test)),
            Ok(_) => Err("the kept model looks at other columns".to_owned()),
            Err(why) => Err(why),
        };
        let detail = match &again {
            Ok(seen) => format!("{} of {} predicted right", seen.true_negatives + seen.true_positives, seen.total()),
            Err(why) => why.clone(),
        };
        Ok(vec![
            Evidence::same("SHA-256 of the kept model", &kept.sha256(), &outputs.sha256),
            Evidence::new(
                "asked again, it predicts the held-back rows as reported",
                again == Ok(outputs.confusion),
                detail,
            ),
        ])
    }
}

impl In {
    fn judge(&self) -> Result<()> {
        if !(5..=50).contains(&self.test_percent) {
            return Err(Problem::invalid_input("test_percent", "it lies between 5 and 50"));
        }
        self.settings.judge().map_err(|(name, why)| Problem::invalid_input(format!("settings.{name}"), why))
    }

    /// The rows to learn from, and those that are held back.
    fn tables(&self, cx: &Cx) -> Result<(Table, Table)> {
        self.judge()?;
        let content = cx.artifacts().open(&self.data)?.content(BYTES)?;
        let all = Table::parse(&content, &self.label).map_err(|why| Problem::invalid_input("data", why))?;
        let split = split::split(all.rows.len(), self.test_percent, self.seed);
        let (train, test) = (all.pick(&split.train), all.pick(&split.test));
        if !train.has_both() || test.rows.is_empty() {
            let message = format!("{} rows are too few: those to learn from need both a 0 and a 1", all.rows.len());
            return Err(Problem::invalid_input("data", message));
        }
        Ok((train, test))
    }
}

/// What a model predicts for each row, against what is: from one half on it is a 1.
fn judged(model: &Model, table: &Table) -> Confusion {
    Confusion::of(table.rows.iter().zip(&table.labels).map(|(row, is)| (*is, model.probability(row) >= 0.5)))
}

sealbook_sdk::export!(TrainTrees);

#[cfg(test)]
mod tests {
    use super::*;
    use sealbook_sdk::testing::{Fake, Tested};

    /// Sixty rows in which `a` decides.
    fn csv() -> String {
        let rows = (0..60).map(|n| format!("{n},{},{}\n", n * 37 % 11, u8::from(n >= 30)));
        "a,b,Outcome\n".chars().chain(rows.collect::<String>().chars()).collect()
    }

    fn step(fake: &Fake, inputs: Value) -> Tested<TrainTrees> {
        let mut all = json!({ "data": "artifact:patients.csv" });
        all.as_object_mut().unwrap().extend(inputs.as_object().unwrap().clone());
        fake.step(all)
    }

    fn world() -> Fake {
        Fake::new().artifact("patients.csv", csv().as_bytes())
    }

    #[test]
    fn it_trains_judges_and_keeps() {
        let fake = world();
        let done = step(&fake, json!({})).run().unwrap();
        assert!(done.evidence.len() == 2 && done.evidence.iter().all(|e| e.passed), "{:?}", done.evidence);
        let out = done.outputs.unwrap();
        assert_eq!((&out["train_rows"], &out["test_rows"]), (&json!(48), &json!(12)));
        assert!(out["accuracy"].as_f64().unwrap() > 0.9 && out["importance"][0]["feature"] == "a", "{out}");
        assert_eq!((&out["model"], &out["picture"]), (&json!("artifact:model.json"), &json!("artifact:training.svg")));
        assert_eq!(step(&fake, json!({})).apply().unwrap(), out);
        assert!(fake.effects().is_empty());
    }

    #[test]
    fn another_model_or_another_table_is_noticed() {
        let fake = world();
        let out = step(&fake, json!({})).run().unwrap().outputs.unwrap();
        let other = world();
        step(&other, json!({ "settings": { "trees": 1, "depth": 1, "learning_rate": 0.001 } })).apply().unwrap();
        assert!(step(&other, json!({})).verify(&out).unwrap().iter().all(|e| !e.passed));
        let other = world().artifact("model.json", b"{}");
        let evidence = step(&other, json!({})).verify(&out).unwrap();
        assert!(evidence[1].detail.contains("it is no model"), "{evidence:?}");
    }

    #[test]
    fn what_can_not_be_learnt_from_is_refused_by_name() {
        let one = |rows: &str| Fake::new().artifact("patients.csv", format!("a,Outcome\n{rows}").as_bytes());
        let cases = [
            (world(), json!({ "label": "c" }), "there is no column c"),
            (world(), json!({ "settings": { "trees": 5000 } }), "settings.trees"),
            (world(), json!({ "settings": { "tree": 5 } }), "unknown field `tree`"),
            (world(), json!({ "test_percent": 80 }), "test_percent"),
            (one(""), json!({}), "0 rows are too few"),
            (one("1,0\n2,0\n3,0\n4,0\n"), json!({}), "4 rows are too few"),
            (one("1,0\nx,1\n"), json!({}), "line 3, column a"),
            (Fake::new().secret("s", b"a,Outcome\n"), json!({ "data": "secret:s" }), "secret"),
        ];
        for (fake, inputs, expected) in cases {
            let told = format!("{:?}", step(&fake, inputs).apply().unwrap_err());
            assert!(told.contains(expected), "{told} instead of {expected}");
        }
    }
}
