//! Asks a Log Analytics workspace, until what is waited for has arrived.
use std::collections::BTreeMap;

use sealbook_sdk::prelude::*;

/// Of the query API on Azure Resource Manager.
const API: &str = "2020-08-01";
/// Rows that go into the outputs.
const SHOWN: usize = 100;

/// What to ask, and how much has to come.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct In {
    /// Resource id of the workspace.
    workspace: ArmId,
    /// The query, in the Kusto Query Language.
    query: String,
    /// What has to be among the rows: each of these by a row of its own, in the columns that it names. Logs take minutes
    /// to arrive: the engine asks again, within `retry`.
    #[serde(default)]
    among: Vec<Row>,
}

/// Values by the names of their columns.
type Row = BTreeMap<String, Value>;

/// The answer.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Out {
    /// How many rows there are.
    count: u32,
    /// The first hundred of them, by the names of their columns.
    rows: Vec<Row>,
}

/// Asks a workspace.
pub struct LogQuery;

impl Step for LogQuery {
    const ASKS: &'static [&'static str] = &["azure:read ${inputs.workspace}/api/query"];
    type In = In;
    type Out = Out;

    fn check(_: &Cx, i: &In) -> Result<Check<Out>> {
        // What a log holds is only worth something when it is asked now.
        Ok(Check::needed(format!("Ask {} until all that is waited for is there", i.workspace.name())).az(format!(
            "az monitor log-analytics query --workspace $(az resource show --ids {} --query properties.customerId -o tsv) --analytics-query \"{}\"",
            i.workspace, i.query
        )))
    }

    fn apply(cx: &Cx, i: &In) -> Result<Out> {
        i.ask(cx)
    }

    fn verify(cx: &Cx, i: &In, outputs: &Out) -> Result<Vec<Evidence>> {
        let again = i.ask(cx)?;
        let detail = format!("{} rows, {} before", again.count, outputs.count);
        Ok(vec![Evidence::new("asked again, the log still holds them", again.count >= outputs.count, detail)])
    }

    fn undo(_: &Cx, _: &In, _: Past<Out>) -> Result<Undone> {
        Ok(Undone::clean())
    }
}

impl In {
    fn ask(&self, cx: &Cx) -> Result<Out> {
        let id = self.workspace.join("api/query")?;
        let answer = cx.azure().api(Some(API)).query(&id, &json!({ "query": self.query }))?;
        let table = &answer["tables"][0];
        let columns: Vec<&str> =
            table["columns"].as_array().into_iter().flatten().filter_map(|column| column["name"].as_str()).collect();
        let named = |row: &Vec<Value>| -> Row {
            columns.iter().zip(row).map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
        };
        let mut rows: Vec<Row> =
            table["rows"].as_array().into_iter().flatten().filter_map(Value::as_array).map(named).collect();
        let missing = missing(&self.among, &rows);
        if missing > 0 {
            let message =
                format!("{missing} of the {} entries have not arrived in {}", self.among.len(), self.workspace.name());
            return Err(Problem::transient(message));
        }
        let count = u32::try_from(rows.len()).unwrap_or(u32::MAX);
        rows.truncate(SHOWN);
        Ok(Out { count, rows })
    }
}

/// How many of those that are waited for have no row of their own.
fn missing(wanted: &[Row], rows: &[Row]) -> usize {
    let mut free: Vec<&Row> = rows.iter().collect();
    let mut missing = 0;
    for one in wanted {
        let fits = |row: &&Row| one.iter().all(|(column, value)| row.get(column).is_some_and(|seen| same(seen, value)));
        match free.iter().position(fits) {
            Some(at) => _ = free.swap_remove(at),
            None => missing += 1,
        }
    }
    missing
}

/// Equal, a number also when one is written with decimals.
fn same(a: &Value, b: &Value) -> bool {
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => (a - b).abs() < f64::EPSILON,
        _ => a == b,
    }
}

sealbook_sdk::export!(LogQuery);

#[cfg(test)]
mod tests {
    use super::*;
    use sealbook_sdk::testing::Fake;

    const WORKSPACE: &str = "/subscriptions/s/resourceGroups/g/providers/Microsoft.OperationalInsights/workspaces/w";

    fn fake(rows: Value) -> Fake {
        let columns = json!([{ "name": "OperationName", "type": "string" }, { "name": "n", "type": "real" }]);
        let answer = json!({ "tables": [{ "name": "PrimaryResult", "columns": columns, "rows": rows }] });
        Fake::new().answer(&format!("{WORKSPACE}/api/query"), answer)
    }

    fn inputs(among: Value) -> Value {
        json!({ "workspace": WORKSPACE, "query": "AzureDiagnostics", "among": among })
    }

    #[test]
    fn rows_come_by_the_names_of_their_columns() {
        let fake = fake(json!([["KeyRelease", 200.0], ["KeyRelease", 403.0]]));
        let wanted = json!([{ "n": 403 }, { "OperationName": "KeyRelease" }]);
        let done = fake.step::<LogQuery>(inputs(wanted)).run().unwrap();
        let out = done.outputs.unwrap();
        assert_eq!(
            (&out["count"], &out["rows"][1]),
            (&json!(2), &json!({ "OperationName": "KeyRelease", "n": 403.0 }))
        );
        assert!(done.evidence.iter().all(|e| e.passed), "{:?}", done.evidence);
        assert!(fake.effects().is_empty());
    }

    #[test]
    fn what_has_not_arrived_is_waited_for() {
        let twice = json!([{ "n": 200 }, { "n": 200 }]);
        for rows in [json!([]), json!([["KeyRelease", 200.0]]), json!([["KeyRelease", 200.0], ["KeyRelease", 403.0]])] {
            assert!(matches!(fake(rows).step::<LogQuery>(inputs(twice.clone())).apply(), Err(Problem::Transient(_))));
        }
    }
}
