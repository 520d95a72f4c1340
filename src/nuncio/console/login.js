// The page for signing in: what stands behind # in the address is still there afterwards.

const form = document.getElementById("form");
form.action = form.getAttribute("action") + location.hash;

const where = document.getElementById("where");
const path = new URL("..", location.href).pathname;
where.textContent = location.host + path;

const inputs = [...form.querySelectorAll("input:not([disabled])")];
(inputs.find((input) => !input.value) ?? inputs[0]).focus();

form.addEventListener("submit", () => {
  form.querySelector("button").textContent = "Signing in…";
});
