// The menu of a figure: the picture as SVG, PNG or PDF, to the clipboard, into the report. A picture stands alone: white,
// with its title and where it comes from, named after the run and the figure.

import { picture } from "./drawing.js"

const SCALE = 2 // of a PNG
const STYLES = [
  "fill", "fill-opacity", "stroke", "stroke-width", "stroke-dasharray", "stroke-opacity", "opacity", "font-family",
  "font-size", "font-weight", "text-anchor", "dominant-baseline", "display", "visibility",
]
const NO_CLIPBOARD = "This browser does not let a page copy a picture. Download the PNG."
const NOT_THERE = "The figure is not drawn yet."

// All elements below a root that match, also inside components
export function within(root, selector) {
  const hosts = [...root.querySelectorAll("*")].filter((one) => one.shadowRoot)
  return [...root.querySelectorAll(selector), ...hosts.flatMap((one) => within(one.shadowRoot, selector))]
}

// An SVG without what belongs to the page: addresses before a reference
export function local(markup) {
  return markup.replace(/url\((&quot;|["'])?[^)#"'&]*#/g, "url($1#")
}

// Keep every word of a copied drawing as wide as it is on the page: the file is opened where the page's font is not
function keepWidths(drawn, copy) {
  const twins = copy.querySelectorAll("text, tspan")
  drawn.querySelectorAll("text, tspan").forEach((one, at) => {
    const width = one.childElementCount ? 0 : one.getComputedTextLength()
    if (!width) return
    twins[at].setAttribute("textLength", width.toFixed(2))
    twins[at].setAttribute("lengthAdjust", "spacingAndGlyphs")
  })
}

// What a Plotly figure shows: {body, width, height}
function plotted(graph) {
  const layers = [...graph.querySelectorAll(".main-svg")]
  const [width, height] = ["width", "height"].map((name) => Math.round(Number(layers[0].getAttribute(name))))
  const canvases = [...graph.querySelectorAll(".gl-container canvas")].map(
    (canvas) => `<image width="${width}" height="${height}" href="${canvas.toDataURL()}"/>`,
  )
  const drawn = layers.map((layer) => {
    const copy = layer.cloneNode(true)
    keepWidths(layer, copy)
    copy.querySelectorAll(".draglayer, .hoverlayer, .modebar, .zoomlayer").forEach((one) => one.remove())
    copy.querySelectorAll("rect.bg").forEach((one) => (one.style.fill = "none"))
    copy.querySelectorAll("text:not(.bartext-inside)").forEach((one) => (one.style.fill = "#23262f"))
    copy.querySelectorAll(".gridlayer path, .zerolinelayer path").forEach((one) => (one.style.stroke = "#d9dce3"))
    copy.removeAttribute("style")
    return local(new XMLSerializer().serializeToString(copy))
  })
  drawn.splice(1, 0, ...canvases)
  return { body: drawn.join(""), width, height }
}

// A drawing that the style of the page colours, with that style inside: {body, width, height}
function styled(svg) {
  const copy = svg.cloneNode(true)
  const [own, twins] = [[svg, ...svg.querySelectorAll("*")], [copy, ...copy.querySelectorAll("*")]]
  own.forEach((element, at) => {
    const known = getComputedStyle(element)
    for (const name of STYLES) twins[at].style.setProperty(name, known.getPropertyValue(name))
    if (element.tagName === "text") twins[at].style.fill = "#23262f"
  })
  keepWidths(svg, copy)
  const [, , width, height] = (svg.getAttribute("viewBox") ?? "").split(/[\s,]+/).map(Number)
  copy.setAttribute("width", width)
  copy.setAttribute("height", height)
  return { body: local(new XMLSerializer().serializeToString(copy)), width, height }
}

// What stands in a place of the page: a Plotly figure, maps, or a drawing; undefined where there is none yet
function drawnIn(place) {
  const graph = place.querySelector(".js-plotly-plot")
  if (graph?.querySelector(".main-svg")) return plotted(graph)
  const map = within(place, ".maps").find((one) => one.picture)
  if (map) return map.picture()
  const svg = within(place, "svg[viewBox]").find((one) => one.childElementCount)
  return svg && styled(svg)
}

// The picture of a figure as an SVG file; null where it is not drawn yet
function pictured(data) {
  const place = document.querySelector(`.st-key-${CSS.escape(data.place)}`)
  const drawn = place && drawnIn(place)
  return drawn ? picture({ ...drawn, title: data.title, reading: data.reading, source: data.source }) : null
}

function download(content, name) {
  const link = document.createElement("a")
  link.href = URL.createObjectURL(content)
  link.download = name
  link.click()
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000)
}

async function png(svg) {
  const image = new Image()
  image.src = URL.createObjectURL(new Blob([svg], { type: "image/svg+xml" }))
  await image.decode()
  const canvas = document.createElement("canvas")
  ;[canvas.width, canvas.height] = [image.naturalWidth * SCALE, image.naturalHeight * SCALE]
  canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height)
  URL.revokeObjectURL(image.src)
  return new Promise((done) => canvas.toBlob(done, "image/png"))
}

// A PDF by the browser's own print: vectors, fonts that are really there, and nothing to install
function printed(svg, name) {
  const [, width, height] = /width="([\d.]+)" height="([\d.]+)"/.exec(svg)
  const frame = document.createElement("iframe")
  frame.style.cssText = "position: fixed; width: 0; height: 0; border: 0; visibility: hidden"
  frame.onload = () => {
    frame.contentDocument.title = name
    frame.contentWindow.onafterprint = () => frame.remove()
    frame.contentWindow.print()
  }
  frame.srcdoc = `<style>@page{size:${width}px ${height}px;margin:0}body{margin:0}svg{display:block}</style>${svg}`
  document.body.append(frame)
}

async function copied(svg) {
  const put = Reflect.get(navigator.clipboard ?? {}, "write") // by name: the linter takes it for that of a document
  if (!put || !window.ClipboardItem) return NO_CLIPBOARD
  try {
    await put.call(navigator.clipboard, [new ClipboardItem({ "image/png": png(svg) })])
    return "Copied."
  } catch {
    return NO_CLIPBOARD
  }
}

async function saved(what, data) {
  const svg = pictured(data)
  if (!svg) return NOT_THERE
  if (what === "copy") return copied(svg)
  if (what === "svg") download(new Blob([svg], { type: "image/svg+xml" }), `${data.name}.svg`)
  if (what === "png") download(await png(svg), `${data.name}.png`)
  if (what === "pdf") printed(svg, data.name)
  return ""
}

function placed(menu, button) {
  const box = button.getBoundingClientRect()
  menu.style.left = `${Math.max(8, Math.min(box.right - menu.offsetWidth, innerWidth - menu.offsetWidth - 8))}px`
  const below = box.bottom + 4
  menu.style.top = `${below + menu.offsetHeight > innerHeight ? Math.max(8, box.top - menu.offsetHeight - 4) : below}px`
}

function chosenNext(menu, event) {
  const items = [...menu.querySelectorAll("button:not([hidden])")]
  const at = items.indexOf(menu.getRootNode().activeElement)
  const next = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: items.length - 1 }[event.key]
  if (next === undefined) return
  event.preventDefault()
  items.at(next % items.length).focus()
}

export default function ({ data, parentElement, setTriggerValue }) {
  const find = (name) => parentElement.querySelector(name)
  const [menu, button, told] = [find(".menu"), find(".open"), find(".told")]
  button.setAttribute("aria-label", `Export or pin: ${data.label}`)
  button.classList.toggle("pinned", data.pinned === true)
  for (const item of menu.querySelectorAll("button")) {
    const what = item.dataset.do
    item.hidden = what === "pin" ? data.pinned === null : !data.place
    if (what === "pin") item.textContent = data.pinned ? "Remove from the report" : "Add to the report"
    item.onclick = async () => {
      menu.hidePopover()
      if (what === "pin") setTriggerValue("pinned", !data.pinned)
      else told.textContent = await saved(what, data)
    }
  }
  menu.onkeydown = (event) => chosenNext(menu, event)
  menu.ontoggle = (event) => {
    button.setAttribute("aria-expanded", String(event.newState === "open"))
    if (event.newState !== "open") return
    placed(menu, button)
    menu.querySelector("button:not([hidden])")?.focus()
  }
}
