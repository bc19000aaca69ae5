// Listens to the node: has the live part of the page fetched anew, and tells the status line. It moves no focus.
const told = document.getElementById("told");
const events = new EventSource("/live");
events.addEventListener("moved", (event) => {
  const live = document.getElementById("live");
  if (live && !document.hidden) htmx.trigger(live, "moved");
  if (told && told.textContent !== event.data) told.textContent = event.data;
});
events.addEventListener("over", () => events.close());
addEventListener("pagehide", () => events.close());
