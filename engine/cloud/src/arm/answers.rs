//! URLs and headers of long-running operations.

use crate::cx::Cx;
use crate::http::Answer;
use crate::lro::{self, Lro};
use crate::rules::Rule;

fn url(path: &str, api_version: &str, monitor: bool) -> String {
    let monitor = if monitor { "&monitor=true" } else { "" };
    format!("https://management.azure.com{path}?api-version={api_version}{monitor}")
}

/// URL for the `Azure-AsyncOperation` header. `path` is the polling path of the provider, with the operation's id.
pub(crate) fn async_operation(path: &str, api_version: &str) -> String {
    url(path, api_version, false)
}

/// URL for the `Location` header. With `monitor`, as providers do that use one path for both styles.
pub(crate) fn location(path: &str, api_version: &str, monitor: bool) -> String {
    url(path, api_version, monitor)
}

/// Adds `Azure-AsyncOperation` to an answer that started an operation.
pub(crate) fn asynchronous(answer: Answer, path: &str, api_version: &str) -> Answer {
    if !Rule::OperationsSayWhereTheyStand.holds() {
        return answer;
    }
    answer.header("azure-asyncoperation", async_operation(path, api_version))
}

/// Adds `Retry-After` to an answer that started an operation.
pub(crate) fn started(cx: &Cx<'_>, lro: &Lro, answer: Answer) -> Answer {
    answer.header("retry-after", lro::retry_after(cx, lro))
}

/// The api-version of the current request, for URLs that are derived from it.
pub(crate) fn api_version<'a>(cx: &'a Cx<'_>) -> &'a str {
    cx.request.query("api-version").unwrap_or_default()
}
