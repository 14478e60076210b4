// Lets oav judge exchanges: reads a job from stdin, and writes one verdict per exchange as a line of JSON.
//
//     node oav.mjs FOLDER-WITH-OAV
//
// The job is {"planes": {name: {"documents": [path], "arm": bool}}, "exchanges": [{"plane", "versions", "traffic"}]}.
// The first of an exchange's versions in which oav knows the operation is the one that judges.

import { createRequire } from "node:module";
import { resolve } from "node:path";
import { text } from "node:stream/consumers";

const { LiveValidator } = createRequire(resolve(process.argv[2], "package.json"))("oav");

// Where oav keeps the operations whose paths name no provider.
const NO_PROVIDER = "microsoft.unknown";
// These fit any resource of any provider, so they would cover what no contract names.
const FITS_ANYTHING = /^\/\{[^}]+\}$|\/\{parentResourcePath\}\/\{resourceType\}\/\{resourceName\}$/;

async function load({ documents, arm }) {
  const failed = [];
  const listen = (message, level) => level === "error" && failed.push(message);
  const options = { swaggerPaths: [...documents], isArmCall: arm, checkUnderFileRoot: false, loadValidatorInBackground: false };
  const judge = new LiveValidator({ ...options, git: { shouldClone: false } }, listen);
  await judge.initialize();
  if (failed.length > 0) {
    throw new Error(failed.join("\n"));
  }
  return judge;
}

const template = ({ operation }) => operation._path._pathTemplate;
const parameters = (match) => template(match).split("{").length;

function asking(request, version) {
  const url = new URL(request.url);
  url.searchParams.set("api-version", version);
  const headers = { ...request.headers };
  if ("x-ms-version" in headers) {
    headers["x-ms-version"] = version;
  }
  return { ...request, url: url.href, headers };
}

// oav's own search stops where two operations fit; here, the one with the fewest parameters is meant.
function find(judge, request, version) {
  const asked = asking(request, version);
  const parsed = judge.getOperationInfo(asked).info.validationRequest;
  for (const providerNamespace of [parsed.providerNamespace, NO_PROVIDER]) {
    const validationRequest = { ...parsed, providerNamespace };
    const { matches } = judge.operationSearcher.getPotentialOperations(validationRequest);
    const fitting = matches.filter((match) => !FITS_ANYTHING.test(template(match)));
    if (fitting.length > 0) {
      const operationMatch = fitting.reduce((best, each) => (parameters(each) < parameters(best) ? each : best));
      return { asked, info: { apiVersion: version, operationMatch, validationRequest } };
    }
  }
  return undefined;
}

async function judged(judge, { versions, traffic: { liveRequest, liveResponse } }) {
  for (const version of versions) {
    const found = find(judge, liveRequest, version);
    if (found) {
      // oav takes away from the context what it was given, so each side has its own.
      const request = await judge.validateLiveRequest(found.asked, {}, { ...found.info });
      const answer = await judge.validateLiveResponse(liveResponse, found.asked, {}, { ...found.info });
      const issues = [...listed("request", request), ...listed("answer", answer)];
      return { covered: true, version, template: template(found.info.operationMatch), issues };
    }
  }
  return { covered: false };
}

function listed(side, { errors, runtimeException }) {
  const issues = errors.map(({ code, message, pathsInPayload }) => ({ side, code, message, place: pathsInPayload[0] ?? "" }));
  if (runtimeException) {
    issues.push({ side, code: runtimeException.code, message: runtimeException.message, place: "" });
  }
  return issues;
}

const job = JSON.parse(await text(process.stdin));
const judges = {};
for (const [name, plane] of Object.entries(job.planes)) {
  judges[name] = await load(plane);
}
for (const exchange of job.exchanges) {
  console.log(JSON.stringify(await judged(judges[exchange.plane], exchange)));
}
