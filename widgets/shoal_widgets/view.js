// The frame of the live views, behind common.js and before each view's own file: see live.py.

function say(model, content) {
  tell(model, "shoal_view", { model: model.get("frame").me, content }, content);
}

// What the page wants to see; it comes back in the state, for a page that is loaded later.
function want(model, what) {
  say(model, { type: "want", want: what });
}

// Have something done; the promise is kept with the answer: {error} where it went wrong.
function act(model, content) {
  const question = uuid();
  return new Promise((resolve) => {
    const hear = (message) => {
      if (message.type !== "answer" || message.question !== question) return;
      model.off("msg:custom", hear);
      resolve(message);
    };
    model.on("msg:custom", hear);
    say(model, { type: "act", question, ...content });
  });
}

// A function that tells the time by the feed's clock, in Unix seconds; it stops with the view.
function clock(model) {
  let received = performance.now();
  const hear = () => (received = performance.now());
  model.on("change:state", hear);
  return () => {
    const running = !model.get("frame").ended && model.get("comm_live") !== false;
    return (model.get("state").now ?? 0) + (running ? (performance.now() - received) / 1000 : 0);
  };
}

// Nothing is drawn while nobody looks: the page says again and again that it does.
function watch(model, el) {
  const page = uuid();
  let near = false;
  let told = false;
  const look = () => {
    const looks = near && document.visibilityState === "visible";
    if (looks || told) say(model, { type: "looks", page, looks });
    told = looks;
  };
  const observer = new IntersectionObserver((entries) => {
    near = entries.at(-1).isIntersecting;
    look();
  });
  observer.observe(el);
  document.addEventListener("visibilitychange", look);
  const beat = setInterval(() => told && look(), 5000);
  return () => {
    observer.disconnect();
    document.removeEventListener("visibilitychange", look);
    clearInterval(beat);
    near = false;
    look();
  };
}

// Text without the redrawing that would take a selection or the focus away.
function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// A table whose lines stay the same nodes from state to state, so that focus, selection and hover
// stay too; lines that go are used again for those that come. A column: {title, text(item), left,
// tone(item), draw(td, item)}; the first is a button where `pick` is given.
function grid(columns, { key, pick, label }) {
  const head = element("tr");
  for (const { title, left, silent } of columns) {
    const said = silent ? element("span", { class: "shoal-said" }, title) : title;
    head.append(element("th", { scope: "col", ...(left ? { "data-text": "" } : {}) }, said));
  }
  const body = element("tbody");
  const node = element("table", label ? { "aria-label": label } : {}, element("thead", {}, head), body);
  let lines = new Map();

  function make() {
    const line = { row: element("tr"), texts: [], tones: [], chosen: null };
    line.cells = columns.map(({ left }, i) => {
      const cell = element("td", left ? { "data-text": "" } : {});
      line.row.append(cell);
      if (i > 0 || !pick) return cell;
      const inner = button("", () => pick(line.item), { class: "shoal-link" });
      cell.append(inner);
      return inner;
    });
    return line;
  }

  function fill(line, item, isChosen) {
    line.item = item;
    columns.forEach(({ text, tone, draw }, i) => {
      const cell = line.cells[i];
      if (draw) draw(cell, item);
      else {
        const now = text(item);
        if (line.texts[i] !== now) cell.textContent = line.texts[i] = now;
      }
      const colour = tone?.(item) ?? "";
      if (line.tones[i] !== colour) cell.dataset.tone = line.tones[i] = colour;
    });
    if (line.chosen === isChosen) return;
    line.chosen = isChosen;
    line.row.toggleAttribute("data-chosen", isChosen);
    if (pick) line.cells[0].setAttribute("aria-pressed", String(isChosen));
  }

  function show(items, chosen) {
    const names = new Set(items.map(key));
    const spare = [];
    for (const [name, line] of lines)
      if (!names.has(name) && !line.row.contains(document.activeElement)) spare.push(line);
    spare.reverse();
    const next = new Map();
    let place = body.firstChild;
    for (const item of items) {
      const name = key(item);
      const line = lines.get(name) ?? spare.pop() ?? make();
      next.set(name, line);
      fill(line, item, name === chosen);
      if (place === line.row) place = place.nextSibling;
      else body.insertBefore(line.row, place);
    }
    const kept = new Set(next.values());
    for (const line of lines.values()) if (!kept.has(line)) line.row.remove();
    lines = next;
    node.hidden = items.length === 0;
  }

  return { node, show };
}

