// The timeline: a canvas of what can be seen, its axis, its legend. Python sends the bars, joined where
// they are too many for a page (see gantt.py), and is asked again when the page looks closer.

const ROW = 18;
const AXIS = 20;
const TALL = 380; // pixels of rows on show; more are scrolled to
const [RUNS, ENDED, FAILED, CANCELLED] = [0, 1, 2, 3];
const STATES = ["running", "done", "failed", "cancelled"];
// As palette.py has them.
const KINDS =
  "#3d8bd9 #e69f00 #2a9d8f #cc79a7 #8c6bb1 #b5a642 #56b4e9 #a0703c #7f8c9a #5fad56".split(" ");
const kind = (number) => KINDS[number % KINDS.length];

// A length of time to more places than a clock needs.
function exactly(seconds) {
  if (seconds < 1e-3) return `${+(seconds * 1e6).toPrecision(3)} µs`;
  if (seconds < 1) return `${+(seconds * 1e3).toPrecision(3)} ms`;
  return seconds < 60 ? `${+seconds.toPrecision(4)} s` : duration(seconds);
}

// Bars in columns, as pack() of gantt.py lays them; `order` sorts them by what they are drawn with.
function columns(buffer) {
  const all = floats(buffer);
  const n = all.length / 8;
  const [row, fn, cell, state, wait, start, end, tasks] = Array.from({ length: 8 }, (_, i) =>
    all.subarray(i * n, (i + 1) * n),
  );
  const order = Uint32Array.from({ length: n }, (_, i) => i);
  const rank = (i) => state[i] * 4096 + fn[i];
  order.sort((a, b) => rank(a) - rank(b) || start[a] - start[b]);
  return { n, row, fn, cell, state, wait, start, end, tasks, order };
}

function ticks(from, to, width) {
  const rough = ((to - from) * 90) / Math.max(width, 1);
  const power = 10 ** Math.floor(Math.log10(rough));
  let step = [1, 2, 5, 10].find((s) => s * power >= rough) * power;
  if (rough > 10) step = [15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200].find((s) => s >= rough) ?? 14400;
  const found = [];
  for (let i = Math.ceil(from / step); i * step <= to; i++) found.push(i * step);
  return { step, found };
}

function tickText(at, step) {
  if (at === 0) return "0";
  if (step >= 1) return at < 60 ? `${Math.round(at)} s` : duration(at).replace(" 00 s", "");
  const [unit, name] = step < 1e-3 && Math.abs(at) < 1e-2 ? [1e6, "µs"] : Math.abs(at) < 1 ? [1e3, "ms"] : [1, "s"];
  return `${+(at * unit).toFixed(Math.max(0, -Math.floor(Math.log10(step * unit) + 1e-9)))} ${name}`;
}

// Which part of the time is on show: all of it, the last seconds, or what was chosen.
function lens(model, now) {
  const asked = model.get("state").want ?? {};
  let view = asked.to != null ? { from: asked.from, to: asked.to } : asked.last ? { last: asked.last } : {};
  const end = () => {
    const { running, until, origin } = model.get("state");
    return Math.max(running ? now() - origin : 0, until, 1e-3);
  };
  return {
    end,
    get follows() {
      return view.last !== undefined;
    },
    get whole() {
      return view.last === undefined && view.from === undefined;
    },
    get asked() {
      return { from: view.from ?? null, to: view.to ?? null, last: view.last ?? null };
    },
    window() {
      if (view.last !== undefined) return [end() - view.last, end()];
      if (view.from !== undefined) return [view.from, view.to];
      return [0, end() * 1.01];
    },
    show(from, to) {
      view = { from, to };
    },
    follow() {
      const [from, to] = this.window();
      view = { last: Math.min(to - from, end()) };
    },
    all() {
      view = {};
    },
    zoom(factor, at) {
      const [from, to] = this.window();
      if (view.last !== undefined) {
        view.last = Math.min(Math.max(view.last * factor, 1e-5), end());
        return;
      }
      const wide = Math.max((to - from) * factor, 1e-5);
      const left = at - ((at - from) * wide) / (to - from);
      if (wide >= end() * 1.2) view = {};
      else view = { from: left, to: left + wide };
    },
    pan(by) {
      const [from, to] = this.window();
      const shift = Math.min(Math.max(by, -to + (to - from) * 0.1), end() - from - (to - from) * 0.1);
      view = { from: from + shift, to: to + shift };
    },
  };
}

