// The container of a module federation, by hand: JupyterLab hands over what it shares, and asks for "./extension".

let scope;

async function shared(name) {
  const versions = Object.values(scope[name]);
  const found = versions.find((version) => version.loaded) ?? versions.at(-1);
  return (await found.get())();
}

async function extension() {
  const names = ["application", "apputils", "notebook", "ui-components"];
  const [application, apputils, notebook, ui, lumino] = await Promise.all([
    ...names.map((name) => shared(`@jupyterlab/${name}`)),
    shared("@lumino/widgets"),
  ]);
  const plugin = makePlugin({ application, apputils, notebook, ui, lumino });
  return () => ({ __esModule: true, default: plugin });
}

return {
  init(given) {
    scope = given;
  },
  get: extension,
};
