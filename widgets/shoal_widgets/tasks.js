// The Tasks view: functions, the single tasks of one, and one of those. See tasks.py.

const GROUPS = {
  finished: ["done", ""],
  running: ["running", "active"],
  pending: ["queued", ""],
  failed: ["failed", "error"],
  cancelled: ["cancelled", "stopped"],
};

function some(number) {
  return number ? count(number) : "";
}

// Durations on one scale for all functions, a power of ten a step: a line from 5 to 95 %, a box
// for the middle half, a tick at the median.
function spreadMark(cell, spread, [low, high]) {
  const said = spread ? `${spread} ${low} ${high}` : "";
  if (cell.dataset.said === said) return;
  cell.dataset.said = said;
  if (!cell.firstChild) {
    const mark = element("span", { class: "shoal-spread", role: "img" });
    for (const part of ["range", "middle", "median"]) mark.append(element("span", { class: part }));
    cell.append(mark);
  }
  const mark = cell.firstChild;
  mark.hidden = !spread;
  if (!spread) return;
  const [seen, q05, q25, median, q75, q95] = spread;
  const at = (seconds) =>
    (100 * (Math.log10(Math.max(seconds, 1e-6)) - low)) / Math.max(0.1, high - low);
  const lay = (node, from, to) => {
    node.style.left = `${at(from)}%`;
    node.style.width = `max(2px, ${at(to) - at(from)}%)`;
  };
  lay(mark.children[0], q05, q95);
  lay(mark.children[1], q25, q75);
  mark.children[2].style.left = `${at(median)}%`;
  const words =
    `Of ${count(seen)} seen to end: median ${duration(median)}, ` +
    `half within ${duration(q25)} – ${duration(q75)}, 90 % within ${duration(q05)} – ${duration(q95)}`;
  mark.title = words;
  mark.setAttribute("aria-label", words);
}

function scaleOf(lines) {
  const spreads = lines.map((line) => line.spread).filter(Boolean);
  if (!spreads.length) return [-3, 0];
  const log = (seconds) => Math.log10(Math.max(seconds, 1e-6));
  const low = Math.min(...spreads.map((spread) => log(spread[1])));
  const high = Math.max(...spreads.map((spread) => log(spread[5])));
  const room = Math.max(0.05, 0.05 * (high - low));
  return [low - room, high + room];
}

function detailPanel(model, now) {
  const title = element("h4");
  const state = element("span");
  const cancel = button(
    "Cancel",
    () => {
      act(model, { do: "cancel", task: shown.id });
      cancel.disabled = true;
      cancel.textContent = "Cancelling…";
    },
    { class: "shoal-grave", "aria-label": "Cancel this task" },
  );
  const close = button("Close", () => want(model, { task: null }), { "aria-label": "Close the task" });
  const bar = element("div", { class: "shoal-row" }, title, state, element("span", { class: "shoal-push" }), cancel, close);
  const facts = factList();
  const texts = textBlocks();
  const node = element("section", { class: "shoal-detail", "aria-label": "One task" }, bar, facts.node, texts.node);
  let shown = {};

  function tick() {
    if (node.hidden || !shown.id) return;
    const last = shown.attempts.at(-1) ?? shown;
    const moment = (from, to) => (from == null ? "" : duration(Math.max(0, (to ?? now()) - from)));
    const waited = moment(last.submitted, last.started ?? last.ended);
    facts.say("waited", waited && `${waited}${last.started || last.ended ? "" : " so far"}`);
    const ran = moment(last.started, last.ended);
    facts.say("ran", last.started == null ? "" : `${ran}${last.ended ? "" : " so far"}`);
  }

  return {
    node,
    tick,
    show(task) {
      node.hidden = !task;
      if (!task) {
        shown = {};
        return;
      }
      if (task.id !== shown.id) {
        facts.clear();
        texts.clear();
        cancel.textContent = "Cancel";
        cancel.disabled = false;
      }
      shown = task;
      write(title, task.name);
      write(state, task.error && task.tone === "error" ? `failed: ${task.error}` : task.state);
      state.dataset.tone = task.tone;
      cancel.hidden = task.over;
      const last = task.attempts.at(-1) ?? task;
      const date = new Date(1000 * last.submitted);
      facts.say("cell", task.cell);
      facts.say("submitted", date.toLocaleTimeString());
      tick();
      facts.say("where", task.where);
      const needs = Object.entries(task.needs).map(([name, amount]) => `${amount} ${name}`);
      facts.say("needs", needs.join(", "));
      const earlier = task.attempts.slice(0, -1).map(
        (attempt, i) => `${i + 1}: ${attempt.error ?? attempt.state} ${attempt.where}`,
      );
      facts.say("attempts", earlier.length ? `${earlier.length + 1} (${earlier.join("; ")})` : "");
      facts.say("retries left", task.retries && !task.over ? String(task.retries) : "");
      if (last.phases && last.started && last.ended) {
        const [ready, ended] = last.phases;
        facts.say("fetching arguments", duration(Math.max(0, ready - last.started)));
        facts.say("storing values", duration(Math.max(0, last.ended - ended)));
      }
      facts.say("sent with it", task.size ? bytes(task.size) : "");
      facts.links(
        "arguments",
        task.arguments.map((argument) => [
          `${argument.maker || "object"}${argument.size ? ` ${bytes(argument.size)}` : ""}${argument.ready ? "" : " (not there yet)"}`,
          argument.maker || !argument.ready ? () => want(model, { task: argument.task }) : null,
        ]),
      );
      facts.links("launched by", task.parent ? [[task.parent[1], () => want(model, { task: task.parent[0] })]] : []);
      facts.say("id", task.id);
      texts.say("Why it waits", task.why);
      texts.say("Error", last.said, "error");
      texts.say("Printed", task.out);
      texts.say("Printed to stderr", task.err);
    },
  };
}

