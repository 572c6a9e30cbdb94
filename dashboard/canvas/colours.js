// The colours of the maps, and how a group becomes one: pure functions of numbers.
//
// A level is one byte a group (levels.py): 0 dead; 1 … 127 alive, the norm on a log scale; 128 added where the norm is
// near the threshold. A palette says of each level its colour, the colour of its edge (0: none) and its rank, by which
// one cell is chosen to stand for several.

// cividis without its darkest tenth, which a dark page would swallow
export const CIVIDIS = [
  "#123570", "#3b496c", "#575d6d", "#707173", "#8a8678", "#a59c74", "#c3b369", "#e1cc55", "#fee838",
]
// blue: alive only in A, orange: only in B, grey: in both alike; these read on a white and on a dark page
export const APART = ["#2166c4", "#8fb4dd", "#9c9ca3", "#e6ae7c", "#d55e00"]
export const EDGE = "#E69F00" // amber: seen on every shade of cividis that a small norm has, and no task's colour
export const STEPS = 126
export const NEAR_BIT = 128
const ONLY_A = 254
const ONLY_B = 255
const MIDDLE = 127

// "#rrggbb" → [red, green, blue]
function parts(hex) {
  return [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16))
}

function packed([red, green, blue]) {
  return ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0
}

// "#rrggbb" → a number whose bytes are those of a pixel
export function pixel(hex) {
  return packed(parts(hex))
}

// count colours between the stops, as pixels
export function between(stops, count) {
  const known = stops.map(parts)
  return Uint32Array.from({ length: count }, (_, i) => {
    const place = (i / Math.max(count - 1, 1)) * (known.length - 1)
    const from = Math.min(Math.floor(place), known.length - 2)
    return packed(known[from].map((value, c) => Math.round(value + (place - from) * (known[from + 1][c] - value))))
  })
}

export function normPalette() {
  const [colours, edges] = [new Uint32Array(256), new Uint32Array(256)]
  const shades = between(CIVIDIS, STEPS + 1)
  colours.set(shades, 1)
  colours.set(shades, NEAR_BIT + 1)
  edges.fill(pixel(EDGE), NEAR_BIT + 1)
  return { colours, edges, rank: (level) => level & (NEAR_BIT - 1) }
}

export function differencePalette() {
  const colours = new Uint32Array(256)
  colours.set(between(APART.slice(1, 4), 253), 1)
  colours[ONLY_A] = pixel(APART[0])
  colours[ONLY_B] = pixel(APART[4])
  const rank = (level) => (level >= ONLY_A ? 256 : level && Math.abs(level - MIDDLE) + 1)
  return { colours, edges: new Uint32Array(256), rank }
}

// Norms and whether they are near → levels, by the rule of levels.py
export function levelsOf(norms, near, { low, high }) {
  const [bottom, span] = [Math.log(low), Math.max(Math.log(high / low), 1e-9)]
  return Uint8Array.from(norms, (norm, group) => {
    if (!(norm > 0)) return 0
    const place = Math.min(Math.max((Math.log(norm) - bottom) / span, 0), 1)
    return 1 + Math.round(STEPS * place) + (near[group] ? NEAR_BIT : 0)
  })
}

// The norm of a level, within half a step of the scale
export function normOf(level, { low, high }) {
  return Math.exp(Math.log(low) + (((level & (NEAR_BIT - 1)) - 1) / STEPS) * Math.log(high / low))
}

export function brief(value) {
  if (!value) return "0"
  return value >= 0.01 && value < 1000 ? value.toPrecision(3) : value.toExponential(1)
}

// What a group is, in words; its norm is the exact one where that is known
export function said(level, scale, norm) {
  if (!level) return "dead, exactly zero"
  const number = norm === undefined ? `about ${brief(normOf(level, scale))}` : brief(norm)
  return `${level > NEAR_BIT ? "near the threshold" : "alive"}, norm ${number}`
}

// The legend of norms, for a picture of a map
export function normLegend({ low, high }) {
  return [
    { word: "dead (exactly zero)", colour: "" },
    { word: "near the threshold", colour: `edge ${EDGE}` },
    { word: `norm [1], log scale: ≤ ${brief(low)} … ${brief(high)}`, colour: CIVIDIS },
  ]
}

export function gradient(stops) {
  return `linear-gradient(90deg, ${stops.join(", ")})`
}
