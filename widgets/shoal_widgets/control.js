// The way to a kernel that is open while a cell runs. The widgets and JupyterLab's side panel are built with this file.

function uuid() {
  // crypto.randomUUID is missing on pages served by plain http from another host.
  const random = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(random, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function control(kernel, type, content, isAnswered = false) {
  const header = {
    msg_id: uuid(),
    msg_type: type,
    session: kernel.clientId,
    username: kernel.username || "",
    date: new Date().toISOString(),
    version: "5.4",
  };
  const message = { channel: "control", header, parent_header: {}, metadata: {}, content, buffers: [] };
  return kernel.sendControlMessage(message, isAnswered, true);
}
