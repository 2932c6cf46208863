// Search in the API reference: every word must be somewhere in a request.

const form = document.getElementById("search");
const words = document.getElementById("words");
const found = document.getElementById("found");
const requests = [...document.querySelectorAll("article")].map((element) => ({ element, text: element.textContent.toLowerCase() }));

function filter() {
  const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
  let count = 0;
  for (const { element, text } of requests) {
    element.hidden = !wanted.every((word) => text.includes(word));
    if (!element.hidden) count += 1;
  }
  for (const section of document.querySelectorAll("section")) {
    section.hidden = !section.querySelector("article:not([hidden])");
    document.querySelector(`nav a[href="#${section.id}"]`).hidden = section.hidden;
  }
  found.textContent = wanted.length ? (count ? `${count} of ${requests.length} requests` : "No request has all of these words.") : "";
}

form.hidden = false;
form.addEventListener("submit", (event) => event.preventDefault());
words.addEventListener("input", filter);
document.addEventListener("keydown", (event) => {
  if (event.key === "/" && document.activeElement !== words) {
    event.preventDefault();
    words.focus();
  } else if (event.key === "Escape" && document.activeElement === words) {
    words.value = "";
    filter();
  }
});
filter();
