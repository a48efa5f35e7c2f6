// What Airflow knows of Dags is asked of its public REST API, as the user who looks; ./state tells the rest.
// Everything is put into the page as text, never as markup.

const KEY = "wtschat_progress";
const OURS = "airflow_provider_wtschat.triggers.";
const MOST_DAGS = 100;
const PAGE = 100;
const AT_ONCE = 4;
const STATE_EVERY = 10e3;
const DAGS_EVERY = 30e3;
const DISCOVER_EVERY = 300e3;
const LATE = 600e3; // a load may be this much later than its schedule lets expect
const ROOT = new URL("../../", location.href);
const API = new URL("api/v2/", ROOT);
const SENSORS = new Set([
  "SessionStatusSensor", "SessionReplySensor", "NewSessionsSensor", "MessageStatusSensor", "CardStepSensor",
  "ScheduledMessageStatusSensor",
]);
const WAITS = {
  MessageStatusTrigger: "the status of a message",
  CardStepTrigger: "the step of a card",
  ScheduledMessageStatusTrigger: "the status of a scheduled message",
  CampaignTrigger: "the next step of a campaign",
  SessionStatusTrigger: "the status of a session",
  SessionReplyTrigger: "a reply",
  NewSessionsTrigger: "new sessions",
};
const PURPOSES = {
  look: "the next look at its messages",
  others: "other workers",
  resumption: "somebody who resumes it",
  "quiet hours": "the end of quiet hours",
  canary: "what becomes of the first messages",
};
const PORTUGUESE = {
  "Refresh": "Atualizar", "Show all": "Mostrar todas", "Show fewer": "Mostrar menos",
  "as of": "às",
  "Loads: which is behind, and since when": "Cargas: qual está atrasada, e desde quando",
  "Request budget: is it used up now, and by whom": "Limite de requisições: está esgotado agora, e por quem",
  "Campaigns: which run, and what came of them": "Campanhas: quais estão em andamento, e no que deram",
  "Waits: who waits for what": "Esperas: quem espera pelo quê",
  "Webhooks": "Webhooks",
  "Looking…": "Buscando…",
  "No load has told how far it is. One does when it runs with this version of the provider.":
    "Nenhuma carga informou até onde chegou. Isso acontece quando ela roda com esta versão do provider.",
  "No campaign has told how far it is.": "Nenhuma campanha informou até onde chegou.",
  "Nobody waits.": "Ninguém espera.",
  "every load is up to date": "todas as cargas estão em dia",
  "loads need a look": "cargas precisam de atenção",
  "load needs a look": "carga precisa de atenção",
  "Load": "Carga", "State": "Situação", "Complete until": "Completa até", "How old": "Idade",
  "Rows": "Linhas", "Requests": "Requisições", "Campaign": "Campanha", "Messages": "Mensagens", "Wait": "Espera",
  "Number": "Quantos", "Longest since": "Mais longa desde", "Task": "Tarefa",
  "failed": "falhou", "behind": "atrasada", "paused": "pausada", "not verified": "não verificada",
  "loading": "carregando", "waits to be tried again": "aguarda nova tentativa", "up to date": "em dia",
  "on demand": "sob demanda", "window": "janela", "never complete": "nunca completa",
  "sending": "enviando", "done": "concluída", "waits for": "espera por", "until": "até", "not planned": "não planejada",
  "recipients": "destinatários",
  "read": "lidas", "delivered": "entregues", "sent": "enviadas", "planned": "planejadas", "claimed": "em envio",
  "refused": "recusadas", "answered": "responderam", "uncertain": "incertas", "suppressed": "suprimidas", "held_out": "grupo de controle",
  "undelivered": "não entregues",
  "the next look at its messages": "a próxima verificação das mensagens", "other workers": "outros workers",
  "somebody who resumes it": "alguém que a retome", "the end of quiet hours": "o fim do horário de silêncio",
  "what becomes of the first messages": "o resultado das primeiras mensagens",
  "requests in 5 s": "requisições em 5 s", "requests in 5 min": "requisições em 5 min", "sends in 2 min": "envios em 2 min",
  "of": "de", "used up": "esgotado", "there is room": "há espaço",
  "used up for loads: the rest is left to others ([wtschat] bulk_share)":
    "esgotado para cargas: o resto fica para os demais ([wtschat] bulk_share)", "held: the API answered 429; seconds left":
    "suspenso: a API respondeu 429; segundos restantes",
  "who sent the requests that count now": "quem fez as requisições que contam agora",
  "nobody": "ninguém", "other Dags": "outras Dags", "the triggerer": "o triggerer", "another program": "outro programa",
  "Each process counts its requests for itself ([wtschat] budget = process), so nobody can see them together.":
    "Cada processo conta suas próprias requisições ([wtschat] budget = process), por isso não há como vê-las juntas.",
  "The budget cannot be read; the log of the API server says why.":
    "O limite não pode ser lido; o log do API server diz por quê.",
  "No request was counted where the API server looks. Several machines share a budget in Redis ([wtschat] budget).":
    "Nenhuma requisição foi contada onde o API server procura. Várias máquinas compartilham o limite no Redis ([wtschat] budget).",
  "You may not see this: it needs the right to see the cluster's activity.":
    "Você não pode ver isto: é preciso ter permissão para ver a atividade do cluster.",
  "You may not see this: it needs the right to read XComs of a Dag.":
    "Você não pode ver isto: é preciso ter permissão para ler XComs de uma Dag.",
  "You may not see this: it needs the right to read task instances of a Dag.":
    "Você não pode ver isto: é preciso ter permissão para ler instâncias de tarefas de uma Dag.",
  "Log in to Airflow to see this.": "Entre no Airflow para ver isto.",
  "Airflow did not answer": "O Airflow não respondeu",
  "the status of a message": "o status de uma mensagem", "the step of a card": "a etapa de um cartão",
  "the status of a scheduled message": "o status de uma mensagem agendada",
  "the next step of a campaign": "o próximo passo de uma campanha", "the status of a session": "o status de um atendimento",
  "a reply": "uma resposta", "new sessions": "novos atendimentos", "in a worker": "em um worker",
  "tasks wait": "tarefas esperam", "task waits": "tarefa espera", "and more": "e mais",
  "last event": "último evento", "none yet": "nenhum ainda", "read up to now": "lido até agora", "behind by": "atraso de",
  "now": "agora", "ago": "atrás", "in": "em",
};

