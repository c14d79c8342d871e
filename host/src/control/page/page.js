// The page of a Weir process: follows /events, and draws what is known of one pipeline. Data is never markup: everything goes in as text.

const KEPT = { epochs: 60, log: 200 };
const REDRAW_MS = 250;
const STAGES = ["read", "steps", "encode", "produce", "state", "prepare", "commit", "forward"];
const token = new URLSearchParams(location.search).get("token");

/** @type {{ pipelines: any[], epochs: Map<string, any[]>, log: any[], chosen: string | null, lost: boolean }} */
const known = { pipelines: [], epochs: new Map(), log: [], chosen: null, lost: true };
let drawn = 0;
let due = false;

const $ = (id) => document.getElementById(id);
const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const count = (n) => (Math.abs(n) >= 1e6 ? short.format(n) : whole.format(n));
const bytes = (n) => (n >= 1e9 ? `${(n / 1e9).toFixed(1)} GB` : n >= 1e6 ? `${(n / 1e6).toFixed(1)} MB` : `${(n / 1e3).toFixed(1)} kB`);
const time = (iso) => (iso ? iso.slice(11, 19) : "–");
const span = (ms) => (ms < 1e3 ? `${Math.round(ms)} ms` : ms < 120e3 ? `${(ms / 1e3).toFixed(1)} s` : ms < 7200e3 ? `${Math.round(ms / 60e3)} min` : `${Math.round(ms / 3600e3)} h`);
const sum = (numbers) => numbers.reduce((all, n) => all + n, 0);

/** An element with text or children. */
function make(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) element.setAttribute(name, value);
  element.append(...children.map((child) => (child instanceof Node ? child : String(child))));
  return element;
}

