// Streams answers, uploads files and seeks players. No library, no inline script: the page's policy forbids both.
"use strict";

const LOGIN = "/login";

const byId = (id) => document.getElementById(id);
const csrf = () => document.querySelector("[name=csrfmiddlewaretoken]").value;
const loginAgain = () => location.assign(`${LOGIN}?next=${encodeURIComponent(location.pathname)}`);

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

function where(anchor) {
  const part = anchor.part ? anchor.part + ", " : "";
  const clock = (s) => `${Math.floor(s / 60)}:${String(Math.floor(s % 60)).padStart(2, "0")}`;
  if (anchor.page !== undefined) return `${part}page ${anchor.page}`;
  if (anchor.start_s !== undefined) return `${part}${clock(anchor.start_s)}–${clock(anchor.end_s)}${anchor.speaker ? " " + anchor.speaker : ""}`;
  if (anchor.frame_s !== undefined) return `${part}frame at ${clock(anchor.frame_s)}`;
  if (anchor.sheet !== undefined) return `${part}${anchor.sheet} ${anchor.cells}`;
  return `${part}characters ${anchor.start_char}–${anchor.end_char}`;
}

const placeOf = (documentId, segmentId) => `/d/${documentId}?segment=${segmentId}#s-${segmentId}`;

// One answer on the page: tokens as they come, then checked sentences, then the stored answer with its sources.
class AnswerView {
  constructor() {
    this.text = byId("answer-text");
    this.list = byId("answer-citations");
    this.near = byId("answer-hits");
    this.checked = element("span");
    this.provisional = element("span", { className: "provisional" });
    byId("answer").hidden = false;
    this.busy(true);
    this.say("thinking …", "quiet");
    this.list.replaceChildren();
    this.near.replaceChildren();
  }

  // A screen reader hears the answer once, when it is whole.
  busy(isBusy) { byId("answer").setAttribute("aria-busy", String(isBusy)); }

  say(message, className) { this.text.replaceChildren(element("span", { className, textContent: message })); }

  fail(message) { this.say(message, "error"); this.busy(false); }

  token(text) {
    if (!this.checked.isConnected) this.text.replaceChildren(this.checked, this.provisional);
    this.provisional.append(text);
  }

  sentence(sentence) {
    if (!this.checked.isConnected) this.text.replaceChildren(this.checked, this.provisional);
    const pending = this.provisional.textContent;
    const at = pending.indexOf(sentence.text);
    this.provisional.textContent = at < 0 ? "" : pending.slice(at + sentence.text.length);
    this.checked.append(this.sentenceNode(sentence, sentence.cited));
    sentence.cited.forEach((citation) => {
      if (this.list.children.length < citation.n) this.list.append(this.citationNode(citation, new Map()));
    });
  }

  restart() {
    this.checked.replaceChildren();
    this.provisional.replaceChildren();
    this.list.replaceChildren();
  }

  done(answer) {
    const titles = new Map(answer.hits.map((hit) => [hit.document.id, hit.document.title]));
    goOn(answer.id);
    this.text.replaceChildren(this.notice(answer), ...answer.sentences.map((one) => this.sentenceNode(one, answer.citations)));
    if (answer.state === "cancelled") this.text.append(element("span", { className: "quiet", textContent: "(stopped)" }));
    this.list.replaceChildren(...answer.citations.map((one) => this.citationNode(one, titles)));
    if (answer.refused) this.near.replaceChildren(...answer.hits.map((hit) => this.hitNode(hit)));
    this.busy(false);
  }

  // What the answer says before its first sentence; a refusal says nothing else.
  notice(answer) {
    const first = answer.sentences[0];
    const said = first ? answer.answer.slice(0, answer.answer.indexOf(first.text)) : answer.answer;
    const notice = said.trim() || (answer.extractive ? "Quoted from the source:" : "");
    return element("span", { className: "notice", textContent: notice ? `${notice} ` : "" });
  }

  sentenceNode(sentence, citations) {
    const node = element("span", { className: sentence.unsupported ? "unsupported" : "supported" });
    node.append(element("span", { textContent: sentence.text }));
    if (sentence.unsupported) node.append(element("small", { textContent: " [no source supports this]" }));
    sentence.citations.forEach((n) => {
      const citation = citations.find((one) => one.n === n);
      const link = element("a", { className: "mark", href: placeOf(citation.document, citation.segment), textContent: `[${n}]` });
      link.setAttribute("aria-label", `source ${n}`);
      node.append(" ", link);
    });
    node.append(" ");
    return node;
  }

  citationNode(citation, titles) {
    const title = titles.get(citation.document);
    const name = (title ? `${title}, ` : "") + where(citation.anchor);
    const link = element("a", { href: placeOf(citation.document, citation.segment), textContent: name });
    return element("li", {}, link, element("q", { textContent: citation.quote }));
  }

  hitNode(hit) {
    const link = element("a", { href: placeOf(hit.document.id, hit.segment), textContent: hit.document.title });
    const place = element("span", { className: "quiet", textContent: ` ${where(hit.anchor)}` });
    return element("li", {}, link, place, element("p", { textContent: hit.snippet }));
  }
}

