// What every page does: apply preferences at once, write times in the viewer's zone.
import { showTimes } from "./common.js";

document.documentElement.classList.add("scripted");
const form = document.getElementById("preferences");
for (const choice of form.querySelectorAll("select")) choice.addEventListener("change", () => form.submit());
form.querySelector("button").hidden = true;
showTimes(document);
