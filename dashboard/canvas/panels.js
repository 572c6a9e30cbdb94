// The small charts above the slider: one per quantity, a cursor through all of them. Dots are computed points; the dotted
// line only joins them. Drawn as SVG with text set as text.

const HIGH = 96 // px of a chart
const MARGIN = { left: 40, right: 10, top: 8, bottom: 8 }

export function made(name, attributes = {}, parent = null) {
  const svg = ["svg", "path", "circle", "line", "text"].includes(name)
  const element = svg ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name)
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value)
  if (parent) parent.append(element)
  return element
}

export class Panel {
  // data: {title, unit, digits, curves: [{name, colour, values}]}; places: of the points, in [0, 1]
  constructor(parent, data, places, marks) {
    Object.assign(this, { data, places, marks })
    this.root = made("div", { class: "panel" }, parent)
    this.title = made("div", { class: "title" }, this.root)
    made("b", {}, this.title).textContent = data.title
    this.numbers = data.curves.map((curve) => this.number(curve))
    this.svg = made("svg", { height: HIGH, role: "presentation" }, this.root)
  }

  number({ name, colour }) {
    const entry = made("span", {}, this.title)
    made("span", { class: "dot", style: `background: ${colour}` }, entry)
    const words = made("span", {}, entry)
    return (value) => (words.textContent = `${name}${name && " "}${value}`)
  }

  layout() {
    this.width = this.root.clientWidth
    this.svg.replaceChildren()
    this.svg.setAttribute("viewBox", `0 0 ${this.width} ${HIGH}`)
    this.ends()
    const floor = HIGH - MARGIN.bottom
    made("line", { class: "axis", x1: MARGIN.left, x2: this.width - MARGIN.right, y1: floor, y2: floor }, this.svg)
    for (const point of this.marks) this.upright("mark", this.places[point])
    for (const curve of this.data.curves) this.curve(curve)
    this.cursor = this.upright("cursor", 0)
    this.dots = this.data.curves.map(({ colour }) => made("circle", { r: 5, fill: colour }, this.svg))
  }

  ends() {
    const values = this.data.curves.flatMap((curve) => curve.values).filter((value) => value !== null)
    const [low, high] = [Math.min(...values), Math.max(...values)]
    this.low = values.length ? low : 0
    this.span = high - low || 1
    for (const [value, y] of [[high, MARGIN.top + 4], [low, HIGH - MARGIN.bottom]]) {
      const label = made("text", { x: MARGIN.left - 6, y, "text-anchor": "end" }, this.svg)
      if (values.length) label.textContent = value.toFixed(this.data.digits)
    }
  }

  x(place) {
    return MARGIN.left + place * (this.width - MARGIN.left - MARGIN.right)
  }

  y(value) {
    return HIGH - MARGIN.bottom - ((value - this.low) / this.span) * (HIGH - MARGIN.top - MARGIN.bottom)
  }

  upright(name, place) {
    const x = this.x(place)
    return made("line", { class: name, x1: x, x2: x, y1: 0, y2: HIGH }, this.svg)
  }

  curve({ values, colour }) {
    const known = values.map((value, point) => [this.x(this.places[point]), value]).filter(([, value]) => value !== null)
    const path = known.map(([x, value], i) => `${i ? "L" : "M"}${x} ${this.y(value)}`).join("")
    made("path", { d: path, fill: "none", stroke: colour, "stroke-width": 1.5, "stroke-dasharray": "2 3" }, this.svg)
    for (const [x, value] of known) made("circle", { cx: x, cy: this.y(value), r: 2.5, fill: colour }, this.svg)
  }

  // The place of the pointer as a share of the axis.
  shareAt(event) {
    const box = this.svg.getBoundingClientRect()
    return (event.clientX - box.left - MARGIN.left) / (this.width - MARGIN.left - MARGIN.right)
  }

  show(point) {
    const x = this.x(this.places[point])
    this.cursor.setAttribute("x1", x)
    this.cursor.setAttribute("x2", x)
    this.data.curves.forEach(({ values }, i) => {
      const value = values[point]
      this.dots[i].setAttribute("visibility", value === null ? "hidden" : "visible")
      if (value !== null) this.dots[i].setAttribute("cx", x)
      if (value !== null) this.dots[i].setAttribute("cy", this.y(value))
      this.numbers[i](value === null ? "–" : `${value.toFixed(this.data.digits)}${this.data.unit}`)
    })
  }
}