function hatched(g, colour) {
  const tile = document.createElement("canvas");
  tile.width = tile.height = 6;
  const t = tile.getContext("2d");
  t.strokeStyle = colour;
  t.lineWidth = 2;
  t.beginPath();
  for (const x of [-6, 0, 6]) {
    t.moveTo(x, 6);
    t.lineTo(x + 6, 0);
  }
  t.stroke();
  return g.createPattern(tile, "repeat");
}

// Draws what can be seen; returns where it is, for the mouse.
function drawBars(canvas, { bars, rows, base, window: [from, to], end, top, height, chosen, only }) {
  const dense = globalThis.devicePixelRatio || 1;
  const width = canvas.clientWidth;
  const [w, h] = [Math.round(width * dense), Math.round((height + AXIS) * dense)];
  if (canvas.width !== w) canvas.width = w;
  if (canvas.height !== h) canvas.height = h;
  canvas.style.height = `${height + AXIS}px`;
  const g = canvas.getContext("2d");
  const style = getComputedStyle(canvas);
  const colour = (name) => style.getPropertyValue(`--shoal-${name}`).trim();
  g.setTransform(dense, 0, 0, dense, 0, 0);
  g.clearRect(0, 0, width, height + AXIS);
  g.font = `11px ${style.fontFamily}`;
  const most = Math.min(width * 0.34, 220);
  const labels = rows.map((label) => elided(g, label, most));
  const left = Math.ceil(Math.min(most, labels.reduce((m, l) => Math.max(m, g.measureText(l).width), 0))) + 10;
  const scale = (width - left) / (to - from);
  const x = (t) => left + (t - from) * scale;

  // Time, behind all.
  const { step, found } = ticks(from, to, width - left);
  g.fillStyle = colour("ground");
  for (const at of found) g.fillRect(Math.round(x(at)), 0, 1, height);
  const first = Math.max(0, Math.floor(top / ROW));
  const last = Math.min(rows.length - 1, Math.floor((top + height) / ROW));
  for (let r = first; r <= last; r++) g.fillRect(left, (r + 1) * ROW - top - 1, width - left, 0.5);

  g.save();
  g.beginPath();
  g.rect(left, 0, width - left, height);
  g.clip();
  const marks = { [FAILED]: hatched(g, colour("error")), [CANCELLED]: hatched(g, colour("stopped")) };
  const { row, fn, state, start, tasks, order } = bars;
  const lower = from - base;
  const upper = to - base;
  let style0 = "";
  for (let k = 0; k < order.length; k++) {
    const i = order[k];
    const until = state[i] === RUNS ? end - base : bars.end[i];
    if (row[i] < first || row[i] > last || start[i] > upper || until < lower) continue;
    const dim = only !== null && fn[i] !== only;
    const wanted = `${fn[i]} ${state[i]} ${dim}`;
    if (wanted !== style0) {
      style0 = wanted;
      g.fillStyle = kind(fn[i]);
      g.globalAlpha = dim ? 0.12 : state[i] === RUNS ? 0.55 : state[i] === ENDED ? 0.9 : 0.4;
    }
    const a = Math.max(left - 4, x(start[i] + base));
    const b = Math.min(width + 4, x(until + base));
    const wide = Math.max(b - a - (b - a > 3 ? 1 : 0), 0.8);
    const y = row[i] * ROW - top + 3;
    g.fillRect(a, y, wide, ROW - 7);
    if (state[i] >= FAILED && !dim) {
      const alpha = g.globalAlpha;
      g.globalAlpha = 1;
      g.fillStyle = wide > 4 ? marks[state[i]] : colour(state[i] === FAILED ? "error" : "stopped");
      g.fillRect(a, y, wide, ROW - 7);
      g.fillStyle = colour(state[i] === FAILED ? "error" : "stopped");
      g.fillRect(a, y + ROW - 8, Math.max(wide, 1.5), 2);
      g.globalAlpha = alpha;
      style0 = "";
    } else if (state[i] === RUNS && !dim) {
      g.globalAlpha = 1;
      g.fillRect(b - 2, y, 2, ROW - 7);
      style0 = "";
    }
  }
  g.globalAlpha = 1;
  if (chosen >= 0 && chosen < bars.n) {
    const i = chosen;
    const y = row[i] * ROW - top + 2;
    const until = state[i] === RUNS ? end - base : bars.end[i];
    g.fillStyle = colour("muted");
    if (tasks[i] === 1) {
      const since = x(start[i] + base - bars.wait[i]);
      g.fillRect(since, y + ROW / 2 - 2.5, x(start[i] + base) - since, 1);
      g.fillRect(since, y + ROW / 2 - 5, 1, 6);
    }
    g.strokeStyle = style.color;
    g.lineWidth = 1.5;
    g.strokeRect(x(start[i] + base) - 0.5, y + 0.5, Math.max(2, (until - start[i]) * scale), ROW - 6);
  }
  g.restore();

  g.fillStyle = style.color;
  g.textBaseline = "middle";
  g.textAlign = "right";
  for (let r = first; r <= last; r++) g.fillText(labels[r], left - 8, (r + 0.5) * ROW - top - 0.5);
  g.clearRect(0, height, width, AXIS);
  g.fillStyle = colour("muted");
  g.textBaseline = "bottom";
  g.textAlign = "left";
  for (const at of found) {
    const text = tickText(at, step);
    const place = Math.round(x(at));
    if (place + g.measureText(text).width < width) g.fillText(text, place, height + AXIS - 3);
  }
  return { left, scale, from, first, last };
}

