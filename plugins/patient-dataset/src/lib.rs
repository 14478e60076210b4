//! Makes a table of patients with a diagnosis: synthetic, or the learner's own.
mod judge;
mod patients;

use judge::{BYTES, Count, ROWS, judge};
use sealbook_sdk::prelude::*;

/// Which patients.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct In {
    /// How many synthetic patients, 50 to 20,000.
    #[serde(default = "usual")]
    #[schemars(range(min = 50, max = 20_000))]
    rows: u32,
    /// Decides all that is left to chance: the same seed gives the same patients, byte for byte.
    #[serde(default = "answer")]
    seed: u64,
    /// A table of your own instead: CSV with the columns Pregnancies, Glucose, BloodPressure, SkinThickness, Insulin,
    /// BMI, DiabetesPedigreeFunction, Age and Outcome (0 or 1), a 0 for what was not measured. An artifact of an earlier
    /// step (`artifact:…`) is judged here; a secret input (`secret:…`) is shown to nobody, and judged where it is opened.
    #[serde(default)]
    csv: Option<String>,
}

fn usual() -> u32 {
    768
}

fn answer() -> u64 {
    42
}

/// The table.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Out {
    /// Reference to the CSV, which the host keeps sealed.
    data: String,
    /// SHA-256 of the CSV, in hex.
    sha256: String,
    /// Patients; unknown where the table is secret.
    rows: Option<u32>,
    /// Those with the diagnosis.
    positives: Option<u32>,
    /// Whether they are made up.
    synthetic: bool,
}

/// Makes a table of patients.
pub struct PatientDataset;

impl Step for PatientDataset {
    const ASKS: &'static [&'static str] = &["artifacts:use"];
    type In = In;
    type Out = Out;

    fn check(cx: &Cx, i: &In) -> Result<Check<Out>> {
        if let Some(secret) = i.secret() {
            cx.artifacts().open(secret)?;
            return Ok(Check::needed("Take your table as it is, without a look into it"));
        }
        let (_, count) = i.table(cx)?;
        Ok(match i.csv {
            Some(_) => Check::needed(format!("Keep your table of {} patients for this run, sealed", count.rows)),
            None => Check::needed(format!(
                "Make a table of {} synthetic patients from the seed {}: nobody's data",
                count.rows, i.seed
            ))
            .also("Keep it for this run, sealed"),
        })
    }

    fn apply(cx: &Cx, i: &In) -> Result<Out> {
        if let Some(secret) = i.secret() {
            let sha256 = cx.artifacts().open(secret)?.sha256();
            return Ok(Out { data: secret.into(), sha256, rows: None, positives: None, synthetic: false });
        }
        let (csv, Count { rows, positives }) = i.table(cx)?;
        let kept = cx.artifacts().write("patients.csv", &csv)?;
        let (rows, positives) = (Some(rows), Some(positives));
        Ok(Out { data: kept.reference(), sha256: kept.sha256(), rows, positives, synthetic: i.csv.is_none() })
    }

    fn verify(cx: &Cx, i: &In, outputs: &Out) -> Result<Vec<Evidence>> {
        let kept = cx.artifacts().open(&outputs.data)?;
        let (Some(rows), Some(positives)) = (outputs.rows, outputs.positives) else {
            return Ok(vec![Evidence::same("SHA-256 of your table", &kept.sha256(), &outputs.sha256)]);
        };
        let content = kept.content(BYTES)?;
        let (again, _) = i.table(cx)?;
        let seen = match judge(&content) {
            Ok(count) => format!("{} rows, {} of them positive", count.rows, count.positives),
            Err(faults) => faults,
        };
        let wanted = format!("{rows} rows, {positives} of them positive");
        let origin = if outputs.synthetic { "the seed gives the same bytes again" } else { "it is your table" };
        Ok(vec![
            Evidence::same("SHA-256 of what is kept", &kept.sha256(), &outputs.sha256),
            Evidence::same("what is in it", &seen, &wanted),
            Evidence::new(origin, again == content, format!("{} bytes", content.len())),
        ])
    }
}

