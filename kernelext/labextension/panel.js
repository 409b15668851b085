// What is on show: a page for each thing that may be in front, and among them the one with the cluster.

const FIGURES = [
  ["running", "Running", "active"],
  ["queued", "Queued"],
  ["done", "Done"],
  ["failed", "Failed", "error"],
  ["actors", "Actors"],
  ["objects", "Objects"],
];
const SAY_EVERY = 5000; // milliseconds between two announcements to a screen reader

function summary({ cluster }) {
  if (!cluster) return "No cluster";
  const parts = [`${number(cluster.running)} running`, `${number(cluster.queued)} queued`];
  if (cluster.failed) parts.push(`${number(cluster.failed)} failed`);
  return cluster.running + cluster.queued ? parts.join(", ") : `Idle${cluster.failed ? `, ${parts[2]}` : ""}`;
}

// What would be lost if the cluster were stopped, in words; "" where nothing would.
function losses({ running, queued, actors, objects }) {
  const parts = [
    [running + queued, "unfinished task"],
    [actors, "actor"],
    [objects, "object"],
  ];
  const told = parts.filter(([count]) => count).map(([count, what]) => `${number(count)} ${what}${count > 1 ? "s" : ""}`);
  return told.length > 1 ? `${told.slice(0, -1).join(", ")} and ${told.at(-1)}` : (told[0] ?? "");
}

const titled = (name) => name[0].toUpperCase() + name.slice(1);
const age = (since) => Math.max(0, Date.now() / 1000 - since);

// A button for what cannot be undone: pressed, it asks, with a button to do it and one to let it be.
function gravely(label, question, press, attributes = {}) {
  const node = element("span", { class: "shoal-p-grave" });
  const first = button(label, () => (question() ? ask() : press()), attributes);
  const words = element("span", { class: "shoal-p-ask" });
  const rest = () => {
    node.replaceChildren(first);
    first.focus();
  };
  const yes = button("Stop it", () => (rest(), press()), { class: "shoal-p-danger" });
  const no = button("Keep it", rest);
  function ask() {
    write(words, `This ends ${question()}.`);
    node.replaceChildren(words, yes, no);
    no.focus();
  }
  node.addEventListener("keydown", (event) => event.key === "Escape" && node.contains(no) && rest());
  node.append(first);
  return { node, first };
}

