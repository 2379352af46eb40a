// Requests data from the API server. It throws an Error whose message is meant for people.
"use strict";
const ask = async (url) => {
  let answer;
  try {
    answer = await fetch(url, {headers: {Accept: "application/json"}});
  } catch {
    throw new Error("Airflow's API server does not answer. Check your network connection, then load this page again.");
  }
  if (answer.ok) return answer.json();
  if (answer.status === 401) throw new Error("Your login has expired. Log in to Airflow, then load this page again.");
  if (answer.status === 403) throw new Error("You may not read the runs of this DAG. Ask an admin of Airflow for the permission.");
  let detail = await answer.json().then((body) => body.detail, () => "");
  if (Array.isArray(detail)) detail = detail.map((one) => one.msg).join("; "); // FastAPI: the parameters that are wrong
  throw new Error(typeof detail === "string" && detail ? detail : `Airflow's API server answered ${answer.status}.`);
};