impl In {
    /// The reference to a table that nobody is to see.
    fn secret(&self) -> Option<&str> {
        self.csv.as_deref().filter(|reference| reference.starts_with("secret:"))
    }

    fn table(&self, cx: &Cx) -> Result<(Vec<u8>, Count)> {
        let csv = match &self.csv {
            Some(reference) => cx.artifacts().open(reference)?.content(BYTES)?,
            None if ROWS.contains(&self.rows) => patients::table(self.seed, self.rows).into_bytes(),
            None => {
                let message = format!("{} to {} patients are made, not {}", ROWS.start(), ROWS.end(), self.rows);
                return Err(Problem::invalid_input("rows", message));
            }
        };
        let field = if self.csv.is_some() { "csv" } else { "seed" };
        let count = judge(&csv).map_err(|faults| Problem::invalid_input(field, faults))?;
        Ok((csv, count))
    }
}

sealbook_sdk::export!(PatientDataset);

#[cfg(test)]
mod tests {
    use super::*;
    use sealbook_sdk::testing::{Done, Fake};

    fn run(fake: &Fake, inputs: Value) -> Done {
        let done = fake.step::<PatientDataset>(inputs).run().unwrap();
        assert!(done.evidence.iter().all(|e| e.passed), "{:?}", done.evidence);
        done
    }

    #[test]
    fn it_makes_patients_and_keeps_them() {
        let fake = Fake::new();
        let done = run(&fake, json!({}));
        let out = done.outputs.clone().unwrap();
        assert_eq!((&out["data"], &out["rows"]), (&json!("artifact:patients.csv"), &json!(768)));
        assert_eq!(out["synthetic"], true);
        let again = run(&fake, json!({ "seed": 42, "rows": 768 })).outputs.unwrap();
        assert_eq!(again, out);
        assert_ne!(run(&fake, json!({ "seed": 1 })).outputs.unwrap()["sha256"], out["sha256"]);
        assert!(fake.effects().is_empty());
    }

    #[test]
    fn it_takes_a_table_of_ones_own_as_it_is() {
        let own = patients::table(5, 60);
        let out =
            run(&Fake::new().artifact("mine", own.as_bytes()), json!({ "csv": "artifact:mine" })).outputs.unwrap();
        assert_eq!((&out["rows"], &out["synthetic"]), (&json!(60), &json!(false)));
    }

    #[test]
    fn a_secret_table_is_taken_without_a_look() {
        let fake = Fake::new().secret("mine", b"Name\nSmith\n");
        let out = run(&fake, json!({ "csv": "secret:mine" })).outputs.unwrap();
        assert_eq!(
            (&out["data"], &out["rows"], &out["synthetic"]),
            (&json!("secret:mine"), &Value::Null, &json!(false))
        );
    }

    #[test]
    fn a_bad_table_and_too_few_rows_are_refused_before_anything_is_kept() {
        let fake = Fake::new().artifact("mine", b"Name\nSmith\n");
        let cases =
            [(json!({ "csv": "artifact:mine" }), "line 1, column 1"), (json!({ "rows": 3 }), "50 to 20000 patients")];
        for (inputs, expected) in cases {
            let told = format!("{:?}", fake.step::<PatientDataset>(inputs).check().unwrap_err());
            assert!(told.contains(expected), "{told}");
        }
    }

    #[test]
    fn what_was_changed_meanwhile_is_noticed() {
        let fake = Fake::new();
        let done = run(&fake, json!({}));
        let other = Fake::new().artifact("patients.csv", patients::table(42, 700).as_bytes());
        let evidence = other.step::<PatientDataset>(json!({})).verify(&done.outputs.unwrap()).unwrap();
        assert!(evidence.iter().all(|e| !e.passed), "{evidence:?}");
    }
}
