"""How the file of a report looks and behaves: its style on screen, as slides and in print, and its script."""

from winnow.dashboard.canvas.components import script
from winnow.dashboard.figures.style import CIVIDIS

STYLE = """
:root { --ink: #23262f; --paper: #ffffff; --quiet: #5b6070; --line: #d9dce3; --soft: #f3f4f7; color-scheme: light dark }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8eaf0; --paper: #14161c; --quiet: #a6abba; --line: #363a45; --soft: #1e212a }
}
* { box-sizing: border-box }
html { font-size: 16px }
body { margin: 0 auto; padding: 24px; max-width: 1180px; background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; overflow-wrap: anywhere }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 32px 0 8px }
h2 { font-size: 1.35rem; line-height: 1.3; margin: 4px 0 8px }
h3 { font-size: 1rem; margin: 0 }
a { color: inherit }
nav li { margin: 2px 0 }
section { border-top: 1px solid var(--line); padding: 24px 0 }
.question, .facts, figcaption, caption, footer, .source { color: var(--quiet); font-size: .875rem }
.question { margin: 0; font-weight: 600 }
.again { display: none }
caption { caption-side: bottom; text-align: left; padding-top: 6px }
.badge { display: inline-block; border: 1px solid currentColor; border-radius: 999px; padding: 0 10px;
  margin-right: 8px; font-weight: 600; color: var(--ink) }
.badge::before { content: "●"; margin-right: 6px }
.green::before { color: #009e73 } .amber::before { color: #c47f00 } .red::before { color: #d13438 }
.grey::before { color: #808495 }
.missing { background: var(--soft); border-left: 4px solid #c47f00; padding: 10px 14px }
figure { margin: 18px 0; break-inside: avoid }
.plot { min-height: 120px } .plot .textpoint text { fill: var(--ink) !important }
.panels { display: flex; gap: 16px; flex-wrap: wrap } .panels > div { flex: 1 1 280px; min-width: 0 }
.panels svg { display: block; max-width: 100% }
.legend { display: flex; flex-wrap: wrap; gap: 4px 20px; font-size: .8rem; margin: 8px 0 }
.legend i { display: inline-block; width: 14px; height: 12px; margin-right: 6px; border-radius: 2px;
  vertical-align: -1px }
.legend .dead { background: repeating-linear-gradient(-45deg, #808495 0 1px, transparent 1px 4px);
  outline: 1px solid #808495 }
.legend .near { border: 2px solid #e69f00 }
.legend .scale { width: 90px }
.controls { display: flex; align-items: center; gap: 12px; margin: 6px 0 } .controls input { flex: 1; max-width: 480px }
.moment { font-weight: 600 } .pointed { min-height: 1.4em; font-size: .8rem; color: var(--quiet) }
button { font: inherit; font-size: .875rem; color: inherit; background: var(--soft); border: 1px solid var(--line);
  border-radius: 6px; padding: 3px 12px; cursor: pointer }
button:focus-visible, input:focus-visible, .slide:focus-visible { outline: 2px solid #2f7de1; outline-offset: 2px }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(320px, 1fr)); gap: 16px }
.card { border: 1px solid var(--line); border-radius: 8px; padding: 12px }
.card p { margin: 2px 0 8px; font-size: .8rem; color: var(--quiet) }
.images { display: grid; grid-template-columns: repeat(auto-fill, minmax(88px, 1fr)); gap: 8px }
.images div { font-size: .72rem; line-height: 1.3; color: var(--quiet) }
.images img { display: block; width: 100%; image-rendering: pixelated; border-radius: 3px }
.scroll { overflow-x: auto; margin: 14px 0 }
table { border-collapse: collapse; font-size: .875rem }
th, td { text-align: left; padding: 4px 14px 4px 0; border-bottom: 1px solid var(--line); vertical-align: top;
  overflow-wrap: break-word }
td { max-width: 34em }
.tight :is(th, td) { overflow-wrap: anywhere; padding-right: 8px }
.beyond { color: var(--quiet); font-size: .875rem; margin: 6px 0 }
code { background: var(--soft); padding: 1px 5px; border-radius: 4px }
#number { display: none }
.presenting { font-size: 24px; overflow: hidden }
.presenting body { max-width: none; padding: 0 }
.presenting :is(body > header, footer, .chapter, .slide:not(.now)) { display: none }
.presenting section { border: 0; padding: 0 }
.presenting .slide.now { position: fixed; inset: 0; overflow: auto; padding: 32px 48px; background: var(--paper);
  display: flex; flex-direction: column; outline: 0 }
.presenting #number { display: block; position: fixed; right: 16px; bottom: 8px; font-size: 14px; color: var(--quiet) }
:is(.presenting, .printing) .again { display: block; font-weight: 650; font-size: 1.1rem; line-height: 1.3; margin: 0 }
.presenting .slide.now > figure:not(.gallery), .printing .slide > figure:not(.gallery) { flex: 1 1 0; min-height: 0;
  display: flex; flex-direction: column; margin: 12px 0 0 }
:is(.presenting, .printing) .plot { flex: 1 1 0; min-height: 0; height: auto !important }
:is(.presenting, .printing) .replay { flex: 1 1 0; min-height: 0; display: flex; flex-direction: column }
:is(.presenting, .printing) .panels { flex: 1 1 0; min-height: 0; overflow: hidden; flex-wrap: nowrap }
:is(.presenting, .printing) .panels > div { min-height: 0 }
:is(.presenting, .printing) .panels, :is(.presenting, .printing) .panels > div { height: 100% }
:is(.presenting, .printing) .panels svg { height: 100%; width: 100% }
:is(.presenting, .printing) .cards { grid-template-columns: repeat(auto-fill, minmax(360px, 1fr)); gap: 10px }
:is(.presenting, .printing) .images { grid-auto-flow: column; grid-auto-columns: 1fr; grid-template-columns: none }
:is(.presenting, .printing) .card { padding: 8px; break-inside: avoid }
.printing .card :is(p, .images div) { font-size: 12px; margin: 0 }
.presenting .card { padding: 10px } .presenting .card h3 { font-size: .85rem }
.presenting .card :is(p, .images div) { font-size: 16px; line-height: 1.25; margin: 0 }
.presenting .images div { font-size: 14px !important; hyphens: auto }
.presenting .slide.now > .scroll { flex: 1 1 0; min-height: 0; overflow: hidden }
:is(.presenting, .printing) .alone h2 { font-size: 1.1rem; line-height: 1.3 }
:is(.presenting, .printing) .alone :is(h2, .facts, figure) { margin: 4px 0 }
.presenting figcaption, .presenting caption { font-size: .7rem; line-height: 1.35 }
@media (prefers-reduced-motion: reduce) { * { transition: none !important; animation: none !important } }
@page { size: 1280px 720px; margin: 40px }
.printing { --ink: #23262f; --paper: #ffffff; --quiet: #5b6070; --line: #d9dce3; --soft: #f3f4f7; color-scheme: light }
.printing body { width: 1200px; max-width: none; padding: 0; margin: 0 }
.printing :is(nav, #start, .controls button, footer, #number) { display: none }
.printing .slide { min-height: 639px; display: flex; flex-direction: column; break-before: page; position: static }
.printing .slide:has(> figure:not(.gallery)) { height: 639px; overflow: hidden }
.printing section { border: 0; padding: 0 }
.printing .chapter { break-before: page } .printing .chapter + section > .slide:first-child { break-before: auto }
.printing .scroll { overflow: visible }
@media print { body { print-color-adjust: exact; -webkit-print-color-adjust: exact } }
"""
SCRIPT = script("report.js")
_DEAD = '<span><i class="dead"></i>dead (exactly zero)</span>'
LEGENDS = {  # of maps, by their palette in canvas/report.js
    "norm": f'{_DEAD}<span><i class="near"></i>near the threshold</span><span>norm [1], log scale: ≤ {{low}} '
    f'<i class="scale" style="background:linear-gradient(90deg,{",".join(CIVIDIS)})"></i>{{high}}</span>',
    "difference": '<span>difference: only in A <i class="scale" style="background:linear-gradient(90deg,#2166c4,'
    '#8fb4dd,#9c9ca3,#e6ae7c,#d55e00)"></i>only in B</span>',
}
POLICY = (  # the browser itself then refuses whatever lies elsewhere; WebGL plots compile their functions
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; img-src data: blob:; "
    "font-src data:; base-uri 'none'; form-action 'none'"
)