const widths = new Map();
function elided(g, label, most) {
  const key = `${label} ${Math.round(most)}`;
  if (!widths.has(key)) {
    let text = label;
    while (text.length > 4 && g.measureText(text).width > most) text = `${text.slice(0, -2)}…`;
    widths.set(key, text);
  }
  return widths.get(key);
}

// The bar at a point, the last that was drawn; -1 where there is none.
function barAt(bars, row, seconds, slack, end) {
  let found = -1;
  let best = slack;
  for (let i = 0; i < bars.n; i++) {
    if (bars.row[i] !== row) continue;
    const until = bars.state[i] === RUNS ? end : bars.end[i];
    const off = Math.max(bars.start[i] - seconds, seconds - until, 0);
    if (off <= best) {
      best = off;
      found = i;
    }
  }
  return found;
}

// Select the cell, where this page is a notebook that has it.
function goTo(model, id) {
  const cells = [...(model.widget_manager?.context?.model?.cells ?? [])];
  const place = cells.findIndex((cell) => cell.id === id);
  const node = place < 0 ? null : document.querySelector(`.jp-Notebook .jp-Cell[data-windowed-list-index="${place}"]`);
  const found = node ?? (place < 0 ? null : document.querySelectorAll(".jp-Notebook .jp-Cell")[place]);
  if (!found) return false;
  found.scrollIntoView({ block: "nearest" });
  found.focus();
  return true;
}

