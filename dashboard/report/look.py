"""How the file of a report looks and behaves: its style, light, dark and in print, and the script that draws."""

STYLE = """
:root { --ink: #23262f; --paper: #ffffff; --quiet: #5b6070; --line: #d9dce3; --soft: #f3f4f7; color-scheme: light dark }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8eaf0; --paper: #14161c; --quiet: #a6abba; --line: #363a45; --soft: #1e212a }
}
* { box-sizing: border-box }
body { margin: 0 auto; padding: 24px; max-width: 1180px; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; overflow-wrap: anywhere }
h1 { font-size: 30px; line-height: 1.2; margin: 32px 0 8px }
h2 { font-size: 22px; line-height: 1.3; margin: 4px 0 8px }
a { color: inherit }
nav li { margin: 2px 0 }
section { border-top: 1px solid var(--line); padding: 24px 0 }
.question, .facts, figcaption, caption, footer { color: var(--quiet); font-size: 14px }
.question { margin: 0; font-weight: 600 }
caption { caption-side: bottom; text-align: left; padding-top: 6px }
.badge { display: inline-block; border: 1px solid currentColor; border-radius: 999px; padding: 0 10px;
  margin-right: 8px; font-weight: 600; color: var(--ink) }
.badge::before { content: "●"; margin-right: 6px }
.green::before { color: #009e73 } .amber::before { color: #c47f00 } .red::before { color: #d13438 }
.grey::before { color: #808495 }
.missing { background: var(--soft); border-left: 4px solid #c47f00; padding: 10px 14px }
figure { margin: 18px 0; break-inside: avoid }
.plot { min-height: 120px }
.scroll { overflow-x: auto; margin: 14px 0 }
table { border-collapse: collapse; font-size: 14px }
th, td { text-align: left; padding: 4px 14px 4px 0; border-bottom: 1px solid var(--line); vertical-align: top }
code { background: var(--soft); padding: 1px 5px; border-radius: 4px }
@page { size: 1280px 720px; margin: 40px }
@media print {
  :root { --ink: #23262f; --paper: #ffffff; --quiet: #5b6070; --line: #d9dce3; --soft: #f3f4f7; color-scheme: light }
  body { max-width: none; padding: 0; print-color-adjust: exact; -webkit-print-color-adjust: exact }
  section, h1 { break-before: page } header h1 { break-before: auto }
  h1 + section { break-before: auto; border-top: 0 }
  h2, .question { break-after: avoid } nav { display: none } .scroll { overflow: visible }
}
"""
SCRIPT = """
"use strict";
const dark = matchMedia("(prefers-color-scheme: dark)");
const plots = [...document.querySelectorAll(".plot")];
const ink = (isDark) => (isDark ? "#e8eaf0" : "#23262f");
const coloured = (isDark) => plots.forEach((plot) => {
  if (plot.layout) Plotly.relayout(plot, { "font.color": ink(isDark) });
});
plots.forEach((plot) => {
  const given = JSON.parse(document.getElementById(plot.dataset.figure).textContent);
  const layout = { ...given.layout, font: { ...given.layout.font, color: ink(dark.matches) } };
  Plotly.newPlot(plot, given.data, layout, {
    displaylogo: false, responsive: true, modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"],
    toImageButtonOptions: { format: "svg", filename: plot.dataset.name },
  });
});
dark.addEventListener("change", () => coloured(dark.matches));
addEventListener("beforeprint", () => coloured(false));
addEventListener("afterprint", () => coloured(dark.matches));
document.documentElement.dataset.drawn = String(plots.length);
"""
POLICY = (  # the browser itself then refuses whatever lies elsewhere; WebGL plots compile their functions
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; img-src data: blob:; "
    "font-src data:; base-uri 'none'; form-action 'none'"
)