// How tasks stand, as one thin bar.
const SHARES = ["finished", "running", "failed", "cancelled"];

function shareBar() {
  const parts = SHARES.map((part) => element("span", { "data-part": part }));
  const widths = [];
  const node = element("span", { class: "shoal-shares", "aria-hidden": "true" }, ...parts);
  return {
    node,
    show(counts) {
      const total = Object.values(counts).reduce((sum, each) => sum + each, 0) || 1;
      SHARES.forEach((part, i) => {
        const width = `${((100 * counts[part]) / total).toFixed(2)}%`;
        if (widths[i] !== width) parts[i].style.width = widths[i] = width;
      });
    },
  };
}

// A button for what cannot be undone: the first click arms it, the second does it.
function graveButton(label, sure, press, attributes = {}) {
  let armed = 0;
  const disarm = () => {
    clearTimeout(armed);
    armed = 0;
    node.removeAttribute("data-armed");
    node.textContent = label;
  };
  const node = button(
    label,
    () => {
      if (armed) {
        disarm();
        press(node);
        return;
      }
      node.dataset.armed = "";
      node.textContent = sure;
      armed = setTimeout(disarm, 4000);
    },
    { class: "shoal-grave", ...attributes },
  );
  node.addEventListener("blur", () => armed && disarm());
  return node;
}

// Short facts beside their names; what has nothing to say is hidden.
function factList() {
  const node = element("dl", { class: "shoal-facts" });
  let values = {};

  function value(name) {
    if (!values[name]) {
      values[name] = element("dd");
      node.append(element("div", {}, element("dt", {}, name), values[name]));
    }
    return values[name];
  }

  return {
    node,
    clear() {
      node.replaceChildren();
      values = {};
    },
    say(name, text) {
      if (!text && !values[name]) return;
      write(value(name), text ?? "");
      value(name).parentNode.hidden = !text;
    },
    // [label, press or null]
    links(name, items) {
      const said = JSON.stringify(items.map(([label]) => label));
      if (value(name).dataset.said === said) return;
      value(name).dataset.said = said;
      value(name).parentNode.hidden = !items.length;
      value(name).replaceChildren(
        ...items.map(([label, press]) =>
          press
            ? button(label, press, { class: "shoal-link shoal-chip" })
            : element("span", { class: "shoal-chip" }, label),
        ),
      );
    },
  };
}

// Longer texts, each under its name.
function textBlocks() {
  const node = element("div");
  let blocks = {};
  return {
    node,
    clear() {
      node.replaceChildren();
      blocks = {};
    },
    say(name, text, tone = "") {
      if (!text && !blocks[name]) return;
      if (!blocks[name]) {
        blocks[name] = element("pre", { tabindex: "0", "aria-label": name, role: "region" });
        node.append(element("div", {}, element("div", { class: "shoal-aside" }, name), blocks[name]));
      }
      write(blocks[name], text ?? "");
      blocks[name].parentNode.hidden = !text;
      blocks[name].dataset.tone = tone;
    },
  };
}

function live(render) {
  const frame = (model) => model.get("frame");
  return {
    initialize({ model }) {
      return keep(model, () => (frame(model).lead ? frame(model) : {}));
    },
    render({ model, el }) {
      const root = element("section", { class: "shoal-view", "aria-label": frame(model).title });
      el.append(root);
      const ownKeys = keys(el, root);
      const settled = () => {
        if (frame(model).lead && (frame(model).ended || model.get("comm_live") === false))
          settle(model, frame(model));
      };
      model.on("change:frame", settled);
      model.on("comm_live_update", settled);
      const stop = render({ model, el: root });
      const blind = watch(model, root);
      let stepBack = () => {};
      // The widget is put into its place on the page only after this function.
      const placed = requestAnimationFrame(() => {
        if (frame(model).lead) stepBack = standIn(el, frame(model).mark);
        settled();
      });
      return () => {
        cancelAnimationFrame(placed);
        model.off("change:frame", settled);
        model.off("comm_live_update", settled);
        blind();
        ownKeys();
        stop?.();
        stepBack(false);
        if (frame(model).lead && frame(model).ended) model.send({ type: "settled" });
      };
    },
  };
}
