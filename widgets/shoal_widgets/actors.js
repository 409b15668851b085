// The Actors view: all of them, and one's last calls and log. See actors.py.

function killButton(model, id, label) {
  return graveButton("Kill", "Kill, really?", (node) => {
    act(model, { do: "kill", actor: id() });
    node.disabled = true;
    node.textContent = "Killing…";
  }, { "aria-label": label });
}

function render({ model, el }) {
  const now = clock(model);
  const asked = () => model.get("state").want ?? {};
  const headline = element("div", { class: "shoal-row" });
  const actors = grid(
    [
      { title: "actor", text: (actor) => actor.label },
      { title: "cell", text: (actor) => actor.cell, left: true },
      { title: "state", text: (actor) => actor.state, tone: (actor) => actor.tone, left: true },
      { title: "where", text: (actor) => actor.where, left: true },
      { title: "runs", text: runs, left: true },
      { title: "mailbox", text: (actor) => (actor.mailbox ? count(actor.mailbox) : "") },
      { title: "calls/s", text: (actor) => (actor.rate ? count(actor.rate) : "") },
      { title: "failed", text: (actor) => (actor.failed ? count(actor.failed) : ""), tone: () => "error" },
      { title: "memory", text: (actor) => (actor.memory ? bytes(actor.memory) : "") },
      { title: "CPU", text: (actor) => (actor.where ? `${Math.round(actor.cpu)} %` : "") },
      { title: "restarts", text: (actor) => (actor.restarts ? count(actor.restarts) : "") },
      {
        title: "end it",
        silent: true,
        draw(cell, actor) {
          if (!cell.firstChild) cell.append(killButton(model, () => cell.dataset.id, `Kill ${actor.label}`));
          cell.dataset.id = actor.id;
          cell.firstChild.setAttribute("aria-label", `Kill ${actor.label}`);
          cell.firstChild.hidden = !actor.alive;
        },
      },
    ],
    {
      key: (actor) => actor.id,
      label: "Actors",
      pick: (actor) => want(model, { actor: actor.id === asked().actor ? null : actor.id }),
    },
  );
  function runs(actor) {
    if (!actor.method) return "";
    return actor.since ? `${actor.method} for ${duration(Math.max(0, now() - actor.since))}` : actor.method;
  }
  const more = element("div", { class: "shoal-aside" });

  const title = element("h4");
  const close = button("Close", () => want(model, { actor: null }), { "aria-label": "Close the actor" });
  const facts = factList();
  const calls = grid(
    [
      { title: "last calls", text: (task) => task.name },
      { title: "cell", text: (task) => task.cell, left: true },
      { title: "state", text: (task) => (task.tone === "error" ? task.error : task.state), tone: (task) => task.tone, left: true },
      { title: "waited", text: (task) => (task.started ? duration(Math.max(0, task.started - task.submitted)) : "") },
      { title: "ran", text: (task) => (task.started ? duration(Math.max(0, (task.ended ?? now()) - task.started)) : "") },
    ],
    { key: (task) => task.id, label: "Last calls" },
  );
  const scroll = element("div", { class: "shoal-scroll", tabindex: "0", role: "region", "aria-label": "Last calls" }, calls.node);
  const texts = textBlocks();
  const detail = element(
    "section",
    { class: "shoal-detail", "aria-label": "One actor" },
    element("div", { class: "shoal-row" }, title, element("span", { class: "shoal-push" }), close),
    facts.node, scroll, texts.node,
  );
  el.append(
    headline,
    element("div", { class: "shoal-wide", tabindex: "0", role: "region", "aria-label": "All actors" }, actors.node),
    more,
    detail,
  );
  let shown = null;

  function show() {
    const state = model.get("state");
    if (!state.actors) return;
    write(headline, state.words);
    actors.show(state.actors, asked().actor);
    write(more, state.more ? `and ${count(state.more)} more actors` : "");
    const one = state.detail;
    detail.hidden = !one;
    if (!one) return;
    if (one.id !== shown) {
      facts.clear();
      texts.clear();
      shown = one.id;
    }
    write(title, one.label);
    facts.say("namespace", one.namespace);
    facts.say("detached", one.detached ? "yes" : "");
    facts.say("holds", Object.entries(one.needs).map(([name, amount]) => `${amount} ${name}`).join(", "));
    facts.say("restarts", one.restarted || one.restarts ? `${one.restarted} so far, ${one.restarts < 0 ? "no end" : `${one.restarts} left`}` : "");
    facts.say("id", one.id);
    calls.show(one.calls, null);
    scroll.hidden = !one.calls.length;
    texts.say("Why it is dead", one.reason, "error");
    texts.say("Printed", one.out);
    texts.say("Printed to stderr", one.err);
  }

  const ticking = setInterval(() => {
    const { actors: lines } = model.get("state");
    if (el.isConnected && !model.get("frame").ended && lines?.some((actor) => actor.since)) actors.show(lines, asked().actor);
  }, 500);
  model.on("change:state", show);
  show();
  return () => {
    clearInterval(ticking);
    model.off("change:state", show);
  };
}

export default live(render);
