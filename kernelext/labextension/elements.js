// What the panel is made of.

function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

function button(label, press, attributes = {}) {
  const node = element("button", { type: "button", ...attributes }, label);
  node.addEventListener("click", press);
  return node;
}

// Text without the redrawing that would take a selection away or make a screen reader repeat itself.
function write(node, text) {
  const next = String(text);
  if (node.textContent !== next) node.textContent = next;
}

const number = (value) => Math.round(value).toLocaleString("en");
const amount = (value) => value.toLocaleString("en", { maximumFractionDigits: 2 });

function bytes(value) {
  if (value < 1e9) return `${(value / 1e6).toLocaleString("en", { maximumFractionDigits: value < 1e7 ? 1 : 0 })} MB`;
  return `${(value / 1e9).toLocaleString("en", { maximumFractionDigits: value < 1e11 ? 1 : 0 })} GB`;
}

function lasting(seconds) {
  if (seconds < 60) return "less than a minute";
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ${Math.floor(seconds / 60) % 60} min`;
  return `${Math.floor(seconds / 86400)} d ${Math.floor(seconds / 3600) % 24} h`;
}

// A named bar that says in words what it shows.
function gauge(name) {
  const value = element("span", { class: "shoal-p-value" });
  const fill = element("span");
  const bar = element("span", { class: "shoal-p-bar", role: "meter", "aria-label": name, "aria-valuemin": "0" }, fill);
  const head = element("span", { class: "shoal-p-line", "aria-hidden": "true" }, element("span", {}, name), value);
  const node = element("div", { class: "shoal-p-gauge" }, head, bar);
  return {
    node,
    show(used, total, words) {
      write(value, words);
      bar.setAttribute("aria-valuenow", used);
      bar.setAttribute("aria-valuemax", total || 1);
      bar.setAttribute("aria-valuetext", words);
      const share = total ? Math.min(100, (100 * used) / total) : 0;
      fill.style.width = `${share}%`;
    },
  };
}

// Numbers with their names; `tone` colours one that is not zero.
function figures(names) {
  const node = element("dl", { class: "shoal-p-figures" });
  const places = {};
  for (const [key, title, tone] of names) {
    places[key] = element("dd", tone ? { "data-tone": tone } : {});
    node.append(element("div", {}, element("dt", {}, title), places[key]));
  }
  return {
    node,
    show(values) {
      for (const [key, place] of Object.entries(places)) {
        write(place, number(values[key]));
        place.toggleAttribute("data-some", values[key] > 0);
      }
    },
  };
}
