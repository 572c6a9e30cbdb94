// Colours, hatching, numbers and shortened names of the survival map. Loaded first, as one module with the others.

const CIVIDIS = [ // without its darkest tenth, which a dark page would swallow
  "#123570", "#3b496c", "#575d6d", "#707173", "#8a8678", "#a59c74", "#c3b369", "#e1cc55", "#fee838",
]
const NEAR = "#E69F00" // amber: seen on every shade of cividis that a small norm has, and not the colour of a task
const SHADES = shades(256)

function shades(count) {
  const stops = CIVIDIS.map((hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16)))
  return Array.from({ length: count }, (_, i) => {
    const place = (i / (count - 1)) * (stops.length - 1)
    const from = Math.min(Math.floor(place), stops.length - 2)
    const mixed = stops[from].map((value, c) => Math.round(value + (place - from) * (stops[from + 1][c] - value)))
    return `rgb(${mixed.join(",")})`
  })
}

function pattern(pen) {
  const tile = document.createElement("canvas")
  tile.width = tile.height = 8
  const ink = tile.getContext("2d")
  ink.strokeStyle = "rgba(128,132,149,0.75)"
  ink.lineWidth = 1
  for (const shift of [-4, 0, 4, 8]) {
    ink.moveTo(shift, 8)
    ink.lineTo(shift + 8, 0)
  }
  ink.stroke()
  return pen.createPattern(tile, "repeat")
}

// The end of a long name says more than its start.
function shortened(pen, name, room) {
  if (pen.measureText(name).width <= room) return name
  let start = 1
  while (start < name.length && pen.measureText(`…${name.slice(start)}`).width > room) start++
  return `…${name.slice(start)}`
}

function brief(value) {
  if (!value) return "0"
  return value >= 0.01 && value < 1000 ? value.toPrecision(3) : value.toExponential(1)
}
