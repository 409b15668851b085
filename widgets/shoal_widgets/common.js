// What the widgets share; it stands before each one's own file, in one module.
//
// Python sends all that is shown. A page only lets clocks run on between two states.

function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

function duration(seconds) {
  if (seconds < 0.001) return "<1 ms";
  if (seconds < 0.9995) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 59.95) return `${seconds.toFixed(1)} s`;
  const minutes = Math.floor(Math.round(seconds) / 60);
  const pad = (n) => String(n).padStart(2, "0");
  if (minutes < 60) return `${minutes} min ${pad(Math.round(seconds) % 60)} s`;
  return `${Math.floor(minutes / 60)} h ${pad(minutes % 60)} min`;
}

function count(number) {
  return number.toLocaleString("en");
}

function bytes(number) {
  if (number < 1000) return `${number} B`;
  const unit = Math.min(4, Math.floor(Math.log10(number) / 3 + 1e-9));
  const scaled = number / 1000 ** unit;
  return `${scaled.toFixed(scaled < 9.95 ? 1 : 0)} ${["B", "kB", "MB", "GB", "TB"][unit]}`;
}

function floats(view) {
  if (!view) return new Float32Array();
  return new Float32Array(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength));
}

function table(titles, rows) {
  const head = element("tr", {}, ...titles.map((title) => element("th", { scope: "col" }, title)));
  const body = rows.map((row) => element("tr", {}, ...row.map((cell) => element("td", {}, cell))));
  return element("table", {}, element("thead", {}, head), element("tbody", {}, ...body));
}

function button(label, press, attributes = {}) {
  const node = element("button", attributes, label);
  node.addEventListener("click", press);
  return node;
}

// The control channel is read while the cell runs; a message of the widget's own may have to wait
// for the cell's end. So it is the way where there is no other.
function tell(model, type, content, otherwise) {
  const kernel = model.widget_manager?.kernel;
  if (!kernel?.sendControlMessage) {
    model.send(otherwise);
    return;
  }
  control(kernel, type, content);
}

const WIDGET = "application/vnd.jupyter.widget-view+json";

function* outputsOf(notebook) {
  for (const cell of notebook?.cells ?? [])
    for (let i = 0; i < (cell.outputs?.length ?? 0); i++) yield [cell.outputs, i];
}

function put(outputs, i, data, metadata = {}) {
  outputs.set(i, { output_type: "display_data", data, metadata });
}

function holds(data, mark) {
  return [data["text/html"] ?? ""].flat().join("").includes(`data-shoal="${mark}"`);
}

// What the cell published last may not have arrived: a page loaded while the cell ran no longer
// knows which output has which display id, and a restarted kernel says nothing more. Put it there
// by hand, or a widget without a kernel would be what the notebook keeps.
function settle(model, { id, mark }) {
  const last = model.get("last");
  for (const [outputs, i] of outputsOf(model.widget_manager?.context?.model)) {
    const { data } = outputs.get(i);
    if (data[WIDGET]?.model_id === id) put(outputs, i, { "text/plain": "" });
    else if (holds(data, mark) && data["text/html"] !== last["text/html"]) put(outputs, i, last);
  }
}

// A file must not hold a widget, which is nothing without its kernel. So whenever the notebook is
// saved an empty output stands in its place, with the mark by which a page that is loaded while the
// kernel lives puts the widget back; and the record is the latest.
const KEPT = Symbol.for("shoal.kept");

function keep(model, frame) {
  const notebook = model.widget_manager?.context?.model;
  if (!notebook?.cells) return undefined;
  const { id, mark, ended } = frame();
  if (ended) {
    settle(model, frame());
    model.send({ type: "settled" });
    return undefined;
  }
  for (const [outputs, i] of outputsOf(notebook)) {
    if (!mark || outputs.get(i).metadata?.shoal !== mark) continue;
    const view = { version_major: 2, version_minor: 0, model_id: id };
    put(outputs, i, { [WIDGET]: view, "text/plain": "" });
  }
  if (!notebook[KEPT]) {
    const kept = (notebook[KEPT] = new Map());
    const whole = notebook.toJSON.bind(notebook);
    notebook.toJSON = () => {
      const file = whole();
      for (const cell of file.cells)
        for (const output of cell.outputs ?? []) for (const leave of kept.values()) leave(output);
      return file;
    };
  }
  notebook[KEPT].set(model, (output) => {
    const { id, mark } = frame();
    if (!output.data || !mark) return;
    if (output.data[WIDGET]?.model_id === id) {
      output.data = { "text/plain": "" };
      output.metadata = { shoal: mark };
    } else if (holds(output.data, mark) && model.get("last")["text/html"])
      output.data = { ...model.get("last") };
  });
  return () => notebook[KEPT].delete(model);
}

// While the widget is on the page it stands in for the record beside it.
function standIn(el, mark) {
  const record = `details[data-shoal="${CSS.escape(mark)}"]`;
  const area = el.closest(".jp-OutputArea");
  const shelf = area?.querySelector(record)?.closest(".jp-OutputArea-child");
  if (!shelf) return () => {};
  shelf.style.display = "none";
  return (open) => {
    shelf.style.display = "";
    const details = shelf.querySelector(record);
    if (details && open) details.open = true;
  };
}

// Keys pressed in a widget are its own: else Enter on a button would run the cell. Escape gives them
// back to the notebook, as in an editor, and with Ctrl or Cmd they are the notebook's all the time.
function keys(el, root) {
  const shares = (event) => {
    const text = event.target.closest?.("input, select, textarea");
    const theirs = (event.ctrlKey || event.metaKey) && (!text || event.key === "s");
    root.toggleAttribute("data-lm-suppress-shortcuts", !theirs);
  };
  const escapes = (event) => {
    if (event.key === "Escape") el.closest(".jp-Cell, .jp-Notebook")?.focus();
  };
  root.toggleAttribute("data-lm-suppress-shortcuts", true);
  root.addEventListener("keydown", escapes);
  window.addEventListener("keydown", shares, true); // before the notebook looks, which is at the document
  return () => window.removeEventListener("keydown", shares, true);
}
