/* global Plotly -- it lies in the report, before this script */
// What a report does in a browser: it draws its figures and maps, for the screen, for slides and for print.

import { differencePalette, normPalette, said } from "./colours.js"
import { mapMarkup } from "./drawing.js"
import { bytesOf, rowsOf } from "./rows.js"
import { binAt, laidOut, shown } from "./layout.js"
import { merged, sized } from "./sizes.js"

const LARGER = 1.5 // of slides
const TABLE_SIZES = [21, 19, 17, 16] // px of the text of a table on a slide, the largest that fits
const STEP = 700 // ms between two epochs that are replayed
const LEAST = 160 // px: a figure is never lower
const PALETTES = { norm: normPalette(), difference: differencePalette() }
const CONFIG = { displaylogo: false, responsive: true, modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"] }

const dark = matchMedia("(prefers-color-scheme: dark)")
const quiet = matchMedia("(prefers-reduced-motion: reduce)")
const root = document.documentElement
const plots = [...document.querySelectorAll(".plot")]
const slides = [...document.querySelectorAll(".slide")]
const given = (element) => JSON.parse(document.getElementById(element.dataset.figure).textContent)
const ink = (isDark) => (isDark ? "#e8eaf0" : "#23262f")

// Markup of SVG as elements; what is no SVG is refused by the parser
function parsed(markup) {
  const whole = `<svg xmlns="http://www.w3.org/2000/svg">${markup}</svg>`
  const { documentElement } = new DOMParser().parseFromString(whole, "image/svg+xml")
  return [...document.importNode(documentElement, true).children]
}

function drawPlot(plot) {
  const { data, layout } = given(plot)
  plot.own = { height: layout.height ?? 300, data: structuredClone(data), layout: structuredClone(layout) }
  const text = { ...layout, font: { ...layout.font, color: ink(dark.matches) } }
  const name = { toImageButtonOptions: { format: "svg", filename: plot.dataset.name } }
  Plotly.newPlot(plot, data, text, { ...CONFIG, ...name })
}

// Give a figure the height that its slide leaves, or its own again
function fit(plot, factor, free) {
  if (!plot.layout) return
  const height = free ? Math.max(LEAST, Math.floor(plot.clientHeight)) : plot.own.height
  if (!free) plot.style.height = `${height}px`
  const { data, layout } = plot.own
  const { traces, changes } = sized(data, layout, { factor, height })
  const size = { height, width: plot.clientWidth }
  if (traces.length) Plotly.update(plot, merged(traces), { ...changes, ...size }, traces.map(([at]) => at))
  else Plotly.relayout(plot, { ...changes, ...size })
}

// Show a table at the largest text that fits its slide; where none does, its first rows, and how many more there are
function fitTable(box, onSlide) {
  const [table, beyond] = [box.querySelector("table"), box.querySelector(".beyond")]
  const rows = [...table.tBodies[0].rows]
  rows.forEach((row) => (row.hidden = false))
  beyond.hidden = true
  table.style.fontSize = ""
  table.classList.remove("tight")
  if (!onSlide) return
  const over = () => box.scrollHeight > box.clientHeight + 1 || box.scrollWidth > box.clientWidth + 1
  for (const size of TABLE_SIZES) {
    table.style.fontSize = `${size}px`
    if (!over()) return
  }
  table.classList.toggle("tight", box.scrollWidth > box.clientWidth + 1)
  beyond.hidden = false
  for (let left = rows.length - 1; left > 0 && box.scrollHeight > box.clientHeight + 1; left--) {
    rows[left].hidden = true
    const more = rows.length - left
    beyond.textContent = `${more} more ${more === 1 ? "row is" : "rows are"} in the report.`
  }
  beyond.hidden = rows.every((row) => !row.hidden)
}

function coloured(isDark) {
  for (const plot of plots) if (plot.layout) Plotly.relayout(plot, { "font.color": ink(isDark) })
}

// Maps of layers × channels, replayed by a slider: {layers, counts, titles, palettes, labels, levels, low, high, noun}
class Replay {
  constructor(figure, number) {
    Object.assign(this, { figure, data: given(figure) })
    this.find = (name) => figure.querySelector(name)
    this.rows = rowsOf(this.data.layers, this.data.counts)
    this.groups = this.data.counts.reduce((sum, count) => sum + count, 0)
    this.levels = this.data.levels.map(bytesOf)
    this.drawings = [...figure.querySelectorAll("svg")]
    this.id = `dead-${number}`
    this.slider = this.find("input")
    if (this.slider) {
      this.slider.oninput = () => this.draw()
      this.find("button").onclick = () => this.play()
      this.find("button").hidden = quiet.matches
    }
    this.drawings.forEach((svg, at) => (svg.onpointermove = (event) => this.tell(svg, at, event)))
    new ResizeObserver(() => figure.clientWidth !== this.width && this.draw()).observe(figure)
  }

  get frame() {
    return this.slider ? Number(this.slider.value) : 0
  }

  at(panel) {
    return this.levels[panel].subarray(this.frame * this.groups, (this.frame + 1) * this.groups)
  }

  // By how much a map is enlarged on its slide, where its rows leave room for that
  roomy() {
    const free = this.find(".panels").clientHeight
    const { height } = laidOut(this.rows, { width: 600, ratio: 1, words: 0 })
    return Math.min(LARGER, Math.max(1, free / height))
  }

  draw() {
    this.width = this.figure.clientWidth
    this.larger = at < 0 ? 1 : this.roomy()
    this.drawings.forEach((svg, at) => {
      const width = Math.max(240, Math.floor(svg.parentElement.clientWidth / this.larger))
      const palette = PALETTES[this.data.palettes[at]]
      const options = { width, ink: "currentColor", id: `${this.id}-${at}` }
      const { markup, height } = mapMarkup(this.rows, this.at(at), palette, options)
      svg.setAttribute("viewBox", `0 0 ${width} ${height}`)
      svg.setAttribute("width", width)
      svg.setAttribute("height", height)
      svg.replaceChildren(...parsed(markup))
    })
    const label = this.data.labels[this.frame] ?? ""
    const alive = this.at(0).reduce((sum, level) => sum + (level > 0), 0)
    const counted = this.drawings.length === 1 ? `: ${alive} of ${this.groups} groups alive` : ""
    this.find(".moment").textContent = label + counted
    this.slider?.setAttribute("aria-valuetext", label)
  }

  tell(svg, panel, event) {
    const box = svg.getBoundingClientRect()
    const scale = svg.viewBox.baseVal.width / box.width
    const words = Math.max(0, ...this.rows.map((row) => row.name.length)) * 6.6
    const layout = laidOut(this.rows, { width: svg.viewBox.baseVal.width, ratio: 1, words })
    const found = binAt(layout, (event.clientX - box.left) * scale, (event.clientY - box.top) * scale)
    const [levels, palette] = [this.at(panel), PALETTES[this.data.palettes[panel]]]
    if (!found) return void (this.find(".pointed").textContent = "")
    const row = this.rows[found.row]
    const channel = shown(row, layout.bins[found.row], found.bin, levels, palette.rank)
    const state = this.data.palettes[panel] === "norm" ? said(levels[row.first + channel], this.data) : ""
    this.find(".pointed").textContent = `${row.name}, ${this.data.noun} ${channel}${state && ": "}${state}`
  }

  play() {
    clearInterval(this.timer)
    if (this.frame === Number(this.slider.max)) this.slider.value = 0
    this.draw()
    this.timer = setInterval(() => {
      this.slider.value = this.frame + 1
      this.draw()
      if (this.frame === Number(this.slider.max)) clearInterval(this.timer)
    }, STEP)
  }
}

// Slides: one at a time, over the whole window; the arrows lead on and back, Escape ends.
let at = -1

function present(place) {
  const last = slides.length - 1
  at = Math.min(Math.max(place, 0), last)
  root.classList.add("presenting")
  slides.forEach((slide, number) => slide.classList.toggle("now", number === at))
  document.getElementById("number").textContent = `${at + 1} / ${slides.length}`
  for (const plot of slides[at].querySelectorAll(".plot")) fit(plot, LARGER, true)
  for (const box of slides[at].querySelectorAll(".scroll")) fitTable(box, true)
  for (const map of maps) if (slides[at].contains(map.figure)) map.draw()
  slides[at].focus({ preventScroll: true })
}

function ended() {
  if (at < 0) return
  const left = slides[at]
  at = -1
  root.classList.remove("presenting")
  slides.forEach((slide) => slide.classList.remove("now"))
  for (const plot of plots) fit(plot, 1, false)
  for (const box of document.querySelectorAll(".scroll")) fitTable(box, false)
  for (const map of maps) map.draw()
  left.scrollIntoView()
  parent?.postMessage("winnow-presented", "*") // the page of the dashboard that shows the slides; nobody else hears it
}

function keyed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return
  if (at < 0) {
    if (event.key === "p" && event.target.tagName !== "INPUT") present(0)
  } else if (event.key === "Escape") ended()
  else if (led(event)) event.preventDefault()
}