const language = () => {
  let found = navigator.language;
  try { found = localStorage.getItem("i18nextLng") || found; } catch { /* no storage: the browser's */ }
  return found.toLowerCase().startsWith("pt") ? "pt" : "en";
};
const LANGUAGE = language();
const t = (text) => (LANGUAGE === "pt" && PORTUGUESE[text]) || text;

// --- Elements -------------------------------------------------------------------------------------------------------

function element(make, name, attributes, children) {
  const made = make(name);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (key === "onclick") made.addEventListener("click", value);
    else if (value !== null && value !== undefined) made.setAttribute(key, String(value));
  }
  for (const child of children.flat()) if (child !== null && child !== undefined) made.append(child);
  return made;
}
const h = (name, attributes, ...children) => element((n) => document.createElement(n), name, attributes, children);
const s = (name, attributes, ...children) =>
  element((n) => document.createElementNS("http://www.w3.org/2000/svg", n), name, attributes, children);

/** A link to a page of Airflow: the frame may not move the window itself, a link of the window's own may. */
function link(path, text) {
  const href = new URL(path, ROOT).href;
  return h("a", {
    href, target: "_parent",
    onclick: (event) => {
      if (window.parent === window || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      const outside = window.parent.document.createElement("a");
      outside.href = href;
      window.parent.document.body.append(outside);
      outside.click();
      outside.remove();
    },
  }, text);
}

function taskLink(at, text) {
  const mapped = at.map_index >= 0 ? `/mapped/${at.map_index}` : "";
  return link(`dags/${encodeURIComponent(at.dag_id)}/runs/${encodeURIComponent(at.run_id)}/tasks/`
    + `${encodeURIComponent(at.task_id)}${mapped}`, text);
}

/** A bar of parts, each [class, number]; what is left of the total is empty. */
function bar(parts, total, title, height = 10) {
  const drawing = s("svg", { viewBox: `0 0 1000 ${height}`, height, preserveAspectRatio: "none", role: "img" },
    s("title", {}, title), s("rect", { class: "track", width: 1000, height }));
  let x = 0;
  for (const [kind, number] of parts) {
    const width = total > 0 ? Math.min(1000 - x, Math.max(number > 0 ? 3 : 0, 1000 * number / total)) : 0;
    if (width > 0) drawing.append(s("rect", { class: kind, x, width, height }));
    x += width;
  }
  return drawing;
}

// --- Times ----------------------------------------------------------------------------------------------------------

function span(ms) {
  const seconds = Math.abs(ms) / 1e3;
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} d`;
}
function relative(text) {
  const ms = Date.now() - Date.parse(text);
  if (Math.abs(ms) < 1e3) return t("now");
  if (ms < 0) return `${t("in")} ${span(ms)}`;
  return LANGUAGE === "pt" ? `há ${span(ms)}` : `${span(ms)} ${t("ago")}`;
}
const moment = (text) => h("time", { datetime: text, title: new Date(text).toLocaleString(LANGUAGE) }, relative(text));
const count = (number) => Number(number || 0).toLocaleString(LANGUAGE);

// --- Asking ---------------------------------------------------------------------------------------------------------

class Refused extends Error {
  constructor(status) { super(String(status)); this.status = status; }
}
let busy = 0;
const queue = [];
async function get(url, parameters = {}) {
  if (busy >= AT_ONCE) await new Promise((go) => queue.push(go));
  busy += 1;
  try {
    const asked = new URL(url);
    for (const [name, value] of Object.entries(parameters)) {
      for (const one of [value].flat()) asked.searchParams.append(name, one);
    }
    const answer = await fetch(asked, { headers: { Accept: "application/json" }, credentials: "same-origin" });
    if (!answer.ok) throw new Refused(answer.status);
    return await answer.json();
  } finally {
    busy -= 1;
    queue.shift()?.();
  }
}
const part = encodeURIComponent;
const api = (path, parameters) => get(new URL(path, API), parameters);
const xcoms = (dag, parameters) =>
  api(`dags/${dag}/dagRuns/~/taskInstances/~/xcomEntries`, { xcom_key: KEY, ...parameters });

/** From one Dag that has told of progress to the next, without reading what lies between. */
async function discover() {
  const found = new Set();
  for (let offset = 0; found.size < MOST_DAGS;) {
    const [entry] = (await xcoms("~", { limit: 1, offset })).xcom_entries;
    if (!entry) break;
    const known = found.has(entry.dag_id);
    found.add(entry.dag_id);
    offset += known ? 1 : Math.max(1, (await xcoms(part(entry.dag_id), { limit: 1 })).total_entries);
  }
  return [...found];
}

const values = new Map();
async function valueOf(entry) {
  const where = `dags/${part(entry.dag_id)}/dagRuns/${part(entry.run_id)}/taskInstances/${part(entry.task_id)}`;
  const key = `${where}/${entry.map_index}`;
  if (values.get(key)?.timestamp !== entry.timestamp) {
    const told = (await api(`${where}/xcomEntries/${KEY}`, { map_index: entry.map_index })).value;
    values.set(key, { timestamp: entry.timestamp, value: typeof told === "string" ? JSON.parse(told) : told });
  }
  return values.get(key).value;
}

async function all(ask, name, most) {
  const rows = [];
  let total = 0;
  do {
    const page = await ask({ limit: PAGE, offset: rows.length });
    total = page.total_entries;
    if (!page[name].length) break;
    rows.push(...page[name]);
  } while (rows.length < Math.min(total, most));
  return rows;
}

/** The newest progress of each task of a Dag, with the state of its newest task instance. */
async function progressOf(dagId) {
  const dag = part(dagId);
  const [details, { dag_runs: runs }] = await Promise.all([
    api(`dags/${dag}`), api(`dags/${dag}/dagRuns`, { order_by: "-run_after", limit: 5 }),
  ]);
  if (!runs.length) return [];
  const order = new Map(runs.map((run, index) => [run.dag_run_id, index]));
  const entries = await all(
    (page) => xcoms(dag, { run_after_gte: runs.at(-1).run_after, ...page }), "xcom_entries", 10 * PAGE,
  );
  const newest = new Map();
  for (const entry of entries) {
    const task = `${entry.task_id} ${entry.map_index}`;
    const at = order.get(entry.run_id) ?? Infinity;
    if (!newest.has(task) || at < newest.get(task).at) newest.set(task, { at, entry });
  }
  const instances = new Map();
  const wanted = new Set([0, ...[...newest.values()].map(({ at }) => at)].filter(Number.isFinite));
  await Promise.all([...wanted].map(async (index) => {
    const run = runs[index];
    const of = await all(
      (page) => api(`dags/${dag}/dagRuns/${part(run.dag_run_id)}/taskInstances`, page), "task_instances", 5 * PAGE,
    );
    for (const one of of) instances.set(`${index} ${one.task_id} ${one.map_index}`, one);
  }));
  return Promise.all([...newest.entries()].map(async ([task, { at, entry }]) => {
    const latest = instances.get(`0 ${task}`);
    // A later run that failed or waits before the task told anything counts more than what an earlier one told.
    const later = at > 0 && latest && ["failed", "upstream_failed", "up_for_retry", "running"].includes(latest.state);
    const instance = later ? latest : instances.get(`${at} ${task}`);
    return {
      dag_id: dagId, run_id: later ? runs[0].dag_run_id : entry.run_id, task_id: entry.task_id,
      map_index: entry.map_index, state: instance?.state ?? null, paused: details.is_paused,
      every: interval(runs), scheduled: Boolean(details.next_dagrun_run_after), told: await valueOf(entry),
    };
  }));
}

/** How often a Dag runs by itself, in milliseconds; null where its last runs do not tell. */
function interval(runs) {
  const moments = runs.filter((run) => run.run_type !== "manual" && run.run_type !== "backfill")
    .map((run) => Date.parse(run.run_after)).sort((a, b) => b - a);
  const gaps = moments.slice(1).map((one, index) => moments[index] - one).sort((a, b) => a - b);
  return gaps.length >= 1 ? gaps[Math.floor(gaps.length / 2)] : null;
}

// --- Judging --------------------------------------------------------------------------------------------------------

const FEW = 5;
const DAY = 86400e3;
let everyLoad = false;
const RANK = { bad: 0, warn: 1, busy: 2, good: 3, mute: 4 };

function judgeLoad(one) {
  const { told } = one;
  const until = told.complete_until;
  const age = until ? Date.now() - Date.parse(until) : null;
  const late = one.every !== null && !told.given && (age === null || age > 2 * one.every + LATE);
  if (["failed", "upstream_failed"].includes(one.state)) return ["bad", "failed", age];
  if (one.state === "up_for_retry") return ["warn", "waits to be tried again", age];
  if (one.state === "running") return [late ? "warn" : "busy", "loading", age];
  if (late) return ["warn", one.paused ? "paused" : "behind", age];
  if (told.state === "done" && told.verified === false) return ["warn", "not verified", age];
  if (told.given) return ["mute", "window", age];
  if (one.paused && one.every !== null) return ["mute", "paused", age];
  return one.every !== null || one.scheduled ? ["good", "up to date", age] : ["mute", "on demand", age];
}

function judgeCampaign({ state, told }) {
  if (["failed", "upstream_failed"].includes(state)) return ["bad", t("failed")];
  if (told.state === "done") return ["good", t("done")];
  if (state === "up_for_retry") return ["warn", t("waits to be tried again")];
  if (told.state === "waiting" || state === "deferred") {
    const until = told.until ? `, ${t("until")} ${new Date(told.until).toLocaleString(LANGUAGE)}` : "";
    return ["mute", told.waits_for ? `${t("waits for")} ${t(PURPOSES[told.waits_for] ?? told.waits_for)}${until}` : t("done")];
  }
  return state === "running" ? ["busy", t("sending")] : ["mute", t(told.state)];
}

// --- Showing --------------------------------------------------------------------------------------------------------

const TITLES = {
  loads: "Loads: which is behind, and since when",
  budget: "Request budget: is it used up now, and by whom",
  campaigns: "Campaigns: which run, and what came of them",
  waits: "Waits: who waits for what",
};
function show(id, ...content) {
  document.getElementById(id).replaceChildren(h("h2", {}, t(TITLES[id])), ...content);
}
const answer = (kind, ...text) => h("p", { class: `answer ${kind}` }, ...text);
const state = (kind, text) => h("span", { class: "state" }, h("span", { class: `dot ${kind}` }), text);
const head = (...names) =>
  h("thead", {}, h("tr", {}, names.map(([name, kind]) => h("th", { class: kind, scope: "col" }, t(name)))));

function showLoads(rows) {
  if (!rows.length) {
    show("loads",
      answer("", t("No load has told how far it is. One does when it runs with this version of the provider.")));
    return;
  }
  const judged = rows.map((one) => ({ one, verdict: judgeLoad(one) }));
  judged.sort((a, b) => RANK[a.verdict[0]] - RANK[b.verdict[0]] || (b.verdict[2] ?? Infinity) - (a.verdict[2] ?? Infinity));
  const worst = Math.max(DAY, ...judged.map(({ verdict }) => verdict[2] ?? 0));
  const shown = everyLoad ? judged
    : judged.filter(({ verdict }, index) => index < FEW || RANK[verdict[0]] < RANK.good);
  const more = judged.length > FEW && h("button", {
    type: "button",
    onclick: () => { everyLoad = !everyLoad; showLoads(rows); },
  }, everyLoad ? t("Show fewer") : `${t("Show all")} (${judged.length})`);
  const wrong = judged.filter(({ verdict }) => ["bad", "warn"].includes(verdict[0])).length;
  show("loads",
    wrong
      ? answer(judged[0].verdict[0], h("strong", {}, `${wrong} ${t(wrong > 1 ? "loads need a look" : "load needs a look")}`))
      : answer("good", h("strong", {}, t("every load is up to date"))),
    h("table", {},
      head(["Load"], ["State"], ["Complete until"], ["How old"], ["Rows", "number"], ["Requests", "number"]),
      h("tbody", {}, shown.map(({ one, verdict: [kind, said, age] }) => h("tr", {},
        h("td", {}, h("div", { class: "name" }, one.told.destination ?? ""),
          h("div", { class: "small" }, one.told.resource ?? "", " · ", taskLink(one, `${one.dag_id}.${one.task_id}`))),
        h("td", {}, state(kind, t(said))),
        h("td", { class: "state" },
          one.told.complete_until ? moment(one.told.complete_until) : one.told.given ? "–" : t("never complete")),
        h("td", { class: "wide" }, bar([[kind, age ?? 0]], worst, age === null ? "" : span(age))),
        h("td", { class: "number" }, count(one.told.rows)),
        h("td", { class: "number" }, count(one.told.requests)))))), more || null);
}

const PARTS = ["read", "delivered", "sent", "undelivered", "refused", "uncertain", "claimed", "planned", "suppressed", "held_out"];
const CLASSES = {
  undelivered: "bad", refused: "bad", uncertain: "warn", claimed: "mute", suppressed: "mute", held_out: "mute",
};

function funnel(told) {
  const delivery = told.delivery || {};
  const parts = {
    ...told, read: delivery.READ || 0, delivered: delivery.DELIVERED || 0,
    undelivered: (delivery.FAILED || 0) + (delivery.DELETED || 0),
  };
  parts.sent = Math.max(0, (told.sent || 0) - parts.read - parts.delivered - parts.undelivered);
  return PARTS.map((name) => [name, Number(parts[name] || 0)]).filter(([, number]) => number > 0);
}

function showCampaigns(rows) {
  const newest = new Map();
  for (const one of rows) {
    const key = JSON.stringify([one.told.table, one.told.campaign]);
    if (!newest.has(key) || newest.get(key).told.at < one.told.at) newest.set(key, one);
  }
  const campaigns = [...newest.values()].map((one) => ({ one, verdict: judgeCampaign(one) }));
  campaigns.sort((a, b) => RANK[a.verdict[0]] - RANK[b.verdict[0]] || (a.one.told.at < b.one.told.at ? 1 : -1));
  if (!campaigns.length) {
    show("campaigns", answer("", t("No campaign has told how far it is.")));
    return;
  }
  show("campaigns", h("table", {}, head(["Campaign"], ["State"], ["Messages"]),
    h("tbody", {}, campaigns.map(({ one, verdict: [kind, said] }) => {
      const parts = funnel(one.told);
      const words = parts.map(([name, number]) => `${count(number)} ${t(name)}`);
      return h("tr", {},
        h("td", {}, h("div", { class: "name" }, one.told.campaign ?? ""),
          h("div", { class: "small" }, taskLink(one, `${one.dag_id}.${one.task_id}`), " · ", moment(one.told.at))),
        h("td", {}, state(kind, said)),
        h("td", { class: "wide" },
          bar(parts.map(([name, number]) => [CLASSES[name] ?? name, number]), one.told.recipients || 0, words.join(", "), 14),
          h("div", { class: "legend" }, words.length
            ? [
              ...parts.map(([name], index) => h("span", {}, h("span", { class: `key ${CLASSES[name] ?? name}` }), words[index])),
              one.told.replied ? h("span", {}, `· ${count(one.told.replied)} ${t("answered")}`) : null,
            ]
            : t("not planned"))));
    }))));
}

const BARS = [["read", "requests in 5 min"], ["burst", "requests in 5 s"], ["send", "sends in 2 min"]];
const HISTORY = new Map();

function gauge(account, name, label) {
  const { used, limit } = account.windows[name];
  const kind = used >= limit ? "bad" : used >= 0.8 * limit ? "warn" : "good";
  return h("div", { class: "bar" },
    h("div", { class: "label" }, h("span", {}, t(label)), h("span", {}, `${count(used)} ${t("of")} ${count(limit)}`)),
    bar([[kind, used]], limit, `${used} / ${limit}`));
}

/** What was used of the 5 minutes' limit since the page was opened. */
function curve(account) {
  const key = account.connections.join();
  const points = HISTORY.get(key) ?? [];
  HISTORY.set(key, points);
  points.push(account.windows.read.used / account.windows.read.limit);
  if (points.length > 60) points.shift();
  if (points.length < 3) return null;
  const line = points.map((value, index) => `${(1000 * index) / (points.length - 1)},${38 - 36 * Math.min(1, value)}`);
  return s("svg", { viewBox: "0 0 1000 40", height: 40, preserveAspectRatio: "none", role: "img" },
    s("title", {}, t("requests in 5 min")), s("polyline", { class: "curve", points: line.join(" ") }));
}

const WHY = {
  process: "Each process counts its requests for itself ([wtschat] budget = process), so nobody can see them together.",
  unreadable: "The budget cannot be read; the log of the API server says why.",
};

function showBudget({ accounts, why }) {
  if (!accounts.length) {
    const none = "No request was counted where the API server looks. Several machines share a budget in Redis ([wtschat] budget).";
    show("budget", answer(why === "unreadable" ? "bad" : "", t(WHY[why] ?? none)));
    return;
  }
  show("budget", ...accounts.map((account) => {
    const full = BARS.filter(([name]) => account.windows[name].used >= account.windows[name].limit).map(([, label]) => t(label));
    const most = Math.max(1, ...account.users.map(({ requests }) => requests));
    const verdict = account.held > 0
      ? answer("bad", h("strong", {}, `${t("held: the API answered 429; seconds left")}: ${Math.ceil(account.held)}`))
      : full.length ? answer("bad", h("strong", {}, `${t("used up")}: ${full.join(", ")}`))
        : account.windows.read.used >= Math.floor(account.windows.read.limit * (account.bulk_share ?? 1))
          ? answer("warn", h("strong", {}, t("used up for loads: the rest is left to others ([wtschat] bulk_share)")))
          : answer("good", h("strong", {}, t("there is room")));
    return h("div", {}, h("h3", {}, account.connections.join(", ")), verdict, h("div", { class: "columns" },
      h("div", {}, BARS.map(([name, label]) => gauge(account, name, label)), curve(account)),
      h("div", {}, h("div", { class: "small" }, t("who sent the requests that count now")),
        account.users.length ? account.users.slice(0, 6).map((user) => h("div", { class: "bar" },
          h("div", { class: "label" },
            h("span", {}, user.dag_id
              ? link(`dags/${part(user.dag_id)}/tasks/${part(user.task_id)}`, `${user.dag_id}.${user.task_id}`)
              : t(user.other)),
            h("span", {}, count(user.requests))),
          bar([["busy", user.requests]], most, String(user.requests), 6))) : t("nobody"))));
  }));
}

let webhooks = null;
let waiting = null;

function showWaits() {
  const content = [];
  if (waiting === null) content.push(answer("", t("Looking…")));
  else if (!waiting.groups.length) content.push(answer("", t("Nobody waits.")));
  else {
    const more = waiting.more ? ` (${t("and more")})` : "";
    content.push(
      answer("", h("strong", {}, `${count(waiting.number)} ${t(waiting.number > 1 ? "tasks wait" : "task waits")}${more}`)),
      h("table", {}, head(["Task"], ["Wait"], ["Number", "number"], ["Longest since"]),
        h("tbody", {}, waiting.groups.map((group) => h("tr", {},
          h("td", {}, taskLink(group.oldest, `${group.oldest.dag_id}.${group.oldest.task_id}`)),
          h("td", {}, t(group.what)),
          h("td", { class: "number" }, count(group.number)),
          h("td", { class: "state" }, moment(group.since)))))));
  }
  if (webhooks?.connections.length) {
    content.push(h("h3", {}, t("Webhooks")), ...webhooks.connections.map((one) => h("p", { class: "answer" },
      h("strong", {}, one.connection), " · ", t("last event"), " ", one.newest ? moment(one.newest) : t("none yet"),
      ...one.readers.map(({ reader, lag }) =>
        ` · ${reader}: ${lag < 5 ? t("read up to now") : `${t("behind by")} ${span(lag * 1e3)}`}`))));
  }
  show("waits", ...content);
}

function group(instances) {
  const groups = new Map();
  let number = 0;
  for (const one of instances) {
    const trigger = one.trigger?.classpath ?? "";
    let what = null;
    if (trigger.startsWith(OURS)) what = WAITS[trigger.split(".").at(-1)] ?? trigger.split(".").at(-1);
    else if (SENSORS.has(one.operator_name ?? one.operator) && one.state !== "deferred") what = "in a worker";
    if (what === null) continue;
    number += 1;
    const since = one.trigger?.created_date ?? one.start_date ?? one.run_after;
    const at = { ...one, run_id: one.dag_run_id };
    const key = JSON.stringify([one.dag_id, one.task_id, what]);
    const known = groups.get(key);
    if (!known) groups.set(key, { what, number: 1, since, oldest: at });
    else {
      known.number += 1;
      if (Date.parse(since) < Date.parse(known.since)) Object.assign(known, { since, oldest: at });
    }
  }
  return { number, groups: [...groups.values()].sort((a, b) => Date.parse(a.since) - Date.parse(b.since)) };
}

// --- Going on -------------------------------------------------------------------------------------------------------

function explain(error, forbidden) {
  if (error instanceof Refused && error.status === 401) return t("Log in to Airflow to see this.");
  if (error instanceof Refused && error.status === 403) return forbidden;
  return `${t("Airflow did not answer")}: ${error.message}`;
}

async function lookAtState() {
  try {
    const told = await get(new URL("state", location.href));
    showBudget(told.budget);
    webhooks = told.webhooks;
    if (waiting !== null) showWaits();
  } catch (error) {
    const forbidden = t("You may not see this: it needs the right to see the cluster's activity.");
    show("budget", answer("bad", explain(error, forbidden)));
  }
}

let dags = [];
let discovered = -Infinity;

async function lookAtDags() {
  try {
    if (Date.now() - discovered > DISCOVER_EVERY) {
      dags = await discover();
      discovered = Date.now();
    }
    const found = await Promise.all(dags.map((dag) => progressOf(dag).catch((error) => {
      // One that was deleted, or hidden from this user, meanwhile.
      if (error instanceof Refused && [403, 404].includes(error.status)) return [];
      throw error;
    })));
    const rows = found.flat();
    showLoads(rows.filter(({ told }) => told?.kind === "load"));
    showCampaigns(rows.filter(({ told }) => told?.kind === "campaign"));
  } catch (error) {
    const told = answer("bad", explain(error, t("You may not see this: it needs the right to read XComs of a Dag.")));
    show("loads", told);
    show("campaigns", told.cloneNode(true));
  }
  try {
    const most = 10 * PAGE;
    const rows = await all((page) => api("dags/~/dagRuns/~/taskInstances", {
      state: ["deferred", "up_for_reschedule", "running"], ...page,
    }), "task_instances", most);
    waiting = { ...group(rows), more: rows.length >= most };
    showWaits();
  } catch (error) {
    const forbidden = t("You may not see this: it needs the right to read task instances of a Dag.");
    show("waits", answer("bad", explain(error, forbidden)));
  }
  const now = document.getElementById("now");
  now.textContent = `${t("as of")} ${new Date().toLocaleTimeString(LANGUAGE)}`;
  document.documentElement.dataset.ready = "true";
}

/** Look as Airflow's window looks: its theme is a class of its root, and may change. */
function follow() {
  let outside = null;
  try { outside = window.parent !== window ? window.parent.document : null; } catch { /* another origin */ }
  const preferred = matchMedia("(prefers-color-scheme: dark)");
  const apply = () => {
    const root = outside?.documentElement;
    const dark = root ? root.classList.contains("dark") || root.dataset.theme === "dark" : preferred.matches;
    document.documentElement.classList.toggle("dark", dark);
    if (!outside) return;
    for (let around = window.frameElement; around; around = around.parentElement) {
      const { backgroundColor } = getComputedStyle(around);
      if (!/^rgba\(.*, 0\)$|^transparent$/.test(backgroundColor)) {
        document.documentElement.style.setProperty("--bg", backgroundColor);
        break;
      }
    }
    document.body.style.fontFamily = getComputedStyle(outside.body).fontFamily;
  };
  apply();
  preferred.addEventListener("change", apply);
  if (outside) new MutationObserver(() => requestAnimationFrame(apply)).observe(outside.documentElement, { attributes: true });
}

function repeat(look, every) {
  let last = -Infinity;
  let going = false;
  const go = async (force) => {
    if (going || (!force && (document.hidden || Date.now() - last < every))) return;
    going = true;
    try { await look(); } finally { going = false; last = Date.now(); }
  };
  setInterval(go, 1e3);
  document.addEventListener("visibilitychange", () => go());
  go(true);
  return () => go(true);
}

document.documentElement.lang = LANGUAGE;
follow();
for (const id of Object.keys(TITLES)) show(id, answer("", t("Looking…")));
const looks = [repeat(lookAtState, STATE_EVERY), repeat(lookAtDags, DAGS_EVERY)];
const button = document.getElementById("refresh");
button.textContent = t("Refresh");
button.addEventListener("click", () => {
  discovered = -Infinity;
  for (const look of looks) look();
});
