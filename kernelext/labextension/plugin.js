// The panel's place in JupyterLab: what is in front, whether shoal is there, and the pages for both.

const COMMAND = "shoal:show-panel";

function makePlugin(lab) {
  class Panel extends lab.lumino.Widget {
    constructor(app, tracker) {
      super();
      this.app = app;
      this.tracker = tracker;
      this.link = null;
      this.cluster = null; // the name of the one that is shown
      this.followed = null;
      this.beside = new Map(); // what is open beside a notebook: its kernel, cluster and widget, by model
      this.content = content(this.hands());
      this.node.append(this.content.node);
      this.id = "shoal-panel";
      this.title.icon = new lab.ui.LabIcon({ name: "shoal:panel", svgstr: ICON });
      this.title.caption = "shoal";
      this.refresh = this.refresh.bind(this);
      this.statusChanged = this.statusChanged.bind(this);
      tracker.currentChanged.connect(this.refresh);
      document.addEventListener("visibilitychange", this.refresh);
    }

    onAfterShow() {
      this.refresh();
    }

    onAfterHide() {
      this.refresh();
    }

    onAfterAttach() {
      this.refresh();
    }

    get looks() {
      return this.isVisible && document.visibilityState === "visible";
    }

    get notebook() {
      return this.tracker.currentWidget;
    }

    get session() {
      return this.notebook?.sessionContext ?? null;
    }

    // Bring the panel up to date with what is in front.
    async refresh() {
      this.follow(this.session);
      const kernel = this.session?.session?.kernel ?? null;
      if (this.link && (this.link.kernel !== kernel || !this.looks)) {
        this.link.close();
        this.link = null;
      }
      if (!this.looks) return;
      this.content.name(this.notebook?.title.label ?? "");
      const why = await this.whyNot(kernel);
      if (kernel !== (this.session?.session?.kernel ?? null) || !this.looks) return;
      if (why) {
        this.content.showWords(why, false);
        return;
      }
      this.link ??= new Link(kernel, (message) => this.heard(message));
      this.seek(this.link);
    }

    // Why there can be no cluster here, in words.
    async whyNot(kernel) {
      if (!this.notebook) return "Open a notebook: its cluster is shown here.";
      if (!kernel) {
        const starts = this.session && !this.session.isReady;
        return starts ? "The notebook's kernel starts…" : "This notebook has no kernel.";
      }
      const spec = await kernel.spec.catch?.(() => null);
      const language = (spec?.language ?? "python").toLowerCase();
      return language === "python" ? "" : `This notebook speaks ${spec.display_name}. shoal is for Python notebooks.`;
    }

    follow(session) {
      if (session === this.followed) return;
      if (this.followed && !this.followed.isDisposed) {
        this.followed.kernelChanged.disconnect(this.refresh);
        this.followed.statusChanged.disconnect(this.statusChanged);
        this.followed.connectionStatusChanged.disconnect(this.refresh);
      }
      this.followed = session;
      session?.kernelChanged.connect(this.refresh);
      session?.statusChanged.connect(this.statusChanged);
      session?.connectionStatusChanged.connect(this.refresh);
    }

    statusChanged(_, status) {
      const { link } = this;
      if (["restarting", "autorestarting", "terminating", "dead"].includes(status)) {
        const kernel = link?.kernel;
        link?.lose();
        for (const [model, shown] of this.beside) if (shown.kernel === kernel) this.closeBeside(model);
        if (link) this.content.showWords("The kernel restarts…", false);
      } else if (status === "idle" && link && !link.isOpen) {
        this.seek(link); // a cell has ended: it may have loaded shoal
      }
    }

    // Find out whether shoal is loaded, and follow what it says.
    async seek(link) {
      if (link.isOpen || link.seeks) return;
      link.seeks = true;
      try {
        await link.find();
      } finally {
        link.seeks = false;
      }
      if (this.link !== link) return;
      if (link.isOpen) {
        this.content.tell("");
        link.look(true);
      } else if (link.kernel.connectionStatus === "connected") {
        this.content.showWords("shoal is not loaded in this notebook.", true);
      }
    }

    heard(message) {
      if (message.type === "gone") {
        this.link.lose();
        this.seek(this.link);
        return;
      }
      this.cluster = message.cluster?.name;
      this.content.showCluster(message);
      for (const [model, shown] of this.beside)
        if (shown.kernel === this.link.kernel && shown.cluster !== this.cluster) this.closeBeside(model);
    }

    // Have the kernel do something; the answer, or null when it went wrong and that was told.
    async ask(what, given = {}) {
      this.content.tell("");
      const answer = await this.link.ask(what, given);
      this.content.tell(answer.error ?? "");
      return answer.error ? null : answer;
    }

    hands() {
      return {
        start: (cpus, name) => this.ask("start", { cpus, name }),
        connect: (name) => this.ask("connect", { name }),
        scale: (cpus) => this.ask("scale", { cpus }),
        stop: (name) => this.ask("stop", { name }),
        cancel: () => this.ask("cancel"),
        insert: (name) => insertCell(lab, this.notebook, `${LOAD}\n%cluster connect ${name}`),
        insertLoad: () => insertCell(lab, this.notebook, LOAD),
        open: (name, title) => this.open(name, title),
        load: () => this.load(),
      };
    }

    async load() {
      const { link } = this;
      const busy = link.kernel.status === "busy";
      this.content.tell("");
      this.content.showWords(busy ? "shoal is loaded when the running cell has ended…" : "Loading shoal…", false);
      const trouble = await loadThere(link.kernel);
      if (this.link !== link) return;
      await this.seek(link);
      this.content.tell(trouble);
    }

    async open(name, title) {
      const { notebook, link, cluster } = this;
      const answer = await this.ask("open", { name });
      if (!answer) return;
      const { model } = answer;
      const closed = () => {
        this.beside.delete(model);
        link.ask("close", { model });
      };
      const main = await showBeside(this.app, lab, notebook, { model, title }, closed);
      if (main) {
        this.beside.set(model, { kernel: link.kernel, cluster, main });
        notebook.disposed.connect(() => this.closeBeside(model));
      } else {
        closed();
        insertCell(lab, notebook, `%${name}`);
        lab.notebook.NotebookActions.run(notebook.content, notebook.sessionContext);
      }
    }

    closeBeside(model) {
      const shown = this.beside.get(model);
      this.beside.delete(model);
      shown?.main.dispose();
    }
  }

  function activate(app, tracker, palette, restorer) {
    document.head.append(element("style", {}, STYLE));
    const panel = new Panel(app, tracker);
    app.shell.add(panel, "right", { rank: 500, type: "shoal" });
    restorer?.add(panel, panel.id);
    app.commands.addCommand(COMMAND, {
      label: "Show the shoal Panel",
      caption: "Clusters beside the notebook",
      execute: () => {
        app.shell.expandRight?.();
        app.shell.activateById(panel.id);
      },
    });
    palette?.addItem({ command: COMMAND, category: "shoal" });
  }

  return {
    id: "shoal-panel:plugin",
    description: "Clusters of shoal beside the notebook.",
    autoStart: true,
    requires: [lab.notebook.INotebookTracker],
    optional: [lab.apputils.ICommandPalette, lab.application.ILayoutRestorer],
    activate,
  };
}