// The next question goes on with the last answer's conversation, until the reader asks for a new topic.
function goOn(id) {
  const before = byId("conversation"), fresh = byId("new-topic");
  before.value = id;
  fresh.hidden = !id;
  fresh.onclick = () => goOn("");
}

async function answerCreate(form) {
  const response = await fetch(form.dataset.create, { method: "POST", headers: { "X-CSRFToken": csrf() }, body: new FormData(form) });
  if (response.redirected) { loginAgain(); throw new Error("log in again"); }
  const body = (response.headers.get("Content-Type") || "").includes("json") ? await response.json() : {};
  if (!response.ok) throw new Error(body.error?.message || `the server answered with status ${response.status}`);
  return body;
}

async function startAnswer(form) {
  const view = new AnswerView(), ask = form.querySelector("#ask-send"), stop = byId("stop");
  ask.disabled = true;
  try {
    followAnswer((await answerCreate(form)).id, view, { ask, stop });
  } catch (error) {
    view.fail(error.message);
    ask.disabled = false;
  }
}

function followAnswer(id, view, { ask, stop }) {
  const source = new EventSource(`/api/answers/${id}/events`);
  const cancel = () => fetch(`/api/answers/${id}`, { method: "DELETE", headers: { "X-CSRFToken": csrf() }, keepalive: true });
  const finish = () => {
    source.close();
    stop.hidden = true;
    ask.disabled = false;
    window.removeEventListener("pagehide", cancel);
  };
  stop.onclick = () => { stop.disabled = true; cancel(); };
  stop.disabled = stop.hidden = false;
  window.addEventListener("pagehide", cancel);
  const on = (name, act) => source.addEventListener(name, (event) => act(JSON.parse(event.data)));
  on("token", (data) => view.token(data.text));
  on("sentence", (data) => view.sentence(data));
  on("restart", () => view.restart());
  on("done", (answer) => { finish(); view.done(answer); });
  // The server's own "error" event carries data; the browser's does not, and is final only when it gave up.
  source.addEventListener("error", (event) => {
    if (event.data) { finish(); view.fail(JSON.parse(event.data).error); }
    // A browser that leaves the page closes the stream before it says so: nobody waits for this answer any more.
    else if (source.readyState === EventSource.CLOSED) { cancel(); finish(); view.fail("The connection was lost; ask again."); }
  });
}

// What went wrong with one file, or nothing.
function uploadOne(file, collection, progress) {
  const body = new FormData();
  body.append("collection", collection);
  body.append("file", file);
  const request = new XMLHttpRequest();
  return new Promise((resolve) => {
    request.open("POST", "/api/documents");
    request.responseType = "json";
    request.setRequestHeader("X-CSRFToken", csrf());
    request.upload.onprogress = (event) => progress(event.loaded);
    request.onload = () => resolve(request.status < 300 ? "" : request.response?.error?.message || `refused with status ${request.status}`);
    request.onerror = () => resolve("the connection was lost; add it again");
    request.send(body);
  });
}

async function uploadAll(form) {
  const input = form.querySelector("[type=file]"), bar = byId("upload-progress"), note = byId("upload-note"), failures = byId("upload-failures");
  const files = [...input.files], total_bytes = files.reduce((sum, file) => sum + file.size, 0) || 1;
  let sent_bytes = 0, received = 0;
  failures.replaceChildren();
  bar.hidden = false;
  input.disabled = true;
  for (const file of files) {
    note.textContent = `sending ${file.name}`;
    const failure = await uploadOne(file, form.dataset.collection, (loaded_bytes) => { bar.value = (sent_bytes + loaded_bytes) / total_bytes; });
    sent_bytes += file.size;
    if (failure) failures.append(element("li", { textContent: `${file.name}: ${failure}` }));
    else received += 1;
    htmx.ajax("GET", `/c/${form.dataset.collection}/documents`, { target: "#document-list", swap: "outerHTML" });
  }
  note.textContent = `${received} of ${files.length} received`;
  bar.hidden = true;
  input.disabled = false;
  form.reset();
}

function seek(button) {
  const player = byId("player");
  player.currentTime = Number(button.dataset.seek);
  player.play();
}

document.addEventListener("DOMContentLoaded", () => {
  byId("ask")?.addEventListener("submit", (event) => { event.preventDefault(); startAnswer(event.target); });
  byId("upload")?.querySelector("[type=file]").addEventListener("change", () => uploadAll(byId("upload")));
  document.querySelectorAll(".seek").forEach((button) => button.addEventListener("click", () => seek(button)));
  const chosen = document.querySelector(".chosen .seek");
  if (chosen) byId("player").currentTime = Number(chosen.dataset.seek);
});

// A session that ended must not put the login page inside a table.
document.addEventListener("htmx:beforeSwap", (event) => {
  if (new URL(event.detail.xhr.responseURL).pathname !== LOGIN) return;
  event.detail.shouldSwap = false;
  loginAgain();
});

function searchFailed(event) {
  if (event.target.id !== "search") return;
  const status = event.detail.xhr.status;
  const message = status ? `The server answered with status ${status}; try again.` : "The server does not answer; try again.";
  const note = element("p", { className: "error", textContent: message });
  note.setAttribute("role", "alert");
  byId("hits").replaceChildren(note);
}
document.addEventListener("htmx:responseError", searchFailed);
document.addEventListener("htmx:sendError", searchFailed);
