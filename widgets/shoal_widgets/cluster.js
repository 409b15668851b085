// The cluster: its nodes in a table, its history in a chart of Bokeh's, its size in two buttons.

const CORES = { title: "CPUs held", text: (node) => `${+node.used.toFixed(2)} of ${+node.cpus.toFixed(2)}` };

// BokehJS comes with the first chart of a page, from the kernel: there may be no network.
function bokeh(source) {
  if (!globalThis.Bokeh) {
    const script = element("script");
    script.textContent = source;
    document.head.append(script);
  }
  return globalThis.Bokeh;
}

function render({ model, el }) {
  el.classList.add("shoal-cluster");
  const words = element("span", { class: "shoal-grow", role: "status" });
  const cpus = element("b", { "aria-live": "polite" });
  const failed = element("div", { "data-tone": "error", role: "alert", hidden: "" });
  const resize = async (by) => {
    const answer = await act(model, { cpus: Math.max(1, Math.round(model.get("state").cpus + by)) });
    failed.hidden = !answer.error;
    failed.textContent = answer.error ?? "";
  };
  const scale = element(
    "span",
    { class: "shoal-scale", role: "group", "aria-label": "Size of the cluster" },
    button("−", () => resize(-1), { "aria-label": "One CPU less" }),
    cpus,
    button("+", () => resize(1), { "aria-label": "One CPU more" }),
  );
  const nodes = grid(
    [
      { title: "node", text: (node) => node.name, left: true },
      CORES,
      { title: "workers", text: (node) => count(node.workers) },
      { title: "their memory", text: (node) => bytes(node.memory) },
      { title: "their CPU", text: (node) => `${Math.round(node.percent)} %` },
    ],
    { key: (node) => node.id, label: "Nodes" },
  );
  const place = element("div", { class: "shoal-chart", role: "img" });
  el.append(
    element("div", { class: "shoal-line" }, words, scale),
    failed,
    place,
    element("div", { class: "shoal-scroll" }, nodes.node),
  );

  let chart = null;
  let gone = false;
  async function open() {
    const answer = await act(model, { chart: globalThis.Bokeh ? "only" : "whole" });
    if (gone) return;
    if (answer.error) {
      place.textContent = answer.error;
      return;
    }
    const [views] = [await bokeh(answer.script).embed.embed_item(answer.item, place)].flat();
    chart = views.document ?? views.model?.document ?? [...views][0].model.document;
    if (gone) chart.clear();
    else show();
  }

  function show() {
    const state = model.get("state");
    write(words, state.words ?? "");
    const size = +(state.cpus ?? 0).toFixed(2);
    write(cpus, `${size} CPU${size === 1 ? "" : "s"}`);
    nodes.show(state.nodes ?? []);
    place.setAttribute("aria-label", `CPU, memory and tasks ended of late: ${state.words}`);
    const source = chart?.get_model_by_name("history");
    if (source && state.columns) source.data = state.columns;
  }

  model.on("change:state", show);
  show();
  open();
  return () => {
    gone = true;
    model.off("change:state", show);
    chart?.clear();
  };
}

export default live(render);
