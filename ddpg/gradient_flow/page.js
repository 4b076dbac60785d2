// A click on a module, a loss or a step leaves only what concerns it; a second click brings the rest back.
document.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-tag]");
  if (!button) return;
  const tag = button.getAttribute("aria-pressed") === "true" ? "" : button.dataset.tag;
  for (const each of document.querySelectorAll("button[data-tag]"))
    each.setAttribute("aria-pressed", String(tag !== "" && each.dataset.tag === tag));
  for (const each of document.querySelectorAll("[data-tags]"))
    each.classList.toggle("off", tag !== "" && !each.dataset.tags.split(" ").includes(tag));
  const about = document.querySelectorAll("article:not(.off)").length;
  document.querySelector("[aria-live]").textContent =
    tag === "" ? "" : `Only what concerns ${button.textContent}: ${about} finding${about === 1 ? "" : "s"}.`;
});