function shape(tag, props, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(props)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** Redraws soon, at most four times a second. */
function soon() {
  if (due) return;
  due = true;
  setTimeout(() => requestAnimationFrame(() => { due = false; drawn = performance.now(); draw(); }), Math.max(0, REDRAW_MS - (performance.now() - drawn)));
}

function follow() {
  const events = new EventSource(token ? `events?token=${encodeURIComponent(token)}` : "events");
  events.onopen = () => { known.lost = false; known.log = []; known.epochs.clear(); soon(); };
  events.onerror = () => {
    known.lost = true;
    soon();
    if (events.readyState === EventSource.CLOSED) setTimeout(follow, 1_000);
  };
  events.addEventListener("pipelines", (event) => { known.pipelines = JSON.parse(event.data).pipelines; soon(); });
  events.addEventListener("progress", (event) => {
    const { pipeline, progress } = JSON.parse(event.data);
    const epochs = known.epochs.get(pipeline) ?? [];
    epochs.push(progress);
    known.epochs.set(pipeline, epochs.slice(-KEPT.epochs));
    soon();
  });
  events.addEventListener("log", (event) => { known.log = [...known.log, JSON.parse(event.data)].slice(-KEPT.log); soon(); });
}

function draw() {
  const connection = $("connection");
  const said = known.lost ? "connection lost, trying again" : "live";
  if (connection.textContent !== said) connection.textContent = said;
  connection.className = known.lost ? "lost" : "";
  const pipeline = known.pipelines.find((one) => one.name === known.chosen) ?? known.pipelines[0];
  if (!pipeline) return;
  known.chosen = pipeline.name;
  const epochs = known.epochs.get(pipeline.name) ?? [];
  const last = epochs.at(-1);
  drawTabs(pipeline);
  drawHead(pipeline, last, epochs);
  drawGraph(pipeline.outline, epochs);
  drawBars(epochs);
  drawPartitions(last);
  drawState(last);
  drawLimits(last);
  drawRejected(pipeline, epochs);
  drawLog();
}

/** The buttons stay while the names do: one that is pressed or has the focus must not be swapped for another. */
function drawTabs(chosen) {
  const names = known.pipelines.length < 2 ? [] : known.pipelines.map((one) => one.name);
  const tabs = $("tabs");
  if (names.join("\n") !== [...tabs.children].map((tab) => tab.textContent).join("\n")) {
    tabs.replaceChildren(...names.map((name) => {
      const tab = make("button", { type: "button" }, name);
      tab.onclick = () => { known.chosen = name; disarm(); soon(); };
      return tab;
    }));
  }
  for (const tab of tabs.children) tab.setAttribute("aria-current", String(tab.textContent === chosen.name));
}

const lagOf = (source) => Object.entries(source.latestOffset).flatMap(([topic, partitions]) =>
  Object.entries(partitions).map(([number, latest]) => ({ source: source.id, name: `${topic}/${number}`, end: source.endOffset[topic]?.[number] ?? 0, lag: Math.max(0, latest - (source.endOffset[topic]?.[number] ?? 0)) })));

function drawHead(pipeline, last, epochs) {
  $("name").textContent = pipeline.name;
  $("state").textContent = pipeline.state;
  $("state").className = `badge ${pipeline.state}`;
  $("file").textContent = pipeline.file;
  $("error").hidden = !pipeline.error;
  $("error").textContent = pipeline.error ?? "";
  $("stop").hidden = !["starting", "running"].includes(pipeline.state);
  const watermark = last?.weir.watermarkAfter;
  const behind = watermark ? `${span(Date.now() - Date.parse(watermark))} behind` : "";
  const numbers = last ? [
    ["epoch", "epoch", whole.format(last.batchId), `${span(last.batchDuration)}`],
    ["records in", "input-rows", count(last.numInputRows), `${count(last.inputRowsPerSecond ?? 0)}/s`],
    ["rows out", "output-rows", count(last.sink.numOutputRows), ""],
    ["watermark", "watermark", time(watermark), behind],
    ["lag", "lag", count(sum(last.sources.flatMap(lagOf).map((one) => one.lag))), "records"],
    ["late", "late", count(last.weir.lateRows), `${count(sum(epochs.map((one) => one.weir.lateRows)))} in ${epochs.length} epochs`],
    ["rejected", "rejected", count(rejected([last])), `${count(rejected(epochs))} in ${epochs.length} epochs`],
    ["state", "groups", count(sum(last.stateOperators.map((one) => one.numRowsTotal))), bytes(sum(last.stateOperators.map((one) => one.memoryUsedBytes)))],
  ] : [["epoch", "epoch", "–", "none yet"]];
  $("numbers").replaceChildren(...numbers.map(([name, id, value, note]) => make("div", {}, make("dt", {}, name), make("dd", { "data-testid": id }, value, make("small", {}, note)))));
}

const rejected = (epochs) => sum(epochs.flatMap((one) => Object.values(one.weir.rejected ?? {})));

function drawGraph(outline, epochs) {
  const seconds = epochs.length > 1 ? (Date.parse(epochs.at(-1).timestamp) - Date.parse(epochs[0].timestamp)) / 1e3 : 0;
  const rate = (rows) => (seconds > 0 ? `${count(rows / seconds)} rows/s` : "");
  const step = (id, key) => sum(epochs.slice(1).flatMap((one) => one.weir.steps ?? []).filter((one) => one.id === id).map((one) => one[key] ?? 0));
  const node = (kind, title, ...lines) => make("div", { class: `node ${kind}` }, make("b", {}, title), ...lines.filter((line) => line).map((line) => make("span", {}, line)));
  const flow = (text) => make("span", { class: "flow" }, text);
  $("graph").replaceChildren(
    ...outline.sources.map((one, number) => node("source", one.id, one.reads, rate(sum(epochs.slice(1).map((epoch) => epoch.sources[number]?.numInputRows ?? 0))) && flow(rate(sum(epochs.slice(1).map((epoch) => epoch.sources[number]?.numInputRows ?? 0)))))),
    ...outline.steps.map((one) => {
      const busy = seconds > 0 ? `${(step(one.id, "busyUs") / 1e4 / seconds).toFixed(1)} % of a core` : "";
      const plugin = one.plugin ? `${one.plugin.name} ${one.plugin.version ?? ""} ${(one.plugin.digest ?? "").replace("sha256:", "").slice(0, 12)}` : "";
      return node("step", `${one.inputs.join(", ")} → ${one.id}`, [...new Set([one.kind, one.function])].filter(Boolean).join(" "), plugin, flow(`${rate(step(one.id, "numInputRows"))} in, ${rate(step(one.id, "numOutputRows"))} out`), busy && flow(busy));
    }),
    ...outline.sinks.map((one) => node("sink", `${one.input} → ${one.id}`, one.writes, `${one.guarantee}: ${one.why}`)),
    node("sink", "dead letters", outline.dead_letters.writes, outline.dead_letters.guarantee),
  );
}

function drawBars(epochs) {
  const tallest = Math.max(1, ...epochs.map((one) => one.batchDuration));
  const bars = $("bars");
  bars.setAttribute("viewBox", `0 0 ${KEPT.epochs} 100`);
  const shapes = epochs.map((one, at) => {
    let top = 100;
    const parts = STAGES.map((stage, colour) => {
      const height = ((one.weir.stageUs?.[stage] ?? 0) / 1e3 / tallest) * 100;
      top -= height;
      return shape("rect", { x: at + 0.1, width: 0.8, y: top, height: Math.max(0, height), class: `fill${colour}` });
    });
    const text = `epoch ${one.batchId}: ${one.batchDuration} ms; ${STAGES.map((stage) => `${stage} ${((one.weir.stageUs?.[stage] ?? 0) / 1e3).toFixed(1)}`).join(", ")}`;
    const bar = shape("g", {}, shape("title", {}, text), ...parts, shape("rect", { x: at, width: 1, y: 0, height: 100, fill: "transparent" }));
    bar.onmouseenter = () => { $("bar-text").textContent = text; };
    return bar;
  });
  const interval = epochs.at(-1)?.weir.triggerIntervalMs;
  if (interval && interval <= tallest) {
    const y = 100 - (interval / tallest) * 100;
    shapes.push(shape("line", { x1: 0, x2: KEPT.epochs, y1: y, y2: y, class: "line" }));
  }
  bars.replaceChildren(...shapes);
  if (!$("legend").children.length) {
    $("legend").append(...STAGES.map((stage, colour) => make("li", {}, shape("svg", { viewBox: "0 0 1 1" }, shape("rect", { width: 1, height: 1, class: `fill${colour}` })), stage)));
  }
}

/** The newest event time of a partition: as its source declares it, or else a step behind it. */
const newestOf = (last, { source, name }) => {
  const declared = last.weir.newestEventTimes ?? {};
  return (declared[source] ?? Object.values(declared).find((times) => times[name]))?.[name];
};
const cell = (text, number) => make("td", number ? { class: "n" } : {}, text);

function drawPartitions(last) {
  const all = (last?.sources ?? []).flatMap(lagOf);
  const most = Math.max(1, ...all.map((one) => one.lag));
  const idle = new Set(last?.weir.idlePartitions ?? []);
  $("partitions").replaceChildren(...all.map((one) => make("tr", {}, cell(one.name + (idle.has(one.name) ? " (idle)" : "")), cell(whole.format(one.end), true), cell(time(newestOf(last, one)), true), cell(count(one.lag), true),
    make("td", {}, make("meter", { min: 0, max: most, value: one.lag, "aria-label": `lag of ${one.name}` })))));
}

function drawState(last) {
  $("operators").replaceChildren(...(last?.stateOperators ?? []).map((one) => make("tr", {}, cell(one.operatorName), cell(count(one.numRowsTotal), true), cell(count(one.numRowsUpdated), true),
    cell(count(one.numRowsRemoved), true), cell(bytes(one.memoryUsedBytes), true))));
}

function drawLimits(last) {
  const bound = last?.weir.boundBy;
  $("limits").replaceChildren(...Object.entries(last?.weir.limits ?? {}).map(([name, one]) => make("tr", {}, cell(name), cell(count(one.limit), true), cell(count(one.records), true),
    cell(name === bound ? "binds" : ""))));
}

function drawRejected(pipeline, epochs) {
  const codes = new Map();
  for (const [code, n] of epochs.flatMap((one) => Object.entries(one.weir.rejected ?? {}))) codes.set(code, (codes.get(code) ?? 0) + n);
  $("codes").textContent = codes.size ? [...codes].map(([code, n]) => `${code}: ${n}`).join(", ") : "none in the last epochs";
  $("samples").replaceChildren(...[...pipeline.rejected_samples].reverse().map((sample) => make("li", {}, sample)));
}

function drawLog() {
  const log = $("log");
  const atEnd = log.scrollTop + log.clientHeight >= log.scrollHeight - 20;
  log.replaceChildren(...known.log.map((one) => make("li", { class: one.level }, `${time(one.time)} ${one.level} ${one.target} ${one.message}`)));
  if (atEnd) log.scrollTop = log.scrollHeight;
}

/** The pipeline that the next press stops; none: the next press only asks. */
let armed = null;
let disarming = 0;

function disarm() {
  clearTimeout(disarming);
  armed = null;
  $("stop").classList.remove("sure");
  $("stop").textContent = "Stop";
  $("refusal").textContent = "";
}

$("stop").onclick = async () => {
  const name = armed;
  disarm();
  if (name === null) {
    armed = known.chosen;
    $("stop").classList.add("sure");
    $("stop").textContent = "Stop it?";
    disarming = setTimeout(disarm, 4_000);
    return;
  }
  const headers = { "X-Weir": "1", ...(token ? { Authorization: `Bearer ${token}` } : {}) };
  try {
    const answer = await fetch(`pipelines/${encodeURIComponent(name)}/stop`, { method: "POST", headers });
    if (!answer.ok) $("refusal").textContent = `${name} was not stopped: ${await answer.text()}`;
  } catch {
    $("refusal").textContent = `${name} was not stopped: weir does not answer`;
  }
};

follow();
// What is behind the clock falls further behind while nothing comes.
setInterval(soon, 1_000);