// Go where a key leads; a slider and a button keep the keys that are theirs
function led({ key, target }) {
  const steps = {
    ArrowRight: at + 1, ArrowDown: at + 1, PageDown: at + 1, " ": at + 1,
    ArrowLeft: at - 1, ArrowUp: at - 1, PageUp: at - 1, Home: 0, End: slides.length - 1,
  }
  if (!(key in steps) || target.tagName === "BUTTON" || target.tagName === "INPUT") return false
  present(steps[key])
  return true
}

// Where the slides begin: #present, or #present=KEY for the first slide of a section
function asked() {
  const [, key] = /^#present(?:=(.*))?$/.exec(decodeURIComponent(location.hash)) ?? []
  if (!location.hash.startsWith("#present")) return
  const first = slides.findIndex((slide) => slide.closest("section")?.dataset.key === key)
  present(Math.max(first, 0))
}

function printed() {
  root.classList.add("printing")
  for (const box of document.querySelectorAll(".scroll")) fitTable(box, false)
  coloured(false)
  for (const plot of plots) fit(plot, 1, true)
}

function unprinted() {
  root.classList.remove("printing")
  coloured(dark.matches)
  for (const plot of plots) fit(plot, 1, false)
  if (at >= 0) present(at)
}

plots.forEach(drawPlot)
const maps = [...document.querySelectorAll(".replay")].map((figure, number) => new Replay(figure, number))
maps.forEach((map) => map.draw())
dark.addEventListener("change", () => coloured(dark.matches))
addEventListener("beforeprint", printed)
addEventListener("afterprint", unprinted)
addEventListener("keydown", keyed)
addEventListener("hashchange", asked)
addEventListener("resize", () => at >= 0 && present(at))
document.getElementById("start").onclick = () => present(0)
asked()
root.dataset.drawn = String(plots.length)
