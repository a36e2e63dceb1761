"use strict";
// Times in the browser's own zone and words, and buttons that copy. Without this script the page is whole, in UTC.
const enhance = (root) => {
  for (const time of root.querySelectorAll("time.clock")) {
    const at = new Date(time.dateTime);
    const isToday = at.toDateString() === new Date().toDateString();
    const clock = { hour: "2-digit", minute: "2-digit" };
    time.textContent = at.toLocaleString(undefined, isToday ? clock : { month: "short", day: "numeric", ...clock });
    time.title = at.toLocaleString();
  }
  for (const button of root.querySelectorAll("button.copy")) button.hidden = false;
};

// For those who hear the page rather than see it.
const say = (text) => (document.getElementById("said").textContent = text);
const headline = () => document.querySelector("#verdict strong").textContent;

const copy = async (button) => {
  const code = button.parentElement.querySelector("code");
  let said = "Copied";
  try {
    await navigator.clipboard.writeText(code.textContent);
  } catch {
    // Only a page of https or of this machine may write to the clipboard.
    getSelection().selectAllChildren(code);
    said = "Selected";
  }
  button.textContent = said;
  say(said);
  setTimeout(() => (button.textContent = "Copy"), 2000);
};

const live = document.getElementById("live");
let events;
const watch = () => {
  events?.close();
  if (document.hidden) return;
  events = new EventSource("/page/events");
  events.onmessage = (event) => {
    const before = headline();
    for (const [id, html] of Object.entries(JSON.parse(event.data))) {
      const part = document.getElementById(id);
      if (!part) continue;
      const open = [...part.querySelectorAll("details")].map((details) => details.open);
      part.innerHTML = html;
      part.querySelectorAll("details").forEach((details, index) => (details.open = open[index] ?? false));
      enhance(part);
    }
    if (headline() !== before) say(headline());
    document.body.classList.remove("stale");
    live.textContent = "Kept current.";
  };
  events.onerror = () => {
    document.body.classList.add("stale");
    live.textContent = "Not current: the proxy does not answer, or wants its key again.";
    // After a lost connection the browser asks again by itself; after a refusal it does not.
    if (events.readyState === EventSource.CLOSED) setTimeout(watch, 30000);
  };
};

document.addEventListener("click", (event) => {
  if (event.target.matches("button.copy")) copy(event.target);
});
document.addEventListener("visibilitychange", watch);
enhance(document);
watch();