function download(text, name) {
  const types = { json: "application/json", svg: "image/svg+xml", html: "text/html" };
  const blob = new Blob([text], { type: types[name.split(".").at(-1)] });
  const link = element("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

function render({ model, el }) {
  const now = clock(model);
  const view = lens(model, now);
  const fixed = Boolean(model.get("frame").still); // a page without a kernel
  let bars = columns(model.get("buffer"));
  let base = model.get("state").base ?? 0;
  let place = { left: 0, scale: 1, from: 0 };
  let hovered = -1;
  let chosen = -1;
  let only = null;
  let cell = model.get("state").want?.cell ?? null;
  let frame = 0;
  let asking = 0;

  const words = element("span", { class: "shoal-grow", role: "status" });
  const filter = element("select", { "aria-label": "Tasks of" });
  const plain = (label, press, name) => button(label, press, { "aria-label": name, title: name });
  const follow = plain("Follow", () => act0(() => (view.follows ? view.all() : view.follow())), "Follow the last seconds");
  const tools = element(
    "div",
    { class: "shoal-line" },
    words,
    filter,
    element(
      "span",
      { class: "shoal-tools", role: "group", "aria-label": "Zoom" },
      plain("−", () => zoom(1.5), "Zoom out"),
      plain("+", () => zoom(1 / 1.5), "Zoom in"),
      plain("All", () => act0(() => view.all()), "Show all of the time"),
      follow,
    ),
  );
  const legend = element("div", { class: "shoal-legend", role: "group", "aria-label": "Functions" });
  const canvas = element("canvas", { role: "img" });
  const spacer = element("div", { class: "shoal-spacer" }, canvas);
  const box = element(
    "div",
    {
      class: "shoal-gantt",
      tabindex: "0",
      role: "group",
      "aria-label": "Timeline: plus and minus zoom, arrows move, 0 shows all",
      "data-lm-suppress-shortcuts": "true",
    },
    spacer,
  );
  const tip = element("div", { class: "shoal-tip", hidden: "", "aria-hidden": "true" });
  const about = element("span", { class: "shoal-grow", role: "status" });
  const jump = button("", () => {
    if (!goTo(model, jump.dataset.cell)) about.textContent = `Cell ${jump.dataset.label} is not in this notebook`;
  });
  const chosenLine = element("div", { class: "shoal-line", hidden: "" }, about, jump);
  const lists = element("div", { class: "shoal-scroll" });
  const more = element("details", {}, element("summary", {}, "Times by function"), lists);
  const exported = element("span", { role: "status", class: "shoal-muted" });
  const exports = element(
    "div",
    { class: "shoal-line" },
    element("span", { class: "shoal-muted" }, "Export"),
    button("Trace", () => save("json"), { title: "For ui.perfetto.dev and chrome://tracing" }),
    button("SVG", () => save("svg")),
    button("HTML", () => save("html"), { title: "A page of its own, to zoom and to pass on" }),
    exported,
  );
  exports.hidden = fixed;
  el.classList.add("shoal-timeline");
  el.append(tools, legend, element("div", { class: "shoal-stage" }, box, tip), chosenLine, more, exports);

  async function save(format) {
    exported.textContent = "…";
    const answer = await act(model, { export: format, cell });
    exported.textContent = answer.error ?? answer.name;
    if (!answer.error) download(answer.text, answer.name);
  }

  const ask = () => {
    clearTimeout(asking);
    asking = setTimeout(
      () => want(model, { ...view.asked, cell, width: Math.max(100, Math.round(canvas.clientWidth - place.left)) }),
      150,
    );
  };
  function act0(change) {
    change();
    ask();
    soon();
  }
  const middle = () => view.window().reduce((a, b) => a + b) / 2;
  const zoom = (factor, at = middle()) => act0(() => view.zoom(factor, at));
  const pan = (part) => {
    const [from, to] = view.window();
    act0(() => view.pan(part * (to - from)));
  };

  function soon() {
    if (!frame) frame = requestAnimationFrame(draw);
  }

  function draw() {
    frame = 0;
    if (!el.isConnected || !canvas.clientWidth) return;
    const rows = model.get("state").rows ?? [];
    const tall = rows.length * ROW;
    const height = Math.min(tall, TALL);
    spacer.style.height = `${tall + AXIS}px`;
    box.style.maxHeight = `${TALL + AXIS + 2}px`;
    place = drawBars(canvas, {
      bars,
      rows,
      base,
      window: view.window(),
      end: view.end(),
      top: box.scrollTop,
      height,
      chosen: hovered >= 0 ? hovered : chosen,
      only,
    });
    follow.setAttribute("aria-pressed", String(view.follows));
  }

  function describe(i) {
    const { names, cells } = model.get("state");
    const from = cells[bars.cell[i]];
    const end = bars.state[i] === RUNS ? view.end() - base : bars.end[i];
    const many = bars.tasks[i];
    const took = exactly(Math.max(0, end - bars.start[i]));
    const parts = [names[bars.fn[i]]];
    if (many > 1) parts.push(`${count(many)} tasks within ${took}`, "zoom in to tell them apart");
    else {
      parts.push(bars.state[i] === RUNS ? `running for ${took}` : `${STATES[bars.state[i]]} in ${took}`);
      if (bars.wait[i] > 5e-4) parts.push(`waited ${exactly(bars.wait[i])}`);
    }
    if (from?.id) parts.push(`cell ${from.label}`);
    return parts;
  }

  function find(event) {
    const area = canvas.getBoundingClientRect();
    const [x, y] = [event.clientX - area.left, event.clientY - area.top];
    if (x < place.left || y > area.height - AXIS) return -1;
    const seconds = place.from + (x - place.left) / place.scale - base;
    return barAt(bars, Math.floor((y + box.scrollTop) / ROW), seconds, 3 / place.scale, view.end() - base);
  }

  function hover(event) {
    const i = find(event);
    if (i !== hovered) soon();
    hovered = i;
    tip.hidden = i < 0;
    canvas.style.cursor = i < 0 ? "" : "pointer";
    if (i < 0) return;
    const [title, ...rest] = describe(i);
    tip.replaceChildren(element("b", {}, title), ...rest.map((line) => element("div", {}, line)));
    const area = tip.parentElement.getBoundingClientRect();
    const left = event.clientX - area.left + 12;
    tip.style.left = `${Math.max(0, Math.min(left, area.width - tip.offsetWidth - 4))}px`;
    tip.style.top = `${event.clientY - area.top + 14}px`;
  }

  function choose(i) {
    chosen = i;
    chosenLine.hidden = i < 0;
    soon();
    if (i < 0) return;
    about.textContent = describe(i).join(" · ");
    const from = model.get("state").cells[bars.cell[i]];
    jump.hidden = fixed || !from?.id;
    if (from?.id) {
      jump.textContent = `Go to cell ${from.label}`;
      jump.dataset.cell = from.id;
      jump.dataset.label = from.label;
    }
  }

  let drag = null;
  box.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || event.target !== canvas) return;
    drag = { x: event.clientX, window: view.window(), moved: false };
    canvas.setPointerCapture(event.pointerId);
  });
  box.addEventListener("pointermove", (event) => {
    if (!drag) return hover(event);
    const by = event.clientX - drag.x;
    if (!drag.moved && Math.abs(by) < 4) return;
    drag.moved = true;
    tip.hidden = true;
    const [from, to] = drag.window;
    act0(() => {
      view.show(from, to);
      view.pan(-by / place.scale);
    });
  });
  box.addEventListener("pointerup", (event) => {
    if (drag && !drag.moved) choose(find(event));
    drag = null;
  });
  box.addEventListener("pointercancel", () => (drag = null));
  box.addEventListener("pointerleave", () => {
    hovered = -1;
    tip.hidden = true;
    soon();
  });
  box.addEventListener("dblclick", () => act0(() => view.all()));
  // The notebook scrolls by the wheel, unless one has gone into the timeline or holds a key down.
  box.addEventListener(
    "wheel",
    (event) => {
      const inside = box.contains(document.activeElement);
      if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
        event.preventDefault();
        pan((event.deltaX || event.deltaY) / 800);
      } else if (inside || event.ctrlKey || event.metaKey || event.altKey) {
        event.preventDefault();
        const area = canvas.getBoundingClientRect();
        const at = place.from + Math.max(0, event.clientX - area.left - place.left) / place.scale;
        zoom(1.0015 ** Math.max(-400, Math.min(400, event.deltaY)), at);
      }
    },
    { passive: false },
  );
  box.addEventListener("scroll", soon);
  const KEYS = {
    "+": () => zoom(1 / 1.5),
    "=": () => zoom(1 / 1.5),
    "-": () => zoom(1.5),
    "0": () => act0(() => view.all()),
    Home: () => act0(() => view.all()),
    ArrowLeft: () => pan(-0.2),
    ArrowRight: () => pan(0.2),
    f: () => follow.click(),
  };
  box.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !KEYS[event.key]) return;
    event.preventDefault();
    event.stopPropagation();
    KEYS[event.key]();
  });
  filter.addEventListener("change", () => {
    cell = filter.value || null;
    act0(() => view.all());
  });

  function showLegend(functions) {
    const chips = functions.slice(0, 12).map(({ name, number }) => {
      const swatch = element("span", { class: "shoal-swatch" });
      swatch.style.background = kind(number);
      const chip = button(
        "",
        () => {
          only = only === number ? null : number;
          show();
        },
        { class: "shoal-chip", "aria-pressed": String(only === number), title: `Show ${name} alone` },
      );
      chip.append(swatch, name);
      return chip;
    });
    const key = functions.map((f) => `${f.name} ${only === f.number}`).join();
    if (legend.dataset.key === key) return;
    const at = [...legend.children].indexOf(document.activeElement);
    legend.dataset.key = key;
    legend.replaceChildren(...chips);
    if (functions.length > 12) legend.append(element("span", { class: "shoal-muted" }, `and ${functions.length - 12} more`));
    const marked = [
      [functions.some((f) => f.failed), "error", "failed"],
      [functions.some((f) => f.cancelled), "stopped", "cancelled"],
    ];
    for (const [is, tone, name] of marked)
      if (is) legend.append(element("span", { class: "shoal-key" }, element("span", { class: "shoal-hatch", "data-tone": tone }), name));
    legend.children[at]?.focus();
  }

  function showCells(cells) {
    const known = cells.filter((c) => c.id);
    filter.hidden = known.length < 2 || fixed;
    const key = known.map((c) => c.label).join();
    if (filter.dataset.key !== key) {
      filter.dataset.key = key;
      filter.replaceChildren(
        element("option", { value: "" }, "all cells"),
        ...known.map((c) => element("option", { value: c.name }, `cell ${c.label}`)),
      );
    }
    filter.value = cell ?? "";
  }

  function show() {
    const state = model.get("state");
    write(words, state.words ?? "");
    canvas.setAttribute("aria-label", `Timeline: ${state.words}`);
    const functions = state.functions ?? [];
    box.hidden = more.hidden = functions.length === 0;
    showLegend(functions);
    showCells(state.cells ?? []);
    const titles = ["function", "running", "ended", "failed", "time in all", "mean", "longest"];
    const lines = functions.map((f) => [
      f.name,
      f.running ? count(f.running) : "",
      count(f.ended),
      f.failed ? count(f.failed) : "",
      exactly(f.total),
      f.ended ? exactly(f.total / f.ended) : "",
      exactly(f.longest),
    ]);
    lists.replaceChildren(table(titles, lines));
    soon();
  }

  // State and bars belong together, and come one after the other.
  function arrived() {
    const fresh = model.get("buffer");
    if (fresh !== arrived.last || model.get("state").base !== base) {
      arrived.last = fresh;
      const was = chosen >= 0 ? [bars.row[chosen], bars.start[chosen] + base] : null;
      bars = columns(fresh);
      base = model.get("state").base ?? 0;
      hovered = -1;
      if (was) chosen = barAt(bars, was[0], was[1] - base + 1e-6, 1e-3, view.end() - base);
    }
    show();
  }
  let settling = 0;
  const later = () => {
    settling = settling || requestAnimationFrame(() => ((settling = 0), arrived()));
  };
  arrived.last = model.get("buffer");

  model.on("change:state", later);
  model.on("change:buffer", later);
  // While something runs its bars grow; ten pictures a second look smooth enough.
  const clockwork = setInterval(() => model.get("state").running && !model.get("frame").ended && soon(), 100);
  const resized = new ResizeObserver(() => {
    soon();
    ask();
  });
  resized.observe(canvas);
  const themed = new MutationObserver(soon);
  themed.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-name"] });
  show();
  return () => {
    clearInterval(clockwork);
    clearTimeout(asking);
    cancelAnimationFrame(frame);
    cancelAnimationFrame(settling);
    resized.disconnect();
    themed.disconnect();
    model.off("change:state", later);
    model.off("change:buffer", later);
  };
}

export default live(render);
