// The live strip of one cell. Python sends `state` (all that is shown) and `bars` (the timeline);
// the page only lets the clock run on between two states. See strip.py.

const PARTS = ["finished", "running", "failed", "cancelled"];
const BAR_TONES = ["active", "done", "error", "stopped"]; // by timeline.py's numbers
const LANE = { height: 14, bar: 10, label: 76, most: 24 };

const COLUMNS = {
  finished: "done",
  running: "running",
  pending: "queued",
  failed: "failed",
  cancelled: "cancelled",
};

function tables(state, elapsed) {
  const shown = Object.keys(COLUMNS).filter((part) => state.counts[part]);
  const all = [
    table(
      ["function", ...shown.map((part) => COLUMNS[part]), "mean"],
      state.functions.map((line) => [
        line.name,
        ...shown.map((part) => line.counts[part].toLocaleString("en")),
        line.mean === null ? "" : duration(line.mean),
      ]),
    ),
  ];
  const now = state.workers.some((line) => line.task !== null);
  const task = (line) =>
    line.task === null ? "" : `${line.task} for ${duration(Math.max(0, elapsed - line.since))}`;
  if (state.workers.length)
    all.push(
      table(
        ["worker", "tasks ended", "time in tasks", ...(now ? ["runs"] : [])],
        state.workers.map((line) => [
          line.label,
          line.ended.toLocaleString("en"),
          duration(line.busy),
          ...(now ? [task(line)] : []),
        ]),
      ),
    );
  if (state.errors.length) {
    const errors = table(
      ["last errors", "", "after"],
      state.errors.map((line) => [line.name, line.error, duration(line.at)]),
    );
    for (const row of errors.tBodies[0].rows) row.cells[1].dataset.tone = "error";
    all.push(errors);
  }
  if (state.closer) all.push(...closer(state.closer, elapsed));
  if (state.gap) all.push(element("div", { class: "shoal-gap" }, state.gap));
  return all;
}

// What was printed, folded by who printed it. What is unfolded stays so: nothing is made anew.
function tellPrinted(into, voices) {
  for (const { name, lines, latest } of voices) {
    let part = [...into.children].find((child) => child.dataset.name === name);
    if (!part) {
      part = element(
        "details",
        { "data-name": name },
        element("summary", {}, `${name} `, element("span", { class: "shoal-lines" })),
        element("pre", {}),
      );
      into.append(part);
    }
    const told = `${lines.toLocaleString("en")} ${lines === 1 ? "line" : "lines"}`;
    part.querySelector(".shoal-lines").textContent = told;
    const text = part.querySelector("pre");
    if (text.textContent !== latest) text.textContent = latest;
  }
}

// Single tasks, and what lies in the store: told only while the strip is folded out.
function closer({ tasks, stored, objects }, elapsed) {
  const all = [];
  if (tasks.length) {
    const rows = tasks.map((task) => [
      task.name,
      task.state,
      duration(Math.max(0, (task.ended ?? elapsed) - task.started)),
    ]);
    const node = table(["latest tasks", "", "ran"], rows);
    tasks.forEach((task, i) => (node.tBodies[0].rows[i].cells[1].dataset.tone = task.tone));
    all.push(node);
  }
  if (stored) {
    const many = `${count(objects)} value${objects === 1 ? "" : "s"}`;
    all.push(element("div", { class: "shoal-gap" }, `${bytes(stored)} in shared memory, in ${many} of these tasks`));
  }
  return all;
}

function drawTimeline(canvas, state, bars, elapsed) {
  const lanes = state.lanes.slice(0, LANE.most);
  const width = canvas.clientWidth;
  const height = lanes.length * LANE.height + 16;
  const dense = window.devicePixelRatio || 1;
  canvas.width = Math.round(width * dense);
  canvas.height = Math.round(height * dense);
  canvas.style.height = `${height}px`;
  const style = getComputedStyle(canvas);
  const colour = (name) => style.getPropertyValue(`--shoal-${name}`);
  const g = canvas.getContext("2d");
  g.scale(dense, dense);
  g.font = `10px ${style.fontFamily}`;
  const scale = (width - LANE.label - 2) / Math.max(elapsed, 1e-3);
  g.fillStyle = style.getPropertyValue("color");
  g.textBaseline = "middle";
  g.textAlign = "right";
  lanes.forEach((label, i) => g.fillText(label, LANE.label - 8, (i + 0.5) * LANE.height));
  g.fillStyle = colour("ground");
  lanes.forEach((_, i) =>
    g.fillRect(LANE.label, (i + 1) * LANE.height - 1, width - LANE.label - 2, 0.5),
  );
  for (let tone = 0; tone < BAR_TONES.length; tone++) {
    g.fillStyle = colour(BAR_TONES[tone]);
    for (let i = 0; i + 3 < bars.length; i += 4) {
      if (bars[i + 3] !== tone || bars[i] >= lanes.length) continue;
      const end = Number.isNaN(bars[i + 2]) ? elapsed : bars[i + 2];
      const x = LANE.label + bars[i + 1] * scale;
      const w = Math.max(1, (end - bars[i + 1]) * scale - 0.5);
      g.fillRect(x, bars[i] * LANE.height + 2, w, LANE.bar);
    }
  }
  g.fillStyle = style.getPropertyValue("color");
  g.textBaseline = "bottom";
  g.textAlign = "left";
  g.fillText("0", LANE.label, height);
  g.textAlign = "right";
  g.fillText(duration(elapsed), width - 2, height);
}

