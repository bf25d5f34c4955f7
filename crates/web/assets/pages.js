// What makes pages handier. Everything works without it.
(() => {
  "use strict";

  // Times are shown in the zone of whoever reads, days alone unless more is asked for; the whole time in UTC stays in the title.
  for (const time of document.querySelectorAll("time[data-local]")) {
    const date = new Date(time.dateTime);
    if (!Number.isNaN(date.valueOf())) {
      time.textContent = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: time.dataset.local || undefined }).format(date);
    }
  }

  // Where ways to other pages stand in one line, the line shows which of them this is.
  for (const line of document.querySelectorAll(".side")) {
    const here = line.querySelector("[aria-current]");
    if (!here) continue;
    const [whole, part] = [line.getBoundingClientRect(), here.getBoundingClientRect()];
    line.scrollLeft += part.left - whole.left - (whole.width - part.width) / 2;
  }

  // A button copies the text of the element it names.
  for (const button of document.querySelectorAll("[data-copy]")) {
    const source = document.getElementById(button.dataset.copy);
    if (!source || !navigator.clipboard) continue;
    const label = button.querySelector("[data-copy-label]") || button;
    const before = label.textContent;
    button.hidden = false;
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText("value" in source ? source.value : source.textContent.trim());
        label.textContent = "Copied";
      } catch {
        if (source.select) source.select();
        label.textContent = "Press Ctrl+C";
      }
      setTimeout(() => { label.textContent = before; }, 2000);
    });
  }

  // What leads to a question is asked in place.
  const dialog = document.getElementById("question");
  if (dialog && dialog.showModal) {
    const part = (name) => dialog.querySelector(`[data-part="${name}"]`);
    for (const link of document.querySelectorAll("a[data-ask]")) {
      link.addEventListener("click", (event) => {
        if (event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
        event.preventDefault();
        part("form").action = link.href;
        part("heading").textContent = link.dataset.ask;
        part("text").textContent = link.dataset.says;
        part("button").textContent = link.dataset.does;
        dialog.showModal();
      });
    }
    part("cancel").addEventListener("click", () => dialog.close());
  }

  // A menu closes when something else is meant.
  for (const menu of document.querySelectorAll("details[data-menu]")) {
    document.addEventListener("click", (event) => {
      if (!menu.contains(event.target)) menu.open = false;
    });
    menu.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && menu.open) {
        menu.open = false;
        menu.querySelector("summary").focus();
      }
    });
  }

  // A form is sent once.
  for (const form of document.querySelectorAll("form[method=post]")) {
    form.addEventListener("submit", (event) => {
      if (form.dataset.sent) event.preventDefault();
      form.dataset.sent = "yes";
    });
  }
  addEventListener("pageshow", () => {
    for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
  });

  // The page that shows a secret becomes the page without it: a reload asks for the list, and going back finds nothing.
  const secret = document.querySelector("[data-secret]");
  if (secret) {
    history.replaceState(null, "", secret.dataset.secret);
    addEventListener("pagehide", () => secret.remove());
    secret.focus();
  }

  // What is wrong is where one begins.
  const wrong = document.querySelector("[aria-invalid=true], fieldset.is-wrong input");
  if (wrong) wrong.focus();
})();
