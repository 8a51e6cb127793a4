// Streams answers, uploads files and seeks players. No library, no inline script: the page's policy forbids both.
"use strict";

const byId = (id) => document.getElementById(id);
const csrf = () => document.querySelector("[name=csrfmiddlewaretoken]").value;

function where(anchor) {
  const part = anchor.part ? anchor.part + ", " : "";
  const clock = (s) => `${Math.floor(s / 60)}:${String(Math.floor(s % 60)).padStart(2, "0")}`;
  if (anchor.page !== undefined) return `${part}page ${anchor.page}`;
  if (anchor.start_s !== undefined) return `${part}${clock(anchor.start_s)}–${clock(anchor.end_s)}${anchor.speaker ? " " + anchor.speaker : ""}`;
  if (anchor.frame_s !== undefined) return `${part}frame at ${clock(anchor.frame_s)}`;
  if (anchor.sheet !== undefined) return `${part}${anchor.sheet} ${anchor.cells}`;
  return `${part}characters ${anchor.start_char}–${anchor.end_char}`;
}

function showSentence(target, sentence) {
  const span = document.createElement("span");
  span.textContent = sentence.text + (sentence.citations.length ? sentence.citations.map((n) => ` [${n}]`).join("") : "") + " ";
  if (sentence.unsupported) { span.className = "unsupported"; span.title = "No source supports this sentence"; }
  target.append(span);
}

function showCitations(list, citations) {
  list.replaceChildren(...citations.map((citation) => {
    const item = document.createElement("li");
    const link = document.createElement("a");
    link.href = `/d/${citation.document}?segment=${citation.segment}#s-${citation.segment}`;
    link.textContent = where(citation.anchor);
    item.append(link, ` “${citation.quote}”`);
    return item;
  }));
}

function startAnswer(form) {
  const text = byId("answer-text"), stop = byId("stop");
  byId("answer").hidden = false;
  text.replaceChildren("thinking …");
  byId("answer-citations").replaceChildren();
  fetch(form.dataset.create, { method: "POST", headers: { "X-CSRFToken": csrf() }, body: new FormData(form) })
    .then((response) => response.json())
    .then((answer) => {
      if (answer.error) { text.textContent = answer.error.message; return; }
      const source = new EventSource(`/api/answers/${answer.id}/events`);
      const checked = document.createElement("span"), provisional = document.createElement("span");
      provisional.className = "provisional";
      text.replaceChildren(checked, provisional);
      stop.hidden = false;
      const cancel = () => fetch(`/api/answers/${answer.id}`, { method: "DELETE", headers: { "X-CSRFToken": csrf() }, keepalive: true });
      stop.onclick = cancel;
      window.addEventListener("pagehide", cancel);
      const finish = () => { source.close(); stop.hidden = true; window.removeEventListener("pagehide", cancel); };
      source.addEventListener("token", (event) => provisional.append(JSON.parse(event.data).text));
      source.addEventListener("sentence", (event) => { provisional.replaceChildren(); showSentence(checked, JSON.parse(event.data)); });
      source.addEventListener("restart", () => { provisional.replaceChildren(); checked.replaceChildren(); });
      source.addEventListener("done", (event) => {
        const answer = JSON.parse(event.data);
        finish();
        provisional.replaceChildren();
        if (answer.refused || answer.extractive) checked.replaceChildren(answer.answer);
        showCitations(byId("answer-citations"), answer.citations);
        if (answer.state === "cancelled") checked.append(" (stopped)");
      });
      source.addEventListener("error", (event) => { if (event.data) { finish(); text.textContent = JSON.parse(event.data).error; } });
    });
}

function uploadAll(form) {
  const files = [...form.querySelector("[type=file]").files], bar = byId("upload-progress"), note = byId("upload-note");
  const total = files.reduce((sum, file) => sum + file.size, 0) || 1;
  let sent = 0;
  bar.hidden = false;
  const next = () => {
    const file = files.shift();
    htmx.ajax("GET", `/c/${form.dataset.collection}/documents`, { target: "#document-list", swap: "outerHTML" });
    if (!file) { bar.hidden = true; form.reset(); return; }
    note.textContent = `sending ${file.name}`;
    const body = new FormData();
    body.append("collection", form.dataset.collection);
    body.append("file", file);
    const request = new XMLHttpRequest();
    request.open("POST", "/api/documents");
    request.setRequestHeader("X-CSRFToken", csrf());
    request.upload.onprogress = (event) => { bar.value = (sent + event.loaded) / total; };
    request.onload = () => {
      sent += file.size;
      note.textContent = request.status < 300 ? `${file.name} received` : `${file.name}: ${JSON.parse(request.response).error.message}`;
      next();
    };
    request.onerror = () => { note.textContent = `${file.name}: the connection was lost; add it again`; next(); };
    request.send(body);
  };
  next();
}

document.addEventListener("DOMContentLoaded", () => {
  byId("ask")?.addEventListener("submit", (event) => { event.preventDefault(); startAnswer(event.target); });
  byId("upload")?.querySelector("[type=file]").addEventListener("change", () => uploadAll(byId("upload")));
  document.querySelectorAll(".seek").forEach((button) => button.addEventListener("click", () => {
    const player = byId("player");
    player.currentTime = Number(button.dataset.seek);
    player.play();
  }));
  const chosen = document.querySelector(".chosen .seek");
  if (chosen) byId("player").currentTime = Number(chosen.dataset.seek);
});
