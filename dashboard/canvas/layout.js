// Where the cells of a map stand, and which cell is at a point: pure functions of the rows and of the room there is.
//
// A bin is one cell on the screen: one channel, or several neighbours where a layer has more channels than there are
// pixels. Widths of bins are in pixels of the device, the rest in pixels of the page.

const LEAST_PITCH = 9 // px of a row
const MOST_PITCH = 21
const MOST_HEIGHT = 620 // px of a map
const COUNTS = 64 // px at the right, for the numbers of the living
export const TOP = 2 // px above the first row
const NARROW = 8 // px: a cell of a narrow layer is as wide as this, where there is room, to be legible beside wide ones
const WIDE = 18

// words: px of the longest name; ratio: pixels of the device in one of the page
export function laidOut(rows, { width, ratio, words }) {
  const pitch = Math.min(MOST_PITCH, Math.max(LEAST_PITCH, Math.floor(MOST_HEIGHT / Math.max(rows.length, 1))))
  const left = Math.ceil(Math.min(width * 0.3, words + 13)) // whole pixels, or the gaps are not clear
  const room = Math.max(20, Math.floor((width - left - COUNTS) * ratio))
  const common = room / Math.max(1, ...rows.map((row) => row.count))
  const bins = rows.map(({ count }) => binned(count, room, common, ratio))
  return { width, ratio, pitch, left, room, bins, height: pitch * rows.length + 2 * TOP }
}

function binned(count, room, common, ratio) {
  const wide = Math.min(Math.max(common, Math.min(room / count, NARROW * ratio)), WIDE * ratio)
  if (wide < 1) return { count: room, wide: 1, gap: 0 }
  const clear = wide >= 4 * ratio
  return { count, wide: clear ? Math.floor(wide) : wide, gap: clear ? Math.round(ratio) : 0 }
}

// The pixels [from, to) of a bin, without the gap behind it
export function extent({ wide, gap }, bin) {
  const from = Math.floor(bin * wide)
  return [from, Math.max(from + 1, Math.floor((bin + 1) * wide) - gap)]
}

// The channel that a bin shows: the one of the highest rank, the first of equals.
export function shown(row, bins, bin, levels, rank) {
  const edge = (at) => Math.floor((at * row.count) / bins.count)
  let best = row.channelAt[edge(bin)]
  for (let place = edge(bin) + 1; place < edge(bin + 1); place++) {
    const channel = row.channelAt[place]
    if (rank(levels[row.first + channel]) > rank(levels[row.first + best])) best = channel
  }
  return best
}

// The row and the bin at a point of the map [px], null beside the cells
export function binAt(layout, x, y) {
  const row = Math.floor((y - TOP) / layout.pitch)
  const bins = layout.bins[row]
  if (!bins) return null
  const bin = Math.floor(((x - layout.left) * layout.ratio) / bins.wide)
  return bin < 0 || bin >= bins.count ? null : { row, bin }
}

// The rectangle of a cell [px]
export function frameOf(layout, rows, { row, channel }) {
  const { count, placeOf } = rows[row]
  const bins = layout.bins[row]
  const bin = Math.floor((placeOf[channel] * bins.count) / count)
  return {
    left: layout.left + (bin * bins.wide) / layout.ratio,
    top: row * layout.pitch + TOP,
    width: Math.max(4, (bins.wide - bins.gap) / layout.ratio),
    height: layout.pitch - 2,
  }
}
