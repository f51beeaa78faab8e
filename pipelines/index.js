const cards = [...document.querySelectorAll("article")], form = document.querySelector("form");
function choose() {
  const wanted = [...form.querySelectorAll("select")].filter(s => s.value !== "");
  let shown = 0;
  for (const card of cards) {
    const own = JSON.parse(card.dataset.parameters);
    card.hidden = !wanted.every(s => own[s.name] === s.value);
    shown += !card.hidden;
  }
  document.querySelector("output").textContent = shown === cards.length ? "" : shown + " of " + cards.length + " shown";
}
form.addEventListener("change", choose);
form.addEventListener("submit", event => event.preventDefault());
choose();
