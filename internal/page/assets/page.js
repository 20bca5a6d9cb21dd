// Shows the page anew every two seconds while a job on it is on the road. Without scripts, a reload does the same.
"use strict";
const every = 2000;
const playing = () => [...document.querySelectorAll("video, audio")].some((media) => !media.paused); // nobody is interrupted
async function again() {
  const shown = document.getElementById("live");
  if (!shown || !("live" in shown.dataset)) return;
  try {
    if (!document.hidden && !playing() && !shown.contains(document.activeElement)) {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" }, signal: AbortSignal.timeout(5 * every) });
      if (answer.status === 401) return location.reload();
      if (answer.ok) {
        const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("live");
        if (fresh) shown.replaceWith(fresh);
      }
    }
  } catch { /* the server is away: try again */ }
  setTimeout(again, every);
}
setTimeout(again, every);
