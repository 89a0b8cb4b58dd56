/* Tell Bootstrap whether the visitor likes it dark: its style sheet does not look by itself. */
const dark = matchMedia("(prefers-color-scheme: dark)");
const paint = () => (document.documentElement.dataset.bsTheme = dark.matches ? "dark" : "light");
dark.addEventListener("change", paint);
paint();