function render({ model, el }) {
  const now = clock(model);
  const headline = element("span");
  const shares = shareBar();
  const top = element("div", { class: "shoal-row" }, headline, shares.node);
  const asked = () => model.get("state").want ?? {};

  let scale = [-3, 0];
  let listing = 0;
  const column = (part) => ({
    title: GROUPS[part][0],
    text: (kind) => some(kind.counts[part]),
    tone: (kind) => (kind.counts[part] ? GROUPS[part][1] : ""),
  });
  const bars = new WeakMap();
  const functions = grid(
    [
      { title: "function", text: (kind) => kind.name },
      { title: "cell", text: (kind) => kind.cell, left: true },
      {
        title: "how they stand",
        silent: true,
        draw(cell, kind) {
          if (!bars.has(cell)) {
            bars.set(cell, shareBar());
            cell.append(bars.get(cell).node);
          }
          bars.get(cell).show(kind.counts);
        },
      },
      ...["finished", "running", "pending", "failed", "cancelled"].map(column),
      { title: "median", text: (kind) => (kind.spread ? duration(kind.spread[3]) : "") },
      { title: "spread", draw: (cell, kind) => spreadMark(cell, kind.spread, scale) },
    ],
    {
      key: (kind) => JSON.stringify(kind.key),
      label: "Tasks by function",
      pick(kind) {
        const same = JSON.stringify(asked().kind) === JSON.stringify(kind.key);
        want(model, { kind: same ? null : kind.key });
      },
    },
  );
  const more = element("div", { class: "shoal-aside" });

  const search = element("input", {
    type: "search",
    placeholder: "name, error, cell or id",
    "aria-label": "Show tasks with this text",
  });
  search.value = asked().text ?? "";
  let typing = 0;
  search.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(() => want(model, { text: search.value }), 150);
  });
  const choice = element("select", { "aria-label": "Show tasks in this state" });
  choice.append(element("option", { value: "" }, "all states"));
  for (const [group, [title]] of Object.entries(GROUPS)) choice.append(element("option", { value: group }, title));
  choice.addEventListener("change", () => want(model, { state: choice.value }));
  const all = button("Newest", () => want(model, { list: !asked().list, kind: null }), { "aria-pressed": "false" });
  const chosen = button("", () => want(model, { kind: null }), { title: "Show all functions" });
  const filters = element("div", { class: "shoal-row shoal-filters" }, all, chosen, choice, search);

  const tasks = grid(
    [
      { title: "task", text: (task) => task.name },
      { title: "cell", text: (task) => task.cell, left: true },
      { title: "state", text: (task) => (task.tone === "error" ? task.error : task.state), tone: (task) => task.tone, left: true },
      { title: "where", text: (task) => task.where, left: true },
      { title: "waited", text: (task) => (task.started ? duration(Math.max(0, task.started - task.submitted)) : "") },
      { title: "ran", text: ran },
    ],
    { key: (task) => task.id, label: "Single tasks", pick: (task) => want(model, { task: task.id === asked().task ? null : task.id }) },
  );
  function ran(task) {
    if (!task.started) return "";
    return duration(Math.max(0, (task.ended ?? now()) - task.started));
  }
  const list = element("div", { class: "shoal-scroll", tabindex: "0", role: "region", "aria-label": "Single tasks" }, tasks.node);
  const note = element("div", { class: "shoal-aside" });
  const detail = detailPanel(model, now);
  el.append(
    top,
    element("div", { class: "shoal-wide", tabindex: "0", role: "region", "aria-label": "Tasks by function" }, functions.node),
    more,
    filters,
    detail.node,
    list,
    note,
  );

  function show() {
    const state = model.get("state");
    if (!state.counts) return;
    const { kind, state: group, text, list: listed, task } = asked();
    const isListed = Boolean(listed || kind || group || text);
    write(headline, state.words);
    shares.show(state.counts);
    shares.node.hidden = !state.kinds.length;
    scale = scaleOf(state.kinds);
    functions.show(state.kinds, kind ? JSON.stringify(kind) : null);
    write(more, state.more ? `and ${count(state.more)} more functions` : "");
    filters.hidden = !state.kinds.length;
    all.setAttribute("aria-pressed", String(Boolean(listed)));
    chosen.hidden = !kind;
    write(chosen, kind ? `${kind[1]} ✕` : "");
    if (choice.value !== (group ?? "")) choice.value = group ?? "";
    list.hidden = !isListed;
    // Two hundred new lines are a frame's work of their own.
    cancelAnimationFrame(listing);
    listing = requestAnimationFrame(() => tasks.show(state.rows, task));
    const whole = state.rows.length < 200;
    write(
      note,
      !isListed ? "" : !state.rows.length ? "No such tasks among the last that are remembered"
        : whole ? "" : `The newest 200 of the last ${count(state.kept)} tasks`,
    );
    detail.show(state.detail);
  }

  const ticking = setInterval(() => {
    const state = model.get("state");
    if (!el.isConnected || model.get("frame").ended) return;
    detail.tick();
    if (!list.hidden && state.rows?.some((task) => task.started && !task.ended)) tasks.show(state.rows, asked().task);
  }, 500);
  model.on("change:state", show);
  show();
  return () => {
    clearInterval(ticking);
    clearTimeout(typing);
    cancelAnimationFrame(listing);
    model.off("change:state", show);
  };
}

export default live(render);
