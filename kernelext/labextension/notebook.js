// What the panel does with the notebook in front.

const WIDGET = "application/vnd.jupyter.widget-view+json";
const LOAD = "%load_ext shoal";

// A code cell below the active one, with the text.
function insertCell(lab, panel, text) {
  const notebook = panel.content;
  lab.notebook.NotebookActions.insertBelow(notebook);
  notebook.activeCell.model.sharedModel.setSource(text);
  lab.notebook.NotebookActions.focusActiveCell?.(notebook);
  notebook.scrollToItem?.(notebook.activeCellIndex)?.catch?.(() => {});
}

// Load shoal, in no cell; the promise is kept with what went wrong, or "".
async function loadThere(kernel) {
  const future = kernel.requestExecute({ code: LOAD, silent: true, store_history: false, stop_on_error: false });
  const reply = await future.done;
  if (reply.content.status === "ok") return "";
  const { ename, evalue } = reply.content;
  if (ename === "ModuleNotFoundError" && /'shoal'/.test(evalue))
    return "shoal is not installed in this kernel's Python. Run %pip install shoal in a cell, then try again.";
  return evalue || ename || "It could not be loaded.";
}

// Show a widget of the notebook's kernel beside the notebook; null where widgets cannot be shown.
async function showBeside(app, lab, panel, { model, title }, closed) {
  let content;
  try {
    content = panel.content.rendermime.createRenderer(WIDGET);
  } catch {
    return null; // ipywidgets has no front end here
  }
  const main = new lab.apputils.MainAreaWidget({ content });
  main.id = `shoal-view-${model}`;
  main.addClass("shoal-p-beside");
  main.title.label = `${title} · ${panel.title.label}`;
  main.title.closable = true;
  main.disposed.connect(closed);
  // Notebook 7, and JupyterLab's mode for one document, have room for that in their middle; the rest is below.
  const isWide = app.name === "JupyterLab" && app.shell.mode === "multiple-document";
  app.shell.add(main, isWide ? "main" : "down", isWide ? { mode: "split-right", ref: panel.id } : {});
  app.shell.activateById(main.id);
  const data = { [WIDGET]: { version_major: 2, version_minor: 0, model_id: model } };
  await content.renderModel({ data, metadata: {}, trusted: true, setData() {} });
  return main;
}
