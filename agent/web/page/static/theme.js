// The appearance; it waits for no sentences.

const theme = document.getElementById("theme");
theme.addEventListener("change", () => {
  if (theme.value === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme.value;
  document.cookie = `liput_theme=${theme.value}; Path=/; Max-Age=31536000; SameSite=Strict`;
});