function render({ model, el }) {
  if (!model.get("state").ended) model.send({ type: "here" }); // for those who ask whether a page shows widgets
  const words = element("span", { class: "shoal-words" });
  const dot = element("span", { class: "shoal-dot", "aria-hidden": "true" });
  const fold = element(
    "button",
    { class: "shoal-fold", "aria-expanded": "false", title: "Tasks, workers and timeline" },
    dot,
    words,
  );
  const parts = PARTS.map((part) => element("span", { "data-part": part }));
  const bar = element(
    "div",
    { class: "shoal-bar", role: "progressbar", "aria-label": "Tasks ended", "aria-valuemin": "0" },
    ...parts,
  );
  const clock = element("span");
  const pace = element("span", { class: "shoal-pace" });
  const time = element("span", { class: "shoal-time" }, clock, pace);
  const stop = element(
    "button",
    { class: "shoal-cancel", "aria-label": "Cancel this cell's work" },
    "Cancel",
  );
  const canvas = element("canvas", { role: "img" });
  const lists = element("div", { class: "shoal-tables" });
  const printed = element("div", { class: "shoal-printed" });
  const body = element("div", { class: "shoal-body", hidden: "" }, canvas, lists, printed);
  const root = element(
    "section",
    { class: "shoal-cell", "aria-label": "Work of this cell" },
    element("div", { class: "shoal-strip" }, fold, bar, time, stop),
    body,
  );
  el.append(root);

  let received = performance.now();
  let asked = 0;
  const elapsed = () => {
    const state = model.get("state");
    const since = state.active && !state.ended ? (performance.now() - received) / 1000 : 0;
    return state.elapsed + since;
  };

  function draw() {
    if (body.hidden || !root.isConnected) return;
    drawTimeline(canvas, model.get("state"), floats(model.get("bars")), elapsed());
  }

  function tick() {
    const state = model.get("state");
    clock.textContent = duration(elapsed());
    if (state.active) draw();
  }

  function show() {
    const state = model.get("state");
    const counts = state.standing;
    received = performance.now();
    const total = Object.values(counts).reduce((sum, count) => sum + count, 0) || 1;
    const ended = counts.finished + counts.failed + counts.cancelled;
    words.textContent = state.words;
    dot.dataset.tone = state.tone;
    pace.textContent = state.pace && ` · ${state.pace}`;
    bar.setAttribute("aria-valuemax", total);
    bar.setAttribute("aria-valuenow", ended);
    bar.setAttribute("aria-valuetext", state.words);
    PARTS.forEach((part, i) => (parts[i].style.width = `${(100 * counts[part]) / total}%`));
    stop.hidden = !state.active || state.ended;
    canvas.setAttribute("aria-label", `Timeline: ${state.words}`);
    lists.replaceChildren(...tables(state, elapsed()));
    tellPrinted(printed, state.printed);
    clock.textContent = duration(elapsed());
    draw();
    if (state.ended) settle(model, model.get("state"));
  }

  function lose() {
    if (!model.get("comm_live")) settle(model, model.get("state"));
  }

  fold.addEventListener("click", () => {
    body.hidden = !body.hidden;
    fold.setAttribute("aria-expanded", String(!body.hidden));
    const content = { type: "unfold", open: !body.hidden };
    tell(model, "shoal_view", { model: model.get("state").id, content }, content);
    draw();
  });
  stop.addEventListener("click", () => {
    const { cell } = model.get("state");
    tell(model, "shoal_cancel", { cell }, { type: "cancel" });
    stop.disabled = true;
    stop.textContent = "Cancelling…";
    // Work may refuse; then it can be asked again.
    asked = setTimeout(() => {
      stop.disabled = false;
      stop.textContent = "Cancel";
    }, 3000);
  });
  const ownKeys = keys(el, root);

  model.on("change:state", show);
  model.on("comm_live_update", lose);
  const clockwork = setInterval(tick, 200);
  const resized = new ResizeObserver(draw);
  resized.observe(canvas);
  const themed = new MutationObserver(() => requestAnimationFrame(draw));
  themed.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-name"] });
  show();
  let stepBack = () => {};
  // The strip is put into its place on the page only after this function.
  const placed = requestAnimationFrame(() => {
    stepBack = standIn(el, model.get("state").mark);
    draw();
  });

  return () => {
    cancelAnimationFrame(placed);
    ownKeys();
    clearInterval(clockwork);
    clearTimeout(asked);
    resized.disconnect();
    themed.disconnect();
    model.off("change:state", show);
    model.off("comm_live_update", lose);
    stepBack(!body.hidden);
    if (model.get("state").ended) model.send({ type: "settled" });
  };
}

export default {
  initialize: ({ model }) => keep(model, () => model.get("state")),
  render,
};
