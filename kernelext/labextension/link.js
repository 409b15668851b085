// The way to one kernel. The page speaks on the control channel, which a kernel reads while a cell runs; the kernel
// answers by the messages of a comm, whose id it tells to whoever asks which comms there are.

const TARGET = "shoal_panel";
const BEAT = 5000; // milliseconds: a kernel that hears nothing for three of these stops telling

class Link {
  // `heard(message)` is called with what the kernel says.
  constructor(kernel, heard) {
    this.kernel = kernel;
    this.page = uuid();
    this.comm = null;
    this.heard = heard;
    this.questions = new Map();
    this.take = this.take.bind(this);
    kernel.iopubMessage.connect(this.take);
  }

  get isOpen() {
    return this.comm !== null;
  }

  // Ask whether shoal is loaded there; true if so. Any kernel understands the question.
  async find() {
    if (this.kernel.isDisposed || this.kernel.connectionStatus !== "connected") return false;
    const reply = await control(this.kernel, "comm_info_request", { target_name: TARGET }, true).done;
    this.comm = Object.keys(reply?.content?.comms ?? {})[0] ?? null;
    return this.isOpen;
  }

  take(_, message) {
    if (message.header.msg_type !== "comm_msg" || message.content.comm_id !== this.comm) return;
    const data = message.content.data;
    const answered = this.questions.get(data.question);
    if (data.type === "answer") {
      this.questions.delete(data.question);
      answered?.(data);
    } else {
      this.heard(data);
    }
  }

  say(data) {
    if (this.isOpen && this.kernel.connectionStatus === "connected")
      control(this.kernel, "comm_msg", { comm_id: this.comm, data: { page: this.page, ...data } });
  }

  // Say that somebody looks, or no longer does.
  look(looks) {
    clearInterval(this.beat);
    this.say({ type: "looks", looks });
    if (looks) this.beat = setInterval(() => this.say({ type: "looks", looks }), BEAT);
  }

  // Have something done; the promise is kept with the answer, {error} where it went wrong.
  ask(what, content = {}) {
    const question = uuid();
    const answer = new Promise((resolve) => this.questions.set(question, resolve));
    this.say({ type: "act", question, what, ...content });
    return answer;
  }

  lose() {
    clearInterval(this.beat);
    this.comm = null;
    for (const answered of this.questions.values()) answered({ error: "The kernel has restarted." });
    this.questions.clear();
  }

  // No longer listen; something can still be said.
  close() {
    this.look(false);
    if (!this.kernel.isDisposed) this.kernel.iopubMessage.disconnect(this.take);
  }
}
