// Hands the document to RapiDoc: with URLs that hold below any prefix, and in Chinese where the browser asks for it.

const reader = document.querySelector("rapi-doc");
const dark = matchMedia("(prefers-color-scheme: dark)");

function putIntoChinese(described) {
  const groups = new Map(described.tags.map((tag) => [tag.name, tag["x-summary-zh"]]));
  described.info.description = described.info["x-description-zh"];
  for (const tag of described.tags) tag.name = groups.get(tag.name);
  for (const path of Object.values(described.paths)) {
    for (const operation of Object.values(path).filter((entry) => entry.operationId)) {
      operation.summary = operation["x-summary-zh"];
      operation.tags = operation.tags.map((name) => groups.get(name));
    }
  }
}

function showTheme() {
  reader.setAttribute("theme", dark.matches ? "dark" : "light");
}

showTheme();
dark.addEventListener("change", showTheme);
await customElements.whenDefined("rapi-doc");
const answer = await fetch(reader.dataset.document);
const described = await answer.json();
// Relative URLs count from the document, and RapiDoc would take them from this page.
for (const server of described.servers) {
  server.url = new URL(server.url, answer.url).href.replace(/\/$/, "");
}
if (navigator.language.startsWith("zh")) {
  document.documentElement.lang = "zh";
  putIntoChinese(described);
}
reader.loadSpec(described);