// The page with the cluster. `hands`: start, connect, scale, stop, cancel, insert, open.
function clusterPage(hands) {
  let state = { cluster: null, others: [], views: [], cpus: 1 };
  let drawn = "";

  const name = element("span", { class: "shoal-p-name" });
  const dot = element("span", { class: "shoal-p-dot", "aria-hidden": "true" });
  const words = element("p", { class: "shoal-p-words" });
  const cpus = gauge("CPUs");
  const memory = gauge("Memory");
  const spilled = element("p", { class: "shoal-p-note" });
  const counts = figures(FIGURES);
  const fewer = button("−", () => hands.scale(state.cluster.total - 1), { "aria-label": "One CPU less" });
  const more = button("+", () => hands.scale(state.cluster.total + 1), { "aria-label": "One CPU more" });
  const size = element("output", { "aria-label": "CPUs of the cluster" });
  const scale = element("div", { class: "shoal-p-scale", role: "group", "aria-label": "Scale" }, "Scale", fewer, size, more);
  const cancel = button("Cancel tasks", () => hands.cancel(), { title: "Cancel all that this notebook has launched" });
  const stop = gravely("Stop", () => losses(state.cluster), () => hands.stop(state.cluster.name), {
    "aria-label": "Stop the cluster",
  });
  const insert = button("Insert connect cell", () => hands.insert(state.cluster.name), {
    title: "A cell with which another notebook joins this cluster",
  });
  const mine = element(
    "div",
    {},
    element("p", { class: "shoal-p-head" }, dot, name),
    words,
    cpus.node,
    memory.node,
    spilled,
    counts.node,
    scale,
    element("div", { class: "shoal-p-buttons" }, cancel, stop.node, insert),
  );

  const many = element("input", { type: "number", min: "1", step: "1", id: "shoal-p-cpus" });
  const called = element("input", { type: "text", id: "shoal-p-called", placeholder: "optional", spellcheck: "false" });
  const start = element("button", { type: "submit", class: "shoal-p-first" }, "Start cluster");
  const form = element(
    "form",
    { "aria-label": "Start a cluster" },
    element("p", { class: "shoal-p-words" }, "No cluster yet. It starts by itself at first use, or here."),
    element("label", { for: "shoal-p-cpus" }, "CPUs"),
    many,
    element("label", { for: "shoal-p-called" }, "Name"),
    called,
    start,
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    hands.start(many.value ? Number(many.value) : null, called.value.trim());
  });
  // JupyterLab's own keys are for what is in front: not while somebody writes here.
  form.addEventListener("keydown", (event) => event.stopPropagation());

  const views = element("div", { class: "shoal-p-buttons" });
  const viewing = element("section", { "aria-label": "Views" }, element("h3", {}, "Beside the notebook"), views);
  const list = element("ul");
  const others = element(
    "section",
    { "aria-label": "Other clusters" },
    element("h3", {}, "Other clusters on this machine"),
    list,
  );
  const node = element("div", {}, element("section", { "aria-label": "This notebook's cluster" }, mine, form), viewing, others);

  function other({ name: called, since, left }) {
    const free = !state.cluster;
    const told = element("p", { class: "shoal-p-note" }, left ? "from before the restart" : `up ${lasting(age(since))}`);
    const join = button("Connect", () => hands.connect(called), { "aria-label": `Connect to ${called}` });
    if (left) join.classList.add("shoal-p-first");
    const end = gravely("Stop", () => `the cluster ${called} with all that it holds`, () => hands.stop(called), {
      "aria-label": `Stop ${called}`,
    });
    const cell = button("Insert cell", () => hands.insert(called), { "aria-label": `Insert a cell that connects to ${called}` });
    const buttons = element("div", { class: "shoal-p-buttons" }, ...(free ? [join, cell] : [cell]), end.node);
    return element("li", {}, element("span", { class: "shoal-p-name" }, called), told, buttons);
  }

  // The lists are made anew only when they say something else: a button that has the focus keeps it.
  function lists() {
    const says = state.others.map(({ name, since, left }) => [name, left, lasting(age(since))]);
    const next = JSON.stringify([says, state.views, !state.cluster]);
    if (next === drawn || list.querySelector(".shoal-p-ask")) return;
    drawn = next;
    const focused = node.contains(document.activeElement) && document.activeElement.getAttribute("aria-label");
    list.replaceChildren(...state.others.map(other));
    views.replaceChildren(
      ...state.views.map((name) => button(titled(name), () => hands.open(name, titled(name)))),
    );
    if (focused) [...node.querySelectorAll("button")].find((each) => each.getAttribute("aria-label") === focused)?.focus();
    others.hidden = state.others.length === 0;
  }

  function show(next) {
    const before = state.cluster;
    state = next;
    const { cluster } = state;
    mine.hidden = !cluster;
    form.hidden = Boolean(cluster);
    viewing.hidden = !cluster || cluster.inline || state.views.length === 0;
    many.placeholder = state.cpus;
    start.disabled = Boolean(state.doing);
    write(start, state.doing || "Start cluster");
    lists();
    if (before && !cluster && mine.contains(document.activeElement)) many.focus();
    if (!cluster) return;
    const waits = cluster.running + cluster.queued;
    write(name, cluster.name);
    dot.dataset.tone = cluster.running ? "active" : "";
    write(words, cluster.inline ? "All work runs in the notebook's own thread." : summary(state));
    for (const part of [cpus.node, memory.node, counts.node, scale, cancel, stop.node, insert]) part.hidden = cluster.inline;
    cpus.show(cluster.used, cluster.total, `${amount(cluster.used)} of ${amount(cluster.total)} busy`);
    memory.show(cluster.bytes, cluster.capacity, `${bytes(cluster.bytes)} of ${bytes(cluster.capacity)}`);
    spilled.hidden = !cluster.spilled;
    write(spilled, `${bytes(cluster.spilled)} on disk`);
    counts.show(cluster);
    write(size, `${amount(cluster.total)} CPU${cluster.total === 1 ? "" : "s"}`);
    fewer.disabled = cluster.total <= 1 || Boolean(state.doing);
    more.disabled = cluster.total >= state.cpus || Boolean(state.doing);
    cancel.disabled = !waits;
    stop.first.disabled = Boolean(state.doing);
  }

  return { node, show };
}

// The panel's whole content; `show(page, state)` with page "cluster", or "words" and what they are.
function content(hands) {
  const title = element("p", { class: "shoal-p-notebook" });
  const page = clusterPage(hands);
  const words = element("p", { class: "shoal-p-words" });
  const load = button("Load shoal", () => hands.load(), { class: "shoal-p-first" });
  const cell = button("Insert cell", () => hands.insertLoad(), { "aria-label": "Insert the cell that loads shoal" });
  const buttons = element("div", { class: "shoal-p-buttons" }, load, cell);
  const calm = element("section", { "aria-label": "shoal" }, words, buttons);
  const trouble = element("p", { class: "shoal-p-trouble", role: "alert" });
  const spoken = element("p", { class: "shoal-p-spoken", role: "status", "aria-live": "polite" });
  const node = element(
    "div",
    { class: "shoal-p" },
    element("h2", {}, "shoal"),
    title,
    trouble,
    calm,
    page.node,
    spoken,
  );
  let saidAt = -Infinity;

  // Counts are read out when there is time for it, and not four times a second.
  function say(text) {
    const now = performance.now();
    if (spoken.textContent === text || now < saidAt + SAY_EVERY) return;
    saidAt = now;
    write(spoken, text);
  }

  function tell(text) {
    write(trouble, text);
    trouble.hidden = !text;
  }

  tell("");
  return {
    node,
    tell,
    name: (text) => {
      write(title, text);
      title.hidden = !text;
    },
    showWords(text, canLoad) {
      write(words, text);
      buttons.hidden = !canLoad;
      calm.hidden = false;
      page.node.hidden = true;
      write(spoken, "");
    },
    showCluster(state) {
      calm.hidden = true;
      page.node.hidden = false;
      page.show(state);
      say(summary(state));
    },
  };
}
