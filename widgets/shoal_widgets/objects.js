// The Objects view: how full shared memory is, who holds it, and the largest objects. See objects.py.

function render({ model, el }) {
  const headline = element("div", { class: "shoal-row" });
  const used = element("span", { class: "shoal-used" });
  const committed = element("span", { class: "shoal-committed" });
  const gauge = element("div", { class: "shoal-gauge", role: "meter", "aria-label": "Shared memory in use", "aria-valuemin": "0" }, used, committed);
  const held = element("div", { class: "shoal-aside" });
  const objects = grid(
    [
      { title: "largest objects", text: (one) => one.kind || "object" },
      { title: "shape", text: (one) => one.shape },
      { title: "size", text: (one) => bytes(one.size) },
      { title: "where", text: (one) => (one.where === "disk" ? "on disk" : ""), tone: () => "stopped", left: true },
      { title: "made by", text: (one) => one.maker, left: true },
      { title: "cell", text: (one) => one.cell, left: true },
      { title: "held by", text: (one) => one.holders, left: true },
      {
        title: "begins with",
        left: true,
        draw(cell, one) {
          cell.className = "shoal-preview";
          write(cell, one.preview);
        },
      },
    ],
    { key: (one) => one.id, label: "The largest objects" },
  );
  const more = element("div", { class: "shoal-aside" });
  el.append(
    headline,
    gauge,
    held,
    element("div", { class: "shoal-scroll", tabindex: "0", role: "region", "aria-label": "The largest objects" }, objects.node),
    more,
  );

  function show() {
    const { store, words, held: parts, objects: lines, more: rest } = model.get("state");
    if (!store) return;
    write(headline, words);
    const whole = Math.max(1, store.capacity);
    used.style.width = `${(100 * store.used) / whole}%`;
    committed.style.width = `${(100 * Math.max(0, store.committed - store.used)) / whole}%`;
    gauge.setAttribute("aria-valuemax", store.capacity);
    gauge.setAttribute("aria-valuenow", store.used);
    gauge.setAttribute("aria-valuetext", words);
    write(held, parts.length ? `held by ${parts.map(([name, size]) => `${name} ${bytes(size)}`).join(" · ")}` : "");
    objects.show(lines, null);
    write(
      more,
      rest ? `and ${count(rest)} smaller ones in shared memory`
        : lines.length ? "" : "Nothing lies in shared memory: values below 100 kB travel in messages",
    );
  }

  model.on("change:state", show);
  show();
  return () => model.off("change:state", show);
}

export default live(render);
