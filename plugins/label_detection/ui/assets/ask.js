// Asks the API server for data; what goes wrong is an Error in words.
"use strict";
const ask = async (url) => {
  let answer;
  try {
    answer = await fetch(url, {headers: {Accept: "application/json"}});
  } catch {
    throw new Error("Airflow's API server does not answer. Is the network there?");
  }
  if (answer.ok) return answer.json();
  if (answer.status === 401) throw new Error("You are not logged in any more. Log in to Airflow, and load this page again.");
  if (answer.status === 403) throw new Error("You may not read the runs of this DAG.");
  let detail = await answer.json().then((said) => said.detail, () => "");
  if (Array.isArray(detail)) detail = detail.map((one) => one.msg).join("; "); // what may not be asked like that
  throw new Error(typeof detail === "string" && detail ? detail : `Airflow's API server answered ${answer.status}.`);
};
