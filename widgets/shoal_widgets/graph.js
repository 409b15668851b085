// The task graph: Python says where nodes and edges are (graph_layout.py), this draws them.
// The drawing stays the same nodes while only numbers change, so that what the mouse is on stays.

const BAR = ["finished", "running", "failed", "cancelled"];
const EDGES = [
  { title: "from", text: (line) => line.from, left: true },
  { title: "to", text: (line) => line.to, left: true },
  { title: "values", text: (line) => (line.values ? count(line.values) : "") },
  { title: "tasks started", text: (line) => (line.started ? count(line.started) : "") },
];

function shape(tag, attributes = {}, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

function drawnNode({ id, x, y }, [wide, high]) {
  const title = shape("title");
  const name = shape("text", { x: 10, y: 18, class: "shoal-name" });
  const cell = shape("text", { x: wide - 10, y: 18, "text-anchor": "end" });
  const words = shape("text", { x: 10, y: 32 });
  const bars = BAR.map((part) => shape("rect", { y: high - 10, height: 4, "data-part": part }));
  const node = shape(
    "g",
    { class: "shoal-node", transform: `translate(${x} ${y})` },
    title,
    shape("rect", { class: "shoal-card", x: 0.5, y: 0.5, width: wide - 1, height: high - 1, rx: 6 }),
    name,
    cell,
    words,
    shape("rect", { class: "shoal-track", x: 10, y: high - 10, width: wide - 20, height: 4, rx: 2 }),
    ...bars,
  );
  return {
    node,
    id,
    show(item) {
      write(title, item.title);
      write(name, item.label);
      write(cell, item.cell);
      write(words, item.words);
      const all = Object.values(item.counts).reduce((sum, each) => sum + each, 0) || 1;
      let at = 10;
      BAR.forEach((part, i) => {
        const part_wide = ((wide - 20) * item.counts[part]) / all;
        bars[i].setAttribute("x", at);
        bars[i].setAttribute("width", part_wide);
        at += part_wide;
      });
      node.classList.toggle("shoal-faulty", item.counts.failed > 0);
    },
  };
}

function drawnEdge({ from, to, path, head, at: [x, y] }) {
  const title = shape("title");
  const label = shape("text", { x, y });
  const way = shape("path", { d: path, class: "shoal-way" });
  const node = shape(
    "g",
    { class: "shoal-edge" },
    title,
    shape("path", { d: path, class: "shoal-hold" }),
    way,
    shape("path", { d: head, class: "shoal-head" }),
    label,
  );
  return {
    node,
    from,
    to,
    show(item) {
      write(title, item.title);
      write(label, item.label);
      way.toggleAttribute("data-dashed", item.values === 0);
    },
  };
}

function render({ model, el }) {
  el.classList.add("shoal-graph");
  const words = element("span", { class: "shoal-push", role: "status" });
  const filter = element("select", { "aria-label": "Whose tasks" });
  filter.addEventListener("change", () => want(model, { cell: filter.value || null }));
  const drawing = shape("svg", { role: "img" });
  const place = element("div", { class: "shoal-plan", tabindex: "0", role: "group", "aria-label": "Task graph" }, drawing);
  const key = element(
    "div",
    { class: "shoal-aside" },
    "A line goes from a task to one that is given its value; a dashed one to a task that it started.",
  );
  const lines = grid(EDGES, { key: (line) => `${line.from}\n${line.to}`, label: "Edges" });
  const folded = element(
    "details",
    {},
    element("summary", {}, "As a table"),
    element("div", { class: "shoal-scroll", tabindex: "0", role: "group", "aria-label": "Edges of the graph" }, lines.node),
  );
  el.append(element("div", { class: "shoal-row" }, words, filter), place, key, folded);

  let nodes = [];
  let edges = [];
  let drawn = "";

  // Of what the mouse is on, the neighbours stay as they are and the others step back.
  function lookAt(id) {
    if (!edges.some(({ from, to }) => from === id || to === id)) id = null;
    const near = new Set([id]);
    for (const { node, from, to } of edges) {
      const mine = id === null || from === id || to === id;
      if (mine) near.add(from).add(to);
      node.classList.toggle("shoal-back", !mine);
    }
    for (const { node, id: other } of nodes) node.classList.toggle("shoal-back", id !== null && !near.has(other));
  }

  function redraw(state) {
    nodes = state.nodes.map((item) => drawnNode(item, state.size));
    edges = state.edges.map(drawnEdge);
    for (const { node, id } of nodes) {
      node.addEventListener("pointerenter", () => lookAt(id));
      node.addEventListener("pointerleave", () => lookAt(null));
    }
    drawing.setAttribute("viewBox", `0 0 ${state.width} ${state.height}`);
    drawing.setAttribute("width", state.width);
    drawing.setAttribute("height", state.height);
    drawing.replaceChildren(...edges.map(({ node }) => node), ...nodes.map(({ node }) => node));
  }

  function showCells(cells, cell) {
    filter.hidden = cells.length < 2;
    const said = JSON.stringify(cells);
    if (filter.dataset.said !== said) {
      filter.dataset.said = said;
      filter.replaceChildren(
        element("option", { value: "" }, "all cells"),
        ...cells.map(({ name, label }) => element("option", { value: name }, label)),
      );
    }
    filter.value = cell ?? "";
  }

  function show() {
    const state = model.get("state");
    if (!state.nodes) return;
    write(words, state.words);
    showCells(state.cells, state.want?.cell);
    place.hidden = !state.nodes.length;
    folded.hidden = key.hidden = !state.table.length;
    const plan = JSON.stringify([
      state.size,
      state.nodes.map(({ id, x, y }) => [id, x, y]),
      state.edges.map(({ path }) => path),
    ]);
    if (drawn !== plan) {
      drawn = plan;
      redraw(state);
    }
    state.nodes.forEach((item, i) => nodes[i].show(item));
    state.edges.forEach((item, i) => edges[i].show(item));
    const told = state.table.slice(0, 6).map((line) => `${line.from} to ${line.to}, ${line.words}`);
    drawing.setAttribute("aria-label", [`Task graph: ${state.words}`, ...told].join("; "));
    lines.show(state.table, null);
  }

  model.on("change:state", show);
  show();
  return () => model.off("change:state", show);
}

export default live(render);
