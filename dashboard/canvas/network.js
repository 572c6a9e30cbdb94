// The network of a run: layers as boxes in the order in which they run, the streams between them. A click or Enter
// selects the layer. Names are set as text, never as HTML.

import { networkPicture } from "./boxes.js"
import { BOX_HIGH, BOX_WIDE, chosen, extentOf, middle, opening, pathOf, reached } from "./placing.js"
import { mounted } from "./map.js"
import { shortened } from "./painting.js"

const SVG = "http://www.w3.org/2000/svg"
const KEYS = ["ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight", "Home", "End"]
const LEAST = 0.25 // the smallest scale
const PAD = 8 // px of a box
const networks = new WeakMap()

export default function (component) {
  const [network, close] = mounted(networks, component, (parent) => new Network(parent.querySelector(".network")))
  network.report = (value) => component.setTriggerValue("picked", value)
  network.update(component.data)
  return close
}

function made(name, attributes, text) {
  const found = document.createElementNS(SVG, name)
  for (const [key, value] of Object.entries(attributes)) found.setAttribute(key, value)
  if (text !== undefined) found.textContent = text
  return found
}

class Network {
  constructor(root) {
    this.find = (name) => root.querySelector(name)
    this.svg = this.find("svg")
    this.pen = document.createElement("canvas").getContext("2d")
    Object.assign(this, { root, current: -1, fitted: null, boxes: [] })
    root.picture = () => networkPicture(this.data) // asked for by the menu of the figure
    this.svg.onkeydown = (event) => this.key(event)
    this.svg.onpointermove = (event) => this.point(event)
    this.svg.onpointerleave = () => (this.find(".tip").hidden = true)
    this.svg.onclick = (event) => this.pick(this.under(event))
    this.find(".fit").onclick = () => this.fit()
    this.observer = new ResizeObserver(() => this.fitted && this.scale(this.whole()))
    this.observer.observe(root)
  }

  close() {
    this.observer.disconnect()
  }

  update(data) {
    const before = this.data
    this.data = data
    if (before?.digest !== data.digest) this.draw()
    if (before?.of !== data.of) this.scale(null)
    this.boxes.forEach((box, place) => box.classList.toggle("selected", chosen(data, data.nodes[place])))
    if (before?.selected !== data.selected || before?.of !== data.of) this.show(opening(data, before?.of !== data.of))
  }

  draw() {
    const { nodes, edges } = this.data
    this.size = extentOf(nodes.map(({ at }) => at))
    this.pen.font = `12px ${getComputedStyle(this.root).getPropertyValue("--st-font") || "sans-serif"}`
    this.boxes = nodes.map((node, place) => this.box(node, place))
    const lines = edges.map(({ over, width, silent }) =>
      made("path", { d: pathOf(over), "stroke-width": width, class: silent ? "edge silent" : "edge" }),
    )
    this.svg.setAttribute("viewBox", `0 0 ${this.size.join(" ")}`)
    this.svg.replaceChildren(...lines, ...this.boxes)
    this.scale(this.fitted && this.whole())
    this.legend()
  }

  box(node, place) {
    const [x, y] = middle(node.at).map((value, which) => value - [BOX_WIDE, BOX_HIGH][which] / 2)
    const group = made("g", { class: `node${node.fill ? "" : " plain"}${node.layer ? " linked" : ""}` })
    group.dataset.place = place
    group.append(made("rect", { x, y, width: BOX_WIDE, height: BOX_HIGH, rx: 5, class: "box", ...(node.fill && { fill: node.fill }) }))
    const wide = (text) => this.pen.measureText(text).width
    const ink = node.ink ? { fill: node.ink } : {}
    const words = [shortened(node.name, BOX_WIDE - 2 * PAD, wide), shortened(node.words, BOX_WIDE - 2 * PAD, wide)]
    words.forEach((text, line) => group.append(made("text", { x: x + PAD, y: y + 15 + 15 * line, ...ink }, text)))
    if (node.bars.length) group.append(...this.bars(node.bars, x, y + BOX_HIGH - 9))
    return group
  }

  bars(bars, x, y) {
    const [room, height] = [BOX_WIDE - 2 * PAD, 5]
    let from = x + PAD
    const parts = bars.map(([share, fill]) => {
      const part = made("rect", { x: from, y, width: Math.max(0, share * room), height, fill })
      from += share * room
      return part
    })
    return [made("rect", { x: x + PAD, y, width: room, height, class: "track" }), ...parts]
  }

  legend() {
    const entries = this.data.legend.map(([words, fill]) => {
      const [entry, swatch, text] = ["span", "span", "span"].map((name) => document.createElement(name))
      entry.className = "entry"
      swatch.className = fill.startsWith("linear") ? "swatch scale" : "swatch"
      swatch.style.background = fill
      text.textContent = words
      entry.append(swatch, text)
      return entry
    })
    this.find(".legend").replaceChildren(...entries)
  }

  whole() {
    const view = this.find(".view")
    return Math.max(LEAST, Math.min(1, (view.clientWidth - 2) / this.size[0], (view.clientHeight - 2) / this.size[1]))
  }

  // Draw at a scale; null: as wide as the page has room, and no smaller than can be read
  scale(fitted) {
    if (!this.size) return
    this.fitted = fitted
    const factor = fitted ?? 1
    this.svg.setAttribute("width", this.size[0] * factor)
    this.svg.setAttribute("height", this.size[1] * factor)
    this.find(".fit").textContent = fitted ? "Full size" : "Fit"
  }

  fit() {
    this.scale(this.fitted ? null : this.whole())
    this.show(this.current < 0 ? opening(this.data, true) : this.current)
  }

  show(place) {
    if (!this.data.nodes[place]) return
    const view = this.find(".view")
    const [x, y] = middle(this.data.nodes[place].at).map((value) => value * (this.fitted ?? 1))
    view.scrollTo({ left: x - view.clientWidth / 2, top: y - view.clientHeight / 2 })
  }

  under(event) {
    const found = event.target.closest?.(".node")
    return found ? Number(found.dataset.place) : -1
  }

  point(event) {
    const [place, tip] = [this.under(event), this.find(".tip")]
    tip.hidden = place < 0
    if (place < 0) return
    tip.textContent = this.data.nodes[place].tip
    const box = this.find(".board").getBoundingClientRect()
    const x = Math.min(event.clientX - box.left + 14, box.width - tip.offsetWidth - 4)
    tip.style.transform = `translate(${Math.max(x, 0)}px, ${event.clientY - box.top + 18}px)`
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return
    if (event.key === "Enter") this.pick(this.current)
    else if (!KEYS.includes(event.key)) return
    else this.go(reached(this.data.nodes, this.data.edges, this.current, event.key))
    event.preventDefault()
  }

  go(place) {
    this.boxes[this.current]?.classList.remove("current")
    this.boxes[place]?.classList.add("current")
    this.current = place
    this.show(place)
    this.find(".said").textContent = this.data.nodes[place]?.tip ?? ""
  }

  pick(place) {
    const node = this.data.nodes[place]
    if (!node) return
    this.find(".said").textContent = node.tip
    if (node.layer) this.report({ of: this.data.of, layer: node.layer })
  }
}
